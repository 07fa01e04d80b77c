"""A variant's confusion matrix, without the images that are right."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.config import number
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import Variant, count

STYLE = drawing.STYLE | {"axes.grid": False}
DARK = 0.6  # of the greatest cell, from which words on a cell are white


def draw(folder: Path, variant: Variant) -> SavedFigure | None:
    """Draw the mean over the seeds that kept theirs; None where none did."""
    caption = (
        "Test images by class and prediction, the mean over {}; on the diagonal the share of the"
        " class that is right."
    )
    title, name = f"{variant.label}: confusion", f"confusion_{variant.file}"
    return _draw(folder, variant, variant.confusions(), name, title, caption)


def draw_at_best(folder: Path, variant: Variant) -> SavedFigure | None:
    """Draw the mean over the seeds that kept their best epoch's; None where none did."""
    title, name = f"{variant.label}: confusion, best epochs", f"confusion_best_{variant.file}"
    caption = "As above, the mean over {}, each in the epoch of its highest test accuracy."
    return _draw(folder, variant, variant.confusions_at_best(), name, title, caption)


def _draw(
    folder: Path,
    variant: Variant,
    matrices: list[np.ndarray],
    name: str,
    title: str,
    caption: str,
) -> SavedFigure | None:
    classes = variant.class_names
    if not matrices:
        return None
    mean = np.mean(matrices, axis=0)
    with matplotlib.rc_context(STYLE):
        side = max(5, 0.2 * len(classes))
        figure = Figure(figsize=(side + 1, side), layout="constrained")
        axes = figure.subplots()
        _draw_cells(axes, mean)
        axes.set_xticks(range(len(classes)), classes, rotation=45 if len(classes[0]) > 2 else 0)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="predicted", ylabel="target")
        rows = [[classes[i], classes[j], images] for (i, j), images in np.ndenumerate(mean)]
        drawing.save(figure, folder, name, ["target", "predicted", "images"], rows)
    return SavedFigure(name, title, caption.format(count(len(matrices), "seed")))


def _draw_cells(axes: Axes, mean: np.ndarray) -> None:
    """Draw a colour and a number for what is wrong, and the share of what is right."""
    wrong = mean * (1 - np.eye(len(mean)))
    axes.imshow(wrong, cmap="Blues", vmin=0, vmax=max(wrong.max(), 1))
    centred: dict[str, Any] = {"ha": "center", "va": "center"}
    for target, predicted in zip(*np.nonzero(wrong)):
        images = wrong[target, predicted]
        colour = "white" if images > DARK * wrong.max() else "black"
        text = number(round(images, 1))
        axes.annotate(text, (predicted, target), fontsize=7, color=colour, **centred)
    for i, row in enumerate(mean):
        text = f"{100 * row[i] / max(row.sum(), 1):.1f}%"
        axes.annotate(text, (i, i), fontsize=6, color="0.45", **centred)
