"""Pairs of variants, where the truth is known."""

import numpy as np
import pytest

from study.config import Config
from study.report import grouping, stats
from study.report.text import findings, pairs
from tests.report.conftest import ranked_by_loss, spread, validated
from tests.report.figures.conftest import kept

BN, LN, GN = Config(), Config(norm="layer"), Config(norm="group", groups=5)


def test_all_pairs_of_a_kind_are_compared_together_the_better_first():
    all_runs = [
        *spread(BN, 99.40, 99.42, 99.44, 99.41), *spread(LN, 99.36, 99.39, 99.41, 99.36),
        *spread(GN, 97.40, 97.41, 97.44, 97.43),
    ]  # fmt: skip
    compared = pairs.compare(grouping.gather({"mine": all_runs}))
    assert [(pair.one.label, pair.two.label) for pair in compared] == [
        ("BN", "LN"), ("BN", "GN"), ("LN", "GN"),
    ]  # fmt: skip
    bn_ln = compared[0]
    assert bn_ln.contrast.interval.mean == pytest.approx(bn_ln.difference.interval.mean)
    row = dict(zip(pairs.HEADER, bn_ln.row(), strict=True))
    assert row["low"] == bn_ln.difference.interval.low
    assert row["family_low"] == bn_ln.contrast.interval.low
    assert row["seeds_for_0.1_least"] <= row["seeds_for_0.1"] <= row["seeds_for_0.1_most"]
    assert np.isnan(row["images_error"])  # no run kept its images


def test_a_row_has_each_figure_under_its_name():
    made = [
        *spread(BN, 99.40, 99.42, 99.41, 99.43), *spread(LN, 99.30, 99.33, 99.29, 99.34),
        *spread(GN, 99.31, 99.34, 99.30, 99.33), *spread(Config(norm="none"), 97, 98.7, 98, 90),
    ]  # fmt: skip
    errors = set()
    for pair in pairs.compare(grouping.gather({"mine": made})):
        row = dict(zip(pairs.HEADER, pair.row(), strict=True))
        assert (row["p"], row["family_p"]) == (pair.difference.p, pair.contrast.p)
        assert row["family_high"] == pair.contrast.interval.high
        seeds = stats.seeds_for(0.1, pair.difference.deviation)
        assert row["seeds_for_0.1"] == pytest.approx(seeds, nan_ok=True)
        errors.add((row["error"], pair.contrast.pooled))
    assert errors == {("pooled", True), ("own", False)}


def test_what_is_behind_has_its_interval_the_right_way_round():
    bn = validated(BN, [99.6] * 3, (99.3, 99.42, 99.38))
    ln = validated(LN, [99.5] * 3, (99.4, 99.3, 99.45))
    [pair] = pairs.compare(grouping.gather({"mine": [*bn, *ln]}))
    mean, low, high, _ = pair.contrast.interval
    assert low < mean < 0 < high
    assert pairs.lead(pair) == (False, f"{-mean:.2f}", f"{-high:.2f} to {-low:.2f}")


def test_no_interval_of_accuracies_exceeds_what_they_can_differ_by():
    ruined = spread(Config(norm="group"), 10.0, 99.0, 98.0)
    others = [*spread(BN, 99.4, 99.3, 99.35), *spread(LN, 99.2, 99.1, 99.15)]
    two = grouping.gather({"mine": [*others, *ruined]})
    [wide] = [
        pair for pair in pairs.compare(two) if (pair.one.label, pair.two.label) == ("BN", "GN")
    ]
    assert wide.contrast.interval[1:3] == (-100, 100) and wide.contrast.unclear


def test_runs_of_two_sweeps_that_are_the_same_count_once():
    bn, gn = spread(Config(), 99.4, 99.2, 99.3), spread(Config(norm="group"), 99.1, 99.2, 99.0)
    alone = pairs.compare(grouping.gather({"one": [*bn, *gn]}))
    more = spread(Config(), 99.4, 99.2, 99.3, 99.35)  # the same three, and one more
    together = grouping.gather({"one": [*bn, *gn], "copy": gn})
    assert [pair.contrast for pair in pairs.compare(together)] == [alone[0].contrast]
    [pair] = pairs.compare(grouping.gather({"one": [*bn, *gn], "longer": more}))
    assert (pair.one.sweep, pair.two.sweep) == ("longer", "one")


