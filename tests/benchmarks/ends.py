"""What a run costs a sweep beside its training: starting, drawing, its files, its W&B run.

    python -m tests.benchmarks.ends [--repeats 3]

The whole command `study sweep FILE --pack 10 --workers 1`, offline: 30 runs of one epoch of digits,
three norms. Prints of each repeat the seconds, those outside training for each run, and the seconds
of processor time of all processes together, training included: these hardly depend on what else the
machine does.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from study import sweep_folder

SWEEP = """
method: grid
parameters:
  norm: {values: [batch, layer, group]}
  epochs: {value: 1}
  seed: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}
"""
PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl: the servers that a command leaves become ours


def measure() -> dict[str, float]:
    """The cost of one command."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "ends.yaml").write_text(SWEEP)
        words = [sys.executable, "-m", "study", "sweep", "ends.yaml", "--pack", "10"]
        words += ["--workers", "1", "--device", "cpu"]
        used, began = _processor_seconds(), time.perf_counter()
        subprocess.run(words, cwd=home, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        while True:  # the server of forks, and wandb's
            try:
                os.wait()
            except ChildProcessError:
                break
        found = sweep_folder.find(Path(home) / "runs" / "ends")
    training = sum(run.summary["seconds"] for run in found)
    return {
        "seconds": round(seconds, 1),
        "outside training, a run": round((seconds - training) / len(found), 2),
        "processor seconds": round(_processor_seconds() - used, 1),
    }


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for _ in range(options.repeats):
        print(json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main()
