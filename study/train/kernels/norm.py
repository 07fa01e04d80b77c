"""Norms: the statistics of a batch or of an image, and their gradients."""

import triton
import triton.language as tl

from study.train.kernels.shared import PLAIN


@triton.jit
def channels_by_group(GROUPS, MEMBERS, GROUP: tl.constexpr, MEMBER: tl.constexpr):
    """The channels of a norm's groups, [GROUP, MEMBER], and which of these places have one."""
    g = tl.arange(0, GROUP)[:, None]
    j = tl.arange(0, MEMBER)[None, :]
    return g * MEMBERS + j, (g < GROUPS) & (j < MEMBERS)


@triton.jit
def store_stats(s, affine, channels, mean, rate, known, AFFINE: tl.constexpr):
    """Store a norm's mean and 1 / deviation at s, and the scale and shift that they come to, with
    those of its channels (affine) where it has them."""
    scale = rate
    shift = -mean * rate
    if AFFINE:
        scale = rate * tl.load(affine, mask=known, other=0.0)
        shift = tl.load(affine + channels, mask=known, other=0.0) - mean * scale
    tl.store(s, mean, mask=known)
    tl.store(s + channels, rate, mask=known)
    tl.store(s + 2 * channels, scale, mask=known)
    tl.store(s + 3 * channels, shift, mask=known)


