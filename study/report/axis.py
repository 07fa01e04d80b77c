"""The settings in which the runs of a study differ, as axes of figures."""

import dataclasses
import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from study.config import FIELDS
from study.report.study import Study
from study.values import number, text

SCALED = {"l1", "weight_decay", "lr", "batch_size"}  # whose ratios count, not their differences
LOG_RATIO = 10  # largest to smallest from which their axis, or one of doubled values, is log
FEW_VALUES = 8  # up to so many, each value is a tick
TITLES = {"l1": "L1 lambda", "lr": "learning rate"}


@dataclass(frozen=True)
class Axis:
    """A setting that varies; its values in the order in which Config lists or sorts them.

    beside: the settings that move wherever it moves and nowhere else, so that what each of them
    does cannot be known.
    """

    name: str
    values: tuple[Any, ...]
    beside: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.beside)

    @property
    def title(self) -> str:
        own, *others = map(title_of, self.names)
        return f"{own} (with {', '.join(others)})" if others else own

    @property
    def numeric(self) -> bool:
        return not isinstance(self.values[0], (str, bool))

    @functools.cached_property
    def log(self) -> bool:
        positive = self._positive if self.numeric else []
        ratio = max(positive) / min(positive) if positive else 1
        doubled = all(2 * one == two for one, two in itertools.pairwise(positive))
        return (self.name in SCALED or doubled) and ratio >= LOG_RATIO

    @property
    def _positive(self) -> list[float]:
        return [value for value in self.values if value > 0]

    def position(self, value: Any) -> float:
        """Where a value stands: words one apart, 0 left of all others on a log axis."""
        if not self.numeric:
            return float(self.values.index(value))
        if not self.log:
            return float(value)
        return math.log10(value) if value > 0 else self.zero

    @functools.cached_property
    def zero(self) -> float:
        """The position of 0 on a log axis: at least half a decade left of the least value."""
        low, high = math.log10(min(self._positive)), math.log10(max(self._positive))
        return low - max(0.5, 0.12 * (high - low))

    def fraction(self, position: float) -> float:
        """A position as a fraction of the axis, 0 at the least value and 1 at the greatest."""
        positions = [self.position(value) for value in self.values]
        low, high = min(positions), max(positions)
        return (position - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Positions and labels: every value where they are few, else round numbers."""
        if not self.numeric or len(self.values) <= FEW_VALUES:
            return [(self.position(value), text(value)) for value in self.values]
        if not self.log:
            low, high = self.values[0], self.values[-1]
            locator = MaxNLocator(6, integer=isinstance(low, int))
            return [(x, f"{x:g}") for x in locator.tick_values(low, high) if low <= x <= high]
        first = math.floor(math.log10(min(self._positive)))
        last = math.ceil(math.log10(max(self._positive)))
        zero = [(self.zero, "0")] if 0 in self.values else []
        return zero + [(float(d), number(float(f"1e{d}"))) for d in range(first, last + 1)]


def title_of(name: str) -> str:
    """What a setting is called in words."""
    return TITLES.get(name, name.replace("_", " "))


def varying(study: Study) -> list[Axis]:
    """The settings that differ among the configurations in which they have an effect.

    Those that always move together, such as a learning rate in proportion to the batch size, are
    one axis, named after the setting whose values are the shortest to read.
    """
    configs = [group[0].config for group in study.runs.values()]
    together: dict[Any, list[Axis]] = defaultdict(list)
    for name, field in FIELDS.items():
        column = [getattr(config, name) if config.has_effect(name) else None for config in configs]
        values = {value for value in column if value is not None}
        if name != "seed" and len(values) > 1:
            axis = Axis(name, tuple(sorted(values, key=field.rank)))
            # Values of which none comes twice, as in a search, move with everything.
            key = _places(column) if len(set(column)) < len(column) else name
            together[key].append(axis)
    return [_merged(axes) for axes in together.values()]


def _places(column: Sequence[Any]) -> tuple[int, ...]:
    """Where each value of a column stood first, the same for columns that are one to one; -1 where
    there is none."""
    return tuple(-1 if value is None else column.index(value) for value in column)


def _merged(axes: Sequence[Axis]) -> Axis:
    def length(axis: Axis) -> tuple[bool, int]:
        return axis.numeric, sum(len(text(value)) for value in axis.values)

    first = min(axes, key=length)
    others = tuple(axis.name for axis in axes if axis is not first)
    return dataclasses.replace(first, beside=others)
