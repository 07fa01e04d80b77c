"""Processes that are forked from one server, which has imported what they need: not from a process
that may be using a GPU or threads.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext


def context(preload: Iterable[str] = ()) -> ForkServerContext:
    """Return the context in which to start processes.

    preload: modules that the server imports as it starts; a server that runs is left as it is. It
    and its forks are out of the reach of Ctrl-C, which goes to all processes of a terminal: it is
    for this one to end them, and they would each print a traceback from within their imports.
    """
    forked = multiprocessing.get_context("forkserver")
    if names := list(preload):
        forked.set_forkserver_preload(names)
    resource_tracker.ensure_running()  # which else is started below, and lets SIGINT through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return forked


def follow_parent() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()
