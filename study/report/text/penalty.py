"""Up to which L1 lambda the penalty costs nothing significant, for each norm and what else varies.

Each lambda is compared with none, over common seeds and beside all other pairs of the same settings
(contrasts.py). The largest that is harmless is the last before the least that costs something, or
that may: under which the seeds spread so much that no cost could be seen, or more runs failed or
were stopped than without L1, whose accuracy nobody knows.
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
from study.report.study import Study
from study.report.text import pairs
from study.report.variants import Variant
from study.report.words import format_p
from study.values import number

SEVERAL = 2  # lambdas above 0 from which there is a largest
EXCLUDED = ", which excludes none within the 95 % interval in brackets"
Change = tuple[float, Contrast]  # a lambda, and its contrast with none
Lost = tuple[float, int, int]  # a lambda, how many of its runs ended early, and of how many


@dataclass(frozen=True)
class Limit:
    """The largest harmless lambda and the next, each with its contrast with none (the lambda's
    metric minus none's); None where each costs something, or may, or none does.

    sweep: of all its runs; base: the settings without L1; reduction: of the L1 term; lost: the
    lambda under which runs failed or were stopped, where that ends the harmless ones.
    """

    sweep: str
    base: Config
    reduction: str
    harmless: Change | None
    next: Change | None
    lost: Lost | None = None


@dataclass(frozen=True)
class _Tried:
    """A configuration that has runs in any state; variant: None where none of them finished."""

    label: str
    config: Config
    variant: Variant | None


def limits(study: Study) -> list[Limit]:
    """Find the largest harmless lambda beside each of the other settings, in each sweep by itself;
    none where no run is without L1, or a difference is not known, as of one seed."""
    groups: dict[tuple[str, Config], list[_Tried]] = defaultdict(list)
    variants = {variant.label: variant for variant in study.variants}
    for label, runs in study.runs.items():
        tried = _Tried(label, runs[0].config.without_seed(), variants.get(label))
        groups[study.sweep_of[label], _without(tried.config)].append(tried)
    found = []
    for (sweep, base), group in groups.items():
        none = [tried for tried in group if not tried.config.l1 and tried.variant]
        by_reduction: dict[str, list[_Tried]] = defaultdict(list)
        for tried in sorted(group, key=lambda each: each.config.l1):
            if tried.config.l1 and (tried.variant or study.lost(tried.label)):
                by_reduction[tried.config.l1_reduction].append(tried)
        for reduction, penalized in by_reduction.items():
            if none and (limit := _limit(study, penalized, none[0])):
                found.append(Limit(sweep, base, reduction, *limit))
    return found


def _without(config: Config) -> Config:
    return dataclasses.replace(config, l1=0.0, l1_reduction="sum")


def may_cost(contrast: Contrast, maximize: bool = True) -> bool:
    """Whether a lambda, less none, costs something significantly, or may: its seeds spread so much
    that no cost could be seen."""
    worse = (contrast.interval.mean < 0) == maximize
    return worse and (contrast.significant or contrast.unclear)


def _limit(
    study: Study, penalized: Sequence[_Tried], none: _Tried
) -> tuple[Change | None, Change | None, Lost | None] | None:
    """The last harmless lambda and the first that is not, or that lost runs, of rising lambdas."""
    if len(penalized) < SEVERAL:
        return None
    known = [each.variant for each in (*penalized, none) if each.variant]
    compared = contrasts.compare([variant.values(study.rank_key) for variant in known])
    harmless = None
    for tried in penalized:
        change = None
        if tried.variant:
            contrast = compared[known.index(tried.variant), len(known) - 1]
            change = tried.config.l1, pairs.within_bounds(contrast, study.metric)
            if may_cost(contrast, study.metric.maximize):
                return harmless, change, None
        label = tried.label
        if tried.variant is None or study.share_lost(label) > study.share_lost(none.label):
            lost = tried.config.l1, study.lost(label), len(study.runs[label])
            return harmless, None, lost
        if not contrast.interval.low < contrast.interval.high:
            return None
        harmless = change
    return harmless, None, None


def sentence(study: Study) -> str | None:
    """Say up to which lambda nothing is lost, and what the next costs; None where nothing can be
    said."""
    found = limits(study)
    if not found:
        return None
    names = labels([limit.base for limit in found])
    several = len(study.sweeps) > 1
    words = [
        f"{f'{limit.sweep}, ' if several else ''}{names[limit.base]}: {_words(limit, study.metric)}"
        for limit in found
    ]
    return (
        f"Up to these L1 lambdas no significant cost in {study.metric.title} was found"
        f"{EXCLUDED * any(limit.harmless for limit in found)}: {'; '.join(words)}."
    )


def _words(limit: Limit, metric: Metric) -> str:
    def value(l1: float) -> str:
        return f"{number(l1)} ({limit.reduction})"

    said = "none" if limit.harmless is None else value(limit.harmless[0])
    if limit.harmless:
        said += f", which changes it by {_change(limit.harmless[1], metric)}"
    if limit.lost:
        l1, lost, runs = limit.lost
        failed = f"{lost} of {runs} runs failed or were stopped"
        return f"{said}; under {value(l1)} {failed}, whose cost is not known"
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
