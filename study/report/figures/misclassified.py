"""The images that the networks get wrong: a variant's own, and those of all or of one alone."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np

from study import runs
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.study import FEW, Study
from study.report.variants import Variant
from study.runs import Misclassified
from study.train import image_grid
from study.train.image_grid import Cell

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # matplotlib 3.9 has none

MOST = 25  # images of a variant's grid; the first ten are also in the folder of its run
COLUMNS = 10  # of the grid that compares variants, in each row its name first
STYLE: "dict[RcKeyType, Any]" = {"pdf.fonttype": 42, "savefig.dpi": 130}
HEADER = ("index", "target", "predicted", "confidence")


def draw(folder: Path, variant: Variant) -> list[SavedFigure]:
    """Draw the 25 most confident of the first seed that kept its images."""
    run = next((run for run in variant.runs if run.has(runs.MISCLASSIFIED)), None)
    if run is None:
        return []
    wrong = run.misclassified()
    title = f"{variant.label}, seed {run.config.seed}: {len(wrong.index)} test images wrong"
    most = f"The {MOST} most confident mistakes: " if len(wrong.index) > MOST else ""
    caption = f"{most}target as prediction, and the softmax of the prediction. The csv lists all."
    caption = caption[0].upper() + caption[1:]
    return [_draw(folder, variant, wrong, f"misclassified_{variant.file}", title, caption)]


def draw_at_best(folder: Path, variant: Variant) -> SavedFigure | None:
    """Draw the same of the best epoch of the first seed that kept it."""
    kept = ((run, run.misclassified_at_best()) for run in variant.runs)
    run, wrong = next(((run, wrong) for run, wrong in kept if wrong), (None, None))
    if run is None or wrong is None:
        return None
    epoch = run.summary["test_accuracy_best_epoch"]
    title = (
        f"{variant.label}, seed {run.config.seed}, its best epoch ({epoch}):"
        f" {len(wrong.index)} test images wrong"
    )
    caption = (
        "As above, in the epoch of the highest test accuracy. That epoch is chosen on these images,"
        " so it flatters."
    )
    return _draw(folder, variant, wrong, f"misclassified_best_{variant.file}", title, caption)


def _draw(
    folder: Path, variant: Variant, wrong: Misclassified, name: str, title: str, caption: str
) -> SavedFigure:
    rows = list(zip(wrong.index, wrong.target, wrong.predicted, wrong.confidence))
    with matplotlib.rc_context(STYLE):
        figure = image_grid.draw_misclassified(wrong, variant.class_names, title, MOST)
        drawing.save(figure, folder, name, HEADER, rows)
    return SavedFigure(name, title, caption, as_is=True)


def draw_shared(folder: Path, study: Study) -> SavedFigure | None:
    """Draw the images that all variants get wrong, and those that only one does.

    None below two variants that kept their images.
    """
    compared = study.shown[:FEW]
    classes = compared[0].class_names
    images = _misclassified_images(compared)
    groups = _groups({v.label: wrong for v in compared if (wrong := _usual(v)) is not None})
    if not any(groups.values()):
        return None
    by_confidence = {
        name: sorted(wrong, key=lambda i: (-images[i].confidence, i))
        for name, wrong in groups.items()
    }
    cells: list[Cell] = []
    for name, indices in by_confidence.items():
        kept = [(i, images[i]) for i in indices if images[i].pixels is not None]
        shown = [Cell(image.pixels, f"{i}: {classes[image.target]}") for i, image in kept]
        if indices and not shown:
            shown = [Cell(None, "no run kept their pixels")]
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
        " pixels a run kept. Beside a name: how many there are; the csv lists all."
        + (f" Of the best {FEW} variants." if len(study.variants) > FEW else ""),
        as_is=True,
    )


class _Image(NamedTuple):
    """A test image that some run gets wrong. confidence: the sum over runs."""

    target: int
    confidence: float
    pixels: np.ndarray | None  # where a run kept them


def _misclassified_images(variants: Sequence[Variant]) -> dict[int, _Image]:
    """Index -> image, of all runs of variants."""
    pixels: dict[int, np.ndarray] = {}
    targets: dict[int, int] = {}
    confidence: Counter[int] = Counter()
    kept = [run for v in variants for run in v.runs if run.has(runs.MISCLASSIFIED)]
    for wrong in (run.misclassified() for run in kept):
        index = wrong.index.tolist()
        pixels |= dict(zip(index, wrong.pixels))
        targets |= dict(zip(index, wrong.target.tolist()))
        confidence.update(dict(zip(index, wrong.confidence.tolist())))
    return {i: _Image(target, confidence[i], pixels.get(i)) for i, target in targets.items()}


def _usual(variant: Variant) -> set[int] | None:
    """The images that most seeds of a variant get wrong; None where no seed kept them."""
    kept = variant.wrong.values()
    times = Counter(int(i) for wrong in kept for i in wrong)
    return {i for i, n in times.items() if 2 * n > len(kept)} if kept else None


def _groups(wrong_for: dict[str, set[int]]) -> dict[str, set[int]]:
    """The images that all get wrong, and those that only one does."""
    if len(wrong_for) < 2:
        return {}
    groups = {"all": set.intersection(*wrong_for.values())}
    for label, wrong in wrong_for.items():
        rest = (images for other, images in wrong_for.items() if other != label)
        groups[f"only {label}"] = wrong.difference(*rest)
    return groups
