"""The runs in the order of the search, and the best of them up to each."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study.report import stats
from study.report.figures import drawing, limits, response, styles
from study.report.figures.drawing import SavedFigure
from study.report.study import Study
from study.report.text.search import SEVERAL, in_order
from study.runs import FINISHED, STOPPED


def draw(folder: Path, study: Study) -> SavedFigure | None:
    """Draw each run and the best so far; None where few runs are finished."""
    ordered, order = in_order(study)
    key = study.rank_key
    values = [run.summary.get(key, np.nan) for run in ordered]
    known = [(i, run, y) for i, (run, y) in enumerate(zip(ordered, values), 1) if np.isfinite(y)]
    finished = [(i, y) for i, run, y in known if run.state == FINISHED]
    stopped = [(i, y) for i, run, y in known if run.state == STOPPED]
    if len(finished) < SEVERAL:
        return None
    better = np.maximum if study.metric.maximize else np.minimum
    best = dict(zip([i for i, _ in finished], better.accumulate([y for _, y in finished])))
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**drawing.NARROW)
        axes = figure.subplots()
        axes.plot(*zip(*finished), "o", color=styles.COLOURS[4], markersize=4, label="run")
        x, y = [*best, len(ordered)], [*best.values(), best[finished[-1][0]]]
        axes.step(x, y, where="post", color=styles.COLOURS[0], linewidth=1.6, label="best so far")
        points = [(i, stats.mean_interval([y])) for i, y in finished]
        response.set_limits(axes, points, limits.perfect_value(study.metric), values=False)
        response.draw_crosses(axes, stopped)
        axes.set(xlabel="run", ylabel=study.chosen_by)
        drawing.set_integer_ticks(axes)
        axes.legend(
            frameon=False, fontsize=8, loc="lower right" if study.metric.maximize else "upper right"
        )
        rows = [[i, run.path.name, run.state, y, best.get(i, np.nan)] for i, run, y in known]
        drawing.save(figure, folder, "best_so_far", ["trial", "run", "state", key, "best"], rows)
    return SavedFigure(
        "best_so_far",
        "The best so far",
        f"Runs in {order}; {study.chosen_by}. Triangles: beyond the axis."
        + (response.CROSSES if stopped else ""),
    )
