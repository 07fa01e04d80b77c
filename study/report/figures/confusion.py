"""A variant's confusion matrix, without the images that are right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import Variant
from study.values import count, number

STYLE = drawing.STYLE | {"axes.grid": False}
DARK = 0.6  # of the greatest cell, from which words on a cell are white
MOST_PRECISE = 20  # classes up to which cells have a decimal place
CELL = 0.75  # of the figure's side: what all cells together take, beside the words
LARGEST, WIDTH = 8.0, 0.65  # points: words in cells; the width of a letter, in its size


def draw(folder: Path, variant: Variant) -> SavedFigure | None:
    """Draw the mean over the seeds that kept theirs; None where none did."""
    caption = (
        "Test images by class and prediction, the mean over {}; on the diagonal the share of the"
        " class that is right, in percent."
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
        cell = 72 * CELL * side / len(classes)
        _draw_cells(axes, mean, cell)
        _draw_classes(axes, classes, cell)
        axes.set(xlabel="predicted", ylabel="target")
        rows = [[classes[i], classes[j], images] for (i, j), images in np.ndenumerate(mean)]
        drawing.save(figure, folder, name, ["target", "predicted", "images"], rows)
    return SavedFigure(name, title, caption.format(count(len(matrices), "seed")))


def _draw_cells(axes: Axes, mean: np.ndarray, cell: float) -> None:
    """Draw a colour and a number for what is wrong, and the share of what is right.

    cell: the width of a cell in points, in which the longest word fits.
    """
    wrong = mean * (1 - np.eye(len(mean)))
    axes.imshow(wrong, cmap="Blues", vmin=0, vmax=max(wrong.max(), 1))
    digits = 1 if len(mean) <= MOST_PRECISE else 0
    shares = 100 * mean.diagonal() / mean.sum(axis=1).clip(1)
    right = [f"{share:.{digits}f}{'%' * digits}" for share in shares]
    wrongs = {
        (target, predicted): number(round(float(wrong[target, predicted]), digits))
        for target, predicted in zip(*np.nonzero(wrong))
    }
    longest = max(map(len, [*right, *wrongs.values()]))
    size = min(LARGEST, 0.9 * cell / (WIDTH * longest))
    centred: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size}
    for (target, predicted), text in wrongs.items():
        if text != "0":
            colour = "white" if wrong[target, predicted] > DARK * wrong.max() else "black"
            axes.annotate(text, (predicted, target), color=colour, **centred)
    for i, text in enumerate(right):
        axes.annotate(text, (i, i), color="0.45", **centred)


def _draw_classes(axes: Axes, classes: Sequence[str], cell: float) -> None:
    """Name the rows and the columns; names wider than a cell stand upright below."""
    size = min(9, 0.8 * cell)
    upright = WIDTH * size * max(map(len, classes)) > cell
    axes.set_yticks(range(len(classes)), classes, fontsize=size)
    axes.set_xticks(range(len(classes)), classes, fontsize=size, rotation=90 * upright)
