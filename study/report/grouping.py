"""The runs of a sweep, or of several, grouped by configuration: how a Study is made."""

import dataclasses
import itertools
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from study import planned, runs, sweep_folder
from study.config import FIELDS, Config
from study.errors import DamagedError, UsageError
from study.labels import labels, slug
from study.planned import Plan
from study.report.study import Study
from study.report.variants import Variant
from study.runs import FINISHED, Run
from study.values import count, number

log = logging.getLogger(__name__)

DIGITS = 4  # significant digits of a long number in a label
LONG = re.compile(r"\d+\.\d{5,}(?:e-?\d+)?")  # a number with more digits than a label should have
LONGEST_NAME = 150  # letters of a label in the name of a file


def collect(*folders: Path, read: Callable[[Path], Run] = runs.read) -> Study:
    """Read the study in the folder of a sweep, or in those of several together.

    read: reads a run's folder, or remembers it.

    Raises:
        UsageError: no runs, or none finished, or a folder given twice.
    """
    names = sweep_names(folders)
    found = {name: sweep_folder.find_readable(path, read) for name, path in zip(names, folders)}
    plans = {name: plan for name, path in zip(names, folders) if (plan := _read_plan(path))}
    unread = {
        run if len(folders) == 1 else f"{name}/{run}": why
        for name, (_, left) in found.items()
        for run, why in left.items()
    }
    if not any(group for group, _ in found.values()):
        folder, why = folders[0], next(iter(unread.values()))
        raise UsageError(f"{folder}: no run in it can be read ({why})")
    study = gather({name: group for name, (group, _) in found.items()}, plans, unread)
    for why, left in study.unread_by_cause.items():
        which = left[0] if len(left) == 1 else f"{count(len(left), 'run')}, such as {left[0]}"
        log.warning("left out: %s: %s", which, why)
    for name, path in zip(names, folders):
        if found[name][0] and name not in study.sweeps:
            total = sum(run.path.parent == path for run in study.all)
            raise UsageError(
                f"{path}: has {count(total, 'run')}, none of them finished; run the sweep first"
            )
    return study


def sweep_names(folders: Sequence[Path]) -> list[str]:
    """Name each sweep after its folder, and as many folders above as tell them apart: old/mnist
    and new/mnist.

    Raises:
        UsageError: a folder given twice.
    """
    paths = [path.resolve() for path in folders]
    if len(set(paths)) < len(paths):
        raise UsageError(f"{folders[-1]}: given twice; compare a sweep with another")
    enough = (
        d for d in itertools.count(1) if len({path.parts[-d:] for path in paths}) == len(paths)
    )
    depth = next(enough)
    return ["/".join(path.parts[-depth:]) for path in paths]


def _read_plan(folder: Path) -> Plan | None:
    """Read what a sweep has planned; a report does without where that is damaged."""
    try:
        return planned.read(folder)
    except DamagedError as error:
        log.warning("what the sweep has planned is not known: %s", error)
        return None


def gather(
    sweeps: Mapping[str, Iterable[Run]],
    plans: Mapping[str, Plan] | None = None,
    unread: Mapping[str, str] | None = None,
) -> Study:
    """Group the runs of sweeps, given by name, by configuration, in each sweep by itself.

    Of several runs of one configuration and seed a finished one counts; the rest are duplicates.
    A label names what differs within its sweep; of several sweeps it begins with the sweep's name.
    plans: of those sweeps that have one; unread: see Study.
    """
    plans = plans or {}
    counted, duplicates = _without_duplicates(sweeps)
    configs = {sweep: [*plans[sweep].configs] if sweep in plans else [] for sweep in sweeps}
    for sweep, run in counted:
        configs[sweep].append(run.config)
    short = {sweep: _shortened(labels(group)) for sweep, group in configs.items()}

    def label(sweep: str, config: Config) -> str:
        name = short[sweep][config.without_seed()]
        return name if len(sweeps) == 1 else f"{sweep}: {name}"

    order = list(sweeps)
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for sweep, run in sorted(counted, key=lambda pair: (order.index(pair[0]), _rank(pair[1]))):
        groups[sweep, label(sweep, run.config)].append(run)
    variants, names = [], _file_names([label for _, label in groups])
    for (sweep, name), group in groups.items():
        finished = [run for run in group if run.state == FINISHED]
        if finished:
            config = finished[0].config.without_seed()
            variants.append(Variant(name, config, finished, sweep, names[name]))
    by_label: dict[str, dict[str, list[Config]]] = {sweep: {} for sweep in plans}
    for sweep, of_sweep in by_label.items():
        for config in dict.fromkeys(configs[sweep]):
            of_sweep.setdefault(label(sweep, config), []).append(config)
    return Study(
        name=" and ".join(sweeps),
        variants=variants,
        runs={name: group for (_, name), group in groups.items()},
        duplicates=duplicates,
        sweep_of={name: sweep for sweep, name in groups},
        plans=dict(plans),
        planned=by_label,
        unread=dict(unread or {}),
    )


def _without_duplicates(
    sweeps: Mapping[str, Iterable[Run]],
) -> tuple[list[tuple[str, Run]], list[Run]]:
    """The runs that count, each with its sweep's name, and the duplicates."""
    pairs = [(sweep, run) for sweep, group in sweeps.items() for run in group]
    counted, duplicates, seen = [], [], set()
    for sweep, run in sorted(pairs, key=lambda pair: pair[1].state != FINISHED):
        known = (sweep, run.config.identity) in seen
        duplicates.append(run) if known else counted.append((sweep, run))
        seen.add((sweep, run.config.identity))
    return counted, duplicates


def _shortened(by_config: dict[Config, str]) -> dict[Config, str]:
    """Labels in which long numbers have four digits, unless two labels would become one."""

    def short(match: re.Match) -> str:
        return number(float(f"{float(match[0]):.{DIGITS}g}"))

    shorter = {config: LONG.sub(short, label) for config, label in by_config.items()}
    return shorter if len(set(shorter.values())) == len(by_config) else by_config


def _file_names(labels: Iterable[str]) -> dict[str, str]:
    """A file name for each label: no two alike, none too long for a file system."""
    names: dict[str, str] = {}
    for label in labels:
        name = short = slug(label)[:LONGEST_NAME]
        for copy in itertools.count(2):
            if name not in names.values():
                break
            name = f"{short}_{copy}"
        names[label] = name
    return names


def _rank(run: Run) -> tuple[list[Any], int]:
    """A sort key: the settings, each in the order in which Config lists its values, then the
    seed."""
    values = dataclasses.asdict(run.config)
    return [FIELDS[name].rank(values[name]) for name in FIELDS if name != "seed"], run.config.seed
