import csv
import re

import numpy as np
import pytest

from study import datasets, files, runs
from study.config import Config
from study.errors import UsageError
from study.report import page, variants
from study.report.figures import charts, drawing
from tests.report.conftest import curve


def three_variants(made) -> None:
    for seed, (bn, ln, gn) in enumerate([(99.4, 99.2, 99.41), (99.38, 99.24, 99.35)], 1):
        made(Config(l1=2.5e-5, seed=seed), curve(bn))
        made(Config(norm="layer", seed=seed), curve(ln))
        made(Config(norm="group", groups=5, seed=seed), curve(gn))


def test_a_report_has_all_its_parts(made, tmp_path):
    three_variants(made)
    index = page.write(tmp_path / "runs/mine", tmp_path / "reports/mine", target=99.4)
    out = tmp_path / "reports/mine"
    assert index == out / "index.html"
    names = ["final", "test_loss", "test_accuracy", "misclassified_by"]
    names += ["normalization_4x4", "normalization_2x3"]
    for label in ("bn_l1_2.5e-5_sum", "ln", "gn"):
        names += [f"train_test_{label}", f"confusion_{label}"]
        names += [f"misclassified_{label}", f"misclassified_25_{label}"]
    expected = {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "csv")}
    expected |= {"normalization.xlsx"}
    assert {path.name for path in (out / "figures").iterdir()} == expected
    assert {path.name for path in out.iterdir()} == {
        "figures", "index.html", "pairs.csv", "report.md", "results.csv",
    }  # fmt: skip
    html = index.read_text()
    assert html.count("data:image/webp;base64,") == len(names)
    assert not re.search(r'src="(?!data:)|href="https?:', html)  # one file, no network
    for words in ("BN + L1 2.5e-5 (sum)", "7,684", "GroupNorm(5, 10)", "99.39"):
        assert words in html


def results(tmp_path) -> dict[str, dict[str, str]]:
    """results.csv by label, without the figures."""
    drawing.write_csv(
        tmp_path / "results.csv", *page.results(variants.collect(tmp_path / "runs/mine"))
    )
    with open(tmp_path / "results.csv") as file:
        return {row["label"]: row for row in csv.DictReader(file)}


def test_results_are_the_means_over_seeds(made, tmp_path):
    three_variants(made)
    rows = results(tmp_path)
    assert list(rows) == ["BN + L1 2.5e-5 (sum)", "LN", "GN"]
    bn = rows["BN + L1 2.5e-5 (sum)"]
    assert float(bn["test_accuracy_last_mean"]) == pytest.approx(99.39)
    assert float(bn["test_accuracy_last_high"]) == pytest.approx(99.39 + 12.706 * 0.01, abs=1e-3)
    assert (bn["seeds"], bn["finished"], bn["failed"], bn["l1"]) == ("2", "2", "0", "2.5e-5")
    assert bn["val_accuracy_last_mean"] == ""
    assert "seed" not in bn


def test_norms_that_are_compared_are_worked_by_hand(made, tmp_path, quick):
    made(Config(seed=1), curve(99.4))
    alone = page.write(tmp_path / "runs/mine", tmp_path / "alone").read_text()
    assert "What the norms do" not in alone
    made(Config(norm="layer", seed=1), curve(99.2))
    compared = page.write(tmp_path / "runs/mine", tmp_path / "out").read_text()
    assert "What the norms do" in compared
    assert 'href="figures/normalization.xlsx"' in compared
    assert (tmp_path / "out/figures/normalization.xlsx").is_file()


def test_one_seed_has_no_interval(made, tmp_path, quick):
    path = made(Config(seed=1), curve(99.4))
    table = files.read_json(path / "parameters.json")
    for layer in table["layers"]:
        del layer["receptive_field"]  # as runs of before left it
    files.write_json(path / "parameters.json", table)
    page.write(tmp_path / "runs/mine", tmp_path / "out")
    with open(tmp_path / "out/results.csv") as file:
        [row] = csv.DictReader(file)
    assert row["test_accuracy_last_low"] == row["test_accuracy_last_high"] == ""
    assert not re.search(r"\bnan\b", (tmp_path / "out/report.md").read_text())


