"""Which configurations are one pack, and how many of them a device holds at once."""

import dataclasses

import pytest
import torch

from study.config import Config
from study.train import packing


def test_packs_are_of_one_bucket():
    one = Config(norm="group", groups=5)
    assert packing.bucket(one) == packing.bucket(
        dataclasses.replace(one, seed=3, lr=0.1, dropout=0.1)
    )
    assert packing.bucket(one) != packing.bucket(dataclasses.replace(one, groups=2))
    assert packing.bucket(Config(network="resnet18")) is None


def test_a_single_run_is_a_pack_of_one_on_cuda_alone():
    cuda, cpu = torch.device("cuda", 1), torch.device("cpu")
    assert packing.by_pack(Config(), cuda) and not packing.by_pack(Config(), cpu)
    assert not packing.by_pack(Config(network="resnet18"), cuda)


def test_on_a_cpu_a_sweep_packs_nothing_by_itself():
    assert packing.default_size(Config(), "cpu") == 1
    assert packing.default_size(Config(), "cuda:1") > 30
    assert packing.default_size(Config(network="resnet18"), "cuda") == 1


def test_what_fits_follows_from_what_two_small_packs_took():
    """A share of 5, and 2 for each model."""
    assert packing.capacity(100, (4, 8), (13, 21)) == 47
    assert packing.capacity(4, (4, 8), (13, 21)) == 1
    assert packing.capacity(100, (4, 8), (13, 13)) > 47  # nothing grows: no division by 0


@pytest.mark.parametrize(("free", "share", "packs"), [(2**50, 1, 1), (90, 1, 3), (90, 3, 9)])
def test_packs_are_as_large_as_a_share_of_the_device_holds(monkeypatch, free, share, packs):
    """Measured only where memory may be short; what others use, and their share, is not ours."""
    gpu, measured = torch.device("cuda"), []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, max(free, 99)))

    def measure(config, models, device):
        measured.append(models)
        return 10 + 15 * models

    monkeypatch.setattr(packing, "_measure", measure)
    config = Config(dataset="digits")
    assert packing.count_packs(config, 9, gpu, share) == packs
    assert measured == ([] if free == 2**50 else [4, 8])
    assert packing.count_packs(config, 9, torch.device("cpu"), 1) == 1
