"""A run's tables at W&B: misclassified images and their grid, layers, confusion."""

import os
from typing import Any

from study import runs
from study.errors import UsageError
from study.runs import Run

NAMES = ("misclassified", "misclassified_grid", "layers", "confusion")
PICTURES = 5  # rows of the table of misclassified images that have their picture, by default


def make(run: Run) -> dict[str, Any]:
    """Make the tables of misclassified images (at most 100), layers and confusion, and the grid.

    Raises:
        UsageError: as count_pictures.
    """
    import wandb

    return {
        "misclassified": _misclassified_table(run),
        "misclassified_grid": wandb.Image(str(run.path / runs.GRID)),
        "layers": _layer_table(run),
        "confusion": _confusion_table(run),
    }


def _misclassified_table(run: Run) -> Any:
    import wandb

    wrong, most = run.misclassified(), count_pictures()
    table = wandb.Table(columns=["image", "index", "target", "predicted", "confidence"])
    for pixels, *cells in zip(
        wrong.pixels, wrong.index, wrong.target, wrong.predicted, wrong.confidence
    ):
        has_picture = len(table.data) < most
        image = wandb.Image(pixels.transpose(1, 2, 0).squeeze()) if has_picture else None
        table.add_data(image, *(cell.item() for cell in cells))
    return table


def count_pictures() -> int:
    """Return how many rows of a table of images have their picture: STUDY_TABLE_PICTURES. wandb
    writes a file for each, which a cluster's file system feels after thousands of runs.

    Raises:
        UsageError: the variable is no number of rows.
    """
    value = os.environ.get("STUDY_TABLE_PICTURES") or str(PICTURES)
    if not value.isdecimal() or int(value) > runs.MOST_PIXELS:
        raise UsageError(
            f"STUDY_TABLE_PICTURES={value}: allowed is a whole number from 0 to {runs.MOST_PIXELS}"
        )
    return int(value)


def _layer_table(run: Run) -> Any:
    import wandb

    columns: list[str | int] = ["layer", "type", "output", "receptive_field", "parameters"]
    rows = [
        [str(layer[column]) if column == "output" else layer.get(column) for column in columns]
        for layer in run.parameters()["layers"]
    ]
    return wandb.Table(columns=columns, data=rows)


def _confusion_table(run: Run) -> Any:
    import wandb

    cells = [
        [target, predicted, count]
        for target, row in enumerate(run.confusion().tolist())
        for predicted, count in enumerate(row)
    ]
    return wandb.Table(columns=["target", "predicted", "images"], data=cells)
