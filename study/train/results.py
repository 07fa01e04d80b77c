"""The files that a run writes at its begin and its end, whichever way it was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study import datasets, files, runs
from study.config import Config
from study.runs import Misclassified, Run
from study.train import checkpoint, data, image_grid, networks

IMAGES, DPI = 10, 130  # of misclassified.png


def begin(folder: Path, config: Config, history: list[dict[str, float]]) -> None:
    """Write the files of a run that starts, or goes on after the epochs of `history`."""
    runs.write_config(folder, config)
    files.write_json(folder / runs.PARAMETERS, networks.parameter_table(config))
    runs.write_history(folder, history)
    runs.write_summary(folder, {"state": runs.RUNNING})


def write(
    folder: Path,
    config: Config,
    state: str,
    history: list[dict[str, float]],
    dataset: data.Dataset,
    probabilities: np.ndarray,
    weights: dict[str, Tensor],
    provenance: dict[str, Any],
    picture: bool = True,
) -> None:
    """Write the files of a run that ends; the summary last, since it says that the rest exists.

    probabilities: float [N, classes] on the test images. weights: the network's state. provenance:
    see provenance.collect; it goes into the summary. picture: whether to draw the misclassified
    images, too.
    """
    test, classes = dataset.test, dataset.spec.class_names
    runs.write_misclassified(folder, misclassified(probabilities, test))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (test.labels, probabilities.argmax(1)), 1)
    files.write_json(folder / runs.CONFUSION, confusion.tolist())
    if picture:
        draw_misclassified(runs.read(folder))
    files.write(folder / runs.WEIGHTS, lambda file: torch.save(weights, file))
    runs.write_summary(folder, _summary(config, state, history, dataset, provenance))
    checkpoint.remove(folder)


def draw_misclassified(run: Run) -> None:
    """Draw the most confident misclassified images of a run from its other files."""
    wrong, images = run.misclassified(), run.confusion().sum()
    title = f"The most confident mistakes of {len(wrong.index)} in {images:,} test images"
    title += ": predicted < target"
    classes = datasets.spec(run.config.dataset).class_names
    figure = image_grid.draw_misclassified(wrong, classes, title, IMAGES)
    files.write(run.path / runs.GRID, lambda file: figure.savefig(file, dpi=DPI))


def misclassified(probabilities: np.ndarray, test: data.Split) -> Misclassified:
    """Return the test images whose most probable class is not their own, the surest first."""
    predicted = probabilities.argmax(1)
    confidence = probabilities.max(1).astype(np.float32)
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
    scores = runs.scores(history)
    images = len(dataset.train) * len(history)
    return {
        "state": state,
        "epochs": len(history),
        **scores,
        "parameters": networks.parameter_table(config)["total"],
        "images_per_second": round(images / scores["seconds"], 1) if scores["seconds"] else None,
        **provenance,
    }
