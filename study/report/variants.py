"""The runs of a sweep put together: variants, each a configuration over its seeds."""

import dataclasses
import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study import runs
from study.config import FIELDS, Config, Refused, labels, number
from study.report import drawing, stats
from study.runs import FINISHED, Run
from study.train import networks

SHOWN = 10  # variants that figures tell apart
DETAILED = 4  # of more variants, those with a section of their own
DIGITS = 4
LONG = re.compile(r"\d+\.\d{5,}(?:e-?\d+)?")  # a number with more digits than a label should have
OTHERS = "0.75"  # the grey of the others


@dataclass(frozen=True, eq=False)
class Variant:
    """One configuration over its seeds. `runs`: those that finished, by seed."""

    label: str
    config: Config
    runs: list[Run]

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

    def held(self, target: float) -> int | None:
        """The first epoch from which on the mean test accuracy stays at or above a target."""
        return stats.first_held(self.curves("test/accuracy").mean(axis=0), self.epochs, target)

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The layer table; counted again where the run, pulled from W&B, came without."""
        for run in self.runs:
            if run.has("parameters.json"):
                return run.parameters()
        return networks.parameter_table(self.config)


@dataclass(frozen=True)
class Study:
    """The runs of a sweep, put together: a variant is a configuration over its seeds."""

    name: str
    variants: list[Variant]
    runs: dict[str, list[Run]]  # label -> its runs in every state
    duplicates: list[Run]  # of a configuration that another run has too; counted once

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
        """What has a section of its own: all that have a colour, of many the very best."""
        best = self.ranked()[:DETAILED] if self.others else self.shown
        return [variant for variant in self.shown if variant in best]

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


def collect(folder: Path) -> Study:
    """The study that a sweep's folder holds.

    Raises:
        Refused: no runs, or none finished.
    """
    study = gather(folder.resolve().name, runs.find(folder))
    if not study.variants:
        raise Refused(
            f"{folder}: none of its {len(study.all)} runs has finished; run the sweep first"
        )
    return study


def gather(name: str, read: Iterable[Run]) -> Study:
    """Runs put together by configuration; of several of one configuration and seed, a finished one
    counts, and the others are duplicates."""
    found, seen, duplicates = [], set(), []
    for run in sorted(read, key=lambda run: run.state != FINISHED):
        (duplicates if run.config.identity in seen else found).append(run)
        seen.add(run.config.identity)
    named = _shortened(labels(run.config for run in found))
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(found, key=lambda run: (_as_written(run.config), run.config.seed)):
        groups[named[run.config.without_seed()]].append(run)
    variants = []
    for label, group in groups.items():
        finished = [run for run in group if run.state == FINISHED]
        if finished:
            variants.append(Variant(label, finished[0].config.without_seed(), finished))
    return Study(name, variants, dict(groups), duplicates)


def _shortened(named: dict[Config, str]) -> dict[Config, str]:
    """Labels with the long numbers of a search's draws in four digits, where they stay distinct."""

    def short(found: re.Match) -> str:
        return number(float(f"{float(found[0]):.{DIGITS}g}"))

    shorter = {config: LONG.sub(short, label) for config, label in named.items()}
    return shorter if len(set(shorter.values())) == len(named) else named


def _as_written(config: Config) -> list[Any]:
    """A sort key: settings but the seed, in the order in which Config lists what they allow."""
    values = dataclasses.asdict(config.without_seed())
    return [field.rank(values[name]) for name, field in FIELDS.items()]


def percent(interval: stats.Interval) -> str:
    """An accuracy in words: its mean, and half its interval where it has one."""
    if np.isnan(interval.mean):
        return "unknown"
    reach = f" ± {interval.half:.2f}" if np.isfinite(interval.half) else ""
    return f"{interval.mean:.2f}{reach} %"


def count(n: int, noun: str) -> str:
    """1 run, 2 runs, 1,000 runs."""
    return f"{n:,} {noun}{'s' * (n != 1)}"
