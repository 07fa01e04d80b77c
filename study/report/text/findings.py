"""The findings in sentences: which variant is ahead, by how much, how surely, at what cost.

Every sentence holds its figures and names the file that they are in. Stopped and failed runs are
counted, and are in no mean.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from study import datasets
from study.config import Config
from study.report import stats
from study.report.variants import TEST, Study, Variant, count, in_words, percent
from study.runs import FINISHED
from study.train import l1

LEVEL = 0.05  # corrected p below which a difference is significant
ROUNDING = 0.005  # points of accuracy by which two figures may differ and be printed alike
MOST = 20  # configurations, the best first, whose pairs are compared
MOST_NAMED = 8  # configurations named in one sentence
PAIRS = (
    "one", "two", "seeds", "difference", "low", "high", "p", "p_holm",
    "probability_of_improvement", "seeds_needed",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A sentence, and the file of the report that its figures are in."""

    text: str
    source: str


@dataclass(frozen=True)
class Pair:
    """Two variants' test accuracy at the last epoch, `one` minus `two`.

    p_holm: p corrected for all pairs. seeds_needed: seeds at which it would be below 0.05 in 8 of
    10 studies with this difference and deviation, by Bonferroni's stricter correction.
    """

    one: Variant
    two: Variant
    difference: stats.Difference
    p_holm: float
    seeds_needed: float

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p_holm < LEVEL

    def row(self) -> list[Any]:
        """A row of pairs.csv."""
        d = self.difference
        return [
            self.one.label, self.two.label, d.interval.n, *d.interval[:3], d.p, self.p_holm,
            d.better, self.seeds_needed,
        ]  # fmt: skip


def pairs(study: Study) -> list[Pair]:
    """Compare all pairs of the best variants, the better one first."""
    best = [v for v in study.ranked() if v.values(TEST)][:MOST]
    scores = [variant.values(TEST) for variant in best]
    indices = list(itertools.combinations(range(len(best)), 2))
    differences = [stats.difference(scores[i], scores[j]) for i, j in indices]
    corrected = stats.holm([difference.p for difference in differences])
    level = LEVEL / max(np.isfinite(corrected).sum(), 1)
    return [
        Pair(
            best[i], best[j], difference, float(p),
            stats.seeds_needed(difference.interval.mean, difference.deviation, level),
        )
        for (i, j), difference, p in zip(indices, differences, corrected)
    ]  # fmt: skip


def summarize(study: Study, compared: list[Pair], target: float | None = None) -> list[Finding]:
    """Summarize a study and its compared pairs in findings, the most important first."""
    best = study.ranked()[0]
    with_best = [pair for pair in compared if pair.one is best]
    findings: list[Finding | None] = [_best(study, best)]
    if with_best:
        findings.append(_next(with_best[0], len(compared)))
    findings += _rest(with_best)
    findings += [_size(study, best), _cost(study, best)]
    if target is not None:
        findings.append(_target(study, best, target))
    findings += [_gap(best), _steadiness(study), _test_set_error(best), *_lambdas(study)]
    if study.by_test:
        findings.append(
            Finding(
                "The variants are ranked, and best epochs chosen, on the test images, which"
                " flatters them.",
                "results.csv",
            )
        )
    return [finding for finding in [*findings, *_left_out(study)] if finding]


def _best(study: Study, best: Variant) -> Finding:
    """Which variant is ahead by the metric, unless there is none to be ahead of."""
    score, metric = best.last(TEST), study.metric
    value = in_words(best.last(metric.key), metric)
    means = {v.label: metric.format(v.last(metric.key).mean) for v in study.ranked()}
    level = [label for label in means if means[label] == means[best.label] and label != best.label]
    lead = f"{best.label} has the {metric.superlative} mean {metric.title} at the last epoch"
    lead += f" (level with {_list(level)})" if level else ""
    if len(study.variants) == 1:
        lead = f"{best.label} is the only variant with a finished run. At the last epoch"
    chosen = "" if metric.key == TEST else f"its {metric.title} is {value}, "
    return Finding(
        f"{lead}: {chosen}its test accuracy is {percent(score)} over {count(score.n, 'seed')}, with"
        f" {best.parameters['total']:,} parameters.",
        "figures/test_accuracy.csv",
    )


def _next(pair: Pair, compared: int) -> Finding:
    """How the best compares with the next."""
    d, second = pair.difference, pair.two
    text = f"{second.label} is next with {percent(second.last(TEST))}"
    if d.interval.n < 2:
        seeds = "one common seed" if d.interval.n else "no common seed"
        return Finding(f"{text}; at {seeds} no difference between them can be told.", "results.csv")
    if np.isnan(d.p):
        return Finding(
            f"{text}; the difference is {d.interval.mean:+.2f} points at each of {d.interval.n}"
            " seeds, too few and too alike to tell how it varies.",
            "pairs.csv",
        )
    corrected = f"p = {_p(pair.p_holm)}" + (
        f" corrected for {compared} pairs" if compared > 1 else ""
    )
    text += f"; the difference, paired over {d.interval.n} seeds, is {_points(d.interval)}"
    if pair.significant:
        return Finding(f"{text}, more than chance ({corrected}).", "pairs.csv")
    return Finding(
        f"{text}: no difference can be told at this number of seeds ({corrected});"
        f" {_seeds_needed(pair)}.",
        "pairs.csv",
    )


def _seeds_needed(pair: Pair) -> str:
    if np.isnan(pair.seeds_needed):
        return f"more than {stats.MOST_SEEDS:,} would be needed to find one as small as this"
    return f"about {pair.seeds_needed:.0f} would be needed to find one of this size"


