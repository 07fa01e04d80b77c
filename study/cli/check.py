"""`study check`: is this machine fit to train? A line each, and the remedy where it is not."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from study import files
from study.config import TRAIN_IMAGES
from study.errors import RunError, UsageError
from study.tracking import client
from study.train import augment, data, devices

LEAST_FREE = 2e9  # bytes of disk under which a sweep on MNIST may not end


def run(required: Iterable[str], ask_login: bool) -> int:
    """Print what was found; 0 if all is well, 1 if something has to be mended first.

    required: data sets that must be there, downloaded if they are missing.
    """
    problems = [
        *_device(),
        *_folders(),
        *_datasets(set(required)),
        *(_login() if ask_login else []),
    ]
    for problem in problems:
        print(f"mend first: {problem}")
    return 1 if problems else 0


def _device() -> list[str]:
    device = devices.pick()
    print(f"torch    {torch.__version__} on {devices.name(device)}")
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        print(f"memory   {free / 1e9:.1f} of {total / 1e9:.1f} GB free on the GPU")
        if free < 1e9:
            return [f"{device} has {free / 1e9:.1f} GB free: end what else uses it (nvidia-smi)"]
    elif hasattr(os, "sysconf"):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        print(f"memory   {total / 1e9:.1f} GB")
    return []


def _folders() -> list[str]:
    problems = []
    for what, folder in (("runs", Path("runs")), ("cache", augment.root())):
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
        print(f"disk     {free / 1e9:.1f} GB free for {what} in {folder}")
        try:
            files.check_writable(there)
        except UsageError as error:
            problems.append(str(error))
        if free < LEAST_FREE:
            problems.append(f"{folder} has {free / 1e9:.1f} GB free: make room for {what}")
    return problems


def _datasets(required: set[str]) -> list[str]:
    problems = []
    for name in TRAIN_IMAGES:
        if name not in required and not data.there(name):
            print(f"data     {name}: not in {data.root()} (downloaded at its first use)")
            continue
        try:
            train, test = data.read(name)
            print(f"data     {name}: {len(train):,} training and {len(test):,} test images, whole")
        except UsageError as error:
            problems.append(str(error))
    return problems


def _login() -> list[str]:
    try:
        client.check_login()
        client.check_reachable()
        print(f"W&B      logged in as {client.account()}")
    except (UsageError, RunError) as error:
        return [str(error)]
    return []