@triton.jit(do_not_specialize=[*PLAIN, "CHANNELS", "AREA"])
def model_stats(
    sums, weights, running_mean, running_var, stats, N, ROW, AT, CHANNELS, AREA,
    AFFINE: tl.constexpr, TRAIN: tl.constexpr, EPS: tl.constexpr, MOMENTUM: tl.constexpr,
    IMAGES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """stats of a model's batch norm from the sums of its images, or from its running statistics,
    which training moves towards the batch's."""
    k = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = c < CHANNELS
    moving_mean = running_mean + k * CHANNELS + c
    moving_var = running_var + k * CHANNELS + c
    mean = tl.load(moving_mean, mask=known, other=0.0)
    variance = tl.load(moving_var, mask=known, other=1.0)
    if TRAIN:
        base = sums + k * N * (2 * CHANNELS) + c[None, :]
        total = tl.zeros([BLOCK], stats.dtype.element_ty)
        for n0 in range(0, N, IMAGES):
            n = n0 + tl.arange(0, IMAGES)
            inside = (n < N)[:, None] & known[None, :]
            total += tl.sum(tl.load(base + n[:, None] * (2 * CHANNELS), mask=inside, other=0.0), 0)
        center = total / N
        square = tl.zeros([BLOCK], stats.dtype.element_ty)
        for n0 in range(0, N, IMAGES):
            n = n0 + tl.arange(0, IMAGES)
            inside = (n < N)[:, None] & known[None, :]
            at = base + n[:, None] * (2 * CHANNELS)
            apart = tl.load(at, mask=inside, other=0.0) - center[None, :]
            within = tl.load(at + CHANNELS, mask=inside, other=0.0)
            square += tl.sum(tl.where(inside, within + apart * apart * AREA, 0.0), 0)
        count = N * AREA
        tl.store(moving_mean, mean + (center - mean) * MOMENTUM, mask=known)
        unbiased = square / (count - 1)
        tl.store(moving_var, variance + (unbiased - variance) * MOMENTUM, mask=known)
        mean = center
        variance = square / count
    rate = 1 / tl.sqrt(variance + EPS)
    affine = weights + k * ROW + AT + c
    store_stats(stats + k * (4 * CHANNELS) + c, affine, CHANNELS, mean, rate, known, AFFINE)


@triton.jit(do_not_specialize=[*PLAIN, "GROUPS", "MEMBERS", "AREA"])
def image_stats(
    sums, weights, stats, N, ROW, AT, GROUPS, MEMBERS, AREA,
    AFFINE: tl.constexpr, EPS: tl.constexpr, GROUP: tl.constexpr, MEMBER: tl.constexpr,
):  # fmt: skip
    """stats of one image's norm over groups of channels (layer norm: one group)."""
    n = tl.program_id(0).to(tl.int64)
    channels = GROUPS * MEMBERS
    c, known = channels_by_group(GROUPS, MEMBERS, GROUP, MEMBER)
    own = tl.load(sums + n * (2 * channels) + c, mask=known, other=0.0)
    within = tl.load(sums + n * (2 * channels) + channels + c, mask=known, other=0.0)
    mean = (tl.sum(own, 1) / MEMBERS)[:, None]
    apart = own - mean
    square = tl.sum(tl.where(known, within + apart * apart * AREA, 0.0), 1)[:, None]
    zero = tl.zeros([GROUP, MEMBER], stats.dtype.element_ty)
    mean = mean + zero
    rate = 1 / tl.sqrt(square / (MEMBERS * AREA) + EPS) + zero
    affine = weights + (n // N) * ROW + AT + c
    store_stats(stats + n * (4 * channels) + c, affine, channels, mean, rate, known, AFFINE)


@triton.jit(do_not_specialize=[*PLAIN, "SPLITS", "CHANNELS", "AREA"])
def model_slopes(
    sums, stats, slopes, parts, N, ROW, AT, SPLITS, CHANNELS, AREA,
    AFFINE: tl.constexpr, BATCH: tl.constexpr, IMAGES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients of a norm's scale and shift of a model (AFFINE), and the slopes of a batch norm:
    the gradient of its input is slopes[0] d + slopes[1] y + slopes[2], d that of its output."""
    k = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = c < CHANNELS
    first = tl.zeros([BLOCK], stats.dtype.element_ty)
    second = tl.zeros([BLOCK], stats.dtype.element_ty)
    for n0 in range(0, N, IMAGES):
        n = n0 + tl.arange(0, IMAGES)
        inside = (n < N)[:, None] & known[None, :]
        at = sums + k * N * (2 * CHANNELS) + n[:, None] * (2 * CHANNELS) + c[None, :]
        first += tl.sum(tl.load(at, mask=inside, other=0.0), 0)
        second += tl.sum(tl.load(at + CHANNELS, mask=inside, other=0.0), 0)
    if AFFINE:
        part = parts + k * SPLITS * ROW + AT + c
        tl.store(part, second, mask=known)
        tl.store(part + CHANNELS, first, mask=known)
    if BATCH:
        s = stats + k * (4 * CHANNELS) + c
        mean = tl.load(s, mask=known, other=0.0)
        rate = tl.load(s + CHANNELS, mask=known, other=0.0)
        scale = tl.load(s + 2 * CHANNELS, mask=known, other=0.0)
        count = N * AREA
        tilt = -scale * rate * second / count
        s = slopes + k * (3 * CHANNELS) + c
        tl.store(s, scale, mask=known)
        tl.store(s + CHANNELS, tilt, mask=known)
        tl.store(s + 2 * CHANNELS, -scale * first / count - tilt * mean, mask=known)


@triton.jit(do_not_specialize=[*PLAIN, "GROUPS", "MEMBERS", "AREA"])
def image_slopes(
    sums, stats, weights, slopes, N, ROW, AT, GROUPS, MEMBERS, AREA,
    AFFINE: tl.constexpr, GROUP: tl.constexpr, MEMBER: tl.constexpr,
):  # fmt: skip
    """slopes (see model_slopes) of one image's norm over groups of channels."""
    n = tl.program_id(0).to(tl.int64)
    channels = GROUPS * MEMBERS
    c, known = channels_by_group(GROUPS, MEMBERS, GROUP, MEMBER)
    first = tl.load(sums + n * (2 * channels) + c, mask=known, other=0.0)
    second = tl.load(sums + n * (2 * channels) + channels + c, mask=known, other=0.0)
    if AFFINE:
        gain = tl.load(weights + (n // N) * ROW + AT + c, mask=known, other=0.0)
        first *= gain
        second *= gain
    s = stats + n * (4 * channels) + c
    mean = tl.load(s, mask=known, other=0.0)
    rate = tl.load(s + channels, mask=known, other=0.0)
    scale = tl.load(s + 2 * channels, mask=known, other=0.0)
    count = MEMBERS * AREA
    tilt = -rate * rate * (tl.sum(second, 1)[:, None] / count)
    s = slopes + n * (3 * channels) + c
    tl.store(s, scale, mask=known)
    tl.store(s + channels, tilt, mask=known)
    rest = -rate * (tl.sum(first, 1)[:, None] / count) - tilt * mean
    tl.store(s + 2 * channels, rest, mask=known)


@triton.jit(do_not_specialize=[*PLAIN, "PER", "SIZE", "AREA"])
def element_gradients(
    d, y, stats, parts, N, ROW, AT, PER, SIZE, AREA, BLOCK: tl.constexpr
):  # fmt: skip
    """Gradients of a model's scales and shifts, one each for every of the SIZE values of a map,
    over PER images, a split. Program: split, model, values."""
    s = tl.program_id(0)
    k = tl.program_id(1).to(tl.int64)
    i = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    inside = i < SIZE
    channels = SIZE // AREA
    number = stats.dtype.element_ty
    to_scale = tl.zeros([BLOCK], number)
    to_shift = tl.zeros([BLOCK], number)
    for image in range(s * PER, tl.minimum(N, (s + 1) * PER)):
        n = k * N + image
        gradient = tl.load(d + n * SIZE + i, mask=inside, other=0.0).to(number)
        value = tl.load(y + n * SIZE + i, mask=inside, other=0.0).to(number)
        at = stats + n * (4 * channels) + i // AREA
        mean = tl.load(at, mask=inside, other=0.0)
        to_scale += gradient * (value - mean) * tl.load(at + channels, mask=inside, other=0.0)
        to_shift += gradient
    part = parts + (k * tl.num_programs(0) + s) * ROW + AT + i
    tl.store(part, to_scale, mask=inside)
    tl.store(part + SIZE, to_shift, mask=inside)


@triton.jit(do_not_specialize=PLAIN)
def norm_back(
    d, y, slopes, weights, skip, N, ROW, AFFINE_AT,
    CHANNELS: tl.constexpr, AREA: tl.constexpr, UNIT: tl.constexpr, RELU: tl.constexpr,
    SKIP: tl.constexpr, ELEMENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """d, the gradient of a norm's output, becomes that of the convolution's (see model_slopes);
    skip: what a later block adds to it; RELU: one lies between."""
    n = tl.program_id(0).to(tl.int64)
    k = n // N
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = i < CHANNELS * AREA
    at = n * (CHANNELS * AREA) + i
    gradient = tl.load(d + at, mask=inside, other=0.0).to(slopes.dtype.element_ty)
    value = tl.load(y + at, mask=inside, other=0.0).to(slopes.dtype.element_ty)
    if ELEMENT:
        gradient *= tl.load(weights + k * ROW + AFFINE_AT + i, mask=inside, other=0.0)
    unit = n if UNIT == "image" else k
    s = slopes + unit * (3 * CHANNELS) + i // AREA
    gradient = gradient * tl.load(s, mask=inside, other=0.0)
    gradient += value * tl.load(s + CHANNELS, mask=inside, other=0.0)
    gradient += tl.load(s + 2 * CHANNELS, mask=inside, other=0.0)
    if SKIP:
        gradient += tl.load(skip + at, mask=inside, other=0.0)
    if RELU:
        gradient = tl.where(value <= 0, 0.0, gradient)
    tl.store(d + at, gradient.to(d.dtype.element_ty), mask=inside)
