"""The findings in sentences: which variant is ahead, by how much, and whether that is significant.

At most twelve, those that matter first. Every sentence holds its figures and names the file that
they are in. Stopped and failed runs are counted, and are in no mean.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study import datasets
from study.config import Config
from study.report import stats
from study.report.effects import Effects
from study.report.study import Study
from study.report.text import effects, pairs, penalty
from study.report.text.pairs import Pair
from study.report.variants import TEST, Variant
from study.report.words import ends_in_words, format_p, in_words, listed
from study.runs import FINISHED
from study.values import count

NORMAL = 1.96  # standard errors either way that hold 95 % of a normal distribution
MOST_FINDINGS = 12
EFFECTS = "figures/effects.csv"


@dataclass(frozen=True)
class Finding:
    """A sentence, and the file of the report that its figures are in.

    in_card: whether the cards on top of the report say it too.
    """

    text: str
    source: str
    in_card: bool = False


def summarize(
    study: Study,
    compared: list[Pair],
    target: float | None = None,
    first: Sequence[Finding] = (),
    grid: Effects | None = None,
) -> list[Finding]:
    """Summarize a study and its compared pairs in findings, the most important first.

    first: findings that stand before these, and count among the twelve. grid: the effects of the
    settings, where the variants are a complete grid.
    """
    ranked = study.compared_families
    findings: list[Finding | None] = [*first]
    for family in ranked:
        with_best = [pair for pair in compared if pair.one is family[0]]
        leading = [each for each in (_best(study, family), _next(study, with_best)) if each]
        findings += [dataclasses.replace(each, in_card=True) for each in leading]
        findings.append(_rest(with_best))
    if grid:
        findings.insert(len(first) + 2, Finding(effects.sentence(grid, study.metric), EFFECTS))
    findings += [_failed_to_learn(study), *_left_out(study)]
    if harmless := penalty.sentence(study):
        findings.append(Finding(harmless, "results.csv"))
    findings += [_unranked(study, ranked), _chosen_on_test(study), _images(compared)]
    if target is not None:
        findings.append(_target(study, target))
    findings += [_size(study), _augmented(study), _lambdas(study)]
    return [finding for finding in findings if finding][:MOST_FINDINGS]


def _best(study: Study, family: Sequence[Variant]) -> Finding:
    """Which variant of a kind is ahead by the metric, unless there is none to be ahead of."""
    best, metric = family[0], study.metric
    score = best.last(TEST)
    chosen = "" if metric.key == TEST else f"{in_words(best.last(metric.key), metric)}, "
    measured = (
        f"{in_words(score)} over {count(score.n, 'seed')}, with {best.parameters['total']:,}"
        " parameters"
    )
    source = _curves_file(study)
    if len(family) < 2:
        only = " (the only variant with a finished run)" if len(study.variants) == 1 else ""
        text = f"The test accuracy of {best.label}{only} at the last epoch is {measured}."
        return Finding(text, source)
    notes = [level] if (level := _level(study, family)) else []
    if not pairs.have_same_seeds(study, family):
        notes.append(pairs.UNLIKE)
        if ahead := pairs.overtaking(study, family):
            over = pairs.over_common(ahead.values())
            notes[-1] += f": {over} it is behind {listed(list(ahead))}"
    beside = f" ({'; '.join(notes)})" if notes else ""
    kind = study.describe_kind(best)
    return Finding(
        f"{f'Of the {len(family)} variants with {kind}, ' if kind else ''}{best.label} has the"
        f" {metric.superlative} mean {metric.title} at the last epoch{beside}: {chosen}its test"
        f" accuracy is {measured}.",
        source,
    )


def _level(study: Study, family: Sequence[Variant]) -> str:
    """With whom the best of a kind is level by the metric, as far as it is shown; empty if none."""
    means = [study.metric.format(variant.last(study.rank_key).mean) for variant in family]
    labels = [variant.label for variant, mean in zip(family, means) if mean == means[0]]
    return f"level with {listed(labels[1:])}" if labels[1:] else ""


def _next(study: Study, with_best: Sequence[Pair]) -> Finding | None:
    """How the best compares with the next."""
    if not with_best:
        return None
    pair = with_best[0]
    own, contrast = pair.difference.interval, pair.contrast
    score, points = in_words(pair.two.last(TEST)), "points"
    if study.rank_key != TEST:
        score = f"{in_words(pair.two.last(study.rank_key), study.metric)}, test accuracy {score}"
        points = "points of test accuracy"
    text = f"{pair.two.label} is next with {score}"
    if own.n < 2:
        seeds = "one common seed" if own.n else "no common seed"
        return Finding(f"{text}; with {seeds} their difference cannot be tested.", "results.csv")
    if not contrast.tested:
        return Finding(
            f"{text}; the difference is {own.mean:+.2f} {points} at each of {own.n} seeds, too few"
            " and too alike to show how it varies.",
            "pairs.csv",
        )
    together = ", for all pairs together," if len(with_best) > 1 else ""
    text += (
        f"; over {own.n} common seeds the difference is {own.mean:+.2f} {points}, its 95 % interval"
        f"{together} {ends_in_words(contrast.interval)}"
    )
    if contrast.significant:
        return Finding(f"{text}: significant ({format_p(contrast.p)}).", "pairs.csv")
    spread = ", and the seeds of one spread too much to see more" if contrast.unclear else ""
    text += f": not significant ({format_p(contrast.p)}){spread}."
    furthest = max(abs(contrast.interval.low), abs(contrast.interval.high))
    if furthest < 100:  # more than accuracies can differ by
        text += " What the interval excludes is a difference of more than"
        text += f" {furthest:.2f} points either way."
    return Finding(text, "pairs.csv")


def _rest(with_best: Sequence[Pair]) -> Finding | None:
    """How the best compares with each after the next.

    In a study with validation images the best may be behind others on the test images.
    """
    known = [pair for pair in with_best[1:] if pair.contrast.tested]
    if not known:
        return None
    sentences = []
    best = with_best[0].one.label
    for verdict, group in {
        f"Significantly different from {best}": [p for p in known if p.contrast.significant],
        f"Not significantly different from {best}": [p for p in known if p.contrast.level],
        f"Too spread over seeds to tell from {best}": [p for p in known if p.contrast.unclear],
    }.items():
        if group:
            sentences.append(f"{verdict}: {listed([_distance(pair) for pair in group])}.")
    sentences.append("In brackets: 95 % intervals for all pairs together.")
    in_card = len(known) == 1 and not with_best[0].contrast.tested  # which has the first known
    return Finding(" ".join(sentences), "pairs.csv", in_card)


def _distance(pair: Pair) -> str:
    """How far the second of a pair is behind the first, or ahead of it."""
    is_ahead, points, ends = pairs.lead(pair)
    side = "behind" if is_ahead else "ahead"
    return f"{pair.two.label} is {points} points {side} ({ends}, {format_p(pair.contrast.p)})"


def _unranked(study: Study, ranked: Sequence[Sequence[Variant]]) -> Finding | None:
    """Which variants no sentence ranks, since they differ in more than what is asked."""
    if len(study.families) < 2:
        return None
    others = []
    for family in study.distinct_families:
        if family not in ranked:
            score = in_words(family[0].last(TEST))
            others.append(f"{family[0].label} ({score}{_place(study, family)})")
    differing = " or ".join(study.kinds_differ_in)
    text = f"Variants that differ in {differing} are not ranked by one another"
    return Finding(f"{text}{': ' + listed(others) if others else ''}.", "results.csv")


def _place(study: Study, family: Sequence[Variant]) -> str:
    """Among how many the first of a kind is first, and by what; empty where it is alone."""
    if len(family) < 2:
        return ""
    metric, level = study.metric, _level(study, family)
    words = f", the {metric.superlative} mean {metric.title} of {len(family)}"
    return f"{words}, {level}" if level else words


def _chosen_on_test(study: Study) -> Finding | None:
    """What was chosen on the test images, and whom that flatters."""
    if not study.by_test:
        return None
    if any(len(family) > 1 for family in study.families):
        chosen = "The variants are ranked, and best epochs chosen,"
        flattered = "those that come first"
    else:
        chosen, flattered = "Best epochs are chosen", "them"
    text = f"{chosen} on the test images, which flatters {flattered}"
    return Finding(f"{text}; with a holdout, validation images choose.", "results.csv")


def _failed_to_learn(study: Study) -> Finding | None:
    """Which runs learned nothing, and the interquartile means of their variants."""
    failed = {variant.label: len(study.failed_to_learn(variant)) for variant in study.variants}
    some = [variant for variant in study.variants if failed[variant.label]]
    if not some:
        return None
    words = []
    for variant in some:
        scores = list(variant.values(TEST).values())
        middle = stats.interquartile_mean(scores)
        words.append(f"{variant.label}: {failed[variant.label]} of {len(scores)}")
        if np.isfinite(middle.low):
            words[-1] += (
                f" (interquartile mean {middle.mean:.2f} %, 95 % bootstrap interval"
                f" {middle.low:.2f} to {middle.high:.2f})"
            )
    return Finding(
        "Runs that failed to learn, ending nearer to guessing than to the best run of their kind,"
        f" are in the means: {listed(words)}.",
        "results.csv",
    )


def _images(compared: Sequence[Pair]) -> Finding | None:
    """What the choice of test images adds to the difference between the best and the next."""
    pair = next((pair for pair in compared if np.isfinite(pair.images_error)), None)
    if pair is None:
        return None
    half = f"{NORMAL * pair.images_error:.2f}"
    error = f"an error of {half} points either way (95 %)" if float(half) else "no error that shows"
    return Finding(
        f"The intervals are over seeds, on the same {pair.one.test_images:,} test images. Their"
        f" choice gives the difference of {pair.one.label} and {pair.two.label} {error}, beside"
        " that over seeds, to judge by the images on which they disagree whatever the seed.",
        "pairs.csv",
    )


def _size(study: Study) -> Finding | None:
    sizes = {variant.label: variant.parameters["total"] for variant in study.variants}
    if len(sizes) < 2:
        return None
    low, high = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[low] == sizes[high]:
        which = "Both" if len(sizes) == 2 else f"All {len(sizes)}"
        text = f"{which} variants have {sizes[low]:,} parameters."
        return Finding(text, "results.csv", in_card=True)
    text = f"The variants have {sizes[low]:,} ({low}) to {sizes[high]:,} parameters ({high})."
    return Finding(text, "results.csv")


def _augmented(study: Study) -> Finding | None:
    """What the seeds of augmented runs share (see bank.epoch_copies)."""
    policies = sorted({variant.config.augment for variant in study.variants} - {"none"})
    if not policies:
        return None
    return Finding(
        f"With augment {' or '.join(policies)} all seeds see the same augmented copies of an image,"
        " one an epoch, each seed in an order of its own: the spread over seeds leaves out how the"
        " copies were drawn.",
        "results.csv",
    )


def _target(study: Study, target: float) -> Finding:
    epochs = {v.label: v.first_epoch_at_target(target) for v in study.variants}
    held = [f"{label} from epoch {epoch}" for label, epoch in epochs.items() if epoch is not None]
    if not held:
        text = f"No variant's mean test accuracy reaches {target:g} % and holds it to the end."
    else:
        text = (
            f"The mean test accuracy reaches {target:g} % and holds it to the end in {len(held)} of"
            f" {count(len(epochs), 'variant')}: {listed(held)}."
        )
    return Finding(text, _curves_file(study))


def _curves_file(study: Study) -> str:
    """The file of the test accuracy by epoch, or at the only one."""
    return "figures/test_accuracy.csv" if study.has_curves else "results.csv"


def _lambdas(study: Study) -> Finding | None:
    """What the best L1 lambda of each network and reduction would be in the other reduction."""
    best: dict[tuple[str, str], Config] = {}
    for variant in study.ranked:
        config = variant.config
        if config.l1 and datasets.is_known(config.dataset):
            best.setdefault((config.network, config.l1_reduction), config)
    if not best:
        return None
    from study.train import l1  # lazily: it imports torch

    words = [l1.describe_equivalence(config) for config in best.values()]
    return Finding(f"{'; '.join(words)}.", "results.csv")


def _left_out(study: Study) -> list[Finding]:
    """Runs in no mean, variants without any, and seeds that some variants lack."""
    findings: list[Finding] = []
    states = Counter(run.state for run in study.all if run.state != FINISHED)
    if states:
        counts = listed([f"{n} {state}" for state, n in sorted(states.items())])
        text = f"In no mean: runs that are not finished ({counts})."
        flattered = [
            f"{variant.label} {n} of {len(study.runs[variant.label])}"
            for variant in study.variants
            if (n := study.lost(variant.label))
        ]
        if flattered:
            text += (
                f" Means of the runs left may flatter those that lost some: {listed(flattered)}."
            )
        findings.append(Finding(text, "results.csv"))
    finished = {variant.label for variant in study.variants}
    missing = [label for label in study.runs if label not in finished]
    if missing:
        findings.append(Finding(f"Without a finished run: {listed(missing)}.", "results.csv"))
    seeds = {v.label: len(v.values(TEST)) for v in study.variants}
    most = max(seeds.values())
    fewer = [f"{label} {n}" for label, n in seeds.items() if n < most]
    if fewer and most > 1:
        text = f"Not all have {most} finished seeds: {listed(fewer)}."
        text += " Means, and so the ranking, are over each one's own, differences over common ones."
        findings.append(Finding(text, "results.csv"))
    return findings
