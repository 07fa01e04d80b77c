"""The Report and the saved workspace on W&B: the same sections, in the order of the page."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from study import escape, files
from study.errors import RunError, describe, without_password
from study.metrics import METRICS
from study.report import page
from study.report.axis import Axis, varying
from study.report.figures import curves
from study.report.figures.drawing import SavedFigure
from study.report.parts import FIGURES, Comparison, Report
from study.report.study import SHOWN, Study
from study.report.variants import Variant
from study.tracking import marks

BANDS = (
    f"Of the best {SHOWN} variants at most. Bands are one standard error over seeds; the figures"
    " below have 95 % t intervals."
)
REPLACED = "Made by `study publish`, which replaces all of it the next time; comments stay."

# What wandb-workspaces says of a workspace that is no more, and Python of a Report that is None.
DELETED = ("not found in project", "argument of type 'NoneType'")


@dataclass(frozen=True)
class Section:
    """A section of both: words in Markdown, and panels over runs (W&B ids), which the settings
    `groups` group."""

    title: str
    words: str = ""
    ids: Sequence[str] = ()
    panels: Sequence[Any] = ()
    groups: tuple[str, ...] = ()


def key(figure: SavedFigure) -> str:
    """A figure's key in the history of the report's run, where a `.` would split it."""
    return "figures/" + re.sub(r"\W", "_", figure.name)


def file_name(source: str) -> str:
    """The name of a file of the report among those of the report's run."""
    return source.removeprefix(f"{FIGURES}/")


def _sections(wandb_run: Any, report: Report) -> list[Section]:
    """Build the sections; anew for the Report and the workspace, which lay out their panels."""
    sections = [Section("Progress", report.progress.words if report.progress else "")]
    for at, part in report.numbered:
        for section in _compared(wandb_run, part):
            title = f"{section.title}, on {part.dataset}" if at else section.title
            sections.append(dataclasses.replace(section, title=title))
    sections.append(_pictures(wandb_run, "What the norms do", report.norms))
    provenance = [f"{name}: {value}" for name, value in report.provenance.items()]
    sections.append(Section("Provenance", _bullets(provenance)))
    return [section for section in sections if section.words or section.panels]


def _compared(wandb_run: Any, part: Comparison) -> list[Section]:
    """The sections on the variants on one data set."""
    study = part.study
    varied = varying(study)
    best = [marks.wandb_id(variant.runs[0]) for variant in study.detailed]
    groups = tuple(axis.name for axis in varied)
    return [
        _pictures(wandb_run, "Findings", part.compared[:1], _findings(wandb_run, part)),
        Section("Curves", part.no_curves or BANDS, _ids(study.shown), _curves(part), groups),
        Section("Variants", page.variants_table(part)),
        Section("Step by step", page.markdown_table(part.steps) if part.steps else ""),
        _pictures(wandb_run, "The same with 95 % intervals", part.on_top),
        _pictures(wandb_run, "More graphs", part.below),
        _pictures(wandb_run, "Published and reproduced", part.published_figures, _published(part)),
        Section("Settings", "", _ids(study.variants), _settings(study, varied)),
        _pictures(wandb_run, part.search_title, part.search_figures, _search(part)),
        *(_pictures(wandb_run, detail.label, detail.figures) for detail in part.details),
        Section("Misclassified images", "Of one run of each variant.", best, _tables()),
    ]


def _pictures(
    wandb_run: Any, title: str, figures: Iterable[SavedFigure], words: str = ""
) -> Section:
    return Section(title, words, [wandb_run.id], [_picture(figure) for figure in figures])


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escape.markdown(sentence)}" for sentence in sentences)


def _findings(wandb_run: Any, part: Comparison) -> str:
    """The cards, and the findings, each with a link to the file that its figures are in."""
    address = without_password(wandb_run.url)
    findings = [
        escape.Markdown(
            f"{escape.markdown(finding.text)} ([{name}]({address}/files/{quote(name)}))"
        )
        for finding in part.findings
        for name in [file_name(finding.source)]
    ]
    return f"{page.cards(part)}\n\n{_bullets(findings)}"


def _published(part: Comparison) -> str:
    """The sentences on published figures, and their table."""
    if not part.published:
        return ""
    return f"{_bullets(part.published.sentences)}\n\n{page.markdown_table(part.published.table)}"


def _search(part: Comparison) -> str:
    """The sentences on the search, and the command that trains its best again."""
    if not part.search:
        return ""
    again = f"To train the best again over seeds of its own: {escape.code(part.search.command)}"
    return f"{_bullets(part.search.sentences)}\n\n{again}"


def _ids(variants: Iterable[Variant]) -> list[str]:
    return [marks.wandb_id(run) for variant in variants for run in variant.runs]


