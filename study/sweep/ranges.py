"""Parameters of a sweep that have a range or a density of numbers."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution

from study.config import FIELDS
from study.errors import Faults, UsageError
from study.fields import Field, Range, check_number
from study.sweep.distributions import QUANTILES, Quantile
from study.sweep.parameter import Parameter
from study.values import number, text

log = logging.getLogger(__name__)

MOST_VALUES = 100_000  # of one parameter of a grid, by int_uniform or q_uniform
DIGITS = 4  # of a random number
FEW = 100  # values


def check_bounds(where: str, kind: str, given: Mapping[str, Any]) -> None:
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


def steps(name: str, kind: str, given: Mapping[str, Any], where: str) -> Parameter:
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


def parse(name: str, kind: str, given: Mapping[str, Any], where: str) -> Parameter:
    """Parse a parameter that has a range or a density."""
    if kind == "int_uniform":
        return _whole(name, given, where)
    field, bounded, rounded = FIELDS[name], "min" in given, kind.startswith("q_")
    q = given.get("q", 1)
    if field.kind is int and not (rounded and q == int(q)):
        raise UsageError(
            f"{where}.distribution={kind}: {name} is whole; use int_uniform or q_uniform"
        )
    quantile = QUANTILES[kind.removeprefix("q_")](given)
    low, high = _ends(quantile, kind, bounded, where)
    if bounded and not rounded:
        low, high = _within_open_ends(low, high, field)
    digits = _count_digits(low, high)

    def value(x: float, field: Field = field) -> Any:
        # 12 digits: 3 * 0.1 is 0.3. Of a random number few are enough, and can be typed again.
        if rounded:
            return field.canonical(float(f"{np.round(x / q) * q:.12g}"))
        x = float(f"{x:.{digits}g}")
        return field.canonical(min(max(x, low), high) if bounded else x)

    faults = Faults()
    for end, place in zip((low, high), _places_of_ends(where, kind, bounded)):
        faults.attempt(value, end, field.at(place))
    faults.check()
    if kind == "log_uniform" and 0 < given["min"] < given["max"] < 1:
        log.warning(
            "%s: log_uniform takes natural logarithms, so it samples from %s to %s;"
            " log_uniform_values takes the bounds themselves",
            where, number(value(low)), number(value(high)),
        )  # fmt: skip
    definition = f"{kind} {dict(given)}{f' {digits} digits' if digits > DIGITS else ''}"
    if kind not in ("uniform", "log_uniform", "log_uniform_values"):
        return Parameter(name, definition, decode=lambda u: value(float(quantile(u))))
    bounds = FloatDistribution(low, high, log=kind != "uniform")
    return Parameter(
        name, definition, (), lambda u: min(max(quantile(u), low), high), bounds, value
    )


def _ends(quantile: Quantile, kind: str, bounded: bool, where: str) -> tuple[float, float]:
    """Return the least and the greatest value; of a density, which has none, nearly."""
    least, greatest = (0.0, 1.0) if bounded else (0.001, 0.999)
    try:
        return float(quantile(least)), float(quantile(greatest))
    except OverflowError as error:
        raise UsageError(
            f"{where}: {kind} takes natural logarithms as min and max; {kind}_values takes the"
            " bounds themselves"
        ) from error


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


def _within_open_ends(low: float, high: float, field: Field) -> tuple[float, float]:
    """Move a bound that is the open end of what a field allows, as 0 of lr, into it: by a
    ten-thousandth of the range, since a sample has four digits.
    """
    if field.range is None:
        return low, high
    margin = (high - low) * 1e-4
    if field.range.above and low == field.range.low:
        low += margin
    if field.range.below and high == field.range.high:
        high -= margin
    return low, high


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
