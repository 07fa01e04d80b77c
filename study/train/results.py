"""The files that a run writes at its beginning and its end, whichever way it was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study import datasets, files, own_data, runs, schema
from study.config import Config
from study.datasets import DatasetSpec
from study.runs import Misclassified, Run
from study.train import checkpoint, data, image_grid, networks
from study.train.predictions import Predictions

IMAGES, DPI = 10, 130  # of misclassified.png


def begin(folder: Path, config: Config, history: list[dict[str, float]]) -> None:
    """Write the files of a run that starts, or goes on after the epochs of `history`."""
    runs.write_config(folder, config)
    files.write_json(folder / runs.PARAMETERS, networks.parameter_table(config))
    runs.write_history(folder, history)
    runs.write_summary(folder, {"state": runs.RUNNING, **_data_mark(datasets.spec(config.dataset))})


def write(
    folder: Path,
    config: Config,
    state: str,
    history: list[dict[str, float]],
    dataset: data.Dataset,
    last: Predictions,
    best: Predictions | None,
    weights: dict[str, Tensor],
    provenance: dict[str, Any],
    picture: bool = True,
) -> None:
    """Write the files of a run that ends; the summary last, since it says that the rest exists.

    last, best: of the test images in these epochs, None where not known. weights: the network's
    state. provenance: see provenance.collect; it goes into the summary. picture: whether to draw
    the misclassified images, too.
    """
    test, classes = dataset.test, dataset.spec.class_names
    summary = _summary(config, state, history, dataset, provenance)
    runs.write_misclassified(folder, misclassified(last, test))
    if best is not None and summary["test_accuracy_best_epoch"] < len(history):
        runs.write_misclassified(folder, misclassified(best, test), runs.MISCLASSIFIED_BEST)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (test.labels, last.predicted), 1)
    files.write_json(folder / runs.CONFUSION, confusion.tolist())
    if picture:
        draw_misclassified(runs.read(folder))
    files.write(folder / runs.WEIGHTS, lambda file: torch.save(weights, file))
    runs.write_summary(folder, summary)
    checkpoint.remove(folder)


def draw_misclassified(run: Run) -> None:
    """Draw the most confident misclassified images of a run from its other files."""
    wrong, images = run.misclassified(), run.confusion().sum()
    title = f"The most confident mistakes of {len(wrong.index)} in {images:,} test images"
    title += ": target as prediction"
    classes = datasets.spec(run.config.dataset).class_names
    figure = image_grid.draw_misclassified(wrong, classes, title, IMAGES)
    files.write(run.path / runs.GRID, lambda file: figure.savefig(file, dpi=DPI))


def misclassified(predictions: Predictions, test: data.Split) -> Misclassified:
    """Return the test images whose most probable class is not their own, the surest first."""
    predicted, confidence = predictions.predicted.astype(np.int64), predictions.confidence
    index = np.flatnonzero(predicted != test.labels)
    index = index[np.argsort(-confidence[index], kind="stable")]
    return Misclassified(
        index=index,
        target=test.labels[index],
        predicted=predicted[index],
        confidence=confidence[index],
        pixels=test.images[index[: runs.MOST_PIXELS]],
    )


def _summary(
    config: Config,
    state: str,
    history: list[dict[str, float]],
    dataset: data.Dataset,
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """Return the run in scalars, which sort and search well."""
    scores = schema.scores(history)
    images = len(dataset.train) * len(history)
    return {
        "state": state,
        "epochs": len(history),
        **scores,
        "parameters": networks.parameter_table(config)["total"],
        "images_per_second": round(images / scores["seconds"], 1) if scores["seconds"] else None,
        **_data_mark(dataset.spec),
        **provenance,
    }


def _data_mark(spec: DatasetSpec) -> dict[str, str]:
    """Return what tells one version of one's own data set from another, and its classes' names,
    which a report needs where the file is not."""
    if not datasets.is_own(spec.name):
        return {}
    [md5] = spec.files.values()
    mark = {runs.DATASET_MD5: md5}
    if spec.class_names != own_data.numbered(spec.num_classes):
        mark[runs.CLASS_NAMES] = ",".join(spec.class_names)
    return mark