def test_of_many_the_first_is_compared_with_all_and_the_best_with_each_other():
    many = [spread(Config(lr=lr / 100), 99 - lr, 99.2 - lr) for lr in range(1, pairs.MOST + 4)]
    study = grouping.gather({"mine": [run for group in many for run in group]})
    compared = pairs.compare(study)
    with_first = [pair.two for pair in compared if pair.one is study.families[0][0]]
    assert with_first == study.families[0][1:]
    best = study.families[0][: pairs.MOST]
    others = [pair for pair in compared if pair.one is not best[0]]
    assert len(others) == (pairs.MOST - 1) * (pairs.MOST - 2) / 2
    assert all(pair.two in best for pair in others)


def test_who_is_ahead_over_common_seeds_though_its_mean_is_not():
    """By the metric that ranks, here the lowest validation loss."""
    study = ranked_by_loss({BN: (0.3, 0.5, 0.9), LN: (0.4, 0.6)})
    [family] = study.families
    assert family[0].label == "LN" and not pairs.have_same_seeds(study, family)
    assert pairs.overtaking(study, family) == {"BN": 2}
    alike = ranked_by_loss({BN: (0.3, 0.5), LN: (0.4, 0.6)})
    assert pairs.have_same_seeds(alike, alike.families[0])
    assert pairs.overtaking(alike, alike.families[0]) == {}
    assert pairs.over_common([1]) == "over 1 common seed"
    assert pairs.over_common([3, 2]) == "over 2 to 3 common seeds"


def test_the_images_on_which_two_disagree_give_the_error_of_their_difference(tmp_path):
    all_runs = [
        kept(tmp_path, config, seed, index)
        for config, index in ((Config(), [1, 2, 3]), (Config(norm="layer"), [2, 3, 4, 5]))
        for seed in (1, 2)
    ]
    made = grouping.gather({"mine": all_runs})
    [pair] = pairs.compare(made)
    disagree = [1, 4, 5]
    wrong = np.zeros(made.variants[0].test_images)
    wrong[disagree] = 1, -1, -1
    error = 100 * wrong.std(ddof=1) / np.sqrt(len(wrong))
    assert pair.images_error == pytest.approx(error)
    texts = [finding.text for finding in findings.summarize(made, [pair])]
    says = f"an error of {1.96 * error:.2f} points either way (95 %), beside that over seeds"
    assert any(says in text for text in texts)


def test_the_images_error_is_over_the_seeds_that_both_have(tmp_path):
    all_runs = [
        kept(tmp_path, config, seed, index)
        for config, index, seeds in ((BN, [1, 2, 3], (1, 2, 3)), (LN, [2, 3, 4, 5], (2, 3)))
        for seed in seeds
    ]
    [pair] = pairs.compare(grouping.gather({"mine": all_runs}))
    [common] = pairs.compare(grouping.gather({"mine": all_runs[1:]}))
    assert pair.images_error == common.images_error > 0


def test_images_that_flip_from_seed_to_seed_give_no_error_of_their_own(tmp_path):
    """The interval over seeds has it already; and one seed cannot tell the two apart."""
    wrong = {(0, 1): [1, 2], (0, 2): [3, 4], (1, 1): [3, 4], (1, 2): [1, 2]}
    all_runs = [kept(tmp_path, (BN, LN)[i], seed, index) for (i, seed), index in wrong.items()]
    made = grouping.gather({"mine": all_runs})
    [pair] = pairs.compare(made)
    assert pair.images_error == 0
    texts = [finding.text for finding in findings.summarize(made, [pair])]
    assert any("gives the difference of BN and LN no error that shows" in text for text in texts)
    one = grouping.gather({"mine": [each for each in all_runs if each.config.seed == 1]})
    [pair] = pairs.compare(one)
    assert np.isnan(pair.images_error)
    assert not any("on the same" in each.text for each in findings.summarize(one, [pair]))
