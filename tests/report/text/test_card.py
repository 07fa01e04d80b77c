"""The cards on top: a winner, a tie, or too few seeds to compare."""

import dataclasses

import pytest

from study import planned, runs
from study.config import Config
from study.report import grouping
from study.report.text import card, pairs
from tests.report.conftest import run, spread, validated
from tests.report.figures.conftest import study

BN, LN, GN = (Config(norm=norm) for norm in ("batch", "layer", "group"))


def cards(*all_runs):
    made = study(*all_runs)
    return card.cards(made, pairs.compare(made))


def test_a_winner_has_its_score_cost_and_lead():
    [won] = cards(*spread(BN, 99.4, 99.42, 99.41), *spread(LN, 97.3, 97.28, 97.31))
    assert (won.outcome, won.heading) == (card.WON, "Best of 2 variants")
    assert [(line.number, line.label, line.score) for line in won.lines] == [
        (1, "BN", "99.41 ± 0.02 %")
    ]
    assert won.verdict.startswith("Significantly different from all others: 2.11 points")
    assert "(95 % interval 2." in won.verdict
    assert won.measured == (
        "Mean test accuracy at the last epoch over 3 seeds, ± half its 95 % interval."
        " 7,684 parameters, 5 min to train a run of any variant."
    )
    worse = spread(GN, 96.3, 96.28, 96.31)
    [of_three] = cards(*spread(BN, 99.4, 99.42, 99.41), *spread(LN, 97.3, 97.28, 97.31), *worse)
    assert "(95 % interval for all pairs together 2." in of_three.verdict


def test_a_variant_that_lost_runs_has_not_won():
    """Its mean is of those that went well, and nobody knows what the others would have been."""
    best, others = spread(BN, 99.4, 99.42, 99.41), spread(LN, 97.3, 97.28, 97.31, 97.29, 97.3)
    failed = [run(BN, 10.0, seed, runs.FAILED) for seed in (4, 5)]
    [lost] = cards(*best, *failed, *others)
    assert lost.outcome == card.OPEN and not lost.heading.startswith("Best")
    assert lost.verdict.endswith(
        "p < 0.001). 2 of 5 runs of BN failed or were stopped, and are in no mean: the others may"
        " flatter it."
    )
    also = [run(LN, 10.0, seed, runs.FAILED) for seed in (6, 7, 8, 9)]
    [each] = cards(*best, *failed, *others, *also)  # of LN more: it is not flattered beside it
    assert each.outcome == card.WON and "failed" not in each.verdict


def test_differences_that_are_all_alike_are_not_said_to_be_few():
    [alike] = cards(*spread(BN, 99.4, 99.5, 99.6), *spread(LN, 99.3, 99.4, 99.5))
    assert alike.verdict == (
        "Too few common seeds, or too alike, to test a difference: train more seeds."
    )


def test_the_seeds_are_counted_that_have_a_figure():
    nan = run(BN, 0.0, 3, test_accuracy_last=float("nan"))
    [won] = cards(*spread(BN, 99.4, 99.42), nan, *spread(LN, 97.3, 97.28))
    assert " over 2 seeds, " in won.measured
    [tie] = cards(*spread(BN, 99.4, 99.1, 99.3), *spread(GN, 99.2, 99.3))
    assert len(tie.lines) == 2 and " over 2 to 3 seeds, " in tie.measured


def test_the_lines_of_a_tie_say_who_is_smaller():
    small = Config(norm="group", groups=4, norm_affine="none")
    [tie] = cards(*spread(BN, 99.4, 99.1, 99.3), *spread(small, 99.2, 99.3, 99.2))
    assert [line.facts for line in tie.lines] == ["7,684 parameters", "7,490 parameters"]


def test_the_time_of_a_run_is_that_of_all_variants():
    slow = [run(LN, last, seed, seconds=1500.0) for seed, last in enumerate((97.3, 97.2), 1)]
    [won] = cards(*spread(BN, 99.4, 99.42), *slow)
    assert [line.label for line in won.lines] == ["BN"]
    assert won.measured.endswith(" 7,684 parameters, 5 to 25 min to train a run of any variant.")
    quick = [run(GN, last, seed, seconds=14.0) for seed, last in enumerate((97.3, 97.2), 1)]
    [won] = cards(*spread(BN, 99.4, 99.42), *quick)
    assert won.measured.endswith(" 7,684 parameters, 14 s to 5 min to train a run of any variant.")


