"""What the runs say, in words: who is ahead, by how much, how surely, at what cost.

Every sentence holds its figures and names the file they came from. Stopped and failed runs are
counted, and in no mean.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from study import datasets
from study.config import Config
from study.report import stats
from study.report.variants import Study, Variant, count, percent
from study.runs import FINISHED
from study.train import l1

LEVEL = 0.05  # of a corrected p, below which two configurations are told apart
ROUNDING = 0.005  # points of accuracy that two printed figures do not tell apart
MOST = 20  # configurations, the best first, whose pairs are compared
NAMED = 8  # of them named in one sentence
PAIRS = (
    "one", "two", "seeds", "difference", "low", "high", "p", "p_holm",
    "probability_of_improvement", "seeds_needed",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A sentence, and the file of the report that its figures stand in."""

    text: str
    source: str


@dataclass(frozen=True)
class Pair:
    """Two variants' test accuracy at the last epoch, `one` minus `two`.

    p_holm: p corrected for all pairs. needed: seeds at which it would be below 0.05 in 8 of 10
    studies with this difference and deviation, by Bonferroni's stricter correction.
    """

    one: Variant
    two: Variant
    difference: stats.Difference
    p_holm: float
    needed: float

    @property
    def significant(self) -> bool:
        """Whether the two are told apart."""
        return self.p_holm < LEVEL

    def row(self) -> list[Any]:
        """A row of pairs.csv."""
        d = self.difference
        return [
            self.one.label, self.two.label, d.interval.n, *d.interval[:3], d.p, self.p_holm,
            d.better, self.needed,
        ]  # fmt: skip


def pairs(study: Study) -> list[Pair]:
    """All pairs of the best variants, the better one first."""
    best = [v for v in study.ranked() if v.values("test_accuracy_last")][:MOST]
    scores = [variant.values("test_accuracy_last") for variant in best]
    places = list(itertools.combinations(range(len(best)), 2))
    found = [stats.difference(scores[i], scores[j]) for i, j in places]
    corrected = stats.holm([difference.p for difference in found])
    level = LEVEL / max(np.isfinite(corrected).sum(), 1)
    return [
        Pair(
            best[i], best[j], difference, float(p),
            stats.seeds_needed(difference.interval.mean, difference.deviation, level),
        )
        for (i, j), difference, p in zip(places, found, corrected)
    ]  # fmt: skip


def summarize(study: Study, compared: list[Pair], target: float | None = None) -> list[Finding]:
    """The findings, the most important first."""
    best = study.ranked()[0]
    against = [pair for pair in compared if pair.one is best]
    found = [_ahead(study, best)]
    if against:
        found.append(_next(against[0], len(compared)))
    found += _others(against)
    found += [_size(study, best), _cost(study, best)]
    if target is not None:
        found.append(_target(study, best, target))
    found += [_gap(best), _steadiness(study), _floor(best), *_lambdas(study)]
    if not study.by_validation:
        found.append(
            Finding(
                "There are no validation images in these runs: the variants are ranked, and best"
                " epochs chosen, on the test set, which flatters them.",
                "results.csv",
            )
        )
    return [finding for finding in [*found, *_left_out(study)] if finding]


def _ahead(study: Study, best: Variant) -> Finding:
    score = best.last("test_accuracy_last")
    key = study.rank_key
    top = best.last(key).mean
    level = [v.label for v in study.ranked()[1:] if abs(v.last(key).mean - top) < ROUNDING]
    shared = f" (level with {_list(level)})" if level else ""
    chosen = "validation" if study.by_validation else "test"
    return Finding(
        f"{best.label} has the highest mean {chosen} accuracy at the last epoch{shared}: its test"
        f" accuracy is {percent(score)} over {count(score.n, 'seed')}, with"
        f" {best.parameters['total']:,} parameters.",
        "figures/test_accuracy.csv",
    )


