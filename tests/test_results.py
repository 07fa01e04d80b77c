"""The tables of the documents have the figures of the committed results."""

import itertools
import re
from collections import defaultdict
from pathlib import Path

import pytest

from study.report import contrasts, stats
from study.report.text import published
from tests.conftest import ROOT, read_csv

RESULTS = ROOT / "sweeps/results"


def table() -> list[dict[str, str]]:
    """The rows of the table of published studies, by its header."""
    lines = iter((RESULTS / "README.md").read_text().splitlines())
    header = next(cells(line) for line in lines if line.startswith("| study |"))
    rows = [cells(line) for line in itertools.takewhile(lambda line: line.startswith("|"), lines)]
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def cells(line: str) -> list[str]:
    """The cells of a table's line."""
    return [cell.strip() for cell in line.split("|")[1:-1]]


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row['study']}: {row['variant']}")
def test_a_row_is_what_its_csv_holds(row):
    path = RESULTS / re.fullmatch(r"\[[AB]\]\((.*)\)", row["machine, csv"])[1]
    seeds = [one for one in read_csv(path) if one["label"] == row["variant"]]
    score = stats.mean_interval([float(one["test_accuracy"]) for one in seeds])
    low, high = score.prediction
    assert row["last"] == f"{score.mean:.2f} ± {score.half_width:.2f}"
    assert row["one more run"] == f"{max(low, 0):.2f} to {min(high, 100):.2f}"
    assert int(row["seeds"]) == score.n
    results = read_csv(path.parent.parent / "results.csv")
    [result] = [one for one in results if one["label"] == row["variant"]]
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
    counted = f"Of the {len(rows)} published figures {within} lie inside our 95 % prediction"
    readme = (ROOT / "README.md").read_text()
    assert counted in " ".join((RESULTS / "README.md").read_text().split())
    assert counted in " ".join(readme.split())
    lasts = defaultdict(set)
    for row in rows:
        lasts[row["study"]].add(row["last"])
    lines = re.findall(
        r"^\| (?:\[`(\w+)`.*|the same.*) \| .* \| (.*) \| .* \|$", readme, re.MULTILINE
    )
    study, told = "", defaultdict(set)
    for name, reproduced in lines:
        study = name or study
        told[study] |= set(re.findall(r"\d\d\.\d\d ± \d\.\d\d", reproduced))
    assert {study: told[study] for study in lasts} == lasts


DOCS = ROOT / "docs"
ROWS = re.findall(r"^\| .*\.csv.*", (DOCS / "findings.md").read_text(), flags=re.MULTILINE)
CAPTIONS = re.findall(r"^\*[^*]+\*$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
_, *SECTIONS = re.split(r"^## ", (RESULTS / "README.md").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.strip("*| ")[:30])
def test_a_finding_has_the_figures_of_the_files_it_links(row):
    links = [DOCS / link for link in re.findall(r"\]\(([^)]*\.csv)\)", row)]
    assert said_in(row) and said_in(row) <= known_by(links)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_a_result_has_the_figures_of_its_study_and_of_those_it_names(section):
    folders = [section.splitlines()[0], *re.findall(r"\(#(\w+)\)", section)]
    links = [RESULTS / link for link in re.findall(r"\]\(([^)]*\.csv)\)", section)]
    assert said_in(section) <= known_by(links).union(*map(known_in, folders))


@pytest.mark.parametrize("caption", CAPTIONS, ids=lambda caption: caption[:30])
def test_a_caption_of_the_readme_has_the_figures_of_the_reports_it_links(caption):
    folders = re.findall(r"\(sweeps/results/(\w+)/report\.md\)", caption)
    assert said_in(caption) and said_in(caption) <= set().union(*map(known_in, folders))


def known_in(folder: str) -> set[str]:
    """What the reports in a folder of committed results say."""
    reports = [path.read_text() for path in (RESULTS / folder).rglob("report.md")]
    return known_by([*(RESULTS / folder).rglob("*.csv")]).union(*map(said_in, reports))


def said_in(text: str) -> set[str]:
    """The means with their intervals, and the intervals of differences, in a document's text."""
    one_line = " ".join(text.split()).replace("+", "")
    return set(re.findall(r"\d+\.\d\d ± \d\.\d\d|-?\d+\.\d\d to -?\d+\.\d\d", one_line))


def known_by(paths: list[Path]) -> set[str]:
    """What follows from the csv files of reports, as documents write it."""
    finals = [path for path in paths if path.name == "final.csv"]
    return of_seeds(finals).union(*map(figures_in, paths))


def figures_in(path: Path) -> set[str]:
    """The means, and the ends of intervals, that follow from a csv, as documents write them."""
    rows = read_csv(path)
    if path.name == "effects.csv":
        return in_effects(rows)
    if path.name == "results.csv":
        names = [f"test_accuracy_last_{part}" for part in ("mean", "low", "high")]
        several = [row for row in rows if row[names[1]]]  # of one seed there is no interval
        triples = [[float(row[name]) for name in names] for row in several]
        return {written(mean, high - mean) for mean, _, high in triples}
    if path.name == "test_accuracy.csv":  # by epoch
        return {written(float(r["mean"]), float(r["high"]) - float(r["mean"])) for r in rows}
    if path.name == "pairs.csv":
        kinds = [kind for kind in ("", "family_") if rows and f"{kind}low" in rows[0]]
        ends = [(float(row[f"{k}low"]), float(row[f"{k}high"])) for row in rows for k in kinds]
        return {between(*pair) for low, high in ends for pair in ((low, high), (-high, -low))}
    return set()


def of_seeds(paths: list[Path]) -> set[str]:
    """What follows from the seeds in one or several final.csv: means, and differences of pairs."""
    seeds: dict[tuple[Path, str], dict[int, float]] = defaultdict(dict)
    for path in paths:
        rows = read_csv(path)
        [metric] = {"val_accuracy", "test_accuracy"}.intersection(rows[0])
        for row in rows:
            seeds[path, row["label"]][int(row["seed"])] = float(row[metric])
    found = set()
    for scores in seeds.values():
        score = stats.mean_interval(list(scores.values()))
        low, high = score.prediction
        found |= {written(score.mean, score.half_width), between(max(low, 0), min(high, 100))}
    for one in seeds.values():
        for two in seeds.values():
            if one is not two:
                difference = contrasts.compare([one, two])[0, 1].interval
                found.add(between(difference.low, difference.high))
    return found


def in_effects(rows: list[dict[str, str]]) -> set[str]:
    found = set()
    levels: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["high"]:
            mean, half = float(row["mean"]), float(row["high"]) - float(row["mean"])
            found.add(written(mean, half))
            levels[row["setting"]].append((mean, half))
    for pair in levels.values():
        if len(pair) == 2:
            (one, half), (two, _) = pair
            found.add(between(two - one - 2 * half, two - one + 2 * half))
    return found


def written(mean: float, half: float) -> str:
    return f"{mean:.2f} ± {half:.2f}"


def between(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}"
