"""What a run leaves: writing and reading a run folder.

    runs/<sweep>/<run>/   config.json  history.jsonl  summary.json  parameters.json  weights.pt
                          misclassified.npz  misclassified.png  confusion.json  wandb/

Accuracies are percent; losses are mean cross-entropy without the L1 term. Every file is written
to a temporary name and renamed, so a file that is there is whole.
"""

import contextlib
import dataclasses
import fcntl
import functools
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from study.config import Config, Refused

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINISHED, STOPPED, FAILED, RUNNING = "finished", "stopped", "failed", "running"
METRICS = tuple(f"{s}/{m}" for s in ("train", "val", "test") for m in ("loss", "accuracy"))
CHECKPOINT = "checkpoint.pt"  # there while a run trains, and in one that was cut off
MOST_PIXELS = 100  # misclassified images whose pixels are kept
GRID = 10  # of them drawn in misclassified.png


class Failed(RuntimeError):
    """A run that cannot go on, for a cause outside the settings. The message names the remedy."""


@dataclass(frozen=True)
class Misclassified:
    """The test images a run got wrong, the most confident mistake first.

    index, target, predicted: int64 [n]; confidence: float32 [n], the softmax of the predicted
    class; pixels: uint8 [min(n, 100), C, H, W].
    """

    index: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Run:
    """A run folder, read."""

    path: Path
    config: Config
    history: list[dict[str, float]] = field(repr=False)
    summary: dict[str, Any] = field(repr=False)

    @property
    def state(self) -> str:
        return self.summary.get("state", RUNNING)

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return self.state in (FINISHED, STOPPED)

    def parameters(self) -> dict[str, Any]:
        """The layer table, as networks.parameter_table made it."""
        return read_json(self.path / "parameters.json")

    def has(self, file: str) -> bool:
        """Whether a file of the folder is there; runs pulled from W&B may lack some."""
        return (self.path / file).is_file()

    def misclassified(self) -> Misclassified:
        with np.load(self.path / "misclassified.npz", allow_pickle=False) as arrays:
            return Misclassified(**{name: arrays[name] for name in arrays.files})

    def confusion(self) -> np.ndarray:
        """Test images by target (row) and prediction (column), int64 [classes, classes]."""
        return np.array(read_json(self.path / "confusion.json"), dtype=np.int64)


def file_name(name: str) -> str:
    """A name from elsewhere as one of a file: letters, digits, `.`, `-` and `_`, others as `_`."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"


def name(config: Config) -> str:
    """The folder's name: what it is at a glance, then its identity."""
    return f"{config.norm}_s{config.seed}_{config.identity}"


