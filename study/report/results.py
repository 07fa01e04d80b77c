"""results.csv: a row a configuration, over its seeds, the best first."""

from collections import Counter
from typing import Any

from study import datasets
from study.config import FIELDS
from study.report import stats
from study.report.study import Study
from study.report.variants import TEST, Variant
from study.runs import FAILED, FINISHED, STOPPED
from study.values import text

SETTINGS = tuple(name for name in FIELDS if name != "seed")
LONG = 2 * stats.LATE  # epochs from which the last five say how low a trained network falls
# planned: runs, where the sweep left a plan; l1_equivalent: the lambda that pulls as much in all
# under the other l1_reduction.
FIGURES = (
    "parameters", "planned", "seeds", "finished", "stopped", "failed",
    "val_loss_last_mean", "val_accuracy_last_mean",
    "test_accuracy_last_mean", "test_accuracy_last_low", "test_accuracy_last_high",
    "test_accuracy_best_mean", "test_accuracy_last5_min",
    "train_accuracy_last_mean", "test_loss_last_mean", "seconds_mean", "l1_equivalent",
    "failed_to_learn", "interquartile_mean", "interquartile_low", "interquartile_high",
)  # fmt: skip
HEADER = ("label", *SETTINGS, *FIGURES)


def rows(study: Study) -> list[list[Any]]:
    """The rows under HEADER, by data set, in each in the order of the metric that ranks them, those
    without a finished run last; a figure that a configuration lacks is an empty cell."""
    variants = {
        variant.label: variant for part in study.by_dataset.values() for variant in part.ranked
    }
    planned = {label: each for group in study.planned.values() for label, each in group.items()}
    table = []
    for label in dict.fromkeys([*variants, *study.runs, *planned]):
        group = study.runs.get(label, [])
        config = group[0].config if group else planned[label][0]
        states = Counter(run.state for run in group)
        figures = {
            "planned": len(planned[label]) if label in planned else "",
            "seeds": len(group),
            "finished": states[FINISHED],
            "stopped": states[STOPPED],
            "failed": states[FAILED],
        }
        if variant := variants.get(label):
            failed = len(study.failed_to_learn(variant))
            figures |= {"failed_to_learn": failed, **figures_of(variant)}
        settings = [text(getattr(config, name)) for name in SETTINGS]
        table.append([label, *settings, *(figures.get(name, "") for name in FIGURES)])
    return table


def figures_of(variant: Variant) -> dict[str, Any]:
    """The figures of a variant's finished runs, by the names of results.csv."""
    last = variant.last(TEST)
    figures = {
        "parameters": variant.parameters["total"],
        "test_accuracy_last_mean": last.mean,
        "test_accuracy_last_low": last.low,
        "test_accuracy_last_high": last.high,
        "seconds_mean": variant.last("seconds").mean,
    }
    if len(variant.epochs) >= LONG:
        minima = [run.summary["test_accuracy_last5_min"] for run in variant.runs]
        figures["test_accuracy_last5_min"] = min(minima)
    if last.n >= stats.ENOUGH:
        middle = stats.interquartile_mean(list(variant.values(TEST).values()))
        names = ("interquartile_mean", "interquartile_low", "interquartile_high")
        figures |= dict(zip(names, middle))
    for key in ("test_accuracy_best", "train_accuracy_last", "test_loss_last"):
        figures[f"{key}_mean"] = variant.last(key).mean
    if variant.config.l1 and datasets.is_known(variant.config.dataset):
        from study.train import l1  # lazily: it imports torch

        figures["l1_equivalent"] = l1.equivalent(variant.config)
    if variant.config.holdout:
        for key in ("val_loss_last", "val_accuracy_last"):
            figures[f"{key}_mean"] = variant.last(key).mean
    return figures
