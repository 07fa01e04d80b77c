"""Precision, recall and F1 by class."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from study.config import Config
from study.report.text import classes
from tests.report.conftest import run
from tests.report.figures.conftest import kept, study


def test_scores_are_sklearns():
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(10, size=(2, 500))
    predicted[:300] = target[:300]
    found = classes.scores(confusion_matrix(target, predicted))
    *expected, images = precision_recall_fscore_support(target, predicted)
    for ours, theirs in zip(found[:3], expected):
        np.testing.assert_allclose(ours, 100 * theirs)
    np.testing.assert_array_equal(found.images, images)


def test_what_has_no_images_or_predictions_has_no_share():
    found = classes.scores([[3, 0, 1], [2, 0, 0], [0, 0, 0]])
    assert found.recall[:2].tolist() == [75, 0] and np.isnan(found.recall[2])
    assert found.precision[[0, 2]].tolist() == pytest.approx([60, 0])
    assert np.isnan(found.precision[1])


def test_the_table_is_over_all_seeds_together(tmp_path):
    made = study(kept(tmp_path, Config(), 1, list(range(30))), kept(tmp_path, Config(), 2, [1, 2]))
    zero, *rest, mean = classes.table(made.variants[0])
    assert zero == ["0", "100.00", "69.23", "81.82", "52"]  # 72 of 72, 72 of 104
    recalls = [float(row[2]) for row in (zero, *rest)]
    assert mean[0] == "mean, all images"
    assert float(mean[2]) == pytest.approx(np.mean(recalls), abs=0.01)
    assert int(mean[4]) == sum(int(row[4]) for row in (zero, *rest))
    assert classes.table(study(run(Config(), 99.0, 1)).variants[0]) == []
