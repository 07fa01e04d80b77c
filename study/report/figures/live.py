"""The graphs of the page that show values under the pointer, as plotly.js reads them.

Each stands in the place of a picture, which remains for paper and where no script runs, and shows
what the picture shows. The page's script adds the labels, which must keep apart.
"""

import base64
import functools
import gzip
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from study.metrics import METRICS
from study.report.axis import Axis, varying
from study.report.figures import curves, response, styles, tradeoff
from study.report.figures.curves import Curve
from study.report.figures.drawing import SavedFigure, band_opacity, marker_step
from study.report.figures.limits import contenders, perfect_value
from study.report.figures.styles import Style
from study.report.stats import Interval
from study.report.variants import TEST, Study
from study.values import text

Window = tuple[float, float]  # the limits of the vertical axis
Trace = dict[str, Any]
# plotly's data and layout; `labels` beside points, each of a variant by its `name`; `toggles`:
# whether traces are of a variant by their name, which the page's legend switches off and the page
# colours otherwise; `curves`: whether its lines may be smoothed, and `digits` of their values. What
# a trace of a variant is says its `meta`: MEAN, SPREAD or MARK; `ids`: the variants of its points.
Plot = dict[str, Any]
MEAN, SPREAD, MARK = "mean", "spread", "mark"
GREY = styles.GREY.colour


@functools.cache
def plotly() -> str:
    """plotly.js, packed by gzip and base64: a third of its size."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def build(
    study: Study, figures: Sequence[SavedFigure], target: float | None = None
) -> dict[str, Plot]:
    """Build the graphs, by the names of the figures in whose place they stand."""
    windows = {figure.name: figure.window for figure in figures if figure.window}
    graphs = {}
    for metric in METRICS:
        drawn = curves.graph(study, metric, target) if curves.name(metric) in windows else None
        if drawn:
            graphs[curves.name(metric)] = _curves(study, drawn)
    varied = varying(study)
    for axis in varied:
        if (name := response.name(axis)) in windows:
            graphs[name] = _response(study, axis, varied, windows[name])
    if tradeoff.NAME in windows:
        graphs[tradeoff.NAME] = _tradeoff(study, windows[tradeoff.NAME])
    return graphs


def groupings(study: Study) -> list[dict[str, Any]]:
    """By what the page may colour the variants: by sweep where there are several, and by each
    setting that varies, numbers in the order of a scale; not by more than have a colour each.
    Each has a `title`, the `names` and `looks` of its groups, and the group `of` each variant in
    which the setting has an effect."""
    found = []
    if len(study.sweeps) > 1:
        place = {variant.label: study.sweeps.index(variant.sweep) for variant in study.shown}
        found.append(_grouping("sweep", study.sweeps, place))
    for axis in varying(study):
        place = {
            variant.label: axis.values.index(getattr(variant.config, axis.name))
            for variant in study.shown
            if variant.config.has_effect(axis.name)
        }
        names = [text(value) for value in axis.values]
        found.append(_grouping(axis.title, names, place, axis.numeric))
    return [grouping for grouping in found if grouping]


def _grouping(
    title: str, names: Sequence[str], place: dict[str, int], ordered: bool = False
) -> dict[str, Any] | None:
    """A way to colour the variants; None where it takes more colours than there are."""
    n = len(names)
    if n > len(styles.SHADES if ordered else styles.COLOURS):
        return None
    looks = styles.ordered(n) if ordered else [styles.nth(i) for i in range(n)]
    plain = [{"color": look.colour, "dash": look.dash, "symbol": look.symbol} for look in looks]
    return {"title": title, "names": names, "looks": plain, "of": place}


def _curves(study: Study, graph: curves.Graph) -> Plot:
    behind: list[Trace] = [_grey_curves(study, graph)] if graph.hidden else []
    lines: list[Trace] = []
    labels = []
    first = min(curve.epochs[0] for curve in graph.curves)
    last = max(curve.epochs[-1] for curve in graph.curves)
    for curve in graph.curves:
        own = {"legendgroup": curve.variant.label, "name": curve.variant.label}
        behind += [own | {"meta": SPREAD} | trace for trace in _spread(graph, curve)]
        lines += [own | trace for trace in _line(graph, curve)]
        number, look = study.number(curve.variant), curve.look
        lines += [
            own | trace
            for trace in _beyond(curve.epochs[-1], graph.ends(curve), look, graph.window)
        ]
        labels.append(
            {
                "name": curve.variant.label,
                "text": f"{number}  {graph.format_last(curve)}",
                "short": f"{number}  {graph.metric.format(curve.mean[-1])}",
                "color": look.colour,
                "x": last,
                "y": _plain([curve.mean[-1]])[0],
            }
        )
    room = 0.02 * (last - first) or 0.5
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": "epoch"}, "range": [first - room, last + room],
            "dtick": max(1, round((last - first) / 8)), "tick0": first,
        },
        "yaxis": {"title": {"text": graph.metric.axis_title()}, "range": graph.window},
    }  # fmt: skip
    if graph.target is not None:
        across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
        line = {"y0": graph.target, "y1": graph.target, "line": {"color": GREY, "dash": "dot"}}
        layout["shapes"] = [across | line]
        words = {"text": f"target {graph.target:g}", "xref": "paper", "x": 0, "y": graph.target}
        anchor = {"xanchor": "left", "yanchor": "bottom", "showarrow": False}
        layout["annotations"] = [words | anchor]
    shown = {"data": behind + lines, "layout": layout, "labels": labels}
    return shown | {"toggles": True, "curves": True, "digits": graph.metric.digits}


def _spread(graph: curves.Graph, curve: Curve) -> list[Trace]:
    """A curve's band, or its seeds as one trace with gaps."""
    quiet: Trace = {"hoverinfo": "skip", "showlegend": False}
    colour = curve.look.colour
    if len(curve.seeds) < 2:
        return []
    if graph.bands:
        edge = quiet | {"mode": "lines", "line": {"width": 0}, "x": curve.epochs}
        fill = {
            "fill": "tonexty",
            "fillcolor": _transparent(colour, band_opacity(len(graph.curves))),
        }
        return [edge | {"y": _plain(curve.low)}, edge | {"y": _plain(curve.high)} | fill]
    thin = {
        "line": {"color": colour, "width": 0.7},
        "opacity": 0.55,
        "marker": {"color": colour, "size": 4},
    }
    x = [*curve.epochs, None] * len(curve.seeds)
    y = [value for seed in curve.seeds for value in (*_plain(seed), None)]
    mode = "lines" if len(curve.epochs) > 1 else "markers"
    return [quiet | thin | {"mode": mode, "x": x, "y": y}]


