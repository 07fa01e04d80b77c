"""Make run folders of the runs of a W&B sweep, so that a report reads them like any other."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study import files, runs
from study.config import FIELDS, Config
from study.errors import RunError, UsageError, first_line
from study.fields import finite
from study.tracking import client, logger

INDEX = ".pulled.json"  # the sweep; run id -> its folder, and its stamp when it was pulled
PULLERS = 8
PAGE = 200  # runs listed by a request
NEEDED = {"epoch", "test/accuracy", "test/loss"}  # without them a row is not an epoch


@dataclass
class Pulled:
    """What a pull did.

    sweep: the sweep's content, as its YAML had it; fetched, unchanged: run folders fetched now, or
    the same since the last pull; refused: run -> why; duplicates: run folders of a configuration
    that another folder has.
    """

    folder: Path
    sweep: dict[str, Any]
    fetched: int = 0
    unchanged: int = 0
    duplicates: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def pull(path: str, out: Path) -> Pulled:
    """Make run folders of a sweep's runs below `out`; again, fetch only what has changed.

    Raises:
        UsageError: no such sweep, or no API key.
        RunError: no server answers.
    """
    import requests
    import wandb

    api, sweep = client.find_sweep(path)
    project, _, sweep_id = path.rpartition("/")
    content = dict(sweep.config)
    pulled = Pulled(_folder(out, str(content.get("name") or sweep.id), path), content)
    files.check_writable(pulled.folder)
    with client.environment(WANDB_SILENT="true"):
        try:
            wandb_runs = api.runs(project, {"sweep": sweep_id}, "+created_at", per_page=PAGE)
            _pull_changed(path, list(wandb_runs), pulled)
        except (wandb.errors.CommError, requests.RequestException) as error:
            raise RunError(
                f"{path}: the server went away ({first_line(error)}): pull again, to go on"
            ) from error
    return pulled


def _folder(out: Path, name: str, path: str) -> Path:
    """Return the sweep's folder: its name, with its id where another sweep has that name."""
    folder = out / files.file_name(name)
    if _read_index(folder).get("sweep", path) == path:
        return folder
    return folder.with_name(f"{folder.name}-{path.rpartition('/')[2]}")


def _read_index(folder: Path) -> dict[str, Any]:
    """Read what was pulled into a folder before; empty where nothing was."""
    return files.read_json(folder / INDEX) if (folder / INDEX).is_file() else {}


def _pull_changed(path: str, wandb_runs: Sequence[Any], pulled: Pulled) -> None:
    """Fetch the runs that changed, several at once; an interrupted pull keeps what it has."""
    index = _read_index(pulled.folder).get("runs", {})
    changed = [run for run in wandb_runs if not _is_unchanged(run, index, pulled.folder)]
    pulled.unchanged = len(wandb_runs) - len(changed)
    try:
        with ThreadPoolExecutor(PULLERS) as pool:
            folders = pool.map(lambda run: _pull_run(run, pulled.folder), changed)
            for run, folder in zip(changed, folders):
                if isinstance(folder, UsageError):
                    pulled.refused[run.id] = str(folder)
                    continue
                pulled.fetched += 1
                index[run.id] = {"folder": folder.name, "stamp": _stamp(run)}
    finally:
        names = [entry["folder"].removesuffix(f"-{id}") for id, entry in index.items()]
        pulled.duplicates = len(names) - len(set(names))
        files.write_json(pulled.folder / INDEX, {"sweep": path, "runs": index})


def _is_unchanged(wandb_run: Any, index: dict[str, Any], folder: Path) -> bool:
    entry = index.get(wandb_run.id)
    return bool(
        entry and entry["stamp"] == _stamp(wandb_run) and (folder / entry["folder"]).is_dir()
    )


def _stamp(wandb_run: Any) -> list[Any]:
    """Return what changes when a run does; both come with the list of runs, free of requests."""
    return [wandb_run.historyLineCount, wandb_run.state]


def _pull_run(wandb_run: Any, parent: Path) -> Path | UsageError:
    """Make a run's folder; return UsageError where its config cannot be one of ours."""
    known = {k: v for k, v in wandb_run.config.items() if k in FIELDS or k == "variant"}
    try:
        config = Config.from_sweep(logger.drop_expanded_variant(known))
    except UsageError as error:
        return error
    folder = parent / f"{runs.name(config)}-{wandb_run.id}"
    history = _history(wandb_run)
    for file in wandb_run.files(list(runs.UPLOADED)):
        logger.fetch(file, folder)
    runs.write_config(folder, config)
    runs.write_history(folder, history)
    runs.write_summary(folder, _summary(wandb_run, config, history, folder))
    return folder


def _history(wandb_run: Any) -> list[dict[str, float]]:
    """Scan the exact history, a row an epoch; where an epoch came twice, the last counts.

    Every numeric column is taken, so that what a run logs in future is pulled too. Names with a
    leading underscore are W&B's own.
    """
    rows = {}
    for logged in wandb_run.scan_history(page_size=10_000):
        row = {k: v for k, v in logged.items() if not k.startswith("_") and finite(v)}
        if row.keys() >= NEEDED:
            epoch = int(row["epoch"])
            rows[epoch] = row | {"epoch": epoch}
    return [rows[epoch] for epoch in sorted(rows)]


def _summary(
    wandb_run: Any, config: Config, history: list[dict[str, float]], folder: Path
) -> dict[str, Any]:
    """Return the summary.json that the run uploaded, else one made of its history and W&B's."""
    states = {"finished": runs.FINISHED, "running": runs.RUNNING, "pending": runs.RUNNING}
    state = states.get(wandb_run.state, runs.FAILED)
    uploaded = runs.read_summary(folder)
    if state == runs.FINISHED and history and uploaded.get("state") in runs.DONE:
        return uploaded | {"url": wandb_run.url}
    if state == runs.FINISHED and not history:
        state = runs.FAILED
    elif state == runs.FINISHED and history[-1]["epoch"] < config.epochs:
        state = runs.STOPPED
    scores = runs.scores(history) if history else {}
    summary = {"state": state, "epochs": len(history), **scores, "url": wandb_run.url}
    logged = dict(wandb_run.summary)
    if state == runs.FAILED:
        no_history = "it has no history" if wandb_run.state == "finished" else ""
        cause = logged.get("cause") or no_history or f"its state at W&B is {wandb_run.state}"
        summary["cause"] = cause
    if isinstance(logged.get("parameters"), int):
        summary["parameters"] = logged["parameters"]
    return summary
