"""Every way in which a file of a run folder was found damaged, or may be."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from study import runs

FILES = (runs.CONFIG, runs.HISTORY, runs.SUMMARY, runs.PARAMETERS, runs.CONFUSION,
         runs.MISCLASSIFIED, runs.WEIGHTS)  # fmt: skip
BYTES: dict[str, bytes] = {
    "random": np.random.default_rng(0).bytes(300),
    "zeros": bytes(300),
    "empty": b"",
    "list": b"[]",
    "list of one": b"[1]",
    "object": b"{}",
    "null": b"null",
    "text": b'"text"',
    "state": b'{"state": "finished"}',
    "epoch": b'{"epoch": 1}',
    "nan": b'{"state": NaN, "epoch": NaN}',
    "latin-1": '{"state": "é"}'.encode("latin-1"),
    "deep": b"[" * 100_000,
    "long number": b"9" * 10_000,
    "plain array": (lambda file: (np.save(file, np.arange(3)), file.getvalue())[1])(io.BytesIO()),
}


def _edit(file: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Damage a JSON file by a change of its content."""

    def damage(folder: Path) -> None:
        path = folder / file
        if file == runs.HISTORY:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            path.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
        else:
            path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def _arrays(**changed: Any) -> Callable[[Path], None]:
    """Damage misclassified.npz by other arrays; None: without it."""

    def damage(folder: Path) -> None:
        with np.load(folder / runs.MISCLASSIFIED) as content:
            arrays = {name: content[name] for name in content.files} | changed
        kept = {name: array for name, array in arrays.items() if array is not None}
        np.savez_compressed(folder / runs.MISCLASSIFIED, **kept)

    return damage


