"""The optimizers are torch's, by the loop and in a pack, and where a run goes on from a checkpoint.

Equal to 1e-10 in float64 on any processor: images and weights have no ties (tests/untied.py).
"""

import pytest
import torch
from torch.nn import functional as F

from study import runs
from study.config import FIELDS, Config
from study.train import loop, pack_runs, schedule, seeds
from study.train.callback import Callback
from study.train.optimizer import OPTIMIZERS
from tests.conftest import CutOff
from tests.golden import losses

# What models of one pack differ in, and torch's optimizer for each.
MODELS = {
    "adamw": (
        {"lr": 1e-3, "seed": 1},
        {"lr": 1e-2, "weight_decay": 0.1, "l1": 1e-3, "schedule": "cosine", "seed": 1},
        {"lr": 3e-3, "weight_decay": 0.5, "l1": 1e-2, "l1_reduction": "mean", "seed": 2},
    ),
    "sgd": (
        {"lr": 0.02, "momentum": 0.0, "seed": 1},
        {"lr": 0.01, "weight_decay": 1e-2, "l1": 1e-4, "schedule": "cosine", "seed": 1},
        {"lr": 0.02, "weight_decay": 1e-3, "nesterov": True, "momentum": 0.8, "seed": 2},
    ),
}


@pytest.fixture(autouse=True)
def as_golden():
    images, steps = losses.as_golden()
    with images, steps:
        yield


def configs(optimizer: str) -> list[Config]:
    """Four epochs of five steps each."""
    common = {"optimizer": optimizer, "norm": "group", "epochs": 4, "batch_size": losses.BATCH}
    common["precision"] = "float64"
    return [Config(**common, **model) for model in MODELS[optimizer]]


def by_torch(config: Config) -> dict[str, torch.Tensor]:
    """The weights after a run by torch's optimizer, the L1 term part of the loss."""
    network, dataset = loop.initialized(config).double(), losses.dataset(config)
    weights = list(network.parameters())
    if config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(weights, weight_decay=config.weight_decay)
    else:
        optimizer = torch.optim.SGD(
            weights,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
    images, labels = torch.from_numpy(dataset.train.images), torch.from_numpy(dataset.train.labels)
    images = (images.double() / 255 - dataset.spec.mean[0]) / dataset.spec.std[0]
    step, steps = 0, 5
    for epoch in range(1, config.epochs + 1):
        order = torch.randperm(
            len(images), generator=seeds.generator(config.seed, seeds.ORDER, epoch)
        )
        for batch in order.split(config.batch_size):
            optimizer.param_groups[0]["lr"] = schedule.learning_rate(config, step, steps)
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            pull = torch.Tensor.sum if config.l1_reduction == "sum" else torch.Tensor.mean
            loss = loss + config.l1 * sum(pull(w.abs()) for w in weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    assert step == 20
    return network.state_dict()


def assert_same_weights(run: runs.Run, expected: dict[str, torch.Tensor]) -> None:
    found = torch.load(run.path / runs.WEIGHTS, weights_only=True)
    torch.testing.assert_close(found, dict(expected), rtol=0, atol=1e-10)


def test_every_choice_has_an_optimizer():
    assert tuple(OPTIMIZERS) == FIELDS["optimizer"].choices
    assert set(OPTIMIZERS) == set(MODELS), "each is compared with torch's below"


@pytest.mark.parametrize("optimizer", MODELS)
def test_twenty_steps_are_torchs_by_the_loop_and_in_a_pack(optimizer, tmp_path):
    models = configs(optimizer)
    folders = [tmp_path / "pack" / str(k) for k in range(len(models))]
    packed = pack_runs.train(models, folders)
    for config, run in zip(models, packed, strict=True):
        expected = by_torch(config)
        assert_same_weights(run, expected)
        assert_same_weights(loop.train(config, tmp_path / "loop" / run.path.name), expected)


@pytest.mark.parametrize("optimizer", MODELS)
def test_a_run_goes_on_in_a_pack_and_a_packs_run_in_the_loop(optimizer, tmp_path):
    models = configs(optimizer)
    folders = [tmp_path / str(k) for k in range(len(models))]
    for config, folder in zip(models[:2], folders):
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, folder, callback=CutOff(1))
    with pytest.raises(KeyboardInterrupt):
        pack_runs.train(models[:2], folders[:2], callbacks=[Callback(), CutOff(3)])
    with pytest.raises(KeyboardInterrupt):
        pack_runs.train(models[2:], folders[2:], callbacks=[CutOff(2)])
    for config, folder in zip(models, folders):
        assert_same_weights(loop.train(config, folder), by_torch(config))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("optimizer", MODELS)
def test_so_they_are_on_a_gpu(optimizer, tmp_path):
    """There a pack's steps are replayed from a CUDA graph."""
    models = configs(optimizer)
    folders = [tmp_path / "pack" / str(k) for k in range(len(models))]
    for config, run in zip(models, pack_runs.train(models, folders, device="cuda")):
        assert_same_weights(run, by_torch(config))
        folder = tmp_path / "loop" / run.path.name
        assert_same_weights(loop.train(config, folder, device="cuda"), by_torch(config))
