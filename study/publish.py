"""The report as a team reads it on W&B: a Report and a saved workspace over a sweep's runs.

What is relied on, beside the package wandb-workspaces:

- A Report takes a picture by its address alone, and a file of a private project has none that
  every reader's browser may open. So the figures are logged as images by a run of their own (job
  type `report`), and panels show them to whoever may read the project.
- That run's summary keeps the addresses of the Report and the workspace, so that a second
  `study publish`, on another machine too, writes the same ones again.
- Panels are of the very runs that are in the report's means, by their ids. Lines are grouped by the
  settings that vary, which is what makes a variant; W&B's own band is a standard error.
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from study import online, runs, server
from study.config import Refused, slug
from study.pull import PAGE
from study.report import page
from study.report.drawing import Drawn
from study.report.settings import Setting, varying
from study.report.variants import SHOWN, Study, Variant, collect
from study.runs import Failed, Run

REPORT = "report"  # the job type of the run that holds the figures
FILES = ("index.html", "results.csv", "pairs.csv")  # of the report, uploaded with its figures
BANDS = (
    f"Of the best {SHOWN} variants at most. Bands are one standard error over seeds; the figures"
    " below have 95 % t intervals."
)
REPLACED = "Made by `study publish`, which replaces all of it the next time; comments stay."


@dataclass(frozen=True)
class Published:
    """The addresses of the Report and the workspace, and how many runs were uploaded first."""

    report: str
    workspace: str
    uploaded: int


@dataclass(frozen=True)
class Part:
    """A section of both: panels over runs (W&B ids), and the settings these are grouped by."""

    title: str
    ids: list[str]
    panels: list[Any]
    text: str = ""
    groups: tuple[str, ...] = ()


def publish(
    folder: Path, out: Path, target: float | None = None, project: str | None = None
) -> Published:
    """Write a sweep's report into `out`, and publish it on W&B; again, the same one is updated.

    Runs that W&B does not have yet are uploaded first. `target`: as for the report; `project`:
    ENTITY/PROJECT, where the run folders do not tell.

    Raises:
        Refused: no sweep's folder, no finished run, no API key, or a project that nobody names.
        Failed: no server answers, or it refuses what it is sent.
    """
    study = collect(folder)
    server.check_login()
    server.check_reachable()
    server.account()
    with _told(folder), server.environment(WANDB_SILENT="true"):
        entity, project = _place(folder, study, project)
        uploaded = _upload_missing(study, entity, project)
        story = page.tell(study, [folder], out, target)
        page.render(story, out)
        with _report_run(study.name, entity, project) as log:
            _send(log, story, out)
            log.summary["report"] = _write_report(log, study, story)
            log.summary["workspace"] = _write_workspace(log, study, story)
            return Published(log.summary["report"], log.summary["workspace"], uploaded)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What goes wrong between here and the server, in one line."""
    try:
        yield
    except Exception as error:
        # wandb's errors share no base class: that of its sidecar is private, and none of `Error`.
        if type(error).__module__.partition(".")[0] not in ("wandb", "requests"):
            raise
        why = server.reason(error)
        raise Failed(
            f"{folder}: the W&B server did not take it ({why}): publish again, which updates"
            " what is there"
        ) from error


def _place(folder: Path, study: Study, project: str | None) -> tuple[str, str]:
    """Entity and project: as asked for, else as the runs' folders tell."""
    import wandb

    told = {online.address(run).rpartition("/")[0] for run in study.all} - {""}
    account = wandb.Api().default_entity
    places = {p if "/" in p else f"{account}/{p}" for p in ({project} if project else told)}
    if not places:
        raise Refused(
            f"{folder}: its runs do not tell a W&B project: upload them with `study sweep FILE"
            " --online`, or name one with --project ENTITY/PROJECT"
        )
    if len(places) > 1:
        listed = ", ".join(sorted(places))
        raise Refused(f"{folder}: its runs are in several W&B projects; --project: one of {listed}")
    entity, _, name = places.pop().partition("/")
    return entity, name


def _id(run: Run) -> str:
    """The W&B id of a run; empty where it was never recorded."""
    return online.address(run).rpartition("/")[2]


def _find(entity: str, project: str, filters: dict[str, Any]) -> list[str]:
    """The ids of a project's runs that meet a filter, the newest first."""
    import wandb

    path = f"{entity}/{project}"
    try:
        return [run.id for run in wandb.Api().runs(path, filters, "-created_at", per_page=PAGE)]
    except ValueError:  # there is no such project yet
        return []


