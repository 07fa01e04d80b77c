"""The end of a network: averages of the maps, logits, losses, and their gradients."""

import triton
import triton.language as tl

from study.train.kernels.shared import PLAIN


@triton.jit(do_not_specialize=PLAIN, do_not_specialize_on_alignment=["order"])
def head(
    x, weights, labels, order, smoothing, means, logits, slopes, back, losses, right,
    N, K, ROW, AT, CHANNELS: tl.constexpr, AREA: tl.constexpr, CLASSES: tl.constexpr,
    BIAS: tl.constexpr, TRAIN: tl.constexpr, CHANNEL: tl.constexpr, CLASS: tl.constexpr,
    PIXELS: tl.constexpr,
):  # fmt: skip
    """Average pool and linear layer of one image: means [C] and logits.

    TRAIN: and its cross-entropy, whether the label has the first of the largest logits, the
    objective's gradient to logits (slopes) and means (back). order: [N, K], places in labels.
    """
    n = tl.program_id(0).to(tl.int64)
    k = n // N
    c = tl.arange(0, CHANNEL)
    o = tl.arange(0, CLASS)
    number = weights.dtype.element_ty
    mean = tl.zeros([CHANNEL], number)
    for p0 in range(0, AREA, PIXELS):
        p = p0 + tl.arange(0, PIXELS)
        inside = (c < CHANNELS)[:, None] & (p < AREA)[None, :]
        at = n * (CHANNELS * AREA) + c[:, None] * AREA + p[None, :]
        mean += tl.sum(tl.load(x + at, mask=inside, other=0.0).to(number), 1)
    mean /= AREA
    tl.store(means + n * CHANNELS + c, mean, mask=c < CHANNELS)
    w = weights + k * ROW + AT
    inside = (o < CLASSES)[:, None] & (c < CHANNELS)[None, :]
    w_all = tl.load(w + o[:, None] * CHANNELS + c[None, :], mask=inside, other=0.0)
    value = tl.sum(w_all * mean[None, :], 1)
    if BIAS:
        value += tl.load(w + CLASSES * CHANNELS + o, mask=o < CLASSES, other=0.0)
    tl.store(logits + n * CLASSES + o, value, mask=o < CLASSES)
    if TRAIN:
        label = tl.load(labels + tl.load(order + (n - k * N) * K + k))
        value = tl.where(o < CLASSES, value, float("-inf"))
        top = tl.max(value, 0)
        tl.store(right + n, (tl.min(tl.where(value == top, o, CLASS), 0) == label).to(tl.int32))
        e = tl.exp(value - top)
        total = tl.sum(e, 0)
        hit = o == label
        loss = top + tl.log(total) - tl.sum(tl.where(hit, value, 0.0), 0)
        tl.store(losses + n, loss)
        smooth = tl.load(smoothing + k)
        target = tl.where(hit, 1 - smooth, 0.0) + smooth / CLASSES
        slope = tl.where(o < CLASSES, (e / total - target) / N, 0.0)
        tl.store(slopes + n * CLASSES + o, slope, mask=o < CLASSES)
        tl.store(back + n * CHANNELS + c, tl.sum(w_all * slope[:, None], 0), mask=c < CHANNELS)


@triton.jit(do_not_specialize=PLAIN)
def tally(losses, right, loss, correct, N, IMAGES: tl.constexpr):
    """Add a model's losses and right answers of the batch to those of the epoch."""
    k = tl.program_id(0).to(tl.int64)
    total = tl.zeros([IMAGES], losses.dtype.element_ty)
    count = tl.zeros([IMAGES], tl.int32)
    for n0 in range(0, N, IMAGES):
        n = n0 + tl.arange(0, IMAGES)
        total += tl.load(losses + k * N + n, mask=n < N, other=0.0)
        count += tl.load(right + k * N + n, mask=n < N, other=0)
    tl.store(loss + k, tl.load(loss + k) + tl.sum(total, 0))
    tl.store(correct + k, tl.load(correct + k) + tl.sum(count, 0))
