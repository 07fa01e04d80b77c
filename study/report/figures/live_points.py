"""Live graphs of variants as points: against a setting, against parameters; for plotly.js."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from study.report.axis import Axis
from study.report.figures import response, styles, tradeoff
from study.report.figures.limits import contenders, perfect_value
from study.report.figures.styles import Style
from study.report.figures.traces import GREY, Plot, Trace, Window, beyond, hover, plain
from study.report.stats import Interval
from study.report.study import Study
from study.report.variants import TEST
from study.runs import Run


def against_setting(study: Study, axis: Axis, varied: Sequence[Axis], window: Window) -> Plot:
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
            x = plain([point.x for point in line])
            y = plain([point.score.mean for point in line])
            ids = [point.variant.label for point in line]  # a filter hides its points of the line
            behind.append(own | thin | {"ids": ids, "x": x, "y": y, "line": drawn})
        shown = [point for point in members if point.variant in close]
        named = [(point.variant.label, point.x, point.score) for point in shown]
        traces.append(own | _points(named, look, 8))
        for point in members:
            ends = point.score[:3] if point.variant in close else point.score[:1]
            whose = own | {"ids": [point.variant.label]}
            traces += [whose | trace for trace in beyond(point.x, ends, look, window)]
    if stopped:
        traces.append(_stopped(study, axis, stopped, window))
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


def _stopped(study: Study, axis: Axis, stopped: Sequence[Run], window: Window) -> Trace:
    """Runs that were stopped early, where they were; those beyond the axis at its edge."""
    where, ended = zip(*(response.stopped_at(study, axis, run) for run in stopped))
    words = [
        f"{run.path.name}, stopped at {value:.6g}<extra></extra>"
        for run, value in zip(stopped, ended)
    ]
    return {
        "mode": "markers",
        "name": "stopped early",
        "x": plain(where),
        "y": plain(np.clip(ended, *window)),
        "cliponaxis": False,
        "marker": {"symbol": "x", "color": GREY},
        "hovertemplate": words,
    }


def against_parameters(study: Study, window: Window) -> Plot:
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
        traces += [own | trace for trace in beyond(x, ends, look, window)]
        shown = f"{study.number(variant)}  {score.mean:.2f}"
        at = {"x": math.log10(x) if log else x, "y": plain([score.mean])[0]}
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
    means = plain([score.mean for score in scores])
    halves = plain([score.half_width for score in scores])
    trace: Trace = {
        "mode": "markers",
        "ids": list(labels),
        "x": plain(x),
        "y": means,
        "marker": {"color": look.colour, "symbol": look.symbol, "size": size},
        "hovertemplate": [hover(*point) for point in zip(labels, means, halves)],
    }
    if any(half is not None for half in halves):
        trace["error_y"] = {"array": halves, "thickness": 1.2, "color": look.colour}
    return trace
