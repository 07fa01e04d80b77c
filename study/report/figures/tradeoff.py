"""Test accuracy against what a variant costs: its parameters.

Seconds are no cost to compare: no run records what else its machine did meanwhile.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report.axis import LOG_RATIO
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure, SideLabel
from study.report.figures.limits import contenders, limits
from study.report.variants import TEST, Study, Variant
from study.report.words import in_words
from study.values import number

NAME = "accuracy_parameters"


def is_log(parameters: Sequence[int]) -> bool:
    """Whether numbers of parameters differ so much that their axis is logarithmic."""
    return max(parameters) > LOG_RATIO * min(parameters)


def draw(folder: Path, study: Study) -> SavedFigure | None:
    """Draw the variants by their parameters; None where all have the same number."""
    known = [variant for variant in study.variants if variant.values(TEST)]
    costs = [variant.parameters["total"] for variant in known]
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
        axes.set(xlabel="parameters", ylabel="test accuracy at the last epoch (%)")
        _draw_variants(axes, study, inside)
        for variant, cost in zip(known, costs):
            ends, look = variant.last(TEST)[:3], styles.of(study, variant)
            drawing.draw_beyond(axes, cost, ends, look.colour)
        rows = [[v.label, cost, v.last(TEST).n, *v.last(TEST)[:3]] for v, cost in zip(known, costs)]
        header = ["label", "parameters", "seeds", "mean", "low", "high"]
        drawing.save(figure, folder, NAME, header, rows)
    return SavedFigure(
        NAME,
        "Accuracy against parameters",
        "Means over seeds with the 95 % t interval. Triangles: beyond the axis.",
        axes.get_ylim(),
    )


def _draw_variants(axes: Axes, study: Study, variants: Sequence[Variant]) -> None:
    """Draw the variants as points, in grey those that have no label."""
    labels = []
    grey = [variant for variant in variants if variant not in study.shown]
    scores = [variant.last(TEST) for variant in grey]
    drawing.draw_points(
        axes, [variant.parameters["total"] for variant in grey], scores, styles.GREY
    )
    for variant in variants:
        if variant not in study.shown:
            continue
        score, x, look = variant.last(TEST), variant.parameters["total"], styles.of(study, variant)
        drawing.draw_points(axes, [x], [score], look)
        text = f"{drawing.wrap(variant.label)}\n{in_words(score)}, {number(x)} parameters"
        labels.append(SideLabel(text, look.colour, x, score.mean))
    drawing.draw_side_labels(axes, labels)
