"""What was published, and the sentences that compare our runs with it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from study.report import stats
from study.report.text import published
from study.report.variants import Variant
from study.runs import Run
from study.sweep import spec
from study.train import networks
from tests.conftest import ROOT, read_csv

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
    rows = read_csv(ROOT / "study/report/text/published_curves.csv")
    # The last epoch's line of a variant stands.
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
        ((99.40, 99.42, 99.41), "within", "99.41 ± 0.02 % over 3 seeds, published 99.41 %: 0.00"),
        ((99.50, 99.51, 99.52), "below", "0.10 points below our mean, outside the 99.46 to 99.56"),
        ((99.20, 99.21, 99.22), "above", "0.20 points above our mean, outside the 99.16 to 99.26"),
        ((99.37, 99.40, 99.30, 99.31, 99.36), "within",  # above the interval of the mean
         "0.06 points above our mean, within the 99.22 to 99.48 where one more run would lie"),
        ((99.38,), "one seed", "0.03 points above ours; one seed gives no interval"),
        ((99.36, 99.36), "no spread", "0.05 points above ours; seeds that are all alike give no"),
    ],
)  # fmt: skip
def test_the_sentence_follows_from_the_figures(lasts, verdict, words):
    group = of("eva8_s5", "group")
    [found] = published.reproduced([ran(group, lasts)])
    assert found.verdict == verdict
    assert found.difference == pytest.approx(np.mean(lasts) - 99.41)
    assert words in str(found)
    assert "In training 99.10 %, published 99.03 %. 7,684 parameters, as published. Every" in str(
        found
    )


def test_runs_of_our_own_are_within_as_often_as_is_said():
    """Where a published run is one of our kind, its figure is within in 95 % of studies, and the
    chance that is given of so few is right."""
    rng, group = np.random.default_rng(0), of("eva8_s5", "group")
    draws = rng.normal(99.4, 0.05, (600, 3, 4))
    within = []
    for study in draws:
        figures = [dataclasses.replace(group, last=row[0]) for row in study]
        ours = [stats.mean_interval(row[1:]) for row in study]
        found = [published.Reproduced(p, None, 0, last, 0, 0) for p, last in zip(figures, ours)]
        within.append(sum(one.verdict == "within" for one in found))
    assert np.mean(within) / 3 == pytest.approx(0.95, abs=0.015)
    for few in (1, 2):
        chance = stats.chance_of_at_most(few, 3)
        assert np.mean(np.array(within) <= few) == pytest.approx(chance, abs=0.035)


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
    assert published.reproduced([ran(batch, (99.2, 99.3), epochs=10)]) == []
    assert published.reproduced([ran(batch, (99.2, 99.3), network="mnist_7684")]) == []
    other = dataclasses.replace(batch.config, dataset="fashion_mnist")
    assert published.reproduced([dataclasses.replace(exact, config=other)]) == []


def test_figures_of_other_settings_are_compared_but_not_counted():
    group = ran(of("eva8_s5", "group"), (99.40, 99.42, 99.41))
    other = ran(of("eva8_s5", "batch_l1"), (99.0, 99.05, 99.1), dropout=0.1)
    found = published.reproduced([group, other])
    summary, *each = published.sentences(found)
    assert summary.startswith("Of 1 published figure at the last epoch, 1 lie where")
    assert summary.endswith("0.95 would on average. Not counted: 1 of other settings.")
    assert len(each) == 2
    assert len(published.sentences(published.reproduced([other]))) == 1


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
        "Of 2 published figures at the last epoch, 2 lie where one more run of ours would (95 %"
        " prediction interval). Were all of them such runs, 1.90 would on average."
    )
    below = published.reproduced([ran(of("era1_s8", "batch"), (77.6, 77.7, 77.8))])
    assert published.sentences(below)[0].endswith(
        "0 lie where one more run of ours would (95 % prediction interval), 1 below. Were all of"
        " them such runs, 0.95 would on average, and 0 or fewer with a chance of 0.05."
    )
    assert len(sentences) == 3
    assert all("not known: it normalized with" in sentence for sentence in sentences)
    assert published.note(found).endswith("one run: era1_s8: github.com/piygr/s8erav1.")
    rows = [dict(enumerate(row)) for row in published.rows(found)]
    assert all(len(row) == len(published.HEADER) for row in rows)
    assert rows[0][6] == "72.80 to 73.80" and rows[0][8] == "+0.30" and rows[0][13] == "within"
    [even] = published.rows(published.reproduced([ran(of("era1_s8", "group"), (73.1, 72.8998))]))
    assert even[8] == "+0.00"  # of a difference of -0.0001
    assert rows[2][10] == "74.89" and rows[2][12] == "73.58"
    cells = dict(zip(published.HEADER, published.rows(found)[0]))
    assert (cells["best"], cells["published best"]) == ("73.32", "73.00")
    assert published.sentences([]) == []


def test_one_more_run_has_at_most_all_images_right_and_at_least_none():
    [found] = published.reproduced([ran(of("eva8_s5", "group"), (99.8, 99.9, 99.99))])
    assert found.one_more_run.endswith(" to 100.00")
    [found] = published.reproduced([ran(of("eva8_s5", "group"), (99.8, 10.0))])
    assert found.one_more_run == "0.00 to 100.00"


def test_nothing_is_said_of_training_that_was_not_logged():
    variant = ran(of("eva8_s5", "group"), (99.40, 99.42))
    for run in variant.runs:
        del run.summary["train_accuracy_last"]  # as of a pulled run
    [found] = published.reproduced([variant])
    cells = dict(zip(published.HEADER, published.rows([found])[0]))
    assert "In training" not in str(found) and cells["in training"] == ""
