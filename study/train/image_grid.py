"""A grid of images with words above each, such as those that a network got wrong."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from study.runs import Misclassified

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 5  # misclassified images in a row
INCHES = 1.05  # of an image with the gap beside it, which is 1 in the units below
GAP, WORDS = 0.08, 0.36  # between images; the words above one
LINE = 17  # letters of a line above an image
INK = "#7A7A7A"  # of words, to be read on a light page and on a dark one, which shows through


class Cell(NamedTuple):
    """An image, uint8 [C, H, W], and the words above it; None: the words alone."""

    pixels: np.ndarray | None
    words: str


def draw_misclassified(
    wrong: Misclassified, classes: Sequence[str], title: str, count: int
) -> "Figure":
    """Draw the most confident misclassified images: target as prediction, and the confidence."""
    cells = [
        Cell(pixels, mistake(classes[target], classes[predicted], confidence))
        for pixels, target, predicted, confidence in zip(
            wrong.pixels[:count], wrong.target, wrong.predicted, wrong.confidence
        )
    ]
    return draw(cells, ROW, title)


def mistake(target: str, predicted: str, confidence: float) -> str:
    """Return the words above a misclassified image, such as `8 as 1, 98 %`, in lines that fit."""
    words = f"{target} as {predicted}, {100 * confidence:.0f} %"
    return words if len(words) <= LINE else words.replace(" as ", "\nas ", 1)


def draw(cells: Sequence[Cell], columns: int, title: str = "") -> "Figure":
    """Draw cells in rows below a title."""
    from matplotlib.figure import Figure  # here: a run imports it as it ends, a sweep never

    rows = -(-len(cells) // columns)
    pitch = 1 + WORDS
    head = WORDS if title else 0
    size = (columns * INCHES, max(rows * pitch + head, pitch) * INCHES)
    figure = Figure(figsize=size, facecolor="none")
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: one each would take most of a run's end
    axes.set(xlim=(-GAP, columns), ylim=(rows * pitch or 1, -head))
    axes.axis("off")
    axes.set_autoscale_on(False)
    if title:
        axes.text(
            0, -head / 2, textwrap.fill(title, 13 * columns), fontsize=8, va="center", color=INK
        )
    for i, (pixels, words) in enumerate(cells):
        left, top = i % columns, i // columns * pitch + WORDS
        if pixels is None:
            axes.text(left, top + 0.5, textwrap.fill(words, 16), fontsize=8, va="center", color=INK)
            continue
        grey = len(pixels) == 1
        axes.imshow(
            pixels[0] if grey else pixels.transpose(1, 2, 0), cmap="gray" if grey else None,
            vmin=0, vmax=255, extent=(left, left + 1 - GAP, top + 1 - GAP, top), aspect="auto",
        )  # fmt: skip
        axes.text(left, top - 0.03, words, fontsize=7, va="bottom", color=INK)
    return figure
