"""What the server has of runs that are trained: wandb says nothing where it gave up an upload."""

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from study.errors import RunError
from study.runs import Run
from study.tracking import client, tables

ATTEMPTS, INTERVAL = 3, 2  # how often the server is asked, since it takes a moment; seconds


def describe_missing(on_server: Any, run: Run) -> str:
    """Return what the server lacks of a trained run, or "". on_server: the run as
    client.find_runs returns it, or None."""
    if on_server is None:
        return "it has no such run"
    summary, epochs = dict(on_server.summary), len(run.history)
    if on_server.state != "finished":
        return f"its state there is {on_server.state}"
    if on_server.historyLineCount < epochs or summary.get("epoch", 0) < epochs:
        return f"{summary.get('epoch', 0)} of {epochs} epochs"
    if summary.get("state") != run.state:
        return "its summary"
    return ", ".join(name for name in tables.NAMES if name not in summary)


def find_missing(trained: Mapping[str, Run]) -> dict[str, str]:
    """Ask the server whether it has all of these runs, which have ended at W&B, by their W&B paths.
    Return those that are not whole there, with what is missing."""
    missing = dict.fromkeys(trained, "")
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(INTERVAL)
        missing = _ask({path: trained[path] for path in missing})
        if not missing:
            break
    return missing


def _ask(trained: Mapping[str, Run]) -> dict[str, str]:
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for path in trained:
        project, _, run_id = path.rpartition("/")
        ids[project].append(run_id)
    try:
        found = {project: client.find_runs(project, members) for project, members in ids.items()}
    except RunError as error:
        return dict.fromkeys(trained, str(error))
    missing = {}
    for path, run in trained.items():
        project, _, run_id = path.rpartition("/")
        missing[path] = describe_missing(found[project].get(run_id), run)
    return {path: why for path, why in missing.items() if why}
