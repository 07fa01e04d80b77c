"""What a sweep has planned: sweep.json, beside its runs.

The commands that run or pull a sweep write it. A report reads in it which runs are missing, the
metric that ranks the variants, and the targets that the sweep file's description sets.
"""

import dataclasses
import hashlib
import itertools
import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from study import files, locks
from study.config import FIELDS, VARIANT, Config, check_names
from study.errors import DamagedError, Faults, UsageError, describe
from study.fields import finite
from study.grid import Grid
from study.metrics import METRICS, Metric

log = logging.getLogger(__name__)

FILE = "sweep.json"
MOST = 10_000  # planned configurations that are expanded; of a larger grid the first
Values = dict[str, list[Any]]  # parameter -> its values, in the file's order


@dataclass(frozen=True)
class Step:
    """A step of a study that changes one thing after another: its target in percent, or None, and
    what its author says of it. The first is the first configuration of the sweep, and so on."""

    target: float | None
    words: str


@dataclass(frozen=True)
class Plan:
    """What commands have planned for the folder of a sweep.

    name: the sweep's, its file's stem; definition: a hash of the file's parameters, before any are
    replaced; grids: the parameters of each command's grid, none of a search; run_cap: the most runs
    of a grid, or of a search (None: no limit); target: test accuracy in percent that the study aims
    at.
    """

    name: str
    method: str
    metric: Metric | None
    definition: str
    grids: tuple[Values, ...] = ()
    run_cap: int | None = None
    target: float | None = None
    steps: tuple[Step, ...] = ()

    @cached_property
    def configs(self) -> list[Config]:
        """The configurations of the grids, each once, at most MOST; none of a search. What is not
        allowed here, such as a network that another machine knows, is left out with a warning."""
        grids = (self._expand(grid) for grid in self.grids)
        return list(dict.fromkeys(itertools.chain.from_iterable(grids)))[:MOST]

    def reaches_target(self, histories: Iterable[list[dict[str, float]]]) -> bool:
        """Whether a run has reached the metric's target, which ends a sweep."""
        metric = self.metric
        return metric is not None and any(metric.is_reached(metric.best(h)) for h in histories)

    @cached_property
    def step_configs(self) -> list[Config]:
        """The configuration of each step, without its seed: those of the latest grid that has as
        many as there are steps; empty where none has. One parameter alone may vary beside the seed,
        since W&B keeps the order of values but not that of parameters."""
        for grid in reversed(self.grids):
            varying = [name for name, values in grid.items() if name != "seed" and len(values) > 1]
            configs = list(dict.fromkeys(c.without_seed() for c in self._expand(grid)))
            if len(varying) < 2 and len(configs) == len(self.steps):
                return configs
        return []

    def _expand(self, values: Values) -> Iterable[Config]:
        allowed = {name: _allowed(name, given) for name, given in values.items()}
        if not all(allowed.values()):
            return []
        return itertools.islice(Grid(allowed, self.run_cap, refused=_leave_out), MOST)


def _allowed(name: str, values: Iterable[Any]) -> list[Any]:
    """Return the values of a parameter that are allowed here."""
    faults, allowed = Faults(), []
    for value in values:
        canonical = faults.attempt(_canonical, name, value)
        allowed += [] if canonical is None else [canonical]
    for fault in faults.lines:
        _leave_out(fault)
    return allowed


def _canonical(name: str, value: Any) -> Any:
    if name == VARIANT:
        return value
    check_names([name])
    return FIELDS[name].canonical(value)


def _leave_out(why: str) -> None:
    log.warning("%s: what is planned and not allowed here is left out: %s", FILE, why)


def description_targets(description: str) -> tuple[float | None, tuple[Step, ...]]:
    """Parse the target and the steps that the `description` of a sweep file sets, each in a line:

        target: 99.4
        step 1, target 99: the bare network
        step 2: rotation within 7 degrees

    Other lines are for readers. A step without a target of its own has the study's.

    Raises:
        UsageError: a target that is no percentage, or steps out of order.
    """
    target = None
    steps: list[Step] = []
    for line in map(str.strip, description.splitlines()):
        if match := re.fullmatch(r"target:\s*(.*)", line):
            target = _percentage(match[1], line)
        elif match := re.fullmatch(r"step (\d+)(?:, target ([^:]*))?:\s*(.+)", line):
            if int(match[1]) != len(steps) + 1:
                raise UsageError(f"description: {line!r}: step {len(steps) + 1} comes next")
            own = None if match[2] is None else _percentage(match[2], line)
            steps.append(Step(own, match[3]))
        elif re.match(r"(target|step \d+)\b.*:", line):
            raise UsageError(
                f"description: {line!r}: write `target: 99.4`, `step 1: WORDS` or"
                " `step 1, target 99.4: WORDS`"
            )
    return target, tuple(Step(s.target if s.target else target, s.words) for s in steps)


def _percentage(word: str, line: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 < value <= 100:
        raise UsageError(f"description: {line!r}: a target is a number above 0 and at most 100")
    return value


def definition(method: str, parameters: Any) -> str:
    """Return a hash that tells one sweep file from another, by its method and parameters."""
    body = json.dumps([method, parameters], sort_keys=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()[:10]


def read(folder: Path) -> Plan | None:
    """Read the plan in the folder of a sweep; None where there is none, as in older folders.

    Raises:
        DamagedError: it is no plan.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    content = files.read_json(path)
    try:
        metric, steps = content["metric"], content["steps"]
        content |= {
            "metric": metric and Metric(**metric),
            "grids": tuple(content["grids"]),
            "steps": tuple(Step(**step) for step in steps),
        }
        plan = Plan(**content)
        _check(plan)
        return plan
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(path, describe(error), files.MOVE_AWAY) from error


def _check(plan: Plan) -> None:
    """Check what a plan that was read holds.

    Raises:
        ValueError, or AttributeError of a grid: something is not of its type.
    """
    metric, cap = plan.metric, plan.run_cap
    targets = [plan.target, metric and metric.target, *(step.target for step in plan.steps)]
    texts = [plan.name, plan.method, plan.definition, *(step.words for step in plan.steps)]
    checks = {
        "a target that is no number": all(each is None or finite(each) for each in targets),
        "a name without text": all(isinstance(each, str) for each in texts),
        "a run_cap that is no whole number": cap is None or (type(cap) is int and cap > 0),
        "a metric that runs do not have": metric is None
        or (metric.name in METRICS and isinstance(metric.maximize, bool)),
        "a parameter without a list of values": all(
            isinstance(values, list) for grid in plan.grids for values in grid.values()
        ),
    }
    if faults := [fault for fault, holds in checks.items() if not holds]:
        raise ValueError(faults[0])


def write(folder: Path, plan: Plan) -> None:
    """Write a command's plan: beside what earlier commands planned with the same sweep file, in
    place of what they planned with another, or with this one before it was edited. A damaged one is
    set aside.

    Raises:
        RunError: it cannot be written.
    """
    with locks.edit(folder / FILE):  # or of two commands one would lose its plan
        _add(folder, plan)


def _add(folder: Path, plan: Plan) -> None:
    try:
        earlier = read(folder)
    except DamagedError as error:
        earlier, place = None, files.set_aside(folder / FILE)
        log.warning("%s is damaged (%s): set aside as %s", error.path, error.why, place.name)
    if earlier and earlier.definition == plan.definition:
        grids = (*earlier.grids, *(grid for grid in plan.grids if grid not in earlier.grids))
        plan = dataclasses.replace(plan, grids=grids)
    if plan != earlier:
        files.write_json(folder / FILE, dataclasses.asdict(plan))
