"""How a search went: search.json, beside its runs.

The commands that search write it. A report reads in it how the best configuration was found.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from study import files
from study.errors import DamagedError
from study.metrics import METRICS

FILE = "search.json"


@dataclass(frozen=True)
class SearchRecord:
    """What commands have searched in the folder of a sweep.

    method: random, bayes or grid; metric, goal: what it goes by, or None; seed: of its draws;
    exhausted: whether the last command found every configuration that can be sampled; runs: the
    names of the run folders, in the order of the search.
    """

    method: str
    metric: str | None = None
    goal: str | None = None
    seed: int = 0
    exhausted: bool = False
    runs: tuple[str, ...] = ()


def read(folder: Path) -> SearchRecord | None:
    """Read the record of a search; None without one.

    Raises:
        DamagedError: it does not hold what was written.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    content = files.read_json(path)
    try:
        names = [field.name for field in dataclasses.fields(SearchRecord)]
        record = SearchRecord(**{name: content[name] for name in names if name in content})
        _check(record)
    except (TypeError, ValueError) as error:
        raise DamagedError(path, "no record of a search", files.MOVE_AWAY) from error
    return dataclasses.replace(record, runs=tuple(record.runs))


def _check(record: SearchRecord) -> None:
    """Raises ValueError: something is not of its type."""
    whole = (
        isinstance(record.method, str)
        and record.metric in (*METRICS, None)
        and type(record.seed) is int
        and isinstance(record.exhausted, bool)
        and isinstance(record.runs, list | tuple)
        and all(isinstance(name, str) for name in record.runs)
    )
    if not whole:
        raise ValueError(record)


def write(folder: Path, record: SearchRecord) -> None:
    """Write the record of a search.

    Raises:
        RunError: it cannot be written.
    """
    files.write_json(folder / FILE, dataclasses.asdict(record))
