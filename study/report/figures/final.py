"""The variants one below the other, the best on top: the metric that ranks them, at the last
epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import contenders, limits, perfect_value
from study.report.variants import TEST, Study, Variant, percent

MOST_ROWS = 30
HEADER = ("label", "parameters", "seeds", "mean", "low", "high", "seed")


def draw(folder: Path, study: Study) -> SavedFigure:
    """Draw each variant's seeds, mean and interval; beside them test accuracy and parameters."""
    best = [variant for variant in study.ranked() if variant.values(study.rank_key)][:MOST_ROWS]
    by_kind = [variant for family in study.families for variant in family]
    from_below = [variant for variant in by_kind if variant in best][::-1]
    with matplotlib.rc_context(drawing.STYLE):
        size = (drawing.WIDE["figsize"][0], 1 + 0.3 * len(from_below))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        _draw_variants(axes, study, from_below)
        axes.set(ylim=(-0.6, len(from_below) - 0.4), xlabel=study.chosen_by)
        axes.set_yticks(range(len(from_below)), [variant.label for variant in from_below])
        axes.grid(False, axis="y")
        rows = [row for variant in by_kind for row in _rows(study, variant)]
        header = [*HEADER, study.metric.name.replace("/", "_")]
        drawing.save(figure, folder, "final", header, rows)
    cut = f" The best {MOST_ROWS} are shown." if len(study.variants) > MOST_ROWS else ""
    several = len(study.families) > 1
    order = ", within each data set, network and number of epochs" if several else ""
    return SavedFigure(
        "final",
        f"{study.metric.title.capitalize()} at the last epoch",
        "Diamonds: means; bars: 95 % t interval of the mean (none at one seed); dots: seeds. The"
        f" {study.metric.superlative} on top{order}; beside it the test accuracy. Triangles: beyond"
        f" the axis.{cut}",
    )


def _draw_variants(axes: Axes, study: Study, variants: Sequence[Variant]) -> None:
    scores = [variant.last(study.rank_key) for variant in variants]
    perfect = perfect_value(study.metric)
    best = [scores[i] for i in contenders([score.mean for score in scores], perfect)]
    bounds = [bound for score in best for bound in (score.low, score.high)]
    low, high = limits([[score.mean] for score in best], bounds, perfect)
    axes.set_xlim(low, high)
    for y, (variant, score) in enumerate(zip(variants, scores)):
        axes.annotate(
            f"{percent(variant.last(TEST))}  {variant.parameters['total']:,} parameters",
            (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8,
            annotation_clip=False,
        )  # fmt: skip
        colour = drawing.colour(study, variant)
        if not low <= score.mean <= high:
            edge, marker = (low, "<") if score.mean < low else (high, ">")
            axes.plot(edge, y, marker, color=colour, markersize=6, clip_on=False)
            continue
        seeds = list(variant.values(study.rank_key).values())
        axes.plot(seeds, [y] * len(seeds), "o", color=colour, markersize=3.5, alpha=0.45)
        axes.plot(score.mean, y, "D", color=colour, markersize=5)
        if np.isfinite(score.half_width):
            axes.plot([score.low, score.high], [y, y], color=colour, linewidth=1.6)


def _rows(study: Study, variant: Variant) -> list[list[Any]]:
    """A row a seed."""
    score = variant.last(study.rank_key)
    shared = [variant.label, variant.parameters["total"], score.n, *score[:3]]
    return [[*shared, seed, value] for seed, value in variant.values(study.rank_key).items()]
