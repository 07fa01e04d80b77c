"""What the search found: the best configuration, and the response to each setting that varies.

Everything comes from run folders, so that grids, searches and pulled sweeps are read alike. A
configuration counts by its mean over seeds of the accuracy it is chosen by, at the last epoch.
"""

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study import files, runs
from study.report import stats
from study.report.axis import varying
from study.report.figures import drawing, response
from study.report.figures.drawing import SavedFigure
from study.report.variants import Study, count, percent
from study.runs import FAILED, FINISHED, STOPPED, Run

SEVERAL = 5  # finished configurations from which there is a search to draw
SEARCHED = "the order of the search"
SEEDS = "1,2,3,4,5"


@dataclass(frozen=True)
class Found:
    """What there is to show: sentences, the command that runs the best again, and figures."""

    sentences: list[str]
    command: str
    figures: list[SavedFigure]


def find(study: Study, out: Path) -> Found | None:
    """What a study shows as a search, drawn into `out`; None for one configuration."""
    if len(study.runs) < 2:
        return None
    settings = varying(study)
    drawn = [
        response.draw(out, study, setting, settings) for setting in settings if setting.numeric
    ]
    if len(settings) > 1 and len(study.variants) >= SEVERAL:
        drawn += [
            response.importance(out, study, settings),
            response.parallel(out, study, settings),
        ]
    if len(study.variants) >= SEVERAL:
        drawn.append(best_so_far(out, study))
    best = study.ranked()[0]
    again = shlex.quote(str(best.runs[0].path))
    return Found(
        sentences(study),
        f"study rerun {again} --seeds {SEEDS}",
        [figure for figure in drawn if figure],
    )


def sentences(study: Study) -> list[str]:
    """The best configuration: what it was chosen on, among how many, and how it tests."""
    best = study.ranked()[0]
    chosen, test = best.last(study.rank_key), best.last("test_accuracy_last")
    part = "validation" if study.by_validation else "test"
    states = Counter(run.state for run in study.all)
    words = {STOPPED: "stopped early", FAILED: "failed"}
    apart = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    told = [
        f"Best configuration: {best.label}. It was chosen on its {part} accuracy at the last epoch"
        f" ({percent(chosen)}, the mean of {count(chosen.n, 'run')}) among"
        f" {count(len(study.variants), 'configuration')} with"
        f" {count(states[FINISHED], 'finished run')}"
        + (f"; not among them: {' and '.join(apart)}." if apart else ".")
    ]
    if study.by_validation:
        told.append(
            f"Its test accuracy at the last epoch, which chose nothing, is {percent(test)},"
            f" with {best.parameters['total']:,} parameters."
        )
    else:
        told.append(
            f"It has {best.parameters['total']:,} parameters. Being the highest of"
            f" {len(study.variants)}, the figure flatters it: runs with `holdout` choose on"
            " images of their own."
        )
    search = _search(study)
    if search:
        told.append(
            f"The configurations were drawn by a {search.get('method', 'grid')} search (seed"
            f" {search.get('seed', 0)})"
            + (
                f" that goes by the best {search['metric']} over a run's epochs."
                if search.get("metric")
                else "."
            )
        )
    return told


def best_so_far(folder: Path, study: Study) -> SavedFigure | None:
    """Each run in the order of the search, and the best of them up to there."""
    ordered, how = in_order(study)
    key = study.rank_key
    told = [(i, run) for i, run in enumerate(ordered, 1) if np.isfinite(_value(run, key))]
    finished = [(i, _value(run, key)) for i, run in told if run.state == FINISHED]
    if len(finished) < SEVERAL:
        return None
    best = dict(zip([i for i, _ in finished], np.maximum.accumulate([y for _, y in finished])))
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**response.SIZE)
        axes = figure.subplots()
        axes.plot(*zip(*finished), "o", color=drawing.COLOURS[4], markersize=4, label="run")
        response.crosses(axes, [(i, _value(run, key)) for i, run in told if run.state == STOPPED])
        x, y = [*best, len(ordered)], [*best.values(), max(best.values())]
        axes.step(x, y, where="post", color=drawing.COLOURS[0], linewidth=1.6, label="best so far")
        response.zoom(axes, [(i, stats.mean_interval([y])) for i, y in finished], values=False)
        axes.set(xlabel="run", ylabel=study.chosen_by)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        rows = [[i, r.path.name, r.state, _value(r, key), best.get(i, np.nan)] for i, r in told]
        drawing.save(figure, folder, "best_so_far", ["trial", "run", "state", key, "best"], rows)
    return SavedFigure(
        "best_so_far",
        "The best so far",
        f"Runs in {how}; {study.chosen_by}. Triangles: below the axis.",
    )


def in_order(study: Study) -> tuple[list[Run], str]:
    """All runs in the order in which they were begun, and whence that is known."""
    everything = study.all
    listed = {name: i for i, name in enumerate(_search(study).get("runs", []))}
    if listed:
        later = len(listed)
        return sorted(everything, key=lambda run: listed.get(run.path.name, later)), SEARCHED
    if all("trial" in run.summary for run in everything):
        return sorted(everything, key=lambda run: run.summary["trial"]), SEARCHED
    begun = sorted(everything, key=lambda run: (run.path / runs.CONFIG).stat().st_mtime_ns)
    return begun, "the order of their folders' times"


def _search(study: Study) -> dict[str, Any]:
    """What the search left of itself; empty without one, and for several sweeps."""
    path = study.folder / runs.SEARCH if study.folder else None
    return files.read_json(path) if path and path.is_file() else {}


def _value(run: Run, key: str) -> float:
    return run.summary.get(key, np.nan)
