"""The parameters of a sweep: W&B's distributions, with W&B's meaning.

Every distribution is a quantile function of a uniform number, by which it is sampled. Optuna gets
its own distributions where it has them. It gets the uniform number for the others: normal, beta,
the inverse and the rounded ones.
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
from scipy import stats

from study.config import FIELDS, number, parse_variant, text
from study.errors import UsageError
from study.fields import finite
from study.train import seeds

log = logging.getLogger(__name__)

VARIANT = "variant"
UNIT = FloatDistribution(0, 1)
Quantile = Callable[[float], float]


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


def parse(name: str, given: Any, method: str) -> Parameter:
    """Parse a parameter of a sweep YAML.

    Raises:
        UsageError: it is none of W&B's distributions, or its bounds or values are not allowed.
    """
    where = f"parameters.{name}"
    if not isinstance(given, Mapping):
        raise UsageError(f"{where}: write `value: {text(given)}` or `values: [...]` below it")
    if "parameters" in given:
        raise UsageError(
            f"{where}.parameters: nested parameters are not supported; write them flat"
        )
    given = dict(given)
    kind = given.pop("distribution", None) or _kind(given)
    if not isinstance(kind, str) or kind not in ALLOWED:
        known = ", ".join(sorted(ALLOWED))
        raise UsageError(f"{where}.distribution={text(kind)}: allowed are {known}")
    needed, optional = ALLOWED[kind]
    lacks = [key for key in needed if key not in given]
    extra = [str(key) for key in given if key not in (*needed, *optional)]
    if lacks or extra:
        what = f"lacks {', '.join(lacks)}" if lacks else f"has no {', '.join(extra)}"
        raise UsageError(f"{where}: distribution {kind} {what}")
    if kind in ("constant", "categorical", "categorical_w_probabilities"):
        return _choice(name, given)
    if method == "grid":
        raise UsageError(f"{where}.distribution={kind}: a grid needs value or values")
    if name == VARIANT or FIELDS[name].kind not in (int, float):
        raise UsageError(f"{where}.distribution={kind}: {name} is no number; give it values")
    return _numeric(name, kind, given)


def choice(name: str, values: list[Any]) -> Parameter:
    """Return a parameter that has these values, in the field's own type."""
    return _choice(name, {"values": values})


