"""The parameters of a sweep: W&B's distributions, with W&B's meaning.

A parameter is sampled by the quantile function of its distribution. Optuna gets its own
distributions where it has them. It gets the uniform number for the others: normal, beta, the
inverse and the rounded ones.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from study.config import FIELDS, VARIANT, check_names, guess_name, parse_variant
from study.errors import Faults, UsageError
from study.fields import Field, Range, check_number
from study.sweep.distributions import ALIASES, ALLOWED, KEYS, QUANTILES
from study.train import seeds
from study.values import brief, find_nearest, nearest, number, text, typed

log = logging.getLogger(__name__)

MOST_VALUES = 100_000  # of one parameter of a grid, by int_uniform or q_uniform
DIGITS = 4  # of a random number
FEW = 100  # values
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
    faults.attempt(_check_bounds, where, kind, given)
    faults.check()
    if method == "grid":
        return _steps(name, kind, given, where)
    parameter = _numeric(name, kind, given, where)
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
    places = [f"{where}.value"] if "value" in given else _places(where, len(values))
    canonical = [faults.attempt(_value, name, v, place) for v, place in zip(values, places)]
    if faults.lines and isinstance(given.get("value"), list):
        listed = brief(", ".join(map(text, given["value"])))
        faults.lines[-1] += f"; for several values write `values: [{listed}]`"
    shares = faults.attempt(_probabilities, where, given.get("probabilities"), len(values)) or []
    faults.check()
    values = tuple(canonical)
    ends = np.cumsum(shares)

    def quantile(u: float) -> Any:
        return values[min(int(np.searchsorted(ends, u, side="right")), len(values) - 1)]

    distinct = tuple(dict.fromkeys(values))
    return Parameter(name, str(dict(given)), values, quantile, CategoricalDistribution(distinct))


def _places(where: str, count: int) -> list[str]:
    return [f"{where}.values[{index}]" for index in range(count)]


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


def _check_bounds(where: str, kind: str, given: Mapping[str, Any]) -> None:
    """Check the numbers of a range or a density, each and together."""
    positive = {"sigma", "a", "b", "q"}
    if kind.endswith("log_uniform_values"):
        positive |= {"min", "max"}
    faults = Faults()
    for key, bound in given.items():
        limits = Range(0, above=True) if key in positive else None
        faults.attempt(check_number, f"{where}.{key}", bound, limits=limits)
    faults.check()
    if "min" in given and given["min"] >= given["max"]:
        low, high = text(given["min"]), text(given["max"])
        raise UsageError(f"{where}.min={low}: must be below max={high}")


def _steps(name: str, kind: str, given: Mapping[str, Any], where: str) -> Parameter:
    """Parse a range of a grid: W&B takes the whole numbers from min to max, or the steps of size q
    from min to below max.
    """
    low, high, q = given["min"], given["max"], given.get("q", 1)
    whole = kind == "int_uniform"
    if whole:
        _check_whole_bounds(name, given, where)
    count = int(high - low) + 1 if whole else math.ceil((high - low) / q)
    if count > MOST_VALUES:
        raise UsageError(f"{where}: {kind} has {count:,} values; a grid allows {MOST_VALUES:,}")
    values = [int(low) + i if whole else float(f"{low + i * q:.12g}") for i in range(count)]
    canonical = FIELDS[name].at(where).canonical
    return Parameter(name, f"{kind} {dict(given)}", tuple(canonical(value) for value in values))


def _numeric(name: str, kind: str, given: Mapping[str, Any], where: str) -> Parameter:
    """Parse a parameter that has a range or a density."""
    if kind == "int_uniform":
        return _whole(name, given, where)
    bounded, q = "min" in given, given.get("q", 1)
    quantile = QUANTILES[kind.removeprefix("q_")](given)
    rounded = kind.startswith("q_")
    field = FIELDS[name]
    if field.kind is int and not (rounded and q == int(q)):
        raise UsageError(
            f"{where}.distribution={kind}: {name} is whole; use int_uniform or q_uniform"
        )
    try:
        ends = [float(quantile(u)) for u in ((0.0, 1.0) if bounded else (0.001, 0.999))]
    except OverflowError as error:
        raise UsageError(
            f"{where}: {kind} takes natural logarithms as min and max; {kind}_values takes the"
            " bounds themselves"
        ) from error
    if bounded and not rounded:
        ends = _within_open_ends(ends, field)

    digits = _count_digits(*ends)

    def value(x: float, field: Field = field) -> Any:
        # 12 digits: 3 * 0.1 is 0.3. Of a random number few are enough, and can be typed again.
        if rounded:
            return field.canonical(float(f"{np.round(x / q) * q:.12g}"))
        x = float(f"{x:.{digits}g}")
        return field.canonical(min(max(x, ends[0]), ends[1]) if bounded else x)

    faults = Faults()
    for end, place in zip(ends, _places_of_ends(where, kind, bounded)):
        faults.attempt(value, end, field.at(place))
    faults.check()
    if kind == "log_uniform" and 0 < given["min"] < given["max"] < 1:
        log.warning(
            "%s: log_uniform takes natural logarithms, so it samples from %s to %s;"
            " log_uniform_values takes the bounds themselves",
            where, number(value(ends[0])), number(value(ends[1])),
        )  # fmt: skip
    definition = f"{kind} {dict(given)}{f' {digits} digits' if digits > DIGITS else ''}"
    if kind not in ("uniform", "log_uniform", "log_uniform_values"):
        return Parameter(name, definition, decode=lambda u: value(float(quantile(u))))
    low, high = ends
    bounds = FloatDistribution(low, high, log=kind != "uniform")
    return Parameter(
        name, definition, (), lambda u: min(max(quantile(u), low), high), bounds, value
    )


def _count_digits(low: float, high: float) -> int:
    """Count the significant digits of a sample: four, or where those tell few values apart, as of
    0.999 to 0.9999, what tells a thousand."""
    greatest = max(abs(low), abs(high))
    if not 0 < high - low < greatest < math.inf:
        return DIGITS
    step = 10.0 ** (math.floor(math.log10(greatest)) - DIGITS + 1)
    if high - low >= FEW * step:
        return DIGITS
    return math.ceil(math.log10(greatest / (high - low))) + 3


def _places_of_ends(where: str, kind: str, bounded: bool) -> tuple[str, str]:
    """Say where in the file the least and the greatest value come from.

    A density has no ends: a sample that is not allowed is drawn again, and few may be.
    """
    if not bounded:
        return where, where
    if kind.endswith("inv_log_uniform"):
        return f"{where}: exp(-max)", f"{where}: exp(-min)"
    if kind.endswith("log_uniform"):
        return f"{where}: exp(min)", f"{where}: exp(max)"
    return f"{where}.min", f"{where}.max"


def _within_open_ends(ends: list[float], field: Field) -> list[float]:
    """Move a bound that is the open end of what a field allows, as 0 of lr, into it: by a
    ten-thousandth of the range, since a sample has four digits.
    """
    low, high = ends
    if field.range is None:
        return ends
    margin = (high - low) * 1e-4
    if field.range.above and low == field.range.low:
        low += margin
    if field.range.below and high == field.range.high:
        high -= margin
    return [low, high]


def _check_whole_bounds(name: str, given: Mapping[str, Any], where: str) -> None:
    faults = Faults()
    for key in ("min", "max"):
        if not isinstance(given[key], int):
            faults.add(f"{where}.{key}={given[key]}: int_uniform needs a whole number")
        else:
            faults.attempt(FIELDS[name].at(f"{where}.{key}").canonical, given[key])
    faults.check()


def _whole(name: str, given: Mapping[str, Any], where: str) -> Parameter:
    _check_whole_bounds(name, given, where)
    low, high = int(given["min"]), int(given["max"])

    def quantile(u: float) -> int:
        return min(low + int(u * (high - low + 1)), high)

    definition = f"int_uniform {low} to {high}"
    distribution = IntDistribution(low, high)
    return Parameter(name, definition, (), quantile, distribution, FIELDS[name].canonical)
