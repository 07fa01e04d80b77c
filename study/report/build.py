"""A Report: everything that the report of a study shows, built from its runs.

To add a figure, write its module in figures/ and add a line to one of the lists of figures here.
"""

import dataclasses
import os
import shlex
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study import files
from study.config import slug, text
from study.report import effects, progress, results
from study.report.axis import varying
from study.report.effects import Effects
from study.report.explain import figure as explained
from study.report.figures import (
    best_so_far,
    confusion,
    curves,
    drawing,
    final,
    importance,
    live,
    misclassified,
    parallel,
    rendering,
    response,
    sparsity,
    styles,
    tradeoff,
    train_test,
    usage,
    weights,
)
from study.report.figures import effects as effects_figure
from study.report.figures import published as published_figure
from study.report.figures.drawing import SavedFigure
from study.report.figures.final import Forest
from study.report.figures.styles import Style
from study.report.progress import Progress
from study.report.text import (
    across_sweeps,
    card,
    classes,
    cost,
    findings,
    latex,
    missing,
    published,
    search,
    settings,
    steps,
)
from study.report.text import effects as effects_text
from study.report.text.across_sweeps import AcrossSweeps
from study.report.text.card import Card
from study.report.text.findings import Finding, Pair
from study.report.text.published import Comparisons
from study.report.text.search import Search
from study.report.text.table import Table
from study.report.variants import TEST, Study, Variant
from study.report.words import in_words, percent
from study.runs import FINISHED, Run

CURVES = ("test/accuracy", "test/loss", "train/accuracy", "train/loss")  # drawn of every study
FIGURES = "figures"  # the folder of the figures, in that of the report
NO_CURVES = "Each run has one epoch: there are no curves."
AT_A_GLANCE, GLANCE = 3, 240  # findings on top of the page, and the most letters of one


@dataclass(frozen=True)
class VariantRow:
    """A variant in the table of variants, as text; chosen: the metric that ranks the variants;
    number: its place among them, by which the graphs name it; look: there too."""

    number: int
    look: Style
    label: str
    parameters: str
    seeds: int
    chosen: str
    last: str
    best: str
    last5: str
    train: str
    loss: str
    seconds: str


@dataclass(frozen=True)
class RunRow:
    """A run in the table of runs, as text, with the addresses of its folder and its W&B page;
    chosen: see VariantRow."""

    label: str
    seed: int
    state: str
    epochs: int
    chosen: str
    last: str
    best: str
    loss: str
    seconds: str
    folder: str
    link: str
    url: str


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
    graphs: dict[str, live.Graph]
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
    unread: dict[str, str]  # run folder -> why it cannot be read
    provenance: dict[str, str]

    @property
    def numbered(self) -> list[tuple[str, Comparison]]:
        """The comparisons, each with the end of its sections' addresses, empty of a single one."""
        if len(self.comparisons) == 1:
            return [("", self.comparisons[0])]
        return [(f"-{i}", each) for i, each in enumerate(self.comparisons, 1)]

    @property
    def graphs(self) -> dict[str, live.Graph]:
        """The graphs of all comparisons, by the names of their figures."""
        return {name: graph for each in self.comparisons for name, graph in each.graphs.items()}


def build_report(
    study: Study,
    folders: Sequence[Path],
    folder: Path,
    target: float | None = None,
    best_epoch: bool = False,
) -> Report:
    """Build the report of the study in run `folders`; its figures and tables go into `folder`.

    target: a test accuracy in percent to draw a line at, by default the one that the study's sweep
    file sets. best_epoch: whether to draw the mistakes of the best epochs, too.

    Raises:
        UsageError: `folder` cannot be written.
    """
    files.check_writable(folder)
    norms = _norm_figures(folder / FIGURES, study)
    how_far = progress.read(folders)
    parts = study.by_dataset
    pairs = {dataset: findings.pairs(part) for dataset, part in parts.items()}
    comparisons = []
    for dataset, part in parts.items():
        place = slug(dataset) if len(parts) > 1 else ""
        lacking = missing.findings(part, counted=not how_far.is_done)
        made = _compare(part, pairs[dataset], lacking, folder, place, target, best_epoch)
        comparisons.append(made.in_folder(place) if place else made)
    _write_tables(folder, study, pairs, comparisons)
    report = Report(
        name=study.name,
        progress=None if how_far.is_done else how_far,
        tried=card.tried(study),
        command=f"study report {shlex.join(map(str, folders))}",
        comparisons=comparisons,
        norms=norms,
        states=Counter(run.state for run in study.all),
        unfinished=[run for run in study.all if run.state != FINISHED],
        duplicates=study.duplicates,
        unread=study.unread,
        provenance=_provenance(study),
    )
    rendering.finish_pngs()
    return report


