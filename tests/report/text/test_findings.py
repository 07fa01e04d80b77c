"""The findings, where the truth is known."""

import re

import pytest
from scipy import stats as scipy_stats

from study import runs
from study.config import Config
from study.report import effects, grouping
from study.report.study import Study
from study.report.text import findings, pairs
from study.report.text.findings import Finding
from study.runs import Run
from tests.report.conftest import run, spread, validated
from tests.report.figures.conftest import kept
from tests.report.test_effects import grid

BN, LN, GN = Config(), Config(norm="layer"), Config(norm="group", groups=5)


def study(*all_runs: Run) -> Study:
    return grouping.gather({"mine": all_runs})


def sentences(*all_runs: Run, target=None) -> list[str]:
    made = study(*all_runs)
    found = findings.summarize(made, pairs.compare(made), target)
    assert all(finding.source.endswith(".csv") for finding in found)
    texts = [finding.text for finding in found]
    assert not re.search(r"\bnan\b|\binf\b", " ".join(texts).lower())
    return texts


def test_a_clear_win_is_called_one_with_its_figures():
    texts = sentences(
        *spread(GN, 99.41, 99.42, 99.43, 99.42, 99.44),
        *spread(LN, 99.21, 99.23, 99.22, 99.21, 99.24),
    )
    assert texts[0] == (
        "GN has the highest mean test accuracy at the last epoch: its test accuracy is"
        " 99.42 ± 0.01 % over 5 seeds, with 7,684 parameters."
    )
    assert "LN is next with 99.22 ± 0.02 %" in texts[1]
    assert "over 5 common seeds the difference is +0.20 points, its 95 % interval" in texts[1]
    assert texts[1].endswith(" +0.19 to +0.21: significant (p < 0.001).")


def test_what_is_not_significant_has_its_interval_and_what_that_excludes():
    texts = sentences(*spread(BN, 99.4, 99.3, 99.45), *spread(LN, 99.3, 99.42, 99.38))
    low, high = scipy_stats.t.interval(0.95, 2, 0.05 / 3, scipy_stats.sem([0.1, -0.12, 0.07]))
    p = scipy_stats.ttest_1samp([0.1, -0.12, 0.07], 0).pvalue
    assert texts[1].endswith(
        f"+0.02 points, its 95 % interval {low:+.2f} to {high:+.2f}: not significant (p = {p:.2g})."
        f" What the interval excludes is a difference of more than {high:.2f} points either way."
    )
    level = sentences(*spread(BN, 99.4, 99.3, 99.41), *spread(LN, 99.3, 99.41, 99.4))
    assert "(level with LN)" in level[0]


def test_what_the_interval_excludes_is_what_lies_beyond_its_further_end():
    bn = validated(BN, [99.6] * 3, (99.3, 99.42, 99.38))
    ln = validated(LN, [99.5] * 3, (99.4, 99.3, 99.45))
    text = sentences(*bn, *ln)[1]
    low, high = map(float, re.search(r"interval (-\d\.\d\d) to \+(\d\.\d\d):", text).groups())
    assert -low > high and f"a difference of more than {-low:.2f} points either way" in text


def test_an_interval_that_excludes_no_accuracy_is_not_said_to_exclude_any():
    text = sentences(*spread(BN, 99.4, 11.35, 99.42), *spread(LN, 11.35, 9.8, 9.8))[1]
    assert re.search(r"to \+1\d\d\.\d\d: not significant \(p = 0\.18\)\.$", text)


def test_a_large_difference_with_a_wide_interval_does_not_read_as_equality():
    texts = sentences(
        *spread(BN, 99.24, 99.22, 99.32), *spread(LN, 99.09, 99.26, 99.38),
        *spread(GN, 97.62, 98.74, 97.99),
    )  # fmt: skip
    assert "its 95 % interval, for all pairs together, " in texts[1]
    assert re.search(
        r"Too spread over seeds to tell from BN: GN is 1\.14 points behind"
        r" \(-\d\.\d+ to \d\.\d+, p = 0\.",
        texts[2],
    )


