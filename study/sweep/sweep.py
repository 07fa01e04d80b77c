"""A checked sweep: its parameters, and the configurations that they give."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from study import planned
from study.config import Config
from study.errors import UsageError
from study.grid import Grid
from study.metrics import Metric
from study.planned import Plan
from study.sweep.hyperband import Hyperband
from study.sweep.parameter import Parameter
from study.values import count

SAMPLES = 200  # of a search's configurations, checked when its file is read


@dataclass(frozen=True)
class Sweep:
    """A checked sweep YAML; its parameters are in the file's order.

    definition: a hash of the parameters in the file, before any are replaced; entity: whose project
    it is on W&B, or "", the account's own.
    """

    name: str
    project: str
    method: str
    parameters: dict[str, Parameter]
    metric: Metric | None = None
    hyperband: Hyperband | None = None
    run_cap: int | None = None
    description: str = ""
    definition: str = ""
    entity: str = ""

    @property
    def maximizes(self) -> bool:
        """Whether a greater value of the metric is better; without a metric, no."""
        return self.metric is not None and self.metric.maximize

    @cached_property
    def grid(self) -> Grid:
        """The configurations of a grid; it is empty for a search.

        Raises:
            UsageError: combinations of settings that are not allowed.
        """
        values = {name: p.values for name, p in self.parameters.items()}
        return Grid(values, self.run_cap)

    @cached_property
    def samples(self) -> list[Config]:
        """Configurations that show what varies: of a grid every value, of a search some at random.

        Raises:
            UsageError: combinations of settings that are not allowed.
        """
        if self.method == "grid":
            return self.grid.samples()
        samples: list[dict[str, Any]] = []
        for number in range(SAMPLES):
            with contextlib.suppress(UsageError):  # the far tail of a normal, which is resampled
                samples.append(self._decode(self.sample(0, number)))
        configs: dict[Config, None] = {}
        faults: dict[str, str] = {}
        for values in samples:
            try:
                configs[Config.from_sweep(values)] = None
            except UsageError as error:  # one example of each setting's
                faults.setdefault(str(error).partition("=")[0], str(error))
        if faults:
            raise UsageError("\n".join(faults.values()))
        return list(configs)

    @property
    def configs(self) -> list[Config]:
        """All configurations of a grid; of a search samples."""
        return list(self.grid) if self.method == "grid" else self.samples

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Return random internal values of the parameters that vary (see parameter.py)."""
        return {p.name: p.sample(seed, number) for p in self.varying}

    def config(self, params: Mapping[str, Any]) -> Config:
        """Return the configuration that internal values stand for.

        Raises:
            UsageError: a combination, or a value, that is not allowed.
        """
        return Config.from_sweep(self._decode(params))

    def _decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: p.values[0] if p.constant else p.decode(params[name])
            for name, p in self.parameters.items()
        }

    @property
    def varying(self) -> list[Parameter]:
        return [p for p in self.parameters.values() if not p.constant]

    def check_end(self, limit: int | None) -> None:
        """Check that the sweep ends.

        Raises:
            UsageError: it is a search without run_cap and limit.
        """
        if self.method != "grid" and self.run_cap is None and limit is None:
            raise UsageError(
                f"method={self.method}: never ends by itself; add run_cap: 30 to the file,"
                " or give --limit 30"
            )

    def plan(self) -> Plan:
        """Return what a report needs to know of the sweep.

        Raises:
            UsageError: the description sets a target that is none.
        """
        grid = {name: list(p.values) for name, p in self.parameters.items()}
        target, steps = planned.description_targets(self.description)
        return Plan(
            name=self.name,
            method=self.method,
            metric=self.metric,
            definition=self.definition,
            grids=(grid,) if self.method == "grid" else (),
            run_cap=self.run_cap,
            target=target,
            steps=steps,
        )

    def __str__(self) -> str:
        if self.method == "grid":
            return f"grid, {count(len(self.grid), 'configuration')}"
        names = ", ".join(p.name for p in self.varying)
        cap = self.run_cap
        many = count(cap, "configuration") if cap else "any number of configurations"
        return f"{self.method} over {names}, {many}"
