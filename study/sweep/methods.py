"""The search of each method of a sweep."""

from pathlib import Path

from study.sweep.grid_search import GridSearch
from study.sweep.sampled_search import SampledSearch
from study.sweep.search import Search
from study.sweep.sweep import Sweep

SEARCHES: dict[str, type[Search]] = {
    "grid": GridSearch,
    "random": SampledSearch,
    "bayes": SampledSearch,
}


def search_of(
    sweep: Sweep, out: Path, *, seed: int = 0, storage: Path | str | None = None
) -> Search:
    """Begin, or go on with, a sweep's search.

    out: the folder of its runs; seed: of what it samples; storage: where its trials are, if not in
    a journal beside the runs: another journal, or the URL of a database.

    Raises:
        UsageError: a database that cannot be used, or a damaged journal.
        RunError: the database does not answer.
    """
    return SEARCHES[sweep.method](sweep, out, seed=seed, storage=storage)
