"""report.md and index.html, whole."""

import re
import shutil
from types import SimpleNamespace

import pytest

from study import files, planned, runs, search_record
from study.config import Config
from study.errors import UsageError
from study.report import page
from study.report.text import card
from tests.conftest import read_csv
from tests.report.conftest import curve


def test_a_report_has_all_its_parts(made, tmp_path):
    for seed, (bn, gn) in enumerate([(99.4, 99.41), (99.38, 99.35)], 1):
        made(Config(l1=2.5e-5, seed=seed), curve(bn))
        made(Config(norm="group", groups=5, seed=seed), curve(gn))
    index = page.write(tmp_path / "runs/mine", tmp_path / "reports/mine", target=99.4)
    out = tmp_path / "reports/mine"
    assert index == out / "index.html"
    names = ["final", "test_loss", "test_accuracy", "train_loss", "train_accuracy"]
    names += ["misclassified_by"]
    names += ["normalization_4x4", "normalization_2x3"]
    for label in ("bn_l1_2.5e-5_sum", "gn"):
        names += [f"train_test_{label}", f"confusion_{label}"]
        names += [f"misclassified_{label}"]
    expected = {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "csv")}
    expected |= {"normalization.xlsx"}
    assert {path.name for path in (out / "figures").iterdir()} == expected
    assert {path.name for path in out.iterdir()} == {
        "figures", "figures.tex", "index.html", "pairs.csv", "report.md", "results.csv",
        "tables.tex",
    }  # fmt: skip
    html = index.read_text()
    assert html.count("data:image/webp;base64,") == len(names) - 1  # it lays out `final` itself
    assert html.count('<svg class="strip look"') == 2
    assert not re.search(r'src="(?!data:)|href="https?:', html)  # one file, no network
    for words in ("BN + L1 2.5e-5 (sum)", "7,684", "GroupNorm(5, 10)", "99.39"):
        assert words in html


def test_figures_of_an_older_report_that_are_shown_no_longer_are_removed(made, tmp_path, quick):
    made(Config(seed=1), curve(99.4))
    made(Config(norm="layer", dropout=0.1, seed=1), curve(99.2))
    page.write(tmp_path / "runs/mine", tmp_path / "out")
    figures = tmp_path / "out/figures"
    (figures / "mine.png").touch()
    of_both = {path.name for path in figures.iterdir()}
    [layer] = (tmp_path / "runs/mine").glob("layer*")
    shutil.rmtree(layer)
    page.write(tmp_path / "runs/mine", tmp_path / "out")
    page.write(tmp_path / "runs/mine", tmp_path / "anew")
    left = {path.name for path in figures.iterdir()}
    assert left == {path.name for path in (tmp_path / "anew/figures").iterdir()} | {"mine.png"}
    assert {"confusion_ln_dropout_0.1.png", "normalization_4x4.csv"} <= of_both - left


def test_norms_that_are_compared_are_explained(made, tmp_path, quick):
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
    table = files.read_json(path / runs.PARAMETERS)
    for layer in table["layers"]:
        del layer["receptive_field"]  # as in runs of older versions
    files.write_json(path / runs.PARAMETERS, table)
    page.write(tmp_path / "runs/mine", tmp_path / "out")
    [row] = read_csv(tmp_path / "out/results.csv")
    assert row["test_accuracy_last_low"] == row["test_accuracy_last_high"] == ""
    assert not re.search(r"\bnan\b", (tmp_path / "out/report.md").read_text())


def test_seeds_that_are_all_alike_have_no_interval(made, tmp_path, quick):
    for seed in (1, 2):
        made(Config(seed=seed), curve(99.4))
        made(Config(norm="layer", seed=seed), curve(99.3 + seed / 100))
    html = page.write(tmp_path / "runs/mine", tmp_path / "out").read_text()
    batch, layer = (part.split("<div")[0] for part in html.split('<svg class="strip look"')[1:])
    bar = 'y1="50%" y2="50%"'
    assert 'aria-label="99.40 %"' in batch and bar not in batch and bar in layer
    assert "nan%" not in html


def test_failed_runs_are_listed_and_in_no_mean(made, tmp_path, quick):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=2), curve(50.0), runs.FAILED, cause="the loss became nan")
    made(Config(norm="layer", seed=1), curve(70.0), runs.STOPPED)
    page.write(tmp_path / "runs/mine", tmp_path / "out")
    rows = {row["label"]: row for row in read_csv(tmp_path / "out/results.csv")}
    assert float(rows["BN"]["test_accuracy_last_mean"]) == pytest.approx(99.4)
    assert (rows["BN"]["finished"], rows["BN"]["failed"]) == ("1", "1")
    assert (rows["LN"]["stopped"], rows["LN"]["test_accuracy_last_mean"]) == ("1", "")
    report = (tmp_path / "out/report.md").read_text()
    assert "the loss became nan (not in the means)" in report
    assert "1 failed" in report and "1 stopped" in report


