"""Write files atomically, read and write JSON, lock a folder."""

import contextlib
import errno
import fcntl
import functools
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from study.errors import RunError, UsageError

LOCK = ".lock"
PROBE = ".probe"


def data_folder() -> Path:
    """Return the folder of the data sets: STUDY_DATA, else `data`."""
    return Path(os.environ.get("STUDY_DATA") or "data")


def cache_folder() -> Path:
    """Return the folder of what is computed once from the data sets: STUDY_CACHE, else `cache`."""
    return Path(os.environ.get("STUDY_CACHE") or "cache")


def file_name(name: str) -> str:
    """Turn any name into a file name: letters, digits, `.`, `-` and `_`."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"


def write(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Write a file so that a reader never sees half of it.

    `fill` builds the content in memory, so that a library never meets a full disk halfway. The
    content then goes to a temporary file, which is renamed.

    Raises:
        RunError: the disk is full or cannot be written; nothing half-written is left.
    """
    content = io.BytesIO()
    fill(content)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            temporary = Path(file.name)
            file.write(content.getbuffer())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(_write_error(path, error)) from error
    finally:
        if temporary:  # still there only if something went wrong
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; see `write`."""
    write(path, lambda file: file.write(text.encode()))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file; see `write`."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a file with one JSON object a line; see `write`."""
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Append a JSON object to a file with one a line: by one write, so that a reader never sees
    half of it, and far quicker than writing a long file again.

    Raises:
        RunError: the disk is full or cannot be written; the file is as before.
    """
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    try:
        with open(path, "ab", buffering=0) as file:
            before = file.tell()
            if file.write(line) < len(line):  # the disk took a part
                file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise RunError(_write_error(path, error)) from error


def link(path: Path, target: Path) -> None:
    """Make a symbolic link, in place of the file that is there.

    Raises:
        RunError: the disk does not take it.
    """
    temporary = path.with_name(f".{path.name}")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(target, path.parent))
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(_write_error(path, error)) from error


def _write_error(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(path.parent).free / 1e6
        reason += f"; {free:.0f} MB free"
    return f"{path}: cannot be written ({reason}): make room or choose another folder with --out"


@functools.cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UsageError: it cannot be read, or is damaged.
    """
    try:
        return _decode(path.read_text(), path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file with one JSON object a line; an absent file has none.

    Raises:
        UsageError: it is damaged.
    """
    lines = path.read_text().splitlines() if path.is_file() else []
    return [_decode(line, path) for line in lines]


def _decode(body: str, path: Path) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise UsageError(
            f"{path}: is damaged ({error}); delete it and run the sweep again"
        ) from error


def check_writable(folder: Path) -> None:
    """Check that a folder can be written, before anything is computed for it.

    Raises:
        UsageError: the folder cannot be made, or nothing can be written in it.
    """
    try:
        write(folder / PROBE, lambda file: file.write(b"\0" * 65536))
    except RunError as error:
        raise UsageError(str(error).replace(f"{os.sep}{PROBE}", "")) from error
    finally:
        with contextlib.suppress(OSError):
            (folder / PROBE).unlink()


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Lock a folder while working in it. The operating system frees the lock of a dead process.

    Raises:
        UsageError: another process has locked it.
    """
    check_writable(folder)
    with open(folder / LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{folder}: another process is training this run; wait for it"
            ) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                # Nothing was written, so leave no empty folder behind.
                if [entry.name for entry in folder.iterdir()] == [LOCK]:
                    (folder / LOCK).unlink()
                    folder.rmdir()
