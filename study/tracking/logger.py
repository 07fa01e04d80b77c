"""What a run leaves, told to W&B: history, summary, tables of images and layers, files.

A run trained by `wandb agent` is logged as it goes (`begin`, `log_rows`, `log_end`); one trained
offline is recorded beside its folder (`record`), where `wandb sync RUN/wandb/offline-run-*` finds
it. pull.py is the way back.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from study import files, runs
from study.config import FIELDS, NORM_LABELS, Config
from study.errors import RunError
from study.runs import Run
from study.tracking import client

# Marks in a run's `wandb` folder: written offline to its end, logged to a server to its end. They
# hold the W&B run's path.
RECORDED = {"offline": ".recorded", "online": ".logged"}
REQUESTS = 8  # a second, of history, that a process with many runs makes at most


# A run that is logged as it trains.


def begin(stop: Callable[[], None]) -> Any:
    """Open the run that `wandb agent` has handed out; `stop` is called if the server ends it.

    Raises:
        RunError: the server does not accept it.
    """
    return _open({"stop_fn": stop}, group=os.environ.get("WANDB_SWEEP_ID"))


def begin_beside(
    sweep: Any, run: str, drawn: Mapping[str, Any], stop: Callable[[], None], others: int
) -> Any:
    """Open a run that a sweep has drawn settings for, beside others of this process; `stop` as in
    `begin`. WANDB_SWEEP_ID must not be set: wandb would take id and project from there.

    Raises:
        RunError: the server does not accept it, or has it open in this process.
    """
    own = {"sweep_id": sweep.id, "console": "off", "silent": True, "x_disable_stats": True}
    own |= {"stop_fn": stop, "x_file_stream_transmit_interval": 1 + others // REQUESTS}
    return _open(
        own,
        group=sweep.id,
        reinit="create_new",
        id=run,
        config=dict(drawn),
        entity=sweep.entity,
        project=sweep.project,
    )


def _open(own: Mapping[str, Any], **more: Any) -> Any:
    import wandb

    # A machine that is taken back is to take few rows along.
    prompt = {"x_file_stream_transmit_interval": 1, "x_transaction_log_flush_interval": 1}
    try:
        log = wandb.init(
            resume="allow", job_type="train", settings=wandb.Settings(**prompt | own), **more
        )
    except wandb.errors.Error as error:
        raise RunError(client.not_accepted(error)) from error
    log.define_metric("*", step_metric="epoch")
    return log


def settings(log: Any) -> dict[str, Any]:
    """What the sweep has drawn for an open run."""
    drawn = dict(log.config)
    drawn.pop("_wandb", None)  # what the client notes for itself
    return complete_settings(drawn)


def describe(log: Any, config: Config) -> None:
    """Complete an open run's config, beside the swept keys, which stay as they were drawn."""
    drawn = dict(log.config)
    values = dataclasses.asdict(config)
    log.config.update({name: value for name, value in values.items() if name not in drawn})
    log.name = runs.name(config)
    log.tags = tuple(sorted({*(log.tags or ()), *_tags(config)}))


def log_rows(log: Any, history: list[dict[str, float]]) -> None:
    """Log the epochs that the server does not have: each is a step, so none comes twice."""
    for row in history:
        if row["epoch"] >= _next_step(log):
            log.log(row, step=row["epoch"], commit=True)


def _next_step(log: Any) -> int:
    """The first step the server does not have; `step` alone is 0 in a resumed run's beginning."""
    return max(log.step, log.starting_step)


def log_end(log: Any, run: Run) -> None:
    """Log what is left of the history, its last row with the run's tables and images; the summary
    in scalars, and the folder's small files."""
    *before, last = run.history
    log_rows(log, before)
    if last["epoch"] >= _next_step(log):  # else it is there, and the tables with it
        log.log(last | _tables(run), step=last["epoch"], commit=True)
    log.summary.update(_flat(run.summary))
    for name in runs.UPLOADED:
        if (run.path / name).is_file():
            upload(log, run.path / name)


def log_failure(log: Any, history: list[dict[str, float]], cause: str) -> None:
    """Log the epochs a failed run did have, and the cause of its end."""
    log_rows(log, history)
    log.summary.update({"state": runs.FAILED, "cause": cause})


def log_preemption(log: Any, folder: Path) -> None:
    """Leave on the server what another machine needs to go on with the run."""
    if (folder / runs.CHECKPOINT).is_file():
        log_rows(log, runs.read(folder).history)
        upload(log, folder / runs.CHECKPOINT)
    log.mark_preempting()


def restore(log: Any, folder: Path) -> None:
    """Fetch a resumed run's checkpoint, unless this machine's folder of the run is as far."""
    import wandb

    there = (folder / runs.CONFIG).is_file()
    if there and len(runs.read_history(folder)) >= log.starting_step - 1:  # a step is an epoch
        return
    with contextlib.suppress(wandb.errors.CommError, ValueError):  # it was killed before it had one
        file = wandb.Api().run(log.path).file(runs.CHECKPOINT)
        if file.size:
            fetch(file, folder)


def fetch(file: Any, folder: Path) -> None:
    """Download a run file into a folder, through wandb, which knows how to authenticate."""
    with tempfile.TemporaryDirectory() as beside:
        file.download(root=beside, replace=True).close()
        content = (Path(beside) / file.name).read_bytes()
    files.write(folder / file.name, lambda stream: stream.write(content))


