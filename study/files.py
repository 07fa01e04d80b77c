"""Write files atomically; read and write JSON."""

import contextlib
import errno
import functools
import io
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from study.errors import DamagedError, DiskError, RunError, UsageError

PROBE = ".probe"
DAMAGED = ".damaged"  # ends the name of what was found damaged and set aside
TEMPORARY = ".tmp"  # the end of the name of a file that is being written
TEMPORARY_FOLDER = "study-tmp-"  # the beginning of that of a folder for temporary files
MOVE_AWAY = "move it away and run the command again"  # the remedy for a damaged file
LONGEST_NAME = 150  # bytes of a file's name; file systems take 255, and others add to it


def data_folder() -> Path:
    """Return the folder of the data sets: STUDY_DATA, else `data`."""
    return Path(os.environ.get("STUDY_DATA") or "data")


def cache_folder() -> Path:
    """Return the folder of what is computed once from the data sets: STUDY_CACHE, else `cache`."""
    return Path(os.environ.get("STUDY_CACHE") or "cache")


def agents_folder() -> Path:
    """Return the folder that W&B agents write below: STUDY_RUNS, else `runs`."""
    return Path(os.environ.get("STUDY_RUNS") or "runs")


def file_name(name: str) -> str:
    """Turn any name into a file name: letters, digits, `.`, `-` and `_`, not too long."""
    plain = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore")


def is_file_name(name: Any) -> bool:
    """Whether a name from elsewhere is one of a file in a folder, not a path out of it."""
    return isinstance(name, str) and file_name(name) == name


def write(path: Path, fill: Callable[[io.BytesIO], Any]) -> None:
    """Write a file so that a reader never sees half of it.

    `fill` builds the content in memory, so that a library never meets a full disk halfway. The
    content then goes to a temporary file, which is renamed.

    Raises:
        DiskError: the disk is full or cannot be written; nothing half-written is left.
    """
    content = io.BytesIO()
    fill(content)
    with _replacing(path) as file:
        file.write(content.getbuffer())


def copy(source: Path, path: Path) -> None:
    """Copy a file, however large, so that a reader never sees half of it; see `write`."""
    with _replacing(path) as file, open(source, "rb") as content:
        shutil.copyfileobj(content, file)


@contextlib.contextmanager
def _replacing(path: Path, meant: Path | None = None) -> Iterator[IO[bytes]]:
    """Open a temporary file, which takes the place of `path` once it is whole. meant: what an error
    helps to choose another place for, else `path`."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".", suffix=TEMPORARY, delete=False
        ) as file:
            temporary = Path(file.name)
            yield file
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise DiskError(write_error(path, error, meant)) from error
    finally:
        if temporary:  # still there only if something went wrong
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, halves of letters as `?`; see `write`."""
    write(path, lambda file: file.write(text.encode(errors="replace")))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; see `write`."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a file with one JSON object a line; see `write`."""
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Append a JSON object to a file that is there, with one a line: by one write, so that a reader
    never sees half of it, and far quicker than writing a long file again.

    Raises:
        DiskError: the disk is full or cannot be written, and the file is as before.
        RunError: the file is gone.
    """
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    try:
        with open(path, "r+b", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            if file.write(line) < len(line):  # the disk took a part
                file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: is gone, deleted or moved by another program: run the command again"
        ) from error
    except OSError as error:
        raise DiskError(write_error(path, error)) from error


def link(path: Path, target: Path) -> None:
    """Make a symbolic link, in place of the file that is there.

    Raises:
        DiskError: the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(target, path.parent))
        os.replace(temporary, path)
    except OSError as error:
        raise DiskError(write_error(path, error)) from error


def place_aside(path: Path, ending: str = DAMAGED) -> Path:
    """Return an unused name beside a file or folder, under which readers ignore it: its own with
    an ending, which a number follows where that is taken: NAME.damaged-2."""
    numbers = itertools.chain([""], (f"-{copy}" for copy in itertools.count(2)))
    places = (path.with_name(f"{path.name}{ending}{number}") for number in numbers)
    return next(place for place in places if not place.exists())


def move(path: Path, target: Path) -> None:
    """Move a file or a folder to another place on the same disk, whose folder is made.

    Raises:
        DiskError: the disk does not take it.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    except OSError as error:
        raise DiskError(write_error(target, error)) from error


def set_aside(path: Path, ending: str = DAMAGED) -> Path:
    """Rename a file or a folder so that readers ignore it; return its new path (see place_aside).

    Raises:
        DiskError: the disk does not take it.
    """
    aside = place_aside(path, ending)
    move(path, aside)
    return aside


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for temporary files, and remove it.

    Raises:
        RunError: there is no place for it.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=TEMPORARY_FOLDER)
    except OSError as error:
        raise RunError(
            f"no folder for temporary files can be made ({error.strerror or error}): make room or"
            " choose another folder with TMPDIR"
        ) from error
    with made:
        yield Path(made.name)


def write_error(path: Path, error: OSError, meant: Path | None = None) -> str:
    """Return the message for a path that cannot be written. meant: what it helps to choose another
    place for, else the path."""
    reason = error.strerror or str(error)
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(path.parent).free / 1e6
        reason += f"; {free:.0f} MB free"
    return (
        f"{path}: cannot be written ({reason}): make room or choose another folder with"
        f" {_choice(meant or path)}"
    )


def _choice(path: Path) -> str:
    """What chooses the folder that a path is in: an option, or a variable of the environment."""
    path = path.absolute()
    if any(part.startswith(TEMPORARY_FOLDER) for part in path.parts):
        return "TMPDIR"
    if path.is_relative_to(cache_folder().absolute()):
        return "STUDY_CACHE"
    if path.is_relative_to(agents_folder().absolute()):
        return "--out (of W&B agents: STUDY_RUNS)"
    return "--out"


def clear(folder: Path) -> None:
    """Remove the files that processes were writing in a folder as they died."""
    for path in folder.glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


@functools.cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UsageError: it cannot be read; DamagedError, which is one, where it is no JSON.
    """
    return _decode(_read(path), path)


def read_json_lines(path: Path) -> list[Any]:
    """Read a file with JSON in each line, an absent one as empty; see `read_json`."""
    lines = _read(path).splitlines() if path.is_file() else []
    return [_decode(line, path) for line in lines]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


def _decode(body: bytes, path: Path) -> Any:
    """Decode JSON as we write it: in UTF-8, without the NaN and Infinity that Python would take."""
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, error, MOVE_AWAY) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def check_writable(folder: Path, meant: Path | None = None) -> None:
    """Check that a folder can be written, before anything is computed for it. meant: the folder
    that would be made in it, which the message is to help to choose.

    Raises:
        UsageError: the folder cannot be made, or nothing can be written in it.
    """
    try:
        with _replacing(folder / PROBE, meant) as file:
            file.write(b"\0" * 65536)
    except DiskError as error:
        raise UsageError(str(error).replace(f"{os.sep}{PROBE}", "")) from error
    finally:
        with contextlib.suppress(OSError):
            (folder / PROBE).unlink()
