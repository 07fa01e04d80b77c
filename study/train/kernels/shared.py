"""What several kernels have in common."""

import triton
import triton.language as tl

PLAIN = ["N", "K", "ROW", "AT", "AFFINE_AT", "LAYER"]  # compiled once, whatever their value


@triton.jit
def tile(number, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """The places of a tile of COUNT. Where there is but one they are known to the compiler, which
    needs 72 registers for a convolution then, in place of 128."""
    places = tl.arange(0, BLOCK)
    if COUNT > BLOCK:
        places += number * BLOCK
    return places


@triton.jit
def rectify(x):
    """ReLU, which leaves what is no number as it is."""
    return tl.where(x < 0, 0.0, x)
