"""Read and check a W&B sweep YAML, and expand it into configurations.

The same file goes to `wandb sweep FILE` and to `study sweep FILE`. What W&B reads and we do not is
refused by name, never ignored.
"""

import contextlib
import itertools
import sys
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from study import runs
from study.config import FIELDS, Config, check_names, text
from study.errors import UsageError, first_line
from study.fields import nearest
from study.sweep.hyperband import Hyperband
from study.sweep.space import VARIANT, Parameter, fixed, parameter

METHODS = ("grid", "random", "bayes")
# Keys of W&B's schema that say where and how W&B runs the sweep; they mean nothing offline.
FOR_WANDB = {"program", "command", "project", "entity", "description", "settings"}
READ = {"name", "method", "metric", "parameters", "run_cap", "early_terminate"}
DRAWS = 200  # of a search's configurations, tried when its file is read


@dataclass(frozen=True)
class Metric:
    """What a sweep chooses by: the best value of `name` over a run's history.

    `target`: the value at which the sweep ends, or None.
    """

    name: str
    maximize: bool
    target: float | None

    def best(self, history: Iterable[Mapping[str, float]]) -> float | None:
        """The best value of a history; None where it has none."""
        values = [row[self.name] for row in history if self.name in row]
        return (max if self.maximize else min)(values, default=None)

    def reached(self, value: float | None) -> bool:
        if value is None or self.target is None:
            return False
        return value >= self.target if self.maximize else value <= self.target


@dataclass(frozen=True)
class Sweep:
    """A sweep YAML, checked. `parameters`: in the file's order."""

    name: str
    project: str
    title: str
    method: str
    parameters: dict[str, Parameter]
    metric: Metric | None = None
    hyperband: Hyperband | None = None
    run_cap: int | None = None

    @cached_property
    def configs(self) -> list[Config]:
        """Every configuration of a grid once: the product of the values in the file's order.

        Of a search, some that it may draw.

        Raises:
            UsageError: a combination that cannot be.
        """
        if self.method == "grid":
            values = itertools.product(*(p.values for p in self.parameters.values()))
            drawn = (Config.from_sweep(dict(zip(self.parameters, row))) for row in values)
            return list(dict.fromkeys(drawn))[: self.run_cap]
        found = []
        for number in range(DRAWS):
            with contextlib.suppress(UsageError):  # the far tail of a normal, which is drawn again
                found.append(self._values(self.draw(0, number)))
        return list(dict.fromkeys(Config.from_sweep(values) for values in found))

    def draw(self, seed: int, number: int) -> dict[str, Any]:
        """A random draw, as the search sees it: of the parameters that vary."""
        return {p.name: p.draw(seed, number) for p in self.searched}

    def config(self, seen: Mapping[str, Any]) -> Config:
        """The configuration of a draw.

        Raises:
            UsageError: a combination that cannot be, or a value beyond what its field allows.
        """
        return Config.from_sweep(self._values(seen))

    def _values(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: p.values[0] if p.constant else p.read(seen[name])
            for name, p in self.parameters.items()
        }

    @property
    def searched(self) -> list[Parameter]:
        return [p for p in self.parameters.values() if not p.constant]

    def check_end(self, limit: int | None) -> None:
        """Refuse a search that would never end."""
        if self.method != "grid" and self.run_cap is None and limit is None:
            raise UsageError(
                f"method={self.method}: never ends by itself; add run_cap: 30 to the file,"
                " or give --limit 30"
            )

    def __str__(self) -> str:
        if self.method == "grid":
            return f"grid, {len(self.configs)} configurations"
        names = ", ".join(p.name for p in self.searched)
        return f"{self.method} over {names}, {self.run_cap or 'any number of'} configurations"


