"""The variants one below the other, the best on top: test accuracy at the last epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import contenders, limits
from study.report.variants import TEST, Study, Variant, percent

MOST_ROWS = 30
HEADER = ("label", "parameters", "seeds", "mean", "low", "high", "seed", "test_accuracy",
          "last5_deviation")  # fmt: skip


def draw(folder: Path, study: Study) -> SavedFigure:
    """Draw each variant's seeds, mean and interval, with its number of parameters beside them."""
    tested = [variant for variant in study.ranked() if variant.values(TEST)]
    from_below = tested[:MOST_ROWS][::-1]
    with matplotlib.rc_context(drawing.STYLE):
        size = (drawing.WIDE["figsize"][0], 1 + 0.3 * len(from_below))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        _draw_variants(axes, study, from_below)
        axes.set(ylim=(-0.6, len(from_below) - 0.4), xlabel="test accuracy (%)")
        axes.set_yticks(range(len(from_below)), [variant.label for variant in from_below])
        axes.grid(False, axis="y")
        rows = [row for variant in tested for row in _rows(variant)]
        drawing.save(figure, folder, "final", HEADER, rows)
    cut = f" The best {MOST_ROWS} are shown." if len(study.variants) > MOST_ROWS else ""
    return SavedFigure(
        "final",
        "Test accuracy at the last epoch",
        "Diamonds: means; bars: 95 % t interval of the mean (none at one seed); dots: seeds. In the"
        f" order of the {study.chosen_by}. Triangles: left of the axis.{cut}",
    )


def _draw_variants(axes: Axes, study: Study, variants: Sequence[Variant]) -> None:
    scores = [variant.last(TEST) for variant in variants]
    best = [scores[i] for i in contenders([score.mean for score in scores])]
    bounds = [bound for score in best for bound in (score.low, score.high)]
    low, high = limits([[score.mean] for score in best], bounds)
    axes.set_xlim(low, high)
    for y, (variant, score) in enumerate(zip(variants, scores)):
        axes.annotate(
            f"{percent(score)}  {variant.parameters['total']:,} parameters",
            (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8,
            annotation_clip=False,
        )  # fmt: skip
        colour = drawing.colour(study, variant)
        if score.mean < low:
            axes.plot(low, y, "<", color=colour, markersize=6, clip_on=False)
            continue
        seeds = list(variant.values(TEST).values())
        axes.plot(seeds, [y] * len(seeds), "o", color=colour, markersize=3.5, alpha=0.45)
        axes.plot(score.mean, y, "D", color=colour, markersize=5)
        if np.isfinite(score.half_width):
            axes.plot([score.low, score.high], [y, y], color=colour, linewidth=1.6)


def _rows(variant: Variant) -> list[list[Any]]:
    """A row a seed."""
    score, deviations = variant.last(TEST), variant.late_deviation()
    shared = [variant.label, variant.parameters["total"], score.n, *score[:3]]
    return [
        [*shared, seed, value, deviations[seed]] for seed, value in variant.values(TEST).items()
    ]
