"""What a search found in words: the best configuration, and how it was chosen.

Everything comes from run folders, and from what a search writes beside them. A configuration counts
by its mean over seeds, at the last epoch, of the metric that ranks it.
"""

import logging
import shlex
from collections import Counter
from dataclasses import dataclass

from study import runs, search_record
from study.errors import DamagedError
from study.report.study import Study
from study.report.variants import TEST
from study.report.words import in_words
from study.runs import FAILED, FINISHED, STOPPED, Run
from study.search_record import SearchRecord
from study.values import count

log = logging.getLogger(__name__)

METHODS = ("random", "bayes")  # of a sweep that searches; a grid trains all that it names
SEVERAL = 5  # finished configurations from which there is a search to draw
SEEDS = "1,2,3,4,5"


@dataclass(frozen=True)
class Search:
    """Sentences on the best configuration, and the command that runs it again."""

    sentences: list[str]
    command: str


def summarize(study: Study) -> Search | None:
    """Summarize the choice of the best configuration; None where nothing searched, or found one."""
    record = _record(study)
    if len(study.variants) < 2 or not record or record.method not in METHODS or not record.metric:
        return None
    best = shlex.quote(str(study.ranked[0].runs[0].path))
    return Search(_sentences(study, record), f"study rerun {best} --seeds {SEEDS}")


def _sentences(study: Study, record: SearchRecord) -> list[str]:
    """What the best was chosen on, among how many, how it tests, and who drew them."""
    best = study.ranked[0]
    chosen, test = best.last(study.rank_key), best.last(TEST)
    states = Counter(run.state for run in study.all)
    words = {STOPPED: "stopped early", FAILED: "failed"}
    left_out = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    sentences = [
        f"Best configuration: {best.label}. It was chosen on its {study.metric.title} at the last"
        f" epoch ({in_words(chosen, study.metric)}, the mean of {count(chosen.n, 'run')}), the"
        f" {study.metric.superlative} among"
        f" {count(len(study.variants), 'configuration')} with"
        f" {count(states[FINISHED], 'finished run')}"
        + (f"; not among them: {' and '.join(left_out)}." if left_out else ".")
    ]
    if not study.by_test:
        sentences.append(
            f"Being the {study.metric.superlative} of {len(study.variants)}, that figure flatters"
            f" it. Its test accuracy at the last epoch, which chose nothing, is {in_words(test)},"
            f" with {best.parameters['total']:,} parameters."
        )
    else:
        sentences.append(
            f"It has {best.parameters['total']:,} parameters. Being the {study.metric.superlative}"
            f" of {len(study.variants)}, the figure flatters it: runs with `holdout` choose on"
            " images of their own."
        )
    sentences.append(
        f"The configurations were drawn by a {record.method} search (seed {record.seed}) that goes"
        f" by the best {record.metric} over a run's epochs."
    )
    return sentences


def in_order(study: Study) -> tuple[list[Run], str]:
    """All runs in the order in which they began, and the name of that order."""
    record = _record(study)
    if record and record.runs:
        position = {name: i for i, name in enumerate(record.runs)}
        last = len(position)
        ordered = sorted(study.all, key=lambda run: position.get(run.path.name, last))
        return ordered, "the order of the search"
    ordered = sorted(study.all, key=lambda run: (run.path / runs.CONFIG).stat().st_mtime_ns)
    return ordered, "the order of their folders' times"


def _record(study: Study) -> SearchRecord | None:
    """What the search wrote beside its runs; None without one, for several sweeps, and where it is
    damaged."""
    try:
        return search_record.read(study.folder) if study.folder else None
    except DamagedError as error:
        log.warning("how the search went is not known: %s", error)
        return None
