"""Write the W&B run of a run that was trained without W&B: offline beside its folder, where `wandb
sync RUN/wandb/offline-run-*` finds it, or online.
"""

import dataclasses
import hashlib
import shutil

from study import runs
from study.errors import RunError
from study.runs import Run
from study.tracking import client, logger, marks, stored
from study.tracking.marks import Mode


def run_id(sweep: str, run: Run) -> str:
    """Return a run's W&B id: the same for equal configurations in sweeps of one name that have come
    to the same. One that was trained again, on other data, is another run, or its new summary would
    stand over its old epochs."""
    what = f"{sweep}/{run.config.identity}/{run.history[-1]['test/loss']!r}"
    return hashlib.sha256(what.encode()).hexdigest()[:12]


def record(
    run: Run,
    sweep: str,
    project: str,
    mode: Mode = "offline",
    entity: str | None = None,
) -> None:
    """Write a trained run's W&B run: offline into its folder, or online to the server.

    Online needs nothing but the run folder, wherever it was trained. entity: whose project it is
    (default: the account's own).

    Raises:
        RunError: the server lacks a part of it now.
        Exception: whatever wandb raises; the run folder is whole without it.
    """
    folder = run.path / runs.WANDB
    if mode == "offline":
        shutil.rmtree(folder, ignore_errors=True)  # a half-written one
    # Images of tables wait in WANDB_DATA_DIR for a sync; they belong beside the run.
    data = str((folder / "data").absolute())
    with client.environment(WANDB_DATA_DIR=data, WANDB_SILENT="true"):
        import wandb

        wandb_run = wandb.init(
            mode=mode,
            dir=run.path,
            id=run_id(sweep, run),
            reinit="create_new",  # never another run that this process has open
            resume="allow" if mode == "online" else None,
            name=run.path.name,
            entity=entity,
            project=project,
            group=sweep,
            job_type="train",
            tags=logger.tags(run.config),
            config=dataclasses.asdict(run.config),
            settings=logger.quiet(),
        )
        try:
            if mode == "online":
                marks.mark_opened(wandb_run, run.path)
            logger.prepare(wandb_run)
            logger.log_end(wandb_run, run)
        except Exception:
            wandb_run.finish(exit_code=1)
            raise
        wandb_run.finish()
    if mode == "online":
        for why in stored.find_missing({wandb_run.path: run}).values():
            raise RunError(
                f"{run.path}: the W&B server lacks a part of it ({why}): run the command again"
            )
    marks.mark_recorded(wandb_run.path, run.path, mode)
