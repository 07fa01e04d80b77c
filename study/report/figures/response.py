"""How the accuracy that chooses responds to the settings: to one, to each, and all at once.

A configuration counts by its mean over seeds at the last epoch.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from study.config import NORM_LABELS, Config, text
from study.report import stats
from study.report.axis import Axis
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import Study, Variant, count
from study.runs import FINISHED, STOPPED, Run

SEVERAL = 3  # values from which a response is drawn
ENOUGH = 10  # configurations from which importance says something
CONTENDER = 8  # a point whose error is over so many times the best one's may leave the axes
MOST_LINES = 12
SEED = 0  # of the importance's random forest
NO_EFFECT = -0.12  # the height of a setting that has none, below its axis
SIZE = {"figsize": (7.2, 4.2), "layout": "constrained"}


def draw(folder: Path, study: Study, setting: Axis, settings: Sequence[Axis]) -> SavedFigure | None:
    """The accuracy that chooses against one setting: a point a configuration, its interval where
    it has seeds, those joined that differ in this setting alone, stopped runs apart."""
    name, key = setting.name, study.rank_key
    points, stopped = measured(study, setting)
    if len({point.place for point in points}) < SEVERAL:
        return None
    others = [other.name for other in settings if other.name != name]
    families = defaultdict(list)
    for point in points:
        families[_family(point.variant.config, name, others)].append(point)
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(**SIZE)
        axes = figure.subplots()
        shown = zoom(axes, [(point.place, point.score) for point in points])
        for (family, of), colour in zip(families.items(), itertools.cycle(drawing.COLOURS)):
            _joined(axes, of, others, colour)
            _points(axes, [p for p in of if p.score.mean >= shown], colour, family)
        crosses(
            axes,
            [(setting.place(getattr(r.config, name)), r.summary[key]) for r in stopped],
        )
        _scale(axes, setting)
        axes.set(xlabel=setting.title, ylabel=study.chosen_by)
        if len(families) > 1 or stopped:
            axes.legend(frameon=False, fontsize=8)
        rows = [
            [p.variant.label, getattr(p.variant.config, name), FINISHED, p.score.n, *p.score[:3]]
            for p in points
        ] + [
            [run.path.name, getattr(run.config, name), STOPPED, 1, run.summary[key], "", ""]
            for run in stopped
        ]
        header = ["label", name, "state", "seeds", "mean", "low", "high"]
        drawing.save(figure, folder, f"response_{name}", header, rows)
    return SavedFigure(
        f"response_{name}",
        f"Response to {setting.title}",
        f"A point is a configuration: the mean {study.chosen_by} over its seeds, with the 95 % t"
        " interval where there are several. Lines join those that differ in this setting alone."
        " Triangles: below the axis, with their values."
        + (" Crosses: runs stopped early, at their last epoch." if stopped else ""),
        axes.get_ylim(),
    )


def measured(study: Study, setting: Axis) -> tuple[list["Point"], list[Run]]:
    """The configurations in which a setting has an effect, and the runs of such stopped early."""
    name, key = setting.name, study.rank_key
    points = [
        Point(variant, setting.place(getattr(variant.config, name)), variant.last(key))
        for variant in study.variants
        if variant.config.has_effect(name)
    ]
    stopped = [
        run
        for run in study.all
        if run.state == STOPPED and key in run.summary and run.config.has_effect(name)
    ]
    return points, stopped


class Point(NamedTuple):
    """A configuration's place on a setting's axis, and its accuracy."""

    variant: Variant
    place: float
    score: stats.Interval


def _family(config: Config, name: str, others: Sequence[str]) -> str:
    """What a colour stands for: the norm where it varies, and how L1 is reduced beside L1."""
    words = [NORM_LABELS[config.norm]] if "norm" in others else []
    if name == "l1" and "l1_reduction" in others:
        words.append(config.l1_reduction)
    return ", ".join(words)


def _points(axes: Axes, points: Sequence[Point], colour: str, label: str) -> None:
    places = [point.place for point in points]
    drawing.points(axes, places, [point.score for point in points], colour, label)


def _joined(axes: Axes, points: Sequence[Point], others: Sequence[str], colour: str) -> None:
    for line in joined(points, others):
        axes.plot(*zip(*line), color=colour, linewidth=1, alpha=0.6)


def joined(points: Sequence[Point], others: Sequence[str]) -> list[list[tuple[float, float]]]:
    """Lines of (place, mean) through the points that are alike in all other settings; none where
    they would be too many to be told apart."""
    alike = defaultdict(list)
    for point in points:
        key = tuple(getattr(point.variant.config, name) for name in others)
        alike[key].append((point.place, point.score.mean))
    lines = [sorted(line) for line in alike.values() if len(line) >= SEVERAL]
    return lines if len(lines) <= MOST_LINES else []


def crosses(axes: Axes, ends: Sequence[tuple[float, float]]) -> None:
    """Runs that were stopped early, at their last epoch."""
    if ends:
        axes.plot(*zip(*ends), "x", color="0.6", markersize=5, label="stopped early", zorder=1)


def _scale(axes: Axes, setting: Axis) -> None:
    """The setting's ticks, and the gap between 0 and a log axis."""
    ticks: list[tuple[float, str]] = []
    for place, word in setting.ticks():
        if not ticks or setting.height(place) - setting.height(ticks[-1][0]) > 0.05:
            ticks.append((place, word))
    places, words = zip(*ticks)
    axes.set_xticks(places, words)
    if len("".join(words)) > 45:
        axes.tick_params(axis="x", rotation=35)
    if setting.log and 0 in setting.values:
        first = setting.place(min(value for value in setting.values if value > 0))
        axes.axvline((setting.zero + first) / 2, color="0.5", linestyle=":", linewidth=1)