def _curves(part: Comparison) -> list[Any]:
    """Line plots of the metrics that were logged, with the axis limits of our figures."""
    import wandb_workspaces.reports.v2 as wr

    windows = {Path(figure.name).name: figure.window for figure in part.compared}
    logged = {
        key for variant in part.study.variants for run in variant.runs for key in run.history[-1]
    }
    return [
        wr.LinePlot(
            title=metric,
            x="epoch",
            y=[metric],
            range_y=windows.get(curves.name(metric)) or (None, None),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_runs_to_show=SHOWN,
            layout=wr.Layout(w=12, h=8),
        )
        for metric in reversed(METRICS)
        if metric in logged and part.study.has_curves
    ]


def _settings(study: Study, varied: Sequence[Axis]) -> list[Any]:
    """Parallel coordinates and importance, where settings vary."""
    import wandb_workspaces.reports.v2 as wr

    if not varied:
        return []
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            wr.Config(axis.name),
            display_name=axis.title,
            log=axis.log and 0 not in axis.values,
        )
        for axis in varied
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(study.metric.name)))
    return [
        wr.ParallelCoordinatesPlot(columns=columns, layout=wr.Layout(w=24, h=9)),
        wr.ParameterImportancePlot(with_respect_to=study.metric.name, layout=wr.Layout(w=24, h=7)),
    ]


def _tables() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    table = wr.WeavePanelSummaryTable(table_name="misclassified", layout=wr.Layout(w=24, h=14))
    return [table]


def _picture(figure: SavedFigure) -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.MediaBrowser(
        title=figure.title, media_keys=[key(figure)], num_columns=1, layout=wr.Layout(w=12, h=10)
    )


def _title(study: Study) -> str:
    """The sweep's name, without letters that the address of a Report may not have."""
    return files.file_name(study.name)[:128]


def _only(ids: Iterable[str]) -> list[Any]:
    """A filter that these runs alone pass."""
    from wandb_workspaces import expr

    return [expr.Metric("ID").isin(list(ids))]


def _load(load: Callable[[str], Any], url: str | None) -> Any:
    """Load what was published before; None where nothing was, or it was deleted since.

    Raises:
        RunError: it is there and cannot be read; publishing would put another beside it.
    """
    if not url:
        return None
    try:
        return load(url)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if any(words in str(error) for words in DELETED):
            return None
        raise RunError(
            f"{url}: cannot be read ({describe(error)}): delete it on W&B, and publish again"
        ) from error


# The Report.


def write_report(wandb_run: Any, study: Study, report: Report) -> str:
    """Write the Report, over the one published before or as a new one; return its address."""
    import wandb_workspaces.reports.v2 as wr

    published = _load(wr.Report.from_url, wandb_run.summary.get("report"))
    # To a type checker the package's dataclass fields have no defaults.
    online = published or wr.Report(project=wandb_run.project, entity=wandb_run.entity)  # type: ignore[call-arg]
    online.title = _title(study)
    online.description = REPLACED
    online.width = "fluid"
    online.blocks = [
        block
        for section in _sections(wandb_run, report)
        for block in _blocks(wandb_run, study, section)
    ]
    return without_password(online.save().url)


def _blocks(wandb_run: Any, study: Study, section: Section) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [wr.H2(section.title)]
    if section.words:
        blocks.append(wr.MarkdownBlock(section.words))
    if section.panels:
        runset = wr.Runset(
            entity=wandb_run.entity,
            project=wandb_run.project,
            name=section.title,
            filters=_only(section.ids),
            groupby=[f"config.{name}" for name in section.groups],
            order=[
                wr.OrderBy(wr.SummaryMetric(study.metric.name), ascending=not study.metric.maximize)
            ],
        )
        pictures = section.ids == [wandb_run.id]
        blocks.append(
            wr.PanelGrid(runsets=[runset], panels=[*section.panels], hide_run_sets=pictures)
        )
    return blocks


# The workspace.


def write_workspace(wandb_run: Any, study: Study, report: Report) -> str:
    """Write the workspace, over the one published before or as a new one; return its address."""
    import wandb_workspaces.workspaces as ws

    published = _load(ws.Workspace.from_url, wandb_run.summary.get("workspace"))
    workspace = published or ws.Workspace(entity=wandb_run.entity, project=wandb_run.project)
    workspace.name = _title(study)
    workspace.sections = [_workspace_section(section) for section in _sections(wandb_run, report)]
    workspace.settings.x_axis = "epoch"
    workspace.settings.max_runs = SHOWN
    runset = workspace.runset_settings
    runset.filters = _only([*_ids(study.variants), wandb_run.id])
    runset.groupby = [ws.Config(axis.name) for axis in varying(study)]
    by, upwards = ws.Summary(study.metric.name), not study.metric.maximize
    runset.order = [ws.Ordering(by, ascending=upwards)]
    return without_password(workspace.save().url)


def _workspace_section(section: Section) -> Any:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    words = [wr.MarkdownPanel(section.words)] if section.words else []
    panels = [*words, *section.panels]
    layout = ws.SectionLayoutSettings(columns=min(2, len(panels)), rows=min(2, len(panels)))
    return ws.Section(section.title, panels=panels, is_open=True, layout_settings=layout)
