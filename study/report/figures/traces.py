"""Traces of plotly.js, and what is in several: numbers, colours, words, triangles at an edge."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from study.report.figures import styles
from study.report.figures.styles import Style

Window = tuple[float, float]  # the limits of the vertical axis
Trace = dict[str, Any]
# plotly's data and layout; `labels` beside points, each of a variant by its `name`; `toggles`:
# whether traces are of a variant by their name, which the page's legend switches off and the page
# colours otherwise; `curves`: whether its lines may be smoothed, and `digits` of their values. What
# a trace of a variant is says its `meta`: MEAN, SPREAD or MARK; `ids`: the variants of its points.
Plot = dict[str, Any]
MEAN, SPREAD, MARK = "mean", "spread", "mark"
GREY = styles.GREY.colour


def beyond(x: float, values: Sequence[float], look: Style, window: Window) -> list[Trace]:
    """Triangles at the edges that values leave, which are shown under the pointer."""
    low, high = window
    traces = []
    for edge, symbol, outside in (
        (low, "triangle-down", [value for value in values if value < low]),
        (high, "triangle-up", [value for value in values if value > high]),
    ):
        if outside:
            shown = ", ".join(f"{value:.6g}" for value in outside)
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


def hover(label: str, mean: float | None, half: float | None, unit: str = "") -> str:
    """Words under the pointer; plotly lets no tag through but a few of its own, and no script."""
    if mean is None:
        return ""
    interval = f" ± {half:.4g}" if half is not None else ""
    return f"{label}<br>{mean:.6g}{interval}{unit}<extra></extra>"


def plain(values: Any) -> list[float | None]:
    """Numbers as JSON takes them: five digits after those before the point, NaN as null."""
    return [round(float(value), 5) if np.isfinite(value) else None for value in values]


def transparent(colour: str, opacity: float) -> str:
    """A colour, "#rrggbb", as CSS has it with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
