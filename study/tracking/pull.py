"""Make run folders of the runs of a W&B sweep, so that a report reads them like any other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study import files, runs
from study.config import FIELDS, Config
from study.errors import RunError, UsageError, first_line
from study.tracking import client, logger

INDEX = ".pulled.json"  # the sweep; run id -> its folder, and its rows and state when pulled
HISTORY = (*runs.METRICS, "epoch", "train/l1", "lr", "seconds")
PULLERS = 8
PAGE = 200  # runs listed by a request


@dataclass
class Pulled:
    """What a pull did: run folders fetched now, unchanged since the last pull, refused (why); how
    many of all that are there have a configuration that another has too."""

    folder: Path
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
    project, _, name = path.rpartition("/")
    done = Pulled(_folder(out, str(sweep.config.get("name") or sweep.id), path))
    files.check_writable(done.folder)
    with client.environment(WANDB_SILENT="true"):
        try:
            theirs = api.runs(project, {"sweep": name}, "+created_at", per_page=PAGE)
            _pull_runs(path, list(theirs), done)
        except (wandb.errors.CommError, requests.RequestException) as error:
            raise RunError(
                f"{path}: the server went away ({first_line(error)}): pull again, to go on"
            ) from error
    return done


def _folder(out: Path, name: str, path: str) -> Path:
    """Named after the sweep, and after its id too where another one of that name was pulled."""
    folder = out / files.file_name(name)
    if _index(folder).get("sweep", path) == path:
        return folder
    return folder.with_name(f"{folder.name}-{path.rpartition('/')[2]}")


def _index(folder: Path) -> dict[str, Any]:
    """What was pulled into a folder before; empty where nothing was."""
    return files.read_json(folder / INDEX) if (folder / INDEX).is_file() else {}


def _pull_runs(path: str, theirs: list[Any], done: Pulled) -> None:
    """Fetch what changed, several runs at once; an interrupted pull keeps what it has."""
    index = _index(done.folder).get("runs", {})
    changed = []
    for run in theirs:
        known = index.get(run.id, {})
        same = known.get("stamp") == _stamp(run) and (done.folder / known["folder"]).is_dir()
        done.unchanged += same
        if not same:
            changed.append(run)
    try:
        with ThreadPoolExecutor(PULLERS) as pool:
            for run, folder in zip(changed, pool.map(lambda r: _pull(r, done.folder), changed)):
                if isinstance(folder, UsageError):
                    done.refused[run.id] = str(folder)
                    continue
                done.fetched += 1
                index[run.id] = {"folder": folder.name, "stamp": _stamp(run)}
    finally:
        named = [kept["folder"].removesuffix(f"-{id}") for id, kept in index.items()]
        done.duplicates = len(named) - len(set(named))
        files.write_json(done.folder / INDEX, {"sweep": path, "runs": index})


def _stamp(theirs: Any) -> list[Any]:
    """What changes when a run does; both come with the list of runs, at no further request."""
    return [theirs.historyLineCount, theirs.state]


def _pull(theirs: Any, folder: Path) -> Path | UsageError:
    """One run into a folder of its own; UsageError where its config is none of ours."""
    known = {k: v for k, v in theirs.config.items() if k in FIELDS or k == "variant"}
    try:
        config = Config.from_sweep(logger.complete_settings(known))
    except UsageError as error:
        return error
    path = folder / f"{runs.name(config)}-{theirs.id}"
    history = _history(theirs)
    for file in theirs.files(list(runs.UPLOADED)):
        logger.fetch(file, path)
    runs.write_config(path, config)
    runs.write_history(path, history)
    runs.write_summary(path, _summary(theirs, config, history, path))
    return path


def _history(theirs: Any) -> list[dict[str, float]]:
    """The exact history, a row an epoch; where an epoch came twice, the last."""
    rows = {}
    for row in theirs.scan_history(page_size=10_000):
        numbers = {key: row[key] for key in HISTORY if isinstance(row.get(key), (int, float))}
        if {"epoch", "test/accuracy", "test/loss"} <= numbers.keys():
            rows[int(numbers["epoch"])] = numbers | {"epoch": int(numbers["epoch"])}
    return [rows[epoch] for epoch in sorted(rows)]


def _summary(
    theirs: Any, config: Config, history: list[dict[str, float]], path: Path
) -> dict[str, Any]:
    """The run's own summary.json where it was uploaded; else what its history and W&B tell."""
    states = {"finished": runs.FINISHED, "running": runs.RUNNING, "pending": runs.RUNNING}
    state = states.get(theirs.state, runs.FAILED)
    own = runs.read_summary(path)
    if state == runs.FINISHED and history and own.get("state") in (runs.FINISHED, runs.STOPPED):
        return own | {"url": theirs.url}
    told = dict(theirs.summary)
    scores = runs.scores(history) if history else {}
    if state == runs.FINISHED and not history:
        state = runs.FAILED
    elif state == runs.FINISHED and history[-1]["epoch"] < config.epochs:
        state = runs.STOPPED
    summary = {"state": state, "epochs": len(history), **scores, "url": theirs.url}
    if state == runs.FAILED:
        no_history = "it has no history" if theirs.state == "finished" else ""
        summary["cause"] = told.get("cause") or no_history or f"W&B tells it {theirs.state}"
    if isinstance(told.get("parameters"), int):
        summary["parameters"] = told["parameters"]
    return summary
