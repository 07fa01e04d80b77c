"""A command run to its end, and what it and the processes it started took meanwhile."""

import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE = 0.5  # seconds between two looks at memory and power


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds; peak memory of the process tree in MB (Linux, else 0), and of the GPUs in
    MB and their mean watts, all together, where the driver reports them."""

    seconds: float
    peak_mb: float
    gpu_mb: float | None = None
    watts: float | None = None


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """What a command costs, run in `folder`, its output in `output.log` there.

    Exits with the end of that output where the command failed.
    """
    log, ended, seen = folder / "output.log", threading.Event(), list[tuple]()
    began = time.perf_counter()
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        watching = threading.Thread(target=_watch, args=(process.pid, ended, seen))
        watching.start()
        try:
            code = process.wait()
        finally:
            ended.set()
    seconds = time.perf_counter() - began
    watching.join()
    if code:
        sys.exit(f"{' '.join(command)}: exit code {code}\n{log.read_text()[-2000:]}")
    peak = max((memory for memory, _ in seen), default=0.0)
    samples = [gpu for _, gpu in seen if gpu]
    if not samples:
        return Cost(seconds, peak)
    watts, used = zip(*samples)
    return Cost(seconds, peak, max(used), statistics.mean(watts))


def _watch(pid: int, ended: threading.Event, seen: list[tuple]) -> None:
    while not ended.wait(SAMPLE):
        seen.append((_memory(pid), _gpu()))


def _memory(pid: int) -> float:
    """MB of a process and its descendants, shared pages counted once (PSS). By descent, not by
    session: wandb's service starts one of its own."""
    children = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has ended meanwhile
            continue
        children[int(parent)].append(int(folder.name))
    tree = [pid]
    for one in tree:
        tree.extend(children[one])
    return sum(map(_share, tree)) / 1024


def _share(pid: int) -> int:
    """A process's proportional share of its memory, in kB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _gpu() -> tuple[float, float] | None:
    """Watts and MB of the GPUs now, all together."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["--query-gpu=power.draw,memory.used", "--format=csv,noheader,nounits"]
    output = subprocess.run(["nvidia-smi", *query], capture_output=True, text=True).stdout
    try:
        rows = [[float(value) for value in line.split(",")] for line in output.splitlines()]
    except ValueError:  # "[N/A]"
        return None
    return tuple(map(sum, zip(*rows))) if rows else None