def _next(pair: Pair, compared: int) -> Finding:
    """The best against the next."""
    d, second = pair.difference, pair.two
    told = f"{second.label} is next with {percent(second.last('test_accuracy_last'))}"
    if d.interval.n < 2:
        seeds = "one common seed" if d.interval.n else "no common seed"
        return Finding(f"{told}; at {seeds} no difference between them can be told.", "results.csv")
    if np.isnan(d.p):
        return Finding(
            f"{told}; the difference is {d.interval.mean:+.2f} points at each of {d.interval.n}"
            " seeds, too few and too alike to tell how it varies.",
            "pairs.csv",
        )
    corrected = f"p = {_p(pair.p_holm)}" + (
        f" corrected for {compared} pairs" if compared > 1 else ""
    )
    told += f"; the difference, paired over {d.interval.n} seeds, is {_points(d.interval)}"
    if pair.significant:
        return Finding(f"{told}, more than chance ({corrected}).", "pairs.csv")
    return Finding(
        f"{told}: no difference can be told at this number of seeds ({corrected});"
        f" {_needed(pair)}.",
        "pairs.csv",
    )


def _needed(pair: Pair) -> str:
    if np.isnan(pair.needed):
        return f"more than {stats.MOST_SEEDS:,} would be needed to find one as small as this"
    return f"about {pair.needed:.0f} would be needed to find one of this size"


def _others(against: list[Pair]) -> list[Finding | None]:
    """Who is surely behind the best, and who may not be, beyond the next. Of a study with
    validation images the best may be behind others on the test images."""
    behind = [p for p in against if p.significant and p.difference.interval.mean >= 0]
    ahead = [p for p in against if p.significant and p.difference.interval.mean < 0]
    open_ = [p.two.label for p in against if not p.significant and p.difference.interval.n > 1]
    if len(against) < 2 or not behind + ahead + open_:
        return []
    found = []
    for told, where in ((behind, "behind"), (ahead, "ahead of")):
        if told:
            points = [f"{p.two.label} ({abs(p.difference.interval.mean):.2f})" for p in told]
            found.append(f"surely {where} the best (by so many points): {_list(points)}")
    if open_:
        found.append(f"not told apart from it: {_list(open_)}")
    told = "; ".join(found)
    return [Finding(f"{told[0].upper()}{told[1:]}.", "pairs.csv")]


def _size(study: Study, best: Variant) -> Finding | None:
    sizes = {variant.label: variant.parameters["total"] for variant in study.variants}
    if len(sizes) < 2:
        return None
    low, high = min(sizes.values()), max(sizes.values())
    if low == high:
        text = f"All {len(sizes)} variants have {low:,} parameters: none owes its place to size."
        return Finding(text, "results.csv")
    small = min(study.ranked(), key=lambda variant: sizes[variant.label])
    text = (
        f"The variants have {low:,} to {high:,} parameters, the best {sizes[best.label]:,}; the"
        f" smallest, {small.label}, has {percent(small.last('test_accuracy_last'))}."
    )
    return Finding(text, "results.csv")


def _cost(study: Study, best: Variant) -> Finding | None:
    seconds = {v.label: v.last("seconds").mean for v in study.variants}
    known = {label: value for label, value in seconds.items() if np.isfinite(value)}
    if best.label not in known:
        return None
    text = f"A run of the best took {_time(known[best.label])}"
    if len(known) > 1:
        fast, slow = min(known, key=known.get), max(known, key=known.get)
        text += f"; the quickest, {fast}, {_time(known[fast])}, the slowest, {slow},"
        text += f" {_time(known[slow])}"
    return Finding(f"{text} (mean over seeds, all epochs).", "results.csv")


def _target(study: Study, best: Variant, target: float) -> Finding:
    held = {v.label: v.first_epoch_at_target(target) for v in study.variants}
    reached = {label: epoch for label, epoch in held.items() if epoch is not None}
    if not reached:
        text = f"No variant's mean test accuracy reaches {target:g} % and holds it to the end."
        return Finding(text, "figures/test_accuracy.csv")
    first = min(reached, key=reached.get)
    share = stats.share_at_target(best.curves("test/accuracy"), target)
    text = (
        f"{first} is the first whose mean test accuracy reaches {target:g} % and holds it, from"
        f" epoch {reached[first]} on ({len(reached)} of {len(held)} variants do); {best.label} is"
        f" at or above it in {share:.0%} of its seeds' last five epochs."
    )
    return Finding(text, "figures/test_accuracy.csv")


