"""The findings, where the truth is known."""

import re

import numpy as np
import pytest

from study import runs
from study.config import Config
from study.report import variants
from study.report.text import findings
from study.runs import Run
from tests.report.conftest import run, spread

BN, LN, GN = Config(), Config(norm="layer"), Config(norm="group", groups=5)


def study(*all_runs: Run) -> variants.Study:
    return variants.gather({"mine": all_runs})


def sentences(*all_runs: Run, target=None) -> list[str]:
    made = study(*all_runs)
    found = findings.summarize(made, findings.pairs(made), target)
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
    assert "paired over 5 seeds, is +0.20 points (95 % interval +0.19 to +0.21)" in texts[1]
    assert "more than chance (p = below 0.001)" in texts[1]


def test_a_tie_says_how_many_seeds_would_tell():
    texts = sentences(*spread(BN, 99.4, 99.3, 99.45), *spread(LN, 99.3, 99.42, 99.38))
    assert "no difference can be told at this number of seeds" in texts[1]
    needed = int(re.search(r"about ([\d,]+) would be needed", texts[1])[1].replace(",", ""))
    assert 100 < needed <= 1000
    level = sentences(*spread(BN, 99.4, 99.3, 99.41), *spread(LN, 99.3, 99.41, 99.4))
    assert "(level with LN)" in level[0] and "more than 1,000 would be needed" in level[1]


def test_one_seed_has_no_difference_and_says_so():
    texts = sentences(run(BN, 99.4, 1), run(LN, 99.1, 1))
    assert "99.40 % over 1 seed," in texts[0] and "±" not in " ".join(texts)
    assert texts[1] == (
        "LN is next with 99.10 %; at one common seed no difference between them can be told."
    )
    assert "no common seed" in sentences(run(BN, 99.4, 1), run(LN, 99.1, 2))[1]


def test_differences_all_alike_are_not_called_certain():
    texts = sentences(*spread(BN, 99.5, 99.25), *spread(LN, 99.25, 99.0))
    assert "+0.25 points at each of 2 seeds, too few and too alike" in texts[1]


def test_all_pairs_are_corrected_for():
    made = study(
        *spread(BN, 99.40, 99.42, 99.44, 99.41), *spread(LN, 99.36, 99.39, 99.41, 99.36),
        *spread(GN, 97.40, 97.41, 97.44, 97.43),
    )  # fmt: skip
    compared = findings.pairs(made)
    assert [(pair.one.label, pair.two.label) for pair in compared] == [
        ("BN", "LN"), ("BN", "GN"), ("LN", "GN"),
    ]  # fmt: skip
    assert all(pair.p_holm >= pair.difference.p for pair in compared)
    assert compared[1].significant
    texts = findings.summarize(made, compared)
    assert "Surely behind the best (by so many points): LN (0.04), GN (2.00)." in texts[2].text


def test_a_variant_without_a_finished_run_is_named():
    texts = sentences(
        *spread(BN, 99.4, 99.3), run(LN, 50.0, 1, runs.FAILED, cause="x"),
        run(GN, 70.0, 1, runs.STOPPED), run(BN, 20.0, 3, runs.STOPPED),
    )  # fmt: skip
    assert "99.35 ± 0.64 % over 2 seeds" in texts[0]
    assert "In no mean: runs that are not finished (1 failed, 2 stopped)." in texts
    assert "Without a finished run: LN, GN." in texts


def test_missing_seeds_are_named_and_differences_are_over_common_ones():
    texts = sentences(*spread(BN, 99.4, 99.45, 99.43), *spread(LN, 99.2, 99.22))
    assert "paired over 2 seeds" in texts[1]
    assert "Not all have 3 finished seeds: LN 2. Differences are over common ones." in texts


def test_nan_is_no_figure():
    broken = [run(LN, 99.9, seed, test_accuracy_last=float("nan")) for seed in (1, 2)]
    texts = sentences(*spread(BN, 99.4, 99.45), *broken)
    assert texts[0].startswith("BN has the highest")
    one = run(BN, 0.0, 3, test_accuracy_last=float("nan"))
    assert "over 2 seeds" in sentences(*spread(BN, 99.4, 99.45), one)[0]


def test_size_and_cost_are_named():
    big = Config(network="mnist_9802", norm="layer")
    texts = " ".join(sentences(*spread(BN, 99.4, 99.45), *spread(big, 99.5, 99.55)))
    assert "The variants have 7,684 to 9,802 parameters, the best 9,802; the smallest" in texts
    assert "A run of the best took 5 min" in texts
    same = " ".join(sentences(*spread(BN, 99.4), *spread(LN, 99.5)))
    assert "All 2 variants have 7,684 parameters" in same


def test_the_steadiest_at_the_end_is_named():
    restless = spread(LN, 99.2, 99.3)
    for one in restless:
        for row in one.history[-5:]:
            row["test/accuracy"] = 99.0 + 0.4 * (row["epoch"] % 2)
    text = next(text for text in sentences(*spread(BN, 99.4), *restless) if "last five" in text)
    steady = np.std([row["test/accuracy"] for row in spread(BN, 99.4)[0].history[-5:]], ddof=1)
    assert text == (
        "Between the last five epochs the test accuracy of BN moves least (a standard deviation of"
        f" {steady:.2f} points, the mean over seeds), that of LN most (0.22)."
    )
    short = spread(Config(), 99.0)[0]
    short.history[:] = short.history[-4:]
    assert not any("last five" in text for text in sentences(short, *spread(LN, 99.2)))


def test_a_lambda_is_named_in_the_other_reduction_too():
    ruinous, harmless = Config(l1=1e-3), Config(l1=1e-3, l1_reduction="mean")
    better = Config(norm="group", l1=1e-4)
    texts = sentences(*spread(ruinous, 98.0), *spread(harmless, 99.3), *spread(better, 99.2))
    assert [text for text in texts if text.startswith("L1 ")] == [
        "L1 0.001 (mean) pulls as much in all at the weights of mnist_7684 as 2.9e-6 (sum) would.",
        "L1 0.0001 (sum) pulls as much in all at the weights of mnist_7684 as 0.035 (mean) would.",
    ]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (99.35, "BN is the first whose mean test accuracy reaches"
                " 99.35 % and holds it, from epoch 9 on"),
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
    assert not any("no validation images" in text for text in texts)


def test_what_is_ahead_on_the_test_images_alone_is_not_called_behind():
    def seeds(config, validation, *lasts):
        return [run(config, last, s, val_accuracy_last=validation) for s, last in enumerate(lasts)]

    holdout = {"holdout": 100}
    bn = seeds(Config(**holdout), 99.6, 99.0, 99.01, 99.02)
    ln = seeds(Config(norm="layer", **holdout), 99.5, 99.5, 99.52, 99.51)
    gn = seeds(Config(norm="group", **holdout), 99.4, 98.02, 98.0, 98.01)
    texts = sentences(*bn, *ln, *gn)
    assert texts[2] == (
        "Surely behind the best (by so many points): GN (1.00); surely ahead of the best (by so"
        " many points): LN (0.50)."
    )
