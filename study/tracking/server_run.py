"""A run on the W&B server, made into a run folder. Nothing that the server has of it is trusted.

Anybody who may write to a project may have written it: other programs' runs, half of a file, a
name that leads out of the folder.
"""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

from study import datasets, files, runs, schema
from study.config import FIELDS, VARIANT, Config
from study.errors import DamagedError, UsageError, first_line, without_password
from study.fields import finite
from study.metrics import METRICS
from study.tracking import logger
from study.values import text

MOST_MB = 64  # of a file, also unpacked; ours have a few
MOST_STEPS = 1_000_000  # of a history; ours has a step an epoch
PAGE = 10_000  # steps a request
# The last two are handed back, and wait for another agent.
RUNNING = ("running", "pending", "preempting", "preempted")
STATES = {"finished": runs.FINISHED} | dict.fromkeys(RUNNING, runs.RUNNING)


class TransferError(Exception):
    """A file that the server lists did not come, which it may do another time."""


def fetch(wandb_run: Any, parent: Path) -> tuple[Path, list[str]]:
    """Make or renew a run's folder below `parent`; return it, and what was left out of it.

    The folder is touched once all of the run has come and proved whole.

    Raises:
        UsageError: it is no run of ours, or not whole; one line says why.
        RunError: the disk is full or cannot be written.
        TransferError: a file of it did not come.
        Exception: whatever wandb raises.
    """
    if not files.is_file_name(wandb_run.id):
        raise UsageError(
            "its id is no file name: allowed are letters, digits, `.`, `-` and `_`, at most"
            f" {files.LONGEST_NAME}"
        )
    config = _read_config(wandb_run)
    history = _read_history(wandb_run, config)
    folder = parent / f"{runs.name(config)}-{wandb_run.id}"
    with files.temporary_folder() as temporary:
        staged = temporary / folder.name
        left_out = _download(wandb_run, staged)
        try:
            summary = _summary(wandb_run, config, history, _read_uploaded(staged))
            runs.write_config(staged, config)
            runs.write_history(staged, history)
            runs.write_summary(staged, summary)
            for name in (runs.MISCLASSIFIED, runs.MISCLASSIFIED_BEST):
                _check_unpacked(staged / name)
            runs.read(staged)
            config.check_parameters(summary.get("parameters") or 0)
        except DamagedError as error:
            raise UsageError(f"its {error.fault}") from error
        except UsageError as error:
            raise UsageError(str(error).replace(f"{staged}{os.sep}", "")) from error
        for name in sorted(runs.UPLOADED, key=lambda name: name == runs.SUMMARY):  # that one last
            if (staged / name).is_file():
                files.copy(staged / name, folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    return folder, left_out


def _read_config(wandb_run: Any) -> Config:
    """Return the configuration of a run of ours, which names every setting.

    A run of an older version lacks the settings that are newer; it is known by its tag.

    Raises:
        UsageError: unknown or missing settings, all of them named, or one that is not allowed.
    """
    settings = wandb_run.config
    if unknown := [name for name in settings if name not in FIELDS and name != VARIANT]:
        raise UsageError(f"not a run of study: it has no settings named {', '.join(unknown)}")
    try:
        config = Config.from_sweep(logger.settings_of(settings))
    except UsageError as error:
        raise UsageError("; ".join(str(error).splitlines())) from error
    missing = [name for name in FIELDS if name not in settings]
    if missing and (logger.TAG not in (wandb_run.tags or []) or len(missing) == len(FIELDS)):
        raise UsageError(f"not a run of study: its configuration lacks {', '.join(missing)}")
    return config


def _read_history(wandb_run: Any, config: Config) -> list[dict[str, float]]:
    """Scan the exact history, a row an epoch; where an epoch came twice, the last counts.

    Every numeric column is taken, so that what a run logs in future is pulled too. Rows without
    any metric of ours are others' (system metrics), and names with a leading underscore W&B's.

    Raises:
        UsageError: a row with a part of an epoch, epochs or accuracies that cannot be.
    """
    scan = wandb_run.scan_history(page_size=PAGE)
    if scan.max_step >= MOST_STEPS:
        raise UsageError(
            f"its history has {scan.max_step:,} steps: at most {MOST_STEPS:,} are read"
        )
    rows = {}
    for logged in scan:
        if logged.keys().isdisjoint(METRICS):
            continue
        row = {k: v for k, v in logged.items() if not k.startswith("_") and finite(v)}
        if missing := [name for name in schema.NEEDED if name not in row]:
            raise UsageError(
                f"a row of its history has no finite {' and no '.join(missing)}: an epoch is logged"
                f" in one call, with {', '.join(schema.NEEDED)}"
            )
        epoch = row["epoch"]
        if epoch != int(epoch) or epoch < 1:
            raise UsageError(f"epoch={text(epoch)}: allowed is a whole number at least 1")
        rows[int(epoch)] = row | {"epoch": int(epoch)}
    history = [rows[epoch] for epoch in sorted(rows)]
    _check_metrics(history, config)
    return history


def _check_metrics(history: list[dict[str, float]], config: Config) -> None:
    """Check that metrics are in all rows or in none, and accuracies percent.

    Raises:
        UsageError: they are not.
    """
    for name in METRICS:
        values = [row[name] for row in history if name in row]
        if 0 < len(values) < len(history):
            raise UsageError(f"{name} is in {len(values)} of its {len(history)} epochs only")
        wrong = [value for value in values if name.endswith("accuracy") and not 0 <= value <= 100]
        if wrong:
            raise UsageError(f"{name}={text(wrong[0])}: allowed are percent, from 0 to 100")
    if history and _are_fractions(history, config):
        raise UsageError("its accuracies are at most 1: allowed are percent, not fractions")


def _are_fractions(history: list[dict[str, float]], config: Config) -> bool:
    """Whether accuracies are shares rather than percent: none is above 1.

    On 100 classes 1 % is right by chance. But then the loss is above 0.99 ln 2, since what is wrong
    has a probability of its target below a half.
    """
    accuracies = [v for row in history for name, v in row.items() if name.endswith("/accuracy")]
    known = datasets.DATASETS.get(config.dataset)
    by_chance = known is not None and len(known.class_names) >= 100
    low_loss = min(row["test/loss"] for row in history) < 0.99 * math.log(2)
    return max(accuracies) <= 1 and (low_loss or not by_chance)


def _download(wandb_run: Any, folder: Path) -> list[str]:
    """Download the small files of a run into a folder; return those left out, each with its size.

    Raises:
        UsageError: a file that was not asked for.
        TransferError: one did not come.
    """
    folder.mkdir()
    left_out = []
    for file in wandb_run.files(list(runs.UPLOADED)):
        if file.name not in runs.UPLOADED:
            raise UsageError(f"a file named {file.name!r}: allowed are {', '.join(runs.UPLOADED)}")
        size = file.size
        if not size:  # W&B lists each file that is asked for, with no bytes where there is none
            continue
        if size <= MOST_MB * 1e6:
            try:
                file.download(root=str(folder), replace=True).close()
            except Exception as error:  # whatever wandb raises
                raise TransferError(f"{file.name} did not come ({first_line(error)})") from error
            size = (folder / file.name).stat().st_size  # the server may have said another
        if size > MOST_MB * 1e6:
            (folder / file.name).unlink(missing_ok=True)
            left_out.append(f"{file.name} has {size / 1e6:,.0f} MB: at most {MOST_MB} are fetched")
    return left_out


def _read_uploaded(folder: Path) -> dict[str, Any]:
    """Return the summary that a run uploaded; empty where it uploaded none.

    Raises:
        UsageError: it is damaged.
    """
    path = folder / runs.SUMMARY
    if not path.is_file():
        return {}
    try:
        uploaded = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"its {path.name} is damaged ({error})") from error
    if not isinstance(uploaded, dict):
        raise UsageError(f"its {path.name} is no mapping")
    for name, value in uploaded.items():
        if not _is_allowed(name, value):
            raise UsageError(f"its {path.name} has {name}={value!r:.60}")
    return uploaded


