import pytest

from study import files, runs, sweep_folder
from study.config import Config
from study.errors import RunError, UsageError


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no run in it"):
        sweep_folder.find(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        sweep_folder.find(tmp_path / "nothing")


def test_a_folder_set_aside_holds_no_run(tmp_path):
    for seed in (1, 2, 3):
        runs.write_config(tmp_path / f"run{seed}", Config(seed=seed))
    aside = files.set_aside(tmp_path / "run1", runs.DELETED)
    assert aside.name == "run1.deleted" and (aside / "config.json").is_file()
    runs.write_config(tmp_path / "run1", Config(seed=1))
    assert files.set_aside(tmp_path / "run1", runs.DELETED).name == "run1.deleted-2"
    assert [run.config.seed for run in sweep_folder.find(tmp_path)] == [2, 3]
    with pytest.raises(RunError, match=r"run1\.deleted-3: cannot be written"):
        files.set_aside(tmp_path / "run1", runs.DELETED)