def read(path: str | Path, settings: Iterable[str] = ()) -> Sweep:
    """Read a sweep YAML; `settings` (name=value[,value ...]) replace parameters of it.

    Raises:
        UsageError: the file cannot be read, or something in it cannot be; the message names the
            file and the place.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a sweep YAML") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text file; give a sweep YAML") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: {_where(error)}") from error
    except ValueError as error:  # a date or a number that is none
        raise UsageError(f"{path}: not valid YAML ({error})") from error
    try:
        sweep = _check(content, path.stem, settings)
        _check_choice(sweep)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return sweep


def again(config: Config, name: str, settings: Iterable[str]) -> Sweep:
    """A grid of one configuration; `settings` (name=value[,value ...]) replace settings of it.

    Raises:
        UsageError: a setting that cannot be.
    """
    parameters = {name: fixed(name, [value]) for name, value in config.non_defaults().items()}
    parameters |= dict(map(_replacement, settings))
    sweep = Sweep(name, "study", name, "grid", parameters)
    _check_choice(sweep)
    return sweep


def _check(content: Any, stem: str, settings: Iterable[str]) -> Sweep:
    if not isinstance(content, Mapping):
        raise UsageError("is no sweep; it needs the keys method and parameters")
    for key in content:
        if key not in READ | FOR_WANDB:
            meant = nearest(key, READ | FOR_WANDB, sorted(READ))
            raise UsageError(f"{key}: not supported by study sweep; {meant}")
    method = content.get("method")
    if method not in METHODS:
        raise UsageError(f"method={text(method)}: allowed are {', '.join(METHODS)}")
    given = content.get("parameters")
    if not isinstance(given, Mapping) or not given:
        raise UsageError("parameters: is missing or empty; give each setting its value or values")
    check_names(name for name in given if name != VARIANT)
    parameters = {name: parameter(name, value, method) for name, value in given.items()}
    parameters |= dict(map(_replacement, settings))
    return Sweep(
        name=stem,
        project=str(content.get("project") or "study"),
        title=str(content.get("name") or stem),
        method=method,
        parameters=parameters,
        metric=_metric(content.get("metric")),
        hyperband=_hyperband(content.get("early_terminate")),
        run_cap=_whole("run_cap", content.get("run_cap")),
    )


def _check_choice(sweep: Sweep) -> None:
    """Refuse what cannot be chosen, or not honestly; every configuration is tried on the way."""
    metric, configs = sweep.metric, sweep.configs
    chooses = "early_terminate" if sweep.hyperband else f"method={sweep.method}"
    if metric is None:
        if sweep.method == "bayes" or sweep.hyperband:
            raise UsageError(f"{chooses}: needs a metric (name and goal)")
        return
    if (sweep.method != "grid" or sweep.hyperband) and metric.name.startswith("test/"):
        raise UsageError(
            f"metric.name={metric.name}: {chooses} would choose on the test images;"
            f" give a holdout and take {metric.name.replace('test/', 'val/')}"
        )
    if metric.name.startswith("val/") and not all(config.holdout for config in configs):
        raise UsageError(f"metric.name={metric.name}: needs the setting holdout above 0")


def _metric(given: Any) -> Metric | None:
    if given is None:
        return None
    given = dict(given) if isinstance(given, Mapping) else {"name": given}
    name, goal = given.pop("name", None), given.pop("goal", "minimize")
    target = given.pop("target", None)
    if name not in runs.METRICS:
        raise UsageError(f"metric.name={text(name)}: allowed are {', '.join(runs.METRICS)}")
    if goal not in ("minimize", "maximize"):
        raise UsageError(f"metric.goal={text(goal)}: allowed are minimize, maximize")
    if target is not None and (isinstance(target, bool) or not isinstance(target, (int, float))):
        raise UsageError(f"metric.target={text(target)}: allowed is a number")
    for key, only in (("impute", "worst"), ("impute_while_running", "false")):
        value = given.pop(key, only)
        if text(value) != only:
            raise UsageError(f"metric.{key}={text(value)}: study sweep allows {only}")
    for key in given:
        raise UsageError(f"metric.{key}: allowed are name, goal, target")
    return Metric(name, goal == "maximize", target)


def _hyperband(given: Any) -> Hyperband | None:
    """W&B's `early_terminate`, its defaults with it."""
    if given is None:
        return None
    where = "early_terminate"
    if not isinstance(given, Mapping) or given.get("type") != "hyperband":
        kind = given.get("type") if isinstance(given, Mapping) else given
        raise UsageError(f"{where}.type={text(kind)}: allowed is hyperband")
    for key in given:
        if key not in ("type", "min_iter", "max_iter", "s", "eta", "strict"):
            raise UsageError(f"{where}.{key}: allowed are min_iter, or max_iter and s; eta, strict")
    eta, strict = given.get("eta", 3), given.get("strict", True)
    if isinstance(eta, bool) or not isinstance(eta, (int, float)) or not eta > 1:
        raise UsageError(f"{where}.eta={text(eta)}: allowed is a number above 1")
    if not isinstance(strict, bool):
        raise UsageError(f"{where}.strict={text(strict)}: allowed are true and false")
    low, high, s = (
        _whole(f"{where}.{key}", given.get(key)) for key in ("min_iter", "max_iter", "s")
    )
    if high and s:  # W&B looks at max_iter first
        rule = Hyperband.from_max_iter(high, s, eta, strict)
        if not rule.brackets:
            raise UsageError(f"{where}.max_iter={high}: leaves no bracket at eta={text(eta)}")
        return rule
    if low is None or high or s:
        raise UsageError(f"{where}: needs min_iter, or max_iter and s")
    return Hyperband.from_min_iter(low, eta, strict)


def _whole(where: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{where}={text(value)}: allowed is a whole number at least 1")
    return value


def _replacement(setting: str) -> tuple[str, Parameter]:
    """`seed=1` or `seed=1,2,3` of the command line, as a parameter and its values."""
    name, equals, words = setting.partition("=")
    if not equals or not words:
        raise UsageError(f"--set {setting}: write name=value, or name=value,value")
    if name == VARIANT:
        return name, fixed(name, [words])
    check_names([name])
    return name, fixed(name, [FIELDS[name].parse(word) for word in words.split(",")])


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key that stands twice is refused: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _where(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}not valid YAML ({problem or first_line(error)})"


if __name__ == "__main__":  # `make sweep` checks a file before it goes to the server
    try:
        sweep = read(sys.argv[1])
    except UsageError as error:
        sys.exit(f"study: {error}")
    print(f"{sys.argv[1]}: {sweep}", file=sys.stderr)