def zoom(axes: Axes, points: Sequence[tuple[float, stats.Interval]], values: bool = True) -> float:
    """Limits that tell the contenders apart; the lowest mean that they show. Those below are
    triangles at the edge, with their `values`."""
    means = np.array([score.mean for _, score in points])
    errors = 100 - means
    inside = errors <= CONTENDER * max(np.nanmin(errors), 0.1)
    best, worst = means[inside].max(), means[inside].min()
    bounds = [bound for (_, score), here in zip(points, inside) if here for bound in score[:3]]
    # A wide interval at two or three seeds may leave the axes; the means may not.
    low = max(np.nanmin(bounds), worst - (best - worst) - 0.5)
    high = min(np.nanmax(bounds), 100, best + 2 * (best - worst) + 0.5)
    margin = 0.08 * (high - low) or 0.1
    axes.set_ylim(low - margin, high + margin)
    below = [(place, score.mean) for (place, score), here in zip(points, inside) if not here]
    for i, (place, mean) in enumerate(below):
        axes.plot(place, low - margin, "^", color="0.3", markersize=5, clip_on=False, zorder=4)
        if values and len(below) <= 8:
            axes.annotate(
                f"{mean:.1f}", (place, low - margin), (0, 6 + 9 * (i % 2)),
                textcoords="offset points", fontsize=7, ha="center",
            )  # fmt: skip
    return float(worst)


