"""How well each class is recognized: precision, recall and F1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from study.report.variants import Variant


class ClassScores(NamedTuple):
    """By class, float [classes]: precision, recall and F1 in percent, and the test images of it."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    images: np.ndarray


def scores(confusion: ArrayLike) -> ClassScores:
    """The scores of a confusion matrix [classes, classes], rows targets and columns predictions.

    Precision is the share of the predictions of a class that are right, recall the share of its
    images that are found, F1 their harmonic mean. NaN where there is nothing to take a share of.
    The matrix may be a sum or a mean over runs: the shares are then of all their images together.
    """
    confusion = np.asarray(confusion, dtype=float)
    right, predicted, images = np.diag(confusion), confusion.sum(0), confusion.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ClassScores(
            precision=100 * right / predicted,
            recall=100 * right / images,
            f1=100 * 2 * right / (predicted + images),
            images=images,
        )


def table(variant: Variant) -> list[list[str]]:
    """A row a class: its name, precision, recall and F1 over all seeds together, and its images.

    The last row has the plain means over the classes, and all images. Empty where no run kept its
    confusion matrix.
    """
    matrices = variant.confusions()
    if not matrices:
        return []
    by_class = scores(np.sum(matrices, axis=0))
    images = by_class.images / len(matrices)
    names = variant.class_names
    rows = list(zip(names, *by_class[:3], images))
    rows.append(("mean, all images", *map(np.mean, by_class[:3]), images.sum()))
    return [
        [name, *("" if np.isnan(share) else f"{share:.2f}" for share in shares), f"{images:.0f}"]
        for name, *shares, images in rows
    ]
