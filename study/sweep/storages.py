"""Where the trials of a search are stored: a journal file beside its runs, or a database."""

import contextlib
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from study import files
from study.errors import DamagedError, RunError, UsageError, describe, first_line

log = logging.getLogger(__name__)

STALE = 10  # seconds after which the journal's lock, held for milliseconds, is a killed worker's
RACES = 3  # seconds given to the worker that makes the tables of a new database


def connect(storage: Path | str) -> BaseStorage:
    """Open a journal file, or a database by its URL; make it where there is none.

    Raises:
        DamagedError: the journal holds what cannot be replayed.
    """
    if isinstance(storage, Path):
        storage.parent.mkdir(parents=True, exist_ok=True)
        # Optuna's default, a symbolic link, never counts as stale where the path is relative.
        lock = JournalFileOpenLock(str(storage), grace_period=STALE)
        _mend(storage, lock)
        try:
            return JournalStorage(JournalFileBackend(str(storage), lock_obj=lock))
        except OSError:
            raise
        except Exception as error:  # of its replay, which trusts each record
            raise _damaged(storage, error) from error
    for _ in range(RACES):
        with contextlib.suppress(IntegrityError, ProgrammingError, OperationalError):
            return RDBStorage(storage)
        time.sleep(1)  # another worker is making the tables
    return RDBStorage(storage)


def _mend(journal: Path, lock: JournalFileOpenLock) -> None:
    """Cut a journal before its first line that is torn or no record; keep a copy of the whole."""
    if not journal.is_file():
        return
    lock.acquire()
    try:
        body, whole = journal.read_bytes(), 0
        for line in io.BytesIO(body):
            if not _is_record(line):
                break
            whole += len(line)
        if whole == len(body):
            return
        aside = files.place_aside(journal)
        files.write(aside, lambda file: file.write(body))
        files.write(journal, lambda file: file.write(body[:whole]))
    finally:
        lock.release()
    lines = body[:whole].count(b"\n")
    log.warning("%s: is damaged after line %d: these lines count, and the runs that are trained;"
                " the whole is kept as %s", journal, lines, aside.name)  # fmt: skip


def _damaged(journal: Path, error: Exception) -> DamagedError:
    remedy = "move it away and run the command again: trained runs are found, a search begins anew"
    return DamagedError(journal, describe(error), remedy)


def _is_record(line: bytes) -> bool:
    """Whether a line of a journal is one that Optuna wrote."""
    try:
        record = json.loads(line.decode()) if line.endswith(b"\n") else None
        return isinstance(record, dict) and {"op_code", "worker_id"} <= record.keys()
    except (ValueError, RecursionError):
        return False


@contextlib.contextmanager
def one_line(location: str) -> Iterator[None]:
    """Turn the errors of a storage into one line. location: what `shown` returns of it.

    Raises:
        UsageError: no such database, or no driver for it.
        RunError: the database does not answer, or the journal cannot be written.
    """
    try:
        yield
    except json.JSONDecodeError as error:  # torn while this command uses it
        raise _damaged(Path(location), error) from error
    except ImportError as error:
        raise UsageError(
            f"--storage {location}: {first_line(error)}; pip install its driver"
        ) from error
    except NoSuchModuleError as error:
        raise UsageError(
            f"--storage: no URL of a database ({first_line(error)});"
            " allowed is sqlite:///FILE, postgresql://USER@HOST/NAME or the like"
        ) from error
    except (SQLAlchemyError, StorageInternalError) as error:
        raise RunError(
            f"--storage {location}: {first_line(error)}; is the database there?"
        ) from error
    except OSError as error:
        raise RunError(
            f"{location}: {error.strerror}; make room, or choose another --out"
        ) from error


def shown(storage: Path | str) -> str:
    """Return the name of a journal file, or the URL of a database without its password.

    Raises:
        UsageError: it is no URL of a database.
    """
    if isinstance(storage, Path):
        return str(storage)
    try:
        url = make_url(storage)
    except (ArgumentError, ValueError):  # its message may hold the password
        url = None
    if url is None or "@" in (url.host or ""):
        raise UsageError(
            "--storage: no URL of a database; allowed is sqlite:///FILE,"
            " postgresql://USER@HOST/NAME or the like (an @, : or / in a password is %40, %3A, %2F)"
        )
    return url.set(query={}).render_as_string(hide_password=True)
