"""The input of a pack: images gathered and normalized."""

import triton
import triton.language as tl

from study.train.kernels.shared import PLAIN


@triton.jit(do_not_specialize=[*PLAIN, "step", "over"], do_not_specialize_on_alignment=["images"])
def gather(
    images, places, x, mean, std, N, step, over,
    PIXELS: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Image n of model k, uint8 from images + places[n * step + k * over], normalized."""
    image = tl.program_id(0).to(tl.int64)
    k = image // N
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = i < CHANNELS * PIXELS
    place = tl.load(places + (image - k * N) * step + k * over)
    values = tl.load(images + place + i, mask=inside, other=0).to(mean.dtype.element_ty)
    c = i // PIXELS
    values -= tl.load(mean + c, mask=inside, other=0.0)
    values /= tl.load(std + c, mask=inside, other=1.0)
    tl.store(x + image * (CHANNELS * PIXELS) + i, values.to(x.dtype.element_ty), mask=inside)
