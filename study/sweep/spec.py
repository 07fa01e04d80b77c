"""Read and check a W&B sweep YAML, and expand it into configurations.

The same file goes to `wandb sweep FILE` and to `study sweep FILE`. What W&B reads and we do not is
refused by name, never ignored.
"""

import difflib
import itertools
import sys
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from study import runs
from study.config import FIELDS, Config, Refused, check_names, parse_variant, text

VARIANT = "variant"
METHODS = ("grid",)
# Keys of W&B's schema that say where and how W&B runs the sweep; they mean nothing offline.
FOR_WANDB = {"program", "command", "project", "entity", "description", "settings"}
READ = {"name", "method", "metric", "parameters", "run_cap"}


@dataclass(frozen=True)
class Sweep:
    """A sweep YAML, checked. `parameters`: name -> its values, in the file's order."""

    name: str
    project: str
    title: str
    parameters: dict[str, list[Any]]
    run_cap: int | None

    def configs(self) -> list[Config]:
        """Every configuration of the grid once: the product of the values in the file's order.

        Raises:
            Refused: a combination that cannot be.
        """
        drawn = (
            Config.drawn(dict(zip(self.parameters, values)))
            for values in itertools.product(*self.parameters.values())
        )
        return list(dict.fromkeys(drawn))[: self.run_cap]

    def missing(self, folder: Path) -> list[Config]:
        """The configurations with no finished (or stopped) run in the sweep's folder."""
        return [config for config in self.configs() if not _done(folder / runs.name(config))]


def read(path: str | Path, settings: Iterable[str] = ()) -> Sweep:
    """Read a sweep YAML; `settings` (name=value[,value ...]) replace parameters of it.

    Raises:
        Refused: the file cannot be read, or something in it cannot be; the message names the file
            and the place.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}); give a sweep YAML") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: is no text file; give a sweep YAML") from error
    except yaml.YAMLError as error:
        raise Refused(f"{path}: {_where(error)}") from error
    try:
        sweep = _check(content, path.stem, settings)
        sweep.configs()
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
    return sweep


def _check(content: Any, stem: str, settings: Iterable[str]) -> Sweep:
    if not isinstance(content, Mapping):
        raise Refused("is no sweep; it needs the keys method and parameters")
    for key in content:
        if key not in READ | FOR_WANDB:
            near = difflib.get_close_matches(str(key), READ | FOR_WANDB, n=1)
            hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(sorted(READ))}"
            raise Refused(f"{key}: not supported by study sweep; {hint}")
    if content.get("method") not in METHODS:
        raise Refused(
            f"method={text(content.get('method'))}: study sweep runs {', '.join(METHODS)}"
        )
    _check_metric(content.get("metric"))
    cap = content.get("run_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise Refused(f"run_cap={text(cap)}: allowed is a whole number at least 1")
    parameters = content.get("parameters")
    if not isinstance(parameters, Mapping) or not parameters:
        raise Refused("parameters: is missing or empty; give each setting its value or values")
    values = {name: _values(name, given) for name, given in parameters.items()}
    values |= dict(map(_replacement, settings))
    return Sweep(
        name=stem,
        project=str(content.get("project") or "study"),
        title=str(content.get("name") or stem),
        parameters=values,
        run_cap=cap,
    )


def _check_metric(metric: Any) -> None:
    if metric is None:
        return
    name = metric.get("name") if isinstance(metric, Mapping) else metric
    if name not in runs.METRICS:
        raise Refused(f"metric.name={text(name)}: allowed are {', '.join(runs.METRICS)}")
    if metric.get("goal", "minimize") not in ("minimize", "maximize"):
        raise Refused(f"metric.goal={text(metric['goal'])}: allowed are minimize, maximize")


def _values(name: str, given: Any) -> list[Any]:
    """A parameter's values, each in its field's type."""
    where = f"parameters.{name}"
    if name != VARIANT:
        check_names([name])
    if not isinstance(given, Mapping):
        raise Refused(f"{where}: write `value: {text(given)}` or `values: [...]` below it")
    distribution = given.get("distribution")
    if distribution not in (None, "constant", "categorical"):
        raise Refused(f"{where}.distribution={text(distribution)}: a grid needs values")
    extra = set(given) - {"value", "values", "distribution"}
    if extra or ("value" in given) == ("values" in given):
        named = f" ({', '.join(sorted(map(str, extra)))} is not)" if extra else ""
        raise Refused(f"{where}: a grid allows one of value and values{named}")
    values = [given["value"]] if "value" in given else given["values"]
    if not isinstance(values, list) or not values:
        raise Refused(f"{where}.values={text(values)}: allowed is a list of at least one value")
    return [_value(name, value) for value in values]


def _value(name: str, value: Any) -> Any:
    if name == VARIANT:
        parse_variant(value)
        return value
    return FIELDS[name].canonical(value)


def _replacement(setting: str) -> tuple[str, list[Any]]:
    """`seed=1` or `seed=1,2,3` of the command line, as a parameter and its values."""
    name, equals, words = setting.partition("=")
    if not equals or not words:
        raise Refused(f"--set {setting}: write name=value, or name=value,value")
    if name == VARIANT:
        return name, [_value(name, words)]
    check_names([name])
    return name, [FIELDS[name].parse(word) for word in words.split(",")]


def _done(path: Path) -> bool:
    return (path / "summary.json").is_file() and runs.read(path).done


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but a key that stands twice is refused: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _where(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}not valid YAML ({problem or str(error).splitlines()[0]})"


if __name__ == "__main__":  # `make sweep` checks a file before it goes to the server
    try:
        count = len(read(sys.argv[1]).configs())
    except Refused as error:
        sys.exit(f"study: {error}")
    print(f"{sys.argv[1]}: {count} configurations", file=sys.stderr)
