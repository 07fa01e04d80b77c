import itertools

import pytest

from study import runs
from study.config import Config
from study.report import grouping
from study.report.text import penalty
from tests.report.conftest import ranked_by_loss, run, spread
from tests.report.figures.conftest import study


def runs_of(base: dict, accuracies: dict[float, float]) -> list:
    """Three seeds of each lambda, of this mean accuracy and a standard deviation of 0.1."""
    apart = itertools.cycle([(-0.1, 0, 0.1), (0, 0.1, -0.1), (0.1, -0.1, 0)])
    return [
        each
        for (l1, mean), seeds in zip(accuracies.items(), apart)
        for each in spread(Config(l1=l1, **base), *(mean + x for x in seeds))
    ]


def test_the_largest_harmless_lambda_is_the_last_before_the_least_that_costs():
    bn = runs_of({}, {0: 99.3, 1e-5: 99.32, 1e-4: 99.25, 1e-3: 98.0, 1e-2: 99.3})
    gn = runs_of({"norm": "group"}, {0: 99.2, 1e-5: 97.0, 1e-4: 96.0})
    ln = runs_of({"norm": "layer"}, {0: 99.2, 1e-5: 99.21, 1e-4: 99.18})
    by_norm = {limit.base.norm: limit for limit in penalty.limits(study(*bn, *gn, *ln))}
    assert by_norm["batch"].harmless[0] == 1e-4 and by_norm["batch"].next[0] == 1e-3
    change = by_norm["batch"].next[1].interval
    assert change.low < change.mean < change.high < 0
    assert by_norm["group"].harmless is None and by_norm["group"].next[0] == 1e-5
    assert by_norm["layer"].harmless[0] == 1e-4 and by_norm["layer"].next is None


def test_the_sentence_has_the_differences_with_their_intervals():
    said = penalty.sentence(study(*runs_of({}, {0: 99.3, 1e-5: 99.3, 1e-4: 98.0})))
    assert said.startswith(
        "Up to these L1 lambdas no significant cost in test accuracy was found, which excludes none"
        " within the 95 % interval in brackets: BN: 1e-5 (sum), which changes it by +0.00 points"
        " (-0.3"
    )
    costs = penalty.sentence(study(*runs_of({}, {0: 99.3, 1e-5: 97.3, 1e-4: 98.0})))
    assert "was found: BN: none; 1e-5 (sum) changes" in costs  # without brackets
    assert "; 0.0001 (sum) changes it by -1.30 (p < 0.001)." in said
    harmless = penalty.sentence(study(*runs_of({}, {0: 99.3, 1e-5: 99.3, 1e-4: 99.31})))
    assert harmless.endswith(", the largest that was tried.")


def test_each_reduction_has_lambdas_of_its_own():
    sums = runs_of({}, {0: 99.3, 1e-5: 99.32, 1e-4: 98.0})
    means = runs_of({"l1_reduction": "mean"}, {1e-3: 99.32, 1e-2: 97.0})
    found = penalty.limits(study(*sums, *means))
    assert {limit.reduction: (limit.harmless[0], limit.next[0]) for limit in found} == {
        "sum": (1e-5, 1e-4),
        "mean": (1e-3, 1e-2),
    }


def test_a_loss_that_rises_costs_and_one_that_falls_does_not():
    lower, higher = Config(l1=1e-5), Config(l1=1e-4)
    losses = {Config(): (0.3, 0.31, 0.32), lower: (0.2, 0.211, 0.22), higher: (0.6, 0.61, 0.623)}
    [limit] = penalty.limits(ranked_by_loss(losses))
    assert (limit.harmless[0], limit.next[0]) == (1e-5, 1e-4)
    assert limit.harmless[1].interval.mean == pytest.approx(-0.1, abs=0.001)


def test_a_lambda_under_which_the_seeds_fall_apart_is_not_harmless():
    ln = runs_of({"norm": "layer"}, {0: 99.1, 1e-5: 99.1, 1e-4: 99.0})
    ln += spread(Config(norm="layer", l1=1e-3), 98.4, 96.8, 95.9)
    [limit] = penalty.limits(study(*ln))
    assert limit.harmless[0] == 1e-4 and limit.next[0] == 1e-3 and limit.next[1].unclear
    said = penalty.sentence(study(*ln))
    assert "; under 0.001 (sum) the seeds spread significantly more, and its change by -2.0" in said
    assert said.endswith(" points (-10.65 to +6.51) is open."), said


