"""Test accuracy against what a variant costs: its parameters.

Seconds are no cost to compare: no run records what else its machine did meanwhile.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report.axis import LOG_RATIO
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure, SideLabel
from study.report.figures.limits import contenders, limits
from study.report.variants import TEST, Study, Variant
from study.report.words import percent
from study.values import number

COSTS = {"parameters": "parameters"}


def name(cost: str) -> str:
    """The name of the figure of a cost."""
    return f"accuracy_{cost}"


def value(variant: Variant, cost: str) -> float:
    """What a variant costs, one of COSTS."""
    return variant.parameters["total"] if cost == "parameters" else variant.last(cost).mean


def is_log(costs: Sequence[float]) -> bool:
    """Whether costs differ so much that their axis is logarithmic."""
    return max(costs) > LOG_RATIO * max(min(costs), 1e-9)


def draw(folder: Path, study: Study, cost: str) -> SavedFigure | None:
    """Draw the variants by a cost; None where all cost the same, or it is not known."""
    known = [v for v in study.variants if v.values(TEST) and np.isfinite(value(v, cost))]
    costs = [value(variant, cost) for variant in known]
    if len(set(costs)) < 2:
        return None
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.WIDE)
        axes = figure.subplots()
        inside = [known[i] for i in contenders([variant.last(TEST).mean for variant in known])]
        scores = [variant.last(TEST) for variant in inside]
        bounds = [bound for score in scores for bound in (score.low, score.high)]
        axes.set_ylim(limits([[score.mean] for score in scores], bounds))
        if is_log(costs):
            drawing.set_logarithmic(axes, "x")
        axes.set(xlabel=COSTS[cost], ylabel="test accuracy at the last epoch (%)")
        _draw_variants(axes, study, inside, cost)
        for variant in known:
            ends, look = variant.last(TEST)[:3], styles.of(study, variant)
            drawing.draw_beyond(axes, value(variant, cost), ends, look.colour)
        rows = [[v.label, value(v, cost), v.last(TEST).n, *v.last(TEST)[:3]] for v in known]
        header = ["label", cost, "seeds", "mean", "low", "high"]
        drawing.save(figure, folder, name(cost), header, rows)
    return SavedFigure(
        name(cost),
        f"Accuracy against {COSTS[cost]}",
        "Means over seeds with the 95 % t interval. Triangles: beyond the axis.",
        axes.get_ylim(),
    )


def _draw_variants(axes: Axes, study: Study, variants: Sequence[Variant], cost: str) -> None:
    """Draw the variants as points, in grey those that have no label."""
    labels = []
    grey = [variant for variant in variants if variant not in study.shown]
    scores = [variant.last(TEST) for variant in grey]
    drawing.draw_points(axes, [value(variant, cost) for variant in grey], scores, styles.GREY)
    for variant in variants:
        if variant not in study.shown:
            continue
        score, x, look = variant.last(TEST), value(variant, cost), styles.of(study, variant)
        drawing.draw_points(axes, [x], [score], look)
        text = f"{drawing.wrap(variant.label)}\n{percent(score)}, {number(round(x, 1))} {cost}"
        labels.append(SideLabel(text, look.colour, x, score.mean))
    drawing.draw_side_labels(axes, labels)
