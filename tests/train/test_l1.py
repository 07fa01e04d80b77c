"""Two findings that the published studies missed: an L1 lambda means nothing without its reduction,
and a loss taken through argmax has no gradient."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from study.config import Config
from study.train import data, l1, loop, networks


@pytest.mark.parametrize(
    ("network", "equal"),
    [
        ("mnist_7684", 2.86e-6),
        ("mnist_8008", 3.12e-6),
        ("mnist_9680", 1.65e-6),
        ("mnist_9802", 1.84e-6),
        ("cifar_48178", 0.79e-6),
    ],
)
def test_a_mean_of_1e_3_is_a_sum_of_a_few_1e_6(network, equal):
    dataset = "cifar10" if network.startswith("cifar") else "mnist"
    mean = Config(dataset=dataset, network=network, l1=1e-3, l1_reduction="mean")
    assert l1.equivalent(mean) == pytest.approx(equal, rel=0.01)
    other = dataclasses.replace(mean, l1=l1.equivalent(mean), l1_reduction="sum")
    assert l1.equivalent(other) == pytest.approx(1e-3)

    def pull(config):
        """The L1 term's gradient as training applies it, |.| summed over all weights."""
        weights = list(networks.build(config).parameters())
        return sum(s * w.numel() for s, w in zip(l1.scales(config, weights), weights))

    assert pull(mean) == pytest.approx(pull(other))


def test_the_equivalence_in_a_sentence():
    config = Config(dataset="mnist", network="mnist_9680", l1=1e-3, l1_reduction="mean")
    assert l1.describe_equivalence(config) == (
        "L1 0.001 (mean) pulls as much in all at the weights of mnist_9680 as 1.7e-6 (sum) would"
    )
    drawn = dataclasses.replace(config, l1=0.00098765432)
    assert l1.describe_equivalence(drawn).startswith("L1 0.0009877 (mean) pulls")


def test_one_lambda_is_harmless_as_a_mean_and_ruinous_as_a_sum(tmp_path):
    settings = {"network": "mnist_9680", "batch_size": 32, "epochs": 3, "l1": 0.01, "seed": 1}
    trained = {
        reduction: loop.train(Config(l1_reduction=reduction, **settings), tmp_path / reduction)
        for reduction in ("mean", "sum")
    }
    scores = {name: run.summary["test_accuracy_last"] for name, run in trained.items()}
    assert scores["mean"] > 90 and scores["sum"] < 70  # 95.8 and 42.5 when written


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    split = data.read("digits")[0]
    return torch.from_numpy(split.images[:128]).float() / 255, torch.from_numpy(split.labels[:128])


def argmax_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The mean squared error between predicted and target class, as one study trained by."""
    return F.mse_loss(logits.argmax(1).float(), target.float())


def test_a_loss_through_argmax_has_no_gradient():
    network = networks.build(Config(network="mnist_8008"))
    images, target = batch()
    loss = argmax_loss(network(images), target)
    assert loss > 0 and not loss.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        loss.backward()


def test_with_l1_beside_it_only_l1_trains():
    """All gradient is the L1 term's; the images play no part, and the weights only shrink."""
    torch.manual_seed(0)
    network = networks.build(Config(network="mnist_8008"))
    images, target = batch()
    weights = list(network.parameters())
    initial = [w.detach().clone() for w in weights]
    for _ in range(20):
        loss = argmax_loss(network(images), target) + 1e-3 * sum(w.abs().sum() for w in weights)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients):
                torch.testing.assert_close(gradient, 1e-3 * weight.sign())
                weight -= 0.1 * gradient
    moved = 20 * 0.1 * 1e-3
    for weight, old in zip(weights, initial):
        shrunk = old.sign() * (old.abs() - moved)
        large = old.abs() > moved
        torch.testing.assert_close(weight[large], shrunk[large], atol=1e-6, rtol=0)
