"""The two errors that end a command, a line a fault, and one line for any other error."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class UsageError(ValueError):
    """Bad input. The message has a line a fault: the field, the value, what is allowed.

    Exit code 2.
    """


class DamagedError(UsageError):
    """A file of ours that does not hold what was written: cut, overwritten, or of another run.

    path: the file; why: what is wrong with it, in a line.
    """

    def __init__(self, path: Path, why: object, remedy: str) -> None:
        self.path, self.why = path, "; ".join(str(why).splitlines())
        super().__init__(f"{path}: is damaged ({self.why}): {remedy}")

    @property
    def fault(self) -> str:
        """The file's name and what is wrong with it, for whoever knows its folder."""
        return f"{self.path.name} is damaged ({self.why})"


class UnknownSettingError(UsageError):
    """A run of other code, whose settings this installation does not know. It is as it was written,
    and nobody sets it aside.

    path: its config.json; why: which settings, and the remedy, for whoever knows its folder.
    """

    def __init__(self, path: Path, settings: str, remedy: str) -> None:
        self.path = path
        self.why = f"uses {settings}, which this installation does not know: {remedy}"
        super().__init__(f"{path}: {self.why}")


class Faults:
    """The faults of one input, collected so that the user reads all of them at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, message: str | Exception) -> None:
        """Note a fault, or the faults that an error has a line each for; each is told once."""
        self.lines += [line for line in str(message).splitlines() if line not in self.lines]

    def attempt(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | None:
        """Return what the function returns; None, and note why, where it raises a UsageError."""
        try:
            return function(*args, **options)
        except UsageError as error:
            self.add(error)
            return None

    def check(self, where: str = "") -> None:
        """Check that no fault was found. `where` goes before each line.

        Raises:
            UsageError: a fault was found.
        """
        if self.lines:
            raise self.error(where)

    def error(self, where: str = "") -> UsageError:
        """Return the error that has a line a fault. `where` goes before each."""
        return UsageError("\n".join(f"{where}{line}" for line in self.lines))


class RunError(RuntimeError):
    """A run that cannot go on, for a cause outside the settings. The message names the remedy.

    Exit code 1.
    """


class DiskError(RunError):
    """A disk that is full or cannot be written. It cuts a run off, as the loss of its machine does:
    the run has not failed, and goes on where there is room.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where the message is empty; without
    passwords, which the errors of other packages may have from an address."""
    return without_password((str(error).strip().splitlines() or [type(error).__name__])[0])


def without_password(words: str) -> str:
    """Return a text without the user and password that an address in it may hold, as in
    WANDB_BASE_URL."""
    return re.sub(r"//[^/\s]*@", "//", words)


def describe(error: BaseException) -> str:
    """Return an unexpected error in one line: its type, then its message's first line."""
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"
