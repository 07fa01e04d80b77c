"""What a Report consists of: a Comparison for each data set, and what they share."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.report.figures.drawing import SavedFigure
from study.report.figures.final import Forest
from study.report.figures.traces import Plot
from study.report.progress import Progress
from study.report.rows import RunRow, VariantRow
from study.report.study import Study
from study.report.text import findings
from study.report.text.across_sweeps import AcrossSweeps
from study.report.text.card import Card
from study.report.text.findings import Finding
from study.report.text.published import Comparisons
from study.report.text.search import Search
from study.report.text.table import Table
from study.runs import Run

FIGURES = "figures"  # the folder of the figures, in that of the report
NO_CURVES = "Each run has one epoch: there are no curves."
AT_A_GLANCE, GLANCE = 3, 240  # findings on top of the page, and the most letters of one


@dataclass(frozen=True)
class Detail:
    """The section of a variant: its figures, its scores by class and its layers."""

    number: int
    label: str
    figures: list[SavedFigure]
    classes: list[list[str]]
    layers: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What the report shows of the variants on one data set, which it compares with each other.
    Its figures and tables are files in the report's folder."""

    dataset: str
    study: Study
    chosen_by: str  # the metric that ranks the variants, where that is not the test accuracy
    cards: list[Card]
    findings: list[Finding]
    forest: Forest
    variants: list[VariantRow]
    settings: Table | None  # of several sweeps
    steps: Table | None  # where the sweep file describes some
    compared: list[SavedFigure]
    across_sweeps: AcrossSweeps | None  # of several sweeps
    published: Comparisons | None  # where the runs are those of a published study
    published_figures: list[SavedFigure]
    search: Search | None  # where something searched
    effects: Table | None  # of a complete grid
    search_figures: list[SavedFigure]
    details: list[Detail]  # the best variant first
    runs: list[RunRow]
    shared: dict[str, str]  # settings that all runs have in common
    cost: Table
    graphs: dict[str, Plot]
    groupings: list[dict[str, Any]]  # by what the graphs may be coloured

    @property
    def first_findings(self) -> list[Finding]:
        """The few that are read at a glance, beside the cards, which say others: short ones, and
        what the settings of a grid do, which it was made for."""
        short = [
            each
            for each in self.findings
            if not each.in_card and (len(each.text) <= GLANCE or each.source == findings.EFFECTS)
        ]
        return short[:AT_A_GLANCE]

    @property
    def more_findings(self) -> list[Finding]:
        """All that are not on top, in full."""
        return [finding for finding in self.findings if finding not in self.first_findings]

    @property
    def on_top(self) -> list[SavedFigure]:
        """The two graphs of the first screen: the metric that ranks, and another."""
        return self.compared[1:3] if self.study.has_curves else []

    @property
    def no_curves(self) -> str:
        """What is said in the place of curves; empty where there are some."""
        return "" if self.study.has_curves else NO_CURVES

    @property
    def below(self) -> list[SavedFigure]:
        """The other figures that compare the variants."""
        return self.compared[1 + len(self.on_top) :]

    @property
    def has_last5(self) -> bool:
        """Whether any variant trained long enough to have a minimum of its last epochs."""
        return any(row.last5 for row in self.variants)

    @property
    def search_title(self) -> str:
        """The title of the section on settings: of a grid nothing was searched."""
        return "What the search found" if self.search else "Accuracy by setting"

    @property
    def figures(self) -> dict[str, list[SavedFigure]]:
        """All figures, by the title of their section; without empty sections."""
        sections = {
            "The variants compared": self.compared,
            "Published and reproduced": self.published_figures,
            self.search_title: self.search_figures,
            **{detail.label: detail.figures for detail in self.details},
        }
        return {title: figures for title, figures in sections.items() if figures}

    def in_folder(self, folder: str) -> "Comparison":
        """The same, of files in a `folder` of their own in that of the figures."""

        def moved(figures: Sequence[SavedFigure]) -> list[SavedFigure]:
            return [dataclasses.replace(each, name=f"{folder}/{each.name}") for each in figures]

        def source(path: str) -> str:
            return path.replace(f"{FIGURES}/", f"{FIGURES}/{folder}/", 1)

        return dataclasses.replace(
            self,
            findings=[
                dataclasses.replace(each, source=source(each.source)) for each in self.findings
            ],
            compared=moved(self.compared),
            published_figures=moved(self.published_figures),
            search_figures=moved(self.search_figures),
            details=[
                dataclasses.replace(each, figures=moved(each.figures)) for each in self.details
            ],
            graphs={f"{folder}/{name}": graph for name, graph in self.graphs.items()},
        )


@dataclass(frozen=True)
class Report:
    """What the report of a study shows: a comparison for each data set, and what they share."""

    name: str
    progress: Progress | None  # where runs are left to run
    tried: str  # what was tried, in a line
    command: str  # that makes it again
    comparisons: list[Comparison]
    norms: list[SavedFigure]
    states: dict[str, int]
    unfinished: list[Run]
    duplicates: list[Run]
    unread: dict[str, list[str]]  # why they cannot be read -> run folders
    provenance: dict[str, str]

    @property
    def numbered(self) -> list[tuple[str, Comparison]]:
        """The comparisons, each with the end of its sections' addresses, empty of a single one."""
        if len(self.comparisons) == 1:
            return [("", self.comparisons[0])]
        return [(f"-{i}", each) for i, each in enumerate(self.comparisons, 1)]

    @property
    def graphs(self) -> dict[str, Plot]:
        """The graphs of all comparisons, by the names of their figures."""
        return {name: graph for each in self.comparisons for name, graph in each.graphs.items()}
