"""Hyperband: the rule by which W&B stops runs early, counted in epochs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.errors import Faults, UsageError
from study.fields import Range, check_number, check_whole
from study.values import nearest, one_of, text, typed

BRACKETS = ("min_iter", "max_iter", "s")
KEYS = ("type", *BRACKETS, "eta", "strict")
MAX_BRACKETS = 100  # of a rule with min_iter, which names no last one
MAX_EPOCH = 1e300  # about the largest that a float holds


@dataclass(frozen=True)
class Hyperband:
    """W&B's `early_terminate: {type: hyperband}`.

    At each bracket (an epoch) only the best 1/eta of the runs that have reached it go on. With
    `strict` a run counts with its value at the bracket, else with its best so far.
    Source: Li et al., Hyperband, 2018 (arXiv 1603.06560), in the simpler form that
    docs.wandb.ai/guides/sweeps/sweep-config-keys describes: no bracket is started on its own.
    """

    brackets: tuple[int, ...]
    eta: float
    strict: bool

    @classmethod
    def from_min_iter(cls, min_iter: int, eta: float, strict: bool) -> "Hyperband":
        """Use the brackets min_iter, min_iter * eta, min_iter * eta^2, ..."""
        brackets = min(MAX_BRACKETS, int(math.log(MAX_EPOCH / min_iter) / math.log(eta)) + 1)
        return cls(tuple(int(min_iter * eta**i) for i in range(brackets)), eta, strict)

    @classmethod
    def from_max_iter(cls, max_iter: int, s: float, eta: float, strict: bool) -> "Hyperband":
        """Use the `s` brackets max_iter / eta, max_iter / eta^2, ..., none below epoch 1."""
        most = int(math.log(max_iter) / math.log(eta)) + 1  # of whose bands the last is below 1
        bands = (max_iter / eta ** (i + 1) for i in range(min(math.ceil(s), most)))
        return cls(tuple(sorted(int(band) for band in bands if band >= 1)), eta, strict)

    def stops(self, history: Sequence[float], all_runs: Iterable[Sequence[float]]) -> bool:
        """Whether a run stops, by its metric at each epoch so far; smaller is better.

        all_runs: the same of all runs, this one among them.
        """
        passed = [band for band in self.brackets if band <= len(history)]
        if not passed:
            return False
        band = passed[-1]
        values = sorted(other[band - 1] for other in all_runs if len(other) >= band)
        threshold = values[int(len(values) / self.eta)]
        return (history[band - 1] if self.strict else min(history)) > threshold


def parse(given: Any) -> Hyperband | None:
    """Check the `early_terminate` of a sweep's file, with W&B's defaults; None where it has none.

    Raises:
        UsageError: something in it is not allowed, a line for each fault.
    """
    if given is None:
        return None
    where = "early_terminate"
    if not isinstance(given, Mapping) or given.get("type") != "hyperband":
        kind = given.get("type") if isinstance(given, Mapping) else given
        raise UsageError(one_of(f"{where}.type", kind, ["hyperband"]))
    faults = Faults()
    for key in given:
        if key not in KEYS:
            faults.add(f"{where}.{key}: {nearest(key, KEYS)}")
    eta, strict = given.get("eta", 3), given.get("strict", True)
    faults.attempt(check_number, f"{where}.eta", eta, limits=Range(1, above=True))
    if not isinstance(strict, bool):
        faults.add(f"{where}.strict={typed(strict)}: allowed are true and false")
    low, high, s = (given.get(key) for key in BRACKETS)
    for key, value in zip(BRACKETS, (low, high, s)):
        if value is not None:
            faults.attempt(check_whole, f"{where}.{key}", value)
    if high is not None and s is None:  # W&B looks at max_iter first
        faults.add(f"{where}: max_iter needs s beside it")
    elif high is None and low is None:
        faults.add(f"{where}: needs min_iter, or max_iter and s")
    faults.check()
    if high is None or s is None:
        return Hyperband.from_min_iter(low or 1, eta, strict)
    rule = Hyperband.from_max_iter(high, s, eta, strict)
    if not rule.brackets:
        raise UsageError(f"{where}.max_iter={high}: leaves no bracket at eta={text(eta)}")
    return rule
