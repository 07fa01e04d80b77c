"""What a run's folder says of its W&B run: marks, small files in the folder's `wandb`."""

import contextlib
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from study import files, runs
from study.errors import DamagedError, UsageError
from study.runs import Run

Mode = Literal["offline", "online"]  # beside the run folder, or on a server
# The W&B run is complete, written offline or logged to a server. They hold the W&B run's path.
MARKS = {"offline": ".recorded", "online": ".logged"}
OPENED = runs.OPENED  # the path and the sweep of a W&B run that was opened on a server


def mark_opened(wandb_run: Any, folder: Path, sweep: str = "") -> None:
    """Mark a run's folder: its W&B run is on a server, of this sweep, and perhaps not complete."""
    opened = {"path": str(wandb_run.path), "sweep": sweep}
    files.write_json(folder / runs.WANDB / OPENED, opened)


def opened(folder: Path) -> tuple[str, str]:
    """Return ENTITY/PROJECT/ID and sweep of the W&B run that was opened on a server for a run's
    folder; both are "" where none was, the sweep also where it has none.

    Raises:
        UsageError: the mark is damaged.
    """
    mark = folder / runs.WANDB / OPENED
    try:
        content = files.read_json(mark) if mark.is_file() else {}
        return str(content.get("path", "")), str(content.get("sweep", ""))
    except (AttributeError, DamagedError) as error:
        raise UsageError(f"{mark}: is damaged; delete it") from error


def time_opened(folder: Path) -> float:
    """Return when a run's W&B run was last opened, in seconds since 1970."""
    return (folder / runs.WANDB / OPENED).stat().st_mtime


def is_recorded(folder: Path, mode: str = "offline") -> bool:
    """Whether the W&B run of a run's folder is complete, in mode offline or online.

    A run that is online needs no W&B run offline.
    """
    marks = MARKS.values() if mode == "offline" else [MARKS[mode]]
    return any((folder / runs.WANDB / name).is_file() for name in marks)


def mark_recorded(path: str, folder: Path, mode: str = "online") -> None:
    """Mark a run's folder: its W&B run, which has this path, is complete."""
    files.write_text(folder / runs.WANDB / MARKS[mode], path)


def address(run: Run) -> str:
    """Return ENTITY/PROJECT/ID of a run's W&B run, PROJECT/ID of one written offline, or "". What
    is damaged says nothing."""
    url = urlsplit(str(run.summary.get("url") or "")).path.replace("/runs/", "/").strip("/")
    named = unquote(url)
    with contextlib.suppress(UsageError):
        named = named or opened(run.path)[0]
    return _recorded(run.path, "online") or named or _recorded(run.path, "offline")


def _recorded(folder: Path, mode: str) -> str:
    """Return what a mark of a complete W&B run holds, its path; "" without one."""
    mark = folder / runs.WANDB / MARKS[mode]
    return mark.read_text(encoding="utf-8", errors="replace") if mark.is_file() else ""


def wandb_id(run: Run) -> str:
    """Return the id of a run's W&B run, or "" where its folder does not have it."""
    return address(run).rpartition("/")[2]
