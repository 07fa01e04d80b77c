"""Random numbers are derived from (seed, purpose, epoch, step), never from what was drawn before.

So a resumed run needs no generator state, and runs of one seed see the same batches.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

INITIALIZATION, ORDER, NOISE, BANK, COPY, SEARCH = range(6)  # purposes


def derive(*key: int) -> int:
    """Return a 64-bit seed from whole numbers >= 0, such as (seed, purpose, epoch, step)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


def generator(*key: int) -> "torch.Generator":
    """Return a generator, seeded by `derive`, on the CPU: it draws the same for any device."""
    import torch  # here: `study pull` derives seeds, and trains nothing

    return torch.Generator().manual_seed(derive(*key))
