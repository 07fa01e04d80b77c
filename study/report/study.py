"""A study: the runs of a sweep, or of several, grouped into variants and ranked."""

import dataclasses
import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from study import runs
from study.config import Config
from study.metrics import Metric, default_metric
from study.planned import Plan
from study.report.variants import KIND, TEST, Variant
from study.runs import Run

SHOWN = 24  # variants with a look of their own in figures: so many can be told apart
FEW = 10  # variants that each have a section of their own; of more only the best DETAILED
DETAILED = 4
MOST_FAMILIES = 2  # kinds of variants whose best are compared in sentences


@dataclass(frozen=True)
class Study:
    """The runs of a sweep, or of several, grouped: a variant is a configuration over its seeds.

    runs: label -> its runs in every state; sweep_of: label -> its sweep; duplicates: runs of a
    configuration that another run has too, which is counted; plans: by sweep, of those that have
    one; planned: by such a sweep and by label, the configurations that were planned or have a run;
    unread: run folder -> why it cannot be read.
    """

    name: str
    variants: list[Variant]
    runs: dict[str, list[Run]]
    duplicates: list[Run]
    sweep_of: dict[str, str] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    planned: dict[str, dict[str, list[Config]]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def folder(self) -> Path | None:
        """The folder of its one sweep; None where there are several."""
        folders = {run.path.parent for run in self.all}
        return folders.pop() if len(folders) == 1 else None

    @property
    def unread_by_cause(self) -> dict[str, list[str]]:
        """The run folders that cannot be read, by the cause, which many may share."""
        causes: dict[str, list[str]] = {}
        for folder, why in self.unread.items():
            causes.setdefault(why, []).append(folder)
        return causes

    @property
    def plan(self) -> Plan | None:
        """The plan of its one sweep; None where there are several, or none was written."""
        return self.plans.get(self.name)

    @functools.cached_property
    def by_dataset(self) -> dict[str, "Study"]:
        """Its parts by data set, the largest first: nothing compares accuracies on different
        images. Itself where there is one; without data sets on which no run has finished."""
        counts = Counter(variant.config.dataset for variant in self.variants)
        if len(counts) == 1:
            return {dataset: self for dataset in counts}
        return {dataset: self._on(dataset) for dataset, _ in counts.most_common()}

    def _on(self, dataset: str) -> "Study":
        """The part on one data set, of the sweeps that have runs on it."""
        variants = [variant for variant in self.variants if variant.config.dataset == dataset]
        sweeps = list(dict.fromkeys(variant.sweep for variant in variants))
        return dataclasses.replace(
            self,
            name=" and ".join(sweeps),
            variants=variants,
            runs={
                label: group
                for label, group in self.runs.items()
                if group[0].config.dataset == dataset
            },
            duplicates=[run for run in self.duplicates if run.config.dataset == dataset],
            plans={sweep: plan for sweep, plan in self.plans.items() if sweep in sweeps},
            planned={
                sweep: {
                    label: group for label, group in by_label.items() if group[0].dataset == dataset
                }
                for sweep, by_label in self.planned.items()
                if sweep in sweeps
            },
        )

    @property
    def all(self) -> list[Run]:
        return [run for group in self.runs.values() for run in group]

    def lost(self, label: str) -> int:
        """How many runs of a label failed or were stopped."""
        return sum(run.state in runs.ENDED_EARLY for run in self.runs[label])

    def share_lost(self, label: str) -> Fraction:
        """Which share of its runs these are."""
        return Fraction(self.lost(label), len(self.runs[label]))

    @property
    def target(self) -> float | None:
        """The test accuracy in percent that its sweeps aim at; None where they do not agree."""
        targets = {plan.target for plan in self.plans.values()}
        return targets.pop() if len(targets) == 1 else None

    @functools.cached_property
    def metric(self) -> Metric:
        """What ranks the variants, at the last epoch: the metric of the sweep, or that which all
        sweeps have in common. Where there is none, or runs lack it, the accuracy, by validation
        where every variant has it."""
        named = {plan.metric for plan in self.plans.values()}
        metric = named.pop() if len(named) == 1 else None
        if metric and self._all_have(metric) and len(self.plans) == len(self.sweeps):
            return metric
        return default_metric(self._all_have(default_metric(True)))

    def _all_have(self, metric: Metric) -> bool:
        return all(variant.values(metric.key) for variant in self.variants)

    @property
    def has_curves(self) -> bool:
        """Whether any run has more than one epoch."""
        return any(len(variant.epochs) > 1 for variant in self.variants)

    @property
    def sweeps(self) -> list[str]:
        """The names of the sweeps that have variants."""
        return list(dict.fromkeys(variant.sweep for variant in self.variants))

    @property
    def by_test(self) -> bool:
        """Whether the variants are ranked on the test images, which flatters the best."""
        return self.metric.part == "test"

    @property
    def rank_key(self) -> str:
        """The figure of a summary that ranks the variants."""
        return self.metric.key

    @property
    def chosen_by(self) -> str:
        """What ranks the variants, as the title of an axis."""
        return self.metric.axis_title(" at the last epoch")

    @functools.cached_property
    def shown(self) -> list[Variant]:
        """The best variants of each kind, in order: those with a look of their own in figures."""
        in_turn = itertools.zip_longest(*self.families)  # the best of each kind, the seconds, ...
        best = [variant for rank in in_turn for variant in rank if variant][:SHOWN]
        return [variant for variant in self.order if variant in best]

    @functools.cached_property
    def order(self) -> list[Variant]:
        """The variants as figures and tables list them: by kind, in each the best first."""
        return [variant for family in self.families for variant in family]

    def number(self, variant: Variant) -> int:
        """The number by which figures name a variant: its place in their order, from 1."""
        return self.order.index(variant) + 1

    @property
    def detailed(self) -> list[Variant]:
        """The variants with a section of their own, the best first: fewer where there are many."""
        return self.order[:FEW] if len(self.variants) <= FEW else self.ranked[:DETAILED]

    @property
    def hidden(self) -> int:
        """How many variants have no look of their own."""
        return len(self.variants) - len(self.shown)

    @functools.cached_property
    def ranked(self) -> list[Variant]:
        """The variants, the best first; those without the figure that ranks them last."""
        scores = [(variant.last(self.rank_key).mean, variant) for variant in self.variants]
        known = [(mean, variant) for mean, variant in scores if np.isfinite(mean)]
        unknown = [variant for mean, variant in scores if not np.isfinite(mean)]
        best_first = sorted(known, key=lambda score: score[0], reverse=self.metric.maximize)
        return [variant for _, variant in best_first] + unknown

    @functools.cached_property
    def families(self) -> list[list[Variant]]:
        """The variants of each kind, the best first; the largest family first."""
        groups: dict[tuple[Any, ...], list[Variant]] = defaultdict(list)
        for variant in self.ranked:
            groups[variant.kind].append(variant)
        return sorted(groups.values(), key=len, reverse=True)

    @property
    def compared_families(self) -> list[list[Variant]]:
        """The families whose best are compared in sentences: the largest of several variants, or
        the first where each has one."""
        several = [family for family in self.distinct_families if len(family) > 1]
        return several[:MOST_FAMILIES] or self.distinct_families[:1]

    @functools.cached_property
    def distinct_families(self) -> list[list[Variant]]:
        """The families without the variants that are the same runs as another sweep's: copied, or
        trained again to the same numbers. Runs that are counted twice make each test err."""
        return [_without_copies(family) for family in self.families]

    def describe_kind(self, variant: Variant) -> str:
        """What sets a variant's kind apart from the others; empty where there is one."""
        return ", ".join(f"{name} {getattr(variant.config, name)}" for name in self.kinds_differ_in)

    @property
    def kinds_differ_in(self) -> list[str]:
        """The settings that set kinds of variants apart."""
        return [name for name in KIND if len({getattr(v.config, name) for v in self.variants}) > 1]

    def failed_to_learn(self, variant: Variant) -> list[int]:
        """The seeds of a variant whose run ended nearer to guessing than to the best run of its
        kind, by test accuracy; none where the number of classes is not known."""
        best = self._best_runs.get(variant.kind)
        if best is None or not variant.class_names:
            return []
        middle = (100 / len(variant.class_names) + best) / 2
        return [seed for seed, value in variant.values(TEST).items() if value < middle]

    @functools.cached_property
    def _best_runs(self) -> dict[tuple[Any, ...], float]:
        """Kind -> the test accuracy of its best run."""
        best: dict[tuple[Any, ...], float] = {}
        for variant in self.variants:
            for value in variant.values(TEST).values():
                best[variant.kind] = max(value, best.get(variant.kind, value))
        return best


def _without_copies(family: Sequence[Variant]) -> list[Variant]:
    """A family without copies: of each the one of the most seeds stays."""
    kept: dict[Config, list[Variant]] = defaultdict(list)
    for variant in sorted(family, key=lambda each: -len(each.runs)):
        if not any(variant.is_copy_of(other) for other in kept[variant.config]):
            kept[variant.config].append(variant)
    return [variant for variant in family if variant in kept[variant.config]]
