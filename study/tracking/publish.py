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
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from study.errors import RunError, UsageError, first_line
from study.report import page
from study.report.variants import Study, collect
from study.tracking import client, logger, panels
from study.tracking.pull import PAGE

REPORT = "report"  # the job type of the run that holds the figures
FILES = ("index.html", "results.csv", "pairs.csv")  # of the report, uploaded with its figures


@dataclass(frozen=True)
class Published:
    """The addresses of the Report and the workspace, and how many runs were uploaded first."""

    report: str
    workspace: str
    uploaded: int


def publish(
    folder: Path, out: Path, target: float | None = None, project: str | None = None
) -> Published:
    """Write a sweep's report into `out`, and publish it on W&B; again, the same one is updated.

    Runs that W&B does not have yet are uploaded first. `target`: as for the report; `project`:
    ENTITY/PROJECT, where the run folders do not tell.

    Raises:
        UsageError: no sweep's folder, no finished run, no API key, or a project that nobody names.
        RunError: no server answers, or it refuses what it is sent.
    """
    study = collect(folder)
    client.check_login()
    client.check_reachable()
    client.account()
    with _told(folder), client.environment(WANDB_SILENT="true"):
        entity, project = _place(folder, study, project)
        uploaded = _upload_missing(study, entity, project)
        report = page.build_report(study, [folder], out, target)
        page.render(report, out)
        with _report_run(study.name, entity, project) as log:
            _send(log, report, out)
            log.summary["report"] = panels.write_report(log, study, report)
            log.summary["workspace"] = panels.write_workspace(log, study, report)
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
        raise RunError(
            f"{folder}: the W&B server did not take it ({first_line(error)}): publish again, which"
            " updates what is there"
        ) from error


def _place(folder: Path, study: Study, project: str | None) -> tuple[str, str]:
    """Entity and project: as asked for, else as the runs' folders tell."""
    import wandb

    told = {logger.address(run).rpartition("/")[0] for run in study.all} - {""}
    account = wandb.Api().default_entity
    places = {p if "/" in p else f"{account}/{p}" for p in ({project} if project else told)}
    if not places:
        raise UsageError(
            f"{folder}: its runs do not tell a W&B project: upload them with `study sweep FILE"
            " --online`, or name one with --project ENTITY/PROJECT"
        )
    if len(places) > 1:
        listed = ", ".join(sorted(places))
        raise UsageError(
            f"{folder}: its runs are in several W&B projects; --project: one of {listed}"
        )
    entity, _, name = places.pop().partition("/")
    return entity, name


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
    ids = [id for run in trained if (id := logger.wandb_id(run))]
    there = _find(entity, project, {"name": {"$in": ids}})
    missing = [run for run in trained if logger.wandb_id(run) not in there]
    for run in tqdm(missing, desc="upload", unit="run", disable=None):
        try:
            logger.record(run, study.name, project, "online", entity)
        except OSError as error:
            raise RunError(
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
            settings=logger.quiet(),
        )
        code = 1
        try:
            yield log
            code = 0
        finally:
            log.finish(exit_code=code)


def _send(log: Any, report: dict[str, Any], out: Path) -> None:
    """Log the figures, as the run's next step, and upload the files that the findings name."""
    import wandb

    images = {
        panels.key(figure): wandb.Image(
            str(out / "figures" / f"{figure.name}.png"),
            caption=f"{figure.title}. {figure.caption}",
        )
        for figures in panels.figures_of(report).values()
        for figure in figures
    }
    log.log(images)
    for name in dict.fromkeys([*FILES, *(finding.source for finding in report["findings"])]):
        logger.upload(log, out / name)
