"""Processes that are forked from one server, which has imported what they need: not from a process
that may be using a GPU or threads.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from typing import Any

_STARTING = threading.Lock()  # one process at a time, since that hides the main module


class _Process(ForkServerProcess):
    """A process that does not run the main module again, which needs no `if __name__` then."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # what multiprocessing's own contexts override
        with _without_main():
            return ForkServerProcess._Popen(process_obj)


class _Context(ForkServerContext):
    Process = _Process


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module from multiprocessing, which would have each process import it."""
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def context(preload: Iterable[str] = ()) -> ForkServerContext:
    """Return the context in which to start processes.

    preload: modules that the server imports as it starts; a server that runs is left as it is. It
    and its forks are out of the reach of Ctrl-C, which goes to all processes of a terminal: it is
    for this one to end them, and they would each print a traceback from within their imports. What
    they run must not come from the main module, which they do not see.
    """
    forked = _Context()
    forked.set_forkserver_preload(list(preload))
    with out_of_reach(), _without_main():
        forkserver.ensure_running()
    return forked


@contextlib.contextmanager
def out_of_reach() -> Iterator[None]:
    """Keep Ctrl-C waiting meanwhile, and from the processes that are started meanwhile."""
    resource_tracker.ensure_running()  # which else is started meanwhile, and lets it through
    waiting: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread() and handler is not None
    if in_main:  # it may come by another thread, whose mask is another
        signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def pool(processes: int, preload: Iterable[str] = ()) -> ProcessPoolExecutor:
    """Return a pool of processes that end with this one, however it ends."""
    return ProcessPoolExecutor(processes, context(preload), initializer=follow_parent)


def follow_parent() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()
