"""Read and check a W&B sweep YAML, and expand it into configurations.

The same file goes to `wandb sweep FILE` and to `study sweep FILE`. A key that W&B reads and we do
not is an error that names it; it is never ignored.
"""

import contextlib
import itertools
import logging
import sys
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from study import planned, runs
from study.config import FIELDS, Config, check_names, text
from study.errors import UsageError, first_line
from study.fields import nearest
from study.planned import Metric, Plan
from study.sweep import space
from study.sweep.hyperband import Hyperband
from study.sweep.space import VARIANT, Parameter

log = logging.getLogger(__name__)

METHODS = ("grid", "random", "bayes")
# Keys of W&B's schema that say where and how W&B runs the sweep; they mean nothing offline.
WANDB_KEYS = {"program", "command", "project", "entity", "description", "settings"}
KEYS = {"name", "method", "metric", "parameters", "run_cap", "early_terminate"}
SAMPLES = 200  # of a search's configurations, checked when its file is read


@dataclass(frozen=True)
class Sweep:
    """A checked sweep YAML; its parameters are in the file's order.

    definition: a hash of the parameters in the file, before any are replaced.
    """

    name: str
    project: str
    title: str
    method: str
    parameters: dict[str, Parameter]
    metric: Metric | None = None
    hyperband: Hyperband | None = None
    run_cap: int | None = None
    description: str = ""
    definition: str = ""

    @property
    def maximizes(self) -> bool:
        """Whether a greater value of the metric is better; without a metric, no."""
        return self.metric is not None and self.metric.maximize

    @cached_property
    def configs(self) -> list[Config]:
        """The configurations of a grid, each once: the product of the values in the file's order.

        Of a search these are samples.

        Raises:
            UsageError: a combination of settings that is not allowed.
        """
        if self.method == "grid":
            values = itertools.product(*(p.values for p in self.parameters.values()))
            configs = (Config.from_sweep(dict(zip(self.parameters, row))) for row in values)
            return list(dict.fromkeys(configs))[: self.run_cap]
        samples = []
        for number in range(SAMPLES):
            with contextlib.suppress(UsageError):  # the far tail of a normal, which is resampled
                samples.append(self._decode(self.sample(0, number)))
        return list(dict.fromkeys(Config.from_sweep(values) for values in samples))

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Return random internal values of the parameters that vary (see space.Parameter)."""
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
            return f"grid, {len(self.configs)} configurations"
        names = ", ".join(p.name for p in self.varying)
        return f"{self.method} over {names}, {self.run_cap or 'any number of'} configurations"


def read(path: str | Path, replacements: Iterable[str] = ()) -> Sweep:
    """Read a sweep YAML; `replacements` (name=value[,value ...]) replace parameters of it.

    Raises:
        UsageError: the file cannot be read, or something in it is not allowed; the message names
            the file and the place.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a sweep YAML") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text file; give a sweep YAML") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: {_describe_yaml(error)}") from error
    except ValueError as error:  # an impossible date or number
        raise UsageError(f"{path}: not valid YAML ({error})") from error
    try:
        return parse(content, path.stem, replacements)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse(content: Any, name: str, replacements: Iterable[str] = ()) -> Sweep:
    """Check what a sweep YAML holds; see `read`.

    Raises:
        UsageError: something in it is not allowed.
    """
    sweep = _parse(content, name, replacements)
    _check_metric(sweep)
    plan = sweep.plan()
    if plan.steps and not replacements and not plan.step_configs:
        raise UsageError(
            f"description: has {len(plan.steps)} steps; allowed is one for each configuration of a"
            " grid, in their order"
        )
    return sweep


def rerun(config: Config, name: str, replacements: Iterable[str]) -> Sweep:
    """Return a grid of one configuration; `replacements` (name=value[,value ...]) replace settings.

    Raises:
        UsageError: a setting that is not allowed.
    """
    parameters = {
        name: space.choice(name, [value]) for name, value in config.non_defaults().items()
    }
    parameters |= dict(map(_replacement, replacements))
    sweep = Sweep(name, "study", name, "grid", parameters)
    _check_metric(sweep)
    return sweep


