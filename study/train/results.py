"""What a run leaves at its end, whichever way it was trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from study import files, runs
from study.config import Config
from study.runs import Misclassified
from study.train import data, image_grid, networks


def begin(out: Path, config: Config, history: list[dict[str, float]]) -> None:
    """Write what is known of a run before it trains, or trains on."""
    runs.write_config(out, config)
    files.write_json(out / runs.PARAMETERS, networks.parameter_table(config))
    runs.write_history(out, history)
    runs.write_summary(out, {"state": runs.RUNNING})


def write(
    out: Path,
    state: str,
    history: list[dict[str, float]],
    dataset: data.Dataset,
    probabilities: np.ndarray,
    network: nn.Module,
    provenance: dict[str, Any],
) -> None:
    """Write a run's last files; the summary last, since it says that the rest is there.

    probabilities: float [N, classes] on the test images. provenance: see provenance.collect; it
    goes into the summary.
    """
    test, classes = dataset.test, dataset.spec.class_names
    wrong = misclassified(probabilities, test)
    runs.write_misclassified(out, wrong)
    title = f"The most confident mistakes of {len(wrong.index)} in {len(test):,} test images"
    figure = image_grid.draw_misclassified(wrong, classes, title)
    files.write(out / runs.GRID, lambda file: figure.savefig(file, dpi=100))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (test.labels, probabilities.argmax(1)), 1)
    files.write_json(out / runs.CONFUSION, confusion.tolist())
    files.write(out / runs.WEIGHTS, lambda file: torch.save(network.state_dict(), file))
    runs.write_summary(out, _summary(state, history, dataset, network, provenance))
    (out / runs.CHECKPOINT).unlink(missing_ok=True)


def misclassified(probabilities: np.ndarray, test: data.Split) -> Misclassified:
    """The test images whose most probable class is not their own."""
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
    state: str,
    history: list[dict[str, float]],
    dataset: data.Dataset,
    network: nn.Module,
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """The run in scalars that sort and search well."""
    scores = runs.scores(history)
    images = len(dataset.train) * len(history)
    return {
        "state": state,
        "epochs": len(history),
        **scores,
        "parameters": sum(p.numel() for p in network.parameters()),
        "images_per_second": round(images / max(scores["seconds"], 1e-9), 1),
        **provenance,
    }
