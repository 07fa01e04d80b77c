import re

import pytest

from study.config import Config
from study.report.text import latex, pairs
from tests.report.conftest import spread
from tests.report.figures.conftest import study


def made():
    return study(
        *spread(Config(norm="batch", l1=1e-5, holdout=100), 99.1, 99.2, 99.3),
        *spread(Config(norm="group", groups=5, holdout=100), 98.0, 98.3, 98.1),
        *spread(Config(norm="layer", holdout=100), 98.5, 98.3, 98.4),
    )


def test_the_tables_hold_what_the_report_says():
    grid = made()
    tables = latex.tables(grid, pairs.compare(grid), None)
    assert tables.count(r"\begin{table}") == tables.count(r"\end{table}") == 2
    variants, compared = re.findall(r"\\midrule\n(.*?)\\bottomrule", tables, re.S)
    assert [line.split(" & ")[0] for line in variants.splitlines()] == [
        "BN + L1 1e-5 (sum)", "LN", "GN",
    ]  # fmt: skip
    assert r"7,684 & 3 & 99.20 $\pm$ 0.25 \\" in variants
    assert r"seeds & test accuracy (\%) \\" in tables
    assert compared.count("\n") == 2 and "BN + L1 1e-5 (sum) & LN & 3 & +0.80 &" in compared
    columns = {line.count(" & ") for line in variants.splitlines()}
    assert columns == {3} and r"\begin{tabular}{lrrr}" in tables


def test_the_metric_that_ranks_has_its_interval_and_unit():
    by_validation = made()
    for i, each in enumerate(by_validation.all):
        each.summary["val_accuracy_last"] = 98.0 + i % 3 / 10
    tables = latex.tables(by_validation, [], None)
    assert r"validation accuracy (\%) & test accuracy (\%) \\" in tables
    assert r"7,684 & 3 & 98.10 $\pm$ 0.25 & 99.20 $\pm$ 0.25 \\" in tables
    assert r"\begin{tabular}{lrrrr}" in tables


def test_the_pairs_have_the_interval_and_the_p_for_all_pairs_together():
    grid = made()
    pair, *_ = compared = pairs.compare(grid)
    (_, low, high, _), p = pair.contrast.interval, pair.contrast.p
    assert abs(p - pair.difference.p) > 1e-3 and pair.difference.interval.low != low
    cells = f"{low:+.2f} to {high:+.2f} & {latex.format_p(p)} " + r"\\"
    assert cells in latex.tables(grid, compared, None)


def test_the_pairs_are_those_of_every_kind():
    lasts = {20: {"batch": (99.3, 99.2), "layer": (99.0, 99.1)}, 12: {"batch": (98.3, 98.2)}}
    lasts[12]["layer"] = 97.0, 97.1
    kinds = study(
        *(
            each
            for epochs, by_norm in lasts.items()
            for norm, values in by_norm.items()
            for each in spread(Config(norm=norm, epochs=epochs), *values)
        )
    )
    tables = latex.tables(kinds, pairs.compare(kinds), None)
    assert "BN, epochs 20 & LN, epochs 20 & 2 & +0.20 &" in tables
    assert "BN, epochs 12 & LN, epochs 12 & 2 & +1.20 &" in tables


def test_a_figure_has_a_caption_that_stands_alone():
    shown = ("mnist/train_test_l1_2.5e-5", "BN & co: test", "Bars: 95 % t interval.")
    figure = latex.figures(made(), [shown])
    assert r"\includegraphics[width=\textwidth]{figures/mnist/train_test_l1_2.5e-5.pdf}" in figure
    context = r"(digits, mnist\_7684, 20 epochs, 3 seeds)"
    assert rf"\caption{{BN \& co: test {context}. Bars: 95 \% t interval.}}" in figure
    assert r"\label{fig:mnist_train_test_l1_2.5e-5}" in figure


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("50 % & more_or {less}", r"50 \% \& more\_or \{less\}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a\x1b[2Jb", r"a\textbackslash{}x1b[2Jb"),
        ("p < 0.001", r"p \textless{} 0.001"),
        ("-0.03", "$-$0.03"),
        ("L1 1e-5, -0.20 to -0.10", "L1 1e-5, $-$0.20 to $-$0.10"),
    ],
)
def test_nothing_that_a_run_says_is_a_command(shown, expected):
    assert latex.text(shown) == expected
