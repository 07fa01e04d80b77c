"""What a command prints and logs, which is a view of its work and never ends it."""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from study import escape


class _Lasting:
    """A stream whose reader may leave and whose disk may be full: the rest is then dropped."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, words: str) -> int:
        try:
            return self.stream.write(words)
        except OSError as error:
            self._drop(error)
            return len(words)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self._drop(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _drop(self, error: OSError) -> None:
        with contextlib.suppress(io.UnsupportedOperation):  # it is no file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # `study ... | head` is no fault
            end(f"what is printed cannot be written ({error.strerror}), and is left out", 1)


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Let nothing that is printed meanwhile end the work: not `| head`, nor a full disk, nor a
    stream that is closed from the beginning."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # or a file of ours took its place
        pass
    os.close(number)
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        sys.stdout, sys.stderr = (
            cast(TextIO, _Lasting(stream or nowhere)) for stream in (sys.stdout, sys.stderr)
        )
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before


def end(message: Any, code: int) -> int:
    """Print why a command ends, each line under our name, and return its exit code."""
    for line in str(message).splitlines():
        print(escape.printable(f"study: {line}"), file=sys.stderr)
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
