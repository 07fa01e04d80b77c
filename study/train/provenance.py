"""Where a run's numbers come from: the device, the way it was trained, the commit, versions."""

import contextlib
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from study.train import augment, cpu_kernels, devices

PACKAGES = ("norm-study", "torch", "torchvision", "timm", "albumentations", "numpy", "wandb")


def collect(
    device: torch.device, *, threads: int, path: str, pack: int, kernels: str = ""
) -> dict[str, Any]:
    """Return the provenance of a run that has just ended, for its summary. Commit and versions are
    those of `look_up`.

    path: loop or pack. pack: the number of runs that trained together. kernels: triton where
    the network of kernels ran, else those of batch norm and dropout (see cpu_kernels).
    """
    return {
        "device": devices.name(device),
        "threads": threads,
        "path": path,
        "pack": pack,
        "kernels": kernels or cpu_kernels.name(device),
        "tf32": devices.tf32(device),
        "peak_memory_mb": devices.peak_memory(device),
        "git_commit": git_commit(),
        "versions": versions(),
    }


def look_up() -> None:
    """Look the commit and the versions up, once a process and its forks, as their code is imported:
    by the end of a run the files may be others."""
    git_commit()
    versions()


@functools.cache
def git_commit() -> str | None:
    """Return the commit of this package (`+` behind it: with changes); None outside git."""
    package = Path(__file__).parent.parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(package), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not git("ls-files", "config.py"):
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@functools.cache
def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that a run's numbers depend on."""
    by_package = {"python": platform.python_version(), "opencv": augment.opencv_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            by_package[package] = importlib.metadata.version(package)
    return by_package
