"""The Report: which figures and tables a study has."""

import csv

from study.config import Config
from study.report import variants
from study.report.build import build_report
from tests.report.conftest import curve, searched


def test_a_search_has_its_figures(made, tmp_path):
    searched(made, 11)
    folder = tmp_path / "out"
    report = build_report(variants.collect(tmp_path / "runs/mine"), [], folder)
    assert [figure.name for figure in report.search_figures] == [
        "response_lr", "importance", "parallel_coordinates", "best_so_far",
    ]  # fmt: skip
    with open(folder / "figures/parallel_coordinates.csv") as file:
        assert len(list(csv.DictReader(file))) == 11
    assert "response_lr" in report.graphs


def test_figures_are_by_section_and_files_of_the_folder(made, tmp_path, quick):
    for norm in ("batch", "layer"):
        made(Config(norm=norm), curve(99.0))
    report = build_report(variants.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    assert list(report.figures) == [
        "The variants compared", "BN", "LN", "What the norms do",
    ]  # fmt: skip
    names = [figure.name for figures in report.figures.values() for figure in figures]
    assert len(set(names)) == len(names)
    pictures = {path.stem for path in (tmp_path / "out/figures").glob("*.png")}
    assert pictures == set(names)
    assert report.across_sweeps is report.published is None
    assert report.details[0].label == report.variants[0].label == "BN"
    assert report.shared["dataset"] == "digits" and "norm" not in report.shared


def test_a_grid_shows_its_settings_and_searched_nothing(l1_grid, tmp_path, quick):
    report = build_report(variants.collect(l1_grid), [], tmp_path / "out")
    assert report.search is None
    assert [figure.name for figure in report.figures["Accuracy by setting"]] == ["response_l1"]
    assert "What the search found" not in report.figures