def _upload_missing(study: Study, entity: str, project: str) -> int:
    """Upload the trained runs that the server does not have; how many they were."""
    trained = [run for run in study.all if run.done]
    there = _find(entity, project, {"name": {"$in": [_id(run) for run in trained if _id(run)]}})
    missing = [run for run in trained if _id(run) not in there]
    for run in tqdm(missing, desc="upload", unit="run", disable=None):
        try:
            online.record(run, study.name, project, "online", entity)
        except OSError as error:
            raise Failed(
                f"{run.path}: cannot be uploaded ({error}): train it again, or pull it"
            ) from error
    return len(missing)


@contextlib.contextmanager
def _report_run(name: str, entity: str, project: str) -> Iterator[Any]:
    """The run that holds the figures of a sweep's report: the one there is, else a new one."""
    import wandb

    title = f"{name}: report"
    known = _find(entity, project, {"jobType": REPORT, "displayName": title})
    with tempfile.TemporaryDirectory() as folder:
        log = wandb.init(
            mode="online",
            dir=folder,
            entity=entity,
            project=project,
            id=known[0] if known else None,
            resume="allow",
            name=title,
            job_type=REPORT,
            tags=["norm-study", REPORT],
            settings=online.quiet(),
        )
        code = 1
        try:
            yield log
            code = 0
        finally:
            log.finish(exit_code=code)


def _send(log: Any, story: dict[str, Any], out: Path) -> None:
    """Log the figures, as the run's next step, and upload the files that the findings name."""
    import wandb

    images = {
        _key(figure): wandb.Image(
            str(out / "figures" / f"{figure.name}.png"),
            caption=f"{figure.title}. {figure.caption}",
        )
        for figures in _figures(story).values()
        for figure in figures
    }
    log.log(images)
    for name in dict.fromkeys([*FILES, *(finding.source for finding in story["findings"])]):
        online.upload(log, out / name)


def _key(figure: Drawn) -> str:
    """The image's key in the history, where a `.` would part it in two."""
    return "figures/" + re.sub(r"\W", "_", figure.name)


def _figures(story: dict[str, Any]) -> dict[str, list[Drawn]]:
    """The report's figures, by section."""
    drawn = dict(story["drawn"])
    sections = {"The variants compared": drawn.pop("compared")}
    if story["published"]:
        sections["Published and reproduced"] = [story["published"]["figure"]]
    if story["found"]:
        sections["What the search found"] = story["found"].figures
    sections |= drawn | {"What the norms do": story["explained"]}
    return {title: figures for title, figures in sections.items() if figures}


# What a Report and a workspace share.


def _parts(log: Any, study: Study, story: dict[str, Any]) -> list[Part]:
    """The sections, the same for both; made anew for each, since they lay out their panels."""
    settings = varying(study)
    best = [_id(variant.runs[0]) for variant in study.detailed]
    figures = _figures(story)
    groups = tuple(setting.name for setting in settings)
    compared = [
        Part("Curves", _ids(study.shown), _curves(study, figures), BANDS, groups),
        Part("Settings", _ids(study.variants), _settings(study, settings)),
        Part("Misclassified images", best, _tables(), "Of one run of each variant."),
    ]
    shown = [
        Part(title, [log.id], [_picture(figure) for figure in drawn])
        for title, drawn in figures.items()
    ]
    return [part for part in compared + shown if part.panels]


def _ids(variants: Iterable[Variant]) -> list[str]:
    return [_id(run) for variant in variants for run in variant.runs]


def _metric(study: Study) -> str:
    """What the variants are ranked by, as it is logged."""
    return "val/accuracy" if study.by_validation else "test/accuracy"


def _curves(study: Study, figures: dict[str, list[Drawn]]) -> list[Any]:
    """Line plots of the metrics that were logged, in the windows of our figures."""
    import wandb_workspaces.reports.v2 as wr

    windows = {figure.name: figure.window for drawn in figures.values() for figure in drawn}
    logged = {key for variant in study.variants for run in variant.runs for key in run.history[-1]}
    return [
        wr.LinePlot(
            title=metric,
            x="epoch",
            y=[metric],
            range_y=windows.get(slug(metric.replace("/", " "))) or (None, None),
            groupby_aggfunc="mean",
            groupby_rangefunc="stderr",
            max_runs_to_show=SHOWN,
            layout=wr.Layout(w=12, h=8),
        )
        for metric in reversed(runs.METRICS)
        if metric in logged
    ]


def _settings(study: Study, settings: list[Setting]) -> list[Any]:
    """Parallel coordinates and importance, where settings vary."""
    import wandb_workspaces.reports.v2 as wr

    if not settings:
        return []
    columns = [
        wr.ParallelCoordinatesPlotColumn(
            wr.Config(setting.name),
            display_name=setting.title,
            log=setting.log and 0 not in setting.values,
        )
        for setting in settings
    ]
    columns.append(wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(_metric(study))))
    return [
        wr.ParallelCoordinatesPlot(columns=columns, layout=wr.Layout(w=24, h=9)),
        wr.ParameterImportancePlot(with_respect_to=_metric(study), layout=wr.Layout(w=24, h=7)),
    ]


