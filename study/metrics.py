"""The metrics of a run: what they are called, what is best, how their values are written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

PARTS = {"train": "training", "val": "validation", "test": "test"}
METRICS = tuple(f"{part}/{measure}" for part in PARTS for measure in ("loss", "accuracy"))


@dataclass(frozen=True)
class Metric:
    """The objective of a sweep: the best value of `name` over a run's history.

    target: the value at which the sweep ends, or None. (The repr identifies a search: see
    Search._space before renaming anything.)
    """

    name: str
    maximize: bool
    target: float | None

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the metric of a name, one of METRICS: an accuracy to maximize, a loss to
        minimize."""
        return cls(name, name.endswith("accuracy"), None)

    def best(self, history: Iterable[Mapping[str, float]]) -> float | None:
        """Return the best value of a history; None where it has none."""
        values = [row[self.name] for row in history if self.name in row]
        return (max if self.maximize else min)(values, default=None)

    def is_reached(self, value: float | None) -> bool:
        """Whether a value is as good as the target."""
        if value is None or self.target is None:
            return False
        return value >= self.target if self.maximize else value <= self.target

    @property
    def key(self) -> str:
        """The name of its value at the last epoch in a run's summary."""
        return f"{self.name.replace('/', '_')}_last"

    @property
    def is_accuracy(self) -> bool:
        return self.name.endswith("accuracy")

    @property
    def part(self) -> str:
        """The images that it is of, one of PARTS."""
        return self.name.partition("/")[0]

    @property
    def title(self) -> str:
        """Its name in words: val/loss is the validation loss."""
        part, _, measure = self.name.partition("/")
        return f"{PARTS[part]} {measure}"

    @property
    def unit(self) -> str:
        """What follows its values in a sentence."""
        return " %" if self.is_accuracy else ""

    @property
    def difference_unit(self) -> str:
        """What follows a difference of its values in a sentence."""
        return " points" if self.is_accuracy else ""

    @property
    def goal(self) -> str:
        """What it looks for, as the file of a sweep says it: maximize or minimize."""
        return "maximize" if self.maximize else "minimize"

    @property
    def superlative(self) -> str:
        """What its best value is: highest or lowest."""
        return "highest" if self.maximize else "lowest"

    @property
    def digits(self) -> int:
        """The digits of its values after the point: of an accuracy in percent two, of a loss
        four."""
        return 2 if self.is_accuracy else 4

    def format(self, value: float, signed: bool = False) -> str:
        """Return a value as text. With `signed` as a difference, which has its sign."""
        return f"{value:{'+z' if signed else ''}.{self.digits}f}"

    def axis_title(self, when: str = "") -> str:
        """Return the title of an axis: its name, `when` it is taken, and its unit."""
        return f"{self.title}{when}{' (%)' if self.is_accuracy else ''}"


def default_metric(has_validation: bool) -> Metric:
    """Return what ranks runs whose sweep names no metric: accuracy, by validation if there is."""
    return Metric.named("val/accuracy" if has_validation else "test/accuracy")