def _parse(content: Any, stem: str, replacements: Iterable[str]) -> Sweep:
    if not isinstance(content, Mapping):
        raise UsageError("is no sweep; it needs the keys method and parameters")
    for key in content:
        if key not in KEYS | WANDB_KEYS:
            hint = nearest(key, KEYS | WANDB_KEYS, sorted(KEYS))
            raise UsageError(f"{key}: not supported by study sweep; {hint}")
    method = content.get("method")
    if method not in METHODS:
        raise UsageError(f"method={text(method)}: allowed are {', '.join(METHODS)}")
    given = content.get("parameters")
    if not isinstance(given, Mapping) or not given:
        raise UsageError("parameters: is missing or empty; give each setting its value or values")
    check_names(name for name in given if name != VARIANT)
    parameters = {name: space.parse(name, value, method) for name, value in given.items()}
    parameters |= dict(map(_replacement, replacements))
    return Sweep(
        name=stem,
        project=str(content.get("project") or "study"),
        title=str(content.get("name") or stem),
        method=method,
        parameters=parameters,
        metric=_parse_metric(content.get("metric")),
        hyperband=_parse_hyperband(content.get("early_terminate")),
        run_cap=_check_whole("run_cap", content.get("run_cap")),
        description=str(content.get("description") or ""),
        definition=planned.definition(method, given),
    )


def _check_metric(sweep: Sweep) -> None:
    """Refuse a sweep that would choose by the test images, or by a metric that its runs lack.

    Every configuration is checked on the way.
    """
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


def _parse_metric(given: Any) -> Metric | None:
    if given is None:
        return None
    given = dict(given) if isinstance(given, Mapping) else {"name": given}
    name, asked = given.pop("name", None), given.pop("goal", None)
    goal = "minimize" if asked is None else asked  # as with W&B
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
    metric = Metric(name, goal == "maximize", target)
    if metric.maximize != metric.is_accuracy:
        log.warning(
            "metric.name=%s: is %sd%s; to look for the %s, write goal: %s",
            name, goal, "" if asked else ", since W&B does so where goal is left out",
            *(("highest", "maximize") if metric.is_accuracy else ("lowest", "minimize")),
        )  # fmt: skip
    return metric


def _parse_hyperband(given: Any) -> Hyperband | None:
    """Parse W&B's `early_terminate`, with W&B's defaults."""
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
        _check_whole(f"{where}.{key}", given.get(key)) for key in ("min_iter", "max_iter", "s")
    )
    if high and s:  # W&B looks at max_iter first
        rule = Hyperband.from_max_iter(high, s, eta, strict)
        if not rule.brackets:
            raise UsageError(f"{where}.max_iter={high}: leaves no bracket at eta={text(eta)}")
        return rule
    if low is None or high or s:
        raise UsageError(f"{where}: needs min_iter, or max_iter and s")
    return Hyperband.from_min_iter(low, eta, strict)


def _check_whole(where: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{where}={text(value)}: allowed is a whole number at least 1")
    return value


def _replacement(setting: str) -> tuple[str, Parameter]:
    """Parse `seed=1` or `seed=1,2,3` of the command line into a parameter and its values."""
    name, equals, words = setting.partition("=")
    if not equals or not words:
        raise UsageError(f"--set {setting}: write name=value, or name=value,value")
    if name == VARIANT:
        return name, space.choice(name, [words])
    check_names([name])
    return name, space.choice(name, [FIELDS[name].parse(word) for word in words.split(",")])


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that stands twice: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands twice", key.start_mark
                )
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def _describe_yaml(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{position}not valid YAML ({problem or first_line(error)})"


if __name__ == "__main__":  # `make sweep` checks a file before it goes to the server
    try:
        sweep = read(sys.argv[1])
    except UsageError as error:
        sys.exit(f"study: {error}")
    print(f"{sys.argv[1]}: {sweep}", file=sys.stderr)
