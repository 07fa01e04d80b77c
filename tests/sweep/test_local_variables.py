"""What the environment of a sweep's command must not do to its runs."""

import os

from study import runs
from study.sweep import local, spec
from tests.conftest import write_run
from tests.machines import sweep_text


def test_runs_are_never_logged_as_the_one_that_variables_name(tmp_path, monkeypatch):
    """As where a program of `wandb agent` starts `study sweep`, or a shell has another's run."""
    (tmp_path / "mine.yaml").write_text(sweep_text(epochs=1, seed=1))
    sweep = spec.read(tmp_path / "mine.yaml")
    for config in sweep.configs:
        write_run(tmp_path / "runs" / runs.name(config), config)
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):
        monkeypatch.setenv(name, "theirs")
    assert local.run(sweep, tmp_path / "runs").existing == 1
    assert not {"WANDB_RUN_ID", "WANDB_SWEEP_ID"} & os.environ.keys()