def _compare(
    study: Study,
    pairs: list[Pair],
    lacking: list[Finding],
    folder: Path,
    place: str,
    target: float | None,
    best_epoch: bool,
) -> Comparison:
    """Compare the variants on one data set; the figures go to a `place` among the report's."""
    target = study.target if target is None else target
    figures = folder / FIGURES / place
    reproduced = published.reproduced(study.variants)
    compared = _compared_figures(figures, study, target)
    found = search.summarize(study)
    grid = effects.analyse(study)
    searched = _search_figures(figures, study, found, grid)
    [dataset] = study.by_dataset
    return Comparison(
        dataset=dataset,
        study=study,
        chosen_by="" if study.rank_key == TEST else study.metric.title,
        cards=card.cards(study, pairs),
        findings=findings.summarize(study, pairs, target, lacking, grid),
        forest=final.forest(study),
        variants=[_variant_row(study, variant) for variant in study.order],
        settings=settings.table(study),
        steps=steps.table(study),
        compared=compared,
        across_sweeps=across_sweeps.compare(study),
        published=published.compare(reproduced),
        published_figures=_drawn(published_figure.draw(figures, reproduced)),
        search=found,
        effects=effects_text.table(grid, study.metric),
        search_figures=searched,
        details=[_detail(figures, study, variant, best_epoch) for variant in study.detailed],
        runs=_run_rows(study, folder),
        shared=_shared_settings(study),
        cost=cost.table(study),
        graphs=live.build(study, compared + searched, target),
        groupings=live.groupings(study),
    )


def _write_tables(
    folder: Path,
    study: Study,
    pairs: Mapping[str, list[Pair]],
    comparisons: Sequence[Comparison],
) -> None:
    """Write the tables of a report, those of all data sets together: results.csv, pairs.csv,
    tables.tex and figures.tex, and of several sweeps sweeps.csv."""
    drawing.write_csv(folder / "results.csv", results.HEADER, results.rows(study))
    rows = [pair.row() for group in pairs.values() for pair in group]
    drawing.write_csv(folder / "pairs.csv", findings.PAIRS, rows)
    if any(each.across_sweeps for each in comparisons):
        compared = [each.across_sweeps for each in comparisons if each.across_sweeps]
        matches = [match.row() for each in compared for match in each.matches]
        drawing.write_csv(folder / "sweeps.csv", across_sweeps.HEADER, matches)
    tables = [
        latex.tables(each.study, pairs[each.dataset], each.published, len(comparisons) > 1)
        for each in comparisons
    ]
    files.write_text(folder / latex.NAME, latex.PREAMBLE + "\n".join(tables))
    figures = [
        latex.figures(
            each.study,
            ((f.name, f.title, f.caption) for group in each.figures.values() for f in group),
        )
        for each in comparisons
    ]
    files.write_text(folder / latex.FIGURES_NAME, latex.FIGURES_PREAMBLE + "\n".join(figures))


def _compared_figures(folder: Path, study: Study, target: float | None) -> list[SavedFigure]:
    """Draw the figures that compare the variants, in the order of the report."""
    metrics = [study.metric.name] * (study.metric.name not in CURVES) + [*CURVES]
    return _drawn(
        final.draw(folder, study),
        *(curves.draw(folder, study, each, target) for each in metrics if study.has_curves),
        tradeoff.draw(folder, study, "parameters"),
        weights.draw(folder, study),
        misclassified.draw_shared(folder, study),
        usage.draw(folder, study),
    )


def _search_figures(
    folder: Path, study: Study, found: Search | None, grid: Effects | None
) -> list[SavedFigure]:
    """Draw how accuracy depends on the settings that vary, and how a search went."""
    if len(study.variants) < 2:
        return []
    varied = varying(study)
    figures = [effects_figure.draw(folder, study, grid)]
    for axis in varied:
        if axis.numeric:
            figures.append(response.draw(folder, study, axis, varied))
            figures.append(sparsity.draw(folder, study, axis, varied))
    if len(study.variants) >= search.SEVERAL:
        if len(varied) > 1:
            figures.append(importance.draw(folder, study, varied))
            figures.append(parallel.draw(folder, study, varied))
        if found:
            figures.append(best_so_far.draw(folder, study))
    return _drawn(*figures)


