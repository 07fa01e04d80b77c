"""A parameter of a sweep, and how it is sampled: by the quantile function of its distribution.

Optuna gets its own distributions where it has them. It gets the uniform number for the others:
normal, beta, the inverse and the rounded ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from study.train import seeds

UNIT = FloatDistribution(0, 1)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a sweep.

    definition: its text, which identifies the search; values: its choices in the file's order,
    empty where it has a range or a density. The search works on an internal value:
    distribution: Optuna's, of the internal value; quantile: a uniform number in [0, 1] -> internal
    value; decode: internal value -> value of the setting.
    """

    name: str
    definition: str
    values: tuple[Any, ...] = ()
    quantile: Callable[[float], Any] = field(repr=False, default=lambda u: u)
    distribution: BaseDistribution = UNIT
    decode: Callable[[Any], Any] = field(repr=False, default=lambda internal: internal)

    @property
    def constant(self) -> bool:
        return len(self.values) == 1

    def sample(self, seed: int, number: int) -> Any:
        """Return the random internal value of the sample of this number."""
        key = int.from_bytes(self.name.encode(), "big")
        return self.quantile(
            np.random.default_rng(seeds.derive(seed, seeds.SEARCH, number, key)).random()
        )
