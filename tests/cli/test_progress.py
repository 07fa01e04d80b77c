"""The lines and the bar of `study train`."""

import contextlib
import io

import pytest

from study.cli.progress import ProgressBar
from study.config import Config

ROW = {
    "epoch": 2, "train/loss": 0.12345, "test/accuracy": 98.7654, "lr": 0.05, "seconds": 1.25,
}  # fmt: skip


def test_an_epoch_is_a_line(capsys):
    with ProgressBar(Config(epochs=20)) as progress:
        progress.epoch(ROW)
        assert not progress.stops()
    line = "epoch   2/20  train loss 0.1235  test accuracy 98.77  lr 0.05  1.2 s\n"
    assert capsys.readouterr().out == line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_follows_the_batches_and_ends_with_the_epoch():
    terminal = Terminal()
    with contextlib.redirect_stderr(terminal), ProgressBar(Config(epochs=20)) as progress:
        progress.batch(2, 10, 40, loss=0.5, accuracy=90.0)
        progress.batch(2, 30, 40, loss=0.4, accuracy=91.0)
        assert (progress.bar.n, progress.bar.total) == (30, 40)
        progress.epoch(ROW)
        assert progress.bar is None and "epoch 2/20" in terminal.getvalue()


def test_an_error_removes_the_bar():
    with pytest.raises(RuntimeError), ProgressBar(Config()) as progress:
        progress.batch(1, 1, 2, loss=0.5, accuracy=90.0)
        raise RuntimeError
    assert progress.bar is None
