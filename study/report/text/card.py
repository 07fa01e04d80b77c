"""What won, or what is level, at a glance: the cards on top of the report."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.config import Config
from study.report.axis import varying
from study.report.study import Study
from study.report.text import pairs
from study.report.text.pairs import Pair
from study.report.variants import TEST, Variant
from study.report.words import format_p, in_words, listed
from study.values import count

WON, TIE, OPEN = "won", "tie", "open"  # outcomes; open: too few seeds to compare
MOST_TIED = 3  # variants of a tie that a card lists
# What labels mean by `L1 1e-5 (sum)`.
REDUCTIONS = {
    "sum": "|w| summed over all parameters",
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
    made = [
        _card(study, family, [pair for pair in compared if pair.one is family[0]])
        for family in study.compared_families
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
    named, more = list(places)[:2], len(places) - 2
    named += [f"and {count(more, 'more kind')}"] if more > 0 else []
    words += f" of network {'; '.join(named)}. {_varied(study, configs)}".rstrip()
    datasets = dict.fromkeys(config.dataset for config in configs)
    without = [dataset for dataset in datasets if dataset not in study.by_dataset]
    return f"{words} Without a finished run: {listed(without)}." if without else words


def _varied(study: Study, configs: Sequence[Config]) -> str:
    """Which settings varied among the configurations that have a run, finished or not, and which of
    them only together with others: what those do cannot be known. Of a search, and of several
    sweeps together, that is so of most."""
    axes = varying(study)
    if not axes:
        return ""
    words = f"Varied: {listed([axis.title for axis in axes])}."
    searched = any(plan.method != "grid" for plan in study.plans.values())
    if len(axes) == 1 or len(study.sweeps) > 1 or searched:
        return words
    rows = {tuple(getattr(config, axis.name) for axis in axes) for config in configs}
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
    level = [pair for pair in with_best if pair.contrast.level]
    outcome, heading, verdict = _verdict(study, family, with_best, level)
    if lost := _lost(study, family, best):
        verdict += lost
        if outcome == WON:  # of a variant that lost none: nobody knows what those runs would be
            outcome, heading = OPEN, _titles(study, family)[0]
    tied = level if outcome == TIE else []
    shown = [best, *(pair.two for pair in tied)][:MOST_TIED]
    if more := tied[MOST_TIED - 1 :]:
        differ = "does not differ" if len(more) == 1 else "do not differ"
        verdict += f" {len(more)} more {differ} significantly from {best.label} {_over(more)}."
    return Card(
        heading,
        study.describe_kind(best),
        f"{_measured(study, shown)} {_cost(shown, family)}",
        [_line(study, variant, shown) for variant in shown],
        verdict,
        outcome,
    )


def _lost(study: Study, family: Sequence[Variant], best: Variant) -> str:
    """How many runs of the first failed or were stopped, where it lost more of its than another of
    its kind: its mean is of those that went well. Empty where it did not."""
    if study.share_lost(best.label) <= min(study.share_lost(each.label) for each in family):
        return ""
    lost, runs = study.lost(best.label), len(study.runs[best.label])
    return (
        f" {lost} of {runs} runs of {best.label} failed or were stopped, and are in no mean: the"
        " others may flatter it."
    )


def _line(study: Study, variant: Variant, shown: Sequence[Variant]) -> Line:
    facts = [] if study.rank_key == TEST else [f"test accuracy {in_words(variant.last(TEST))}"]
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
        (low, unit), (high, other) = map(_duration, (min(seconds), max(seconds)))
        took = _range(low, high) if unit == other else f"{low} {unit} to {high}"
        of = " of any variant" if len(shown) < len(family) else ""
        words.append(f"{took} {other} to train a run{of}")
    return f"{', '.join(words)}." if words else ""


def _duration(seconds: float) -> tuple[str, str]:
    """A time as a number and its unit."""
    return (f"{seconds / 60:.0f}", "min") if seconds >= 120 else (f"{seconds:.0f}", "s")


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _reason(untested: Sequence[Pair]) -> str:
    """Why seeds tell nothing of these pairs: they are few, or all their differences are alike."""
    alike = any(pair.difference.interval.n > 1 for pair in untested)
    return f"Too few common seeds{', or too alike,' * alike}"


def _untested(with_best: Sequence[Pair]) -> str:
    """Why no test tells the best from some of these pairs, in sentences after another."""
    unknown = [pair for pair in with_best if not pair.contrast.tested]
    same = [pair for pair in unknown if pair.difference.is_identical]
    few = [pair for pair in unknown if pair not in same]
    unclear = [pair.two.label for pair in with_best if pair.contrast.unclear]
    words = f" {_reason(few)} with {listed([pair.two.label for pair in few])}." if few else ""
    if unclear:
        words += f" The seeds spread too much to tell it from {listed(unclear)}."
    if same:
        words += f" Identical to {listed([pair.two.label for pair in same])} {_over(same)}."
    return words


def _verdict(
    study: Study, family: Sequence[Variant], with_best: Sequence[Pair], level: Sequence[Pair]
) -> tuple[str, str, str]:
    """The outcome, the heading of a card, and its verdict: by how much the best is ahead, and
    whether it differs significantly from the others, but for the pairs that are `level`."""
    n = len(family)
    if n < 2:
        return OPEN, "The only variant", "There is nothing to compare it with."
    known = [pair for pair in with_best if pair.contrast.tested]
    first, best, called = _titles(study, family)
    untested = _untested(with_best)
    if not known:
        if not any(pair.difference.is_identical for pair in with_best):
            untested = f" {_reason(with_best)} to test a difference: train more seeds."
        return OPEN, first, f"{untested}{_overtaken(study, family)}".lstrip()
    ahead = [
        pair for pair in known if pair.contrast.significant and pair.contrast.interval.mean < 0
    ]
    if ahead:  # where another metric ranks, or not all have the same seeds
        names = [pair.two.label for pair in ahead]
        words = f"In test accuracy {_over(ahead)} it is significantly behind {listed(names)}."
        return OPEN, first, f"{words}{_overtaken(study, family, ahead)}"
    if level:
        heading = f"Not significantly different from the {called}: {len(level)} of {n - 1} others"
        difference = _difference(level[0], len(with_best))
        words = f"{family[0].label} is {difference}: that may be chance."
        return TIE, heading, f"{words}{_overtaken(study, family, level[:1])}{untested}"
    difference, overtaken = _difference(known[0], len(with_best)), _overtaken(study, family)
    if overtaken or not all(pair.contrast.significant for pair in with_best):
        return OPEN, first, f"It is {difference}.{overtaken}{untested}"
    return WON, best, f"Significantly different from all others: {difference}."


def _titles(study: Study, family: Sequence[Variant]) -> tuple[str, str, str]:
    """What the variant on top is in a heading, in that of a winner, and in words: the first by
    means over the same seeds, else just the highest mean."""
    of = f"of {len(family)} variants"
    if pairs.have_same_seeds(study, family):
        return f"First {of}", f"Best {of}", "first"
    highest = f"{study.metric.superlative} mean"
    heading = f"{pairs.UNLIKE.capitalize()}, the {highest} {of}"
    return heading, heading, f"{highest}, {pairs.UNLIKE}"


def _overtaken(study: Study, family: Sequence[Variant], said: Sequence[Pair] = ()) -> str:
    """Behind whom the first is over common seeds by the metric that ranks, which is so where not
    all have the same; without those of whom the sentence on these pairs has `said` it."""
    known = {pair.two.label for pair in said if study.rank_key == TEST}
    ahead = pairs.overtaking(study, family)
    names = [label for label in ahead if label not in known]
    if not names:
        return ""
    over = pairs.over_common([ahead[label] for label in names])
    title = study.metric.title
    return f" In {title} {over} it is behind {listed(names)}, which may be chance."


def _over(compared: Sequence[Pair]) -> str:
    return pairs.over_common([pair.difference.interval.n for pair in compared])


def _difference(pair: Pair, others: int) -> str:
    """How far the one of a pair is ahead of the other, or behind it, with the interval; `others`:
    how many the one is compared with."""
    is_ahead, points, ends = pairs.lead(pair)
    side = "ahead of" if is_ahead else "behind"
    together = " for all pairs together" if others > 1 else ""
    return (
        f"{points} points of test accuracy {side} {pair.two.label} {_over([pair])} (95 %"
        f" interval{together} {ends}, {format_p(pair.contrast.p)})"
    )
