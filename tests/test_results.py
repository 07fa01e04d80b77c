"""The tables of the documents have the figures of the committed results."""

import csv
import re
from collections import defaultdict

import pytest

from study.report import stats
from study.report.text import published
from tests.conftest import ROOT

RESULTS = ROOT / "sweeps/results"


def table() -> list[dict[str, str]]:
    """The rows of the table of published studies, by its header."""
    lines = (RESULTS / "README.md").read_text().splitlines()
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    header = next(i for i, row in enumerate(cells) if row[0] == "study")
    return [dict(zip(cells[header], row, strict=True)) for row in cells[header + 2 :]]


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row['study']}: {row['variant']}")
def test_a_row_is_what_its_csv_holds(row):
    path = RESULTS / re.fullmatch(r"\[[AB]\]\((.*)\)", row["machine, csv"])[1]
    with open(path) as file:
        seeds = [one for one in csv.DictReader(file) if one["label"] == row["variant"]]
    score = stats.mean_interval([float(one["test_accuracy"]) for one in seeds])
    low, high = score.prediction
    assert row["last"] == f"{score.mean:.2f} ± {score.half_width:.2f}"
    assert row["one more run"] == f"{max(low, 0):.2f} to {min(high, 100):.2f}"
    assert int(row["seeds"]) == score.n
    with open(path.parent.parent / "results.csv") as file:
        [result] = [one for one in csv.DictReader(file) if one["label"] == row["variant"]]
    assert int(row["parameters"].replace(",", "")) == int(result["parameters"])
    assert row["best"] == f"{float(result['test_accuracy_best_mean']):.2f}"
    theirs = row["published last"]
    assert row["published is"] == (theirs and place(float(theirs), low, high))
    if theirs:
        figures = [one.last for one in published.read() if one.study == row["study"]]
        assert float(theirs) in figures


def place(value: float, low: float, high: float) -> str:
    return "above" if value > high else "below" if value < low else "within"


def test_the_counts_and_the_readme_have_the_same_figures():
    rows = [row for row in table() if row["published last"]]
    within = sum(row["published is"] == "within" for row in rows)
    counted = f"Of the {len(rows)} published figures {within} lie where one more run"
    readme = (ROOT / "README.md").read_text()
    assert counted in (RESULTS / "README.md").read_text() and counted in readme
    lasts = defaultdict(set)
    for row in rows:
        lasts[row["study"]].add(row["last"])
    lines = re.findall(
        r"^\| (?:`(\w+)`.*|the same.*) \| .* \| (.*) \| .* \|$", readme, re.MULTILINE
    )
    study, told = "", defaultdict(set)
    for name, reproduced in lines:
        study = name or study
        told[study] |= set(re.findall(r"\d\d\.\d\d ± \d\.\d\d", reproduced))
    assert {study: told[study] for study in lasts} == lasts
