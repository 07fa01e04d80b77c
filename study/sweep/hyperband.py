"""Hyperband: the rule by which W&B stops runs early, counted in epochs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
