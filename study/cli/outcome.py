"""What a sweep's command did, as it ends: counts, causes, the best so far and the next command."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from study import output
from study.errors import UsageError
from study.sweep.outcome import Outcome
from study.values import count

if TYPE_CHECKING:
    from study.report.study import Study
    from study.report.variants import Variant


def report(folder: Path, outcome: Outcome) -> int:
    """Print the outcome of a sweep into a folder; return the exit code."""
    for warning in outcome.warnings:
        output.show(f"warning: {warning}", sys.stderr)
    output.show(
        f"{folder}: {count(outcome.trained, 'run')} trained"
        + (f" ({outcome.stopped} stopped early)" if outcome.stopped else "")
        + f", {outcome.existing} already done, {len(outcome.failed)} failed,"
        f" {outcome.remaining} remaining"
        + (f"; {outcome.logged} logged to W&B only" if outcome.logged else "")
        + (f"; {outcome.by_other_workers} by other workers" if outcome.by_other_workers else "")
        + (f"; {outcome.end_reason}" if outcome.end_reason else "")
    )
    if outcome.failed:
        output.show("failed; the same command runs them again:", sys.stderr)
        for run, cause in outcome.failed.items():
            output.show(f"  {run}: {cause}", sys.stderr)
    for line in _best(folder):
        output.show(line)
    return 1 if outcome.failed else 0


def _best(folder: Path) -> list[str]:
    """The configuration with the best mean, of each data set, network and number of epochs, and the
    command that says what it is worth; nothing where no run has finished."""
    from study.report import grouping

    try:
        study = grouping.collect(folder)
    except UsageError:  # no finished run here
        return []
    lines = [
        _best_of(part, family) for part in study.by_dataset.values() for family in part.families
    ]
    return [*lines, f"report: study report {shlex.quote(str(folder))}"]


def _best_of(study: "Study", family: "list[Variant]") -> str:
    from study.report import words

    best = family[0]
    value = words.in_words(best.last(study.rank_key), study.metric)
    seeds = count(len(best.runs), "seed")
    if len(best.runs) == 2:
        seeds += ", whose interval is too wide to be useful: train 3 or more"
    name = f"best: {best.label}," if len(family) > 1 else f"{best.label}:"
    return f"{name} {study.metric.title} {value} ({seeds})"
