"""How fast a sweep trains: the plain agent, the loop, workers side by side, packs.

    python -m tests.benchmarks.train --ways plain loop workers pack8 --out train.json

Whole processes, as a user starts them, start-up, evaluation and logging included; repeated in turn,
so that a noisy machine hits all alike. Times the floor: over the time that the arithmetic alone (or
its memory traffic, whichever is longer) would take at the rates of a large matrix product and a
large copy, measured in the same run on all cores.
"""

import dataclasses
import json
import math
import multiprocessing
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import joblib
import torch
import tyro
import yaml

from study import datasets, files, sweep_folder
from study.config import Config
from study.train import bank, devices, provenance
from tests.benchmarks.floor import floor
from tests.benchmarks.processes import Cost, timed
from tests.wandb_server import Server

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Plan:
    """What is trained: each norm with each seed."""

    dataset: str
    network: str
    norms: tuple[str, ...]
    seeds: int
    epochs: int
    augment: str

    @property
    def count(self) -> int:
        return len(self.norms) * self.seeds

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

    def first(self) -> dict[str, Any]:
        """The settings of its first configuration."""
        return {
            name: given["value"] if "value" in given else given["values"][0]
            for name, given in self.parameters().items()
        }

    def config(self) -> Config:
        return Config.from_sweep(self.first())


@dataclass
class Way:
    """One way of training, what it trains, and what each repeat took and led to.

    accuracy: mean test accuracy at the last epoch, percent; packs: the sizes of packs trained.
    """

    name: str
    plan: Plan
    costs: list[Cost] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    packs: set[int] = field(default_factory=set)

    def rates(self) -> list[float]:
        """Configurations an hour, a figure a repeat."""
        return [3600 * self.plan.count / cost.seconds for cost in self.costs]

    def figures(self) -> dict[str, Any]:
        return {
            "name": self.name, "configurations": self.plan.count, "accuracy": self.accuracy,
            "packs": sorted(self.packs), "costs": [vars(cost) for cost in self.costs],
        }  # fmt: skip


def main(
    ways: tuple[str, ...] = (),
    dataset: str = "mnist",
    network: str = "mnist_7684",
    norms: tuple[str, ...] = ("batch", "layer", "group"),
    seeds: int = 2,
    epochs: int = 3,
    augmented: str = "none",
    repeats: int = 3,
    out: Path | None = None,
) -> None:
    """Measure the ways, print a table, write the figures.

    Args:
        ways: plain, plainK, loop, workers, packK, the first of which the others are compared with
            (default: plain loop workers; on a GPU plain plain8 workers).
        dataset: mnist, cifar10, or digits for a quick try.
        network: one of ours.
        norms: the norms; they share no pack.
        seeds: of each norm; packK and plainK train K of each where that is more.
        epochs: of each.
        augmented: none or rotate7.
        repeats: how often each way is measured.
        out: a JSON file for the figures.
    """
    plan = Plan(dataset, network, norms, seeds, epochs, augmented)
    measured = [Way(name, planned(name, plan)) for name in ways or _default_ways()]
    began = time.perf_counter()
    bank.prepare(plan.config())  # of which no way is charged
    found: dict[str, Any] = {"bank_seconds": round(time.perf_counter() - began, 1)}
    found["loaders"] = _loader_trial(plan) if any(way.name == "plain" for way in measured) else {}
    for _ in range(repeats):
        for way in measured:
            _measure(way, _best(found["loaders"]))
            print(f"{way.name}: {way.costs[-1].seconds:.1f} s", file=sys.stderr)
            if out:  # what is cut off has measured something
                _write(out, plan, found, measured)
    found |= _machine(plan)  # at last: it takes memory of a GPU
    print(table(measured, found))
    if out:
        _write(out, plan, found, measured)


def _write(out: Path, plan: Plan, found: dict[str, Any], measured: Sequence[Way]) -> None:
    content = found | {"plan": vars(plan), "ways": [way.figures() for way in measured]}
    out.write_text(json.dumps(content, indent=1) + "\n")


def _default_ways() -> tuple[str, ...]:
    if torch.cuda.is_available():
        return "plain", "plain8", "workers"
    return "plain", "loop", "workers"


def planned(way: str, plan: Plan) -> Plan:
    """What a way trains: a pack of K needs K seeds of a norm, since norms share no pack; K plain
    agents need as many to be busy.

    Exits where there is no such way.
    """
    if way in ("plain", "loop", "workers"):
        return plan
    if not re.fullmatch(r"(plain|pack)[1-9]\d*", way):
        sys.exit(
            f"{way}: no such way; allowed are plain, loop, workers, plainK and packK, such as pack8"
        )
    return dataclasses.replace(plan, seeds=max(plan.seeds, _count(way)))


def _count(way: str) -> int:
    """K of plainK and packK; 1 of other ways."""
    return int(way.lstrip("abcdefghijklmnopqrstuvwxyz") or 1)


def _loader_trial(plan: Plan) -> dict[int, float]:
    """Seconds of an epoch of 6,000 images of the plain agent by num_workers: 0, and from 1 to the
    cores by doubling; in a process of its own, which ends with what it takes of a GPU."""
    from tests.benchmarks import plain

    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        counts = [0, *(2**power for power in range(joblib.cpu_count().bit_length()))]
        return {n: pool.submit(plain.epoch_seconds, plan.first(), n).result() for n in counts}


def _best(trial: dict[int, float]) -> int:
    return min(trial, key=trial.get, default=0)


def _measure(way: Way, loaders: int) -> None:
    """Measure a way once, in an empty folder."""
    measure = _measure_plain if way.name.startswith("plain") else _measure_ours
    with tempfile.TemporaryDirectory() as folder:
        measure(way, Path(folder), places(way, loaders))


