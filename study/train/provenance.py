"""Where a run's numbers come from: the commit and the versions of what computed them."""

import contextlib
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

PACKAGES = ("norm-study", "torch", "torchvision", "timm", "albumentations", "numpy", "wandb")


@functools.cache
def git_commit() -> str | None:
    """The commit that this package runs from (`+` behind it: with changes); None outside git."""
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


def versions() -> dict[str, str]:
    """Python's version and those of the packages that a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
