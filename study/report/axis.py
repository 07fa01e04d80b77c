"""The settings in which the runs of a study differ, as axes of figures."""

import functools
import math
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from study.config import FIELDS, number, text
from study.report.variants import Study

SCALED = {"l1", "weight_decay", "lr"}  # settings whose ratios count, not their differences
LOG_RATIO = 10  # largest to smallest value from which such an axis is logarithmic
FEW_VALUES = 8  # up to so many, each value is a tick
TITLES = {"l1": "L1 lambda", "lr": "learning rate"}


@dataclass(frozen=True)
class Axis:
    """A setting that varies; its values in the order in which Config lists or sorts them."""

    name: str
    values: tuple[Any, ...]

    @property
    def title(self) -> str:
        return TITLES.get(self.name, self.name.replace("_", " "))

    @property
    def numeric(self) -> bool:
        return not isinstance(self.values[0], (str, bool))

    @functools.cached_property
    def log(self) -> bool:
        positive = self._positive if self.numeric else []
        ratio = max(positive) / min(positive) if positive else 1
        return self.name in SCALED and ratio >= LOG_RATIO

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


def varying(study: Study) -> list[Axis]:
    """The settings that differ among the configurations in which they have an effect."""
    configs = [group[0].config for group in study.runs.values()]
    axes = []
    for name, field in FIELDS.items():
        values = {getattr(config, name) for config in configs if config.has_effect(name)}
        if name != "seed" and len(values) > 1:
            axes.append(Axis(name, tuple(sorted(values, key=field.rank))))
    return axes