def test_no_sentence_says_surely():
    words = " ".join(sentences(*spread(BN, 99.4, 99.3), *spread(LN, 90.3, 90.2), target=99))
    assert not re.search(r"surely|best by far|moves least|quickest", words)


def test_one_seed_has_no_difference_and_says_so():
    texts = sentences(run(BN, 99.4, 1), run(LN, 99.1, 1))
    assert "99.40 % over 1 seed," in texts[0] and "±" not in " ".join(texts)
    assert texts[1] == (
        "LN is next with 99.10 %; with one common seed their difference cannot be tested."
    )
    assert "no common seed" in sentences(run(BN, 99.4, 1), run(LN, 99.1, 2))[1]


def test_what_the_card_says_is_not_said_beside_it():
    made = study(*spread(BN, 99.4, 99.3), *spread(LN, 98.1, 98.2), run(GN, 99.1, 1))
    in_card = {each.text: each.in_card for each in findings.summarize(made, pairs.compare(made))}
    [rest] = [text for text in in_card if "LN is 1.20 points behind" in text]
    assert in_card[rest] and in_card["All 3 variants have 7,684 parameters."]


def test_differences_all_alike_are_not_called_certain():
    texts = sentences(*spread(BN, 99.5, 99.25), *spread(LN, 99.25, 99.0))
    assert "+0.25 points at each of 2 seeds, too few and too alike" in texts[1]


def test_the_rest_is_told_by_its_distance_from_the_best():
    texts = sentences(
        *spread(BN, 99.40, 99.42, 99.44, 99.41), *spread(LN, 99.36, 99.39, 99.41, 99.36),
        *spread(GN, 97.40, 97.41, 97.44, 97.43),
        *spread(Config(norm="none"), 96.40, 96.41, 96.44, 96.43),
    )  # fmt: skip
    assert texts[2].startswith("Significantly different from BN: GN is 2.00 points behind (1.")
    assert "; no norm is 3.00 points behind (2." in texts[2]


def test_what_settings_do_follows_what_is_missing_and_who_is_best():
    made = study(*grid())
    first = Finding("2 of 6 planned runs have ended.", "results.csv")
    found = findings.summarize(made, pairs.compare(made), None, [first], effects.analyse(made))
    sources = [finding.source for finding in found[:4]]
    assert found[0] is first and sources.index(findings.EFFECTS) == 3


def test_the_choice_of_test_images_is_told_for_the_best_and_the_next(tmp_path):
    wrong = {BN: [1, 2], LN: [2, 3, 4], GN: [5, 6, 7, 8]}
    made = study(*(kept(tmp_path, c, seed, index) for seed in (1, 2) for c, index in wrong.items()))
    found = findings.summarize(made, pairs.compare(made))
    [text] = [each.text for each in found if "on the same" in each.text]
    assert "the difference of BN and LN" in text


def test_other_epochs_networks_and_data_sets_are_not_ranked():
    short = Config(norm="group", epochs=12)
    made = study(*spread(BN, 78.0, 77.6), *spread(LN, 73.2, 72.1), *spread(short, 99.9, 99.8))
    assert len(pairs.compare(made)) == 1
    texts = [finding.text for finding in findings.summarize(made, pairs.compare(made))]
    assert texts[0].startswith("Of the 2 variants with epochs 20, BN, epochs 20 has the highest")
    assert texts[2] == (
        "Variants that differ in epochs are not ranked by one another: GN, epochs 12"
        " (99.85 ± 0.64 %)."
    )


def test_of_a_kind_that_no_sentence_ranks_the_first_is_named_with_what_it_is_first_by():
    kinds = [
        run(Config(norm=norm, epochs=epochs), last, 1)
        for epochs, *lasts in ((20, 99.0, 98.0), (12, 99.0, 98.0), (10, 98.45, 98.45))
        for norm, last in zip(("batch", "layer"), lasts)
    ]
    words = (
        "not ranked by one another: BN, epochs 10 (98.45 %, the highest mean test accuracy of 2,"
        " level with LN, epochs 10)."
    )
    assert words in " ".join(sentences(*kinds))


