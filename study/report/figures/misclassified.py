"""What the networks get wrong: grids, those that all or one alone gets wrong, confusion."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from study import runs
from study.config import number
from study.report.figures import drawing
from study.report.figures.drawing import SavedFigure
from study.report.text.classes import scores
from study.report.variants import Study, Variant, count
from study.runs import Misclassified

TEN, SIDE = 10, 5  # images of the small grid; a row of it, and of the square one
COLUMNS = 10  # a row of those that all or only one gets wrong, its name first
INCHES, WORDS, GAP = 1.05, 0.36, 0.08  # an image with its gap; words above it and a gap, as shares
PLAIN = {"pdf.fonttype": 42, "savefig.dpi": 130}
Cell = tuple[np.ndarray | None, str]  # uint8 [C, H, W] and the words above it
HEADER = ("index", "target", "predicted", "confidence")


def draw(folder: Path, variant: Variant) -> list[SavedFigure]:
    """The ten and the 25 most confident mistakes of the variant's first seed that has them."""
    classes = variant.class_names
    run = next((run for run in variant.runs if run.has(runs.MISCLASSIFIED)), None)
    if run is None:
        return []
    wrong = run.misclassified()
    rows = list(zip(wrong.index, wrong.target, wrong.predicted, wrong.confidence))
    title = f"{variant.label}, seed {run.config.seed}: {len(wrong.index)} test images wrong"
    ten, many = f"misclassified_{variant.file}", f"misclassified_25_{variant.file}"
    cells = [(wrong.pixels[i], _pair(wrong, i, classes)) for i in range(len(wrong.pixels))]
    with matplotlib.rc_context(PLAIN):
        drawing.save(_sheet(title, cells[:TEN], SIDE), folder, ten, HEADER, rows)
        square = SIDE * SIDE
        drawing.save(_sheet(title, cells[:square], SIDE), folder, many, HEADER, rows[:square])
    caption = "confidence is the softmax of the predicted class. The csv lists"
    return [
        SavedFigure(
            ten, title, f"The ten most confident mistakes: predicted < target; {caption} all."
        ),
        SavedFigure(many, f"{title}, 25 of them", f"Predicted < target; {caption} them."),
    ]


def shared(folder: Path, study: Study) -> SavedFigure | None:
    """The images that all variants get wrong against those that only one does, by the majority of
    a variant's seeds. None below two variants that kept theirs, and over several data sets."""
    if len({variant.config.dataset for variant in study.shown}) > 1:
        return None
    classes = study.shown[0].class_names
    sets, pixels, targets, confidence = {}, {}, {}, Counter()
    for variant in study.shown:
        kept = [run.misclassified() for run in variant.runs if run.has(runs.MISCLASSIFIED)]
        if not kept:
            continue
        times = Counter(int(i) for wrong in kept for i in wrong.index)
        sets[variant.label] = {i for i, n in times.items() if 2 * n > len(kept)}
        for wrong in kept:
            pixels |= dict(zip(wrong.index.tolist(), wrong.pixels))
            targets |= dict(zip(wrong.index.tolist(), wrong.target.tolist()))
            confidence.update(dict(zip(wrong.index.tolist(), wrong.confidence.tolist())))
    if len(sets) < 2:
        return None
    rows = {"all": set.intersection(*sets.values())}
    for label, wrong in sets.items():
        rows[f"only {label}"] = wrong - set.union(
            *(s for other, s in sets.items() if other != label)
        )
    order = {
        name: sorted(wrong, key=lambda i: (-confidence[i], i))
        for name, wrong in rows.items()
        if wrong
    }
    if not order:
        return None
    cells: list[Cell] = []
    for name, wrong in order.items():
        shown = [(pixels[i], f"{i}: {classes[targets[i]]}") for i in wrong if i in pixels]
        row = [(None, f"{name}: {len(wrong)}"), *shown[: COLUMNS - 1]]
        cells += row + [(None, "")] * (COLUMNS - len(row))
    with matplotlib.rc_context(PLAIN):
        lines = [[name, i, classes[targets[i]]] for name, wrong in order.items() for i in wrong]
        header = ["wrong_for", "index", "target"]
        drawing.save(_sheet("", cells, COLUMNS), folder, "misclassified_by", header, lines)
    return SavedFigure(
        "misclassified_by",
        "Images that all variants get wrong, and those that only one does",
        "A variant gets an image wrong where more than half of its seeds do. Above each image: its"
        " index in the test set and its class; the most confident mistakes first, of those whose"
        " pixels a run kept. The csv lists all.",
    )


