"""A pack's step on the device at hand: milliseconds, memory, seconds an epoch and model.

    python -m tests.benchmarks.steps --models 1 8 32 128 --out steps.json

Images are random, in a data set of the network's own shape, since a step's time does not depend on
them. Compiling and recording come before what is timed, and are printed apart. Seconds an epoch and
model: the training set's steps, one evaluation of the test images and one copy of all states to the
host, over the number of models.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from study.architectures import ARCHITECTURES
from study.config import Config
from study.train import cpu_kernels, devices
from study.train.pack import Pack
from tests.benchmarks.floor import fastest

BATCH = 128
TRAINED = {28: 60_000, 32: 50_000}  # images of an epoch of MNIST and of CIFAR-10
TESTED = 10_000
REPEATS = 2


def main(
    networks: tuple[str, ...] = ("mnist_7684", "cifar_48178"),
    norms: tuple[str, ...] = ("batch", "layer", "group"),
    precisions: tuple[str, ...] = ("float32", "bfloat16"),
    models: tuple[int, ...] = (1, 8, 32, 128),
    steps: int = 20,
    warps: int | None = None,
    stages: int | None = None,
    device: str | None = None,
    out: Path | None = None,
) -> None:
    """Print a line for each network, norm, precision and number of models.

    Args:
        networks: networks of ours.
        norms: the norms.
        precisions: of the arithmetic.
        models: how many are trained at once.
        steps: whole batches that are timed.
        warps: of a program of the Triton convolutions, in place of what is set.
        stages: of their loops.
        device: a name such as cuda or cpu; the best there is.
        out: a JSON file for the figures.
    """
    picked = devices.pick(device)
    tried = _set_kernels(warps, stages)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["STUDY_DATA"] = folder
        for network in networks:
            _write_images(network, Path(folder), steps)
            for precision in precisions:
                for norm in norms:
                    for count in models:
                        row = measure(network, norm, precision, count, picked) | tried
                        rows.append(row)
                        print(line(row), flush=True)
                        if out:  # after each row: what is cut off has measured something
                            _write(out, picked, rows)


def _set_kernels(warps: int | None, stages: int | None) -> dict[str, int]:
    """Set what the Triton convolutions are launched with, where it is given; return that."""
    given = {"WARPS": warps, "STAGES": stages}
    tried = {name: value for name, value in given.items() if value is not None}
    if tried:
        from study.train.kernels import network  # lazily: Triton may be missing

        for name, value in tried.items():
            setattr(network, name, value)
    return {name.lower(): value for name, value in tried.items()}


def _write(out: Path, device: torch.device, rows: list[dict[str, Any]]) -> None:
    found = {"device": devices.name(device), "torch": torch.__version__, "rows": rows}
    out.write_text(json.dumps(found, indent=1) + "\n")


def _write_images(network: str, folder: Path, steps: int) -> None:
    """Write NAME.npz of random images for `own:NAME`: as many as the timed steps take."""
    architecture, random = ARCHITECTURES[network], np.random.default_rng(0)
    content = {}
    for part, count in {"train": steps * BATCH, "test": TESTED}.items():
        shape = (count, architecture.size, architecture.size, architecture.channels)
        content[f"{part}_images"] = random.integers(0, 256, shape, np.uint8)
        content[f"{part}_labels"] = np.arange(count) % architecture.classes
    np.savez(folder / f"{network}.npz", **content)


def measure(
    network: str, norm: str, precision: str, count: int, device: torch.device
) -> dict[str, Any]:
    """Time one pack. GPU memory is its peak in MB, None on a CPU."""
    configs = [
        Config(
            dataset=f"own:{network}", network=network, norm=norm, precision=precision, seed=seed,
            dropout=0.029, l1=2.5e-5, batch_size=BATCH,
        )
        for seed in range(count)
    ]  # fmt: skip
    row: dict[str, Any] = {
        "network": network, "norm": norm, "precision": precision, "models": count,
    }  # fmt: skip
    began = time.perf_counter()
    devices.prepare(device, configs[0], threads=1)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    pack = Pack(configs, [None] * count, device)
    pack.epoch(1, [])  # compiles, records and warms up
    row["first_epoch_s"] = time.perf_counter() - began
    steps = pack.steps
    row["ms_step"] = fastest(lambda: pack._train(2, []), device, REPEATS) * 1000 / steps
    row["evaluation_s"] = fastest(lambda: pack.predict(pack.dataset.test.images), device, REPEATS)
    row["states_s"] = fastest(lambda: pack.state(), device, REPEATS)
    side = ARCHITECTURES[network].size
    training = row["ms_step"] / 1000 * TRAINED[side] / BATCH
    row["epoch_s_model"] = (training + row["evaluation_s"] + row["states_s"]) / count
    row["kernels"] = "triton" if pack.kernels else cpu_kernels.name(device)
    row["gpu_mb"] = None
    if device.type == "cuda":
        row["gpu_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    return row


def line(row: dict[str, Any]) -> str:
    memory = f", {row['gpu_mb']:,.0f} MB" if row["gpu_mb"] else ""
    return (
        f"{row['network']} {row['norm']} {row['precision']} K = {row['models']} ({row['kernels']}):"
        f" {row['ms_step']:.3f} ms a step, {row['epoch_s_model']:.4f} s an epoch and model"
        f" (evaluation {row['evaluation_s']:.3f} s, states {row['states_s']:.3f} s){memory};"
        f" first epoch {row['first_epoch_s']:.1f} s"
    )


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
