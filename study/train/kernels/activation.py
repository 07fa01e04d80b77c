"""What follows a norm, ReLU, dropout, pooling, and the way back through them."""

import triton
import triton.language as tl

from study.train.kernels.noise import drop
from study.train.kernels.shared import PLAIN, rectify, tile


@triton.jit(do_not_specialize=PLAIN)
def activate(
    y, stats, weights, keys, step, thresholds, scales, x, skip, N, ROW, AFFINE_AT, LAYER,
    CHANNELS: tl.constexpr, AREA: tl.constexpr, UNIT: tl.constexpr, RELU: tl.constexpr,
    DROP: tl.constexpr, SKIP: tl.constexpr, ELEMENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x = dropout(ReLU(norm(y))) of one image; skip: the same before dropout."""
    n = tl.program_id(0).to(tl.int64)
    k = n // N
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = i < CHANNELS * AREA
    at = n * (CHANNELS * AREA)
    c = i // AREA
    z = tl.load(y + at + i, mask=inside, other=0.0).to(stats.dtype.element_ty)
    if UNIT != "none":
        unit = n if UNIT == "image" else k
        s = stats + unit * (4 * CHANNELS) + c
        z = z * tl.load(s + 2 * CHANNELS, mask=inside, other=0.0)
        z += tl.load(s + 3 * CHANNELS, mask=inside, other=0.0)
    if ELEMENT:
        affine = weights + k * ROW + AFFINE_AT + i
        z = z * tl.load(affine, mask=inside, other=0.0)
        z += tl.load(affine + CHANNELS * AREA, mask=inside, other=0.0)
    if RELU:
        z = rectify(z)
    if SKIP:
        tl.store(skip + at + i, z.to(skip.dtype.element_ty), mask=inside)
    if DROP == "values":
        place = (n - k * N).to(tl.int32) * (CHANNELS * AREA) + i
        z = drop(z, keys, step, thresholds, scales, k, LAYER, place)
    if DROP == "channels":
        place = (n - k * N).to(tl.int32) * CHANNELS + c
        z = drop(z, keys, step, thresholds, scales, k, LAYER, place)
    tl.store(x + at + i, z.to(x.dtype.element_ty), mask=inside)


@triton.jit
def pool(x, y, winners, CHANNELS: tl.constexpr, SIDE: tl.constexpr, BLOCK: tl.constexpr):
    """Max-pool of 2x2 of one image; winners: the place 0 to 3 of each window's first maximum."""
    OUT: tl.constexpr = SIDE // 2
    n = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = i < CHANNELS * OUT * OUT
    q = i % (OUT * OUT)
    corner = i // (OUT * OUT) * (SIDE * SIDE) + q // OUT * (2 * SIDE) + q % OUT * 2
    x += n * (CHANNELS * SIDE * SIDE)
    exact: tl.constexpr = tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32
    best = tl.load(x + corner, mask=inside, other=0.0).to(exact)
    winner = tl.zeros([BLOCK], tl.int32)
    for place in tl.static_range(1, 4):
        here = place // 2 * SIDE + place % 2
        value = tl.load(x + corner + here, mask=inside, other=0.0).to(exact)
        above = (value > best) | (value != value)  # a value that is no number wins, as in torch
        best = tl.where(above, value, best)
        winner = tl.where(above, place, winner)
    tl.store(y + n * (CHANNELS * OUT * OUT) + i, best.to(y.dtype.element_ty), mask=inside)
    tl.store(winners + n * (CHANNELS * OUT * OUT) + i, winner.to(tl.uint8), mask=inside)


@triton.jit
def through(
    g, n, m, p, y_ptr, stats_ptr, affine_ptr, skip_ptr, keys, step, thresholds, scales, d_ptr, N,
    LAYER, CHANNELS: tl.constexpr, PIXELS: tl.constexpr, UNIT: tl.constexpr, RELU: tl.constexpr,
    DROP: tl.constexpr, SKIP: tl.constexpr, ELEMENT: tl.constexpr,
):  # fmt: skip
    """Take g, the gradient of a block's output at [channels m, pixels p] of image n, back to its
    norm's output (without a norm to its convolution's), and store it in d.

    Returns two sums a channel: of the gradient, and of it times the normalized value.
    """
    k = n // N
    at = m[:, None] * PIXELS + p[None, :]
    inside = (m < CHANNELS)[:, None] & (p < PIXELS)[None, :]
    image = n * (CHANNELS * PIXELS)
    y = tl.load(y_ptr + image + at, mask=inside, other=0.0).to(stats_ptr.dtype.element_ty)
    g = tl.where(inside, g.to(stats_ptr.dtype.element_ty), 0.0)
    if SKIP == "x":
        g += tl.load(skip_ptr + image + at, mask=inside, other=0.0)
    if DROP == "values":
        place = (n - k * N).to(tl.int32) * (CHANNELS * PIXELS) + at
        g = drop(g, keys, step, thresholds, scales, k, LAYER, place)
    if DROP == "channels":
        place = (n - k * N).to(tl.int32) * CHANNELS + m
        g = drop(g, keys, step, thresholds, scales, k, LAYER, place[:, None])
    if SKIP == "z":
        g += tl.load(skip_ptr + image + at, mask=inside, other=0.0)
    x = y
    if UNIT != "none":
        unit = n if UNIT == "image" else k
        s = stats_ptr + unit * (4 * CHANNELS) + m
        mean = tl.load(s, mask=m < CHANNELS, other=0.0)
        rate = tl.load(s + CHANNELS, mask=m < CHANNELS, other=0.0)
        x = (y - mean[:, None]) * rate[:, None]
    if RELU:
        z = y
        if UNIT != "none":
            scale = tl.load(s + 2 * CHANNELS, mask=m < CHANNELS, other=0.0)
            shift = tl.load(s + 3 * CHANNELS, mask=m < CHANNELS, other=0.0)
            z = y * scale[:, None] + shift[:, None]
        if ELEMENT:
            weight = tl.load(affine_ptr + at, mask=inside, other=0.0)
            z = z * weight + tl.load(affine_ptr + CHANNELS * PIXELS + at, mask=inside, other=0.0)
        g = tl.where(z <= 0, 0.0, g)
    tl.store(d_ptr + image + at, g.to(d_ptr.dtype.element_ty), mask=inside)
    if ELEMENT:
        g *= tl.load(affine_ptr + at, mask=inside, other=0.0)
    return tl.sum(g, 1), tl.sum(g * x, 1)


@triton.jit(do_not_specialize=PLAIN)
def spread(
    g, winners, y, stats, weights, skip, keys, step, thresholds, scales, d, sums,
    N, ROW, AFFINE_AT, LAYER, CHANNELS: tl.constexpr, SIDE: tl.constexpr, POOL: tl.constexpr,
    UNIT: tl.constexpr, RELU: tl.constexpr, DROP: tl.constexpr, SKIP: tl.constexpr,
    ELEMENT: tl.constexpr, BLOCK: tl.constexpr, PIXELS: tl.constexpr,
):  # fmt: skip
    """Take the gradient g of the max-pool behind a block (POOL), or of its average over the map,
    back through the block's activation: see `through`."""
    AREA: tl.constexpr = SIDE * SIDE
    OUT: tl.constexpr = SIDE // 2
    n = tl.program_id(0).to(tl.int64)
    m = tile(tl.program_id(1), CHANNELS, BLOCK)
    first = tl.zeros([BLOCK], stats.dtype.element_ty)
    second = tl.zeros([BLOCK], stats.dtype.element_ty)
    for p0 in range(0, AREA, PIXELS):
        p = p0 + tl.arange(0, PIXELS)
        row = p // SIDE
        column = p % SIDE
        if POOL:
            window = n * (CHANNELS * OUT * OUT) + m[:, None] * (OUT * OUT)
            window += (row // 2 * OUT + column // 2)[None, :]
            pooled = (p < AREA) & (row // 2 < OUT) & (column // 2 < OUT)
            inside = (m < CHANNELS)[:, None] & pooled[None, :]
            here = (row % 2 * 2 + column % 2)[None, :]
            won = tl.load(winners + window, mask=inside, other=4).to(tl.int32) == here
            value = tl.where(won, tl.load(g + window, mask=inside, other=0.0), 0.0)
        else:
            value = tl.load(g + n * CHANNELS + m, mask=m < CHANNELS, other=0.0) / AREA
            value = value[:, None] + tl.zeros([BLOCK, PIXELS], value.dtype)
        one, other = through(
            value, n, m, p, y, stats, weights + (n // N) * ROW + AFFINE_AT, skip, keys, step,
            thresholds, scales, d, N, LAYER, CHANNELS, AREA, UNIT, RELU, DROP, SKIP, ELEMENT,
        )  # fmt: skip
        first += one
        second += other
    tl.store(sums + n * (2 * CHANNELS) + m, first, mask=m < CHANNELS)
    tl.store(sums + n * (2 * CHANNELS) + CHANNELS + m, second, mask=m < CHANNELS)
