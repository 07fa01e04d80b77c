"""The graphs of the page that show values under the pointer, as plotly.js reads them.

Each stands in the place of a picture, which remains for paper and where no script runs.
"""

import base64
import functools
import gzip
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from study import runs
from study.planned import metric_title
from study.report import stats
from study.report.axis import Axis, varying
from study.report.figures import curves, drawing, response, tradeoff
from study.report.figures.drawing import SavedFigure
from study.report.variants import TEST, Study, Variant

PLOTLY_DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
GREY = "#999999"
Window = tuple[float, float] | None  # the limits of the vertical axis
Graph = dict[str, Any]  # plotly's data and layout


@functools.cache
def plotly() -> str:
    """plotly.js, packed by gzip and base64: a third of its size."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def build(
    study: Study, figures: Sequence[SavedFigure], target: float | None = None
) -> dict[str, Graph]:
    """Build the graphs, by the names of the figures in whose place they stand."""
    windows = {figure.name: figure.window for figure in figures}
    graphs = {}
    for metric in runs.METRICS:
        if (name := curves.name(metric)) in windows:
            at = target if metric == "test/accuracy" else None
            graphs[name] = _curves(study, metric, windows[name], at)
    varied = varying(study)
    for axis in varied:
        if (name := response.name(axis)) in windows:
            graphs[name] = _response(study, axis, varied, windows[name])
    for cost, title in tradeoff.COSTS.items():
        if (name := tradeoff.name(cost)) in windows:
            graphs[name] = _points(
                study, study.variants, functools.partial(tradeoff.value, cost=cost), TEST,
                windows[name], {"title": title}, "test accuracy at the last epoch (%)",
            )  # fmt: skip
    return graphs


def _curves(study: Study, metric: str, window: Window, target: float | None) -> Graph:
    lines: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []  # behind all lines
    for variant in study.shown:
        mean, low, high = map(_plain, stats.curve_interval(variant.curves(metric)))
        colour, dashes = drawing.line_style(study.shown.index(variant))
        group = {"legendgroup": variant.label, "name": variant.label, "x": variant.epochs}
        if any(value is not None for value in low):
            band: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
            band |= {"showlegend": False} | group
            fill = _transparent(colour, drawing.band_opacity(len(study.shown)))
            bands += [band | {"y": low}, band | {"y": high, "fill": "tonexty", "fillcolor": fill}]
        half = [None if a is None or b is None else (b - a) / 2 for a, b in zip(low, high)]
        lines.append(
            group
            | {"mode": "lines", "y": mean}
            | {"line": {"color": colour, "dash": PLOTLY_DASHES[dashes], "width": 2}}
            | {"hovertemplate": [_hover(variant.label, m, h) for m, h in zip(mean, half)]}
        )
    if study.hidden:
        bands.insert(0, _grey_curves(study, metric))
    last = max(variant.epochs[-1] for variant in study.variants)
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "epoch"}, "dtick": max(1, round(last / 10))},
        "yaxis": {"title": {"text": metric_title(metric)}, "range": window},
    }
    if target is not None:
        line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": target, "y1": target}
        layout["shapes"] = [line | {"line": {"color": GREY, "dash": "dot", "width": 1}}]
    return {"data": bands + lines, "layout": layout}


def _grey_curves(study: Study, metric: str) -> dict[str, Any]:
    """The means of the variants without a colour, as one trace with gaps."""
    x: list[Any] = []
    y: list[Any] = []
    for variant in study.variants:
        if variant not in study.shown:
            x += [*variant.epochs, None]
            y += [*_plain(variant.curves(metric).mean(axis=0)), None]
    return {
        "mode": "lines",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "name": f"{study.hidden} others",
        "line": {"color": GREY, "width": 0.5},
    }


def _response(study: Study, axis: Axis, varied: Sequence[Axis], window: Window) -> Graph:
    points, stopped = response.points_on(study, axis), response.stopped_on(study, axis)
    positions, labels = zip(*axis.ticks())
    x_of = {point.variant.label: point.x for point in points}
    graph = _points(
        study, [point.variant for point in points], lambda variant: x_of[variant.label],
        study.rank_key, window,
        {"title": axis.title, "tickvals": positions, "ticktext": labels}, study.chosen_by,
    )  # fmt: skip
    others = [other.name for other in varied if other != axis]
    for line in response.joined(points, others):
        x, y = map(_plain, zip(*line))
        trace = {"mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "showlegend": False}
        graph["data"].insert(0, trace | {"line": {"color": GREY, "width": 1}})
    if stopped:
        x, y = map(_plain, zip(*(response.stopped_at(study, axis, run) for run in stopped)))
        graph["data"].append(
            {
                "mode": "markers",
                "name": "stopped early",
                "x": x,
                "y": y,
                "marker": {"symbol": "x", "color": GREY},
                "hovertemplate": [f"{run.path.name}, stopped<extra></extra>" for run in stopped],
            }
        )
    return graph


def _points(
    study: Study,
    variants: Sequence[Variant],
    x_of: Callable[[Variant], float],
    key: str,
    window: Window,
    axis: dict[str, Any],
    title: str,
) -> Graph:
    """Variants as points with their intervals: a trace for each with a colour, one for the rest."""
    shown = [variant for variant in variants if variant in study.shown]
    rest = [variant for variant in variants if variant not in study.shown]
    traces = [
        _trace([variant], variant.label, x_of, key, drawing.colour(study, variant), 9)
        for variant in shown
    ]
    if rest:
        traces.append(_trace(rest, "others", x_of, key, GREY, 6))
    xaxis = axis | {"title": {"text": axis["title"]}}
    yaxis = {"title": {"text": title}, "range": window}
    return {"data": traces, "layout": {"xaxis": xaxis, "yaxis": yaxis}}


def _trace(
    variants: Sequence[Variant],
    name: str,
    x_of: Callable[[Variant], float],
    key: str,
    colour: str,
    size: int,
) -> dict[str, Any]:
    scores = [variant.last(key) for variant in variants]
    means = _plain([score.mean for score in scores])
    halves = _plain([score.half_width for score in scores])
    labels = [variant.label for variant in variants]
    trace = {
        "mode": "markers",
        "name": name,
        "x": _plain([x_of(variant) for variant in variants]),
        "y": means,
        "marker": {"color": colour, "size": size},
        "hovertemplate": [_hover(*point) for point in zip(labels, means, halves)],
    }
    if any(half is not None for half in halves):
        trace["error_y"] = {"array": halves, "thickness": 1.2, "color": colour}
    return trace


def _hover(label: str, mean: float | None, half: float | None) -> str:
    """Words under the pointer; plotly lets no tag through but a few of its own, and no script."""
    if mean is None:
        return ""
    interval = f" ± {half:.4g}" if half is not None else ""
    return f"{label}<br>{mean:.6g}{interval}<extra></extra>"


def _plain(values: Any) -> list[float | None]:
    """Numbers as JSON takes them: five digits after those before the point, NaN as null."""
    return [round(float(value), 5) if np.isfinite(value) else None for value in values]


def _transparent(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
