import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study import runs
from study.errors import RunError, UsageError
from study.tracking import client, marks, recording, stored, tables
from tests.tracking.test_pull import turned_to
from tests.wandb_server import Server


@pytest.fixture(scope="module")
def recorded(tiny_run, tmp_path_factory):
    folder = shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("recorded") / "run")
    run = runs.read(folder)
    recording.record(run, "mine", "norm-study")
    return run


def inspect_offline(run, *words: str) -> str:
    """What wandb's own reader finds in the offline run."""
    [folder] = (run.path / "wandb").glob("offline-run-*")
    command = [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", str(folder)]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"wandb leet cannot read it: {done.stderr.strip()}")
    return done.stdout


def test_the_offline_run_has_history_config_and_summary(recorded):
    assert marks.is_recorded(recorded.path)
    content = inspect_offline(recorded)
    for row in recorded.history:
        assert json.dumps(row["test/loss"])[:12] in content
    for words in ("mnist_7684", "misclassified", "norm-study", "test_accuracy_last"):
        assert words in content


def test_its_files_lie_in_the_run_folder(recorded):
    [folder] = (recorded.path / "wandb").glob("offline-run-*")
    assert {path.name for path in (folder / "files").iterdir()} >= {
        name for name in runs.UPLOADED if (recorded.path / name).is_file()
    }
    assert (recorded.path / runs.MISCLASSIFIED).is_file()
    assert list((recorded.path / "wandb/data").glob("**/*"))


def test_a_run_leaves_few_files_and_a_whole_table(recorded):
    assert sum(not path.is_dir() for path in recorded.path.glob("**/*")) <= 40
    [path] = (recorded.path / "wandb").glob("offline-run-*/files/media/table/misclassified_*.json")
    rows = json.loads(path.read_text())["data"]
    assert len(rows) == len(recorded.misclassified().pixels) > tables.PICTURES
    assert [row[0] is not None for row in rows].count(True) == tables.PICTURES


def test_the_id_is_of_the_sweep_the_configuration_and_what_came_of_it(recorded):
    [folder] = (recorded.path / "wandb").glob("offline-run-*")
    assert folder.name.endswith(recording.run_id("mine", recorded))
    assert recording.run_id("mine", recorded) != recording.run_id("other", recorded)
    *before, last = recorded.history
    again = dataclasses.replace(recorded, history=[*before, last | {"test/loss": 0.5}])
    assert recording.run_id("mine", recorded) != recording.run_id("mine", again)
    assert marks.address(recorded) == f"norm-study/{recording.run_id('mine', recorded)}"


def test_a_run_of_which_the_server_lacks_a_part_is_not_marked(tiny_run, tmp_path, monkeypatch):
    run = runs.read(shutil.copytree(tiny_run.path, tmp_path / "run"))
    with Server() as server, turned_to(server, tmp_path / "wandb"):
        monkeypatch.setattr(stored, "INTERVAL", 0)
        with monkeypatch.context() as patch:
            patch.setattr(client, "find_runs", lambda *_: {})
            with pytest.raises(RunError, match="lacks a part of it"):
                recording.record(run, "mine", "norm-study", "online")
        assert not marks.is_recorded(run.path, "online")
        recording.record(run, "mine", "norm-study", "online")
        assert marks.is_recorded(run.path, "online")
        [stored_run] = server.runs.values()
        assert marks.address(run).endswith(stored_run.id)


def test_a_run_that_cannot_be_logged_is_closed_and_the_next_has_one_of_its_own(tiny_run, tmp_path):
    """As a worker logs several in a row."""
    whole, lacking, odd = (
        runs.read(shutil.copytree(tiny_run.path, tmp_path / name))
        for name in ("whole", "lacking", "odd")
    )
    (lacking.path / runs.PARAMETERS).unlink()
    (odd.path / runs.GRID).write_text("no picture")
    with Server() as server, turned_to(server, tmp_path / "wandb"):
        with pytest.raises(UsageError, match=runs.PARAMETERS):
            recording.record(lacking, "first", "norm-study", "online")
        with pytest.raises(Exception, match="cannot identify image"):
            recording.record(odd, "second", "norm-study", "online")
        recording.record(whole, "third", "norm-study", "online")
        ids = [recording.run_id(name, whole) for name in ("first", "second", "third")]
        assert [(server.runs[id].name, server.runs[id].state) for id in ids] == [
            ("lacking", "failed"),
            ("odd", "failed"),
            ("whole", "finished"),
        ]
        assert len(server.runs) == 3 and marks.address(whole).endswith(ids[-1])
        assert not any(marks.is_recorded(run.path, "online") for run in (lacking, odd))
