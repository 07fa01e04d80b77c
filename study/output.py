"""What a command, or an agent, prints and logs, which is a view of its work and never ends it."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from study import escape


class Lasting:
    """A stream that takes all text, whose reader may leave and whose disk may be full.

    dropped: whether something is left out since then; lost: whether it should have been kept.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.dropped = self.lost = False

    def write(self, words: str) -> int:
        if not self.dropped:
            try:
                self._write(words)
            except OSError as error:
                self._drop(error)
        return len(words)

    def flush(self) -> None:
        if not self.dropped:
            try:
                self.stream.flush()
            except OSError as error:
                self._drop(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _write(self, words: str) -> None:
        try:
            self.stream.write(words)
        except UnicodeEncodeError:
            encoding = self.stream.encoding or "ascii"
            self.stream.write(words.encode(encoding, "backslashreplace").decode(encoding))

    def _drop(self, error: OSError) -> None:
        self.dropped = True
        with contextlib.suppress(OSError, AttributeError):  # it is no file
            number = self.stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what it holds, and writes at exit
            os.dup2(nowhere, number)
            os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # `study ... | head` is no fault
            self.lost = True
            print_error(f"what is printed cannot be written ({error.strerror}), and is left out")


@contextlib.contextmanager
def lasting() -> Iterator[Lasting]:
    """Let nothing that is printed meanwhile end the work: not `| head`, nor a full disk, nor a
    stream that is closed from the beginning. Yield what is printed to in place of stdout."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # or a file of ours took its place
        pass
    os.close(number)
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        out, err = (Lasting(stream or nowhere) for stream in before)
        sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
        try:
            yield out
            out.flush()
            err.flush()
        finally:
            sys.stdout, sys.stderr = before


def show(message: Any, file: TextIO | None = None) -> None:
    """Print a line, to stdout unless a file is given. What runs and sweep files have in it cannot
    act on the terminal."""
    print(escape.printable(message), file=file, flush=True)


def print_error(message: Any) -> None:
    """Print a message to stderr, each line under our name."""
    for line in str(message).splitlines():
        show(f"study: {line}", sys.stderr)


def end(message: Any, code: int) -> int:
    """Print why a command ends, and return its exit code."""
    print_error(message)
    return code


def log_to_stderr() -> None:
    """Print what our modules log, each message once."""
    handler = logging.StreamHandler()
    handler.addFilter(_Once())
    handler.setFormatter(escape.PrintableFormatter())
    logger = logging.getLogger("study")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


class _Once(logging.Filter):
    """Lets each message pass once: a grid meets the same setting without effect many times."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self.logged
        self.logged.add(message)
        return is_new
