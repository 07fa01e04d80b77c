"""Convolutions, to their output, back to their input and to their weights."""

import triton
import triton.language as tl

from study.train.kernels.activation import through
from study.train.kernels.shared import PLAIN, rectify, tile


@triton.jit
def multiply(a, b, total, PRODUCT: tl.constexpr):
    """total [A, B] + a [A, R] b [R, B], by tensor cores but for float64."""
    if PRODUCT == "float64":
        return total + tl.sum(a[:, :, None] * b[None, :, :], 1)
    elif PRODUCT == "bfloat16":
        return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16), total)
    else:
        return tl.dot(a.to(total.dtype), b.to(total.dtype), total, input_precision=PRODUCT)


@triton.jit
def convolve(
    x, w, m, p,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, SIDE: tl.constexpr, OUT: tl.constexpr,
    KERNEL: tl.constexpr, PADDING: tl.constexpr, BACK: tl.constexpr, DEPTH: tl.constexpr,
    PRODUCT: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Convolve one image x [INPUTS, SIDE, SIDE] to its channels m at pixels p, [channels, pixels].

    The product [channels, (input, tap)] x [(input, tap), pixels], whose second factor is gathered
    from x. w: [OUTPUTS, INPUTS, taps]; BACK: [INPUTS, OUTPUTS, taps], its taps turned round.
    """
    TAPS: tl.constexpr = KERNEL * KERNEL
    TERMS: tl.constexpr = INPUTS * TAPS
    q = tl.minimum(p, OUT * OUT - 1)
    row = q // OUT
    column = q % OUT
    pixel = row * SIDE + column
    total = tl.zeros([m.shape[0], p.shape[0]], w.dtype.element_ty)
    for r0 in tl.range(0, TERMS, DEPTH, num_stages=STAGES):
        r = r0 + tl.arange(0, DEPTH)
        term = tl.minimum(r, TERMS - 1)
        c = term // TAPS
        tap = term % TAPS
        dy = tap // KERNEL - PADDING
        dx = tap % KERNEL - PADDING
        if BACK:
            w_at = (c * (OUTPUTS * TAPS) + (TAPS - 1 - tap))[None, :] + m[:, None] * TAPS
        else:
            w_at = m[:, None] * TERMS + r[None, :]
        weights = tl.load(w + w_at, mask=(m < OUTPUTS)[:, None] & (r < TERMS)[None, :], other=0.0)
        x_at = (c * (SIDE * SIDE) + dy * SIDE + dx)[:, None] + pixel[None, :]
        if PADDING > 0:
            y = row[None, :] + dy[:, None]
            z = column[None, :] + dx[:, None]
            inside = (y >= 0) & (y < SIDE) & (z >= 0) & (z < SIDE)
            values = tl.load(x + x_at, mask=inside, other=0.0)
        else:
            values = tl.load(x + x_at)
        total = multiply(weights, values, total, PRODUCT)
    return total


@triton.jit(do_not_specialize=PLAIN)
def conv(
    x, weights, skip, y, sums, N, ROW, AT,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, SIDE: tl.constexpr, OUT: tl.constexpr,
    KERNEL: tl.constexpr, PADDING: tl.constexpr, BIAS: tl.constexpr, SKIP: tl.constexpr,
    RELU: tl.constexpr, SUMS: tl.constexpr, BLOCK: tl.constexpr, PIXELS: tl.constexpr,
    DEPTH: tl.constexpr, PRODUCT: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """y = ReLU(convolution + bias + skip) of one image; sums: each channel's mean, and the sum of
    squares about it (merged by Chan et al. 1983, "Algorithms for computing the sample variance").
    """
    AREA: tl.constexpr = OUT * OUT
    n = tl.program_id(0).to(tl.int64)
    m = tile(tl.program_id(1), OUTPUTS, BLOCK)
    w = weights + (n // N) * ROW + AT
    mean = tl.zeros([BLOCK], w.dtype.element_ty)
    square = tl.zeros([BLOCK], w.dtype.element_ty)
    for p0 in range(0, AREA, PIXELS):
        p = p0 + tl.arange(0, PIXELS)
        value = convolve(
            x + n * (INPUTS * SIDE * SIDE), w, m, p, INPUTS, OUTPUTS, SIDE, OUT, KERNEL, PADDING,
            False, DEPTH, PRODUCT, STAGES,
        )  # fmt: skip
        at = m[:, None] * AREA + p[None, :]
        inside = (m < OUTPUTS)[:, None] & (p < AREA)[None, :]
        if BIAS:
            bias = w + OUTPUTS * INPUTS * KERNEL * KERNEL
            value += tl.load(bias + m, mask=m < OUTPUTS, other=0.0)[:, None]
        if SKIP:
            value += tl.load(skip + n * (OUTPUTS * AREA) + at, mask=inside, other=0.0)
        if RELU:
            value = rectify(value)
        stored = value.to(y.dtype.element_ty)
        tl.store(y + n * (OUTPUTS * AREA) + at, stored, mask=inside)
        if SUMS:
            value = stored.to(w.dtype.element_ty)
            size = tl.minimum(AREA - p0, PIXELS)
            center = tl.sum(tl.where(inside, value, 0.0), 1) / size
            about = tl.where(inside, value - center[:, None], 0.0)
            apart = center - mean
            mean += apart * size / (p0 + size)
            square += tl.sum(about * about, 1) + apart * apart * (p0 * size) / (p0 + size)
    if SUMS:
        s = sums + n * (2 * OUTPUTS) + m
        tl.store(s, mean, mask=m < OUTPUTS)
        tl.store(s + OUTPUTS, square, mask=m < OUTPUTS)


@triton.jit(do_not_specialize=PLAIN)
def conv_back(
    g, weights, y, stats, skip, keys, step, thresholds, scales, d, sums,
    N, ROW, AT, AFFINE_AT, LAYER, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, SIDE: tl.constexpr,
    OUT: tl.constexpr, KERNEL: tl.constexpr, PADDING: tl.constexpr, POOLED: tl.constexpr,
    UNIT: tl.constexpr, RELU: tl.constexpr, DROP: tl.constexpr, SKIP: tl.constexpr,
    ELEMENT: tl.constexpr, BLOCK: tl.constexpr, PIXELS: tl.constexpr, DEPTH: tl.constexpr,
    PRODUCT: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Take the gradient g of a convolution's output (its channels are the INPUTS here) back to its
    input, and through the activation of the block before (see `through`) unless it was POOLED."""
    AREA: tl.constexpr = OUT * OUT
    n = tl.program_id(0).to(tl.int64)
    k = n // N
    m = tile(tl.program_id(1), OUTPUTS, BLOCK)
    first = tl.zeros([BLOCK], weights.dtype.element_ty)
    second = tl.zeros([BLOCK], weights.dtype.element_ty)
    for p0 in range(0, AREA, PIXELS):
        p = p0 + tl.arange(0, PIXELS)
        value = convolve(
            g + n * (INPUTS * SIDE * SIDE), weights + k * ROW + AT, m, p, INPUTS, OUTPUTS, SIDE,
            OUT, KERNEL, PADDING, True, DEPTH, PRODUCT, STAGES,
        )  # fmt: skip
        if POOLED:
            inside = (m < OUTPUTS)[:, None] & (p < AREA)[None, :]
            at = n * (OUTPUTS * AREA) + m[:, None] * AREA + p[None, :]
            tl.store(d + at, value.to(d.dtype.element_ty), mask=inside)
        else:
            one, other = through(
                value, n, m, p, y, stats, weights + k * ROW + AFFINE_AT, skip, keys, step,
                thresholds, scales, d, N, LAYER, OUTPUTS, AREA, UNIT, RELU, DROP, SKIP, ELEMENT,
            )  # fmt: skip
            first += one
            second += other
    if not POOLED:
        tl.store(sums + n * (2 * OUTPUTS) + m, first, mask=m < OUTPUTS)
        tl.store(sums + n * (2 * OUTPUTS) + OUTPUTS + m, second, mask=m < OUTPUTS)


@triton.jit(do_not_specialize=[*PLAIN, "PER"])
def weight_gradients(
    x, g, parts, N, ROW, AT, PER,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, SIDE: tl.constexpr, OUT: tl.constexpr,
    KERNEL: tl.constexpr, PADDING: tl.constexpr, BIAS: tl.constexpr, BLOCK: tl.constexpr,
    TERM: tl.constexpr, PIXELS: tl.constexpr, PRODUCT: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Gradients of a convolution's weights and bias over PER images of a model, a split.

    The product [channels, (image, pixel)] x [(image, pixel), (input, tap)]. parts: [models, splits,
    ROW]. Program: split, model, tile of channels and terms.
    """
    TAPS: tl.constexpr = KERNEL * KERNEL
    TERMS: tl.constexpr = INPUTS * TAPS
    AREA: tl.constexpr = OUT * OUT
    TILES: tl.constexpr = (AREA + PIXELS - 1) // PIXELS
    ACROSS: tl.constexpr = (TERMS + TERM - 1) // TERM
    s = tl.program_id(0)
    k = tl.program_id(1).to(tl.int64)
    m = tile(tl.program_id(2) // ACROSS, OUTPUTS, BLOCK)
    r = tile(tl.program_id(2) % ACROSS, TERMS, TERM)
    term = tl.minimum(r, TERMS - 1)
    dy = term % TAPS // KERNEL - PADDING
    dx = term % KERNEL - PADDING
    x_at = term // TAPS * (SIDE * SIDE) + dy * SIDE + dx
    number = parts.dtype.element_ty
    total = tl.zeros([BLOCK, TERM], number)
    bias = tl.zeros([BLOCK], number)
    images = tl.maximum(tl.minimum(N - s * PER, PER), 0)
    for j in tl.range(0, images * TILES, num_stages=STAGES):
        n = k * N + s * PER + j // TILES
        p = j % TILES * PIXELS + tl.arange(0, PIXELS)
        q = tl.minimum(p, AREA - 1)
        inside = (m < OUTPUTS)[:, None] & (p < AREA)[None, :]
        g_at = n * (OUTPUTS * AREA)
        gradient = tl.load(g + g_at + m[:, None] * AREA + q[None, :], mask=inside, other=0.0)
        values_at = x + n * (INPUTS * SIDE * SIDE)
        values_at += x_at[None, :] + (q // OUT * SIDE + q % OUT)[:, None]
        if PADDING > 0:
            y = (q // OUT)[:, None] + dy[None, :]
            z = (q % OUT)[:, None] + dx[None, :]
            values = tl.load(
                values_at, mask=(y >= 0) & (y < SIDE) & (z >= 0) & (z < SIDE), other=0.0
            )
        else:
            values = tl.load(values_at)
        total = multiply(gradient, values, total, PRODUCT)
        if BIAS:
            bias += tl.sum(gradient.to(number), 1)
    part = parts + (k * tl.num_programs(0) + s) * ROW + AT
    inside = (m < OUTPUTS)[:, None] & (r < TERMS)[None, :]
    tl.store(part + m[:, None] * TERMS + r[None, :], total, mask=inside)
    if BIAS:
        one = (m < OUTPUTS) & (tl.program_id(2) % ACROSS == 0)
        tl.store(part + OUTPUTS * TERMS + m, bias, mask=one)


@triton.jit(do_not_specialize=[*PLAIN, "SPLITS"])
def add_parts(parts, gradients, ROW, SPLITS, BLOCK: tl.constexpr):
    """Gradients of a model, [ROW]: the sums of its splits, added up."""
    k = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK], parts.dtype.element_ty)
    for s in range(0, SPLITS):
        total += tl.load(parts + (k * SPLITS + s) * ROW + i, mask=i < ROW, other=0.0)
    tl.store(gradients + k * ROW + i, total, mask=i < ROW)