def _cut(file: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        body = (folder / file).read_bytes()
        (folder / file).write_bytes(body[: int(0.7 * len(body))])

    return damage


def _write(file: str, body: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(body) and None


def _first(change: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda rows: [rows[0] | change, *rows[1:]]


def _without(name: str) -> Callable[[Any], Any]:
    return lambda content: {key: value for key, value in content.items() if key != name}


OBJECTS = np.array([{"a": 1}] * 7, dtype=object)
DAMAGES: dict[str, Callable[[Path], None]] = {
    f"{file}: {kind}": _write(file, body)
    for file, (kind, body) in itertools.product(FILES, BYTES.items())
} | {f"{file}: cut": _cut(file) for file in FILES} | {
    "history: fewer rows": _edit(runs.HISTORY, lambda rows: rows[:-1]),
    "history: a row twice": _edit(runs.HISTORY, lambda rows: [rows[0], *rows]),
    "history: a gap in its middle": _edit(runs.HISTORY, lambda rows: [rows[0], *rows[2:]]),
    "history: from epoch 0": _edit(runs.HISTORY, _first({"epoch": 0})),
    "history: epoch 1.5": _edit(runs.HISTORY, _first({"epoch": 1.5})),
    "history: more epochs": _edit(runs.HISTORY, lambda rows: [*rows, rows[-1] | {"epoch": 99}]),
    "history: 150 %": _edit(runs.HISTORY, _first({"test/accuracy": 150.0})),
    "history: text": _edit(runs.HISTORY, _first({"test/accuracy": "97"})),
    "history: null": _edit(runs.HISTORY, _first({"train/loss": None})),
    "history: a list": _edit(runs.HISTORY, _first({"val/accuracy": [1]})),
    "history: true": _edit(runs.HISTORY, _first({"lr": True})),
    "history: infinite": _edit(runs.HISTORY, _first({"test/loss": float("inf")})),
    "history: huge": _edit(runs.HISTORY, _first({"test/loss": 10**400})),
    "history: negative seconds": _edit(runs.HISTORY, _first({"seconds": -1.0})),
    "history: without accuracy": _edit(runs.HISTORY, lambda rows: [{"epoch": 1}, *rows[1:]]),
    "summary: another state": _edit(runs.SUMMARY, lambda s: s | {"state": "done"}),
    "summary: state a list": _edit(runs.SUMMARY, lambda s: s | {"state": ["finished"]}),
    "summary: more epochs": _edit(runs.SUMMARY, lambda s: s | {"epochs": 9}),
    "summary: without epochs": _edit(runs.SUMMARY, _without("epochs")),
    "summary: without accuracy": _edit(runs.SUMMARY, _without("test_accuracy_last")),
    "summary: without seconds": _edit(runs.SUMMARY, _without("seconds")),
    "summary: text": _edit(runs.SUMMARY, lambda s: s | {"test_accuracy_last": "97"}),
    "summary: null": _edit(runs.SUMMARY, lambda s: s | {"val_accuracy_last": None}),
    "summary: 150 %": _edit(runs.SUMMARY, lambda s: s | {"test_accuracy_best": 150}),
    "summary: another accuracy": _edit(runs.SUMMARY, lambda s: s | {"test_accuracy_last": 12.5}),
    "summary: another loss": _edit(runs.SUMMARY, lambda s: s | {"test_loss_last": 9.5}),
    "summary: versions": _edit(runs.SUMMARY, lambda s: s | {"versions": ["torch"]}),
    "summary: a version": _edit(runs.SUMMARY, lambda s: s | {"versions": {"torch": 2}}),
    "summary: device": _edit(runs.SUMMARY, lambda s: s | {"device": {"name": "cpu"}}),
    "summary: cause": _edit(runs.SUMMARY, lambda s: s | {"state": "failed", "cause": {"a": 1}}),
    "config: another run's": _edit(runs.CONFIG, lambda c: c | {"seed": 77}),
    "config: an unknown setting and text": _edit(runs.CONFIG, lambda c: c | {"wd": 1, "lr": "a"}),
    "config: text": _edit(runs.CONFIG, lambda c: c | {"lr": "high"}),
    "config: a list": _edit(runs.CONFIG, lambda c: c | {"norm": ["batch"]}),
    "config: an object": _edit(runs.CONFIG, lambda c: c | {"epochs": {}}),
    "config: null": _edit(runs.CONFIG, lambda c: c | {"dataset": None}),
    "config: gone": lambda folder: (folder / runs.CONFIG).unlink(),
    "parameters: no layers": _edit(runs.PARAMETERS, _without("layers")),
    "parameters: text": _edit(runs.PARAMETERS, lambda p: p | {"total": "7684"}),
    "parameters: a size": _edit(runs.PARAMETERS, _without("input_mb")),
    "parameters: a layer": _edit(runs.PARAMETERS, lambda p: p | {"layers": [1]}),
    "parameters: a bare layer": _edit(runs.PARAMETERS, lambda p: p | {"layers": [{}]}),
    "confusion: not square": _edit(runs.CONFUSION, lambda c: c[:-1]),
    "confusion: ragged": _edit(runs.CONFUSION, lambda c: [*c[:-1], c[-1][:-1]]),
    "confusion: fractions": _edit(runs.CONFUSION, lambda c: [[0.5] * 10] * 10),
    "confusion: text": _edit(runs.CONFUSION, lambda c: [["1"] * 10] * 10),
    "confusion: negative": _edit(runs.CONFUSION, lambda c: [[-1] * 10] * 10),
    "confusion: nine classes": _edit(runs.CONFUSION, lambda c: [[1] * 9] * 9),
    "npz: pickled": _arrays(index=OBJECTS),
    "npz: without pixels": _arrays(pixels=None),
    "npz: one more": _arrays(more=np.arange(3)),
    "npz: lengths": _arrays(target=np.arange(3)),
    "npz: more pixels": _arrays(pixels=np.zeros((9, 1, 28, 28), np.uint8)),
    "npz: flat pixels": _arrays(pixels=np.zeros((7, 28, 28), np.uint8)),
    "npz: float pixels": _arrays(pixels=np.zeros((7, 1, 28, 28))),
    "npz: text": _arrays(predicted=np.array(list("abcdefg"))),
    "npz: a class": _arrays(predicted=np.full(7, 10)),
    "npz: negative": _arrays(index=np.arange(7) - 1),
    "npz: nan": _arrays(confidence=np.full(7, np.nan, np.float32)),
}  # fmt: skip
