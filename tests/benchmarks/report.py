"""Time, memory and the page's size of `study report` on a large sweep of made-up runs.

    python -m tests.benchmarks.report [RUNS] [EPOCHS]

The runs are of random configurations over three seeds each, with all the files that a run has.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from study import files, runs, schema
from study.config import Config
from study.train import loop

SEEDS = 3
REPORT = """
import sys
from study.__main__ import main
code = main(["report", sys.argv[1], "--out", sys.argv[2], "--target", "99.4"])
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(status["VmHWM"].split()[0])
sys.exit(code)
"""


def make(folder: Path, count: int, epochs: int) -> None:
    """Make run folders whose accuracy falls with the distance of the learning rate from 0.1."""
    rng = np.random.default_rng(0)
    real = loop.train(Config(epochs=1, batch_size=256), folder.parent / "real")
    for i in range(-(-count // SEEDS)):
        lr, l1 = float(10 ** rng.uniform(-3, 0)), float(10 ** rng.uniform(-6, -3))
        norm, dropout = str(rng.choice(["batch", "layer"])), float(rng.uniform(0, 0.3))
        for seed in range(1, min(SEEDS, count - i * SEEDS) + 1):
            config = Config(
                norm=norm, lr=lr, l1=l1, dropout=dropout, holdout=100, epochs=epochs, seed=seed
            )
            path = folder / runs.name(config)
            shutil.copytree(real.path, path, ignore=shutil.ignore_patterns(runs.WANDB))
            last = 99.4 - abs(np.log10(lr / 0.1)) + 0.05 * rng.normal()
            rows = []
            for epoch in range(1, epochs + 1):
                accuracy = float(np.clip(last - 5 / epoch + 5 / epochs, 10, 100))
                loss = (100 - accuracy) / 30
                scores = {f"{part}/accuracy": accuracy for part in ("train", "val", "test")}
                scores |= {f"{part}/loss": loss for part in ("train", "val", "test")}
                rows.append({"epoch": epoch, **scores, "lr": lr, "seconds": 1 + rng.random()})
            runs.write_config(path, config)
            runs.write_history(path, rows)
            summary = real.summary | schema.scores(rows) | {"epochs": epochs}
            files.write_json(path / runs.SUMMARY, summary)


def main(count: int = 1000, epochs: int = 20) -> None:
    with tempfile.TemporaryDirectory() as home:
        sweep, report = Path(home) / "runs/large", Path(home) / "reports/large"
        make(sweep, count, epochs)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", REPORT, str(sweep), str(report)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        memory = int(done.stdout.split()[-1]) / 1e3
        page = (report / "index.html").stat().st_size / 1e6
        print(f"{count} runs of {epochs} epochs, {platform.machine()}: {seconds:.1f} s,"
              f" {memory:.0f} MB, page {page:.1f} MB")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
