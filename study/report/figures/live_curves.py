"""The live graph of a metric: its curves by epoch, as plotly.js reads them."""

from typing import Any

from study.report.figures import curves
from study.report.figures.curves import Curve
from study.report.figures.drawing import band_opacity, marker_step
from study.report.figures.traces import (
    GREY,
    MARK,
    MEAN,
    SPREAD,
    Plot,
    Trace,
    beyond,
    hover,
    plain,
    transparent,
)
from study.report.study import Study


def build(study: Study, graph: curves.Graph) -> Plot:
    """The means with bands or seeds and labels; behind them, in grey, those without a look."""
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
            own | trace for trace in beyond(curve.epochs[-1], graph.ends(curve), look, graph.window)
        ]
        labels.append(
            {
                "name": curve.variant.label,
                "text": f"{number}  {graph.format_last(curve)}",
                "short": f"{number}  {graph.metric.format(curve.mean[-1])}",
                "color": look.colour,
                "x": last,
                "y": plain([curve.mean[-1]])[0],
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
            "fillcolor": transparent(colour, band_opacity(len(graph.curves))),
        }
        return [
            edge | {"y": plain(curve.low)},
            edge | {"y": plain(curve.high)} | fill,
        ]
    thin = {
        "line": {"color": colour, "width": 0.7},
        "opacity": 0.55,
        "marker": {"color": colour, "size": 4},
    }
    x = [*curve.epochs, None] * len(curve.seeds)
    y = [value for seed in curve.seeds for value in (*plain(seed), None)]
    mode = "lines" if len(curve.epochs) > 1 else "markers"
    return [quiet | thin | {"mode": mode, "x": x, "y": y}]


def _line(graph: curves.Graph, curve: Curve) -> list[Trace]:
    """A curve's mean with its markers, and a star at its best epoch."""
    look, unit = curve.look, graph.metric.unit
    every = marker_step(curve.epochs)
    sizes = [6 if i % every == 0 else 0 for i in range(len(curve.epochs))]
    words = [
        hover(f"{curve.variant.label}<br>epoch {epoch}", mean, half, unit)
        for epoch, mean, half in zip(curve.epochs, plain(curve.mean), plain(curve.half_widths))
    ]
    line: Trace = {
        "meta": MEAN,
        "mode": "lines+markers",
        "x": curve.epochs,
        "y": plain(curve.mean),
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
    epoch, best = curve.epochs[curve.best], plain([curve.mean[curve.best]])
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


def _grey_curves(study: Study, graph: curves.Graph) -> Trace:
    """The means of the variants without a look, as one trace with gaps."""
    x: list[Any] = []
    y: list[Any] = []
    for variant in graph.hidden:
        x += [*variant.epochs, None]
        y += [*plain(variant.curves(graph.metric.name).mean(axis=0)), None]
    return {
        "mode": "lines",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "name": f"{study.hidden} others",
        "showlegend": False,
        "line": {"color": GREY, "width": 0.5},
    }
