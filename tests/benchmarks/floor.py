"""What an epoch of one configuration cannot take less than, by a device's measured ceilings."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from study import datasets
from study.config import Config
from study.train import networks

BATCH = 128


def floor(config: Config, device: torch.device) -> dict[str, float]:
    """FLOP and bytes of training one epoch, the device's ceilings, and the seconds they make.

    Bytes are those of a network run layer by layer: each layer's output written and read once, and
    so its gradient. The rates are those of a large matrix product, on CUDA in TF32, which its
    convolutions use, and of a large copy.
    """
    flop = _flop(config) * datasets.spec(config.dataset).train_images
    moved = 2 * networks.parameter_table(config)["activations_mb"] * networks.MEGABYTE
    moved *= datasets.spec(config.dataset).train_images
    flops, speed = _flop_rate(device), _copy_rate(device)
    return {
        "flop": flop, "flop_per_second": flops, "bytes": moved, "bytes_per_second": speed,
        "seconds": max(flop / flops, moved / speed),
    }  # fmt: skip


def _flop(config: Config) -> float:
    """Of an image, forward and back; a multiplication and an addition are two."""
    network = networks.build(config)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(BATCH, *datasets.spec(config.dataset).shape)).sum().backward()
    return counter.get_total_flops() / BATCH


def _flop_rate(device: torch.device, size: int = 4096) -> float:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        a = torch.rand(size, size, device=device)
        return 2 * size**3 / fastest(lambda: a @ a, device)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _copy_rate(device: torch.device, count: int = 64_000_000) -> float:
    source = torch.rand(count, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), device)


def fastest(work: Callable[[], Any], device: torch.device, repeats: int = 5) -> float:
    """Seconds of the fastest of some repeats."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)
