"""The moving average of the weights."""

import dataclasses

import pytest
import torch

from study.config import Config
from study.train import devices, loop
from study.train.average import Average
from study.train.callback import Callback
from tests.conftest import without_times


def test_each_step_counts_less_the_longer_ago_and_early_ones_more_at_first():
    weights, expected = torch.tensor([8.0]), 8.0
    average = Average({"w": weights, "count": torch.tensor([3])}, 0.5)
    for step, value in enumerate((4.0, 2.0, 6.0, 1.0, 3.0, 7.0, 9.0, 5.0, 2.0, 1.0, 4.0)):
        weights.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.values.keys() == {"w"}  # what counts has no mean
    assert average.values["w"].item() == pytest.approx(expected)


def test_the_averages_stand_in_for_the_weights_for_a_while():
    weights = torch.tensor([1.0])
    average = Average({"w": weights}, 0.9, {"w": torch.tensor([5.0])})
    with average.in_place():
        assert weights.item() == 5
    assert weights.item() == 1 and average.values["w"].item() == 5


def test_without_a_decay_there_is_none():
    average = Average({"w": torch.ones(2)}, 0.0)
    average.update(0)
    assert average.values == {}


def test_the_models_of_a_pack_have_their_own():
    weights, decays = torch.zeros(3, 2), [0.0, 0.9, 0.5]
    average = Average({"w": weights}, decays)
    for step in range(20):
        weights.copy_(torch.randn(3, 2))
        average.update(torch.tensor(float(step)))
    assert torch.equal(average.values["w"][0], weights[0])
    again = Average({"w": weights}, decays, average.values)
    assert torch.equal(again.values["w"], average.values["w"])


@pytest.mark.parametrize("decay", [0.998, 0.9999, 0.99999999])
def test_a_pack_takes_the_share_of_the_loop_also_where_it_is_small(decay):
    """1 - 0.9999 in float32 has four digits, and 1 - 0.99999999 is 0."""
    alone, packed = (torch.zeros(shape) for shape in (2, (1, 2)))
    one, of_pack = Average({"w": alone}, decay), Average({"w": packed}, [decay])
    alone += 1
    packed += 1
    one.update(10**12)
    of_pack.update(torch.tensor(1e12))
    assert of_pack.values["w"][0].tolist() == one.values["w"].tolist()
    assert one.values["w"].tolist() == pytest.approx([1 - decay] * 2)


def test_a_run_is_evaluated_by_the_average_and_trained_as_without(tmp_path):
    """On the networks after each step, which the average follows from."""
    plain, ema = Config(epochs=2), Config(epochs=2, ema=0.8)
    devices.prepare(torch.device("cpu"), plain, 1)  # as many threads as below
    training = loop.Training(plain, torch.device("cpu"))
    own = {n: t for n, t in training.network.state_dict().items() if t.is_floating_point()}
    expected, steps, step = {n: t.clone() for n, t in own.items()}, 0, training.optimizer.step

    def followed(*inputs):
        nonlocal steps
        step(*inputs)
        decay = min(0.8, (1 + steps) / (10 + steps))
        for name, value in expected.items():
            value.mul_(decay).add_(own[name], alpha=1 - decay)
        steps += 1

    training.optimizer.step = followed
    rows = [training.epoch(Callback()) for _ in range(2)]
    run = loop.train(ema, tmp_path)
    kept = torch.load(run.path / "weights.pt", weights_only=True)
    for name, value in expected.items():
        torch.testing.assert_close(kept[name], value)
    trained = ("train/loss", "train/accuracy", "lr")
    for row, other in zip(without_times(run.history), rows, strict=True):
        assert [row[name] for name in trained] == [other[name] for name in trained]
    assert run.history[1]["test/loss"] != pytest.approx(rows[1]["test/loss"], rel=1e-3)
    training.network.load_state_dict(kept)
    logits = training.predict(training.dataset.test.images)
    wrong = (logits.argmax(1).numpy() != training.dataset.test.labels).nonzero()[0]
    assert sorted(run.misclassified().index) == wrong.tolist()
    assert run.config.identity != dataclasses.replace(run.config, ema=0.0).identity
