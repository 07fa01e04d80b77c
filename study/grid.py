"""The configurations of a grid: counted and checked at once, made as they are asked for."""

import copy
import functools
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from study.config import COUPLED, VARIANT, Config
from study.errors import Faults


class Grid(Collection[Config]):
    """The product of the values in the file's order, each configuration once.

    Only settings that are checked together have to be combined to check all: their combinations
    are the `bases`. Each takes every value of the other settings.

    values: canonical values of each parameter; cap: the most configurations, or None; refused:
    called with each combination's fault, in place of an error.

    Raises:
        UsageError: combinations that are not allowed.
    """

    def __init__(
        self,
        values: Mapping[str, Sequence[Any]],
        cap: int | None = None,
        *,
        refused: Callable[[str], Any] | None = None,
    ) -> None:
        self.values = {name: tuple(dict.fromkeys(v)) for name, v in values.items()}
        self.cap = cap
        self.coupled = [name for name in values if name == VARIANT or name in COUPLED]
        self.free = [name for name in values if name not in self.coupled]
        self.first = {name: self.values[name][0] for name in self.free}
        # By the values of the coupled parameters; the first of those that come to the same.
        self.bases: dict[tuple[Any, ...], Config] = {}
        faults = self._make_bases(quiet=refused is not None)
        if refused is None:
            faults.check()
        else:
            for fault in faults.lines:
                refused(fault)
        [self.made] = itertools.tee(itertools.islice(self._make(), cap), 1)

    def _make_bases(self, quiet: bool) -> Faults:
        faults, known = Faults(), set()
        for row in itertools.product(*(self.values[name] for name in self.coupled)):
            settings = self.first | dict(zip(self.coupled, row))
            base = faults.attempt(Config.from_sweep, settings, quiet=quiet)
            if base and base not in known:
                known.add(base)
                self.bases[row] = base
        return faults

    def _make(self) -> Iterator[Config]:
        for row in itertools.product(*self.values.values()):
            values = dict(zip(self.values, row))
            base = self.bases.get(tuple(values[name] for name in self.coupled))
            if base:
                yield base.with_values({name: values[name] for name in self.free})

    def __len__(self) -> int:
        total = len(self.bases) * math.prod(len(self.values[name]) for name in self.free)
        return total if self.cap is None else min(total, self.cap)

    def __iter__(self) -> Iterator[Config]:
        return copy.copy(self.made)  # of a tee, which keeps what any copy has made

    def __contains__(self, config: object) -> bool:
        if not isinstance(config, Config):
            return False
        if self.cap is not None:
            return config in self._all
        return config.with_values(self.first) in self._bases and all(
            getattr(config, name) in self.values[name] for name in self.free
        )

    @functools.cached_property
    def _all(self) -> set[Config]:
        return set(self)

    @functools.cached_property
    def _bases(self) -> set[Config]:
        return set(self.bases.values())

    def samples(self) -> list[Config]:
        """Return configurations that show every value, but not each beside all others."""
        if self.cap is not None:
            return list(self)
        base, *others = self.bases.values()
        singles = (
            base.with_values({name: value}) for name in self.free for value in self.values[name]
        )
        return list(dict.fromkeys([base, *singles, *others]))
