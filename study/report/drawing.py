"""What the figures share: their style, and how one is kept as png, pdf and csv."""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from study import runs

# Okabe & Ito's colours, told apart by colour-blind readers; yellow left out as too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
STYLE = {
    "pdf.fonttype": 42,  # TrueType: text stays text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "savefig.dpi": 150,
}


@dataclass(frozen=True)
class Drawn:
    """A figure on disk: `name`.png, .pdf and .csv in a folder, and what it shows."""

    name: str
    title: str
    caption: str


def line(i: int) -> tuple[str, str]:
    """The colour and the dashes of the i-th curve."""
    return COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in 0 to 1, in the order of `wanted` and near it, at least `gap` apart."""
    order = np.argsort(wanted, kind="stable")
    places = np.asarray(wanted, dtype=float).clip(gap / 2, 1 - gap / 2)
    for before, i in itertools.pairwise(order):
        places[i] = max(places[i], places[before] + gap)
    ceiling = 1 - gap / 2
    for i in order[::-1]:
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    return places.tolist()


def save(
    figure: Figure, folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    # No date inside, so that the same runs give the same files.
    for kind, metadata in (("png", {}), ("pdf", {"CreationDate": None})):
        runs.write(
            folder / f"{name}.{kind}",
            lambda file, k=kind, m=metadata: figure.savefig(file, format=k, metadata=m),
        )
    write_csv(folder / f"{name}.csv", header, rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A csv with full precision; NaN is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["" if _is_nan(cell) else cell for cell in row])
    runs.write(path, lambda file: file.write(text.getvalue().encode()))


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))