def _detail(folder: Path, study: Study, variant: Variant, best_epoch: bool) -> Detail:
    """Draw the figures of a variant by itself."""
    figures = _drawn(
        train_test.draw(folder, variant) if len(variant.epochs) > 1 else None,
        *misclassified.draw(folder, variant),
        confusion.draw(folder, variant),
        misclassified.draw_at_best(folder, variant) if best_epoch else None,
        confusion.draw_at_best(folder, variant) if best_epoch else None,
    )
    return Detail(
        study.number(variant), variant.label, figures, classes.table(variant), variant.parameters
    )


def _norm_figures(folder: Path, study: Study) -> list[SavedFigure]:
    """Draw the normalizations by hand, where the study compares some."""
    norms = {run.config.norm for run in study.all} - {"none"}
    return explained.write(folder) if len(norms) > 1 else []


def _drawn(*figures: SavedFigure | None) -> list[SavedFigure]:
    """The figures without those that had nothing to show."""
    return [figure for figure in figures if figure]


def _variant_row(study: Study, variant: Variant) -> VariantRow:
    figures = results.figures_of(variant)
    chosen = in_words(variant.last(study.rank_key), study.metric).removesuffix(" %")
    last5 = figures.get("test_accuracy_last5_min")
    return VariantRow(
        number=study.number(variant),
        look=styles.of(study, variant),
        label=variant.label,
        parameters=f"{figures['parameters']:,}",
        seeds=len(variant.runs),
        chosen=chosen,
        last=percent(variant.last(TEST)).removesuffix(" %"),
        best=f"{figures['test_accuracy_best_mean']:.2f}",
        last5=f"{last5:.2f}" if last5 is not None else "",
        train=f"{figures['train_accuracy_last_mean']:.2f}",
        loss=f"{figures['test_loss_last_mean']:.4f}",
        seconds=f"{figures['seconds_mean'] / variant.config.epochs:.1f}",
    )


def _run_rows(study: Study, folder: Path) -> list[RunRow]:
    """All runs, duplicates too, with links from the report's folder."""
    labels = dict.fromkeys([variant.label for variant in study.order] + list(study.runs))
    labelled = [(label, run) for label in labels for run in study.runs[label]]
    labelled += [("a duplicate", run) for run in study.duplicates]
    return [
        RunRow(
            label=label,
            seed=run.config.seed,
            state=run.state,
            epochs=len(run.history),
            chosen=_cell(run, study.rank_key, 2 if study.metric.is_accuracy else 4),
            last=_cell(run, TEST, 2),
            best=_cell(run, "test_accuracy_best", 2),
            loss=_cell(run, "test_loss_last", 4),
            seconds=_cell(run, "seconds", 0),
            folder=run.path.name,
            link=urllib.parse.quote(os.path.relpath(run.path.resolve(), folder.resolve())),
            url=_web_address(run.summary.get("url")),
        )
        for label, run in labelled
    ]


def _cell(run: Run, key: str, digits: int) -> str:
    value = run.summary.get(key)
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else ""


def _web_address(url: Any) -> str:
    """An address of the web; any other, such as a script, is left out."""
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""


def _shared_settings(study: Study) -> dict[str, str]:
    configs = [dataclasses.asdict(run.config) for run in study.all]
    values = {name: {config[name] for config in configs} for name in results.SETTINGS}
    return {name: text(*several) for name, several in values.items() if len(several) == 1}


def _provenance(study: Study) -> dict[str, str]:
    """Where the numbers come from: commits, devices and versions, each value that occurs."""

    def listed(values: list[Any]) -> str:
        known = sorted({str(value) for value in values if value is not None})
        return ", ".join(known) or "unknown"

    summaries = [run.summary for variant in study.variants for run in variant.runs]
    versions = defaultdict(list)
    for summary in summaries:
        for package, version in summary.get("versions", {}).items():
            versions[package].append(version)
    minutes = sum(summary["seconds"] for summary in summaries) / 60
    paths = [f"{s['path']}, {s['pack']} at once" for s in summaries if "path" in s]
    return {
        "commit": listed([summary.get("git_commit") for summary in summaries]),
        "device": listed([summary.get("device") for summary in summaries]),
        "threads": listed([summary.get("threads") for summary in summaries]),
        "trained by": listed(paths),
        "training time": f"{minutes:.1f} minutes over all runs",
    } | {package: listed(values) for package, values in versions.items()}
