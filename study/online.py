"""What a run leaves, as W&B sees it: history, summary, tables of images and layers, files.

`record` writes it offline beside the run, where `wandb sync RUN/wandb/offline-run-*` finds it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

from study.config import NORM_LABELS
from study.runs import Run

# Small files of a run folder that are uploaded with it; weights stay where they were trained.
FILES = ("config.json", "history.jsonl", "summary.json", "parameters.json", "confusion.json",
         "misclassified.npz", "misclassified.png")  # fmt: skip
RECORDED = ".recorded"  # marks a W&B run that was written to its end


def run_id(sweep: str, run: Run) -> str:
    """The W&B id of a run: the same for the same configuration in a sweep of the same name."""
    return hashlib.sha256(f"{sweep}/{run.config.identity}".encode()).hexdigest()[:12]


def has_login() -> bool:
    """Whether wandb would find an API key, without asking any server."""
    import wandb

    with _environment():
        return bool(wandb.login(prompt=False, verify=False))


def recorded(run: Run) -> bool:
    """Whether the run's offline W&B run is there, whole."""
    return (run.path / "wandb" / RECORDED).is_file()


def record(run: Run, sweep: str, project: str) -> None:
    """Write the run's offline W&B run into `wandb/` of its folder, without any network.

    Raises:
        Exception: whatever wandb raises; the run folder is whole without it.
    """
    folder = run.path / "wandb"
    shutil.rmtree(folder, ignore_errors=True)  # a half-written one
    with _environment(WANDB_DATA_DIR=str(run.path / "wandb" / "data")):
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
        )
        log = wandb.init(
            mode="offline",
            dir=run.path,
            id=run_id(sweep, run),
            name=run.path.name,
            project=project,
            group=sweep,
            job_type="train",
            tags=[run.config.dataset, run.config.network, NORM_LABELS[run.config.norm]],
            config=dataclasses.asdict(run.config),
            settings=settings,
        )
        log.define_metric("*", step_metric="epoch")
        for row in run.history:
            log.log(row)
        _log_end(log, run)
        log.finish()
    (folder / RECORDED).touch()


def _log_end(log: Any, run: Run) -> None:
    """The run's summary, its tables and images, and its small files."""
    import wandb

    wrong = run.misclassified()
    images = wandb.Table(columns=["image", "index", "target", "predicted", "confidence"])
    for i, pixels in enumerate(wrong.pixels):
        images.add_data(
            wandb.Image(pixels.transpose(1, 2, 0).squeeze()),
            int(wrong.index[i]),
            int(wrong.target[i]),
            int(wrong.predicted[i]),
            float(wrong.confidence[i]),
        )
    layers = run.parameters()["layers"]
    columns = ["layer", "type", "output", "parameters"]
    table = wandb.Table(columns=columns)
    for layer in layers:
        table.add_data(*(layer[name] if name != "output" else str(layer[name]) for name in columns))
    confusion = wandb.Table(columns=["target", "predicted", "images"])
    for (target, predicted), count in _cells(run.confusion()):
        confusion.add_data(target, predicted, count)
    log.log(
        {
            "epoch": len(run.history),
            "misclassified": images,
            "misclassified_grid": wandb.Image(str(run.path / "misclassified.png")),
            "layers": table,
            "confusion": confusion,
        }
    )
    log.summary.update(_flat(run.summary))
    for name in FILES:
        if (run.path / name).is_file():
            log.save(str(run.path / name), base_path=str(run.path), policy="now")


def _cells(confusion: Any) -> Iterator[tuple[tuple[int, int], int]]:
    for target, row in enumerate(confusion.tolist()):
        for predicted, count in enumerate(row):
            yield (target, predicted), count


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary with scalars alone: what sorts and searches on a dashboard."""
    flat = {key: value for key, value in summary.items() if not isinstance(value, dict)}
    return flat | {"versions": json.dumps(summary.get("versions", {}))}


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Environment variables for a while; offline, wandb also reports no errors anywhere."""
    values |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