def test_the_first_card_says_what_l1_is_in_the_labels():
    l1 = Config(l1=1e-5)
    mean = Config(l1=1e-3, l1_reduction="mean")
    [both] = cards(*spread(BN, 99.4, 99.3), *spread(l1, 99.1, 99.2), *spread(mean, 98.0, 98.1))
    assert both.measured.endswith(
        " L1 adds to the loss lambda times |w| summed over all parameters (sum) or each tensor's"
        " mean |w|, summed (mean)."
    )
    [one] = cards(*spread(BN, 99.4, 99.3), *spread(l1, 99.1, 99.2))
    assert one.measured.endswith("times |w| summed over all parameters (sum).")
    [none] = cards(*spread(l1, 99.4, 99.3))  # whose label does not name it
    assert "L1" not in none.measured


def test_a_variant_whose_seeds_spread_too_much_is_no_tie():
    apart = spread(LN, 98.0, 60.0, 97.0)
    [first] = cards(*spread(BN, 99.4, 99.43, 99.41), *spread(GN, 98.9, 98.91, 98.92), *apart)
    assert (first.outcome, first.heading) == (card.OPEN, "First of 3 variants")
    assert first.verdict.startswith("It is 0.50 points of test accuracy ahead of GN")
    assert first.verdict.endswith(" The seeds spread too much to tell it from LN.")
    assert [line.label for line in first.lines] == ["BN"]


def test_variants_that_seeds_do_not_tell_apart_are_a_tie():
    near = [*spread(BN, 99.4, 99.1, 99.3), *spread(GN, 99.2, 99.3, 99.2)]
    [tie] = cards(*near, *spread(LN, 90.0, 90.1, 90.2))
    heading = "Not significantly different from the first: 1 of 2 others"
    assert (tie.outcome, tie.heading) == (card.TIE, heading)
    assert [line.label for line in tie.lines] == ["BN", "GN"]
    many = [spread(Config(lr=lr / 100), 99.4, 99.1 + lr / 100) for lr in range(1, 31)]
    [tie] = cards(*(each for group in many for each in group))
    assert tie.heading == "Not significantly different from the first: 29 of 29 others"
    assert len(tie.lines) == card.MOST_TIED
    assert "27 more do not differ significantly from BN, lr 0.3 over 2 common" in tie.verdict
    [tie] = cards(*(each for group in many[-4:] for each in group))
    assert "1 more does not differ significantly from BN, lr 0.3 over 2" in tie.verdict


def test_a_tie_names_whom_the_first_is_ahead_of_who_may_not_be_the_second():
    # GN is ahead of LN by chosen images, and behind it by the test images.
    chosen = Config(holdout=1000)
    made = [
        dataclasses.replace(one, summary=one.summary | {"val_accuracy_last": validation})
        for norm, lasts, validation in (
            ("batch", (99.40, 99.41, 99.42), 99.3), ("layer", (99.10, 99.11, 99.13), 99.2),
            ("group", (99.39, 99.42, 99.40), 99.1),
        )
        for one in spread(dataclasses.replace(chosen, norm=norm), *lasts)
    ]  # fmt: skip
    [tie] = cards(*made)
    assert [(line.number, line.label) for line in tie.lines] == [(1, "BN"), (3, "GN")]
    assert tie.verdict.startswith(
        "BN is 0.01 points of test accuracy ahead of GN over 3 common seeds (95 %"
    )


def test_the_first_is_compared_with_all_others_however_many():
    """The last may vary so much that nothing tells it from the first."""
    close = [
        spread(Config(lr=lr / 100), 99.4 - lr, 99.4 + 0.01 * (lr % 3) - lr) for lr in range(1, 22)
    ]
    wild = spread(LN, 98.9, 20.0)
    [first] = cards(*wild, *(each for group in close for each in group))
    assert first.heading == "First of 22 variants"
    assert first.verdict.endswith(" The seeds spread too much to tell it from LN, lr 0.05.")
    [won] = cards(*(each for group in close for each in group))
    assert won.heading == "Best of 21 variants"
    assert won.verdict.startswith("Significantly different from all others: 1.00 points")


