"""The Report: which figures and tables a study has."""

import itertools

from study import files, runs
from study.config import Config
from study.report import grouping, page
from study.report.build import build_report
from study.report.text.findings import EFFECTS
from tests.conftest import read_csv
from tests.report.conftest import curve, searched


def test_a_search_has_its_figures(made, tmp_path, quick):
    searched(made, 11)
    folder = tmp_path / "out"
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], folder)
    [part] = report.comparisons
    assert [figure.name for figure in part.search_figures] == [
        "response_lr", "importance", "parallel_coordinates", "best_so_far",
    ]  # fmt: skip
    assert len(read_csv(folder / "figures/parallel_coordinates.csv")) == 11
    assert "response_lr" in part.graphs


def test_figures_are_by_section_and_files_of_the_folder(made, tmp_path, quick):
    for norm in ("batch", "layer"):
        made(Config(norm=norm), curve(99.0))
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    [part] = report.comparisons
    assert list(part.figures) == [
        "The variants compared", "BN", "LN",
    ]  # fmt: skip
    names = [figure.name for figures in part.figures.values() for figure in figures]
    names += [figure.name for figure in report.norms]
    assert len(set(names)) == len(names)
    pictures = {path.stem for path in (tmp_path / "out/figures").glob("*.png")}
    assert pictures == set(names)
    assert part.across_sweeps is part.published is None
    assert part.details[0].label == part.variants[0].label == "BN"
    assert part.shared["dataset"] == "digits" and "norm" not in part.shared


def test_a_complete_grid_has_an_analysis_of_variance_in_place_of_the_importance(
    made, tmp_path, quick
):
    for norm, dropout, seed in itertools.product(
        ("batch", "layer"), (0, 0.1, 0.2, 0.3, 0.4), (1, 2)
    ):
        made(Config(norm=norm, dropout=dropout, seed=seed), curve(99.0 - dropout + 0.01 * seed))
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    names = [figure.name for figure in report.comparisons[0].search_figures]
    assert names == ["effects", "response_dropout", "parallel_coordinates"]


def test_where_the_numbers_come_from_is_told_as_far_as_the_finished_runs_know(
    made, tmp_path, quick
):
    made(Config(seed=1), curve(99.0), path="loop", pack=1)
    made(Config(seed=2), curve(99.0), path=None)
    half = made(Config(seed=3), curve(99.0), path="pack")
    summary = files.read_json(half / runs.SUMMARY)
    files.write_json(half / runs.SUMMARY, {k: v for k, v in summary.items() if k != "pack"})
    made(Config(seed=4), curve(99.0), runs.STOPPED)
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    assert report.provenance["trained by"] == "loop, 1 at once, pack"
    assert report.provenance["training time"] == "0.5 minutes over the finished runs"


def test_a_grid_shows_its_settings_and_searched_nothing(l1_grid, tmp_path, quick):
    report = build_report(grouping.collect(l1_grid), [], tmp_path / "out")
    [part] = report.comparisons
    assert part.search is None
    assert [figure.name for figure in part.figures["Accuracy by setting"]] == ["response_l1"]
    assert "What the search found" not in part.figures


def test_runs_of_one_epoch_have_no_curves(made, tmp_path, quick):
    for norm, last in (("batch", 99.0), ("layer", 98.0)):
        made(Config(norm=norm, epochs=1), [last])
    out = tmp_path / "out"
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], out)
    [part] = report.comparisons
    assert [figure.name for figure in part.compared] == ["final", "misclassified_by"]
    assert part.on_top == [] and part.below == part.compared[1:] and part.graphs == {}
    assert not [each for detail in part.details for each in detail.figures if "train" in each.name]
    assert all(finding.source in _files(out) for finding in part.findings)
    page.render(report, out)
    for name in ("index.html", "report.md"):
        assert (out / name).read_text().count("Each run has one epoch") == 1


def test_what_the_settings_of_a_grid_do_is_read_at_a_glance(made, tmp_path, quick):
    for i, (norm, dropout) in enumerate(itertools.product(["batch", "layer"], [0.0, 0.1])):
        for lr in (0.05, 0.1):
            for seed in (1, 2):
                made(Config(norm=norm, dropout=dropout, lr=lr, seed=seed), curve(94 + i + seed / 9))
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    [part] = report.comparisons
    [first, *_] = part.first_findings
    assert first.source == EFFECTS and first.text.startswith("In the grid of ")


def test_data_sets_share_no_ranking_figure_or_table(made, tmp_path, quick):
    for norm, last in (("batch", 98.0), ("layer", 97.0)):
        for seed in (1, 2):
            made(Config(norm=norm, seed=seed), curve(last + seed / 100), sweep="digits")
            mnist = Config(norm=norm, dataset="mnist", lr=0.1, seed=seed)
            made(mnist, curve(last + 1 + seed / 50), sweep="mnist")
    folders = [tmp_path / "runs" / name for name in ("digits", "mnist")]
    out = tmp_path / "out"
    report = build_report(grouping.collect(*folders), folders, out)
    assert [part.dataset for part in report.comparisons] == ["digits", "mnist"]
    for part in report.comparisons:
        labels = [row.label for row in part.variants]
        assert labels == [f"{part.dataset}: BN", f"{part.dataset}: LN"]
        assert len(part.cards) == 1 and [row.number for row in part.variants] == [1, 2]
        assert all(finding.source in _files(out) for finding in part.findings)
        [lines] = [part.graphs[name] for name in part.graphs if name.endswith("test_accuracy")]
        named = {trace["name"] for trace in lines["data"]}
        assert named == set(labels)
        assert {name.split("/")[0] for name in part.graphs} == {part.dataset}
    figures = [
        each for part in report.comparisons for group in part.figures.values() for each in group
    ]
    assert all((out / "figures" / f"{each.name}.png").is_file() for each in figures)
    assert len(report.graphs) == sum(len(part.graphs) for part in report.comparisons)
    of = [row["dataset"] for row in read_csv(out / "results.csv")]
    assert of == ["digits", "digits", "mnist", "mnist"]
    pairs = [(row["one"], row["two"]) for row in read_csv(out / "pairs.csv")]
    assert pairs == [("digits: BN", "digits: LN"), ("mnist: BN", "mnist: LN")]
    tables = (out / "tables.tex").read_text()
    assert tables.count("booktabs") == 1 and r"\label{tab:pairs-mnist}" in tables
    assert r"\caption{On digits. Means" in tables


def _files(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