def places(way: Way, loaders: int) -> dict[str, str]:
    """The environment in which a way finds the code, where packages may lie on the path that this
    process was given, and the data."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    named = {
        "PYTHONPATH": os.pathsep.join(paths), "STUDY_DATA": files.data_folder().absolute(),
        "STUDY_CACHE": files.cache_folder().absolute(), "WANDB_SILENT": "true",
        # Agents side by side share the cores.
        "LOADERS": min(loaders, joblib.cpu_count() // _count(way.name)),
    }  # fmt: skip
    return {name: str(value) for name, value in named.items()}


def _measure_plain(way: Way, folder: Path, places: dict[str, str]) -> None:
    """Plain agents under `wandb agent`, against a stand-in for W&B on this machine."""
    command = ["${env}", "${interpreter}", "-m", "tests.benchmarks.plain"]
    sweep = {"method": "grid", "program": "plain.py", "command": command}
    sweep["parameters"] = way.plan.parameters()
    agents = _count(way.name)
    with Server() as server:
        path = server.add_sweep(yaml.safe_dump(sweep)).path
        agent = (
            f"{sys.executable} -m wandb agent --count {math.ceil(way.plan.count / agents)} {path}"
        )
        together = ["bash", "-c", f"{f'{agent} & ' * agents} wait"]
        way.costs.append(timed(together, folder, server.environment(folder) | places))
        finished = [run for run in server.runs.values() if run.state == "finished"]
    if len(finished) != way.plan.count:  # the agent ends as if all were well
        log = (folder / "output.log").read_text()
        sys.exit(f"plain: {len(finished)} of {way.plan.count} runs finished\n{log[-2000:]}")
    way.accuracy.append(mean(run.rows[-1]["test/accuracy"] for run in finished))


def _measure_ours(way: Way, folder: Path, places: dict[str, str]) -> None:
    file = folder / "bench.yaml"
    file.write_text(yaml.safe_dump({"method": "grid", "parameters": way.plan.parameters()}))
    words = [sys.executable, *_words(way.name, str(file))]
    way.costs.append(timed(words, folder, os.environ | places | {"WANDB_MODE": "offline"}))
    trained = sweep_folder.find(folder / "runs/bench")
    way.accuracy.append(mean(run.summary["test_accuracy_last"] for run in trained))
    way.packs |= {run.summary["pack"] for run in trained if run.summary["path"] == "pack"}


def _words(way: str, file: str) -> list[str]:
    """The command of a way that is ours, after the interpreter. A pack has one process: on a GPU
    by default, one a GPU; on a CPU by `--workers 1`."""
    sweep = ["-m", "study", "sweep", file]
    if way == "workers":
        return sweep
    if way == "loop":
        return [*sweep, "--pack", "1", "--workers", "1"]
    one = [] if torch.cuda.is_available() else ["--workers", "1"]
    return [*sweep, "--pack", str(_count(way)), *one]


def _machine(plan: Plan) -> dict[str, Any]:
    device = devices.pick()
    return {
        "device": devices.name(device),
        "cores": joblib.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "versions": provenance.versions(),
        "floor": floor(plan.config(), device),
    }


def table(ways: Sequence[Way], found: dict[str, Any]) -> str:
    """The figures in markdown: medians over the repeats, ratios with their spread.

    The ratio is of configurations an hour, to those of the first way, repeat by repeat. found: the
    machine, loaders and floor, as main has them.
    """
    first, least = ways[0], found["floor"]["seconds"]
    lines = [
        _caption(first.plan, len(first.costs), found),
        "",
        f"| way | configurations | seconds | configurations an hour | images/s | times {first.name}"
        " | times the floor | test accuracy | peak MB | GPU MB | watts |",
        "|-|-|-|-|-|-|-|-|-|-|-|",
        *(_row(way, first, least) for way in ways),
    ]
    return "\n".join(lines)


def _caption(plan: Plan, repeats: int, found: dict[str, Any]) -> str:
    versions = found["versions"]
    words = [
        f"{found['device']}, cores {found['cores']}, torch {versions['torch']}, wandb"
        f" {versions['wandb']}: {plan.network} on {plan.dataset}, epochs {plan.epochs}, augment"
        f" {plan.augment}, repeats {repeats}; medians (least to most)."
    ]
    if trial := found["loaders"]:
        words.append(f"The plain agent's best num_workers is {_best(trial)}.")
    return " ".join(words)


def _row(way: Way, first: Way, least: float) -> str:
    """least: seconds that an epoch of one configuration takes at the device's ceilings."""
    plan = way.plan
    seconds = median(cost.seconds for cost in way.costs)
    images = datasets.spec(plan.dataset).train_images * plan.epochs * plan.count
    ratios = [one / other for one, other in zip(way.rates(), first.rates())]
    cells = [
        way.name + _pack_sizes(way),
        plan.count,
        f"{seconds:.1f}",
        f"{3600 * plan.count / seconds:.0f}",
        f"{images / seconds:.0f}",
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{seconds / (least * plan.epochs * plan.count):.1f}",
        f"{median(way.accuracy):.2f}",
        f"{median(cost.peak_mb for cost in way.costs):.0f}",
        _known(cost.gpu_mb for cost in way.costs),
        _known(cost.watts for cost in way.costs),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _pack_sizes(way: Way) -> str:
    """The packs' sizes, where they are not what was asked for: memory held fewer."""
    if not way.packs or way.packs == {_count(way.name)}:
        return ""
    return f" (packs of {', '.join(map(str, sorted(way.packs)))})"


def _known(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.0f}" if known else ""


if __name__ == "__main__":
    tyro.cli(main)
