"""The settings that vary between the runs of a study, as axes."""

import functools
import math
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from study.config import FIELDS, number, text
from study.report.variants import Study

LOG = {"l1", "weight_decay", "lr"}  # settings whose factor counts, not their difference
SPAN = 10  # from this factor between the largest and the smallest on


@dataclass(frozen=True)
class Axis:
    """A setting that varies, as an axis; `values` in order, as Config lists or sorts them."""

    name: str
    values: tuple[Any, ...]

    @property
    def title(self) -> str:
        return {"l1": "L1 lambda", "lr": "learning rate"}.get(
            self.name, self.name.replace("_", " ")
        )

    @property
    def numeric(self) -> bool:
        return not isinstance(self.values[0], (str, bool))

    @functools.cached_property
    def log(self) -> bool:
        positive = [value for value in self.values if self.numeric and value > 0]
        return self.name in LOG and len(positive) > 1 and max(positive) / min(positive) >= SPAN

    def place(self, value: Any) -> float:
        """Where a value stands on the axis: 0 left of a log axis, words in steps of one."""
        if not self.numeric:
            return float(self.values.index(value))
        if not self.log:
            return float(value)
        return math.log10(value) if value > 0 else self.zero

    @functools.cached_property
    def zero(self) -> float:
        """The place of 0 on a log axis: left of all others, by a tenth of them at least."""
        low, high = (math.log10(f([v for v in self.values if v > 0])) for f in (min, max))
        return low - max(0.5, 0.12 * (high - low))

    def height(self, place: float) -> float:
        """A place on the axis as a share of its length, from the least value to the greatest."""
        low, high = self.ends
        return (place - low) / (high - low)

    @functools.cached_property
    def ends(self) -> tuple[float, float]:
        """The places of the least and of the greatest value."""
        places = [self.place(value) for value in self.values]
        return min(places), max(places)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and words: each value where they are few, else round ones."""
        if not self.numeric or len(self.values) <= 8:
            return [(self.place(value), text(value)) for value in self.values]
        if not self.log:
            low, high = self.values[0], self.values[-1]
            places = MaxNLocator(6, integer=isinstance(low, int))
            return [(x, f"{x:g}") for x in places.tick_values(low, high) if low <= x <= high]
        positive = [value for value in self.values if value > 0]
        decades = range(
            math.floor(math.log10(positive[0])), math.ceil(math.log10(positive[-1])) + 1
        )
        zero = [(self.zero, "0")] if 0 in self.values else []
        return zero + [(float(d), number(float(f"1e{d}"))) for d in decades]


def varying(study: Study) -> list[Axis]:
    """The settings that differ among the configurations in which they have an effect."""
    configs = [group[0].config for group in study.runs.values()]
    found = []
    for name, field in FIELDS.items():
        values = {getattr(config, name) for config in configs if config.has_effect(name)}
        if name != "seed" and len(values) > 1:
            found.append(Axis(name, tuple(sorted(values, key=field.rank))))
    return found
