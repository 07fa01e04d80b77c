"""`study check`: whether this machine can train; a line for each part, and the remedy."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

from study import datasets, files, output
from study.config import FIELDS
from study.errors import Faults, RunError, UsageError
from study.sweep import spec
from study.tracking import client
from study.train import data, devices, networks

LEAST_FREE = 2e9  # bytes of disk; with less a sweep on MNIST may fail


def run(sweeps: Iterable[Path], required: Iterable[str], ask_login: bool) -> int:
    """Print what this machine has. Return 0, or 1 if something has to be mended first.

    required: data sets that must be present, as those of the sweep files must; they are downloaded
    if they are missing.

    Raises:
        UsageError: a data set of no such name, or a sweep file in which something is not allowed.
    """
    required = [FIELDS["dataset"].canonical(name) for name in required]
    for file in sweeps:
        required += _sweep(file)
    problems = [
        *_device(),
        *_folders(),
        *_datasets(required),
        *(_login() if ask_login else []),
    ]
    for problem in problems:
        output.show(f"mend first: {problem}")
    return 1 if problems else 0


def _sweep(file: Path) -> list[str]:
    """Check a sweep file and print its size and networks. Return the data sets that it needs."""
    sweep = spec.read(file)
    output.show(f"sweep    {file}: {sweep}")
    faults = Faults()
    totals = faults.attempt(networks.build_each, sweep.configs) or {}
    faults.check(f"{file}: ")
    lines = [
        f"network  {config.describe_network()}: {total:,} parameters"
        + (f" of at most {config.max_parameters:,}" if config.max_parameters else "")
        for config, total in totals.items()
    ]
    for line in dict.fromkeys(lines):  # of GroupNorm one, however many its groups
        output.show(line)
    return [config.dataset for config in sweep.configs]


def _device() -> list[str]:
    device = devices.pick()
    output.show(f"torch    {torch.__version__} on {devices.name(device)}")
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        output.show(f"memory   {free / 1e9:.1f} of {total / 1e9:.1f} GB free on the GPU")
        if free < 1e9:
            return [f"{device} has {free / 1e9:.1f} GB free: end what else uses it (nvidia-smi)"]
    elif hasattr(os, "sysconf"):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        output.show(f"memory   {total / 1e9:.1f} GB")
    return []


def _folders() -> list[str]:
    problems = []
    places = {Path("runs"): "runs", files.agents_folder(): "runs", files.cache_folder(): "cache"}
    for folder, purpose in places.items():
        existing = folder.absolute()
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free
        output.show(f"disk     {free / 1e9:.1f} GB free for {purpose} in {folder}")
        try:
            files.check_writable(existing, folder)
        except UsageError as error:
            problems.append(str(error))
        if free < LEAST_FREE:
            problems.append(f"{folder} has {free / 1e9:.1f} GB free: make room for {purpose}")
    return problems


def _datasets(required: Sequence[str]) -> list[str]:
    problems = []
    for name in dict.fromkeys([*datasets.DATASETS, *required]):
        if name not in required and not data.is_present(name):
            output.show(
                f"data     {name}: not in {files.data_folder()} (downloaded at its first use)"
            )
            continue
        try:
            train, test = data.read(name)
            output.show(
                f"data     {name}: {len(train):,} training and {len(test):,} test images, intact"
            )
        except UsageError as error:
            problems.append(str(error))
    return problems


def _login() -> list[str]:
    try:
        client.check_server()
        output.show(f"W&B      logged in as {client.account()}")
    except (UsageError, RunError) as error:
        return [str(error)]
    return []
