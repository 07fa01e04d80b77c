"""What an L1 lambda buys: the share of weights near zero, on the axis of the metric's response."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study import runs
from study.report import stats
from study.report.axis import Axis
from study.report.figures import drawing, response, styles, weights
from study.report.figures.drawing import SavedFigure
from study.report.figures.limits import limits
from study.report.study import Study
from study.report.variants import Variant
from study.values import number

HEADER = ("label", "l1", "seeds", "mean", "low", "high")


def draw(folder: Path, study: Study, axis: Axis, varied: Sequence[Axis]) -> SavedFigure | None:
    """Draw the share of weights near zero against L1 lambda, as `response.draw` the metric.

    None where the axis is another, or has too few values with weights; runs pulled from W&B have
    none.
    """
    lambdas = {variant.config.l1 for variant in study.shown}
    if axis.name != "l1" or len(lambdas) < response.SEVERAL:
        return None
    # Reading the weights of a thousand runs takes 15 s: those of the best alone.
    shares = {v: share for v in study.shown if (share := share_near_zero(v))}
    others = [other.name for other in varied if other != axis]
    families = {  # those of the response, so that one looks alike in both
        family: [p._replace(score=shares[p.variant]) for p in members if p.variant in shares]
        for family, members in response.by_family(
            response.points_on(study, axis), axis, others
        ).items()
    }
    points = [point for members in families.values() for point in members]
    if len({point.x for point in points}) < response.SEVERAL:
        return None
    lines = response.joined(families, others)
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.NARROW)
        axes = figure.subplots()
        for i, (family, members) in enumerate(families.items()):
            look = styles.nth(i)
            response.draw_lines(axes, lines[family], look)
            scores = [point.score for point in members]
            if members:
                drawing.draw_points(axes, [point.x for point in members], scores, look, family)
        response.draw_ticks(axes, axis)
        near = f"weights below {number(weights.NEAR)} (%)"
        axes.set(xlabel=axis.title, ylabel=near)
        axes.set_ylim(limits([[end] for point in points for end in point.score[:3]]))
        if len(families) > 1:
            drawing.draw_legend(figure)
        rows = [[p.variant.label, p.variant.config.l1, p.score.n, *p.score[:3]] for p in points]
        drawing.save(figure, folder, "sparsity", HEADER, rows)
    return SavedFigure(
        "sparsity",
        "Weights near zero under each L1 lambda",
        "A point is a configuration: the share of its weights and biases below"
        f" {number(weights.NEAR)}, the mean over its seeds with the 95 % t interval where there are"
        f" several.{response.describe_lines(axis, lines)}"
        + (f" The best {len(study.shown)} of {len(study.variants)}." if study.hidden else ""),
    )


def share_near_zero(variant: Variant) -> stats.Interval | None:
    """The share of a variant's weights that are near zero, in percent, over its seeds; None where
    no seed kept them."""
    kept = [run.path / runs.WEIGHTS for run in variant.runs if run.has(runs.WEIGHTS)]
    sizes = [size for size in map(weights.sizes, kept) if len(size)]
    shares = [100 * float(np.mean(size < weights.NEAR)) for size in sizes]
    return stats.mean_interval(shares) if shares else None
