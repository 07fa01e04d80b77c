"""A search in PostgreSQL, which this test starts: Debian's postgresql and python3-psycopg2."""

import contextlib
import multiprocessing
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from study.sweep import spec
from study.sweep.methods import search_of
from tests.sweep.test_search import RANDOM, work

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
DEBIANS = Path("/usr/lib/python3/dist-packages")  # holds the driver for the system's Python
WORKERS, RUNS = 4, 8


def is_user(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        os.getuid() != 0 or not PROGRAMS or not is_user("postgres"),
        reason="needs root and Debian's postgresql",
    ),
]


@pytest.fixture
def driver(tmp_path_factory):
    """psycopg2 of this environment, or Debian's alone of all that lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        if (DEBIANS / "psycopg2").is_dir():
            folder = tmp_path_factory.mktemp("driver")
            (folder / "psycopg2").symlink_to(DEBIANS / "psycopg2")
            patch.setattr(sys, "path", [*sys.path, str(folder)])
        pytest.importorskip(
            "psycopg2", reason="needs psycopg2 for this Python", exc_type=ImportError
        )
        yield


@pytest.fixture
def database(driver, tmp_path):
    """The URL of an empty database. Its server runs as its own user, which root may not be."""
    folder = Path(f"/tmp/postgres-{os.getpid()}")
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program: str, *words: str) -> None:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        command += [str(PROGRAMS[-1] / program), "-D", str(folder / "data"), *words]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)

    try:
        call("initdb", "--auth=trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
        call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
        call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def train(path: Path, folder: Path, storage: str, dies: bool) -> None:
    """A worker on a machine of its own, which may be killed while it holds two runs."""
    search = search_of(spec.read(path), folder, storage=storage)
    if dies:
        work(search, 1)
        search.ask(), search.ask()
        os.kill(os.getpid(), signal.SIGKILL)
    work(search)


def test_four_workers_one_killed_train_each_configuration_once(database, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(RANDOM.replace("run_cap: 16", f"run_cap: {RUNS}"))
    search_of(spec.read(path), tmp_path / "first", storage=database).close()
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=train, args=(path, tmp_path / str(i), database, i == 0))
        for i in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL, 0, 0, 0]
    search = search_of(spec.read(path), tmp_path / "last", storage=database)
    work(search)  # what the killed one held, should the others have ended before it
    done = [t.user_attrs["run"] for t in search.store.trials() if t.state.name == "COMPLETE"]
    assert len(done) == len(set(done)) == RUNS