def test_one_variant_has_best_epochs_but_no_rank():
    words = "on the test images, which flatters"
    [alone] = [text for text in sentences(*spread(BN, 99.4, 99.3)) if words in text]
    assert alone.startswith("Best epochs are chosen on the test images, which flatters them; with")
    unlike = [run(BN, 99.4, 1), run(Config(epochs=12), 99.3, 1)]
    assert alone in sentences(*unlike)
    [several] = [text for text in sentences(run(BN, 99.4, 1), run(LN, 99.3, 1)) if words in text]
    assert several.startswith("The variants are ranked, and best epochs chosen, on the test images")


def test_a_run_that_failed_to_learn_is_counted_and_the_middle_half_given():
    learned = [99.40, 99.42, 99.38, 99.41, 99.39, 99.43, 99.37, 99.40, 99.41]
    texts = sentences(*spread(BN, *learned, 99.40), *spread(GN, *learned, 10.0))
    [text] = [text for text in texts if "failed to learn" in text]
    assert "are in the means: GN: 1 of 10 (interquartile mean 99.40 %, 95 % bootstrap" in text
    few = " ".join(sentences(*spread(BN, 99.4, 99.3), *spread(GN, 99.4, 11.35)))
    assert "GN: 1 of 2." in few and "interquartile" not in few
    assert "failed to learn" not in " ".join(sentences(*spread(BN, 99.4), *spread(GN, 60.0)))


def test_what_seeds_of_augmented_runs_share_is_said():
    augmented = Config(dataset="mnist", augment="rotate7")
    assert any("same augmented copies" in text for text in sentences(*spread(augmented, 99.4)))
    assert not any("augmented copies" in text for text in sentences(*spread(BN, 99.4)))


def test_there_are_at_most_twelve_findings():
    settings = [
        Config(dataset="mnist", augment="rotate7", network=network, norm=norm, l1=l1, epochs=epochs)
        for network in ("mnist_7684", "mnist_9802")
        for epochs in (10, 20)
        for norm, l1 in (("batch", 1e-4), ("layer", 0.0), ("group", 1e-5))
    ]
    all_runs = [run for config in settings for run in spread(config, 99.4, 99.3, 11.35)]
    all_runs += [run(LN, 50.0, 1, runs.FAILED, cause="x"), run(settings[0], 99.0, 4)]
    texts = sentences(*all_runs, target=99)
    assert len(texts) == findings.MOST_FINDINGS == 12
    assert "has the highest" in texts[0]


def test_a_variant_without_a_finished_run_is_named():
    texts = sentences(
        *spread(BN, 99.4, 99.3), run(LN, 50.0, 1, runs.FAILED, cause="x"),
        run(GN, 70.0, 1, runs.STOPPED), run(BN, 20.0, 3, runs.STOPPED),
    )  # fmt: skip
    assert "99.35 ± 0.64 % over 2 seeds" in texts[0]
    assert (
        "In no mean: runs that are not finished (1 failed, 2 stopped). Means of the runs left"
        " may flatter those that lost some: BN 1 of 3."
    ) in texts
    assert "Without a finished run: LN, GN." in texts
    running = sentences(*spread(BN, 99.4, 99.3), run(BN, 20.0, 3, runs.RUNNING))
    assert "In no mean: runs that are not finished (1 running)." in running  # it is not lost


def test_missing_seeds_are_named_and_differences_are_over_common_ones():
    texts = sentences(*spread(BN, 99.4, 99.45, 99.43), *spread(LN, 99.2, 99.22))
    assert "over 2 common seeds the difference is" in texts[1]
    assert (
        "Not all have 3 finished seeds: LN 2. Means, and so the ranking, are over each one's own,"
        " differences over common ones."
    ) in texts


