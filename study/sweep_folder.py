"""The runs in the folder of a sweep, runs/<sweep>."""

from collections.abc import Callable
from pathlib import Path

from study import runs
from study.errors import UnknownSettingError, UsageError
from study.runs import Run

MOST_NAMED = 10  # folders in a message


def find(folder: str | Path) -> list[Run]:
    """Read the runs of a sweep's folder, sorted by name.

    Raises:
        UsageError: there is no such folder, no run in it, or one that cannot be read.
    """
    found, unread = _read_each(Path(folder), runs.read)
    for error in unread.values():
        raise error
    return found


def find_readable(
    folder: str | Path, read: Callable[[Path], Run] = runs.read
) -> tuple[list[Run], dict[str, str]]:
    """Read the runs of a sweep's folder that can be read, sorted by name; of the others return the
    folder's name and why they cannot.

    read: reads a run's folder, or remembers it.

    Raises:
        UsageError: there is no such folder, or no run in it.
    """
    found, unread = _read_each(Path(folder), read)
    return found, {
        run: error.why if isinstance(error, UnknownSettingError) else str(error)
        for run, error in unread.items()
    }


def _read_each(
    folder: Path, read: Callable[[Path], Run]
) -> tuple[list[Run], dict[str, UsageError]]:
    """Read the runs of a sweep's folder; see find_readable."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: {_describe_no_folder(folder)}")
    found: list[Run] = []
    unread: dict[str, UsageError] = {}
    for path in find_folders(folder):
        try:
            found.append(read(path))
        except UsageError as error:
            unread[path.name] = error
    if not found and not unread:
        raise UsageError(f"{folder}: {_describe_no_sweep(folder)}")
    return found, unread


def find_folders(folder: Path) -> list[Path]:
    """Return the folders of runs in that of a sweep, whole or not, sorted by name; none where there
    is no such folder."""
    return [p for p in runs.folders(folder) if runs.holds_run(p) or (p / runs.CHECKPOINT).is_file()]


def _describe_no_folder(path: Path) -> str:
    """Say what stands where the folder of a sweep should, and what to give in its place."""
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        sweep = f"`study sweep {path}` trains it, and its runs are then in runs/{path.stem}"
        return f"is a sweep file; give the folder of its runs ({sweep})"
    return "no such folder; give the folder of a sweep, such as runs/NAME"


def _describe_no_sweep(path: Path) -> str:
    """Say what a folder is that has no run in it, and what to give in its place."""
    if runs.holds_run(path):
        return "is a run itself; give the folder of a sweep, such as runs/NAME"
    sweeps = [
        str(each) for each in runs.folders(path) if any(map(runs.holds_run, runs.folders(each)))
    ]
    if not sweeps:
        holds = f"which holds a {runs.CONFIG}"
        return f"no run in it ({holds}); give the folder of a sweep, such as runs/NAME"
    more = f" and {len(sweeps) - MOST_NAMED} more" if len(sweeps) > MOST_NAMED else ""
    return f"holds sweeps; give one or some of them: {', '.join(sweeps[:MOST_NAMED])}{more}"