def _rest(with_best: list[Pair]) -> list[Finding]:
    """Which variants differ from the best, and which may not, where there are several.

    In a study with validation images the best may be behind others on the test images.
    """
    behind = [p for p in with_best if p.significant and p.difference.interval.mean >= 0]
    ahead = [p for p in with_best if p.significant and p.difference.interval.mean < 0]
    unclear = [p.two.label for p in with_best if not p.significant and p.difference.interval.n > 1]
    if len(with_best) < 2 or not behind + ahead + unclear:
        return []
    clauses = []
    for pairs, side in ((behind, "behind"), (ahead, "ahead of")):
        if pairs:
            points = [f"{p.two.label} ({abs(p.difference.interval.mean):.2f})" for p in pairs]
            clauses.append(f"surely {side} the best (by so many points): {_list(points)}")
    if unclear:
        clauses.append(f"not told apart from it: {_list(unclear)}")
    text = "; ".join(clauses)
    return [Finding(f"{text[0].upper()}{text[1:]}.", "pairs.csv")]


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
        f" smallest, {small.label}, has {percent(small.last(TEST))}."
    )
    return Finding(text, "results.csv")


def _cost(study: Study, best: Variant) -> Finding | None:
    seconds = {v.label: v.last("seconds").mean for v in study.variants}
    known = {label: value for label, value in seconds.items() if np.isfinite(value)}
    if best.label not in known:
        return None
    text = f"A run of the best took {_time(known[best.label])}"
    if len(known) > 1:
        fast, slow = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        text += f"; the quickest, {fast}, {_time(known[fast])}, the slowest, {slow},"
        text += f" {_time(known[slow])}"
    return Finding(f"{text} (mean over seeds, all epochs).", "results.csv")


def _target(study: Study, best: Variant, target: float) -> Finding:
    epochs = {v.label: v.first_epoch_at_target(target) for v in study.variants}
    at_target = {label: epoch for label, epoch in epochs.items() if epoch is not None}
    if not at_target:
        text = f"No variant's mean test accuracy reaches {target:g} % and holds it to the end."
        return Finding(text, "figures/test_accuracy.csv")
    first = min(at_target, key=at_target.__getitem__)
    share = stats.share_at_target(best.curves("test/accuracy"), target)
    text = (
        f"{first} is the first whose mean test accuracy reaches {target:g} % and holds it, from"
        f" epoch {at_target[first]} on ({len(at_target)} of {len(epochs)} variants do);"
        f" {best.label} is at or above it in {share:.0%} of its seeds' last five epochs."
    )
    return Finding(text, "figures/test_accuracy.csv")


def _gap(best: Variant) -> Finding | None:
    train, test = best.values("train_accuracy_last"), best.values(TEST)
    gap = stats.mean_interval([train[seed] - test[seed] for seed in train.keys() & test.keys()])
    if not np.isfinite(gap.mean):
        return None
    return Finding(
        f"Its training accuracy less its test accuracy at the last epoch is {_points(gap)};"
        " training accuracy is with dropout and augmentation, where set.",
        "results.csv",
    )


def _steadiness(study: Study) -> Finding | None:
    """Which variants' test accuracy moves least and most from epoch to epoch, at the end."""
    deviations = {v.label: np.mean(list(v.late_deviation().values())) for v in study.variants}
    known = {label: value for label, value in deviations.items() if np.isfinite(value)}
    if len(known) < 2:
        return None
    least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if known[most] - known[least] < ROUNDING:
        return None
    return Finding(
        f"Between the last five epochs the test accuracy of {least} moves least (a standard"
        f" deviation of {known[least]:.2f} points, the mean over seeds), that of {most} most"
        f" ({known[most]:.2f}).",
        "figures/final.csv",
    )


def _test_set_error(best: Variant) -> Finding | None:
    mean, images = best.last(TEST).mean, best.test_images
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


def _left_out(study: Study) -> list[Finding]:
    """Runs in no mean, variants without any, and seeds that some variants lack."""
    findings: list[Finding] = []
    states = Counter(run.state for run in study.all if run.state != FINISHED)
    if states:
        counts = _list([f"{n} {state}" for state, n in sorted(states.items())])
        text = f"In no mean: runs that are not finished ({counts})."
        findings.append(Finding(text, "results.csv"))
    finished = {variant.label for variant in study.variants}
    missing = [label for label in study.runs if label not in finished]
    if missing:
        findings.append(Finding(f"Without a finished run: {_list(missing)}.", "results.csv"))
    seeds = {v.label: len(v.values(TEST)) for v in study.variants}
    most = max(seeds.values())
    fewer = [f"{label} {n}" for label, n in seeds.items() if n < most]
    if fewer and most > 1:
        text = (
            f"Not all have {most} finished seeds: {_list(fewer)}. Differences are over common ones."
        )
        findings.append(Finding(text, "results.csv"))
    return findings


def _list(words: list[str]) -> str:
    """Words as a list in a sentence, the first few of many."""
    separator = "; " if any("," in word for word in words) else ", "
    if len(words) > MOST_NAMED:
        return f"{separator.join(words[:MOST_NAMED])} and {len(words) - MOST_NAMED} more"
    return separator.join(words)


def _points(interval: stats.Interval) -> str:
    ends = f" (95 % interval {interval.low:+.2f} to {interval.high:+.2f})"
    return f"{interval.mean:+.2f} points" + (ends if np.isfinite(interval.half_width) else "")


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
