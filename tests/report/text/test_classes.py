import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from study.report.text import classes


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
