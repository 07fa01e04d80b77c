"""Test accuracy against what a variant costs: its parameters.

Seconds are no cost to compare: no run records what else its machine did meanwhile.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report.axis import LOG_RATIO
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure, SideLabel
from study.report.figures.limits import ACCURACY, point_limits
from study.report.stats import Interval
from study.report.study import Study
from study.report.variants import TEST, Variant
from study.report.words import in_words

NAME = "accuracy_parameters"
FAR = "0.3"
LABEL = 0.28  # inches of height that the two lines of a label need


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
        width, height = drawing.WIDE["figsize"]
        height = max(height, LABEL * len(study.shown))
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        _, (low, high) = point_limits([variant.last(TEST) for variant in known])
        axes.set_ylim(low, high)
        if is_log(costs):
            drawing.set_logarithmic(axes, "x")
        else:
            axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set(xlabel="parameters", ylabel="test accuracy at the last epoch (%)")
        far = [variant for variant in known if variant.last(TEST).mean < low]
        labels = _draw_variants(axes, study, [each for each in known if each not in far])
        drawing.draw_side_labels(axes, labels + _draw_far(axes, far))
        rows = [[v.label, cost, v.last(TEST).n, *v.last(TEST)[:3]] for v, cost in zip(known, costs)]
        header = ["label", "parameters", "seeds", "mean", "low", "high"]
        drawing.save(figure, folder, NAME, header, rows)
    return SavedFigure(
        NAME,
        "Accuracy against parameters",
        "Means over seeds with the 95 % t interval. Triangles: beyond the axis; grey ones are means"
        " below it.",
        (low, high),
    )


def ends(score: Interval, low: float) -> tuple[float, ...]:
    """What a triangle marks where an axis from `low` on leaves it out: the mean below it, else the
    ends of the interval, of what an accuracy can be."""
    return (score.mean,) if score.mean < low else score.within(0, ACCURACY)[1:3]


def _draw_variants(axes: Axes, study: Study, variants: Sequence[Variant]) -> list[SideLabel]:
    """Draw the variants as points; return the labels, which those in grey have none of."""
    labels = []
    for variant in sorted(variants, key=study.shown.__contains__):  # the grey ones behind
        score, x, look = variant.last(TEST), variant.parameters["total"], styles.of(study, variant)
        drawing.draw_points(axes, [x], [score.within(0, ACCURACY)], look)
        drawing.draw_beyond(axes, x, ends(score, axes.get_ylim()[0]), look.colour)
        if variant in study.shown:
            text = f"{drawing.wrap(variant.label)}\n{in_words(score)}, {x:,} parameters"
            labels.append(SideLabel(text, look.colour, x, score.mean))
    return labels


def _draw_far(axes: Axes, variants: Sequence[Variant]) -> list[SideLabel]:
    """Draw the variants below the axis, those of as many parameters as one triangle; return its
    labels."""
    by_cost: dict[int, list[Variant]] = defaultdict(list)
    for variant in variants:
        by_cost[variant.parameters["total"]].append(variant)
    labels = []
    for x, each in by_cost.items():
        means = [variant.last(TEST).mean for variant in each]
        drawing.draw_beyond(axes, x, means, FAR)
        name, score = drawing.wrap(each[0].label), f"{min(means):.2f} %"
        if len(each) > 1:
            name, score = f"{len(each)} below the axis", f"{min(means):.2f} to {max(means):.2f} %"
        labels.append(SideLabel(f"{name}\n{score}, {x:,} parameters", FAR, x, min(means)))
    return labels
