import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from study import runs
from study.errors import UsageError
from study.runs import Run
from study.tracking import logger


@pytest.fixture(scope="module")
def recorded(tiny_run, tmp_path_factory):
    folder = shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("recorded") / "run")
    run = runs.read(folder)
    logger.record(run, "mine", "norm-study")
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
    assert logger.is_recorded(recorded.path)
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
    assert len(rows) == len(recorded.misclassified().pixels) > logger.PICTURES
    assert [row[0] is not None for row in rows].count(True) == logger.PICTURES


def test_the_pictures_of_a_table_can_be_set(monkeypatch):
    monkeypatch.setenv("STUDY_TABLE_PICTURES", "100")
    assert logger.count_pictures() == 100
    for wrong in ("101", "-1", "many"):
        monkeypatch.setenv("STUDY_TABLE_PICTURES", wrong)
        with pytest.raises(UsageError, match=f"STUDY_TABLE_PICTURES={wrong}: .* from 0 to 100"):
            logger.count_pictures()


def test_the_address_of_a_run(recorded, tiny_run, tmp_path):
    assert logger.address(recorded) == f"norm-study/{logger.run_id('mine', recorded)}"
    url = {"url": "https://wandb.ai/team/runs/runs/abc"}
    pulled = Run(tmp_path, tiny_run.config, [], url)
    assert logger.address(pulled) == "team/runs/abc"
    assert logger.address(Run(tmp_path, tiny_run.config, [], {})) == ""


def test_a_run_that_is_online_needs_no_run_offline(tiny_run, tmp_path):
    path = "team/project/abc"
    logger.mark_recorded(path, tmp_path)
    assert logger.is_recorded(tmp_path, "online") and logger.is_recorded(tmp_path)
    (tmp_path / "other").mkdir()
    logger.mark_recorded(path, tmp_path / "other", "offline")
    assert not logger.is_recorded(tmp_path / "other", "online")


@pytest.mark.parametrize(("rows", "fetched"), [(None, True), (3, True), (8, False), (9, False)])
def test_a_checkpoint_is_fetched_where_this_machine_is_behind(rows, fetched, tmp_path, monkeypatch):
    """The server has 8 epochs; this machine no folder of the run, or one with so many rows."""
    if rows is not None:
        (tmp_path / "config.json").write_text("{}")
        runs.write_history(tmp_path, [{"epoch": epoch} for epoch in range(1, rows + 1)])

    class File(SimpleNamespace):
        def download(self, root, replace):
            (Path(root) / self.name).write_bytes(b"8 epochs")
            return open(Path(root) / self.name)

    file = File(name=runs.CHECKPOINT, size=8)
    api = SimpleNamespace(run=lambda path: SimpleNamespace(file=lambda name: file))
    monkeypatch.setattr("wandb.Api", lambda: api)
    logger.restore(SimpleNamespace(starting_step=9, path="team/project/abc"), tmp_path)
    assert (tmp_path / runs.CHECKPOINT).is_file() == fetched


def test_the_id_is_of_the_sweep_and_the_configuration(recorded):
    [folder] = (recorded.path / "wandb").glob("offline-run-*")
    assert folder.name.endswith(logger.run_id("mine", recorded))
    assert logger.run_id("mine", recorded) != logger.run_id("other", recorded)


def test_rows_are_logged_as_they_are_and_none_twice():
    logged = []
    wandb_run = SimpleNamespace(step=0, starting_step=2)  # a resumed run, which has its epoch 1
    wandb_run.log = lambda row, step, commit: logged.append((step, row))
    rows = [{"epoch": epoch, "gradient/norm": epoch / 2} for epoch in (1, 2, 3)]
    logger.log_rows(wandb_run, rows)
    assert logged == [(2, rows[1]), (3, rows[2])]


def test_what_we_rely_on_in_wandb():
    """Private names of wandb, for which pyproject.toml has an upper bound."""
    import wandb
    from wandb.sdk.launch.api import LaunchApi

    logger.quiet()
    wandb.Settings(
        sweep_id="s",
        stop_fn=print,
        x_file_stream_transmit_interval=1,
        x_transaction_log_flush_interval=1,
        x_disable_stats=True,
    )
    inspect.signature(LaunchApi).bind(timeout=5)
    inspect.signature(LaunchApi.check_stop_requested).bind(None, "project", "entity", "run")
    names = ("step", "starting_step", "resumed", "mark_preempting", "dir", "path", "offline")
    for name in (*names, "_public_api"):
        assert hasattr(wandb.Run, name), name
