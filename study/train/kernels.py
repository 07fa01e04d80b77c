"""The kernels of a pack on a GPU, in Triton; kernel_network.py says in which order they run.

A map lies in memory as [models, images, channels, side, side]. Weights, their gradients and what
follows from a whole map are of the weights' type: weights [models, ROW], sums [models, images, 2,
channels], stats [units, 4, channels] (a norm's mean, 1 / deviation, and the scale and shift that it
comes to), slopes [units, 3, channels]. A unit is what a norm takes its mean over: a model (batch
norm) or an image. ROW: parameters of one model; AT: the place in a row where a layer's begin.

A program's first index is that of an image, model * N + image, or of a model. It adds up in an
order that depends neither on the number of models nor on its own place among them: the models of a
pack have the numbers that each has alone, to the bit. Places within an image or a row are int32,
those of images and rows int64. What differs from run to run (N) is no constant of a kernel.
"""

import triton
import triton.language as tl

PLAIN = ["N", "K", "ROW", "AT", "AFFINE_AT", "LAYER"]  # compiled once, whatever their value


# Parts of kernels.


@triton.jit
def scramble(bits):
    """dropout.scramble."""
    bits = (bits ^ (bits >> 16)) * 0x7FEB352D
    bits = (bits ^ (bits >> 15)) * 0x846CA68B
    return bits ^ (bits >> 16)


@triton.jit
def draw(key, step, layer, place):
    """dropout.Noise.draw at places of one model."""
    salt = scramble(scramble(step.to(tl.uint32)) + layer.to(tl.uint32))
    first = scramble(key.to(tl.uint32) ^ salt)
    second = scramble((key >> 32).to(tl.uint32) + salt)
    bits = place.to(tl.uint32) * 0x9E3779B1 + first
    bits = (bits ^ (bits >> 16)) * 0x7FEB352D
    bits = ((bits ^ (bits >> 15)) + second) * 0x846CA68B
    return bits ^ (bits >> 16)


@triton.jit
def drop(x, keys, step, thresholds, scales, k, layer, place):
    """x times dropout's mask of model k; place: see dropout.Dropouts."""
    bits = draw(tl.load(keys + k), tl.load(step), layer, place)
    kept = bits >= tl.load(thresholds + k).to(tl.uint32)
    return tl.where(kept, x * tl.load(scales + k), 0.0)


@triton.jit
def tile(number, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """The places of a tile of COUNT. Where there is but one they are known to the compiler, which
    needs 72 registers for a convolution then, in place of 128."""
    places = tl.arange(0, BLOCK)
    if COUNT > BLOCK:
        places += number * BLOCK
    return places


@triton.jit
def channels_by_group(GROUPS, MEMBERS, GROUP: tl.constexpr, MEMBER: tl.constexpr):
    """The channels of a norm's groups, [GROUP, MEMBER], and which of these places have one."""
    g = tl.arange(0, GROUP)[:, None]
    j = tl.arange(0, MEMBER)[None, :]
    return g * MEMBERS + j, (g < GROUPS) & (j < MEMBERS)


@triton.jit
def rectify(x):
    """ReLU, which leaves what is no number as it is."""
    return tl.where(x < 0, 0.0, x)


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


# Kernels of the pass forward.


@triton.jit(do_not_specialize=[*PLAIN, "step", "over"], do_not_specialize_on_alignment=["images"])
def gather(
    images, places, x, mean, deviation, N, step, over,
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
    values /= tl.load(deviation + c, mask=inside, other=1.0)
    tl.store(x + image * (CHANNELS * PIXELS) + i, values.to(x.dtype.element_ty), mask=inside)


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
    scale = rate
    shift = -mean * rate
    if AFFINE:
        affine = weights + k * ROW + AT + c
        scale = rate * tl.load(affine, mask=known, other=0.0)
        shift = tl.load(affine + CHANNELS, mask=known, other=0.0) - mean * scale
    s = stats + k * (4 * CHANNELS) + c
    tl.store(s, mean, mask=known)
    tl.store(s + CHANNELS, rate, mask=known)
    tl.store(s + 2 * CHANNELS, scale, mask=known)
    tl.store(s + 3 * CHANNELS, shift, mask=known)


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
    scale = rate
    shift = -mean * rate
    if AFFINE:
        affine = weights + (n // N) * ROW + AT + c
        scale = rate * tl.load(affine, mask=known, other=0.0)
        shift = tl.load(affine + channels, mask=known, other=0.0) - mean * scale
    s = stats + n * (4 * channels) + c
    tl.store(s, mean, mask=known)
    tl.store(s + channels, rate, mask=known)
    tl.store(s + 2 * channels, scale, mask=known)
    tl.store(s + 3 * channels, shift, mask=known)


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


# Kernels of the pass back.


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


@triton.jit(do_not_specialize=[*PLAIN, "SPLITS", "SIZE", "AREA"])
def element_gradients(
    d, y, stats, parts, N, ROW, AT, SPLITS, SIZE, AREA, BLOCK: tl.constexpr
):  # fmt: skip
    """Gradients of a model's scales and shifts, one each for every of the SIZE values of a map."""
    k = tl.program_id(0).to(tl.int64)
    i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = i < SIZE
    channels = SIZE // AREA
    number = stats.dtype.element_ty
    to_scale = tl.zeros([BLOCK], number)
    to_shift = tl.zeros([BLOCK], number)
    for image in range(0, N):
        n = k * N + image
        gradient = tl.load(d + n * SIZE + i, mask=inside, other=0.0).to(number)
        value = tl.load(y + n * SIZE + i, mask=inside, other=0.0).to(number)
        s = stats + n * (4 * channels) + i // AREA
        mean = tl.load(s, mask=inside, other=0.0)
        to_scale += gradient * (value - mean) * tl.load(s + channels, mask=inside, other=0.0)
        to_shift += gradient
    part = parts + k * SPLITS * ROW + AT + i
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