def _line(graph: curves.Graph, curve: Curve) -> list[Trace]:
    """A curve's mean with its markers, and a star at its best epoch."""
    look, unit = curve.look, graph.metric.unit
    every = marker_step(curve.epochs)
    sizes = [6 if i % every == 0 else 0 for i in range(len(curve.epochs))]
    words = [
        _hover(f"{curve.variant.label}<br>epoch {epoch}", mean, half, unit)
        for epoch, mean, half in zip(curve.epochs, _plain(curve.mean), _plain(curve.half_widths))
    ]
    line: Trace = {
        "meta": MEAN,
        "mode": "lines+markers",
        "x": curve.epochs,
        "y": _plain(curve.mean),
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {
            "color": look.colour,
            "symbol": look.symbol,
            "size": sizes,
            "line": {"width": 0},
        },
        "hovertemplate": words,
    }
    if len(curve.epochs) < 2:
        return [line]
    epoch, best = curve.epochs[curve.best], _plain([curve.mean[curve.best]])
    reached = f"best: {best[0]:.6g}{unit} at epoch {epoch}"
    star = {
        "meta": MARK,
        "mode": "markers",
        "x": [epoch],
        "y": best,
        "showlegend": False,
        "marker": {"color": look.colour, "symbol": "star", "size": 13},
        "hovertemplate": f"{curve.variant.label}<br>{reached}<extra></extra>",
    }
    return [line, star]


def _beyond(x: float, values: Iterable[float], look: Style, window: Window) -> list[Trace]:
    """Triangles at the edges that values leave, which are shown under the pointer."""
    low, high = window
    traces = []
    for edge, symbol, beyond in (
        (low, "triangle-down", [value for value in values if value < low]),
        (high, "triangle-up", [value for value in values if value > high]),
    ):
        if beyond:
            shown = ", ".join(f"{value:.6g}" for value in beyond)
            traces.append(
                {
                    "meta": MARK,
                    "mode": "markers",
                    "x": [x],
                    "y": [edge],
                    "cliponaxis": False,
                    "showlegend": False,
                    "marker": {"color": look.colour, "symbol": symbol, "size": 8},
                    "hovertemplate": f"beyond the axis: {shown}<extra></extra>",
                }
            )
    return traces


def _grey_curves(study: Study, graph: curves.Graph) -> Trace:
    """The means of the variants without a look, as one trace with gaps."""
    x: list[Any] = []
    y: list[Any] = []
    for variant in graph.hidden:
        x += [*variant.epochs, None]
        y += [*_plain(variant.curves(graph.metric.name).mean(axis=0)), None]
    return {
        "mode": "lines",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "name": f"{study.hidden} others",
        "showlegend": False,
        "line": {"color": GREY, "width": 0.5},
    }


