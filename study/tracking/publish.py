"""The report as a team reads it on W&B: a Report and a saved workspace over a sweep's runs.

What is relied on, beside the package wandb-workspaces:

- A Report takes a picture by its address alone, and a file of a private project has none that
  every reader's browser may open. So a run of job type `report` logs the figures as images, and
  panels show them to whoever may read the project.
- That run's summary keeps the addresses of the Report and the workspace, so that a second
  `study publish` of the sweep, on another machine too, writes the same ones again.
- Panels show exactly the runs that are in the report's means, by their ids. Lines are grouped by
  the settings that vary, which make a variant; W&B's own band is a standard error.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from study import files
from study.errors import RunError, UsageError, first_line
from study.report import page
from study.report.build import build_report
from study.report.grouping import collect
from study.report.parts import FIGURES, Report
from study.report.study import Study
from study.tracking import client, logger, marks, panels, pull, recording
from study.tracking.client import PAGE

REPORT = "report"  # the job type of the run that holds the figures
UPLOADED = ("index.html", "results.csv", "pairs.csv")  # files of the report


@dataclass(frozen=True)
class Published:
    """The addresses of the Report and the workspace, and the number of runs uploaded first."""

    report: str
    workspace: str
    uploaded: int


def publish(
    sweep: Path, folder: Path, target: float | None = None, project: str | None = None
) -> Published:
    """Write a sweep's report into `folder`, and publish it on W&B, over the one published before.

    Runs that W&B does not have yet are uploaded first.

    Args:
        sweep: the folder of its runs.
        folder: where the report goes on this machine.
        target: a test accuracy in percent, to draw a line at.
        project: ENTITY/PROJECT; by default that of the runs.

    Raises:
        UsageError: no sweep's folder, no finished run, no API key, or no project.
        RunError: no server answers, or it refuses what it is sent.
    """
    study = collect(sweep)
    client.forget_assigned_run()
    client.check_server()
    client.account()
    with _one_line_errors(sweep), client.environment(WANDB_SILENT="true"):
        entity, project = _find_project(sweep, study, project)
        uploaded = _upload_missing(study, entity, project)
        report = build_report(study, [sweep], folder, target)
        page.render(report, folder)
        with _report_run(study.name, pull.sweep_of(sweep), entity, project) as wandb_run:
            _upload_report(wandb_run, report, folder)
            wandb_run.summary["report"] = panels.write_report(wandb_run, study, report)
            wandb_run.summary["workspace"] = panels.write_workspace(wandb_run, study, report)
            return Published(wandb_run.summary["report"], wandb_run.summary["workspace"], uploaded)


@contextlib.contextmanager
def _one_line_errors(sweep: Path) -> Iterator[None]:
    """Turn an error of the wandb client into one line."""
    try:
        yield
    except Exception as error:
        # wandb's errors share no base class: that of its sidecar is private, and none of `Error`.
        if type(error).__module__.partition(".")[0] not in ("wandb", "requests"):
            raise
        raise RunError(
            f"{sweep}: the W&B server did not take it ({first_line(error)}): publish again, which"
            " updates what is there"
        ) from error


def _find_project(sweep: Path, study: Study, project: str | None) -> tuple[str, str]:
    """Entity and project: those asked for, else those that the run folders name."""
    import wandb

    recorded = {marks.address(run).rpartition("/")[0] for run in study.all} - {""}
    account = wandb.Api().default_entity
    names = {project} if project else recorded
    projects = {name if "/" in name else f"{account}/{name}" for name in names}
    if not projects:
        raise UsageError(
            f"{sweep}: its runs name no W&B project: upload them with `study sweep FILE"
            " --online`, or name one with --project ENTITY/PROJECT"
        )
    if len(projects) > 1:
        listed = ", ".join(sorted(projects))
        raise UsageError(
            f"{sweep}: its runs are in several W&B projects; --project: one of {listed}"
        )
    entity, _, name = projects.pop().partition("/")
    return entity, name


def _find_runs(entity: str, project: str, filters: dict[str, Any]) -> list[str]:
    """The ids of a project's runs that meet a filter, the newest first."""
    import wandb

    path = f"{entity}/{project}"
    try:
        return [run.id for run in wandb.Api().runs(path, filters, "-created_at", per_page=PAGE)]
    except ValueError:  # there is no such project yet
        return []


def _upload_missing(study: Study, entity: str, project: str) -> int:
    """Upload the trained runs that the server does not have; return their number."""
    ended = [run for run in study.all if run.done]
    ids = [id for run in ended if (id := marks.wandb_id(run))]
    uploaded = _find_runs(entity, project, {"name": {"$in": ids}})
    missing = [run for run in ended if marks.wandb_id(run) not in uploaded]
    for run in tqdm(missing, desc="upload", unit="run", disable=None):
        try:
            recording.record(run, study.name, project, "online", entity)
        except OSError as error:
            raise RunError(
                f"{run.path}: cannot be uploaded ({error}): train it again, or pull it"
            ) from error
    return len(missing)


@contextlib.contextmanager
def _report_run(name: str, sweep: str, entity: str, project: str) -> Iterator[Any]:
    """Open the run that holds the figures of a sweep's report: the same again, or a new one. Its
    group tells sweeps of one name apart, which are one where none was pulled."""
    import wandb

    title, group = f"{name}: report", sweep.rpartition("/")[2] or name
    is_ours = {"jobType": REPORT, "displayName": title, "group": group}
    known = _find_runs(entity, project, is_ours)
    with files.temporary_folder() as folder:
        wandb_run = wandb.init(
            mode="online",
            dir=folder,
            entity=entity,
            project=project,
            id=known[0] if known else None,
            resume="allow",
            name=title,
            group=group,
            job_type=REPORT,
            tags=[logger.TAG, REPORT],
            settings=logger.quiet(),
        )
        code = 1
        try:
            yield wandb_run
            code = 0
        finally:
            wandb_run.finish(exit_code=code)


def _upload_report(wandb_run: Any, report: Report, folder: Path) -> None:
    """Log the figures, as the run's next step, and upload the files that the findings name."""
    import wandb

    figures = [
        each for part in report.comparisons for group in part.figures.values() for each in group
    ]
    images = {
        panels.key(figure): wandb.Image(
            str(folder / FIGURES / f"{figure.name}.png"),
            caption=f"{figure.title}. {figure.caption}",
        )
        for figure in [*figures, *report.norms]
    }
    wandb_run.log(images)
    sources = [finding.source for part in report.comparisons for finding in part.findings]
    for name in dict.fromkeys([*UPLOADED, *sources]):
        logger.upload(wandb_run, folder / name, panels.file_name(name))
