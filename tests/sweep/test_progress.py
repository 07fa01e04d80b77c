import multiprocessing
from types import SimpleNamespace

import pytest

from study import runs, schema
from study.config import Config
from study.metrics import Metric
from study.sweep import progress, worker
from study.sweep.job import Job, Message, PipeCallback, Task
from study.sweep.progress import TerminalProgress
from study.sweep.worker import Worker


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


class Silent:
    def set_description_str(self, text):
        self.text = text


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Make a worker without a process, for runs of 4 epochs."""
    process = SimpleNamespace(start=lambda: None)
    context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=lambda **_: process)
    monkeypatch.setattr(worker.forks, "context", lambda *_: context)

    def make(slot=0, count=1, metric=None):
        tasks = [Task(Config(epochs=4, seed=seed + 1), "BN", tmp_path) for seed in range(count)]
        job = Job(tuple(tasks), "mine", "project", "cpu", 1, "offline")
        return Worker(job, [None] * count, slot, Silent(), metric)

    return make


def test_a_line_of_each_worker_once_its_pace_is_known_then_every_thirty_seconds(clock, made, capfd):
    shown = TerminalProgress(epochs=8, runs=2, position=2, quiet=True, metric=None)
    workers = [made(slot) for slot in range(2)]
    assert capfd.readouterr().err == "2 runs, 8 epochs, 2 at once\n"
    TerminalProgress(epochs=1, runs=1, position=1, quiet=True, metric=None)
    assert capfd.readouterr().err == "1 run, 1 epoch, 1 at once\n"
    shown.report(workers)
    clock.seconds = 10
    shown.report(workers)
    assert capfd.readouterr().err == "", "nothing is trained yet"
    for each in workers:
        each._show_message(Message("batch", 0, (1, 0.125, 1.8, 50.0)))
    shown.report(workers)
    assert capfd.readouterr().err == "", "the pace is not known yet"
    for clock.seconds, share in ((14.9, 0.24), (15, 0.25)):
        assert capfd.readouterr().err == ""
        for each in workers:
            each._show_message(Message("batch", 0, (1, share, 1.5, 60.0)))
        shown.report(workers)
    lines = capfd.readouterr().err.splitlines()
    # Of eight epochs a quarter took 5 seconds: 7.5 are left. What starting took does not count.
    left = "  (2 min left)"
    assert lines == [
        f"[{slot}] BN, seed 1: epoch 1/4 (25%)  loss 1.5000  accuracy 60.00{left}"
        for slot in (1, 2)
    ]
    clock.seconds = 44
    shown.report(workers)
    assert capfd.readouterr().err == ""
    clock.seconds = 45
    shown.report(workers)
    assert len(capfd.readouterr().err.splitlines()) == 2


def test_a_worker_says_the_sweeps_own_metric(made):
    row = {"epoch": 1, "val/loss": 0.5, "val/accuracy": 80.0, "test/accuracy": 79.0}
    for metric, words in (
        (Metric("val/loss", False, None), "validation loss 0.5000"),
        (None, "validation accuracy 80.00"),
    ):
        one = made(metric=metric)
        one._show_message(Message("epoch", 0, row))
        assert one.text == f"[1] BN, seed 1: epoch 1/4  {words}"
        one._show_message(Message("batch", 0, (2, 0.5, 0.4, 90.0)))
        assert one.text.endswith(f"epoch 2/4 (50%)  loss 0.4000  accuracy 90.00  {words}")


def test_a_pack_is_as_far_as_all_its_runs(clock, made, capfd):
    shown = TerminalProgress(epochs=12, runs=3, position=1, quiet=True, metric=None)
    pack = made(count=3)
    for clock.seconds, share in ((5, 0.25), (12.5, 0.5)):
        pack._show_message(Message("batch", 0, (1, share, 1.5, 60.0)))
        shown.report([pack])
    # 0.75 of 12 epochs in 7.5 s
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("[1] BN, seed 1 and 2 more: epoch 1/4") and "(2 min left)" in last


def test_a_pack_goes_on_telling_how_far_it_is_when_its_first_run_has_ended(made):
    pack = made(count=3)
    sent = []
    pipe, shown = SimpleNamespace(send=sent.append), set()
    first, *others = (PipeCallback(pipe, index, False, shown) for index in range(3))
    for callback in (first, *others):
        callback.batch(1, 5, 10, 1.5, 60.0)
    assert [message.run for message in sent] == [0]  # for all
    for callback in others:
        callback.batch(2, 5, 10, 1.2, 70.0)
    assert [message.run for message in sent] == [0, 1]
    for message in sent:
        pack._show_message(message)
    assert "epoch 2/4 (50%)  loss 1.2000  accuracy 70.00" in pack.text
    for index, accuracy in ((1, 81.0), (2, 60.0)):
        pack._show_message(Message("epoch", index, {"epoch": 2, "test/accuracy": accuracy}))
    assert pack.text.endswith("epoch 2/4  test accuracy 81.00")


def test_a_run_that_stopped_early_leaves_less_to_do(clock, made, tmp_path, capfd):
    shown = TerminalProgress(epochs=8, runs=2, position=1, quiet=True, metric=None)
    config = Config(epochs=4)
    row = {"epoch": 1, "train/loss": 0.6, "train/accuracy": 79.0, "test/loss": 0.5}
    row |= {"test/accuracy": 80.0, "lr": 0.1, "seconds": 1.0}
    runs.write_config(tmp_path, config)
    runs.write_history(tmp_path, [row])
    summary = {"state": runs.STOPPED, "epochs": 1, **schema.scores([row]), "parameters": 1}
    runs.write_summary(tmp_path, summary)
    one = made()
    for clock.seconds, share in ((5, 0.5), (10, 1.0)):
        one._show_message(Message("batch", 0, (1, share, 0.6, 79.0)))
        shown.report([one])
    shown.ahead = 0
    shown.end_epoch()
    capfd.readouterr()
    shown.end_run(Task(config, "BN", tmp_path), runs.read(tmp_path))
    line = capfd.readouterr().err.splitlines()[-1]
    # half an epoch in 5 s, and the other run's four are left
    assert line == (
        "1/2  BN, seed 0: test accuracy 80.00 (highest 80.00), stopped at epoch 1  (40 s left)"
    )