def test_too_few_seeds_tell_nothing():
    [one] = cards(*spread(BN, 99.4), *spread(LN, 90.0))
    assert one.outcome == card.OPEN and "Too few common seeds" in one.verdict
    [some] = cards(*spread(BN, 99.4, 99.41), *spread(LN, 90.0, 90.1), *spread(GN, 99.0))
    assert some.outcome == card.OPEN and "ahead of LN" in some.verdict
    assert "Too few common seeds with GN." in some.verdict
    [tie] = cards(*spread(BN, 99.4, 99.1), *spread(LN, 99.2, 99.3), *spread(GN, 99.0))
    assert tie.outcome == card.TIE and tie.verdict.endswith("Too few common seeds with GN.")
    [alone] = cards(*spread(BN, 99.4))
    assert (alone.heading, alone.outcome) == ("The only variant", card.OPEN)


def test_variants_that_no_seed_tells_apart_are_not_called_too_few():
    """An L1 below what a weight's last bit holds changes nothing."""
    tiny, same = Config(l1=1e-30), (99.4, 99.41, 99.42)
    [two] = cards(*spread(BN, *same), *spread(tiny, *same))
    assert two.outcome == card.OPEN
    assert two.verdict == "Identical to BN + L1 1e-30 (sum) over 3 common seeds."
    [more] = cards(*spread(BN, *same), *spread(tiny, *same), *spread(LN, 90.0))
    assert "Too few common seeds with LN. Identical to BN + L1 1e-30" in more.verdict


def test_the_best_by_validation_may_be_behind_on_the_test_images():
    made = []
    for config, last, chosen in ((BN, 97.0, 99.0), (LN, 99.0, 98.0)):
        for seed in (1, 2, 3):
            value = last + seed * (100 - last) / 100
            made.append(
                run(Config(norm=config.norm, holdout=100), value, seed, val_accuracy_last=chosen)
            )
    [behind] = cards(*made)
    assert (
        behind.lines[0].label.startswith("BN") and "it is significantly behind LN" in behind.verdict
    )
    assert behind.lines[0].facts.startswith("test accuracy 97.06")


def test_the_best_by_validation_over_seeds_of_its_own_has_not_won():
    """Whatever the test images say: they do not rank."""
    ahead = validated(BN, (99.0, 99.2, 99.9), (99.4, 99.42, 99.41))
    [first] = cards(*ahead, *validated(LN, (99.1, 99.3), (97.3, 97.28)))
    behind = " In validation accuracy over 2 common seeds it is behind LN, which may be chance."
    assert first.outcome == card.OPEN and first.verdict.endswith(behind)
    near = validated(BN, (99.0, 99.2, 99.9), (99.4, 99.2, 99.41))
    [tie] = cards(*near, *validated(LN, (99.1, 99.3), (99.3, 99.4)))
    assert tie.outcome == card.TIE and behind in tie.verdict


UNLIKE = "Over seeds that are not the same for all, the highest mean of {} variants"


def test_the_highest_mean_without_its_worst_seed_is_not_called_the_first():
    """The other two are better at each seed that it has."""
    lacks = spread(LN, 99.0, 99.03)
    [behind] = cards(*lacks, *spread(BN, 99.1, 99.13, 98.7), *spread(GN, 99.11, 99.12, 98.69))
    assert (behind.heading, behind.outcome) == (UNLIKE.format(3), card.OPEN)
    assert [line.label for line in behind.lines] == ["LN"]
    assert behind.verdict == (
        "In test accuracy over 2 common seeds it is significantly behind BN, GN."
    )
    [chance] = cards(*lacks, *spread(BN, 99.1, 99.05, 98.0))
    assert chance.outcome == card.TIE and chance.heading == (
        "Not significantly different from the highest mean, over seeds that are not the same for"
        " all: 1 of 1 others"
    )
    words = "LN is 0.06 points of test accuracy behind BN over 2 common seeds (95 % interval"
    assert chance.verdict.startswith(words) and "it is behind" not in chance.verdict
    [one] = cards(run(LN, 99.0, 1), *spread(BN, 99.1, 98.0))
    assert (one.heading, one.outcome) == (UNLIKE.format(2), card.OPEN)
    assert one.verdict.endswith(
        "more seeds. In test accuracy over 1 common seed it is behind BN, which may be chance."
    )