def read(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        Refused: no run folder, or a damaged file in it.
    """
    path = Path(path)
    if not (path / "config.json").is_file():
        raise Refused(f"{path}: no run folder (it has no config.json)")
    config = Config.drawn(read_json(path / "config.json"))
    return Run(path, config, read_history(path), read_summary(path))


def is_done(path: Path) -> bool:
    """Whether a folder holds a run with nothing left to train.

    Raises:
        Refused: a damaged file in it.
    """
    return (path / "summary.json").is_file() and read(path).done


def read_history(path: Path) -> list[dict[str, float]]:
    """The history in a run folder; empty where there is none yet."""
    file = path / "history.jsonl"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [_decode(line, file) for line in lines]


def read_summary(path: Path) -> dict[str, Any]:
    """The summary in a run folder; empty where there is none yet."""
    file = path / "summary.json"
    return read_json(file) if file.is_file() else {}


def scores(history: list[dict[str, float]]) -> dict[str, float]:
    """The summary's figures that follow from a history.

    `best` is chosen on the test set, as the published studies do, so it flatters; `at_best_val` is
    the honest one where there is a validation set.
    """
    last, tests = history[-1], [row["test/accuracy"] for row in history]
    seconds = sum(row.get("seconds", 0) for row in history)
    found = {f"{key.replace('/', '_')}_last": last[key] for key in last if "/" in key}
    found |= {
        "test_accuracy_best": max(tests),
        "test_accuracy_best_epoch": history[tests.index(max(tests))]["epoch"],
        "test_accuracy_last5_min": min(tests[-5:]),
        "test_loss_best": min(row["test/loss"] for row in history),
        "seconds": round(seconds, 3),
    }
    if "val/accuracy" in last:
        best = max(history, key=lambda row: row["val/accuracy"])
        found |= {
            "val_accuracy_best": best["val/accuracy"],
            "val_accuracy_best_epoch": best["epoch"],
            "test_accuracy_at_best_val": best["test/accuracy"],
        }
    return found


def find(folder: str | Path) -> list[Run]:
    """The runs below a sweep's folder, by name.

    Raises:
        Refused: no folder, or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise Refused(f"{folder}: no such folder; give the folder of a sweep, such as runs/NAME")
    found = [read(path.parent) for path in sorted(folder.glob("*/config.json"))]
    if not found:
        raise Refused(f"{folder}: no run in it (a run folder holds a config.json)")
    return found


def write_config(path: Path, config: Config) -> None:
    write_json(path / "config.json", dataclasses.asdict(config))


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    lines = "".join(json.dumps(row, allow_nan=False) + "\n" for row in history)
    write(path / "history.jsonl", lambda file: file.write(lines.encode()))


def write_misclassified(path: Path, wrong: Misclassified) -> None:
    arrays = dataclasses.asdict(wrong)
    write(path / "misclassified.npz", lambda file: np.savez_compressed(file, **arrays))


def write_failure(path: Path, config: Config, cause: str) -> None:
    """Note why a run failed, as far as the disk still lets us."""
    with contextlib.suppress(Failed):
        write_config(path, config)
        write_json(path / "summary.json", {"state": FAILED, "cause": cause})


def write_json(path: Path, content: Any) -> None:
    body = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write(path, lambda file: file.write(body.encode()))


def write(path: Path, fill: Callable[[BinaryIO], Any]) -> None:
    """Write what `fill` puts into a file, under a temporary name, then rename it into place.

    It is put together in memory first: what serializes then never meets a full disk halfway.

    Raises:
        Failed: the disk is full, or cannot be written; nothing half-written is left.
    """
    content = io.BytesIO()
    fill(content)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            temporary = Path(file.name)
            file.write(content.getbuffer())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise Failed(_why_unwritten(path, error)) from error
    finally:
        if temporary:  # renamed, unless something went wrong
            temporary.unlink(missing_ok=True)


def _why_unwritten(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(path.parent).free / 1e6
        reason += f"; {free:.0f} MB free"
    return f"{path}: cannot be written ({reason}): make room or choose another folder with --out"


@functools.cache
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything is computed for it.

    Raises:
        Refused: it cannot be made, or nothing can be written in it.
    """
    try:
        write(folder / ".probe", lambda file: file.write(b"\0" * 65536))
    except Failed as error:
        raise Refused(str(error).replace(f"{os.sep}.probe", "")) from error
    finally:
        with contextlib.suppress(OSError):
            (folder / ".probe").unlink()


@contextlib.contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold a run folder while training in it; the operating system lets go of a dead holder's.

    Raises:
        Refused: another process trains in it.
    """
    check_writable(path)
    with open(path / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused(f"{path}: another process is training this run; wait for it") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # refused before anything was written
                if [entry.name for entry in path.iterdir()] == [".lock"]:
                    (path / ".lock").unlink()
                    path.rmdir()


def draw_misclassified(wrong: Misclassified, classes: Sequence[str], title: str) -> "Figure":
    """The ten most confident mistakes, five by two, each with prediction, target and confidence."""
    from matplotlib.figure import Figure

    columns, tile, words = GRID // 2, 0.94, 0.36  # of a picture's pitch: its side, its heading
    figure = Figure(figsize=(8, 4.6))
    axes = figure.add_axes((0, 0, 1, 1))  # one for all: ten would take most of the time
    axes.axis("off")
    for i, (pixels, target, predicted, confidence) in enumerate(
        zip(wrong.pixels[:GRID], wrong.target, wrong.predicted, wrong.confidence)
    ):
        x, y = i % columns, (i // columns) * (1 + words) + words
        grey = pixels.shape[0] == 1
        picture = pixels[0] if grey else pixels.transpose(1, 2, 0)
        extent = (x, x + tile, y + tile, y)
        axes.imshow(picture, "gray" if grey else None, extent=extent, vmin=0, vmax=255)
        told = f"predicted {classes[predicted]}\ntarget {classes[target]}, {confidence:.0%} sure"
        axes.text(x + tile / 2, y - 0.04, told, fontsize=8, ha="center", va="bottom")
    axes.set(xlim=(-0.03, columns - 0.03), ylim=(2 * (1 + words), -0.2))
    axes.text(columns / 2 - 0.03, -0.06, title, fontsize=11, ha="center", va="center")
    return figure


@functools.cache
def git_commit() -> str | None:
    """The commit this package was run from (`+` behind it: with changes); None outside git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        tracked = git("ls-files", "config.py")
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".") else "") \
            if tracked else None  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None


def read_json(path: Path) -> Any:
    """A JSON file's content.

    Raises:
        Refused: it cannot be read, or is damaged.
    """
    try:
        return _decode(path.read_text(), path)
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror})") from error


def _decode(body: str, path: Path) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(f"{path}: is damaged ({error}); delete it and run the sweep again") from error
