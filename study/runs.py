"""Write and read run folders.

    runs/<sweep>/<run>/   config.json  history.jsonl  summary.json  parameters.json  weights.pt
                          misclassified.npz  misclassified.png  misclassified_best.npz
                          confusion.json  wandb/

Accuracies are percent. Losses are mean cross-entropy without the L1 term. A folder that is read is
checked (schema.py).
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from study import datasets, files, own_data, schema
from study.config import Config
from study.errors import DamagedError, RunError, UnknownSettingError, UsageError
from study.values import brief, text

CONFIG, HISTORY, SUMMARY = "config.json", "history.jsonl", "summary.json"
PARAMETERS, CONFUSION, WEIGHTS = "parameters.json", "confusion.json", "weights.pt"
MISCLASSIFIED, GRID = "misclassified.npz", "misclassified.png"
MISCLASSIFIED_BEST = "misclassified_best.npz"  # of the best epoch, where that is not the last
CHECKPOINT = "checkpoint.pt"  # there while a run trains, and in one that was cut off
WANDB = "wandb"  # the folder of its W&B run
OPENED = ".opened"  # in it: the W&B run on a server, and its sweep (see tracking/marks.py)
# What is small enough to be uploaded with a run. Weights stay where they were trained.
UPLOADED = (
    CONFIG, HISTORY, SUMMARY, PARAMETERS, CONFUSION, MISCLASSIFIED, MISCLASSIFIED_BEST, GRID,
)  # fmt: skip
READ = (*UPLOADED, WEIGHTS)  # the files that a run is read from, or checked by

FINISHED, STOPPED, FAILED, RUNNING = schema.STATES
DONE = schema.DONE
ENDED_EARLY = (FAILED, STOPPED)  # of runs that did badly, more often than not
DELETED = ".deleted"  # ends the name of a folder whose run was deleted on the server
# In the summary of a run on one's own data set: of its file; the names of its classes, if any.
DATASET_MD5, CLASS_NAMES = "dataset_md5", "class_names"
MOST_PIXELS = 100  # misclassified images whose pixels are kept
ASIDE = re.compile(r".*\.(damaged|deleted)(-\d+)?")  # folders that no command reads
IDENTITY = re.compile(r"_s\d+_([0-9a-f]{10})(-.*)?$")  # ends `name`; W&B's id may follow
# Beside the runs of a sweep that was pulled from W&B: its path; run id -> its folder, its stamp.
PULLED = ".pulled.json"
REMEDY = "run its sweep again, which sets it aside"
OTHER_CODE = "use the code that trained it"
REGISTER = f"set STUDY_IMPORT to the module that registers it, or {OTHER_CODE}"
REMEDY_CONFIG = "W&B assigns it to no agent again: train its settings in another sweep"
REMEDY_PULLED = "pull its sweep again, which fetches it anew"  # where pull.py has made it


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
    """The content of a run folder."""

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
        return self.state in DONE

    def parameters(self) -> dict[str, Any]:
        """Read the layer table, as networks.parameter_table made it."""
        table = _load(files.read_json, self.path / PARAMETERS)
        self._check(PARAMETERS, schema.check_parameters, table)
        return table

    def has(self, file: str) -> bool:
        """Whether the folder has a file; those of runs pulled from W&B may lack some."""
        return (self.path / file).is_file()

    def misclassified_indices(self) -> np.ndarray:
        """Read only which test images it got wrong in its last epoch: int64 [n]. The file was
        checked as the run was read, and its pixels, most of it, stay unread."""
        return _read_arrays(self.path / MISCLASSIFIED, ["index"])["index"]

    def misclassified(self, file: str = MISCLASSIFIED) -> Misclassified:
        """Read the test images that the run got wrong, in its last epoch or its best."""
        arrays = _read_arrays(self.path / file)
        self._check(file, schema.check_misclassified, arrays, self.config)
        return Misclassified(**arrays)

    def misclassified_at_best(self) -> Misclassified | None:
        """Read the test images that it got wrong in the epoch of its highest test accuracy; None
        where that is not known."""
        if self.summary["test_accuracy_best_epoch"] == len(self.history):
            return self.misclassified() if self.has(MISCLASSIFIED) else None
        if not self.has(MISCLASSIFIED_BEST):
            return None
        return self.misclassified(MISCLASSIFIED_BEST)

    def confusion(self) -> np.ndarray:
        """Read the test images by target (row), prediction (column): int64 [classes, classes]."""
        counts = _load(files.read_json, self.path / CONFUSION)
        return self._check(CONFUSION, schema.check_confusion, counts, self.config)

    def check(self) -> None:
        """Check the files that are read when they are needed.

        Raises:
            DamagedError: one does not hold what was written.
        """
        reads = {
            PARAMETERS: self.parameters,
            CONFUSION: self.confusion,
            MISCLASSIFIED: self.misclassified,
            MISCLASSIFIED_BEST: lambda: self.misclassified(MISCLASSIFIED_BEST),
            WEIGHTS: lambda: self._check(WEIGHTS, schema.check_weights, self.path / WEIGHTS),
        }
        for file, read in reads.items():
            if self.has(file):
                read()

    def _check(self, file: str, check: Callable[..., Any], *content: Any) -> Any:
        return _checked(self.path / file, check, *content)


def name(config: Config) -> str:
    """Return the name of a run's folder: its norm and seed for the eye, then its identity."""
    return f"{config.norm}_s{config.seed}_{config.identity}"


