"""Read the parameters of a sweep: W&B's distributions, with W&B's meaning."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution

from study.config import FIELDS, VARIANT, check_names, guess_name, parse_variant
from study.errors import Faults, UsageError
from study.fields import Range, check_number
from study.sweep import ranges
from study.sweep.distributions import ALIASES, ALLOWED, KEYS
from study.sweep.parameter import Parameter
from study.values import brief, find_nearest, nearest, number, text, typed

log = logging.getLogger(__name__)


def parse(name: str, given: Any, method: str | None, where: str = "") -> Parameter:
    """Parse a parameter of a sweep YAML.

    method: the sweep's, or None where it is not known. where: the parameter's place in the file.

    Raises:
        UsageError: it is none of W&B's distributions, or its bounds or values are not allowed; a
            line a fault.
    """
    where = where or f"parameters.{name}"
    if not isinstance(given, Mapping):
        write = "values: [...]" if isinstance(given, list) else f"value: {text(given)}"
        raise UsageError(f"{where}={text(given)}: write `{write}` below it")
    given = dict(given)
    named = given.pop("distribution", None)
    kind: Any = named or _kind(where, given)
    if not isinstance(kind, str) or kind not in ALLOWED:
        raise UsageError(
            f"{where}.distribution={text(kind)}: {nearest(kind, sorted(ALLOWED), aliases=ALIASES)}"
        )
    _check_keys(where, kind, given)
    if kind in ("constant", "categorical", "categorical_w_probabilities"):
        if method == "grid" and "probabilities" in given:
            raise UsageError(f"{where}.probabilities: mean nothing in a grid; leave them out")
        return _choice(name, given, where)
    faults = Faults()
    if name == VARIANT or FIELDS[name].kind not in (int, float):
        faults.add(f"{where}.distribution={kind}: {name} is no number; give it values")
    elif method == "grid" and kind not in ("int_uniform", "q_uniform"):
        faults.add(
            f"{where}.distribution={kind}: a grid needs value, values, int_uniform or q_uniform"
        )
    faults.attempt(ranges.check_bounds, where, kind, given)
    faults.check()
    if method == "grid":
        return ranges.steps(name, kind, given, where)
    parameter = ranges.parse(name, kind, given, where)
    if kind == "int_uniform" and not named and FIELDS[name].kind is float:
        log.warning(
            "%s: whole bounds mean whole numbers alone, as with W&B; for those between write"
            " min: %s.0 and max: %s.0", where, given["min"], given["max"],
        )  # fmt: skip
    return parameter


def choice(name: str, values: list[Any]) -> Parameter:
    """Return a parameter that has these values, in the field's own type."""
    return _choice(name, {"values": values}, name)


def _refuse_nested(where: str, given: Mapping[str, Any], method: str | None) -> None:
    """Refuse parameters that W&B would hand over as one mapping, with what else is wrong in them.

    Raises:
        UsageError: always.
    """
    faults = Faults()
    faults.add(
        f"{where}.parameters: nested parameters are not supported; write them flat, each directly"
        " below the sweep's `parameters`"
    )
    inner = given["parameters"]
    for name, value in (inner if isinstance(inner, Mapping) else {}).items():
        faults.attempt(parse_named, name, value, method, f"{where}.parameters.")
    raise faults.error()


def parse_named(name: Any, given: Any, method: str | None, where: str) -> Parameter:
    """Parse a parameter after its name, which may be no setting or a group of them.

    Raises:
        UsageError: as `parse`, and for the name.
    """
    if isinstance(given, Mapping) and "parameters" in given:
        _refuse_nested(f"{where}{name}", given, method)
    if name in FIELDS or name == VARIANT:
        return parse(name, given, method, f"{where}{name}")
    faults = Faults()
    faults.attempt(check_names, [name], where)
    if meant := guess_name(name):
        faults.attempt(parse, meant, given, method, f"{where}{name}")
    raise faults.error()


def _kind(where: str, given: Mapping[str, Any]) -> str | None:
    """Return W&B's default where the file names no distribution."""
    if "value" in given and "values" in given:
        raise UsageError(f"{where}: value and values: give one of the two")
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "min" in given or "max" in given:
        whole = all(isinstance(given.get(key), int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    if "value" not in given:
        near = (f"{key}: {nearest(key, KEYS)}" for key in given)
        raise UsageError("; ".join([f"{where}: needs value, values, or min and max", *near]))
    return "constant"


def _check_keys(where: str, kind: str, given: Mapping[str, Any]) -> None:
    needed, optional = ALLOWED[kind]
    own = (*needed, *optional)
    faults = Faults()
    if lacks := [key for key in needed if key not in given]:
        faults.add(f"{where}: distribution {kind} lacks {', '.join(lacks)}")
    for key in given:
        if key not in own:
            others = [other for other, keys in ALLOWED.items() if key in keys[0] + keys[1]]
            told = len(others) != 1 or find_nearest(key, own)
            hint = nearest(key, own) if told else f"{others[0]} has"
            faults.add(f"{where}.{key}: distribution {kind} has no {key}; {hint}")
    faults.check()


def _choice(name: str, given: Mapping[str, Any], where: str) -> Parameter:
    values = [given["value"]] if "value" in given else given["values"]
    if not isinstance(values, list) or not values:
        shown = text(values) if values == [] else typed(values)
        advice = ""
        if isinstance(values, str | int | float):
            advice = f"; for a single value write `value: {brief(text(values))}`"
        raise UsageError(f"{where}.values={shown}: allowed is a list of at least one value{advice}")
    faults = Faults()
    listed = [f"{where}.values[{index}]" for index in range(len(values))]
    places = [f"{where}.value"] if "value" in given else listed
    canonical = [faults.attempt(_value, name, v, place) for v, place in zip(values, places)]
    if faults.lines and isinstance(given.get("value"), list):
        several = brief(", ".join(map(text, given["value"])))
        faults.lines[-1] += f"; for several values write `values: [{several}]`"
    shares = faults.attempt(_probabilities, where, given.get("probabilities"), len(values)) or []
    faults.check()
    values = tuple(canonical)
    ends = np.cumsum(shares)

    def quantile(u: float) -> Any:
        return values[min(int(np.searchsorted(ends, u, side="right")), len(values) - 1)]

    distinct = tuple(dict.fromkeys(values))
    return Parameter(name, str(dict(given)), values, quantile, CategoricalDistribution(distinct))


def _probabilities(where: str, given: Any, count: int) -> list[float]:
    if given is None:
        return [1 / count] * count
    where = f"{where}.probabilities"
    if not isinstance(given, list) or len(given) != count:
        raise UsageError(f"{where}={text(given)}: allowed are {count} numbers, one a value")
    faults = Faults()
    for index, share in enumerate(given):
        faults.attempt(check_number, f"{where}[{index}]", share, limits=Range(0))
    faults.check()
    if not np.isclose(sum(given), 1):  # W&B's own tolerance
        raise UsageError(f"{where}={text(given)}: add up to {number(sum(given))}, allowed is 1")
    return given


def _value(name: str, value: Any, where: str) -> Any:
    if name != VARIANT:
        return FIELDS[name].at(where).canonical(value)
    faults = Faults()
    faults.attempt(parse_variant, value)
    faults.check(f"{where}: ")
    return value
