"""Open W&B runs, trained as packs where they are alike, and ended at W&B, several at once."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from study import runs
from study.errors import RunError, UsageError
from study.runs import Run
from study.tracking import assigned
from study.tracking.assigned import AssignedRun, WandbCallback
from study.train import failures, pack_runs, packing

UPLOADERS = 8  # runs whose files and tables are uploaded at once
R = TypeVar("R", Run, AssignedRun)


def group_by_bucket(found: Iterable[R]) -> list[list[R]]:
    """Group runs by bucket; a run that only the loop trains is a group of its own."""
    groups: dict[Any, list[R]] = {}
    for run in found:
        groups.setdefault(packing.bucket(run.config) or id(run), []).append(run)
    return list(groups.values())


def train(
    group: Sequence[AssignedRun], check: Callable[[], None], **options: Any
) -> list[Run | RunError]:
    """Train runs of one bucket, and return what became of each.

    check: see WandbCallback; options: device and threads.

    Raises:
        Preempted: by `check`.
    """
    configs, folders = [run.config for run in group], [run.folder for run in group]
    callbacks = [WandbCallback(run, check) for run in group]
    try:
        if len(group) > 1:
            return pack_runs.train(configs, folders, callbacks=callbacks, **options)
        return [pack_runs.train_one(configs[0], folders[0], callback=callbacks[0], **options)]
    except Exception as error:
        failure = failures.as_run_error(error)
    return [read_result(run) or failure for run in group]


def read_result(run: AssignedRun) -> Run | RunError | None:
    """Read from its folder what became of a run; None where it has not ended."""
    try:
        stored = runs.read(run.folder)
    except UsageError as error:  # damaged, which its next training sets aside
        return RunError(str(error))
    if stored.state == runs.FAILED:
        return RunError(stored.summary.get("cause") or "the run failed")
    return stored if stored.done else None


def end(
    group: Sequence[AssignedRun], results: Sequence[Run | RunError | None]
) -> dict[AssignedRun, str]:
    """End runs at W&B, several at once, since each waits for its uploads; see AssignedRun.end.

    Return the trained runs of which the server lacks something, and what.
    """
    with ThreadPoolExecutor(UPLOADERS) as pool:
        list(pool.map(AssignedRun.end, group, results))
    trained = {run: result for run, result in zip(group, results) if isinstance(result, Run)}
    return assigned.confirm(trained)
