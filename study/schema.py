"""What the files of a run folder hold: a check for the content of each, as it was decoded.

A folder may come from anywhere: a disk that was full, a copy that was cut, another program. After
these checks no key is missing, and every value has its type and its shape. Every check raises a
ValueError that says what is wrong.
"""

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from study.config import FIELDS, Config
from study.datasets import DATASETS

STATES = FINISHED, STOPPED, FAILED, RUNNING = ("finished", "stopped", "failed", "running")
DONE = (FINISHED, STOPPED)
SETTINGS = {"dataset", "network", "norm", "seed"}  # what config.json has in every version
# What every epoch has; a pulled one may lack others.
NEEDED = ("epoch", "test/loss", "test/accuracy")
# Of a summary, text or null.
TEXTS = ("cause", "class_names", "device", "git_commit", "kernels", "path", "url")
NUMBERS = re.compile(
    r".*_(last|best|epoch|last5_min|val)|epochs|seconds|parameters|pack", re.DOTALL
)
LAYER = {"layer": str, "type": str, "output": list, "parameters": int}
LARGEST = 1e300  # a number above it is none: it would become infinite with the next sum
# Array of misclassified.npz -> the kinds of its type (numpy's letters) and its dimensions.
ARRAYS = {
    "index": ("iu", 1),
    "target": ("iu", 1),
    "predicted": ("iu", 1),
    "confidence": ("f", 1),
    "pixels": ("u", 4),
}


def unknown_settings(content: Any) -> dict[str, Any]:
    """Return what of a whole config.json this installation does not know: settings of another
    version, and words such as a network that nobody has registered here.

    Raises:
        UsageError: the module that STUDY_IMPORT names cannot be imported.
    """
    if not isinstance(content, dict) or not content.keys() >= SETTINGS:
        return {}
    unknown = {}
    for name, value in content.items():
        field = FIELDS.get(name)
        if field is None or (field.choices and isinstance(value, str) and not field.knows(value)):
            unknown[name] = value
            continue
        try:
            field.canonical(value)
        except ValueError:
            return {}
    return unknown


def check_config(content: Any) -> Config:
    """Return the configuration that config.json holds."""
    return Config.from_sweep(_object(content), quiet=True)


def check_history(rows: list[Any], config: Config) -> None:
    """Check the lines of history.jsonl: epochs in their order, each with what every epoch has."""
    before = 0
    for row in rows:
        for name in NEEDED:
            if name not in _object(row):
                raise ValueError(f"an epoch without {name}")
        for name, value in row.items():
            _check_figure(name, value)
        if not (isinstance(row["epoch"], int) and before < row["epoch"] <= config.epochs):
            raise ValueError(f"epoch {row['epoch']} after epoch {before} of {config.epochs}")
        before = row["epoch"]
    validated = sum("val/accuracy" in row for row in rows)
    if validated not in (0, len(rows)):
        raise ValueError(f"val/accuracy in {validated} of {len(rows)} epochs only")


def check_summary(content: Any, history: list[Any]) -> None:
    """Check summary.json beside the history that it sums up."""
    summary = _object(content)
    if summary.get("state") not in STATES:
        raise ValueError(f"state {summary.get('state')!r}: allowed is one of {', '.join(STATES)}")
    for name, value in summary.items():
        if name in TEXTS and not isinstance(value, str | None):
            raise ValueError(f"{name} is {_kind(value)}, not text")
        if NUMBERS.fullmatch(name):
            _check_figure(name, value)
    if not all(isinstance(value, str) for value in _object(summary.get("versions", {})).values()):
        raise ValueError("a version that is no text")
    if summary["state"] not in DONE:
        return
    if "epochs" not in summary:
        raise ValueError(f"{summary['state']}, but without epochs")
    if not history or len(history) != summary["epochs"]:
        raise ValueError(f"{summary['epochs']:g} epochs, of which the history has {len(history)}")
    for name, due in scores(history).items():
        if name not in summary:
            raise ValueError(f"{summary['state']}, but without {name}")
        if not math.isclose(summary[name], due, rel_tol=1e-5, abs_tol=1e-3):
            raise ValueError(f"{name} is {summary[name]:g}, by the history {due:g}")