def importance(folder: Path, study: Study, settings: Sequence[Axis]) -> SavedFigure | None:
    """How much of the accuracy's variance each setting accounts for, by functional ANOVA.

    Source: Hutter, Hoos and Leyton-Brown, 2014 (ICML); as Optuna computes it. None where fewer
    than ten configurations, or two settings, or no difference would have to carry it.
    """
    shares = shares_of_variance(study, settings)
    if not shares:
        return None
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.35 * len(shares)), layout="constrained")
        axes = figure.subplots()
        titles = {setting.name: setting.title for setting in settings}
        names = [titles[name] for name in shares][::-1]
        values = list(shares.values())[::-1]
        axes.barh(names, values, color=drawing.COLOURS[0], height=0.6)
        for i, share in enumerate(values):
            axes.annotate(
                f"{share:.0%}",
                (share, i),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set(xlabel="share of the variance", xlim=(0, 1.08 * max(values)))
        axes.grid(False, axis="y")
        axes.set_axisbelow(True)
        drawing.save(figure, folder, "importance", ["setting", "share"], shares.items())
    finished = sum(len(variant.runs) for variant in study.variants)
    return SavedFigure(
        "importance",
        "Which settings mattered",
        f"Share of the variance of the {study.chosen_by} that a random forest (functional ANOVA,"
        f" Optuna) puts down to each setting. It rests on"
        f" {count(len(study.variants), 'configuration')}, {count(finished, 'finished run')}; a"
        " setting without effect beside the others counts at its default.",
    )


def shares_of_variance(study: Study, settings: Sequence[Axis]) -> dict[str, float]:
    """Axis -> share, the largest first, in sum 1; empty where it would say nothing."""
    known = [(v.config, v.last(study.rank_key).mean) for v in study.variants]
    known = [(config, mean) for config, mean in known if np.isfinite(mean)]
    if len(known) < ENOUGH or len(settings) < 2 or np.ptp([mean for _, mean in known]) == 0:
        return {}
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces, places = {}, {}
    for setting in settings:
        # The values as the axis places them, so that a log axis with a 0 is a plain range.
        places[setting.name] = lambda config, s=setting: (
            s.place(getattr(config, s.name)) if s.numeric else text(getattr(config, s.name))
        )
        seen = {places[setting.name](config) for config, _ in known}
        spaces[setting.name] = (
            FloatDistribution(min(seen), max(seen))
            if setting.numeric
            else CategoricalDistribution(sorted(seen))
        )
    ours = optuna.create_study(direction="maximize")
    ours.add_trials(
        optuna.trial.create_trial(
            params={name: place(config) for name, place in places.items()},
            distributions=spaces,
            value=mean,
        )
        for config, mean in known
    )
    forest = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
    return optuna.importance.get_param_importances(ours, evaluator=forest)


def parallel(folder: Path, study: Study, settings: Sequence[Axis]) -> SavedFigure:
    """Parallel coordinates: a line a configuration, through its settings to its accuracy."""
    worst_first = study.ranked()[::-1]
    means = [variant.last(study.rank_key).mean for variant in worst_first]
    ranks = np.linspace(0, 1, len(means))
    lines = np.array([*(_heights(s, worst_first) for s in settings), ranks]).T
    with matplotlib.rc_context(drawing.STYLE | {"axes.spines.left": False, "axes.grid": False}):
        figure = Figure(figsize=(max(7.2, 1.25 * len(lines[0])), 4.2), layout="constrained")
        axes = figure.subplots()
        paths = [list(enumerate(line)) for line in lines]
        colours = matplotlib.colormaps["viridis_r"](ranks)
        width = 1.2 if len(paths) <= 50 else 0.5
        axes.add_collection(LineCollection(paths, colors=colours, linewidths=width, alpha=0.8))
        axes.plot(lines[-1], color=drawing.COLOURS[1], linewidth=2.2, label="the best")
        for x, setting in enumerate(settings):
            for place, word in setting.ticks():
                _tick(axes, x, setting.height(place), word)
            if np.any(lines[:, x] == NO_EFFECT):
                _tick(axes, x, NO_EFFECT, "no effect")
        for share in (0, 0.25, 0.5, 0.75, 1):
            _tick(axes, len(settings), share, f"{np.quantile(means, share):.2f}")
        names = [*(setting.title for setting in settings), study.rank_key.replace("_", " ")]
        for x in range(len(names)):
            axes.axvline(x, color="0.6", linewidth=0.8, zorder=0)
        axes.set_xticks(range(len(names)), names)
        axes.set(yticks=[], ylim=(NO_EFFECT - 0.05, 1.05), xlim=(-0.3, len(names) - 0.6))
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.1))
        rows = [
            [variant.label, *(getattr(variant.config, s.name) for s in settings), mean]
            for variant, mean in zip(worst_first, means)
        ][::-1]
        header = ["label", *(setting.name for setting in settings), study.rank_key]
        drawing.save(figure, folder, "parallel_coordinates", header, rows)
    return SavedFigure(
        "parallel_coordinates",
        "All configurations at once",
        "A line is a finished configuration, the darker the better; the last axis is its"
        f" {study.chosen_by}, by rank, so that the best are told apart.",
    )


def _heights(setting: Axis, variants: Sequence[Variant]) -> list[float]:
    """0 to 1 on the axis; below it where the setting has no effect beside the others."""
    return [
        setting.height(setting.place(getattr(variant.config, setting.name)))
        if variant.config.has_effect(setting.name)
        else NO_EFFECT
        for variant in variants
    ]


def _tick(axes: Axes, x: float, height: float, word: str) -> None:
    axes.annotate(
        word,
        (x, height),
        (3, 0),
        textcoords="offset points",
        fontsize=7,
        va="center",
        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
    )
