"""Runs of a sweep into folders: the real wandb client, in this process, against the stand-in."""

import pytest

from study import files, planned, runs
from study.tracking import pull
from tests.machines import sweep_text

ROW = {"train/loss": 0.2, "train/accuracy": 95.0, "test/loss": 0.1, "test/accuracy": 97.0}


@pytest.fixture
def client(server, tmp_path, monkeypatch):
    """Turns this process's wandb to the server."""
    import wandb

    for name, value in server.settings(tmp_path / "wandb").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "wandb").mkdir()
    wandb.teardown()  # it reads its settings once
    yield server
    wandb.teardown()


def test_every_numeric_column_is_pulled_and_nothing_else(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=1))
    row = ROW | {"epoch": 1.0, "gradient/norm": 2.5, "momentum": 3}
    others = {"note": "text", "flag": True, "table": {"_type": "table-file"}, "nan": "NaN"}
    other_epochs = [row | {"epoch": 2, "gradient/norm": 2.0}, {"epoch": 3, "system": 1.0}]
    client.add_run(sweep, {"seed": 1, "epochs": 2}, [row | others, *other_epochs])
    pulled = pull.pull(sweep.path, tmp_path / "runs")
    assert (pulled.fetched, pulled.unchanged) == (1, 0)
    [run] = runs.find(pulled.folder)
    assert run.history == [row | {"epoch": 1}, row | {"epoch": 2, "gradient/norm": 2.0}]
    assert isinstance(run.history[0]["epoch"], int)
    assert (run.state, run.summary["gradient_norm_last"]) == (runs.FINISHED, 2.0)


def test_only_what_changed_is_fetched_again(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=[1, 2]))
    rows = [ROW | {"epoch": 1}]
    going = client.add_run(sweep, {"seed": 1, "epochs": 2}, rows, state="running")
    client.add_run(sweep, {"seed": 2, "epochs": 1}, rows)
    client.add_run(sweep, {"seed": 2, "epochs": 1}, rows)  # the same configuration again
    client.add_run(sweep, {"norm": "strange"}, rows)
    pulled = pull.pull(sweep.path, tmp_path / "runs")
    assert (pulled.fetched, pulled.duplicates) == (3, 1)
    [why] = pulled.refused.values()
    assert "norm=strange" in why
    going.state = "crashed"
    pulled = pull.pull(sweep.path, tmp_path / "runs")
    assert (pulled.fetched, pulled.unchanged) == (1, 2)
    states = {run.path.name[-8:]: run.state for run in runs.find(pulled.folder)}
    assert states[going.id] == runs.FAILED


def test_sweeps_of_one_name_are_pulled_apart(tmp_path):
    folder = pull._folder(tmp_path, "norms: 1", "team/study/abc")
    assert folder == tmp_path / "norms__1"
    files.write_json(folder / pull.INDEX, {"sweep": "team/study/abc", "runs": {}})
    assert pull._folder(tmp_path, "norms: 1", "team/study/abc") == folder
    assert pull._folder(tmp_path, "norms: 1", "team/study/def").name == "norms__1-def"


def test_the_command_writes_what_the_sweep_has_planned(client, tmp_path, command):
    sweep = client.add_sweep(sweep_text(seed=[1, 2]) + "description: 'target: 99.4'\n")
    client.add_run(sweep, {"seed": 1, "epochs": 1}, [ROW | {"epoch": 1}])
    foreign = client.add_sweep("method: grid\nparameters: {wd: {value: 1}}\n")
    for path in (sweep.path, foreign.path):
        done = command("pull", path)
        assert done.returncode == 0
    assert (
        "what the sweep has planned is not known here: parameters.wd: no such setting"
        in done.stderr
    )
    plan = planned.read(tmp_path / "runs" / sweep.id)
    assert len(plan.configs) == 2 and plan.target == 99.4
