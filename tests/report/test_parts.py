"""What a Report consists of: what stands on top, and where the files of a part are."""

import dataclasses

import pytest

from study.config import Config
from study.report import grouping
from study.report.build import build_report
from study.report.parts import AT_A_GLANCE, GLANCE
from study.report.text.findings import EFFECTS, Finding
from tests.report.conftest import curve


@pytest.fixture
def part(made, tmp_path, quick):
    """The comparison of two norms."""
    for norm, last in (("batch", 99.0), ("layer", 98.0)):
        made(Config(norm=norm), curve(last))
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    return report.comparisons[0]


def test_short_findings_that_no_card_says_are_on_top(part):
    said, long = Finding("In a card.", "x", in_card=True), Finding("x" * (GLANCE + 1), "x")
    effects, short = Finding("y" * (GLANCE + 1), EFFECTS), [Finding(f"{i}.", "x") for i in range(4)]
    part = dataclasses.replace(part, findings=[said, long, effects, *short])
    assert part.first_findings == [effects, *short][:AT_A_GLANCE]
    assert part.more_findings == [said, long, *short[2:]]


def test_each_figure_that_compares_stands_once(part):
    assert part.on_top == part.compared[1:3]
    assert [part.compared[0], *part.on_top, *part.below] == part.compared
    assert part.no_curves == "" and part.search_title == "Accuracy by setting"


def test_the_files_of_a_part_move_together(part):
    moved = part.in_folder("digits")
    names = [each.name for group in moved.figures.values() for each in group]
    assert names and all(name.startswith("digits/") for name in names)
    assert set(moved.graphs) <= set(names)
    sources = {each.source for each in moved.findings if each.source.startswith("figures/")}
    assert sources and all(source.startswith("figures/digits/") for source in sources)
