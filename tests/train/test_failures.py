"""Why a run failed, in a line that names the remedy."""

import pytest
import torch

from study import runs
from study.config import Config
from study.errors import RunError
from study.train import failures, loop


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lr": 0.1}, "(lr 0.1): lower lr"),
        ({"lr": 0.1, "l1": 2.5e-5}, "(lr 0.1, l1 2.5e-5): lower lr or l1"),
        ({"lr": 0.1, "weight_decay": 1000}, "(lr 0.1, weight_decay 1000): lower weight_decay"),
        (
            {"lr": 0.1, "weight_decay": 1000, "l1": 2.5e-5},
            "(lr 0.1, l1 2.5e-5, weight_decay 1000): lower weight_decay",
        ),
        ({"lr": 50, "l1": 1}, "(lr 50, l1 1): lower lr or l1"),
        ({"lr": 1e9}, "(lr 1000000000): lower lr"),
    ],
)
def test_what_is_no_number_is_named_with_what_is_high(settings, told):
    config = Config(**settings)
    row = {"epoch": 3, "lr": config.lr, "train/loss": 2.3, "val/loss": float("nan")}
    with pytest.raises(RunError) as error:
        failures.check_finite(row, config)
    assert str(error.value) == f"val/loss became nan in epoch 3 {told}"


def test_a_diverging_run_fails_with_its_cause(tmp_path):
    config = Config(norm="none", lr=1e9, epochs=2)
    with pytest.raises(RunError, match=r"train/loss became (nan|inf) in epoch 1 .*lower lr"):
        loop.train(config, tmp_path)
    failed = runs.read(tmp_path)
    assert failed.state == runs.FAILED
    assert "lower lr" in failed.summary["cause"]
    assert failed.history == []


def test_out_of_memory_names_its_remedy(tmp_path, monkeypatch):
    def exhausted(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop.Training, "_logits", exhausted)
    with pytest.raises(RunError, match="out of memory on cpu: lower batch_size"):
        loop.train(Config(epochs=1), tmp_path)