def read(path: str | Path) -> Run:
    """Read a run folder, and check all its files.

    Raises:
        UsageError: the path is no run folder; UnknownSettingError, which is one, where other code
            has trained it; DamagedError, which is one, where a file in it does not hold what was
            written, or its configuration is gone.
    """
    path = Path(path)
    if not holds_run(path):
        if inside := [child for child in folders(path) if holds_run(child)]:
            raise UsageError(
                f"{path}: is the folder of a sweep; give one run of it, such as {inside[0]}"
            )
        raise UsageError(f"{path}: no run folder (it has no {CONFIG})")
    if not (path / CONFIG).is_file():
        raise DamagedError(path, f"it has no {CONFIG}", _remedy(path / CONFIG))
    config = read_config(path)
    # The summary first: of a run that ends meanwhile the history is then as long as it says.
    has_summary, summary = (path / SUMMARY).is_file(), read_summary(path)
    history = read_history(path)
    _checked(path / HISTORY, schema.check_history, history, config)
    if has_summary:
        _checked(path / SUMMARY, schema.check_summary, summary, history)
    run = Run(path, config, history, summary)
    run.check()
    return run


def _checked(path: Path, check: Callable[..., Any], *content: Any) -> Any:
    """Return what a check of a file's content returns; where it finds a fault, name the file."""
    try:
        return check(*content)
    except ValueError as error:
        raise DamagedError(path, error, _remedy(path)) from error


def _load(read: Callable[[Path], Any], path: Path) -> Any:
    """Read a file of a run folder by a function of files.py."""
    try:
        return read(path)
    except DamagedError as error:
        raise DamagedError(path, error.why, _remedy(path)) from error


def _read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of these names from an archive, or all that it has."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in names or content.files}
    # AttributeError: an array alone, without names. Of what is no archive: anything.
    except Exception as error:
        raise DamagedError(path, error, _remedy(path)) from error


def _remedy(file: Path) -> str:
    """Return what the user does where a file of a run folder is damaged."""
    folder = file.parent
    named = IDENTITY.search(folder.resolve().name)
    if named and named[2]:
        if (folder.resolve().parent / PULLED).is_file():
            return REMEDY_PULLED
        if (folder / WANDB / OPENED).is_file():  # W&B assigns no run to an agent twice
            if file.name == CONFIG:
                return REMEDY_CONFIG
            return f"`study sync {folder}` sets it aside and goes on from its last checkpoint"
    return REMEDY


