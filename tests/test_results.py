"""The tables of the documents have the figures of the committed results."""

import csv
import re
from collections.abc import Iterator

import pytest

from study.report import stats
from study.report.stats import Interval
from study.report.text import published
from tests.conftest import ROOT

RESULTS = ROOT / "sweeps/results"
STUDIES = list(dict.fromkeys(one.study for one in published.read()))
COLUMNS = ("study", "variant", "parameters", "seeds", "last", "published last", "difference",
          "best", "published best")  # fmt: skip


def table(path, study: str) -> list[dict[str, str]]:
    """The rows of a study in a Markdown table whose first column is `study`, by its header."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in path.read_text().splitlines()
        if line.startswith(("| study |", f"| {study} |"))
    ]
    [header] = [row for row in rows if row[0] == "study"]
    return [dict(zip(header, row, strict=True)) for row in rows if row is not header]


def published_beside_ours(study: str, rows) -> Iterator[tuple[Interval, float]]:
    """Our interval and the published figure, of the variants of which one is known."""
    with open(RESULTS / "published" / study / "results.csv") as file:
        results = {row["label"]: row for row in csv.DictReader(file)}
    for row in rows:
        if row["published last"]:
            ours = results[row["variant"]]
            ends = [float(ours[f"test_accuracy_last_{name}"]) for name in ("mean", "low", "high")]
            yield Interval(*ends, int(ours["finished"])), float(row["published last"])


@pytest.mark.parametrize("study", STUDIES)
def test_the_results_are_those_of_the_reports_and_their_csv(study):
    rows = table(RESULTS / "README.md", study)
    reported = table(RESULTS / "published" / study / "report.md", study)
    assert rows == [{name: row[name] for name in COLUMNS} for row in reported]
    with open(RESULTS / "published" / study / "results.csv") as file:
        results = {row["label"]: row for row in csv.DictReader(file)}
    assert results.keys() == {row["variant"] for row in rows}
    for row in rows:
        result = results[row["variant"]]
        mean, _, half = row["last"].partition(" ± ")
        assert float(mean) == pytest.approx(float(result["test_accuracy_last_mean"]), abs=0.0051)
        if half:
            low, high = (float(result[f"test_accuracy_last_{end}"]) for end in ("low", "high"))
            assert float(half) == pytest.approx((high - low) / 2, abs=0.0051)
        assert row["seeds"] == result["seeds"] == result["finished"]
        assert int(row["parameters"].replace(",", "")) == int(result["parameters"])


def test_the_readme_has_the_same_figures():
    readme = (ROOT / "README.md").read_text()
    lines = re.findall(
        r"^\| (?:`(\w+)`.*|the same.*) \| .* \| (.*) \| .* \|$", readme, re.MULTILINE
    )
    figures_of, study = dict.fromkeys(STUDIES, ""), ""
    within = judged = 0
    for name, reproduced in lines:
        study = name or study
        if study in figures_of:
            figures_of[study] += f", {reproduced}"
    for study in STUDIES:
        rows = table(RESULTS / "README.md", study)
        for interval, theirs in published_beside_ours(study, rows):
            low, high = interval.prediction
            within, judged = within + (low <= theirs <= high), judged + 1
        figures = re.findall(r"\d\d\.\d\d(?: ± \d\.\d\d)?", figures_of[study])
        assert figures and set(figures) <= {row["last"] for row in rows}
        known = [row["last"] for row in rows if row["published last"]]
        assert set(known) <= set(figures)
    chance = stats.chance_of_at_most(within, judged)
    words = " ".join(readme.split())
    assert (
        f"Of these {judged} published runs {within} lie where one more run of ours would" in words
    )
    assert f"{0.95 * judged:.1f} would on average, and {within} or fewer with a chance of" in words
    assert f"a chance of {chance:.2g}." in words
    results = " ".join((RESULTS / "README.md").read_text().split())
    assert f"{within} of {judged} lie within, {0.95 * judged:.1f} would on average" in results