def _tables() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    table = wr.WeavePanelSummaryTable(table_name="misclassified", layout=wr.Layout(w=24, h=14))
    return [table]


def _picture(figure: Drawn) -> Any:
    import wandb_workspaces.reports.v2 as wr

    return wr.MediaBrowser(
        title=figure.title, media_keys=[_key(figure)], num_columns=1, layout=wr.Layout(w=12, h=10)
    )


def _title(study: Study) -> str:
    """The sweep's name, in letters that a Report's address and a workspace's name may have."""
    return runs.file_name(study.name)[:128]


def _only(ids: Iterable[str]) -> list[Any]:
    """A filter of runs: these."""
    from wandb_workspaces import expr

    return [expr.Metric("ID").isin(list(ids))]


def _known(load: Callable[[str], Any], url: str | None) -> Any:
    """What was published before; None where nothing was, or it was deleted since."""
    if not url:
        return None
    try:
        return load(url)
    except (TypeError, ValueError):  # so wandb-workspaces answers for one that is gone
        return None


# The Report.


def _write_report(log: Any, study: Study, story: dict[str, Any]) -> str:
    """Write the Report, the one that is known or a new one; its address."""
    import wandb_workspaces.reports.v2 as wr

    known = _known(wr.Report.from_url, log.summary.get("report"))
    report = known or wr.Report(entity=log.entity, project=log.project)
    report.title = _title(study)
    report.description = REPLACED
    report.width = "fluid"
    report.blocks = [
        wr.H2("Findings"),
        _findings(log, story),
        wr.MarkdownBlock(page.table(story)),
        *_searched(story),
        *[block for part in _parts(log, study, story) for block in _section(log, study, part)],
        wr.H2("Provenance"),
        wr.UnorderedList([f"{name}: {value}" for name, value in story["provenance"].items()]),
    ]
    return report.save().url


def _findings(log: Any, story: dict[str, Any]) -> Any:
    """The findings, each with a link to the file that its figures stand in."""
    import wandb_workspaces.reports.v2 as wr

    items = []
    for finding in story["findings"]:
        file = Path(finding.source).name
        link = wr.Link(text=file, url=f"{log.url}/files/{file}")
        items.append([f"{finding.text} (", link, ")"])
    return wr.UnorderedList(items)


def _searched(story: dict[str, Any]) -> list[Any]:
    """What else the report says in words: published figures, the search and its best."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = []
    if story["published"]:
        table = wr.MarkdownBlock(page.table(story, "published"))
        blocks += [wr.UnorderedList(story["published"]["sentences"]), table]
    if story["found"]:
        command = wr.InlineCode(story["found"].command)
        blocks += [wr.UnorderedList(story["found"].sentences)]
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
        order=[wr.OrderBy(wr.SummaryMetric(_metric(study)), ascending=False)],
    )
    grid = wr.PanelGrid(runsets=[runset], panels=part.panels, hide_run_sets=part.ids == [log.id])
    return [wr.H2(part.title), *([wr.P(part.text)] if part.text else []), grid]


# The workspace.


def _write_workspace(log: Any, study: Study, story: dict[str, Any]) -> str:
    """Write the saved workspace, the one that is known or a new one; its address."""
    import wandb_workspaces.workspaces as ws

    parts = _parts(log, study, story)
    known = _known(ws.Workspace.from_url, log.summary.get("workspace"))
    workspace = known or ws.Workspace(entity=log.entity, project=log.project)
    workspace.name = _title(study)
    workspace.sections = [_workspace_section("Findings", [_words(story)])] + [
        _workspace_section(part.title, part.panels) for part in parts
    ]
    workspace.settings.x_axis = "epoch"
    workspace.settings.max_runs = SHOWN
    shown = workspace.runset_settings
    shown.filters = _only([*_ids(study.variants), log.id])
    shown.groupby = [ws.Config(setting.name) for setting in varying(study)]
    shown.order = [ws.Ordering(ws.Summary(_metric(study)), ascending=False)]
    return workspace.save().url


def _workspace_section(title: str, panels: list[Any]) -> Any:
    import wandb_workspaces.workspaces as ws

    layout = ws.SectionLayoutSettings(columns=min(2, len(panels)), rows=min(2, len(panels)))
    return ws.Section(title, panels=panels, is_open=True, layout_settings=layout)


def _words(story: dict[str, Any]) -> Any:
    """The findings and the table in one panel."""
    import wandb_workspaces.reports.v2 as wr

    findings = "\n".join(f"- {finding.text}" for finding in story["findings"])
    return wr.MarkdownPanel(f"{findings}\n\n{page.table(story)}")
