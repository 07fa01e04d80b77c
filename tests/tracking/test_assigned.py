"""A run assigned by the server: its settings, its folder, its callback; W&B's run is a double."""

import threading
from types import SimpleNamespace

import pytest

from study import runs
from study.config import Config
from study.errors import DiskError, RunError, UsageError
from study.tracking import assigned, client, logger, marks, service, tables
from study.tracking.assigned import AssignedRun, WandbCallback
from study.train.callback import Callback

CONFIG = Config(norm="layer", epochs=3)


class WandbRun(SimpleNamespace):
    """A W&B run that keeps what it is sent."""

    def __init__(self, config: dict, resumed: bool = False) -> None:
        super().__init__(config=dict(config), id="abc", path="team/project/abc", resumed=resumed)
        self.tags, self.summary, self.rows, self.preempting = None, {}, [], False
        self.step = self.starting_step = 0
        self.exit_code = None

    def log(self, row, step, commit):
        self.rows.append(row)
        self.step = step + 1

    def mark_preempting(self):
        self.preempting = True

    def finish(self, exit_code):
        self.exit_code = exit_code


class LostRun(WandbRun):
    """A W&B run whose service was killed by the signal that ends this process."""

    def log(self, *_, **__):
        raise ConnectionResetError("Connection lost")

    mark_preempting = finish = log


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    return tmp_path


def take(config: dict, **options) -> AssignedRun:
    return AssignedRun.open(lambda: WandbRun(config, **options), "sweep", threading.Event())


def test_an_assigned_run_has_a_folder_and_a_complete_config(folder):
    run = take({"variant": "norm=layer", "epochs": 3, "_wandb": {}})
    assert run.config == CONFIG
    assert run.folder == folder / "sweep" / f"{runs.name(CONFIG)}-abc"
    assert runs.read(run.folder).state == runs.RUNNING  # and names its W&B run, from now on
    assert marks.opened(run.folder) == ("team/project/abc", "sweep")
    assert run.wandb_run.config["variant"] == "norm=layer"  # the swept key stays
    assert run.wandb_run.config["batch_size"] == CONFIG.batch_size
    assert run.wandb_run.name == runs.name(CONFIG) and "norm-study" in run.wandb_run.tags
    again = take(run.wandb_run.config)  # as the server assigns it after a preemption
    assert again.config == CONFIG


def test_wrong_settings_are_logged_to_the_run():
    wandb_run = WandbRun({"lr": -1})
    with pytest.raises(UsageError, match="lr=-1"):
        AssignedRun.open(lambda: wandb_run, "sweep", threading.Event())
    assert wandb_run.exit_code == 2
    assert wandb_run.summary["state"] == runs.FAILED and "lr=-1" in wandb_run.summary["cause"]


def test_a_resumed_run_fetches_its_checkpoint(monkeypatch):
    restored = []
    monkeypatch.setattr(logger, "restore", lambda wandb_run, folder: restored.append(folder))
    take({"norm": "layer"})
    assert not restored
    run = take({"norm": "layer"}, resumed=True)
    assert restored == [run.folder]


@pytest.mark.parametrize("error", [UsageError("damaged"), RunError("full"), OSError("cut")])
def test_a_run_whose_folder_cannot_be_made_ready_is_handed_back(error, monkeypatch):
    """A failed run is assigned to no agent again, and here the machine has failed."""

    def fail(*_):
        raise error

    monkeypatch.setattr(logger, "restore", fail)
    wandb_run = WandbRun({"norm": "layer"}, resumed=True)
    with pytest.raises(type(error), match=str(error)):
        AssignedRun.open(lambda: wandb_run, "sweep", threading.Event())
    assert wandb_run.exit_code == assigned.PREEMPTED and wandb_run.preempting


def test_a_run_whose_data_set_is_not_here_is_handed_back():
    wandb_run = WandbRun({"dataset": "own:nowhere"})
    with pytest.raises(UsageError, match=r"nowhere\.npz"):
        AssignedRun.open(lambda: wandb_run, "sweep", threading.Event())
    assert wandb_run.exit_code == assigned.PREEMPTED and wandb_run.preempting


