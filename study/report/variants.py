"""A variant: one configuration over its seeds."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from study import datasets, own_data, runs
from study.config import Config
from study.report import stats
from study.runs import Run

KIND = ("dataset", "network", "epochs")  # variants that differ in these are not ranked together
TEST = "test_accuracy_last"  # the figure of a summary that variants are compared by


@dataclass(frozen=True, eq=False)
class Variant:
    """One configuration over its seeds.

    runs: those that finished, by seed. file: the part of its figures' names that is its own.
    """

    label: str
    config: Config
    runs: list[Run]
    sweep: str = ""
    file: str = ""

    @functools.cached_property
    def epochs(self) -> list[int]:
        """The epochs that all runs have; one pulled from W&B may lack some."""
        return sorted(
            set.intersection(*({int(row["epoch"]) for row in r.history} for r in self.runs))
        )

    def curves(self, metric: str) -> np.ndarray:
        """[seeds, epochs] of a metric of the history; NaN where it was not logged."""
        rows = [{row["epoch"]: row.get(metric, np.nan) for row in run.history} for run in self.runs]
        return np.array([[row[epoch] for epoch in self.epochs] for row in rows])

    def last(self, key: str) -> stats.Interval:
        """The mean of a figure of the summary, over the seeds that have it."""
        return stats.mean_interval(list(self.values(key).values()))

    def values(self, key: str) -> dict[int, float]:
        """Seed -> a figure of the summary; without the seeds that have no finite number there."""
        values = {run.config.seed: run.summary.get(key) for run in self.runs}
        return {
            seed: value
            for seed, value in values.items()
            if isinstance(value, (int, float)) and np.isfinite(value)
        }

    def is_copy_of(self, other: "Variant") -> bool:
        """Whether another sweep's variant is the same configuration with the same figures on all
        common seeds."""
        mine, others = self.values(TEST), other.values(TEST)
        common = mine.keys() & others.keys()
        same = bool(common) and all(mine[seed] == others[seed] for seed in common)
        return self.config == other.config and same

    @property
    def kind(self) -> tuple[Any, ...]:
        """What variants must share to be ranked by one another, by the names of KIND."""
        return tuple(getattr(self.config, name) for name in KIND)

    @functools.cached_property
    def wrong(self) -> dict[int, np.ndarray]:
        """Seed -> the indices of the test images it got wrong, of the seeds that kept them."""
        kept = [run for run in self.runs if run.has(runs.MISCLASSIFIED)]
        return {run.config.seed: run.misclassified_indices() for run in kept}

    def confusions(self) -> list[np.ndarray]:
        """The confusion matrices of the seeds that kept theirs."""
        return [run.confusion() for run in self.runs if run.has(runs.CONFUSION)]

    def confusions_at_best(self) -> list[np.ndarray]:
        """The confusion matrices of the best epochs, of the seeds that kept theirs. What is right
        of a class is what is not wrong of its test images."""
        matrices = []
        for run in self.runs:
            wrong = run.misclassified_at_best() if run.has(runs.CONFUSION) else None
            if wrong is not None:
                images = run.confusion().sum(1)
                matrix = np.zeros((len(images), len(images)), np.int64)
                np.add.at(matrix, (wrong.target, wrong.predicted), 1)
                matrices.append(matrix + np.diag(images - matrix.sum(1)))
        return matrices

    def first_epoch_at_target(self, target: float) -> int | None:
        """The first epoch from which on the mean test accuracy stays at or above a target."""
        return stats.first_epoch_at_target(
            self.curves("test/accuracy").mean(axis=0), self.epochs, target
        )

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The layer table; counted again where a run pulled from W&B came without it."""
        for run in self.runs:
            if run.has(runs.PARAMETERS):
                return run.parameters()
        from study.train import networks  # lazily: torch's import takes longer than a figure

        return networks.parameter_table(self.config)

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:
        """The data set's; of one's own, whose file may be elsewhere, as the runs have them."""
        if row := datasets.DATASETS.get(self.config.dataset):
            return row.class_names
        wrong = [run.misclassified() for run in self.runs if run.has(runs.MISCLASSIFIED)]
        seen = [labels for each in wrong for labels in (each.target, each.predicted)]
        counts = [len(run.confusion()) for run in self.runs if run.has(runs.CONFUSION)]
        counts += [int(labels.max(initial=0)) + 1 for labels in seen]
        classes = max(counts, default=0)
        for run in self.runs:
            names = tuple(str(run.summary.get(runs.CLASS_NAMES)).split(","))
            if own_data.are_class_names(names, classes):
                return names
        return own_data.numbered(classes)

    @functools.cached_property
    def test_images(self) -> int | None:
        """How many there are; None of one's own data set where no run has its confusion."""
        if row := datasets.DATASETS.get(self.config.dataset):
            return row.test_images
        found = [run.confusion() for run in self.runs if run.has(runs.CONFUSION)]
        return int(found[0].sum()) if found else None
