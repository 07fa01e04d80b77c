"""The Report and the saved workspace on W&B: the same sections of panels, and words."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study import escape, files, runs
from study.errors import RunError, describe
from study.report import page
from study.report.axis import Axis, varying
from study.report.build import Report
from study.report.figures import curves
from study.report.figures.drawing import SavedFigure
from study.report.variants import SHOWN, Study, Variant
from study.tracking import marks

BANDS = (
    f"Of the best {SHOWN} variants at most. Bands are one standard error over seeds; the figures"
    " below have 95 % t intervals."
)
REPLACED = "Made by `study publish`, which replaces all of it the next time; comments stay."

# What wandb-workspaces says of a workspace that is no more, and Python of a Report that is None.
DELETED = ("not found in project", "argument of type 'NoneType'")


@dataclass(frozen=True)
class Part:
    """A section of both: panels over runs (W&B ids), and the settings that group the runs."""

    title: str
    ids: list[str]
    panels: list[Any]
    text: str = ""
    groups: tuple[str, ...] = ()


def key(figure: SavedFigure) -> str:
    """A figure's key in the history of the report's run, where a `.` would split it."""
    return "figures/" + re.sub(r"\W", "_", figure.name)


def _parts(log: Any, study: Study, report: Report) -> list[Part]:
    """Build the sections; anew for the Report and the workspace, which lay out their panels."""
    varied = varying(study)
    best = [marks.wandb_id(variant.runs[0]) for variant in study.detailed]
    groups = tuple(axis.name for axis in varied)
    parts = [
        Part("Curves", _ids(study.shown), _curves(study, report), BANDS, groups),
        Part("Settings", _ids(study.variants), _settings(study, varied)),
        Part("Misclassified images", best, _tables(), "Of one run of each variant."),
    ]
    parts += [
        Part(title, [log.id], [_picture(figure) for figure in figures])
        for title, figures in report.figures.items()
    ]
    return [part for part in parts if part.panels]


def _ids(variants: Iterable[Variant]) -> list[str]:
    return [marks.wandb_id(run) for variant in variants for run in variant.runs]


def _curves(study: Study, report: Report) -> list[Any]:
    """Line plots of the metrics that were logged, with the axis limits of our figures."""
    import wandb_workspaces.reports.v2 as wr

    windows = {figure.name: figure.window for figure in report.compared}
    logged = {key for variant in study.variants for run in variant.runs for key in run.history[-1]}
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
        for metric in reversed(runs.METRICS)
        if metric in logged
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


def write_report(log: Any, study: Study, report: Report) -> str:
    """Write the Report, over the one published before or as a new one; return its address."""
    import wandb_workspaces.reports.v2 as wr

    published = _load(wr.Report.from_url, log.summary.get("report"))
    # To a type checker the package's dataclass fields have no defaults.
    online = published or wr.Report(project=log.project, entity=log.entity)  # type: ignore[call-arg]
    online.title = _title(study)
    online.description = REPLACED
    online.width = "fluid"
    online.blocks = [
        wr.H2("Findings"),
        _findings(log, report),
        wr.MarkdownBlock(page.variants_table(report)),
        *_summaries(report),
        *[block for part in _parts(log, study, report) for block in _section(log, study, part)],
        wr.H2("Provenance"),
        wr.UnorderedList([f"{name}: {value}" for name, value in report.provenance.items()]),
    ]
    return online.save().url


def _findings(log: Any, report: Report) -> Any:
    """The findings, each with a link to the file that its figures are in."""
    import wandb_workspaces.reports.v2 as wr

    items: list[Any] = []
    for finding in report.findings:
        file = Path(finding.source).name
        link = wr.Link(text=file, url=f"{log.url}/files/{file}")
        items.append([f"{finding.text} (", link, ")"])
    return wr.UnorderedList(items)


def _summaries(report: Report) -> list[Any]:
    """The steps, the sentences on published figures, and those on the search and its best."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = []
    if report.steps:
        blocks.append(wr.MarkdownBlock(page.steps_table(report)))
    if report.published:
        table = wr.MarkdownBlock(page.published_table(report))
        blocks += [wr.UnorderedList([*report.published.sentences]), table]
    if report.search:
        command = wr.InlineCode(report.search.command)
        blocks += [wr.UnorderedList([*report.search.sentences])]
        blocks += [wr.P(["To train the best again over seeds of its own: ", command])]
    return blocks


def _section(log: Any, study: Study, part: Part) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    runset = wr.Runset(
        entity=log.entity,
        project=log.project,
        name=part.title,
        filters=_only(part.ids),
        groupby=[f"config.{name}" for name in part.groups],
        order=[
            wr.OrderBy(wr.SummaryMetric(study.metric.name), ascending=not study.metric.maximize)
        ],
    )
    grid = wr.PanelGrid(runsets=[runset], panels=part.panels, hide_run_sets=part.ids == [log.id])
    return [wr.H2(part.title), *([wr.P(part.text)] if part.text else []), grid]


# The workspace.


def write_workspace(log: Any, study: Study, report: Report) -> str:
    """Write the workspace, over the one published before or as a new one; return its address."""
    import wandb_workspaces.workspaces as ws

    parts = _parts(log, study, report)
    published = _load(ws.Workspace.from_url, log.summary.get("workspace"))
    workspace = published or ws.Workspace(entity=log.entity, project=log.project)
    workspace.name = _title(study)
    workspace.sections = [_workspace_section("Findings", [_markdown(report)])] + [
        _workspace_section(part.title, part.panels) for part in parts
    ]
    workspace.settings.x_axis = "epoch"
    workspace.settings.max_runs = SHOWN
    runset = workspace.runset_settings
    runset.filters = _only([*_ids(study.variants), log.id])
    runset.groupby = [ws.Config(axis.name) for axis in varying(study)]
    by, upwards = ws.Summary(study.metric.name), not study.metric.maximize
    runset.order = [ws.Ordering(by, ascending=upwards)]
    return workspace.save().url


def _workspace_section(title: str, panels: list[Any]) -> Any:
    import wandb_workspaces.workspaces as ws

    layout = ws.SectionLayoutSettings(columns=min(2, len(panels)), rows=min(2, len(panels)))
    return ws.Section(title, panels=panels, is_open=True, layout_settings=layout)


def _markdown(report: Report) -> Any:
    """The findings and the table in one panel."""
    import wandb_workspaces.reports.v2 as wr

    findings = "\n".join(f"- {escape.markdown(finding.text)}" for finding in report.findings)
    return wr.MarkdownPanel(f"{findings}\n\n{page.variants_table(report)}")