def asked_to_stop(log: Any) -> bool:
    """Whether the server has asked this run to stop (hyperband, the dashboard's button).

    wandb has no public call for it; where this one is gone or unanswered, the answer is no.
    """
    try:
        from wandb.sdk.launch.api import LaunchApi

        return LaunchApi(timeout=5).check_stop_requested(log.project, log.entity, log.id)
    except Exception:
        return False


# A run that was trained without W&B.


def run_id(sweep: str, run: Run) -> str:
    """The W&B id of a run: the same for the same configuration in a sweep of the same name."""
    return hashlib.sha256(f"{sweep}/{run.config.identity}".encode()).hexdigest()[:12]


def recorded(folder: Path, mode: str = "offline") -> bool:
    """Whether the W&B run of a run's folder was written to its end, in mode offline or online; one
    that is online needs none offline."""
    marks = RECORDED.values() if mode == "offline" else [RECORDED[mode]]
    return any((folder / "wandb" / name).is_file() for name in marks)


def mark(log: Any, folder: Path, mode: str = "online") -> None:
    """Note beside a run that its W&B run was written to its end, and where."""
    path = str(log.path).encode()
    files.write(folder / "wandb" / RECORDED[mode], lambda file: file.write(path))


def address(run: Run) -> str:
    """ENTITY/PROJECT/ID of a run's W&B run, PROJECT/ID of one written offline; empty where the
    run's folder does not tell."""
    marks = {mode: run.path / "wandb" / name for mode, name in RECORDED.items()}
    told = {mode: path.read_text() if path.is_file() else "" for mode, path in marks.items()}
    url = urlsplit(str(run.summary.get("url") or "")).path.replace("/runs/", "/").strip("/")
    return told["online"] or url or told["offline"]


def wandb_id(run: Run) -> str:
    """The id of a run's W&B run; empty where the run's folder does not tell."""
    return address(run).rpartition("/")[2]


def record(
    run: Run, sweep: str, project: str, mode: str = "offline", entity: str | None = None
) -> None:
    """Write a trained run's W&B run: into `wandb/` of its folder without any network, or, in mode
    online, to the server, of which it needs nothing but the run folder, wherever it was trained.
    entity: whose project it is (default: the account's own).

    Raises:
        Exception: whatever wandb raises; the run folder is whole without it.
    """
    folder = run.path / "wandb"
    if mode == "offline":
        shutil.rmtree(folder, ignore_errors=True)  # a half-written one
    # Images of tables wait in WANDB_DATA_DIR for a sync; they belong beside the run.
    data = str((folder / "data").absolute())
    with client.environment(WANDB_DATA_DIR=data, WANDB_SILENT="true"):
        import wandb

        log = wandb.init(
            mode=mode,
            dir=run.path,
            id=run_id(sweep, run),
            resume="allow" if mode == "online" else None,
            name=run.path.name,
            entity=entity,
            project=project,
            group=sweep,
            job_type="train",
            tags=_tags(run.config),
            config=dataclasses.asdict(run.config),
            settings=quiet(),
        )
        log.define_metric("*", step_metric="epoch")
        log_end(log, run)
        log.finish()
    mark(log, run.path, mode)


# What runs online and offline share.


def quiet() -> Any:
    """Settings of a W&B run that trains nothing: no word, no measure of this machine."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )


def upload(log: Any, path: Path) -> None:
    """Upload a file with the run. A copy, as wandb would keep a link into the run folder, which a
    run that is copied to another machine before its sync would lose."""
    copy = Path(log.dir) / path.name
    shutil.copyfile(path, copy)
    log.save(str(copy), base_path=log.dir, policy="now")


def complete_settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for Config.from_sweep. A config that `describe` has completed needs no variant: what
    it stands for is there."""
    complete = FIELDS.keys() <= found.keys()
    return {k: v for k, v in found.items() if not (complete and k == "variant")}


def _tags(config: Config) -> list[str]:
    return ["norm-study", config.dataset, config.network, NORM_LABELS[config.norm]]


def _tables(run: Run) -> dict[str, Any]:
    """The misclassified images (at most 100), their 5x2 grid, the layers, the confusion matrix."""
    import wandb

    wrong = run.misclassified()
    images = wandb.Table(columns=["image", "index", "target", "predicted", "confidence"])
    for pixels, *cells in zip(
        wrong.pixels, wrong.index, wrong.target, wrong.predicted, wrong.confidence
    ):
        image = wandb.Image(pixels.transpose(1, 2, 0).squeeze())
        images.add_data(image, *(cell.item() for cell in cells))
    columns = ["layer", "type", "output", "receptive_field", "parameters"]
    layers = [
        [str(layer[column]) if column == "output" else layer.get(column) for column in columns]
        for layer in run.parameters()["layers"]
    ]
    confusion = [
        [target, predicted, count]
        for target, row in enumerate(run.confusion().tolist())
        for predicted, count in enumerate(row)
    ]
    return {
        "misclassified": images,
        "misclassified_grid": wandb.Image(str(run.path / runs.GRID)),
        "layers": wandb.Table(columns=columns, data=layers),
        "confusion": wandb.Table(columns=["target", "predicted", "images"], data=confusion),
    }


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary in scalars alone: what sorts and searches on a dashboard."""
    scalars = {key: value for key, value in summary.items() if not isinstance(value, dict)}
    return scalars | {"versions": json.dumps(summary.get("versions", {}))}
