import dataclasses
import inspect
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from study import runs
from study.config import Config
from study.errors import RunError
from study.tracking import logger


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


def test_a_checkpoint_is_fetched_where_the_history_is_torn(tmp_path, monkeypatch):
    (tmp_path / runs.CONFIG).write_text("{}")
    (tmp_path / runs.HISTORY).write_text('{"epoch": 1}\n{"epo')
    asked = []
    api = SimpleNamespace(run=lambda path: asked.append(path) or SimpleNamespace(file=no_file))
    monkeypatch.setattr("wandb.Api", lambda: api)
    logger.restore(SimpleNamespace(starting_step=2, path="team/project/abc"), tmp_path)
    assert asked == ["team/project/abc"]


def test_a_checkpoint_that_cannot_be_fetched_is_told(tmp_path, monkeypatch, caplog):
    from wandb.errors import CommError

    def away(path):
        raise CommError("the server went away\nin two lines")

    monkeypatch.setattr("wandb.Api", lambda: SimpleNamespace(run=away))
    logger.restore(SimpleNamespace(starting_step=2, path="team/project/abc"), tmp_path)
    [record] = caplog.records
    assert record.getMessage().startswith(
        "team/project/abc: its checkpoint cannot be fetched (the server went away): it is trained"
    )


def no_file(name):
    return SimpleNamespace(size=0)


def test_rows_are_logged_as_they_are_and_none_twice():
    logged = []
    wandb_run = SimpleNamespace(step=0, starting_step=2)  # a resumed run, which has its epoch 1
    wandb_run.log = lambda row, step, commit: logged.append((step, row))
    rows = [{"epoch": epoch, "gradient/norm": epoch / 2} for epoch in (1, 2, 3)]
    logger.log_rows(wandb_run, rows)
    assert logged == [(2, rows[1]), (3, rows[2])]


def test_the_settings_of_a_run_are_those_that_the_file_has():
    """W&B's third step of 0.1 is 0.30000000000000004, and the run would be no planned one."""
    swept = {"dropout": 0.1 * 3, "lr": 0.12345678901234567, "norm": "batch", "variant": "l1=0.1"}
    assert logger.settings_of(swept) == swept | {"dropout": 0.3}
    complete = dataclasses.asdict(Config()) | {"variant": "l1=0.1"}
    assert logger.settings_of(complete) == dataclasses.asdict(Config())


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


def test_a_picture_that_is_not_there_is_drawn_before_a_run_is_logged(
    tiny_run, tmp_path, monkeypatch
):
    """A pack leaves it to its end, before which it may be killed."""
    monkeypatch.setattr(logger, "upload", lambda *_: None)
    monkeypatch.setattr(logger.tables, "make", lambda run: {})
    run = runs.read(shutil.copytree(tiny_run.path, tmp_path / "run"))
    (run.path / runs.GRID).unlink()
    doing = SimpleNamespace(
        step=0, starting_step=0, log=lambda *_, **__: None, summary={"cause": "full"}
    )
    logger.log_end(doing, run)
    assert doing.summary["cause"] is None and doing.summary["state"] == runs.FINISHED
    assert (run.path / runs.GRID).read_bytes() == (tiny_run.path / runs.GRID).read_bytes()
    for name in (runs.GRID, runs.CONFUSION):
        (run.path / name).unlink()
    logger.log_end(doing, run)  # of a run that was pulled: there is nothing to draw
    assert not run.has(runs.GRID)


def test_a_checkpoint_that_has_no_room_here_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    file = SimpleNamespace(size=1, name=runs.CHECKPOINT)
    monkeypatch.setattr(
        "wandb.Api", lambda: SimpleNamespace(run=lambda _: SimpleNamespace(file=lambda _: file))
    )
    with pytest.raises(RunError, match=r"no folder for temporary files .* with TMPDIR$"):
        logger.restore(SimpleNamespace(starting_step=2, path="team/project/abc"), tmp_path)