def test_a_run_that_the_disk_cut_off_is_handed_back(monkeypatch, caplog):
    def fill_disk(*_):
        raise DiskError("no space")

    run = take({"norm": "layer"})
    (run.folder / runs.CHECKPOINT).write_bytes(b"1 epoch")
    monkeypatch.setattr(logger, "upload", fill_disk)
    assert run.end(DiskError("no space")) == run.wandb_run.exit_code == assigned.PREEMPTED
    assert run.wandb_run.preempting and "state" not in run.wandb_run.summary
    [message] = caplog.messages
    assert "its checkpoint stays here, so others begin anew (no space)" in message


def test_a_resumed_run_whose_history_is_torn_here_is_opened(monkeypatch):
    """Its training sets that aside, and goes on from the checkpoint."""
    monkeypatch.setattr("wandb.Api", lambda: SimpleNamespace(run=lambda path: 1 / 0))
    folder = take({"norm": "layer"}).folder
    (folder / runs.HISTORY).write_text('{"epo')
    assert take({"norm": "layer"}, resumed=True).folder == folder


def test_the_callback_logs_each_epoch_but_the_last_and_stops_when_asked():
    run, checks = take({"norm": "layer", "epochs": 3}), []
    callback = WandbCallback(run, lambda: checks.append(1))
    assert isinstance(callback, Callback)
    rows = [{"epoch": epoch, "some/metric": epoch / 2} for epoch in (1, 2, 3)]
    callback.begin(rows[:1])  # a resumed run
    callback.batch(2, 1, 10, 0.5, 90.0)
    assert len(checks) == 2
    for row in rows[1:]:  # the last one is logged by `complete`, with the tables
        callback.epoch(row)
        assert not callback.stops()
    assert run.wandb_run.rows == rows[:2]  # as they are
    run.stop_requested.set()
    callback.epoch({"epoch": 2})
    assert callback.stops()
    assert run.wandb_run.rows == rows[:2]


def test_a_failure_and_a_preemption_give_their_exit_codes(caplog):
    run = take({"norm": "layer", "epochs": 3})
    runs.write_history(run.folder, [{"epoch": 1}])
    assert run.end(RunError("no memory")) == run.wandb_run.exit_code == 1
    assert run.wandb_run.summary["cause"] == "no memory" and len(run.wandb_run.rows) == 1
    assert f"`study sync --failed {run.folder}` goes on with it" in caplog.text
    assert run.end(None) == run.wandb_run.exit_code == assigned.PREEMPTED
    assert run.wandb_run.preempting


def test_a_run_whose_service_is_lost_is_opened_again_and_ends(monkeypatch, caplog):
    monkeypatch.setattr("wandb.teardown", lambda **_: None)
    opened = [LostRun({"norm": "layer"}), WandbRun({"norm": "layer"})]
    before = service.restarts()
    run = AssignedRun.open(lambda: opened.pop(0), "sweep", threading.Event())
    WandbCallback(run, lambda: None).begin([{"epoch": 1}])  # fails nothing
    assert run.end(None) == assigned.PREEMPTED and not opened
    assert run.wandb_run.preempting and service.restarts() == before + 1
    assert not caplog.messages


def test_a_trained_run_that_cannot_be_logged_is_told_with_the_remedy(tiny_run, monkeypatch, caplog):
    monkeypatch.setattr(logger, "log_end", lambda *_: 1 / 0)
    run = take({"norm": "layer"})
    assert run.end(tiny_run) == 0 and run.wandb_run.exit_code == 0
    stored = SimpleNamespace(state="finished", historyLineCount=2, summary={"epoch": 2})
    stored.summary |= {"state": "finished"} | dict.fromkeys(tables.NAMES)
    monkeypatch.setattr(client, "find_runs", lambda *_: {"abc": stored})
    assert assigned.confirm({run: tiny_run}) == {run: "ZeroDivisionError: division by zero"}
    assert f"`study sync {run.folder}` completes it" in caplog.text
    assert not marks.is_recorded(run.folder, "online")
    run.unlogged = ""
    assert not assigned.confirm({run: tiny_run}) and marks.is_recorded(run.folder, "online")


def test_a_whole_run_that_cannot_be_marked_is_no_failure(tiny_run, monkeypatch, caplog):
    def fill_disk(*_):
        raise RunError("the disk is full")

    monkeypatch.setattr(assigned.stored, "find_missing", lambda *_: {})
    monkeypatch.setattr(marks, "mark_recorded", fill_disk)
    run = take({"norm": "layer"})
    assert assigned.confirm({run: tiny_run}) == {}
    assert "has all of it, which is not noted here (the disk is full)" in caplog.text
