"""A pack's models see the images of the reference loop, each in the order of its own seed."""

import numpy as np
import pytest
import torch

from study.config import Config
from study.train import bank, data, seeds
from study.train.batches import Batches


def check(batches: Batches, configs: list[Config]) -> None:
    """Compare two epochs of each model with what loop.py takes."""
    for epoch in (1, 2):
        order, copies = batches.of_epoch(epoch)
        seen = batches.images(order, copies)
        for model, config in enumerate(configs):
            expected = bank.epoch_images(config, batches.dataset, epoch)
            drawn = seeds.generator(config.seed, seeds.ORDER, epoch)
            due = torch.randperm(len(expected), generator=drawn)
            assert torch.equal(order[:, model], due)
            np.testing.assert_array_equal(seen[:, model], expected[due])
            assert torch.equal(
                batches.labels[due], torch.from_numpy(batches.dataset.train.labels[due])
            )


@pytest.mark.parametrize("policy", ["none", "rotate7"])
def test_each_model_sees_the_images_of_its_seed(policy):
    configs = [
        Config(dataset="digits", augment=policy, epochs=2, holdout=100, seed=seed, lr=lr)
        for seed, lr in [(3, 0.1), (1, 0.1), (3, 0.2)]
    ]
    bank.prepare(configs[0])
    batches = Batches(configs, data.load(configs[0]), torch.device("cpu"))
    check(batches, configs)
    batches.select(configs[1:2])
    check(batches, configs[1:2])