def _is_allowed(name: str, value: Any) -> bool:
    """Whether a summary may hold a value: a text, a finite number or null, or the versions."""
    if name == "versions":
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if name in ("state", *schema.TEXTS):
        return value is None or isinstance(value, str)
    return value is None or isinstance(value, (str, bool)) or finite(value)


def _summary(
    wandb_run: Any,
    config: Config,
    history: list[dict[str, float]],
    uploaded: dict[str, Any],
) -> dict[str, Any]:
    """Return the summary of a run: what it uploaded, if it ended well, under what its history and
    W&B say of it.

    Raises:
        UsageError: what W&B has for its summary cannot be one.
    """
    logged = wandb_run.summary_metrics
    cause = logged.get("cause")
    if cause is not None and not isinstance(cause, str):
        raise UsageError(f"its summary has cause={cause!r:.60}: allowed is text")
    state = STATES.get(wandb_run.state, runs.FAILED)
    if state == runs.FINISHED and not history:
        state, cause = runs.FAILED, cause or "it has no history"
    elif state == runs.FINISHED:
        early = history[-1]["epoch"] < config.epochs or uploaded.get("state") == runs.STOPPED
        state = runs.STOPPED if early else runs.FINISHED
    scores = schema.scores(history) if history else {}
    url = without_password(wandb_run.url)
    summary = {"state": state, "epochs": len(history), **scores, "url": url}
    if state in runs.DONE and uploaded.get("state") in runs.DONE:
        return uploaded | summary
    if state == runs.FAILED:
        summary["cause"] = cause or f"its state at W&B is {wandb_run.state}"
    if type(logged.get("parameters")) is int:
        summary["parameters"] = logged["parameters"]
    return summary


def _check_unpacked(path: Path) -> None:
    """Check that an archive, where there is one, is not too large in memory.

    Raises:
        UsageError: it is.
    """
    if not zipfile.is_zipfile(path):  # then reading it says what it is
        return
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # bytes from elsewhere fail in every way
        raise UsageError(f"its {path.name} is damaged ({first_line(error)})") from error
    if size > MOST_MB * 1e6:
        raise UsageError(
            f"its {path.name}: {size / 1e6:,.0f} MB unpacked: at most {MOST_MB} are read"
        )