def read_config(path: Path) -> Config:
    """Read the configuration of a run folder.

    Raises:
        UnknownSettingError: other code has trained it. DamagedError: it has settings that are not
            allowed, or is not that of the folder's name.
    """
    content = _load(files.read_json, path / CONFIG)
    if unknown := schema.unknown_settings(content):
        settings = ", ".join(f"{name}={brief(text(value))}" for name, value in unknown.items())
        remedy = REGISTER if "network" in unknown else OTHER_CODE
        raise UnknownSettingError(path / CONFIG, settings, remedy)
    config = _checked(path / CONFIG, schema.check_config, content)
    named = IDENTITY.search(path.resolve().name)
    if named and named[1] != config.identity:
        raise DamagedError(path / CONFIG, f"of another run, {name(config)}", _remedy(path / CONFIG))
    return config


def read_done(path: Path) -> Run | None:
    """Read a run that has nothing left to train; None where there is none that is whole."""
    try:
        run = read(path) if (path / SUMMARY).is_file() else None
    except UsageError:
        return None
    return run if run and run.done and not is_of_replaced_data(run) else None


def is_done(path: Path) -> bool:
    """Whether a folder holds a run, whole, with nothing left to train."""
    return read_done(path) is not None


def is_of_replaced_data(run: Run) -> bool:
    """Whether a run on one's own data set has trained on another file than is there now. Where the
    file is not at hand, or the run older than the mark, it has not.

    Raises:
        UsageError: the file is not what it should be.
    """
    md5 = run.summary.get(DATASET_MD5)
    if md5 is None or not datasets.is_known(run.config.dataset):
        return False
    return own_data.facts(datasets.own_path(run.config.dataset)).md5 != md5


def read_history(path: Path) -> list[dict[str, float]]:
    """Read the history in a run folder, unchecked; empty where there is none yet."""
    return _load(files.read_json_lines, path / HISTORY)


def count_epochs(path: Path) -> int:
    """Count the epochs in a run folder's history; none where it cannot be read."""
    with contextlib.suppress(UsageError):
        return len(read_history(path))
    return 0


def read_summary(path: Path) -> dict[str, Any]:
    """Read the summary in a run folder, unchecked; empty where there is none yet."""
    file = path / SUMMARY
    return _load(files.read_json, file) if file.is_file() else {}


def holds_run(path: Path) -> bool:
    """Whether a folder has a file of a run, its configuration or another."""
    return any((path / file).is_file() for file in (CONFIG, HISTORY, SUMMARY))


def folders(path: Path) -> list[Path]:
    """Return the folders in a folder, but for those that were set aside, sorted by name."""
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.is_dir() and not ASIDE.fullmatch(p.name))


def write_config(path: Path, config: Config) -> None:
    """Write the configuration of a run."""
    files.write_json(path / CONFIG, dataclasses.asdict(config))


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the history of a run, a line an epoch."""
    files.write_json_lines(path / HISTORY, history)


def append_history(path: Path, row: dict[str, float]) -> None:
    """Append an epoch to the history of a run."""
    files.append_json_line(path / HISTORY, row)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Write the state and the figures of a run."""
    files.write_json(path / SUMMARY, summary)


def write_misclassified(path: Path, wrong: Misclassified, name: str = MISCLASSIFIED) -> None:
    """Write the test images that a run got wrong."""
    arrays = dataclasses.asdict(wrong)
    files.write(path / name, lambda file: np.savez_compressed(file, **arrays))


def write_failure(path: Path, config: Config, cause: str) -> None:
    """Write why a run failed; where the disk is full, do without."""
    with contextlib.suppress(RunError):
        write_config(path, config)
        write_summary(path, {"state": FAILED, "cause": cause} | _data_mark(path))


def _data_mark(path: Path) -> dict[str, str]:
    """Return the part of a summary, as it is now, that says on which data its run has trained."""
    with contextlib.suppress(UsageError, AttributeError):
        return {k: v for k, v in read_summary(path).items() if k == DATASET_MD5}
    return {}
