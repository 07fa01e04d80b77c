"""Up to which L1 lambda the penalty costs nothing significant, for each norm and what else varies.

Each lambda is compared with none, over common seeds and beside all other pairs of the same settings
(contrasts.py). The largest that is harmless is the last before the least that costs something, or
that may: under which the seeds spread so much that no cost could be seen.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from study.config import Config
from study.labels import labels
from study.metrics import Metric
from study.report import contrasts
from study.report.contrasts import Contrast
from study.report.variants import Study, Variant
from study.report.words import format_p
from study.values import number

SEVERAL = 2  # lambdas above 0 from which there is a largest


@dataclass(frozen=True)
class Limit:
    """The largest harmless lambda and the next, each with its contrast with none (the lambda's
    metric minus none's); None where each costs something, or may, or none does.

    sweep: of all its runs; base: the settings without L1; reduction: of the L1 term.
    """

    sweep: str
    base: Config
    reduction: str
    harmless: tuple[float, Contrast] | None
    next: tuple[float, Contrast] | None


def limits(study: Study) -> list[Limit]:
    """Find the largest harmless lambda beside each of the other settings, in each sweep by itself;
    none where no run is without L1, or a difference is not known, as of one seed."""
    groups: dict[tuple[str, Config], list[Variant]] = defaultdict(list)
    for variant in study.variants:
        groups[variant.sweep, _without(variant.config)].append(variant)
    found = []
    for (sweep, base), group in groups.items():
        none = [variant for variant in group if not variant.config.l1]
        by_reduction: dict[str, list[Variant]] = defaultdict(list)
        for variant in sorted(group, key=lambda each: each.config.l1):
            if variant.config.l1:
                by_reduction[variant.config.l1_reduction].append(variant)
        for reduction, penalized in by_reduction.items():
            if none and (limit := _limit(study, penalized, none[0])):
                found.append(Limit(sweep, base, reduction, *limit))
    return found


def _without(config: Config) -> Config:
    return dataclasses.replace(config, l1=0.0, l1_reduction="sum")


def _limit(
    study: Study, penalized: Sequence[Variant], none: Variant
) -> tuple[tuple[float, Contrast] | None, tuple[float, Contrast] | None] | None:
    """The last harmless lambda and the first that is not, of variants with rising lambdas."""
    if len(penalized) < SEVERAL:
        return None
    compared = contrasts.compare([each.values(study.rank_key) for each in (*penalized, none)])
    harmless = None
    for i, variant in enumerate(penalized):
        contrast = compared[i, len(penalized)]
        if not contrast.interval.low < contrast.interval.high:
            return None
        change = variant.config.l1, contrast
        lost = (contrast.interval.mean < 0) == study.metric.maximize
        if lost and not contrast.level:
            return harmless, change
        harmless = change
    return harmless, None


def sentence(study: Study) -> str | None:
    """Say up to which lambda nothing is lost, and what the next costs; None where nothing can be
    said."""
    found = limits(study)
    if not found:
        return None
    names = labels([limit.base for limit in found])
    several = len(study.sweeps) > 1
    words = [
        f"{f'{limit.sweep}, ' if several else ''}{names[limit.base.without_seed()]}:"
        f" {_words(limit, study.metric)}"
        for limit in found
    ]
    return (
        f"Up to these L1 lambdas no significant cost in {study.metric.title} was found:"
        f" {'; '.join(words)}."
    )


def _words(limit: Limit, metric: Metric) -> str:
    def value(l1: float) -> str:
        return f"{number(l1)} ({limit.reduction})"

    said = "none" if limit.harmless is None else value(limit.harmless[0])
    if limit.harmless:
        said += f", which changes it by {_change(limit.harmless[1], metric)}"
    if limit.next is None:
        return f"{said}, the largest that was tried"
    l1, contrast = limit.next
    if contrast.unclear:
        changes = f"its change by {_change(contrast, metric)} is open"
        return f"{said}; under {value(l1)} the seeds spread significantly more, and {changes}"
    mean = metric.format(contrast.interval.mean, signed=True)
    return f"{said}; {value(l1)} changes it by {mean} ({format_p(contrast.p)})"


def _change(contrast: Contrast, metric: Metric) -> str:
    """A change of a metric with its interval."""
    mean, low, high = (metric.format(x, signed=True) for x in contrast.interval[:3])
    return f"{mean}{metric.difference_unit} ({low} to {high})"
