"""What won, or what is level, at a glance: the cards on top of the report."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.report.axis import varying
from study.report.text.findings import MOST_FAMILIES
from study.report.text.pairs import Pair, lead
from study.report.variants import TEST, Study, Variant
from study.report.words import count, format_p, in_words, listed, percent

WON, TIE, OPEN = "won", "tie", "open"  # outcomes; open: too few seeds to compare
MOST_TIED = 3  # variants of a tie that a card lists
# What labels mean by `L1 1e-5 (sum)`.
REDUCTIONS = {
    "sum": "|w| summed over all weights",
    "mean": "each tensor's mean |w|, summed",
}


@dataclass(frozen=True)
class Line:
    """A variant on a card, as text: `score` by the metric that ranks, with its interval; `facts`
    that set it apart from the others on the card."""

    number: int
    label: str
    score: str
    facts: str


@dataclass(frozen=True)
class Card:
    """The best variant of a kind, or those that do not differ significantly from it.

    kind: what sets this kind apart from others, empty where there is one; measured: what the
    scores are, what all its variants cost, and on the first card what L1 is in the labels; outcome:
    WON, TIE or OPEN; verdict: how sure that is.
    """

    heading: str
    kind: str
    measured: str
    lines: list[Line]
    verdict: str
    outcome: str


def cards(study: Study, compared: Sequence[Pair]) -> list[Card]:
    """Build a card for each kind that the findings rank."""
    several = [family for family in study.families if len(family) > 1]
    ranked = several[:MOST_FAMILIES] or study.families[:1]
    made = [
        _card(study, family, [pair for pair in compared if pair.one is family[0]])
        for family in ranked
    ]
    if words := _reductions(study.shown):
        made[0] = dataclasses.replace(made[0], measured=f"{made[0].measured} {words}")
    return made


def _reductions(variants: Sequence[Variant]) -> str:
    """What the labels of variants say of L1; empty where none says anything."""
    named = [
        f"{words} ({reduction})"
        for reduction, words in REDUCTIONS.items()
        if any(v.config.l1 and f"({reduction})" in v.label for v in variants)
    ]
    return f"L1 adds to the loss lambda times {' or '.join(named)}." if named else ""


def tried(study: Study) -> str:
    """What was tried, in a line: how many variants and runs, on what, and what varied."""
    configs = [group[0].config for group in study.runs.values()]
    places = dict.fromkeys(
        f"{config.network} on {config.dataset}, {count(config.epochs, 'epoch')}"
        for config in configs
    )
    words = f"{count(len(study.runs), 'variant')}, {count(len(study.all), 'run')}"
    seeds = {len(group) for group in study.runs.values()}
    words += f" ({max(seeds)} seeds each)" if len(seeds) == 1 and max(seeds) > 1 else ""
    words += " of network " + "; ".join(list(places)[:2])
    words += f"{' and more' if len(places) > 2 else ''}. {_varied(study)}".rstrip()
    datasets = dict.fromkeys(config.dataset for config in configs)
    without = [dataset for dataset in datasets if dataset not in study.by_dataset]
    return f"{words} Without a finished run: {listed(without)}." if without else words


def _varied(study: Study) -> str:
    """Which settings varied, and which of them only together with others: what those do cannot be
    known. Of a search, and of several sweeps together, that is so of most."""
    axes = varying(study)
    if not axes:
        return ""
    words = f"Varied: {listed([axis.title for axis in axes])}."
    searched = any(plan.method != "grid" for plan in study.plans.values())
    if len(axes) == 1 or len(study.sweeps) > 1 or searched:
        return words
    rows = {tuple(getattr(v.config, axis.name) for axis in axes) for v in study.variants}
    never = [
        axis.title
        for i, axis in enumerate(axes)
        if len({row[:i] + row[i + 1 :] for row in rows}) == len(rows)
    ]
    if not never:
        return words
    return f"{words} No two variants differ in {' or in '.join(never)} alone."


def _card(study: Study, family: Sequence[Variant], with_best: Sequence[Pair]) -> Card:
    best = family[0]
    level = [pair.two for pair in with_best if _known(pair) and not pair.contrast.significant]
    outcome, heading, verdict = _verdict(family, with_best, len(level))
    shown = [best, *level][:MOST_TIED]
    if len(level) >= MOST_TIED:
        more = len(level) + 1 - MOST_TIED
        differ = "does not differ" if more == 1 else "do not differ"
        verdict += f" {more} more {differ} significantly from {best.label}."
    return Card(
        heading,
        study.describe_kind(best),
        f"{_measured(study, shown)} {_cost(shown, family)}",
        [_line(study, variant, shown) for variant in shown],
        verdict,
        outcome,
    )


def _line(study: Study, variant: Variant, shown: Sequence[Variant]) -> Line:
    facts = [] if study.rank_key == TEST else [f"test accuracy {percent(variant.last(TEST))}"]
    if len({each.parameters["total"] for each in shown}) > 1:
        facts.append(f"{variant.parameters['total']:,} parameters")
    score = in_words(variant.last(study.rank_key), study.metric)
    return Line(study.number(variant), variant.label, score, ", ".join(facts))


def _measured(study: Study, shown: Sequence[Variant]) -> str:
    """What the scores are: means over how many seeds."""
    seeds = [len(variant.values(study.rank_key)) for variant in shown]
    over = _range(f"{min(seeds)}", f"{max(seeds)}")
    interval = ", ± half its 95 % interval" if max(seeds) > 1 else ""
    words = f"{study.metric.title} at the last epoch over {over} seed{'s' * (max(seeds) > 1)}"
    return f"Mean {words}{interval}."


def _cost(shown: Sequence[Variant], family: Sequence[Variant]) -> str:
    """What the variants cost: the parameters of those shown, where they have as many, and seconds
    of all."""
    sizes = {variant.parameters["total"] for variant in shown}
    words = [f"{sizes.pop():,} parameters"] if len(sizes) == 1 else []
    seconds = [variant.last("seconds").mean for variant in family]
    if np.isfinite(seconds).all():
        unit, one = ("min", 60) if max(seconds) >= 120 else ("s", 1)
        low, high = (f"{end / one:.0f}" for end in (min(seconds), max(seconds)))
        of = " of any variant" if len(shown) < len(family) else ""
        words.append(f"{_range(low, high)} {unit} to train a run{of}")
    return f"{', '.join(words)}." if words else ""


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _known(pair: Pair) -> bool:
    """Whether the seeds of a pair are enough to test their difference."""
    return bool(np.isfinite(pair.contrast.p))


def _verdict(
    family: Sequence[Variant], with_best: Sequence[Pair], level: int
) -> tuple[str, str, str]:
    """The outcome, the heading of a card, and its verdict: by how much the best is ahead, and
    whether it differs significantly from the others, but for `level` of them."""
    best, n = family[0].label, len(family)
    if n < 2:
        return OPEN, "The only variant", "There is nothing to compare it with."
    known = [pair for pair in with_best if _known(pair)]
    if not known:
        few = "Too few common seeds to test a difference: train more seeds."
        return OPEN, f"First of {n} variants", few
    unknown = [pair.two.label for pair in with_best if not _known(pair)]
    too_few = f" Too few common seeds with {listed(unknown)}." if unknown else ""
    ahead = [p.two.label for p in known if p.contrast.significant and p.contrast.interval.mean < 0]
    if ahead:  # of a study ranked by another metric
        return OPEN, f"First of {n} variants", f"In test accuracy it is behind {listed(ahead)}."
    if level:
        heading = f"Not significantly different from the first: {level} of {n - 1} others"
        first = next(pair for pair in known if not pair.contrast.significant)
        words = f"{best} is {_difference(first, len(with_best))}: that may be chance.{too_few}"
        return TIE, heading, words
    difference = _difference(known[0], len(with_best))
    if unknown:
        return OPEN, f"First of {n} variants", f"It is {difference}.{too_few}"
    return WON, f"Best of {n} variants", f"Significantly different from all others: {difference}."


def _difference(pair: Pair, others: int) -> str:
    """How far the one of a pair is ahead of the other, or behind it, with the interval; `others`:
    how many the one is compared with."""
    is_ahead, points, ends = lead(pair)
    side = "ahead of" if is_ahead else "behind"
    together = " for all pairs together" if others > 1 else ""
    return (
        f"{points} points of test accuracy {side} {pair.two.label} (95 % interval{together} {ends},"
        f" {format_p(pair.contrast.p)})"
    )
