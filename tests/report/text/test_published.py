"""What was published, and the sentences that compare our runs with it."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from study.report.text import published
from study.report.variants import Variant
from study.runs import Run
from study.sweep import spec
from study.train import networks
from tests.conftest import ROOT

STUDIES = sorted(
    path for path in (ROOT / "sweeps/published").glob("*.yaml") if not path.stem.endswith("_ours")
)


def of(study: str, variant: str) -> published.Published:
    [found] = [p for p in published.read() if (p.study, p.variant) == (study, variant)]
    return found


def ran(one: published.Published, lasts, **settings) -> Variant:
    """Runs of a published variant, a seed for each accuracy at the last epoch."""
    config = dataclasses.replace(one.config, **settings)
    runs = []
    for seed, last in enumerate(lasts, 1):
        accuracies = [last - 2 / epoch for epoch in range(1, config.epochs)] + [last]
        history = [
            {"epoch": epoch, "test/accuracy": accuracy}
            for epoch, accuracy in enumerate(accuracies, 1)
        ]
        summary = {"test_accuracy_last": last, "test_accuracy_best": last + 0.02}
        summary["train_accuracy_last"] = 99.1
        seeded = dataclasses.replace(config, seed=seed)
        runs.append(Run(Path("nowhere"), seeded, history, summary))
    return Variant(f"{config.norm} here", config, runs)


def test_figures_are_the_curves_own_and_come_from_a_named_source():
    with_curve = [one for one in published.read() if one.curve]
    with open(ROOT / "study/report/text/published_curves.csv") as file:
        rows = csv.DictReader(file)  # the last epoch's line of a variant stands
        trained = {(r["study"], r["variant"]): float(r["train_accuracy"]) for r in rows}
    assert len(with_curve) == 18
    for one in with_curve:
        assert (one.last, one.best) == (one.curve[-1], max(one.curve))
        assert one.train == trained[one.study, one.variant]
        assert len(one.curve) == one.config.epochs
    assert all(one.source and one.config.seed == 0 for one in published.read())


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_each_studys_sweep_runs_what_was_published_in_three_seeds(path):
    configs = spec.read(path).configs
    ours = [one.config for one in published.read() if one.study == path.stem]
    assert list(dict.fromkeys(config.without_seed() for config in configs)) == ours
    assert sorted(c.seed for c in configs) == sorted([1, 2, 3] * len(ours))


def test_every_study_has_its_sweep_and_its_parameters():
    assert {path.stem for path in STUDIES} == {one.study for one in published.read()}
    for one in published.read():
        assert networks.parameter_table(one.config)["total"] == one.parameters


@pytest.mark.parametrize(
    ("lasts", "verdict", "words"),
    [
        ((99.40, 99.42, 99.41), "contains", "99.41 ± 0.02 % over 3 seeds, published 99.41 %: our"),
        ((99.50, 99.51, 99.52), "above", "lies above it, its mean by 0.10 points"),
        ((99.20, 99.21, 99.22), "below", "its mean by 0.20 points and its upper end by 0.18"),
        ((99.20, 99.21, 99.22), "below", "and it is outside 99.21 ± 0.05 %, where one more"),
        ((99.37, 99.40, 99.30, 99.31, 99.36), "below", "and it is within 99.35 ± 0.13 %, where"),
        ((99.38,), "one seed", "0.03 points below it, within the 0.22 that"),
        ((98.41,), "one seed", "1.00 points below it, outside the"),
    ],
)
def test_the_sentence_follows_from_the_figures(lasts, verdict, words):
    group = of("eva8_s5", "group")
    [found] = published.reproduced([ran(group, lasts)])
    assert found.verdict == verdict
    assert found.difference == pytest.approx(np.mean(lasts) - 99.41)
    assert words in str(found)
    assert "In training 99.10 %, published 99.03 %. 7,684 parameters, as published. Every" in str(
        found
    )


def test_what_differs_is_named():
    layer = of("eva8_s5", "layer")
    [found] = published.reproduced([ran(layer, (99.1, 99.2), norm_affine="channel")])
    assert found.differences == [
        "norm_affine channel instead of element",
        "7,684 parameters instead of 53,670",
    ]
    [found] = published.reproduced([ran(of("s6_8k", "batch_l1_cross_entropy"), (99.1, 99.2))])
    assert found.verdict == "no figure" and "published without a figure" in str(found)
    assert "its loss was the squared error of argmax" in str(found)


def test_each_published_variant_is_compared_with_the_nearest_of_ours():
    batch = of("eva6_s6_norms", "batch_l1_1e-4")
    exact, near = ran(batch, (99.2, 99.3)), ran(batch, (99.2, 99.3), lr=0.1)
    further = ran(batch, (99.2, 99.3), lr=0.1, dropout=0.2)
    found = published.reproduced([near, exact, further])
    assert [(one.published.variant, one.variant) for one in found] == [("batch_l1_1e-4", exact)]
    assert published.reproduced([further]) == []
    other = dataclasses.replace(batch.config, dataset="fashion_mnist")
    assert published.reproduced([dataclasses.replace(exact, config=other)]) == []


def test_rounded_settings_are_the_same():
    group = of("eva8_s5", "group")
    [found] = published.reproduced([ran(group, (99.4, 99.5), gamma=0.92857)])
    assert found.differences == []


def test_the_table_and_the_summary():
    variants = [
        ran(of("era1_s8", "group"), (73.2, 73.4, 73.3)),
        ran(of("era1_s8", "batch"), (74.9, 74.8, 74.95)),
        ran(of("era1_s8", "layer"), (70.0,)),
    ]
    found = published.reproduced(variants)
    summary, *sentences = published.sentences(found)
    assert summary == (
        "Of 3 published figures at the last epoch: our 95 % interval contains 1, lies above 1,"
        " one seed gives no interval for 1."
    )
    assert len(sentences) == 3
    assert all("not known: it normalized with" in sentence for sentence in sentences)
    assert published.note(found).endswith("one run: era1_s8: github.com/piygr/s8erav1.")
    rows = [dict(enumerate(row)) for row in published.rows(found)]
    assert all(len(row) == len(published.HEADER) for row in rows)
    assert rows[0][7] == "+0.30" and rows[0][12] == "above"
    [even] = published.rows(published.reproduced([ran(of("era1_s8", "group"), (73.1, 72.8998))]))
    assert even[7] == "+0.00"  # of a difference of -0.0001
    assert rows[2][9] == "74.89" and rows[2][11] == "73.58"
    assert published.sentences([]) == []
