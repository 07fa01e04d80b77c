"""Leases: which worker owns the trial that it trains, and until when."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEASE = 90  # seconds a worker keeps a trial whose lease it does not renew
RENEW = 20  # seconds between two renewals


def owner() -> dict[str, Any]:
    """Return what identifies this process as the owner of leases."""
    return {"machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def begin(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lease from now on, as a trial holds it."""
    return {**owner, "until": time.time() + LEASE}


def is_alive(lease: Mapping[str, Any]) -> bool:
    """Whether the worker of a lease lives: on this machine by its process, elsewhere by the time.

    (Clocks of machines that share a store must agree within seconds.)
    """
    if lease["machine"] and lease["machine"] == _machine():
        return _started(lease["pid"]) == lease["started"]
    return time.time() < lease["until"]


def _machine() -> str:
    """Identify this machine since its start, and this container; "" where /proc does not."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """Return when a process started, in ticks since the machine did; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
