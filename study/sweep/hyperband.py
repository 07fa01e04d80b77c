"""Hyperband: which runs stop early, by W&B's rule, counted in epochs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ENDLESS = 100  # brackets of a rule with min_iter, which names no last one
LAST = 1e300  # epoch beyond which there is none: about what a float can hold


@dataclass(frozen=True)
class Hyperband:
    """W&B's `early_terminate: {type: hyperband}`.

    At each bracket (an epoch) only the best 1/eta of the runs that came so far go on. With
    `strict` a run is held to its value at the bracket, else to its best so far.
    Source: Li et al., Hyperband, 2018 (arXiv 1603.06560), in the simpler form that
    docs.wandb.ai/guides/sweeps/sweep-config-keys describes: no bracket is started on its own.
    """

    brackets: tuple[int, ...]
    eta: float
    strict: bool

    @classmethod
    def from_min_iter(cls, min_iter: int, eta: float, strict: bool) -> "Hyperband":
        """Brackets min_iter, min_iter * eta, min_iter * eta^2, ..."""
        brackets = min(ENDLESS, int(math.log(LAST / min_iter) / math.log(eta)) + 1)
        return cls(tuple(int(min_iter * eta**i) for i in range(brackets)), eta, strict)

    @classmethod
    def from_max_iter(cls, max_iter: int, s: float, eta: float, strict: bool) -> "Hyperband":
        """Brackets max_iter / eta, max_iter / eta^2, ... (`s` of them), none below epoch 1."""
        bands = (max_iter / eta ** (i + 1) for i in range(math.ceil(s)))
        return cls(tuple(sorted(int(band) for band in bands if band >= 1)), eta, strict)

    def stops(self, history: Sequence[float], all_runs: Iterable[Sequence[float]]) -> bool:
        """Whether a run stops, by its metric at each epoch so far and that of all runs, its own
        among them. Smaller is better."""
        passed = [band for band in self.brackets if band <= len(history)]
        if not passed:
            return False
        band = passed[-1]
        values = sorted(other[band - 1] for other in all_runs if len(other) >= band)
        threshold = values[int(len(values) / self.eta)]
        return (history[band - 1] if self.strict else min(history)) > threshold