def failed(l1: float, *seeds: int) -> list:
    return [run(Config(l1=l1), 10.0, seed, runs.FAILED) for seed in seeds]


def test_a_lambda_that_lost_runs_is_not_harmless():
    """The mean of those left may be as good as without: whoever trains it loses runs."""
    some = [*runs_of({}, {0: 99.3, 1e-5: 99.3, 1e-4: 99.3}), *failed(1e-4, 4, 5)]
    [limit] = penalty.limits(study(*some))
    assert limit.harmless[0] == 1e-5 and limit.next is None and limit.lost == (1e-4, 2, 5)
    said = penalty.sentence(study(*some))
    assert said.endswith(
        "; under 0.0001 (sum) 2 of 5 runs failed or were stopped, whose cost is not known."
    )
    # Without L1 as many fail, which is no cost of L1.
    [limit] = penalty.limits(study(*some, *failed(0.0, 4, 5)))
    assert limit.harmless[0] == 1e-4 and limit.lost is None


def test_a_lambda_under_which_all_runs_failed_was_tried_too():
    ended = failed(1e-3, 1, 2, 3)
    [limit] = penalty.limits(study(*runs_of({}, {0: 99.3, 1e-5: 99.3, 1e-4: 99.3}), *ended))
    assert limit.harmless[0] == 1e-4 and limit.lost == (1e-3, 3, 3)
    [limit] = penalty.limits(study(*runs_of({}, {0: 99.3}), *failed(1e-4, 1), *ended))
    assert limit.harmless is None and limit.lost == (1e-4, 1, 1)
    sweeps = {
        "old": runs_of({}, {0: 99.3, 1e-5: 99.3, 1e-4: 99.3}),
        "new": [*runs_of({}, {0: 99.3, 1e-5: 99.3}), *ended],
    }
    lost = {limit.sweep: limit.lost for limit in penalty.limits(grouping.gather(sweeps))}
    assert lost == {"old": None, "new": (1e-3, 3, 3)}
    sweeps["new"] = [each for each in sweeps["new"] if each.state == runs.FAILED]
    [limit] = penalty.limits(grouping.gather(sweeps))  # of one sweep none has finished
    assert (limit.sweep, limit.lost) == ("old", None)


def test_no_accuracy_changes_by_more_than_a_hundred_points():
    ln = runs_of({}, {0: 99.1, 1e-5: 99.1, 1e-4: 99.0}) + spread(Config(l1=1e-3), 98.4, 10.0, 98.9)
    assert "(-100.00 to +100.00) is open." in penalty.sentence(study(*ln))


def test_each_sweep_is_compared_with_its_own_runs_without_l1():
    old = runs_of({}, {0: 99.3, 1e-5: 99.3, 1e-4: 99.3})
    new = runs_of({}, {0: 90.2, 1e-5: 90.2, 1e-4: 90.2})
    limits = penalty.limits(both := grouping.gather({"old": old, "new": new}))
    assert [(limit.sweep, limit.harmless[0], limit.next) for limit in limits] == [
        ("old", 1e-4, None), ("new", 1e-4, None),
    ]  # fmt: skip
    assert "old, BN: 0.0001 (sum)" in penalty.sentence(both)
    assert "; new, BN: 0.0001 (sum)" in penalty.sentence(both)


def test_a_lambda_that_changes_no_seed_is_harmless():
    flat = spread(Config(), 99.3, 99.1, 99.2) + spread(Config(l1=1e-9), 99.3, 99.1, 99.2)
    [limit] = penalty.limits(study(*flat, *spread(Config(l1=1e-5), 99.2, 99.15, 99.3)))
    assert limit.harmless[0] == 1e-5 and limit.next is None


def test_nothing_is_said_without_a_run_without_l1_or_of_one_seed():
    assert penalty.sentence(study(*runs_of({}, {1e-5: 99.3, 1e-4: 98.0, 1e-3: 97.0}))) is None
    once = [spread(Config(l1=l1), 99.0)[0] for l1 in (0, 1e-5, 1e-4)]
    assert penalty.sentence(study(*once)) is None
    assert penalty.sentence(study(*runs_of({}, {0: 99.3, 1e-5: 99.3}))) is None