def _kind(given: Mapping[str, Any]) -> str | None:
    """Return W&B's default where the file names no distribution."""
    if "value" in given and "values" in given:
        raise UsageError("value and values: give one of the two")
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "min" in given or "max" in given:
        whole = all(isinstance(given.get(key), int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    return "constant"


def _choice(name: str, given: Mapping[str, Any]) -> Parameter:
    values = [given["value"]] if "value" in given else given["values"]
    if not isinstance(values, list) or not values:
        where = f"parameters.{name}.values={text(values)}"
        raise UsageError(f"{where}: allowed is a list of at least one value")
    values = tuple(_value(name, value) for value in values)
    ends = np.cumsum(_probabilities(name, given.get("probabilities"), len(values)))

    def quantile(u: float) -> Any:
        return values[min(int(np.searchsorted(ends, u, side="right")), len(values) - 1)]

    distinct = tuple(dict.fromkeys(values))
    return Parameter(name, str(dict(given)), values, quantile, CategoricalDistribution(distinct))


def _probabilities(name: str, given: Any, count: int) -> list[float]:
    if given is None:
        return [1 / count] * count
    numbers = isinstance(given, list) and all(
        isinstance(p, (int, float)) and not isinstance(p, bool) and p >= 0 for p in given
    )
    if not numbers or len(given) != count or not math.isclose(sum(given), 1, rel_tol=1e-5):
        raise UsageError(
            f"parameters.{name}.probabilities={text(given)}: allowed are {count} numbers, one a"
            " value, that sum to 1"
        )
    return given


def _value(name: str, value: Any) -> Any:
    if name == VARIANT:
        parse_variant(value)
        return value
    return FIELDS[name].canonical(value)


def _numeric(name: str, kind: str, given: Mapping[str, Any]) -> Parameter:
    """Parse a parameter that has a range or a density."""
    where = f"parameters.{name}"
    for key, bound in given.items():
        if isinstance(bound, str):
            FIELDS["lr"].canonical(bound)  # raises, and says how YAML wants 1e-6 written
        if not finite(bound):
            raise UsageError(f"{where}.{key}={text(bound)}: allowed is a number")
        if key in ("sigma", "a", "b", "q") and bound <= 0:
            raise UsageError(f"{where}.{key}={text(bound)}: allowed is a number above 0")
    bounded, q = "min" in given, given.get("q", 1)
    low, high = (given["min"], given["max"]) if bounded else (-math.inf, math.inf)
    if low >= high:
        raise UsageError(f"{where}: min={text(low)} must be below max={text(high)}")
    if kind.endswith("log_uniform_values") and low <= 0:
        raise UsageError(f"{where}.min={text(low)}: {kind} allows numbers above 0")
    if kind == "int_uniform":
        return _whole(name, low, high)
    quantile = QUANTILES[kind.removeprefix("q_")](given)
    rounded = kind.startswith("q_")
    field = FIELDS[name]
    if field.kind is int and not (rounded and q == int(q)):
        raise UsageError(
            f"{where}.distribution={kind}: {name} is whole; use int_uniform or q_uniform"
        )

    def value(u: float) -> Any:
        x = float(quantile(u))
        # 12 digits: 3 * 0.1 is 0.3. Four are enough of a random number, and can be typed again.
        return field.canonical(float(f"{np.round(x / q) * q:.12g}" if rounded else f"{x:.4g}"))

    for u in (0.0, 1.0) if bounded else (0.001, 0.999):  # beyond these it is resampled
        try:
            value(u)
        except OverflowError as error:
            raise UsageError(
                f"{where}: {kind} takes natural logarithms as min and max; {kind}_values takes the"
                " bounds themselves"
            ) from error
    if kind == "log_uniform" and 0 < low < high < 1:
        log.warning(
            "%s: log_uniform takes natural logarithms, so it samples from %s to %s;"
            " log_uniform_values takes the bounds themselves",
            where, number(value(0.0)), number(value(1.0)),
        )  # fmt: skip
    definition = f"{kind} {dict(given)}"
    if kind not in ("uniform", "log_uniform", "log_uniform_values"):
        return Parameter(name, definition, decode=value)
    bounds = FloatDistribution(quantile(0.0), quantile(1.0), log=kind != "uniform")

    def decode(internal: float) -> Any:
        return field.canonical(min(max(float(f"{internal:.4g}"), bounds.low), bounds.high))

    return Parameter(name, definition, (), quantile, bounds, decode)


def _whole(name: str, low: float, high: float) -> Parameter:
    if low != int(low) or high != int(high):
        raise UsageError(f"parameters.{name}: int_uniform needs whole numbers min and max")
    low, high = int(low), int(high)
    canonical = FIELDS[name].canonical
    canonical(low), canonical(high)

    def quantile(u: float) -> int:
        return min(low + int(u * (high - low + 1)), high)

    definition = f"int_uniform {low} to {high}"
    return Parameter(name, definition, (), quantile, IntDistribution(low, high), canonical)


def _uniform(given: Mapping[str, float]) -> Quantile:
    low, high = given["min"], given["max"]
    return lambda u: min(low + u * (high - low), high)


def _log_uniform(given: Mapping[str, float]) -> Quantile:
    """Bounds are natural logarithms."""
    exponent = _uniform(given)
    return lambda u: math.exp(exponent(u))


def _log_uniform_values(given: Mapping[str, float]) -> Quantile:
    low, high = given["min"], given["max"]
    return lambda u: min(max(low * (high / low) ** u, low), high)


def _inv_log_uniform(given: Mapping[str, float]) -> Quantile:
    """1/x is log-uniform; bounds are natural logarithms of 1/x."""
    exponent = _uniform(given)
    return lambda u: math.exp(-exponent(1 - u))


def _density(density: Any, *names: str) -> Callable[[Mapping[str, float]], Quantile]:
    """Make the quantile function of one of scipy's densities, by W&B's names of its parameters."""
    defaults = {"mu": 0.0, "sigma": 1.0, "a": 1.0, "b": 1.0}
    return lambda given: density(*(given.get(name, defaults[name]) for name in names)).ppf


def _log_normal(mu: float, sigma: float) -> Any:
    try:
        return stats.lognorm(sigma, scale=math.exp(mu))
    except OverflowError as error:
        raise UsageError(f"mu={text(mu)}: is the natural logarithm of no number") from error


QUANTILES: dict[str, Callable[[Mapping[str, float]], Quantile]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,  # log-uniform between its bounds either way
    "normal": _density(stats.norm, "mu", "sigma"),
    "log_normal": _density(_log_normal, "mu", "sigma"),
    "beta": _density(stats.beta, "a", "b"),
}

# W&B's distributions: the keys each needs, and those it allows beside them.
BOUNDS, SPREAD, SHAPE = ("min", "max"), ("mu", "sigma"), ("a", "b")
ALLOWED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ("probabilities",)),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": (BOUNDS, ()),
    "uniform": (BOUNDS, ()),
    "q_uniform": (BOUNDS, ("q",)),
    "log_uniform": (BOUNDS, ()),
    "log_uniform_values": (BOUNDS, ()),
    "q_log_uniform": (BOUNDS, ("q",)),
    "q_log_uniform_values": (BOUNDS, ("q",)),
    "inv_log_uniform": (BOUNDS, ()),
    "inv_log_uniform_values": (BOUNDS, ()),
    "normal": ((), SPREAD),
    "q_normal": ((), ("q", *SPREAD)),
    "log_normal": ((), SPREAD),
    "q_log_normal": ((), ("q", *SPREAD)),
    "beta": ((), SHAPE),
    "q_beta": ((), ("q", *SHAPE)),
}
