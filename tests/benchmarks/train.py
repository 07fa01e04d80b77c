"""How fast a sweep trains: the plain agent, the loop, workers side by side, packs.

    python -m tests.benchmarks.train --ways plain loop workers pack8 --out train.json

Whole processes, as a user starts them, start-up, evaluation and logging included; repeated in turn,
so that a noisy machine hits all alike. `packK`: `study sweep --pack K`, one process a GPU, or one
process on a CPU. Times the floor: over the time that the arithmetic alone (or its memory traffic,
whichever is longer) would take at the rates of a large matrix product and a large copy, measured
in the same run on all cores.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
import yaml
from torch.utils.flop_counter import FlopCounterMode

from study.config import TRAIN_IMAGES, Config
from study.train import augment, loop, networks, results
from tests.wandb_server import Server

ROOT = Path(__file__).parent.parent.parent
SAMPLE = 0.5  # seconds between two looks at memory and power


@dataclass
class Way:
    """One way of training the configurations, and what it took, a figure a repeat."""

    name: str
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    watts: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What is trained: each norm with each seed."""

    dataset: str
    network: str
    seeds: int
    epochs: int
    augment: str
    norms: tuple[str, ...] = ("batch", "layer", "group")

    @property
    def count(self) -> int:
        return len(self.norms) * self.seeds

    def config(self) -> Config:
        """One of them."""
        fields = {name: p["value"] for name, p in self.parameters().items() if "value" in p}
        return Config.drawn(fields | {"norm": self.norms[0], "seed": 1})

    def parameters(self) -> dict[str, Any]:
        """As a sweep YAML has them."""
        common = {
            "dataset": self.dataset, "network": self.network, "epochs": self.epochs,
            "augment": self.augment, "dropout": 0.029, "l1": 2.5e-5, "lr": 0.05, "batch_size": 128,
            "groups": 4,
        }  # fmt: skip
        swept = {"norm": list(self.norms), "seed": list(range(1, self.seeds + 1))}
        return {name: {"value": value} for name, value in common.items()} | {
            name: {"values": values} for name, values in swept.items()
        }


def main(
    ways: tuple[str, ...] = ("plain", "loop", "workers", "pack1", "pack8"),
    dataset: str = "mnist",
    network: str = "mnist_7684",
    seeds: int = 2,
    epochs: int = 3,
    augmented: str = "none",
    repeats: int = 3,
    out: Path | None = None,
) -> None:
    """Measure the ways, print a table, write the figures.

    Args:
        ways: plain, loop, workers, packK.
        dataset: mnist or cifar10.
        network: one of ours.
        seeds: of each of the three norms.
        epochs: of each.
        augmented: none or rotate7.
        repeats: how often each way is measured.
        out: a JSON file for the figures.
    """
    plan = Plan(dataset, network, seeds, epochs, augmented)
    augment.prepare(plan.config())  # of which no way is charged
    measured = [Way(name) for name in ways]
    loaders = _best_loaders(plan) if "plain" in ways else None
    for _ in range(repeats):
        for way in measured:
            seconds, peak, watts = _measure(way.name, plan, loaders)
            way.seconds.append(seconds)
            way.peak_mb.append(peak)
            way.watts += watts
            print(f"{way.name}: {seconds:.1f} s", file=sys.stderr)
    found = _machine() | {"plan": vars(plan), "loaders": loaders, "floor": _floor(plan)}
    print(table(measured, plan, found["floor"]))
    if out:
        out.write_text(json.dumps(found | {"ways": [vars(way) for way in measured]}, indent=1))


