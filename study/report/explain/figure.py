"""The normalizations as figures, with the numbers in their cells; a spreadsheet beside them.

They depend on no run, so that they are drawn once and kept in STUDY_CACHE.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from study import files
from study.errors import RunError
from study.report.explain import workbook
from study.report.explain.examples import EXAMPLES, NORMS, Example, Normalized, normalize
from study.report.figures import drawing, rendering
from study.report.figures.drawing import SavedFigure

WORKBOOK = "normalization.xlsx"
LIBRARIES = ("matplotlib", "numpy", "xlsxwriter")
CELL, GAP, HEAD = 0.44, 0.12, 0.42  # inches: a value's cell, between two tiles, above a share
PITCH, STEP = 2 * CELL + GAP, 2 * CELL + HEAD  # from a channel to the next, from an image
LEFT, TOP = 0.55, 0.68  # of a panel, for the names of images and its heading
INSET = 0.03  # of the pale box in a cell


def write(folder: Path) -> list[SavedFigure]:
    """Write the figures and the spreadsheet into a folder; return the figures.

    Raises:
        UsageError: the folder cannot be written.
    """
    files.check_writable(folder)
    figures = [describe(example) for example in EXAMPLES]
    names = [f"{figure.name}.{kind}" for figure in figures for kind in drawing.FILE_KINDS] + [
        WORKBOOK
    ]
    kept = files.cache_folder() / f"norms-{_version()}"
    if all((kept / name).is_file() for name in names):
        _copy(names, kept, folder)
        for figure in figures:
            rendering.read(folder / figure.name)
        return figures
    for example in EXAMPLES:
        draw(folder, example)
    body = workbook.build(EXAMPLES)
    files.write(folder / WORKBOOK, lambda file: file.write(body))
    rendering.afterwards(functools.partial(_keep, names, folder, kept))
    return figures


def _keep(names: list[str], folder: Path, kept: Path) -> None:
    with contextlib.suppress(RunError):  # a cache that cannot be written is done without
        _copy(names, folder, kept)


def _copy(names: list[str], source: Path, target: Path) -> None:
    for name in names:
        files.copy(source / name, target / name)


@functools.cache
def _version() -> str:
    """Return a hash of all that the files depend on: this code and the libraries that draw."""
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), Path(drawing.__file__)]
    libraries = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    parts = [path.read_bytes() for path in sources] + [line.encode() for line in libraries]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:8]


def describe(example: Example) -> SavedFigure:
    """Return the name, the title and the caption of an example's figure."""
    caption = (
        "Values of one colour, within one outline, share the mean μ and the variance σ² above"
        " them. In each cell the value, and below it (value - μ) / √(σ² + ε)."
    )
    if example.used_groups < example.groups:
        channels = example.values.shape[1]
        caption += (
            f" {example.groups} does not divide {channels} channels: groups={example.groups} gives"
            f" {example.used_groups}, the largest divisor up to it."
        )
    title = f"The normalizations by hand: {example.title}"
    return SavedFigure(f"normalization_{example.name}", title, caption)


def draw(folder: Path, example: Example) -> None:
    """Draw the four norms on an example; values that share mean and variance have one colour."""
    images, channels = example.values.shape[:2]
    wide, high = channels * PITCH + 0.75, images * STEP + TOP + 0.15
    rows: list[list[Any]] = []
    with matplotlib.rc_context({"pdf.fonttype": 42, "savefig.dpi": 150}):
        figure = Figure(figsize=(2 * wide, 2 * high))
        panels = figure.subplots(2, 2, gridspec_kw={"wspace": 0, "hspace": 0}).ravel()
        figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
        for axes, norm in zip(panels, NORMS):
            axes.set(xlim=(0, wide), ylim=(high, 0))
            axes.axis("off")
            result = normalize(example, norm)
            _draw_panel(axes, example, norm, result)
            rows += _rows(example, norm, result)
        header = ["norm", "image", "channel", "row", "column", "share"]
        header += ["value", "mean", "variance", "normalized"]
        drawing.save(figure, folder, describe(example).name, header, rows)


def _draw_panel(axes: Axes, example: Example, norm: str, result: Normalized) -> None:
    """Draw one norm: images from top to bottom, channels from left to right."""
    images, channels = example.values.shape[:2]
    axes.text(LEFT, 0.16, example.name_of(norm), fontsize=10, fontweight="bold", va="center")
    axes.text(LEFT, 0.35, f"mean and variance {NORMS[norm][1]}", fontsize=8, va="center")
    for c in range(channels):
        x = LEFT + c * PITCH + CELL
        axes.text(x, TOP - 0.09, f"channel {c + 1}", fontsize=7, ha="center", va="center")
    for i in range(images):
        y = TOP + i * STEP + HEAD + CELL
        axes.text(LEFT - 0.08, y, f"image\n{i + 1}", fontsize=7, ha="right", va="center")
    _draw_shares(axes, result)
    _draw_values(axes, example, result)


def _draw_shares(axes: Axes, result: Normalized) -> None:
    """Draw an outline around each share, with its mean and variance above."""
    for k, (share, colour) in enumerate(zip(result.shares, result.colours)):
        x, y = LEFT + share.channels.start * PITCH, TOP + share.images.start * STEP
        size = len(share.channels) * PITCH - GAP, len(share.images) * STEP - 0.06
        axes.add_patch(Rectangle((x, y), *size, facecolor=colour, edgecolor="0.1", linewidth=1.3))
        separator = "   " if len(share.channels) > 1 else "\n"
        text = separator.join([f"μ {result.mean[k]:.2f}", f"σ² {result.variance[k]:.2f}"])
        axes.text(x + 0.06, y + HEAD / 2, text, fontsize=8, va="center", linespacing=1.25)


def _draw_values(axes: Axes, example: Example, result: Normalized) -> None:
    """Draw a cell for each value, with the normalized value below it."""
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    pale: dict[str, Any] = {"facecolor": "white", "alpha": 0.55, "linewidth": 0}
    side = CELL - 2 * INSET
    for (i, c, row, column), value in np.ndenumerate(example.values):
        x = LEFT + c * PITCH + column * CELL
        y = TOP + i * STEP + HEAD + row * CELL - 0.06
        axes.add_patch(Rectangle((x + INSET, y + INSET), side, side, **pale))
        axes.text(x + CELL / 2, y + 0.15, f"{value:g}", fontsize=10, fontweight="bold", **middle)
        normal = f"{result.normalized[i, c, row, column]:.2f}".replace("-", "−")
        axes.text(x + CELL / 2, y + 0.32, normal, fontsize=7.5, **middle)


def _rows(example: Example, norm: str, result: Normalized) -> Iterator[list[Any]]:
    """A row a value."""
    for index, value in np.ndenumerate(example.values):
        k = result.share_of[index]
        yield [
            norm, *(i + 1 for i in index), k + 1,
            value, result.mean[k], result.variance[k], result.normalized[index],
        ]  # fmt: skip
