"""The images that the networks get wrong: a variant's own, and those of all or of one alone."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np

from study import runs
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.variants import Study, Variant
from study.train import image_grid
from study.train.image_grid import Cell

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # matplotlib 3.9 has none

TEN, SQUARE = 10, 25  # images of the two grids of a variant
COLUMNS = 10  # of the grid that compares variants, in each row its name first
STYLE: "dict[RcKeyType, Any]" = {"pdf.fonttype": 42, "savefig.dpi": 130}
HEADER = ("index", "target", "predicted", "confidence")


def draw(folder: Path, variant: Variant) -> list[SavedFigure]:
    """Draw the ten and the 25 most confident of the first seed that kept its images."""
    classes = variant.class_names
    run = next((run for run in variant.runs if run.has(runs.MISCLASSIFIED)), None)
    if run is None:
        return []
    wrong = run.misclassified()
    rows = list(zip(wrong.index, wrong.target, wrong.predicted, wrong.confidence))
    title = f"{variant.label}, seed {run.config.seed}: {len(wrong.index)} test images wrong"
    ten, square = f"misclassified_{variant.file}", f"misclassified_25_{variant.file}"
    with matplotlib.rc_context(STYLE):
        for name, count, listed in ((ten, TEN, rows), (square, SQUARE, rows[:SQUARE])):
            figure = image_grid.draw_misclassified(wrong, classes, title, count)
            drawing.save(figure, folder, name, HEADER, listed)
    caption = "confidence is the softmax of the predicted class. The csv lists"
    return [
        SavedFigure(
            ten, title, f"The ten most confident mistakes: predicted < target; {caption} all."
        ),
        SavedFigure(square, f"{title}, 25 of them", f"Predicted < target; {caption} them."),
    ]


def draw_at_best(folder: Path, variant: Variant) -> SavedFigure | None:
    """Draw the ten most confident in the best epoch of the first seed that kept them."""
    kept = ((run, run.misclassified_at_best()) for run in variant.runs)
    run, wrong = next(((run, wrong) for run, wrong in kept if wrong), (None, None))
    if run is None or wrong is None:
        return None
    epoch = run.summary["test_accuracy_best_epoch"]
    title = (
        f"{variant.label}, seed {run.config.seed}, its best epoch ({epoch}):"
        f" {len(wrong.index)} test images wrong"
    )
    name = f"misclassified_best_{variant.file}"
    rows = list(zip(wrong.index, wrong.target, wrong.predicted, wrong.confidence))
    with matplotlib.rc_context(STYLE):
        figure = image_grid.draw_misclassified(wrong, variant.class_names, title, TEN)
        drawing.save(figure, folder, name, HEADER, rows)
    return SavedFigure(
        name,
        title,
        "As above, in the epoch of the highest test accuracy. That epoch is chosen on these images,"
        " so it flatters.",
    )


def draw_shared(folder: Path, study: Study) -> SavedFigure | None:
    """Draw the images that all variants get wrong, and those that only one does.

    None below two variants that kept their images, and over several data sets.
    """
    if len({variant.config.dataset for variant in study.shown}) > 1:
        return None
    classes = study.shown[0].class_names
    images = _misclassified_images(study)
    groups = _groups({v.label: wrong for v in study.shown if (wrong := _usual(v)) is not None})
    by_confidence = {
        name: sorted(wrong, key=lambda i: (-images[i].confidence, i))
        for name, wrong in groups.items()
    }
    if not by_confidence:
        return None
    cells: list[Cell] = []
    for name, indices in by_confidence.items():
        kept = [(i, images[i]) for i in indices if images[i].pixels is not None]
        shown = [Cell(image.pixels, f"{i}: {classes[image.target]}") for i, image in kept]
        row = [Cell(None, f"{name}: {len(indices)}"), *shown[: COLUMNS - 1]]
        cells += row + [Cell(None, "")] * (COLUMNS - len(row))
    rows = [
        [name, i, classes[images[i].target]] for name, wrong in by_confidence.items() for i in wrong
    ]
    with matplotlib.rc_context(STYLE):
        figure = image_grid.draw(cells, COLUMNS)
        drawing.save(figure, folder, "misclassified_by", ["wrong_for", "index", "target"], rows)
    return SavedFigure(
        "misclassified_by",
        "Images that all variants get wrong, and those that only one does",
        "A variant gets an image wrong where more than half of its seeds do. Above each image: its"
        " index in the test set and its class; the most confident mistakes first, of those whose"
        " pixels a run kept. The csv lists all.",
    )


class _Image(NamedTuple):
    """A test image that some run gets wrong. confidence: the sum over runs."""

    target: int
    confidence: float
    pixels: np.ndarray | None  # where a run kept them


def _misclassified_images(study: Study) -> dict[int, _Image]:
    """Index -> image, of all runs of the variants shown."""
    pixels: dict[int, np.ndarray] = {}
    targets: dict[int, int] = {}
    confidence: Counter[int] = Counter()
    kept = [run for v in study.shown for run in v.runs if run.has(runs.MISCLASSIFIED)]
    for wrong in (run.misclassified() for run in kept):
        index = wrong.index.tolist()
        pixels |= dict(zip(index, wrong.pixels))
        targets |= dict(zip(index, wrong.target.tolist()))
        confidence.update(dict(zip(index, wrong.confidence.tolist())))
    return {i: _Image(target, confidence[i], pixels.get(i)) for i, target in targets.items()}


def _usual(variant: Variant) -> set[int] | None:
    """The images that most seeds of a variant get wrong; None where no seed kept them."""
    kept = [run.misclassified() for run in variant.runs if run.has(runs.MISCLASSIFIED)]
    times = Counter(int(i) for wrong in kept for i in wrong.index)
    return {i for i, n in times.items() if 2 * n > len(kept)} if kept else None


def _groups(wrong_for: dict[str, set[int]]) -> dict[str, set[int]]:
    """The images that all get wrong and those that only one does; without those that are empty."""
    if len(wrong_for) < 2:
        return {}
    groups = {"all": set.intersection(*wrong_for.values())}
    for label, wrong in wrong_for.items():
        rest = (images for other, images in wrong_for.items() if other != label)
        groups[f"only {label}"] = wrong.difference(*rest)
    return {name: images for name, images in groups.items() if images}