def _gap(best: Variant) -> Finding | None:
    train, test = best.values("train_accuracy_last"), best.values("test_accuracy_last")
    gap = stats.mean_interval([train[seed] - test[seed] for seed in train.keys() & test.keys()])
    if not np.isfinite(gap.mean):
        return None
    return Finding(
        f"Its training accuracy less its test accuracy at the last epoch is {_points(gap)};"
        " training accuracy is with dropout and augmentation, where set.",
        "results.csv",
    )


def _steadiness(study: Study) -> Finding | None:
    """Whose test accuracy moves least and most from epoch to epoch, at the end."""
    moves = {v.label: np.mean(list(v.late_deviation().values())) for v in study.variants}
    known = {label: value for label, value in moves.items() if np.isfinite(value)}
    if len(known) < 2:
        return None
    least, most = min(known, key=known.get), max(known, key=known.get)
    if known[most] - known[least] < ROUNDING:
        return None
    return Finding(
        f"Between the last five epochs the test accuracy of {least} moves least (a standard"
        f" deviation of {known[least]:.2f} points, the mean over seeds), that of {most} most"
        f" ({known[most]:.2f}).",
        "figures/final.csv",
    )


def _floor(best: Variant) -> Finding | None:
    mean, images = best.last("test_accuracy_last").mean, best.test_images
    if images is None:
        return None
    error = stats.binomial_error(mean, images)
    return Finding(
        f"The test set of {images:,} images alone gives an accuracy near {mean:.2f} a standard"
        f" error of {error:.2f} points.",
        "results.csv",
    )


def _lambdas(study: Study) -> list[Finding]:
    """What the best L1 lambda of each network and reduction would be in the other reduction."""
    best: dict[tuple[str, str], Config] = {}
    for variant in study.ranked():
        config = variant.config
        if config.l1 and datasets.is_known(config.dataset):
            best.setdefault((config.network, config.l1_reduction), config)
    return [
        Finding(f"{l1.describe_equivalence(config)}.", "results.csv") for config in best.values()
    ]


def _left_out(study: Study) -> list[Finding | None]:
    """Runs in no mean, variants without any, and seeds that some variants lack."""
    found: list[Finding | None] = []
    states = Counter(run.state for run in study.all if run.state != FINISHED)
    if states:
        told = _list([f"{n} {state}" for state, n in sorted(states.items())])
        found.append(Finding(f"In no mean: runs that are not finished ({told}).", "results.csv"))
    finished = {variant.label for variant in study.variants}
    missing = [label for label in study.runs if label not in finished]
    if missing:
        found.append(Finding(f"Without a finished run: {_list(missing)}.", "results.csv"))
    seeds = {v.label: len(v.values("test_accuracy_last")) for v in study.variants}
    most = max(seeds.values())
    fewer = [f"{label} {n}" for label, n in seeds.items() if n < most]
    if fewer and most > 1:
        told = (
            f"Not all have {most} finished seeds: {_list(fewer)}. Differences are over common ones."
        )
        found.append(Finding(told, "results.csv"))
    return found


def _list(words: list[str]) -> str:
    """Words in a row, the first few of many."""
    between = "; " if any("," in word for word in words) else ", "
    if len(words) > NAMED:
        return f"{between.join(words[:NAMED])} and {len(words) - NAMED} more"
    return between.join(words)


def _points(interval: stats.Interval) -> str:
    reach = f" (95 % interval {interval.low:+.2f} to {interval.high:+.2f})"
    return f"{interval.mean:+.2f} points" + (reach if np.isfinite(interval.half_width) else "")


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
