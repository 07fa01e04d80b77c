import re

from study.metrics import default_metric
from study.report import effects as analysis
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
