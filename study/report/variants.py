"""The runs of a sweep put together: variants, each a configuration over its seeds."""

import dataclasses
import functools
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study import datasets, runs
from study.config import FIELDS, Config, labels, number, slug
from study.errors import UsageError
from study.report import stats
from study.report.figures import drawing
from study.runs import FINISHED, Run
from study.train import networks

SHOWN = 10  # variants that figures tell apart
DETAILED = 4  # of more variants, those with a section of their own
DIGITS = 4
LONGEST = 150  # letters of a label in a file's name
LONG = re.compile(r"\d+\.\d{5,}(?:e-?\d+)?")  # a number with more digits than a label should have
OTHERS = "0.75"  # the grey of the others


@dataclass(frozen=True, eq=False)
class Variant:
    """One configuration over its seeds. `runs`: those that finished, by seed; `file`: what its
    figures are called."""

    label: str
    config: Config
    runs: list[Run]
    sweep: str = ""
    file: str = ""

    @functools.cached_property
    def epochs(self) -> list[int]:
        """The epochs that all runs have; one pulled from W&B may lack some."""
        return sorted(set.intersection(*({row["epoch"] for row in r.history} for r in self.runs)))

    def curves(self, metric: str) -> np.ndarray:
        """[seeds, epochs] of a metric of the history; NaN where it was not logged."""
        rows = [{row["epoch"]: row.get(metric, np.nan) for row in run.history} for run in self.runs]
        return np.array([[row[epoch] for epoch in self.epochs] for row in rows])

    def last(self, key: str) -> stats.Interval:
        """A figure of the summary over the seeds that have it."""
        return stats.mean_interval(list(self.values(key).values()))

    def values(self, key: str) -> dict[int, float]:
        """Seed -> a figure of the summary; seeds that lack it, or have no number there, are out."""
        found = {run.config.seed: run.summary.get(key, np.nan) for run in self.runs}
        return {seed: value for seed, value in found.items() if np.isfinite(value)}

    def late_deviation(self) -> dict[int, float]:
        """Seed -> how far test accuracy moves between the last five epochs."""
        moves = stats.late_deviation(self.curves("test/accuracy"))
        return {run.config.seed: float(value) for run, value in zip(self.runs, moves)}

    def first_epoch_at_target(self, target: float) -> int | None:
        """The first epoch from which on the mean test accuracy stays at or above a target."""
        return stats.first_epoch_at_target(
            self.curves("test/accuracy").mean(axis=0), self.epochs, target
        )

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The layer table; counted again where the run, pulled from W&B, came without."""
        for run in self.runs:
            if run.has(runs.PARAMETERS):
                return run.parameters()
        return networks.parameter_table(self.config)

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The data set's; of one's own, whose file may be elsewhere, numbers as the runs have."""
        if row := datasets.DATASETS.get(self.config.dataset):
            return row.class_names
        wrong = [run.misclassified() for run in self.runs if run.has(runs.MISCLASSIFIED)]
        seen = [labels for each in wrong for labels in (each.target, each.predicted)]
        counts = [len(run.confusion()) for run in self.runs if run.has(runs.CONFUSION)]
        counts += [int(labels.max(initial=0)) + 1 for labels in seen]
        return datasets.numbered(max(counts, default=0))

    @functools.cached_property
    def test_images(self) -> int | None:
        """How many there are; None of one's own data set where no run has its confusion."""
        if row := datasets.DATASETS.get(self.config.dataset):
            return row.test_images
        found = [run.confusion() for run in self.runs if run.has(runs.CONFUSION)]
        return int(found[0].sum()) if found else None


