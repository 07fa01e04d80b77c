"""A command of `study` or `wandb` in a fork of the server that forks the workers, which has
imported torch and wandb: for tests of what it does, not of how it starts.
"""

import atexit
import contextlib
import io
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study import forks
from study.sweep import agent
from study.sweep.worker import PRELOAD

Patches = Mapping[str, Any]  # as {"study.tracking.agent_api.HEARTBEAT": 0.5}
# What a fork may call.
STUDY, WANDB, SCRIPT = "study.__main__:main", "wandb.cli.cli:cli", "tests.forked:run_script"


class Forked:
    """The command, with as much of subprocess.Popen as the tests need."""

    def __init__(
        self,
        *words: Any,
        cwd: Path,
        env: Mapping[str, str],
        patches: Patches | None = None,
        main: str = STUDY,
    ) -> None:
        handle, name = tempfile.mkstemp()
        os.close(handle)
        self.output = Path(name)
        arguments = ([*map(str, words)], str(cwd), dict(env), dict(patches or {}), main, name)
        self.process = forks.context(PRELOAD).Process(target=_run, args=arguments)
        self.process.start()
        atexit.register(self.process.kill)  # or Python would wait for what a failed test left

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for the end; what the command printed, its errors in it."""
        self.process.join(timeout)
        if self.returncode is None:
            self.kill()
            raise TimeoutError(f"still running: {self.output.read_text()}")
        printed = self.output.read_text()
        self.output.unlink(missing_ok=True)
        return printed, None


def _run(
    words: list[str], cwd: str, env: dict[str, str], patches: Patches, main: str, output: str
) -> None:
    """Run in the fork."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(file, standard)
    # Forks are out of the reach of Ctrl-C; a command is not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for path, value in patches.items():
        owner, _, name = path.rpartition(".")
        setattr(pkgutil.resolve_name(owner), name, value)
    with tempfile.TemporaryDirectory() as tempfile.tempdir:  # as a worker does
        sys.exit(pkgutil.resolve_name(main)(words))


class Program:
    """The program of our sweeps in a fork of `wandb agent`, which has all imported, with as much of
    subprocess.Popen as the agent needs."""

    def __init__(self, command: list[str], env: Mapping[str, str], **_: Any) -> None:
        assert command[1:] == ["python", "-m", "study.sweep.agent"]
        self.stdin = io.BytesIO()
        context = multiprocessing.get_context("fork")
        self.process = context.Process(target=_run_program, args=(env,))
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self.process.join(timeout)
        if self.process.exitcode is None:
            raise subprocess.TimeoutExpired("study.sweep.agent", timeout or 0)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        if self.process.exitcode is None:
            os.kill(self.process.pid or 0, number)

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


class Programs:
    """Stands in for the module subprocess where wandb's agent starts what it has been assigned."""

    Popen, PIPE, TimeoutExpired = Program, subprocess.PIPE, subprocess.TimeoutExpired


def _run_program(env: Mapping[str, str]) -> None:
    """Run in the fork."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)  # the agent forwards them all
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python begins
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # the agent's is gone where the agent is
    with tempfile.TemporaryDirectory() as tempfile.tempdir:
        sys.exit(agent.main())


def run_script(words: list[str]) -> None:
    """Run a script as `python -c` does."""
    code, *arguments = words
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})
