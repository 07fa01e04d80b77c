"""Signals that end a process, caught where nothing is half done. Imports nothing that takes time:
a signal may come while the rest is imported."""

import signal
from typing import Any


class Preempted(BaseException):
    """The machine is taken back: leave now, from the last whole epoch."""


class Signals:
    """Catches SIGTERM, which comes when the machine is taken back, SIGINT (Ctrl-C), and SIGHUP
    unless it is ignored (nohup).

    received: the last signal caught, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._receive)

    def _receive(self, number: int, _: Any) -> None:
        self.received = number

    def check(self) -> None:
        """Leave if a signal has come. Called between batches, where nothing is half done.

        Raises:
            Preempted: this process is to end.
        """
        if self.received:
            raise Preempted
