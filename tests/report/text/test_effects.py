import dataclasses
import re

import numpy as np

from study.metrics import default_metric
from study.report import effects as analysis
from study.report.effects import Effect, Effects, Factor
from study.report.text import effects
from tests.report.figures.conftest import study
from tests.report.test_effects import grid


def test_the_sentence_and_the_table_say_what_moves_the_metric():
    found, metric = analysis.analyse(study(*grid())), default_metric(False)
    sentence = effects.sentence(found, metric)
    assert sentence.startswith(
        "In the grid of norm and groups, dropout, over 3 seeds: norm and groups moves the mean"
        " test accuracy by up to 0.3"
    )
    assert re.search(
        r"points \(p < 0.001\); no significant difference for dropout \(means 0.0\d points apart,"
        r" 95 % interval by itself -0.\d\d to 0.\d\d, p = ",
        sentence,
    )
    assert sentence.endswith("each other's effect. Each p is corrected for all effects.")
    made = effects.table(found, metric)
    assert [row[0] for row in made.rows] == [
        "norm and groups", "dropout", "norm and groups and dropout together",
    ]  # fmt: skip
    assert made.rows[0][1].startswith("BN: 99.0") and made.rows[0][3] == "p < 0.001"
    assert "over 3 seeds: of norm and groups 6 runs each" in made.note
    assert effects.table(None, metric) is None


def test_runs_of_seeds_that_some_variants_lack_are_said_to_be_left_out():
    found, metric = analysis.analyse(study(*grid()[:-1])), default_metric(False)
    over = "over the 2 seeds that all variants have (5 runs of other seeds left out)"
    assert f"dropout, {over}: " in effects.sentence(found, metric)
    assert f"{over}: of norm and groups 4 runs each." in effects.table(found, metric).note


NORM = Effect((0,), np.array([99.0, 99.1, 98.9]), np.full(3, 0.25), 0.4)
DROPOUT = Effect((1,), np.array([99.0, 99.1]), np.full(2, 0.15), 0.3)
TOGETHER = Effect((0, 1), np.full((3, 2), 99.0), np.full((3, 2), 0.2), 0.5)


def made_up(*each: Effect, pooled: bool = True) -> Effects:
    factors = [Factor("norm", ("BN", "LN", "GN")), Factor("dropout", ("0", "0.1"))]
    return Effects(factors, list(each), 99.0, 3, 0, pooled)


def said(*each: Effect) -> str:
    return effects.sentence(made_up(*each), default_metric(False))


def test_what_is_not_significant_has_the_interval_of_a_difference_or_of_each_of_several():
    words = said(NORM, DROPOUT, TOGETHER)
    several = "norm (means 0.20 points apart, each ± 0.25 against the mean of all by itself, p ="
    two = "dropout (means 0.10 points apart, 95 % interval by itself -0.20 to 0.40, p = 0.3)"
    assert several in words and two in words


def test_levels_of_unlike_spread_have_the_least_and_the_largest_interval():
    unlike = dataclasses.replace(NORM, half_widths=np.array([0.1, 0.1, 1.2]))
    assert "each ± 0.10 to 1.20 against the mean of all by itself," in said(unlike, DROPOUT)


def test_settings_that_change_each_others_effect_are_named():
    words = said(NORM, DROPOUT, dataclasses.replace(TOGETHER, p=0.01))
    assert "; these change each other's effect: norm and dropout (p = 0.01). Each" in words


def test_settings_that_cannot_be_tested_are_named():
    alike = dataclasses.replace(NORM, p=np.nan, half_widths=np.full(3, np.nan))
    words = said(alike, DROPOUT, TOGETHER)
    assert "; not tested, the seeds being too alike: norm; " in words


def test_the_note_of_the_table_says_whose_error_it_is():
    of_all = "interaction of seeds with all variants"
    own = "own interaction with seeds, since spreads differ, with fewer degrees of freedom"
    for pooled, words in ((True, of_all), (False, own)):
        made = effects.table(made_up(NORM, DROPOUT, TOGETHER, pooled=pooled), default_metric(False))
        assert words in made.note