def scores(history: list[dict[str, float]]) -> dict[str, float]:
    """Compute the figures of a summary that follow from the history.

    `best` is chosen on the test set, as the published studies do, so it is too good.
    `at_best_val` is the honest figure where there is a validation set.
    """
    last, accuracies = history[-1], [row["test/accuracy"] for row in history]
    seconds = sum(row.get("seconds", 0) for row in history)
    figures = {f"{key.replace('/', '_')}_last": last[key] for key in last if "/" in key}
    figures |= {
        "test_accuracy_best": max(accuracies),
        "test_accuracy_best_epoch": history[accuracies.index(max(accuracies))]["epoch"],
        "test_accuracy_last5_min": min(accuracies[-5:]),
        "test_loss_best": min(row["test/loss"] for row in history),
        "seconds": round(seconds, 6),
    }
    if "val/accuracy" in last:
        best = max(history, key=lambda row: row["val/accuracy"])
        figures |= {
            "val_accuracy_best": best["val/accuracy"],
            "val_accuracy_best_epoch": best["epoch"],
            "test_accuracy_at_best_val": best["test/accuracy"],
        }
    return figures


def check_parameters(content: Any) -> None:
    """Check the table of layers in parameters.json."""
    table = _object(content)
    for name in ("total", "input_mb", "activations_mb", "parameters_mb"):
        _check_figure(name, table.get(name))
    if not isinstance(table["total"], int) or not isinstance(table.get("layers"), list):
        raise ValueError("no table of layers")
    for layer in table["layers"]:
        for name, kind in LAYER.items():
            if not isinstance(_object(layer).get(name), kind):
                raise ValueError(f"a layer whose {name} is {_kind(layer.get(name))}")


def check_confusion(content: Any, config: Config) -> np.ndarray:
    """Return the counts in confusion.json: int64 [classes, classes]."""
    counts = np.array(content)
    if counts.dtype.kind != "i" or counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError("no square table of whole numbers")
    known = DATASETS.get(config.dataset)
    if known and len(counts) != known.num_classes:
        raise ValueError(f"{len(counts)} classes, where {config.dataset} has {known.num_classes}")
    if counts.min(initial=0) < 0:
        raise ValueError("a negative number of images")
    return counts.astype(np.int64)


def check_misclassified(arrays: Mapping[str, np.ndarray], config: Config) -> None:
    """Check the arrays of misclassified.npz against each other."""
    if sorted(arrays) != sorted(ARRAYS):
        raise ValueError(f"arrays {', '.join(arrays) or 'none'}: due are {', '.join(ARRAYS)}")
    for name, (kinds, dimensions) in ARRAYS.items():
        array = arrays[name]
        if array.dtype.kind not in kinds or array.ndim != dimensions:
            raise ValueError(f"{name} is {array.dtype} {list(array.shape)}")
        if name != "pixels" and len(array) != len(arrays["index"]):
            raise ValueError(f"{len(array)} of {name}, {len(arrays['index'])} of index")
    if len(arrays["pixels"]) > len(arrays["index"]):
        raise ValueError("more images than mistakes")
    known = DATASETS.get(config.dataset)
    classes = known.num_classes if known else np.inf
    for name, limit in (("index", np.inf), ("target", classes), ("predicted", classes)):
        if not ((arrays[name] >= 0) & (arrays[name] < limit)).all():
            raise ValueError(f"a value of {name} that cannot be")
    confidence = arrays["confidence"]
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():  # NaN is neither
        raise ValueError("a confidence that is no probability")


def check_weights(path: Path) -> None:
    """Check that a file of weights is whole as far as its end tells (its size has no limit)."""
    if not zipfile.is_zipfile(path):
        raise ValueError("cut, or no file of weights")


def _object(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"{_kind(content)} where an object is due")
    return content


def _check_figure(name: str, value: Any) -> None:
    """Check that a figure is a finite number, of accuracies a percentage."""
    if type(value) not in (int, float) or not -LARGEST < value < LARGEST:  # NaN is not, either
        raise ValueError(f"{name} is {_kind(value)}, not a number")
    if name.endswith(("accuracy", "accuracy_last", "accuracy_best")) and not 0 <= value <= 100.001:
        raise ValueError(f"{name} is {value:g}, no percentage")
    if value < 0 and name in ("seconds", "cpu_seconds", "memory_mb", "lr", "epochs", "total"):
        raise ValueError(f"{name} is negative")


def _kind(value: Any) -> str:
    """Name what stands there: the value of a number, else its type."""
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:g}"
    kinds = {str: "a text", list: "a list", dict: "an object", bool: "true or false"}
    return kinds.get(type(value), "a number out of range")