def _measure(name: str, plan: Plan, loaders: int | None) -> tuple[float, float, list[float]]:
    """Seconds, peak memory in MB and, where the driver tells, mean watts of one way."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "plain":
            return _plain(plan, loaders or 0, Path(folder))
        options = {"loop": ["--workers", "1", "--pack", "1"], "workers": ["--pack", "1"]}
        chosen = options.get(name) or ["--workers", "1", "--pack", name.removeprefix("pack")]
        if torch.cuda.is_available() and name.startswith("pack"):
            chosen = chosen[2:]  # a process a GPU
        file = Path(folder) / "bench.yaml"
        file.write_text(yaml.safe_dump({"method": "grid", "parameters": plan.parameters()}))
        command = [sys.executable, "-m", "study", "sweep", str(file), *chosen]
        return _timed(command, Path(folder), os.environ | {"WANDB_MODE": "offline"})


def _plain(plan: Plan, loaders: int, folder: Path) -> tuple[float, float, list[float]]:
    """The plain agent under `wandb agent`, against a stand-in for W&B on this machine."""
    command = ["${env}", "${interpreter}", "-m", "tests.benchmarks.plain"]
    sweep = {"method": "grid", "program": "plain.py", "command": command}
    sweep["parameters"] = plan.parameters()
    with Server() as server:
        path = server.add_sweep(yaml.safe_dump(sweep)).path
        environment = server.environment(folder) | {"LOADERS": str(loaders)}
        environment |= {"PYTHONPATH": str(ROOT), "WANDB_SILENT": "true"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        wandb = str(Path(sys.executable).parent / "wandb")
        return _timed([wandb, "agent", "--count", str(plan.count), path], folder, environment)


def _best_loaders(plan: Plan) -> int:
    """The num_workers, from 0 to the cores, with which a short trial of the plain agent is done
    soonest."""
    trial = Plan(plan.dataset, plan.network, 1, 1, plan.augment, ("batch",))
    os.environ["IMAGES"] = "6000"
    try:
        times = {}
        for count in range(augment.usable_cores() + 1):
            times[count] = _measure("plain", trial, count)[0]
    finally:
        del os.environ["IMAGES"]
    return min(times, key=times.get)


def _timed(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Any:
    """Run a command to its end, looking at its processes meanwhile."""
    began, peak, watts = time.perf_counter(), 0.0, []
    process = subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(process.stdout))
    reader.start()
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        watts += _power()
        time.sleep(SAMPLE)
    seconds = time.perf_counter() - began
    reader.join()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}\n{''.join(told[-20:])}")
    return seconds, peak, [statistics.mean(watts)] if watts else []


def _memory(session: int) -> float:
    """The memory of a session's processes in MB, shared pages counted once (PSS); Linux only."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):  # it has ended meanwhile
            continue
    return total / 1024


def _power() -> list[float]:
    """Watts of the GPU now, where its driver tells."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    told = subprocess.run(query, capture_output=True, text=True).stdout
    return [sum(float(line) for line in told.split())] if told.strip() else []


def _floor(plan: Plan) -> dict[str, float]:
    """What an epoch of one configuration cannot take less than, in seconds, and why.

    Bytes: each layer's output written and read once forward, and its gradient once back.
    """
    config = plan.config()
    device = loop.pick_device()
    network = networks.build(config).to(device)
    images = torch.zeros(128, *networks.INPUTS[plan.dataset], device=device)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    count = TRAIN_IMAGES[plan.dataset]
    flop = counter.get_total_flops() / 128 * count
    moved = 2 * networks.parameter_table(config)["activations_mb"] * networks.MEGABYTE * count
    a = torch.rand(4096, 4096, device=device)
    rate = 2 * 4096**3 / _fastest(lambda: a @ a, device)
    b = torch.rand(64_000_000, device=device)
    c = torch.empty_like(b)
    speed = 2 * b.nbytes / _fastest(lambda: c.copy_(b), device)
    return {
        "flop": flop, "flop_per_second": rate, "bytes": moved, "bytes_per_second": speed,
        "seconds": max(flop / rate, moved / speed),
    }  # fmt: skip


def _fastest(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the fastest of five."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)


def _machine() -> dict[str, Any]:
    device = loop.pick_device()
    return {
        "device": results.device_name(device),
        "cores": augment.usable_cores(),
        "processor": platform.processor() or platform.machine(),
        "versions": results.versions(),
    }


def table(ways: Sequence[Way], plan: Plan, floor: dict[str, float]) -> str:
    """The figures in markdown: medians over the repeats, ratios with their spread.

    The ratio is to the first way, repeat by repeat.
    """
    images = TRAIN_IMAGES[plan.dataset] * plan.epochs * plan.count
    least = floor["seconds"] * plan.epochs * plan.count
    first = ways[0]
    lines = [
        f"| way | seconds | configurations an hour | images/s | times {first.name} | times the"
        " floor | peak MB | watts |",
        "|-|-|-|-|-|-|-|-|",
    ]
    for way in ways:
        seconds = statistics.median(way.seconds)
        ratios = [one / other for one, other in zip(first.seconds, way.seconds)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        watts = f"{statistics.mean(way.watts):.0f}" if way.watts else ""
        lines.append(
            f"| {way.name} | {seconds:.1f} | {3600 * plan.count / seconds:.0f}"
            f" | {images / seconds:.0f} | {spread} | {seconds / least:.1f}"
            f" | {statistics.median(way.peak_mb):.0f} | {watts} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    tyro.cli(main)
