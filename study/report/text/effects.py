"""What each setting of a complete grid does, in a table and a sentence."""

import numpy as np

from study.metrics import Metric
from study.report.effects import Effect, Effects
from study.report.text.table import Table
from study.report.words import format_p, listed

HEADER = ("setting", "means", "largest difference", "p, corrected")


def table(effects: Effects | None, metric: Metric) -> Table | None:
    """Make the table of a grid's effects; None where there is no complete grid."""
    if effects is None:
        return None
    rows = [_row(effects, effect, metric) for effect in effects.effects]
    error = (
        "the interaction of seeds with all variants, or with the effect where that is larger (and"
        " alone where it stands out)"
        if effects.pooled
        else "each effect's own interaction with seeds, since spreads differ, with fewer degrees of"
        " freedom (Geisser and Greenhouse)"
    )
    note = (
        f"Means of the {metric.title} at the last epoch over all variants that have a value, and"
        f" over {effects.over}: of {effects.factors[0].title} {effects.runs(effects.effects[0])}"
        f" runs each. Analysis of variance with seeds as blocks; its error: {error}. p by F tests,"
        f" corrected for all {len(rows)} effects (Holm)."
    )
    return Table(HEADER, rows, note)


def _row(effects: Effects, effect: Effect, metric: Metric) -> list[str]:
    if len(effect.factors) == 1:
        levels = effects.factors[effect.factors[0]].levels
        means = ", ".join(
            f"{level}: {metric.format(float(mean))}" for level, mean in zip(levels, effect.means)
        )
        span = metric.format(effect.span)
    else:
        means = span = ""
    return [effects.title(effect), means, span, format_p(effect.p)]


def sentence(effects: Effects, metric: Metric) -> str:
    """Say which settings of a grid make a difference, and which two change each other's effect."""
    apart = [each for each in effects.effects if each.significant]
    alone = [each for each in apart if len(each.factors) == 1]
    together = [each for each in apart if len(each.factors) == 2]
    rest = [each for each in effects.effects if len(each.factors) == 1 and each not in alone]
    settings = listed([factor.title for factor in effects.factors])
    seeds = f"In the grid of {settings}, over {effects.over}"
    unit = metric.difference_unit
    words = [
        f"{effects.title(each)} moves the mean {metric.title} by up to"
        f" {metric.format(each.span)}{unit} ({format_p(each.p)})"
        for each in alone
    ]
    if tested := [each for each in rest if not np.isnan(each.p)]:
        known = [
            f"{effects.title(each)} (means {metric.format(each.span)}{unit} apart,"
            f"{_uncertainty(each, metric)} {format_p(each.p)})"
            for each in tested
        ]
        words.append(f"no significant difference for {listed(known)}")
    if unknown := [effects.title(each) for each in rest if each not in tested]:
        words.append(f"not tested, the seeds being too alike: {listed(unknown)}")
    pairs = [
        f"{effects.title(each).removesuffix(' together')} ({format_p(each.p)})" for each in together
    ]
    changed = (
        f"these change each other's effect: {listed(pairs)}"
        if pairs
        else "no two significantly change each other's effect"
    )
    return f"{seeds}: {'; '.join([*words, changed])}. Each p is corrected for all effects."


def _uncertainty(effect: Effect, metric: Metric) -> str:
    """The 95 % interval of the difference of two levels; of several, how well each is known."""
    known = effect.half_widths[np.isfinite(effect.half_widths)]
    if not len(known):
        return ""
    if effect.means.size > 2:
        low, high = metric.format(float(known.min())), metric.format(float(known.max()))
        width = low if low == high else f"{low} to {high}"
        return f" each ± {width} against the mean of all by itself,"
    half = 2 * float(known[0])  # each level is known by its distance from their mean
    ends = [metric.format(effect.span + side * half) for side in (-1, 1)]
    return f" 95 % interval by itself {ends[0]} to {ends[1]},"
