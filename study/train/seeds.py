"""Randomness is derived, never carried: every draw is a function of what it is for.

So a resumed run needs no generator state, and runs of one seed see the same batches.
"""

import numpy as np
import torch

INITIALIZATION, ORDER, NOISE, BANK, COPY, SEARCH = range(6)  # what a seed is for


def derive(*key: int) -> int:
    """A 64-bit seed from whole numbers >= 0: (seed, purpose, epoch, step) or the like."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def generator(*key: int) -> torch.Generator:
    """A generator on the CPU, so that what it draws is the same on every device."""
    return torch.Generator().manual_seed(derive(*key))
