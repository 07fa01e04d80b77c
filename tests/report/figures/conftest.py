"""Figures that are drawn in memory, and studies of made-up runs."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text

from study import files, runs
from study.config import Config
from study.report import grouping
from study.report.figures import drawing
from study.runs import Misclassified
from tests.report.conftest import run


@pytest.fixture
def saved(monkeypatch):
    """The figures that are saved, by name, with their rows; nothing is written."""
    figures = {}

    def keep(figure, folder, name, header, rows):
        figures[name] = figure, [dict(zip(header, row)) for row in rows]

    monkeypatch.setattr(drawing, "save", keep)
    return figures


def study(*all_runs):
    return grouping.gather({"mine": all_runs})


def overlaps(figure) -> list[tuple[str, str]]:
    """Pairs of words in a figure whose boxes share more than a pixel or two."""
    FigureCanvasAgg(figure).draw()
    words = [
        text
        for text in figure.findobj(lambda artist: isinstance(artist, (Text, Annotation)))
        if text.get_text().strip() and text.get_visible()
    ]
    # An annotation's own extent includes its arrow; a Text's is that of its words.
    boxes = [(t.get_text(), Text.get_window_extent(t)) for t in words]
    overlapping = []
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 2 and height > 2:
            overlapping.append((one, two))
    return overlapping


def many(n: int):
    """Configurations of close accuracy over three seeds, one of them ruined."""
    rng = np.random.default_rng(0)
    for i in range(n):
        config = Config(norm=("batch", "layer")[i % 2], dropout=i / 100, holdout=100)
        last = 40.0 if i == 3 else 99.3 + 0.01 * i
        for seed in (1, 2, 3):
            value = last + 0.02 * rng.normal()
            more = {"val_accuracy_last": value, "parameters": 7684, "seconds": 100.0 + 20 * i}
            yield run(config, value, seed, **more)


def kept(folder, config: Config, seed: int, index: list[int]):
    """A run whose folder holds these test images as misclassified."""
    made = run(config, 99.0, seed)
    path = folder / made.path.name
    n = len(index)
    wrong = Misclassified(
        np.array(index), np.zeros(n, int), np.ones(n, int), np.linspace(1, 0.5, n, dtype="float32"),
        np.zeros((n, 1, 28, 28), np.uint8),
    )  # fmt: skip
    runs.write_misclassified(path, wrong)
    confusion = np.diag([36] * 10)
    confusion[0, 1] = n
    files.write_json(path / runs.CONFUSION, confusion.tolist())
    return runs.Run(path, made.config, made.history, made.summary)
