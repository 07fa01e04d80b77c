"""Log what a run leaves to W&B: history, summary, tables of images and layers, files.

A run that an agent trains is logged as it goes (`init_assigned`, `log_rows`, `log_end`); one that
was trained without W&B by recording.py. pull.py is the way back.
"""

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from study import files, runs
from study.config import FIELDS, NORM_LABELS, VARIANT, Config
from study.errors import DiskError, RunError, first_line
from study.runs import Run
from study.tracking import client, service, tables
from study.tracking.agent_api import Assignment
from study.values import without_noise

TAG = "norm-study"  # of every run of ours
REQUESTS = 8  # a second, at most, for the history of all runs of a process

log = logging.getLogger(__name__)


# A run that is logged as it trains.


def init_assigned(stop: Callable[[], None]) -> Any:
    """Open the run that `wandb agent` has assigned; `stop` is called if the server ends it.

    Raises:
        RunError: the server does not accept it.
    """
    return _init({"stop_fn": stop}, group=os.environ.get("WANDB_SWEEP_ID"))


def init_assignment(sweep: Any, assignment: Assignment, open_runs: int) -> Any:
    """Open a run that a sweep assigns, one of `open_runs` in this process; see `init_by_path`."""
    path = f"{sweep.entity}/{sweep.project}/{assignment.run_id}"
    stop = assignment.stop_requested.set
    settings = dict(assignment.parameters)
    return init_by_path(path, sweep.id, stop, open_runs, group=sweep.id, config=settings)


def init_by_path(
    path: str, sweep: str, stop: Callable[[], Any], open_runs: int, **options: Any
) -> Any:
    """Open the W&B run ENTITY/PROJECT/ID, or PROJECT/ID of the account's own, of a sweep (or "", of
    none), one of `open_runs` in this process, to begin it or to go on.

    WANDB_SWEEP_ID must not be set: wandb would take id and project from there.

    Raises:
        RunError: the server does not accept it, or has it open in this process.
    """
    *entity, project, run_id = path.split("/")
    settings = {
        "console": "off",
        "silent": True,
        "stop_fn": stop,
        "x_disable_stats": True,
        "x_file_stream_transmit_interval": 1 + (open_runs - 1) // REQUESTS,
    }
    if sweep:
        settings["sweep_id"] = sweep
    return _init(
        settings,
        reinit="create_new",
        entity=entity[0] if entity else None,
        project=project,
        id=run_id,
        **options,
    )


def _init(settings: Mapping[str, Any], **options: Any) -> Any:
    import wandb

    # Rows are sent at once, so that a machine that is taken back has few left to send.
    prompt = {"x_file_stream_transmit_interval": 1, "x_transaction_log_flush_interval": 1}
    try:
        wandb_run = wandb.init(
            resume="allow",
            job_type="train",
            settings=wandb.Settings(**(prompt | dict(settings))),
            **options,
        )
    except Exception as error:
        if not service.is_refusal(error):
            raise
        client.account()  # this error does not say whether it is the key, or no server answers
        raise RunError(
            f"the W&B run cannot be opened ({first_line(error)}): check that you may write to its"
            " project, and run the command again"
        ) from error
    prepare(wandb_run)
    return wandb_run


def prepare(wandb_run: Any) -> None:
    """Prepare an open run for what is logged to it."""
    wandb_run.define_metric("*", step_metric="epoch")
    # To log a table, wandb asks the server first, once a run, and raises where it is away. Asked
    # now, it leaves the table to its service, which tries again for as long as it tries anything.
    if not wandb_run.offline:
        with contextlib.suppress(Exception):
            wandb_run._public_api()


def sweep_settings(wandb_run: Any) -> dict[str, Any]:
    """Return the settings that the sweep has chosen for an open run."""
    settings = dict(wandb_run.config)
    settings.pop("_wandb", None)  # the client's own notes
    return settings_of(settings)


def complete_config(wandb_run: Any, config: Config) -> None:
    """Add the other settings to an open run's config; swept keys stay as the sweep gave them."""
    values = dataclasses.asdict(config)
    swept = dict(wandb_run.config)
    wandb_run.config.update({name: v for name, v in values.items() if name not in swept})
    wandb_run.name = runs.name(config)
    wandb_run.tags = tuple(sorted({*(wandb_run.tags or ()), *tags(config)}))


def log_rows(wandb_run: Any, history: list[dict[str, float]]) -> None:
    """Log the epochs that the server does not have. Each is a step, so that none comes twice."""
    for row in history:
        if row["epoch"] >= _next_step(wandb_run):
            wandb_run.log(row, step=row["epoch"], commit=True)


def _next_step(wandb_run: Any) -> int:
    """Return the first step the server lacks; `step` alone is 0 where a resumed run begins."""
    return max(wandb_run.step, wandb_run.starting_step)


