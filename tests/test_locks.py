"""Locks on folders, between processes."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from study import files, locks
from study.errors import UsageError


def _lock_and_die(folder):
    with locks.claim(folder):
        os._exit(0)


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_lock_and_die, args=(tmp_path,))
    process.start()
    process.join()
    assert (tmp_path / locks.LOCK).exists()
    with locks.claim(tmp_path):
        files.write_text(tmp_path / "text", "")


@pytest.mark.parametrize("kind", ["link", "dangling", "folder"])
def test_a_lock_that_is_no_file_is_refused_and_what_a_link_leads_to_is_left_alone(kind, tmp_path):
    run, target = tmp_path / "run", tmp_path / "precious"
    run.mkdir()
    lock = run / locks.LOCK
    lock.mkdir() if kind == "folder" else lock.symlink_to(target)
    if kind == "link":
        target.write_text("precious")
    for enter in (locks.claim, locks.share):
        with pytest.raises(UsageError, match=r"\.lock: is no file: remove it and run"), enter(run):
            pass
    assert target.exists() == (kind == "link") and (kind != "link" or target.read_text())
    lock.rmdir() if kind == "folder" else lock.unlink()
    with locks.claim(run):  # the remedy
        files.write_text(run / "file", "")


def test_a_folder_is_in_use_while_a_command_works_in_it(tmp_path):
    assert not locks.is_in_use(tmp_path / "none") and not locks.is_in_use(tmp_path)
    for enter in (locks.claim, locks.share):
        with enter(tmp_path):
            assert locks.is_in_use(tmp_path)
        assert not locks.is_in_use(tmp_path)
        with enter(tmp_path):  # asking has locked nothing
            pass
    (tmp_path / locks.LOCK).unlink()
    os.mkfifo(tmp_path / locks.LOCK)
    assert not locks.is_in_use(tmp_path)


def test_over_nfs_too_a_folder_is_in_use(tmp_path, monkeypatch):
    """There a file that is open for reading alone cannot be locked exclusively."""
    flock = fcntl.flock

    def over_nfs(file, mode):
        if mode & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(file, mode)

    monkeypatch.setattr(locks.fcntl, "flock", over_nfs)
    with locks.claim(tmp_path):
        assert locks.is_in_use(tmp_path)
        files.write_text(tmp_path / "file", "")
    assert locks.is_in_use(tmp_path) is False


def test_what_a_killed_process_was_writing_is_cleared_by_who_locks_the_folder(tmp_path):
    begun = subprocess.run(
        [sys.executable, "-c", KILLED_WRITE, str(tmp_path)], capture_output=True, text=True
    )
    assert begun.returncode == -signal.SIGKILL, begun.stderr
    [left] = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    with locks.claim(tmp_path):
        assert not left.exists()
    left.touch()
    with locks.share(tmp_path):
        assert not left.exists()
        left.touch()  # as if this command were writing it
        with locks.share(tmp_path):
            assert left.exists()
    assert (tmp_path / "file").read_text() == "whole"


KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
from study import files, locks
path = Path(sys.argv[1]) / "file"
files.write_text(path, "whole")
files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write_text(path, "other")
"""


def test_a_run_folder_is_locked_and_removed_if_nothing_was_written(tmp_path):
    folder = tmp_path / "run"
    refused = pytest.raises(UsageError, match="another process is training this run")
    with locks.claim(folder), refused, locks.claim(folder):
        pass
    assert not folder.exists()
    with locks.claim(folder):
        files.write_json(folder / "summary.json", {})
    assert (folder / "summary.json").exists()


def test_a_lock_that_was_deleted_meanwhile_is_opened_anew(tmp_path, monkeypatch):
    """Nobody else would see the lock on a file that is gone."""
    flock, taken = fcntl.flock, []

    def late(file, mode):
        if not taken:  # the process that held it, and found the folder empty, deletes it
            (tmp_path / locks.LOCK).unlink()
        taken.append(os.fstat(file.fileno()).st_ino)
        flock(file, mode)

    monkeypatch.setattr(locks.fcntl, "flock", late)
    with locks.claim(tmp_path):
        assert len(taken) == 2 and (tmp_path / locks.LOCK).stat().st_ino == taken[1]
        assert locks.is_in_use(tmp_path)


def test_who_tidies_a_shared_folder_is_alone_in_it(tmp_path):
    called = []

    def tidy(folder):
        called.append(folder)
        with open(folder / locks.LOCK, "rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)

    with locks.share(tmp_path, tidy), locks.share(tmp_path, tidy):
        assert called == [tmp_path]


def test_a_file_system_without_locks_is_done_without(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    left = tmp_path / f".of-another{files.TEMPORARY}"  # which may be at work
    left.touch()
    with locks.claim(tmp_path), locks.share(tmp_path, lambda _: pytest.fail("not alone for sure")):
        assert left.exists() and locks.is_in_use(tmp_path) is None
    with locks.edit(tmp_path / "file"):
        files.write_text(tmp_path / "file", "")
