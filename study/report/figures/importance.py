"""Which settings mattered: the share of the accuracy's variance that each accounts for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study.config import Config, text
from study.report.axis import Axis
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import Study, count

ENOUGH = 10  # configurations from which importance says something
SEED = 0  # of the random forest


def draw(folder: Path, study: Study, varied: Sequence[Axis]) -> SavedFigure | None:
    """Draw a bar a setting; None where there is too little to tell, as in shares_of_variance."""
    shares = shares_of_variance(study, varied)
    if not shares:
        return None
    titles = {axis.name: axis.title for axis in varied}
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.35 * len(shares)), layout="constrained")
        axes = figure.subplots()
        names = [titles[name] for name in shares][::-1]
        values = list(shares.values())[::-1]
        axes.barh(names, values, color=drawing.COLOURS[0], height=0.6)
        offset: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        for i, share in enumerate(values):
            axes.annotate(f"{share:.0%}", (share, i), fontsize=8, **offset)
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


def shares_of_variance(study: Study, varied: Sequence[Axis]) -> dict[str, float]:
    """Setting -> share, the largest first, in sum 1, by functional ANOVA as Optuna computes it.

    Empty below ten configurations or two settings, and where all configurations score alike.
    Source: Hutter, Hoos and Leyton-Brown, 2014 (ICML).
    """
    scores = [(v.config, v.last(study.rank_key).mean) for v in study.variants]
    scores = [(config, mean) for config, mean in scores if np.isfinite(mean)]
    if len(scores) < ENOUGH or len(varied) < 2 or np.ptp([mean for _, mean in scores]) == 0:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    configs = [config for config, _ in scores]
    spaces = {axis.name: _distribution(axis, configs) for axis in varied}
    trials = optuna.create_study(direction="maximize")
    trials.add_trials(
        optuna.trial.create_trial(
            params={axis.name: _coordinate(axis, config) for axis in varied},
            distributions=spaces,
            value=mean,
        )
        for config, mean in scores
    )
    forest = optuna.importance.FanovaImportanceEvaluator(seed=SEED)
    return optuna.importance.get_param_importances(trials, evaluator=forest)


def _coordinate(axis: Axis, config: Config) -> float | str:
    """A setting as the axis shows it, so that a log axis with a 0 is a plain range."""
    value = getattr(config, axis.name)
    return axis.position(value) if axis.numeric else text(value)


def _distribution(axis: Axis, configs: Sequence[Config]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = {_coordinate(axis, config) for config in configs}
    if axis.numeric:
        numbers = [float(value) for value in values]
        return FloatDistribution(min(numbers), max(numbers))
    return CategoricalDistribution(sorted(values))