def confusion(folder: Path, variant: Variant) -> SavedFigure | None:
    """Mistakes by target and prediction, the mean over the seeds that kept them."""
    classes = variant.class_names
    kept = _confusions(variant)
    if not kept:
        return None
    mean = np.mean(kept, axis=0)
    mistakes = mean * (1 - np.eye(len(mean)))
    with matplotlib.rc_context(drawing.STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(6, 5), layout="constrained")
        axes = figure.subplots()
        axes.imshow(mistakes, cmap="Blues", vmin=0, vmax=max(mistakes.max(), 1))
        for target, predicted in zip(*np.nonzero(mistakes)):
            images = mistakes[target, predicted]
            dark = images > 0.6 * mistakes.max()
            axes.annotate(
                number(round(images, 1)), (predicted, target), ha="center", va="center", fontsize=7,
                color="white" if dark else "black",
            )  # fmt: skip
        for i, row in enumerate(mean):
            axes.annotate(
                f"{100 * row[i] / max(row.sum(), 1):.1f}%", (i, i), ha="center", va="center",
                fontsize=6, color="0.45",
            )  # fmt: skip
        axes.set_xticks(range(len(classes)), classes, rotation=45 if len(classes[0]) > 2 else 0)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="predicted", ylabel="target")
        name = f"confusion_{variant.file}"
        rows = [
            [classes[i], classes[j], mean[i, j]] for i in range(len(mean)) for j in range(len(mean))
        ]
        drawing.save(figure, folder, name, ["target", "predicted", "images"], rows)
    return SavedFigure(
        name,
        f"{variant.label}: confusion",
        f"Test images by class and prediction, the mean over {count(len(kept), 'seed')}; on the"
        " diagonal the share of the class that is right.",
    )


def by_class(variant: Variant) -> list[list[str]]:
    """A row a class: its name, precision, recall and F1 in percent over the seeds, its images; in
    the last row the plain means over the classes, and all images."""
    kept = _confusions(variant)
    if not kept:
        return []
    found = scores(np.sum(kept, axis=0))
    images = found.images / len(kept)
    means = ["mean, all images", *(np.mean(shares) for shares in found[:3]), images.sum()]
    return [
        [name, *("" if np.isnan(share) else f"{share:.2f}" for share in shares), f"{images:.0f}"]
        for name, *shares, images in [
            *zip(variant.class_names, *found[:3], images),
            means,
        ]
    ]


def _confusions(variant: Variant) -> list[np.ndarray]:
    return [run.confusion() for run in variant.runs if run.has(runs.CONFUSION)]


def _sheet(title: str, cells: Sequence[Cell], columns: int) -> Figure:
    """Images in rows, each with its words above; a cell without an image has words alone."""
    rows = -(-len(cells) // columns)
    high = 1 + WORDS  # of a row, where an image is 1
    figure = Figure(figsize=(columns * INCHES, (rows * high + bool(title) * WORDS) * INCHES))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-GAP, columns), ylim=(rows * high, -WORDS * bool(title)))
    axes.axis("off")
    axes.set_autoscale_on(False)
    if title:
        axes.text(0, -WORDS / 2, textwrap.fill(title, 13 * columns), fontsize=8, va="center")
    for i, (pixels, words) in enumerate(cells):
        left, top = i % columns, i // columns * high + WORDS
        if pixels is None:
            axes.text(left, top + 0.5, textwrap.fill(words, 16), fontsize=8, va="center")
            continue
        grey = len(pixels) == 1
        axes.imshow(
            pixels[0] if grey else pixels.transpose(1, 2, 0), cmap="gray" if grey else None,
            vmin=0, vmax=255, extent=(left, left + 1 - GAP, top + 1 - GAP, top), aspect="auto",
        )  # fmt: skip
        axes.text(left, top - 0.03, words, fontsize=7, va="bottom")
    return figure


def _pair(wrong: Misclassified, i: int, classes: Sequence[str]) -> str:
    predicted, target = classes[wrong.predicted[i]], classes[wrong.target[i]]
    return f"{predicted}\n< {target}, {wrong.confidence[i]:.0%}"
