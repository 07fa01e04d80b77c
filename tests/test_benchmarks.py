"""What the training benchmark says of what it measured."""

import pytest

from study.config import Config
from tests.benchmarks import train


def test_the_table_gives_medians_rates_and_ratios_by_repeat():
    plan = train.Plan("mnist", "mnist_7684", seeds=2, epochs=3, augment="none")
    plain = train.Way("plain", seconds=[400.0, 440.0, 410.0], peak_mb=[700.0] * 3)
    ours = train.Way("workers", seconds=[100.0, 88.0, 102.5], peak_mb=[1600.0] * 3, watts=[300.0])
    *_, row = train.table([plain, ours], plan, {"seconds": 2.0}).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        "workers", "100.0", "216", "10800", "4.00 (4.00 to 5.00)", "2.8", "1600", "300",
    ]  # fmt: skip


def test_the_plan_is_one_sweep_of_each_norm_with_each_seed():
    plan = train.Plan("cifar10", "cifar_48178", seeds=2, epochs=1, augment="none")
    assert plan.count == 6
    assert plan.config() == Config(
        dataset="cifar10", network="cifar_48178", norm="batch", seed=1, epochs=1, dropout=0.029,
        l1=2.5e-5, lr=0.05, batch_size=128,
    )  # fmt: skip


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_plain_agents_network_is_ours_but_for_its_dropout(norm):
    plain = pytest.importorskip("tests.benchmarks.plain")
    from study.train import networks

    settings = {"network": "mnist_7684", "norm": norm, "groups": 5, "dropout": 0.05}
    theirs = plain.build(settings)
    ours = networks.build(Config.drawn(settings))
    assert theirs.state_dict().keys() == ours.state_dict().keys()
    kinds = [type(module).__module__ for module in theirs.modules()]
    assert "study.train.dropout" not in kinds and "torch.nn.modules.dropout" in kinds