def test_nothing_finished_is_refused(made, tmp_path):
    made(Config(), curve(99.0), runs.FAILED, cause="x")
    with pytest.raises(UsageError, match="has 1 run, none of them finished"):
        page.write(tmp_path / "runs/mine", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_from_a_run_is_escaped(made, tmp_path, quick):
    made(Config(seed=1), curve(99.4))
    made(Config(seed=2), curve(9.0), runs.FAILED, cause="<script>alert(1)</script>")
    made(Config(seed=3), curve(99.0), url="javascript:alert(1)")
    made(Config(seed=4), curve(99.1), url='https://wandb.ai/"><script>alert(2)</script>')
    made(
        Config(seed=5), curve(9.0), runs.FAILED, cause="![a](https://e.org/a.png) [b](javascript:b)"
    )
    made(Config(seed=6), curve(9.0), runs.FAILED, cause="half a letter: \ud800")
    html = page.write(tmp_path / "runs/mine", tmp_path / "out").read_text()
    assert "<script>alert" not in html and "&lt;script&gt;" in html
    assert 'href="javascript:' not in html and 'src="https:' not in html
    report = (tmp_path / "out/report.md").read_text()
    assert "&lt;script>alert(1)&lt;/script>" in report and "<script" not in report
    assert r"!\[a\]\(https://e.org/a.png) \[b\]\(javascript:b)" in report


def test_what_a_sweep_file_says_is_text_in_both(made, tmp_path, quick):
    made(Config(), curve(99.4, 3))
    folder = tmp_path / "runs/mine"
    words = "<img src=x> | [a](javascript:a) \x1b[2J"
    steps = (planned.Step(99.0, words),)
    planned.write(
        folder, planned.Plan("mine", "grid", None, "", ({"norm": ["batch"]},), steps=steps)
    )
    html = page.write(folder, tmp_path / "out").read_text()
    assert "&lt;img src=x&gt; | [a]" in html and "<img src=x" not in html
    report = (tmp_path / "out/report.md").read_text()
    assert r"| 1 | &lt;img src=x> \| \[a\]\(javascript:a) \\x1b\[2J |" in report


def test_the_same_runs_give_the_same_report(made, tmp_path):
    path = made(Config(seed=1), curve(99.4))
    for file in (runs.MISCLASSIFIED, runs.CONFUSION):  # fewer figures
        (path / file).unlink()
    one = page.write(tmp_path / "runs/mine", tmp_path / "one")
    two = page.write(tmp_path / "runs/mine", tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    pdf = "figures/test_loss.pdf"
    assert (one.parent / pdf).read_bytes() == (two.parent / pdf).read_bytes()


def test_a_card_in_markdown_keeps_the_numbers_of_its_variants():
    """A list of Markdown's own numbers would call the third the second."""
    lines = [card.Line(1, "BN", "99.41 %", ""), card.Line(3, "GN", "99.16 %", "8,000 parameters")]
    tie = card.Card("Heading", "", "Measured.", lines, "Verdict.", card.TIE)
    assert page.cards(SimpleNamespace(cards=[tie])) == (
        "**Heading:**\n\n- **1** BN: **99.41 %**\n- **3** GN: **99.16 %** (8,000 parameters)\n\n"
        "Verdict. Measured.\n\n"
    )


def test_the_page_prints_the_command_with_the_folder_quoted(made, tmp_path, quick):
    for lr in (0.1, 0.2):
        made(Config(lr=lr), curve(99 + lr), sweep="my sweep")
    folder = tmp_path / "runs/my sweep"
    record = {"method": "bayes", "metric": "test/accuracy", "seed": 0, "runs": []}
    files.write_json(folder / search_record.FILE, record)
    html = page.write(folder, tmp_path / "out").read_text()
    name = runs.name(Config(lr=0.2))
    assert "What the search found" in html
    assert re.search(rf"study rerun &#39;[^&]*my sweep/{name}&#39; --seeds 1,2,3,4,5", html)
    assert (
        f"study rerun '{folder}/{name}' --seeds 1,2,3,4,5"
        in (tmp_path / "out/report.md").read_text()
    )
