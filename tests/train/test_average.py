"""The mean of the last epochs' weights."""

import dataclasses

import pytest
import torch

from study.config import Config
from study.train import loop
from study.train.average import Average
from tests.conftest import without_times


def state(value: float, seen: int) -> dict[str, torch.Tensor]:
    return {
        "weight": torch.full((3, 2), float(value)),
        "num_batches_tracked": torch.full((3,), seen),
    }


def test_the_mean_is_of_the_last_epochs_and_counts_are_the_newest():
    average = Average(2)
    for epoch in (1, 2, 4):
        average.add(state(epoch, epoch))
    mean = average.mean()
    assert torch.equal(mean["weight"], torch.full((3, 2), 3.0))
    assert torch.equal(mean["num_batches_tracked"], torch.full((3,), 4))
    assert [each["weight"][0, 0].item() for each in average.past] == [2.0]
    again = Average(2, [*average.past, average.newest])
    assert torch.equal(again.mean()["weight"], mean["weight"])


def test_what_training_changes_later_is_not_in_it():
    average, weights = Average(2), state(1.0, 1)
    average.add(weights)
    weights["weight"].zero_()
    assert average.newest["weight"].sum() == 6


def test_some_models_of_a_pack_go_on():
    average = Average(2)
    for epoch in (1.0, 2.0):
        average.add({"weight": torch.tensor([[epoch], [10 * epoch]])})
    average.select([1])
    assert average.mean()["weight"].tolist() == [[15.0]]
    average.add({"weight": torch.tensor([[40.0]])})
    assert average.mean()["weight"].tolist() == [[30.0]]


def test_a_run_is_evaluated_by_the_mean_and_trained_as_without(tmp_path):
    config = Config(epochs=2)
    runs = {
        (epochs, average): loop.train(
            dataclasses.replace(config, epochs=epochs, average_epochs=average),
            tmp_path / f"{epochs}-{average}",
        )
        for epochs, average in ((1, 1), (2, 1), (2, 2))
    }
    kept = {
        key: torch.load(run.path / "weights.pt", weights_only=True) for key, run in runs.items()
    }
    for name, mean in kept[2, 2].items():
        if mean.is_floating_point():
            assert torch.allclose(mean, (kept[1, 1][name] + kept[2, 1][name]) / 2)
    plain, averaged = (without_times(runs[2, each].history) for each in (1, 2))
    assert averaged[0] == plain[0]  # of one epoch
    trained = ("train/loss", "train/accuracy", "lr")
    assert [averaged[1][name] for name in trained] == [plain[1][name] for name in trained]
    assert averaged[1]["test/loss"] != pytest.approx(plain[1]["test/loss"], rel=1e-3)
    network = loop.initialized(runs[2, 2].config)
    network.load_state_dict(kept[2, 2])
    training = loop.Training(runs[2, 2].config, torch.device("cpu"))
    training.network = network
    training.average.add(network.state_dict())
    logits = training.predict(training.dataset.test.images)
    wrong = (logits.argmax(1).numpy() != training.dataset.test.labels).nonzero()[0]
    assert sorted(runs[2, 2].misclassified().index) == wrong.tolist()