def test_the_highest_mean_may_lead_though_another_lacks_seeds():
    [won] = cards(*spread(BN, 99.4, 99.42, 99.41), *spread(LN, 97.3, 97.28))
    assert (won.heading, won.outcome) == (UNLIKE.format(2), card.WON)
    assert "2.12 points of test accuracy ahead of LN over 2 common seeds" in won.verdict
    [apart] = cards(*spread(BN, 99.4, 99.42), run(LN, 97.3, 3), run(LN, 97.2, 4))
    assert apart.heading == UNLIKE.format(2) and "behind" not in apart.verdict
    [some] = cards(*spread(BN, 99.4, 99.41), *spread(LN, 90.0, 90.1), run(GN, 99.405, 1))
    assert some.outcome == card.OPEN and some.verdict.endswith(
        ". In test accuracy over 1 common seed it is behind GN, which may be chance. Too few common"
        " seeds with GN."
    )


def test_other_epochs_have_a_card_of_their_own_and_what_was_tried_names_them():
    made = [*spread(BN, 99.4), *spread(LN, 99.0)]
    longer = [*spread(Config(epochs=12), 99.4), *spread(Config(norm="layer", epochs=12), 99.0)]
    both = cards(*made, *longer)
    assert [each.kind for each in both] == ["epochs 12", "epochs 20"]
    words = card.tried(study(*made, *longer))
    assert words.startswith("4 variants, 4 runs of network mnist_7684 on digits, 12 epochs; ")
    assert words.endswith("Varied: norm, epochs.")


def test_settings_that_never_vary_alone_are_named():
    l1 = {"l1": 1e-4, "l1_reduction": "mean"}
    made = [*spread(Config(norm="batch", **l1), 99.1, 99.2), *spread(LN, 99.0, 99.1)]
    words = card.tried(study(*made, *spread(GN, 98.0, 98.1)))
    assert "6 runs (2 seeds each) of network" in words
    assert words.endswith("Varied: norm, L1 lambda. No two variants differ in L1 lambda alone.")
    words = card.tried(study(*made))
    assert words.endswith("No two variants differ in norm or in L1 lambda alone.")
    words = card.tried(study(*made, *spread(BN, 98.0, 98.1)))
    assert words.endswith("Varied: norm, L1 lambda.")
    grid = [
        spread(Config(norm=norm, lr=lr, l1=l1), 99.0)
        for norm in ("batch", "layer")
        for lr in (0.01, 0.02, 0.03, 0.04, 0.05)
        for l1 in (0.0, 1e-5, 1e-4, 1e-3)
    ]
    words = card.tried(study(*(each for group in grid for each in group)))
    assert words.endswith("Varied: norm, L1 lambda, learning rate.")


def test_of_searches_and_of_several_sweeps_it_is_not_said_what_never_varies_alone():
    bn, ln = spread(BN, 99.0), spread(Config(norm="layer", l1=1e-4), 99.1)
    search = planned.Plan("mine", "random", None, "", run_cap=4)
    for made in (
        grouping.gather({"mine": [*bn, *ln]}, {"mine": search}),
        grouping.gather({"old": bn, "new": ln}),
    ):
        assert card.tried(made).endswith("Varied: norm, L1 lambda.")


def test_seeds_each_is_said_where_all_have_as_many():
    assert "seeds each" not in card.tried(study(*spread(BN, 99.4, 99.3), *spread(LN, 98.0)))


def test_a_data_set_without_a_finished_run_is_named():
    failed = run(Config(dataset="mnist"), 10.0, 1, runs.FAILED)
    words = card.tried(study(*spread(BN, 99.4), failed))
    assert words.endswith(" Without a finished run: mnist.")


def test_what_varied_is_that_of_all_runs_as_long_as_few_have_finished():
    grid = [
        run(Config(norm=norm, dropout=dropout), 99.0, 1, state)
        for norm, dropout, state in (
            ("batch", 0.0, runs.FINISHED), ("layer", 0.1, runs.FINISHED),
            ("batch", 0.1, runs.RUNNING), ("layer", 0.0, runs.FAILED),
        )
    ]  # fmt: skip
    assert card.tried(study(*grid)).endswith("Varied: norm, dropout.")
    assert card.tried(study(*grid[:2])).endswith("differ in norm or in dropout alone.")


@pytest.mark.parametrize(
    ("epochs", "words"),
    [((12, 14, 16), "; and 1 more kind."), ((12, 14, 16, 18), "; and 2 more kinds.")],
)
def test_kinds_that_are_not_named_are_counted(epochs, words):
    tried = card.tried(study(*(run(Config(epochs=each), 99.4, 1) for each in epochs)))
    assert f"on digits, 12 epochs; mnist_7684 on digits, 14 epochs{words} Varied: " in tried
