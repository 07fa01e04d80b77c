"""The graphs of the page that show values under the pointer, as plotly.js reads them.

Each stands in the place of a picture, which remains for paper and where no script runs.
"""

import base64
import functools
import gzip
from collections.abc import Sequence
from typing import Any

import numpy as np

from study.config import slug
from study.report import stats
from study.report.axis import Axis, varying
from study.report.figures import drawing, response
from study.report.figures.drawing import SavedFigure
from study.report.variants import Study, Variant

PLOTLY_DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
GREY = "#999999"
CURVES = ("test/accuracy", "test/loss")
TEST = "test_accuracy_last"


@functools.cache
def plotly() -> str:
    """plotly.js, packed by gzip and base64: a third of its size."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def make(study: Study, drawn: Sequence[SavedFigure], target: float | None = None) -> dict[str, Any]:
    """Name of a figure -> its graph (plotly's data and layout), for those that have one."""
    windows = {figure.name: figure.window for figure in drawn}
    made = {}
    for metric in CURVES:
        name = slug(metric.replace("/", " "))
        if name in windows:
            at = target if metric == "test/accuracy" else None
            made[name] = _curves(study, metric, windows[name], at)
    settings = varying(study)
    for setting in settings:
        name = f"response_{setting.name}"
        if name in windows:
            made[name] = _response(study, setting, settings, windows[name])
    costs = {
        "accuracy_parameters": ("parameters", lambda v: v.parameters["total"]),
        "accuracy_seconds": ("seconds a run", lambda v: v.last("seconds").mean),
    }
    for name, (title, cost) in costs.items():
        if name in windows:
            made[name] = _points(
                study, study.variants, cost, TEST, windows[name],
                {"title": title}, "test accuracy at the last epoch (%)",
            )  # fmt: skip
    return made


def _curves(
    study: Study, metric: str, window: Sequence[float] | None, target: float | None
) -> dict[str, Any]:
    lines: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []  # behind all lines
    grey_x: list[Any] = []
    grey_y: list[Any] = []
    share = drawing.faint(len(study.shown))
    for variant in study.variants:
        mean, low, high = map(_plain, stats.curve_interval(variant.curves(metric)))
        epochs = variant.epochs
        if variant not in study.shown:
            grey_x += [*epochs, None]
            grey_y += [*mean, None]
            continue
        colour, dash = drawing.line(study.shown.index(variant))
        group = {"legendgroup": variant.label, "name": variant.label}
        if any(value is not None for value in low):
            band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
            band |= {"showlegend": False, "x": epochs} | group
            fill = {"fill": "tonexty", "fillcolor": _faint(colour, share)}
            bands += [band | {"y": low}, band | {"y": high} | fill]
        half = [None if b is None else (b - a) / 2 for a, b in zip(low, high)]
        lines.append(
            group
            | {"mode": "lines", "x": epochs, "y": mean}
            | {"line": {"color": colour, "dash": PLOTLY_DASHES[dash], "width": 2}}
            | {"hovertemplate": [_hover(variant.label, m, h) for m, h in zip(mean, half)]}
        )
    if grey_x:
        others = {"mode": "lines", "x": grey_x, "y": grey_y, "hoverinfo": "skip"}
        others |= {"name": f"{study.others} others", "line": {"color": GREY, "width": 0.5}}
        bands.insert(0, others)
    most = max(variant.epochs[-1] for variant in study.variants)
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "epoch"}, "dtick": max(1, round(most / 10))},
        "yaxis": {"title": {"text": metric.replace("/", " ")}, "range": window},
    }
    if target is not None:
        line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": target, "y1": target}
        layout["shapes"] = [line | {"line": {"color": GREY, "dash": "dot", "width": 1}}]
    return {"data": bands + lines, "layout": layout}


def _response(
    study: Study, setting: Axis, settings: Sequence[Axis], window: Sequence[float] | None
) -> dict[str, Any]:
    points, stopped = response.measured(study, setting)
    places, words = zip(*setting.ticks())
    place = {point.variant.label: point.place for point in points}
    axis = {"title": setting.title, "tickvals": places, "ticktext": words}
    graph = _points(
        study, [point.variant for point in points], lambda v: place[v.label], study.rank_key,
        window, axis, study.chosen_by,
    )  # fmt: skip
    others = [other.name for other in settings if other.name != setting.name]
    for line in response.joined(points, others):
        x, y = map(_plain, zip(*line))
        trace = {"mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "showlegend": False}
        graph["data"].insert(0, trace | {"line": {"color": GREY, "width": 1}})
    if stopped:
        ends = {
            "x": _plain([setting.place(getattr(run.config, setting.name)) for run in stopped]),
            "y": _plain([run.summary[study.rank_key] for run in stopped]),
            "hovertemplate": [f"{run.path.name}, stopped<extra></extra>" for run in stopped],
        }
        look = {
            "mode": "markers",
            "name": "stopped early",
            "marker": {"symbol": "x", "color": GREY},
        }
        graph["data"].append(ends | look)
    return graph


def _points(
    study: Study,
    among: Sequence[Variant],
    place: Any,
    key: str,
    window: Sequence[float] | None,
    axis: dict[str, Any],
    title: str,
) -> dict[str, Any]:
    """Variants as points with their intervals, those that have a colour switched one by one."""
    traces: list[dict[str, Any]] = []
    grey: list[Variant] = [variant for variant in among if variant not in study.shown]
    for variants, name in [([v], v.label) for v in among if v in study.shown] + [(grey, "others")]:
        if not variants:
            continue
        scores = [variant.last(key) for variant in variants]
        colour = study.colour(variants[0]) if variants is not grey else GREY
        halves = _plain([score.half_width for score in scores])
        means = _plain([score.mean for score in scores])
        trace = {
            "mode": "markers",
            "name": name,
            "x": _plain([place(variant) for variant in variants]),
            "y": means,
            "marker": {"color": colour, "size": 9 if variants is not grey else 6},
            "hovertemplate": [
                _hover(variant.label, m, h) for variant, m, h in zip(variants, means, halves)
            ],
        }
        if any(half is not None for half in halves):
            trace["error_y"] = {"array": halves, "thickness": 1.2, "color": colour}
        traces.append(trace)
    xaxis = axis | {"title": {"text": axis["title"]}}
    yaxis = {"title": {"text": title}, "range": window}
    return {"data": traces, "layout": {"xaxis": xaxis, "yaxis": yaxis}}


def _hover(label: str, mean: float | None, half: float | None) -> str:
    """Words under the pointer; plotly lets no tag through but a few of its own, and no script."""
    if mean is None:
        return ""
    reach = f" ± {half:.4g}" if half is not None else ""
    return f"{label}<br>{mean:.6g}{reach}<extra></extra>"


def _plain(values: Any) -> list[float | None]:
    """Numbers as JSON takes them: five digits after those before the point, NaN as null."""
    return [round(float(v), 5) if np.isfinite(v) else None for v in values]


def _faint(colour: str, share: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"
