"""Which configurations one pack trains, and how many at once."""

import math

import torch

from study.architectures import ARCHITECTURES
from study.config import SHARED, Config
from study.train import bank, data, devices, networks
from study.train.pack import Pack

PACK_SIZE = 64  # runs of a pack by default: from 32 on each takes as long
MEMORY_SHARE = 0.8  # of the free memory that a pack may take
ROOMY = 4  # times what a pack is estimated to take: where so much is free nothing is measured
PROBES = (4, 8)  # models of the packs that are measured


def bucket(config: Config) -> tuple | None:
    """Return what configurations of one pack have in common; None where the loop must train it
    (timm's backbones)."""
    if config.network not in ARCHITECTURES:
        return None
    return tuple(getattr(config, name) for name in SHARED)


def by_pack(config: Config, device: torch.device) -> bool:
    """Whether a single run is trained as a pack of one: on CUDA, where a pack records its step and
    replays it; elsewhere the loop does less for one."""
    return device.type == "cuda" and bucket(config) is not None


def default_size(config: Config, device: str) -> int:
    """Return how many configurations like this a pack has where nobody says; on a CPU 1, where
    processes side by side are faster than a pack."""
    return PACK_SIZE if by_pack(config, torch.device(device)) else 1


def count_packs(config: Config, models: int, device: torch.device, share: int) -> int:
    """Return how many packs so many models of a bucket make, as the device's memory holds them.

    share: how many processes train on the device: each may take an even share.
    """
    most = models
    if device.type == "cuda" and models > PROBES[1]:
        free, total = torch.cuda.mem_get_info(device)
        budget = min(free, total / share) * MEMORY_SHARE
        if _roughly(config, models) * ROOMY > budget:
            most = min(models, _measured_capacity(config, budget, device))
    return math.ceil(models / most)


def capacity(free: float, sizes: tuple[int, int], taken: tuple[int, int]) -> int:
    """Return how many models fit free memory, given the bytes that packs of two sizes took.

    What a pack takes is a share that does not depend on its models, and as much again for each.
    """
    (small, large), (less, more) = sizes, taken
    each = max(1, more - less) / (large - small)
    return max(1, math.floor((free - less) / each) + small)


def _roughly(config: Config, models: int) -> float:
    """Estimate the bytes that a pack takes: the outputs of all layers and their gradients, and the
    images."""
    width = 2 if config.precision == "float64" else 1
    activations = networks.parameter_table(config)["activations_mb"] * networks.MEGABYTE
    images = data.load(config).train.images.nbytes * bank.count_copies(config)
    return models * config.batch_size * activations * width + images


def _measured_capacity(config: Config, budget: float, device: torch.device) -> int:
    """Return how many models fit a budget of bytes, by what small packs take."""
    try:
        less, more = (_measure(config, size, device) for size in PROBES)
    except RuntimeError as error:
        if not devices.lacks_memory(error):
            raise
        return PROBES[1]  # and the pack is halved as often as need be
    return capacity(budget, PROBES, (less, more))


def _measure(config: Config, models: int, device: torch.device) -> int:
    """Return the bytes of a GPU that a pack reserves for a step and an evaluation."""
    torch.cuda.empty_cache()
    devices.reset_peak_memory(device)
    before = torch.cuda.memory_reserved(device)
    Pack([config] * models, [None] * models, device).try_out()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_reserved(device) - before
