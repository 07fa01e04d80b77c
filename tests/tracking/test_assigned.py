"""A run assigned by the server: its settings, its folder, its callback; W&B's run is a double."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from study import runs
from study.config import Config
from study.errors import UsageError
from study.tracking import assigned, logger
from study.tracking.assigned import AssignedRun, Preempted, Signals, WandbCallback
from study.train.callback import Callback

CONFIG = Config(norm="layer", epochs=3)


class WandbRun(SimpleNamespace):
    """A W&B run that keeps what it is sent."""

    def __init__(self, config: dict, resumed: bool = False) -> None:
        super().__init__(config=dict(config), id="abc", path="team/project/abc", resumed=resumed)
        self.tags, self.summary, self.rows, self.preempting = None, {}, [], False
        self.step = self.starting_step = 0

    def log(self, row, step, commit):
        self.rows.append(row)
        self.step = step + 1

    def mark_preempting(self):
        self.preempting = True


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path))
    return tmp_path


def take(config: dict, **options) -> AssignedRun:
    return AssignedRun.from_wandb(WandbRun(config, **options), "sweep", threading.Event())


def test_an_assigned_run_has_a_folder_and_a_complete_config(folder):
    run = take({"variant": "norm=layer", "epochs": 3, "_wandb": {}})
    assert run.config == CONFIG
    assert run.folder == folder / "sweep" / f"{runs.name(CONFIG)}-abc"
    assert run.wandb_run.config["variant"] == "norm=layer"  # the swept key stays
    assert run.wandb_run.config["batch_size"] == CONFIG.batch_size
    assert run.wandb_run.name == runs.name(CONFIG) and "norm-study" in run.wandb_run.tags
    again = take(run.wandb_run.config)  # as the server assigns it after a preemption
    assert again.config == CONFIG


def test_wrong_settings_are_logged_to_the_run():
    wandb_run = WandbRun({"lr": -1})
    with pytest.raises(UsageError, match="lr=-1"):
        AssignedRun.from_wandb(wandb_run, "sweep", threading.Event())
    assert wandb_run.summary["state"] == runs.FAILED and "lr=-1" in wandb_run.summary["cause"]


def test_a_resumed_run_fetches_its_checkpoint(monkeypatch):
    restored = []
    monkeypatch.setattr(logger, "restore", lambda wandb_run, folder: restored.append(folder))
    take({"norm": "layer"})
    assert not restored
    run = take({"norm": "layer"}, resumed=True)
    assert restored == [run.folder]


def test_the_callback_logs_each_epoch_but_the_last_and_stops_when_asked():
    run, checks = take({"norm": "layer", "epochs": 3}), []
    callback = WandbCallback(run, lambda: checks.append(1))
    assert isinstance(callback, Callback)
    rows = [{"epoch": epoch, "some/metric": epoch / 2} for epoch in (1, 2, 3)]
    callback.begin(rows[:1])  # a resumed run
    callback.batch(2, 1, 10, 0.5, 90.0)
    assert len(checks) == 1
    assert callback.epoch(rows[1]) is False
    assert callback.epoch(rows[2]) is False  # the last: `complete` logs it, with the tables
    assert run.wandb_run.rows == rows[:2]  # as they are
    run.stop_requested.set()
    assert callback.epoch({"epoch": 2}) is True
    assert run.wandb_run.rows == rows[:2]


def test_a_failure_and_a_preemption_give_their_exit_codes():
    run = take({"norm": "layer", "epochs": 3})
    runs.write_config(run.folder, run.config)
    runs.write_history(run.folder, [{"epoch": 1}])
    assert run.fail("no memory") == 1
    assert run.wandb_run.summary["cause"] == "no memory" and len(run.wandb_run.rows) == 1
    assert run.requeue() == assigned.PREEMPTED and run.wandb_run.preempting


def test_a_signal_is_noticed_at_the_next_check():
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signals = Signals()
        signals.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Preempted):
            signals.check()
        assert signals.received == signal.SIGTERM
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