@dataclass(frozen=True)
class Study:
    """The runs of a sweep, put together: a variant is a configuration over its seeds."""

    name: str
    variants: list[Variant]
    runs: dict[str, list[Run]]  # label -> its runs in every state
    duplicates: list[Run]  # of a configuration that another run has too; counted once

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder of its one sweep; None where there are several."""
        folders = {run.path.parent for run in self.all}
        return folders.pop() if len(folders) == 1 else None

    @property
    def all(self) -> list[Run]:
        return [run for group in self.runs.values() for run in group]

    @functools.cached_property
    def by_validation(self) -> bool:
        """Whether every variant has a validation accuracy to be ranked by."""
        return all(variant.values("val_accuracy_last") for variant in self.variants)

    @property
    def rank_key(self) -> str:
        return "val_accuracy_last" if self.by_validation else "test_accuracy_last"

    @property
    def chosen_by(self) -> str:
        """The same in words."""
        part = "validation" if self.by_validation else "test"
        return f"{part} accuracy at the last epoch (%)"

    @functools.cached_property
    def shown(self) -> list[Variant]:
        """The best few, in the order of their settings: what has a colour and a section."""
        best = self.ranked()[:SHOWN]
        return [variant for variant in self.variants if variant in best]

    @property
    def detailed(self) -> list[Variant]:
        """What has a section of its own, the best first: all that have a colour, of many a few."""
        return self.ranked()[: DETAILED if self.others else SHOWN]

    @property
    def others(self) -> int:
        return len(self.variants) - len(self.shown)

    def colour(self, variant: Variant) -> str:
        return drawing.line(self.shown.index(variant))[0] if variant in self.shown else OTHERS

    def ranked(self) -> list[Variant]:
        """The best first."""
        return list(self._ranked)

    @functools.cached_property
    def _ranked(self) -> list[Variant]:
        scores = [(variant.last(self.rank_key).mean, variant) for variant in self.variants]
        known = [each for each in scores if np.isfinite(each[0])]
        unknown = [variant for mean, variant in scores if not np.isfinite(mean)]
        return [v for _, v in sorted(known, key=lambda each: -each[0])] + unknown


def collect(folder: Path, *others: Path) -> Study:
    """The study that the folder of a sweep holds, or those of several together.

    Raises:
        UsageError: no runs, or none finished, or a folder given twice.
    """
    folders = [folder, *others]
    names = [path.resolve().name for path in folders]
    if len(set(names)) < len(names):  # such as old/mnist and new/mnist
        names = [str(path) for path in folders]
    if len(set(names)) < len(names):
        raise UsageError(f"{folders[-1]}: given twice; compare a sweep with another")
    study = gather({name: runs.find(path) for name, path in zip(names, folders)})
    for name, path in zip(names, folders):
        if not any(variant.sweep == name for variant in study.variants):
            count = sum(run.path.parent == path for run in study.all)
            raise UsageError(f"{path}: none of its {count} runs has finished; run the sweep first")
    return study


def gather(sweeps: Mapping[str, Iterable[Run]]) -> Study:
    """The runs of sweeps, by name, put together by configuration, in each sweep of its own; of
    several of one configuration and seed, a finished one counts, and the others are duplicates."""
    found, seen, duplicates = [], set(), []
    together = [(sweep, run) for sweep, read in sweeps.items() for run in read]
    for sweep, run in sorted(together, key=lambda each: each[1].state != FINISHED):
        known = (sweep, run.config.identity) in seen
        duplicates.append(run) if known else found.append((sweep, run))
        seen.add((sweep, run.config.identity))
    named = _shortened(labels(run.config for _, run in found))
    order = list(sweeps)
    found.sort(key=lambda each: (_as_written(each[1].config), each[1].config.seed))
    found.sort(key=lambda each: order.index(each[0]))
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for sweep, run in found:
        label = named[run.config.without_seed()]
        groups[sweep, label if len(sweeps) == 1 else f"{sweep}: {label}"].append(run)
    variants, files = [], _files([label for _, label in groups])
    for (sweep, label), group in groups.items():
        finished = [run for run in group if run.state == FINISHED]
        if finished:
            config = finished[0].config.without_seed()
            variants.append(Variant(label, config, finished, sweep, files[label]))
    everything = {label: group for (_, label), group in groups.items()}
    return Study(" and ".join(sweeps), variants, everything, duplicates)


def _shortened(named: dict[Config, str]) -> dict[Config, str]:
    """Labels with the long numbers of a search's draws in four digits, where they stay distinct."""

    def short(found: re.Match) -> str:
        return number(float(f"{float(found[0]):.{DIGITS}g}"))

    shorter = {config: LONG.sub(short, label) for config, label in named.items()}
    return shorter if len(set(shorter.values())) == len(named) else named


def _files(labels: Iterable[str]) -> dict[str, str]:
    """A name for the files of each label: no two alike, none too long for a file system."""
    names: dict[str, str] = {}
    for label in labels:
        name = short = slug(label)[:LONGEST]
        for copy in itertools.count(2):
            if name not in names.values():
                break
            name = f"{short}_{copy}"
        names[label] = name
    return names


def _as_written(config: Config) -> list[Any]:
    """A sort key: settings but the seed, in the order in which Config lists what they allow."""
    values = dataclasses.asdict(config.without_seed())
    return [field.rank(values[name]) for name, field in FIELDS.items()]


def percent(interval: stats.Interval) -> str:
    """An accuracy in words: its mean, and half its interval where it has one."""
    if np.isnan(interval.mean):
        return "unknown"
    reach = f" ± {interval.half_width:.2f}" if np.isfinite(interval.half_width) else ""
    return f"{interval.mean:.2f}{reach} %"


def count(n: int, noun: str) -> str:
    """1 run, 2 runs, 1,000 runs."""
    return f"{n:,} {noun}{'s' * (n != 1)}"