def log_end(wandb_run: Any, run: Run) -> None:
    """Log the end of a run: the rest of its history, summary, small files, tables and images; those
    last, which need the server."""
    _complete_files(run)
    *earlier, last = run.history
    log_rows(wandb_run, earlier)
    step = last["epoch"]
    is_new = step >= _next_step(wandb_run)
    if is_new:
        wandb_run.log(last, step=step, commit=False)
    if "cause" in set(wandb_run.summary.keys()):  # it failed before
        wandb_run.summary.update({"cause": None})
    wandb_run.summary.update(_flat(run.summary))
    for name in runs.UPLOADED:
        if (run.path / name).is_file():
            upload(wandb_run, run.path / name)
    if is_new:
        wandb_run.log(tables.make(run), step=step, commit=True)
    elif not set(tables.NAMES) <= set(wandb_run.summary.keys()):  # cut off before these
        wandb_run.summary.update(tables.make(run))


def _complete_files(run: Run) -> None:
    """Draw the grid of images that a pack leaves to its end, where it is not there."""
    from study.train import results  # imports torch, as training has

    if not run.has(runs.GRID) and run.has(runs.MISCLASSIFIED) and run.has(runs.CONFUSION):
        results.draw_misclassified(run)


def log_failure(wandb_run: Any, history: list[dict[str, float]], cause: str) -> None:
    """Log the epochs that a failed run had, and why it failed."""
    log_rows(wandb_run, history)
    wandb_run.summary.update({"state": runs.FAILED, "cause": cause})


def log_preemption(wandb_run: Any, folder: Path) -> None:
    """Hand a run back, and upload what another machine needs to resume it."""
    from study.train import checkpoint  # imports torch, as training has

    wandb_run.mark_preempting()  # first: the disk may be full
    try:
        checkpoint.detach(folder)  # where a pack was killed
        if (folder / runs.CHECKPOINT).is_file():
            log_rows(wandb_run, runs.read(folder).history)
            upload(wandb_run, folder / runs.CHECKPOINT)
    except DiskError as error:
        log.warning(f"{folder}: its checkpoint stays here, so others begin anew ({error})")


def restore(wandb_run: Any, folder: Path) -> None:
    """Fetch a resumed run's checkpoint, unless this machine's folder of the run is as far. One that
    is damaged is not; training mends it."""
    import wandb

    epochs = runs.count_epochs(folder) if (folder / runs.CONFIG).is_file() else -1
    if epochs >= wandb_run.starting_step - 1:  # a step is an epoch
        return
    try:
        file = wandb.Api().run(wandb_run.path).file(runs.CHECKPOINT)
        if file.size:  # else the run was killed before it uploaded one
            fetch(file, folder)
    except (wandb.errors.CommError, ValueError) as error:
        log.warning(
            f"{wandb_run.path}: its checkpoint cannot be fetched ({first_line(error)}): it is"
            " trained from the start"
        )


def fetch(file: Any, folder: Path) -> None:
    """Download a run file into a folder, through wandb, which knows how to authenticate."""
    with files.temporary_folder() as temporary:
        file.download(root=str(temporary), replace=True).close()
        files.copy(temporary / file.name, folder / file.name)


def stop_requested(wandb_run: Any) -> bool:
    """Whether the server has asked this run to stop (hyperband, the dashboard's button).

    wandb has no public call for it. Where this one is gone or fails, the answer is no.
    """
    try:
        from wandb.sdk.launch.api import LaunchApi

        api = LaunchApi(timeout=5)
        return api.check_stop_requested(wandb_run.project, wandb_run.entity, wandb_run.id)
    except Exception:
        return False


# What runs online and offline share.


def quiet() -> Any:
    """Return settings for a W&B run that trains nothing: no output, no machine statistics."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,  # takes half of a run's time; `versions` is in the summary
    )


def upload(wandb_run: Any, path: Path, name: str = "") -> None:
    """Upload a copy of a file with the run, under its own name or another.

    Of the file itself wandb would keep a link, which breaks if the run folder is copied to another
    machine before its sync.
    """
    copy = Path(wandb_run.dir) / (name or path.name)
    files.copy(path, copy)
    wandb_run.save(str(copy), base_path=wandb_run.dir, policy="now")


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in the config of a W&B run: without the `variant` that `complete_config`
    has completed with what it stands for, and with 0.3 for the 0.30000000000000004 of a range."""
    complete = FIELDS.keys() <= config.keys()
    return {
        name: without_noise(value) if isinstance(value, float) else value
        for name, value in config.items()
        if not (complete and name == VARIANT)
    }


def tags(config: Config) -> list[str]:
    return [TAG, config.dataset, config.network, NORM_LABELS[config.norm]]


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the summary in scalars alone, which sort and search on a dashboard."""
    scalars = {key: value for key, value in summary.items() if not isinstance(value, dict)}
    return scalars | {"versions": json.dumps(summary.get("versions", {}))}