def test_failed_runs_are_told_and_stay_out_of_the_means(made, tmp_path, quick):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=2), curve(50.0), runs.FAILED, cause="the loss became nan")
    made(Config(norm="layer", seed=1), curve(70.0), runs.STOPPED)
    page.write(tmp_path / "runs/mine", tmp_path / "out")
    with open(tmp_path / "out/results.csv") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert float(rows["BN"]["test_accuracy_last_mean"]) == pytest.approx(99.4)
    assert (rows["BN"]["finished"], rows["BN"]["failed"]) == ("1", "1")
    assert (rows["LN"]["stopped"], rows["LN"]["test_accuracy_last_mean"]) == ("1", "")
    report = (tmp_path / "out/report.md").read_text()
    assert "the loss became nan (not in the means)" in report
    assert "1 failed" in report and "1 stopped" in report


def test_a_duplicate_is_counted_once(made, tmp_path):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=1), curve(98.0), name="zz_again")
    study = variants.collect(tmp_path / "runs/mine")
    [variant] = study.variants
    assert len(variant.runs) == len(study.duplicates) == 1


def test_nothing_finished_is_refused(made, tmp_path):
    made(Config(), curve(99.0), runs.FAILED, cause="x")
    with pytest.raises(UsageError, match="none of its 1 runs has finished"):
        page.write(tmp_path / "runs/mine", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_from_a_run_is_escaped(made, tmp_path, quick):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=2), curve(9.0), runs.FAILED, cause="<script>alert(1)</script>")
    made(Config(seed=3), curve(99.0), url="javascript:alert(1)")
    made(Config(seed=4), curve(99.1), url='https://wandb.ai/"><script>alert(2)</script>')
    html = page.write(tmp_path / "runs/mine", tmp_path / "out").read_text()
    assert "<script>alert" not in html and "&lt;script&gt;" in html
    assert "javascript:" not in html


def test_the_same_runs_give_the_same_report(made, tmp_path):
    path = made(Config(seed=1), curve(99.4))
    for file in ("misclassified.npz", "confusion.json"):  # fewer figures
        (path / file).unlink()
    one = page.write(tmp_path / "runs/mine", tmp_path / "one")
    two = page.write(tmp_path / "runs/mine", tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    pdf = "figures/test_loss.pdf"
    assert (one.parent / pdf).read_bytes() == (two.parent / pdf).read_bytes()


def test_labels_beside_the_curves_keep_apart():
    wanted = [0.5, 0.51, 0.505, 0.0, 1.0, 0.99]
    places = drawing.spread(wanted, 0.1)
    assert (np.diff(np.sort(places)) >= 0.1 - 1e-9).all()
    assert min(places) >= 0.05 - 1e-9 and max(places) <= 0.95 + 1e-9
    assert (np.argsort(places) == np.argsort(wanted, kind="stable")).all()


def test_the_axes_tell_99_3_from_99_5_beside_a_ruined_variant(made, tmp_path, monkeypatch):
    made(Config(seed=1), curve(99.5))
    made(Config(norm="layer", seed=1), curve(99.3))
    made(Config(l1=0.1, seed=1), [11.35] * 10)
    limits = []
    save = drawing.save
    monkeypatch.setattr(
        drawing,
        "save",
        lambda figure, *rest: limits.append(figure.axes[0].get_ylim()) or save(figure, *rest),
    )
    study = variants.collect(tmp_path / "runs/mine")
    charts.comparison(tmp_path, study, "test/accuracy")
    [(low, high)] = limits
    assert low < 99.3 and high > 99.5 and high - low < 2


def test_the_long_numbers_of_a_search_are_short_in_labels(made, tmp_path):
    made(Config(lr=0.012345678901, l1=2.5e-5), curve(99.0))
    made(Config(lr=0.9), curve(99.0))
    study = variants.collect(tmp_path / "runs/mine")
    assert [v.label for v in study.variants] == ["BN, lr 0.9", "BN + L1 2.5e-5 (sum), lr 0.01235"]
    made(Config(lr=0.012345678902, l1=2.5e-5), curve(99.0))  # no longer distinct
    labels = [v.label for v in variants.collect(tmp_path / "runs/mine").variants]
    assert "BN + L1 2.5e-5 (sum), lr 0.012345678901" in labels and len(set(labels)) == 3


def test_class_names_fit_the_data():
    assert datasets.spec("cifar10").class_names[3] == "cat"
