"""Locks on folders and files. The operating system frees those of a dead process."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from study import files
from study.errors import UsageError

LOCK = ".lock"
ALONE, TOGETHER, NOW = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_NB


@contextlib.contextmanager
def claim(folder: Path, busy: str = "another process is training this run") -> Iterator[None]:
    """Lock a folder while working in it, and clear what killed processes left half-written there.

    busy: what is so where it is locked, for the message.

    Raises:
        UsageError: another process has locked it, or it cannot be written.
    """
    try:
        lock, held = _open_locked(folder / LOCK, ALONE | NOW)
    except BlockingIOError as error:
        raise UsageError(f"{folder}: {busy}; wait for it") from error
    with lock:
        try:
            if held:
                files.clear(folder)
            files.check_writable(folder)
            yield
        finally:
            with contextlib.suppress(OSError):
                # Nothing was written, so leave no empty folder behind.
                if [entry.name for entry in folder.iterdir()] == [LOCK]:
                    (folder / LOCK).unlink()
                    folder.rmdir()


@contextlib.contextmanager
def share(folder: Path, tidy: Callable[[Path], None] | None = None) -> Iterator[None]:
    """Work in a folder together with other commands.

    The command that comes to it alone clears what killed processes left half-written there, and
    calls `tidy` with it, before any other can come.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        lock, alone = _open_locked(folder / LOCK, ALONE | NOW)
    except BlockingIOError:
        lock, alone = _open_locked(folder / LOCK, TOGETHER)[0], False
    with lock:
        if alone:
            files.clear(folder)
            if tidy:
                tidy(folder)
            fcntl.flock(lock, TOGETHER)
        files.check_writable(folder)
        yield


@contextlib.contextmanager
def edit(path: Path) -> Iterator[None]:
    """Read a file and write it again while no other command does so, by a lock beside it; without
    one where its folder takes none."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(UsageError):
            lock, _ = _open_locked(path.with_name(f".{path.name}{LOCK}"), ALONE)
            stack.enter_context(lock)
        yield


def is_in_use(folder: Path) -> bool | None:
    """Whether a command works in a folder, by its lock; None where its file system has no locks."""
    try:
        lock = _open_existing(folder / LOCK)
    except OSError:
        return False
    with lock:
        try:
            fcntl.flock(lock, ALONE | NOW)
        except BlockingIOError:
            return True
        except OSError:
            return None
    return False


def _open_locked(path: Path, mode: int) -> tuple[BinaryIO, bool]:
    """Open a file and lock it until it is closed; return whether it is locked: some file systems
    have no locks.

    Raises:
        BlockingIOError: the mode has NOW, and another process has locked it.
        UsageError: the file cannot be opened.
    """
    while True:
        lock = _open(path)
        try:
            fcntl.flock(lock, mode)
            if _is_at(path, lock):
                return lock, True
        except BlockingIOError:
            lock.close()
            raise
        except OSError:
            return lock, False
        lock.close()  # deleted between the two: nobody else would see its lock


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file is the one that a path leads to now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> BinaryIO:
    """Open a file, which is made, in a folder, which is made too. Nothing is written to it, nor to
    what a link in its place leads to."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise UsageError(f"{path}: is no file: remove it and run the command again") from error
        raise UsageError(files.write_error(folder, error)) from error
    return open(descriptor, "rb")


def _open_existing(path: Path) -> BinaryIO:
    """Open a file to ask for its lock: for writing where that is allowed, as NFS wants it."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, os.O_RDWR | flags)
    except OSError:
        descriptor = os.open(path, os.O_RDONLY | flags)
    return open(descriptor, "rb")
