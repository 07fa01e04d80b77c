"""W&B's distributions, each as its quantile function: a uniform number -> a value."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from study.errors import UsageError
from study.values import text

Quantile = Callable[[float], float]


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


def _normal(given: Mapping[str, float]) -> Quantile:
    mu, sigma = given.get("mu", 0.0), given.get("sigma", 1.0)
    return lambda u: mu + sigma * special.ndtri(u)


def _log_normal(given: Mapping[str, float]) -> Quantile:
    """mu and sigma are of the natural logarithm."""
    mu, sigma = given.get("mu", 0.0), given.get("sigma", 1.0)
    try:
        median = math.exp(mu)
    except OverflowError as error:
        raise UsageError(f"mu={text(mu)}: is the natural logarithm of no number") from error
    return lambda u: median * np.exp(sigma * special.ndtri(u))


def _beta(given: Mapping[str, float]) -> Quantile:
    return lambda u: special.betaincinv(given.get("a", 1.0), given.get("b", 1.0), u)


QUANTILES: dict[str, Callable[[Mapping[str, float]], Quantile]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,  # log-uniform between its bounds either way
    "normal": _normal,
    "log_normal": _log_normal,
    "beta": _beta,
}

# W&B's distributions: the keys each needs, and those it allows beside them.
BOUNDS, SPREAD, SHAPE = ("min", "max"), ("mu", "sigma"), ("a", "b")
ALLOWED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
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
# What others call a distribution: a uniform one takes its bounds themselves, with no `_values`.
ALIASES = {
    "uniform_values": "uniform", "q_uniform_values": "q_uniform",
    "loguniform": "log_uniform_values", "loguniform_values": "log_uniform_values",
}  # fmt: skip
KEYS = sorted({key for needed, optional in ALLOWED.values() for key in (*needed, *optional)})