def _response(study: Study, axis: Axis, varied: Sequence[Axis], window: Window) -> Plot:
    """Points by family, as in the picture; their variants are named under the pointer."""
    points, stopped = response.points_on(study, axis), response.stopped_on(study, axis)
    others = [other.name for other in varied if other != axis]
    scores = [point.score.mean for point in points]
    close = {points[i].variant for i in contenders(scores, perfect_value(study.metric))}
    behind: list[Trace] = []
    traces: list[Trace] = []
    families = response.by_family(points, axis, others)
    lines = response.joined(families, others)
    for i, (family, members) in enumerate(families.items()):
        look = styles.nth(i)
        own = {"name": family, "legendgroup": family}
        thin = {"mode": "lines", "hoverinfo": "skip", "showlegend": False, "opacity": 0.6}
        for line in lines[family]:
            drawn = {"color": look.colour, "dash": look.dash, "width": 1}
            x = _plain([point.x for point in line])
            y = _plain([point.score.mean for point in line])
            ids = [point.variant.label for point in line]  # a filter hides its points of the line
            behind.append(own | thin | {"ids": ids, "x": x, "y": y, "line": drawn})
        shown = [point for point in members if point.variant in close]
        named = [(point.variant.label, point.x, point.score) for point in shown]
        traces.append(own | _points(named, look, 8))
        for point in members:
            ends = point.score[:3] if point.variant in close else point.score[:1]
            whose = own | {"ids": [point.variant.label]}
            traces += [whose | trace for trace in _beyond(point.x, ends, look, window)]
    if stopped:
        where, ended = zip(*(response.stopped_at(study, axis, run) for run in stopped))
        traces.append(
            {
                "mode": "markers",
                "name": "stopped early",
                "x": _plain(where),
                "y": _plain(np.clip(ended, *window)),
                "cliponaxis": False,
                "marker": {"symbol": "x", "color": GREY},
                "hovertemplate": [
                    f"{run.path.name}, stopped at {value:.6g}<extra></extra>"
                    for run, value in zip(stopped, ended)
                ],
            }
        )
    positions, words = zip(*response.ticks(axis))
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": axis.title}, "tickvals": positions, "ticktext": words},
        "yaxis": {"title": {"text": study.metric.axis_title()}, "range": window},
        "showlegend": len(families) > 1 or bool(stopped),
    }
    if (at := response.gap(axis)) is not None:
        upright = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": at, "x1": at}
        layout["shapes"] = [upright | {"line": {"color": GREY, "dash": "dot", "width": 1}}]
    return {"data": behind + traces, "layout": layout, "labels": [], "toggles": False}


def _tradeoff(study: Study, window: Window) -> Plot:
    """Variants as points with their intervals: a trace for each with a look, one for the rest."""
    known = [variant for variant in study.order if variant.values(TEST)]
    log = tradeoff.is_log([variant.parameters["total"] for variant in known])
    traces: list[Trace] = []
    labels = []
    rest = []
    for variant in known:
        x, score, look = variant.parameters["total"], variant.last(TEST), styles.of(study, variant)
        if variant not in study.shown:
            rest.append((variant.label, x, score))
            continue
        own = {"name": variant.label, "legendgroup": variant.label}
        traces.append(own | _points([(variant.label, x, score)], look, 9))
        ends = tradeoff.ends(score, window[0])
        traces += [own | trace for trace in _beyond(x, ends, look, window)]
        shown = f"{study.number(variant)}  {score.mean:.2f}"
        at = {"x": math.log10(x) if log else x, "y": _plain([score.mean])[0]}
        words = {"name": variant.label, "text": shown, "short": shown, "color": look.colour}
        labels.append(words | at)
    if rest:
        traces.insert(0, {"name": "others"} | _points(rest, styles.GREY, 6))
    layout = {
        "xaxis": {"title": {"text": "parameters"}, "type": "log" if log else "linear"},
        "yaxis": {"title": {"text": "test accuracy at the last epoch (%)"}, "range": window},
    }
    return {"data": traces, "layout": layout, "labels": labels, "toggles": True}


def _points(points: Sequence[tuple[str, float, Interval]], look: Style, size: int) -> Trace:
    """Labelled points with their intervals, which one seed has none of."""
    labels, x, scores = zip(*points) if points else ((), (), ())
    means = _plain([score.mean for score in scores])
    halves = _plain([score.half_width for score in scores])
    trace: Trace = {
        "mode": "markers",
        "ids": list(labels),
        "x": _plain(x),
        "y": means,
        "marker": {"color": look.colour, "symbol": look.symbol, "size": size},
        "hovertemplate": [_hover(*point) for point in zip(labels, means, halves)],
    }
    if any(half is not None for half in halves):
        trace["error_y"] = {"array": halves, "thickness": 1.2, "color": look.colour}
    return trace


def _hover(label: str, mean: float | None, half: float | None, unit: str = "") -> str:
    """Words under the pointer; plotly lets no tag through but a few of its own, and no script."""
    if mean is None:
        return ""
    interval = f" ± {half:.4g}" if half is not None else ""
    return f"{label}<br>{mean:.6g}{interval}{unit}<extra></extra>"


def _plain(values: Any) -> list[float | None]:
    """Numbers as JSON takes them: five digits after those before the point, NaN as null."""
    return [round(float(value), 5) if np.isfinite(value) else None for value in values]


def _transparent(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
