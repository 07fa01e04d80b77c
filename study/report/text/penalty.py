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
from fractions import Fraction

from study.config import Config
from study.labels import labels
from study.metrics import Metric
from study.report import contrasts
from study.report.contrasts import Contrast
from study.report.text import pairs
from study.report.variants import Study, Variant
from study.report.words import format_p
from study.runs import ENDED_EARLY, Run
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

    config: Config
    runs: list[Run]
    variant: Variant | None

    @property
    def lost(self) -> int:
        return sum(run.state in ENDED_EARLY for run in self.runs)

    @property
    def share_lost(self) -> Fraction:
        return Fraction(self.lost, len(self.runs))


def limits(study: Study) -> list[Limit]:
    """Find the largest harmless lambda beside each of the other settings, in each sweep by itself;
    none where no run is without L1, or a difference is not known, as of one seed."""
    groups: dict[tuple[str, Config], list[_Tried]] = defaultdict(list)
    variants = {variant.label: variant for variant in study.variants}
    for label, runs in study.runs.items():
        tried = _Tried(runs[0].config.without_seed(), runs, variants.get(label))
        if sweep := _sweep_of(study, label):
            groups[sweep, _without(tried.config)].append(tried)
    found = []
    for (sweep, base), group in groups.items():
        none = [tried for tried in group if not tried.config.l1 and tried.variant]
        by_reduction: dict[str, list[_Tried]] = defaultdict(list)
        for tried in sorted(group, key=lambda each: each.config.l1):
            if tried.config.l1 and (tried.variant or tried.lost):
                by_reduction[tried.config.l1_reduction].append(tried)
        for reduction, penalized in by_reduction.items():
            if none and (limit := _limit(study, penalized, none[0])):
                found.append(Limit(sweep, base, reduction, *limit))
    return found


def _sweep_of(study: Study, label: str) -> str:
    """The sweep of a label, which begins with its name where there are several; empty of one of
    which no run has finished."""
    for sweep in study.sweeps:
        start = f"{sweep}: "
        named = any(variant.label.startswith(start) for variant in study.variants)
        if label.startswith(start) or (len(study.sweeps) == 1 and not named):
            return sweep
    return ""


def _without(config: Config) -> Config:
    return dataclasses.replace(config, l1=0.0, l1_reduction="sum")


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
            lower = (contrast.interval.mean < 0) == study.metric.maximize
            if lower and (contrast.significant or contrast.unclear):
                return harmless, change, None
        if tried.variant is None or tried.share_lost > none.share_lost:
            return harmless, None, (tried.config.l1, tried.lost, len(tried.runs))
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
        f"{f'{limit.sweep}, ' if several else ''}{names[limit.base.without_seed()]}:"
        f" {_words(limit, study.metric)}"
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
