"""The graphs of the page that show values under the pointer, as plotly.js reads them.

Each stands in the place of a picture, which remains for paper and where no script runs, and shows
what the picture shows. The page's script adds the labels, which must keep apart.
"""

import base64
import functools
import gzip
from collections.abc import Sequence
from typing import Any

from study.metrics import METRICS
from study.report.axis import varying
from study.report.figures import curves, live_curves, live_points, response, styles, tradeoff
from study.report.figures.drawing import SavedFigure
from study.report.figures.traces import Plot
from study.report.study import Study
from study.values import text


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
            graphs[curves.name(metric)] = live_curves.build(study, drawn)
    varied = varying(study)
    for axis in varied:
        if (name := response.name(axis)) in windows:
            graphs[name] = live_points.against_setting(study, axis, varied, windows[name])
    if tradeoff.NAME in windows:
        graphs[tradeoff.NAME] = live_points.against_parameters(study, windows[tradeoff.NAME])
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
