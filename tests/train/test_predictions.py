import dataclasses

import numpy as np
import pytest
import torch

from study import runs
from study.config import Config
from study.train import loop, pack_runs
from study.train.callback import Callback
from study.train.predictions import BestEpoch, Predictions
from tests.conftest import CutOff, few_images


def scores(accuracy):
    return {"test/accuracy": accuracy}


def test_the_predictions_of_the_highest_accuracy_are_kept():
    logits = torch.tensor([[[0.0, 3.0], [0.0, 3.0]], [[0.0, 3.0], [0.0, 3.0]]])  # all class 1
    best = BestEpoch([[scores(50.0)], []], [None, None], images=2)
    assert best.predictions(0) is None and best.predictions(1) is None
    best.update([50.0, 10.0], logits)  # only the second is a better one
    assert best.predictions(0) is None
    kept = best.predictions(1)
    assert kept.predicted.tolist() == [1, 1]
    np.testing.assert_allclose(kept.confidence, 1 / (1 + np.exp(-3)), rtol=1e-3)
    best.update([60.0, 10.0], -logits)
    assert best.predictions(0).predicted.tolist() == [0, 0]
    assert best.predictions(1).predicted.tolist() == [1, 1]
    best.select([1])
    assert best.predictions(0).predicted.tolist() == [1, 1]
    again = BestEpoch([[scores(10.0)]], [best.row(0)], images=2)
    assert again.predictions(0).predicted.tolist() == [1, 1]


def test_a_class_is_told_by_its_logit_as_the_accuracy_is():
    """In a softmax small differences of logits are lost, and the first class would be taken."""
    logits = torch.tensor([[0.0, 1e-9, 3e-9], [2e-9, 0.0, 1e-9]])
    assert logits.softmax(1).argmax(1).tolist() == [0, 0]
    [told] = Predictions.of_each(logits.unsqueeze(1))
    assert told.predicted.tolist() == logits.argmax(1).tolist() == [2, 0]
    best = BestEpoch([[]], [None], images=2)
    best.update([50.0], logits.unsqueeze(1))
    assert best.predictions(0).predicted.tolist() == [2, 0]


def test_the_best_epoch_is_what_a_run_that_ends_there_gets_wrong(monkeypatch, tmp_path):
    few_images(monkeypatch, train=100, test=60)
    fast = {"lr": 0.5, "epochs": 3, "batch_size": 20, "precision": "float64"}
    for seed in range(1, 20):  # until one has its best epoch before its last
        config = Config(**fast, seed=seed)
        run = loop.train(config, tmp_path / str(seed))
        best = run.summary["test_accuracy_best_epoch"]
        if best < 3:
            break
    wrong = run.misclassified_at_best()
    images = run.confusion().sum()
    assert 100 - 100 * len(wrong.index) / images == pytest.approx(run.summary["test_accuracy_best"])
    ended = loop.train(dataclasses.replace(config, epochs=best), tmp_path / "ended")
    assert not (ended.path / runs.MISCLASSIFIED_BEST).exists(), "its last epoch is its best"
    for mistakes in (ended.misclassified(), ended.misclassified_at_best()):
        assert sorted(mistakes.index) == sorted(wrong.index)

    # Cut off after it, in a pack, and trained to the end by the loop.
    twins = [config, dataclasses.replace(config, l1=1e-5)]
    folders = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(KeyboardInterrupt):
        pack_runs.train(twins, folders, callbacks=[Callback(), CutOff(best)])
    again = loop.train(config, folders[0])
    assert sorted(again.misclassified_at_best().index) == sorted(wrong.index)
    # The other in a pack from end to end.
    [other] = pack_runs.train(twins[1:], folders[1:])
    alone = loop.train(twins[1], tmp_path / "alone")
    ours, theirs = other.misclassified_at_best(), alone.misclassified_at_best()
    assert sorted(ours.index) == sorted(theirs.index)
