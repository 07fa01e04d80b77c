"""Which settings mattered: the share of the variance of the metric that each accounts for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study.report.axis import Axis
from study.report.figures import drawing, styles
from study.report.figures.drawing import SavedFigure
from study.report.study import Study
from study.report.words import listed
from study.runs import ENDED_EARLY
from study.values import count

ENOUGH = 10  # configurations from which importance says something
TREES = 32
PERMUTATIONS = 39  # the second largest of so many is exceeded by chance once in 20 times
SEED = 0
HEADER = ("setting", "share", "null_95", "found")


@dataclass(frozen=True)
class Importance:
    """What settings account for, in shares of the variance of the metric between configurations.

    shares: setting -> share, the largest first; unexplained: what the forest leaves; null: what the
    largest share exceeds once in 20 times where no setting has an effect.
    """

    shares: dict[str, float]
    unexplained: float
    null: float

    @property
    def found(self) -> list[str]:
        """The settings whose share is more than chance; none of a forest that explains nothing."""
        if self.unexplained >= 1:
            return []
        return [name for name, share in self.shares.items() if share > self.null]


def draw(folder: Path, study: Study, varied: Sequence[Axis]) -> SavedFigure | None:
    """Draw a bar a setting; None where there are too few runs, as in `importance`."""
    result = importance(study, varied)
    if result is None:
        return None
    titles = {axis.name: axis.title for axis in varied}
    bars = {titles[name]: share for name, share in result.shares.items()}
    bars["not explained"] = result.unexplained
    found = [titles[name] for name in result.found]
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.35 * len(bars)), layout="constrained")
        axes = figure.subplots()
        names, values = list(bars)[::-1], [max(value, 0) for value in bars.values()][::-1]
        colours = [styles.COLOURS[0] if name in found else styles.GREY.colour for name in names]
        axes.barh(names, values, color=colours, height=0.6)
        offset: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        for i, value in enumerate(values):
            axes.annotate(f"{value:.0%}", (value, i), fontsize=8, **offset)
        axes.axvspan(0, result.null, color="0.5", alpha=0.15, linewidth=0)
        axes.set(xlabel="share of the variance", xlim=(0, 1.08 * max(1, *values)))
        axes.grid(False, axis="y")
        axes.set_axisbelow(True)
        rows = [[*pair, result.null, pair[0] in result.found] for pair in result.shares.items()]
        rows.append(["not explained", result.unexplained, "", ""])
        drawing.save(figure, folder, "importance", HEADER, rows)
    finished = sum(len(variant.runs) for variant in study.variants)
    verdict = f"More than chance: {listed(found)}." if found else "Nothing was found."
    return SavedFigure(
        "importance",
        "Which settings mattered",
        f"{verdict} Shares of the variance of the {study.chosen_by} between"
        f" {count(len(study.variants), 'configuration')}, {count(finished, 'finished run')}, by a"
        " random forest on what it was not fitted to; the rest it does not explain. Shaded: what"
        " the largest share exceeds once in 20 times where nothing has an effect, by"
        f" {PERMUTATIONS} permutations of the values. A setting without effect beside the others"
        f" counts at its default.{_not_among_them(study)}",
    )


def _not_among_them(study: Study) -> str:
    """Say that runs which ended early are not counted, since their settings may matter most."""
    early = sum(run.state in ENDED_EARLY for run in study.all)
    runs = "run that failed or was" if early == 1 else "runs that failed or were"
    return f" Not among them: {early} {runs} stopped, whose settings may matter most." * bool(early)


def importance(study: Study, varied: Sequence[Axis]) -> Importance | None:
    """Measure the importance of the settings that vary.

    None below ten configurations or two settings, and where all configurations score alike.
    """
    scores = [(v.config, v.last(study.rank_key).mean) for v in study.variants]
    scores = [(config, mean) for config, mean in scores if np.isfinite(mean)]
    if len(scores) < ENOUGH or len(varied) < 2 or np.ptp([mean for _, mean in scores]) == 0:
        return None
    x = [[axis.position(getattr(config, axis.name)) for axis in varied] for config, _ in scores]
    y = np.array([mean for _, mean in scores])
    shares, unexplained = shares_of_variance(np.array(x), y)
    by_name = dict(zip((axis.name for axis in varied), shares.tolist()))
    ordered = dict(sorted(by_name.items(), key=lambda pair: -pair[1]))
    return Importance(ordered, unexplained, null_share(np.array(x), y))


def shares_of_variance(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """The shares [settings] of the variance of y [n] that the columns of x [n, settings] account
    for, and the share that they leave unexplained.

    A share is half the mean squared error that permuting a column adds to a random forest's
    out-of-bag predictions, over the variance of y: near 0, or below, without an effect. Of settings
    that act one beside the other the shares add up to what is explained; what settings do together
    counts for each. Sources: Breiman, 2001 (Machine Learning 45); Gregorutti, Michel and
    Saint-Pierre, 2017 (Statistics and Computing 27), for the half.
    """
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(SEED)
    x = x.astype(np.float32)
    forest = RandomForestRegressor(TREES, random_state=SEED).fit(x, y)
    added = np.zeros(x.shape[1])
    total, times = np.zeros(len(y)), np.zeros(len(y))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_):
        left = np.setdiff1d(np.arange(len(y)), drawn)
        # One call for the predictions as they are and with each column permuted.
        stacked = np.tile(x[left], (x.shape[1] + 1, 1, 1))
        for column in range(x.shape[1]):
            stacked[column + 1, :, column] = rng.permutation(x[left, column])
        predicted = tree.predict(stacked.reshape(-1, x.shape[1])).reshape(len(stacked), -1)
        errors = ((predicted - y[left]) ** 2).sum(axis=1)
        added += errors[1:] - errors[0]
        total[left] += predicted[0]
        times[left] += 1
    seen = times > 0
    unexplained = np.mean((total[seen] / times[seen] - y[seen]) ** 2) / y.var()
    return added / (2 * times.sum() * y.var()), float(min(unexplained, 1))


def null_share(x: np.ndarray, y: np.ndarray) -> float:
    """What the largest share exceeds once in 20 times where the columns of x have no effect, by
    permutations of y. Source: Good, 2005 (Permutation, Parametric and Bootstrap Tests)."""
    rng = np.random.default_rng(SEED)
    largest = [shares_of_variance(x, rng.permutation(y))[0].max() for _ in range(PERMUTATIONS)]
    return max(float(np.sort(largest)[-2]), 0.0)
