"""Time and memory of `study pull` on a large sweep, against the stand-in backend.

    python -m tests.benchmarks.pull [RUNS] [EPOCHS]

Each run has the seven small files that a run of ours uploads. Prints the first pull and the second,
which finds nothing changed.
"""

import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from study import runs
from study.config import Config
from study.train import loop
from tests.machines import settings
from tests.wandb_server import Server

PULL = """
import sys, time
from pathlib import Path
import wandb
from study.tracking import pull
began = time.perf_counter()
pull.pull(sys.argv[1], Path(sys.argv[2]))
seconds = time.perf_counter() - began
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(seconds, status["VmHWM"].split()[0])
"""


def main(count: int = 300, epochs: int = 20) -> None:
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        home = Path(folder)
        run = loop.train(Config(epochs=1, batch_size=256), home / "run")
        files = {name: (run.path / name).read_bytes() for name in runs.UPLOADED}
        sweep = server.add_sweep("{method: grid, name: large, parameters: {seed: {value: 0}}}")
        rows = [run.history[0] | {"epoch": epoch} for epoch in range(1, epochs + 1)]
        for seed in range(count):
            server.add_run(sweep, settings(seed=seed, epochs=epochs), rows, files)
        print(f"{count} runs x {epochs} epochs; Python {platform.python_version()}")
        for name in ("first", "second"):
            before = server.requests.total()
            began = time.perf_counter()
            command = [sys.executable, "-c", PULL, sweep.path, str(home)]
            environment = server.environment(home) | {"WANDB_SILENT": "true"}
            done = subprocess.run(command, env=environment, check=True, capture_output=True)
            whole = time.perf_counter() - began
            seconds, peak = done.stdout.split()[-2:]
            requests = server.requests.total() - before
            print(
                f"{name} pull: {float(seconds):.2f} s ({whole:.2f} s with Python's start),"
                f" {requests} requests, peak {int(peak) / 1024:.0f} MB"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