def test_the_highest_mean_over_seeds_of_its_own_says_who_is_ahead_over_common_ones():
    bn, ln = spread(BN, 99.1, 99.13, 98.7), spread(LN, 99.0, 99.03)
    assert sentences(*bn, *ln)[0].startswith(
        "LN has the highest mean test accuracy at the last epoch (over seeds that are not the same"
        " for all: over 2 common seeds it is behind BN): its test accuracy is 99.02"
    )
    level = [run(GN, 99.0, 3), run(GN, 99.03, 4)]
    first = sentences(*bn, *level, *ln)[0]
    assert "(level with GN; over seeds that are not the same for all: over 2 common" in first
    assert "(over seeds that are not the same for all): its" in sentences(*bn, *level)[0]


def test_nan_is_no_figure():
    broken = [run(LN, 99.9, seed, test_accuracy_last=float("nan")) for seed in (1, 2)]
    texts = sentences(*spread(BN, 99.4, 99.45), *broken)
    assert texts[0].startswith("BN has the highest")
    one = run(BN, 0.0, 3, test_accuracy_last=float("nan"))
    assert "over 2 seeds" in sentences(*spread(BN, 99.4, 99.45), one)[0]


def test_sizes_are_named():
    big = Config(norm="group", groups=4, norm_affine="none")
    texts = " ".join(sentences(*spread(BN, 99.4, 99.45), *spread(big, 99.5, 99.55)))
    assert "The variants have 7,490 (GN, no affine) to 7,684 parameters (BN" in texts
    same = " ".join(sentences(*spread(BN, 99.4), *spread(LN, 99.5)))
    assert "Both variants have 7,684 parameters." in same


def test_a_lambda_is_named_in_the_other_reduction_too():
    ruinous, harmless = Config(l1=1e-3), Config(l1=1e-3, l1_reduction="mean")
    better = Config(norm="group", l1=1e-4)
    texts = sentences(*spread(ruinous, 98.0), *spread(harmless, 99.3), *spread(better, 99.2))
    assert [text for text in texts if text.startswith("L1 ")] == [
        "L1 0.001 (mean) pulls as much in all at the weights of mnist_7684 as 2.9e-6 (sum) would;"
        " L1 0.0001 (sum) pulls as much in all at the weights of mnist_7684 as 0.035 (mean) would."
    ]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (99.35, "The mean test accuracy reaches 99.35 % and holds it to the end in 1 of 2 variants:"
                " BN from epoch 9."),
        (99.9, "No variant's mean test accuracy reaches 99.9 % and holds it to the end."),
    ],
)  # fmt: skip
def test_a_target_is_reached_and_held_or_not(target, words):
    assert any(
        words in text for text in sentences(*spread(BN, 99.4), *spread(LN, 99.0), target=target)
    )


def test_choice_on_validation_reports_the_test_figure():
    holdout = {"holdout": 100}
    bn = run(Config(**holdout), 99.1, 1, val_accuracy_last=99.6)
    ln = run(Config(norm="layer", **holdout), 99.3, 1, val_accuracy_last=99.2)
    texts = sentences(bn, ln)
    assert texts[0].startswith("BN has the highest mean validation accuracy")
    assert "test accuracy is 99.10 %" in texts[0]
    assert texts[1].startswith("LN is next with 99.20 %, test accuracy 99.30 %; with one")
    assert not any("no validation images" in text for text in texts)


def test_what_is_ahead_on_the_test_images_alone_is_not_called_behind():
    def seeds(config, validation, *lasts):
        return [run(config, last, s, val_accuracy_last=validation) for s, last in enumerate(lasts)]

    holdout = {"holdout": 100}
    bn = seeds(Config(**holdout), 99.6, 99.0, 99.01, 99.02)
    ln = seeds(Config(norm="layer", **holdout), 99.5, 99.5, 99.52, 99.51)
    gn = seeds(Config(norm="group", **holdout), 99.4, 98.02, 98.0, 98.01)
    texts = sentences(*bn, *ln, *gn)
    assert (
        texts[1].startswith("LN is next")
        and "difference is -0.50 points of test accuracy" in texts[1]
    )
    assert texts[2].startswith("Significantly different from BN: GN is 1.00 points behind (0.9")
