"""The network of a pack as launches of its kernels: its maps, the pass forward, the pass back.

Launches a step: 56 for mnist_7684 with batch norm, 63 with group norm; for cifar_48178 71 and 79.
Bytes: each map is written and read some 14 times (forward by convolution and activation; back by
the convolution behind it, the norm, and the two factors of its gradients).
"""

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
import triton
from torch import Tensor
from tqdm import tqdm

from study.train.augment import usable_cores
from study.train.blocks import Network
from study.train.dropout import Noise
from study.train.kernels.activation import activate, pool, spread
from study.train.kernels.convolution import add_parts, conv, conv_back, weight_gradients
from study.train.kernels.head import head, tally
from study.train.kernels.images import gather
from study.train.kernels.layers import Layer, read_layers
from study.train.kernels.norm import (
    element_gradients,
    image_slopes,
    image_stats,
    model_slopes,
    model_stats,
    norm_back,
)

SPLIT, MOST_SPLITS = 4, 32  # images, at least, whose weight gradients are one sum; sums, at most


@dataclass(frozen=True)
class Tiles:
    """What a program takes at once: pixels, terms of a product's sum (depth), weights of (input,
    tap), channels; values of a map; images; channels of a norm."""

    pixels: int = 64
    depth: int = 32
    weights: int = 32
    channels: int = 64
    values: int = 1024
    images: int = 128
    norm: int = 16


# On an H200 larger tiles were slower in float32. Of float64 a product's terms are in registers.
TILES = {
    "float32": Tiles(),
    "bfloat16": Tiles(),
    "float64": Tiles(pixels=16, depth=4, weights=4, channels=16),
}
PRODUCTS = {"float32": "tf32", "bfloat16": "bfloat16", "float64": "float64"}
WARPS, STAGES = 2, 2  # of convolutions, measured there too


@dataclass
class Maps:
    """What a layer computes and keeps: [models, images, values] each, one after the other.

    y: of its convolution; x: its output; z: see Layer.skip; pooled: the max-pool of x, and winners
    its places. d: the gradient of the norm's output, then of y; pooled_d: that of pooled.
    """

    y: Tensor
    x: Tensor
    z: Tensor
    stats: Tensor
    pooled: Tensor | None = None
    winners: Tensor | None = None
    d: Tensor = field(init=False)
    pooled_d: Tensor = field(init=False)

    @property
    def output(self) -> Tensor:
        return self.x if self.pooled is None else self.pooled


class KernelNetwork:
    """A pack's network that gives logits, and the gradients of each model's parameters.

    network: of `models` copies, whose running statistics are moved in place. images: the most of
    each model at once. noise: of its dropout. mean, deviation: of the channels of an image, on the
    scale of uint8. smoothing: of each model's labels. trained: whether it keeps its maps for
    gradients.

    Raises:
        ValueError: the network has what no kernel does (see read_layers).
    """

    def __init__(
        self,
        network: Network,
        *,
        models: int,
        images: int,
        precision: str,
        noise: Noise,
        mean: Tensor,
        deviation: Tensor,
        smoothing: Tensor,
        trained: bool = True,
    ) -> None:
        layers = read_layers(network, models)
        if layers is None:
            raise ValueError("no kernels for this network")
        self.network, self.layers, self.models, self.images = network, layers, models, images
        self.precision, self.noise, self.trained = precision, noise, trained
        self.mean, self.deviation, self.smoothing = mean.flatten(), deviation.flatten(), smoothing
        self.device, self.dtype, self.tiles = mean.device, mean.dtype, TILES[precision]
        self.product = PRODUCTS[precision]
        if self.device.type != "cuda" and precision != "float64":
            self.product = "ieee"  # Triton's interpreter has no other
        self.evaluation: KernelNetwork | None = None
        self.noted: list[tuple] | None = None  # launches instead of being made, see `compile`
        self._allocate()

    def _allocate(self) -> None:
        """Make all tensors, once: a CUDA graph records where they lie."""
        total, layers, last = self.models * self.images, self.layers, self.layers[-1]
        last_conv = self.network.head
        self.classes = last_conv.out_channels // self.models
        self.head_bias = last_conv.bias is not None
        self.row = sum(p.numel() for p in self.network.parameters()) // self.models
        self.head_at = self.row - self.classes * (last.channels + self.head_bias)
        self.pixels = layers[0].side_in ** 2
        most = max(layer.channels for layer in layers)
        widest = max(layers[0].inputs * self.pixels, *(layer.values for layer in layers))
        stored = torch.bfloat16 if self.precision == "bfloat16" else self.dtype
        pair: list[Tensor] = []
        turn = 0

        def vector(values: int, dtype: torch.dtype = self.dtype) -> Tensor:
            return torch.empty(values, dtype=dtype, device=self.device)

        def brief(values: int) -> Tensor:
            """A map that is read by the next launch alone: of such there are two, in turn."""
            nonlocal turn
            if not pair:
                pair.extend(vector(total * widest, stored) for _ in range(2))
            turn = 1 - turn
            return pair[turn][: total * values]

        def lasting(values: int, kept: bool = False) -> Tensor:
            return vector(total * values, stored) if kept or self.trained else brief(values)

        self.input = lasting(layers[0].inputs * self.pixels)
        self.maps: dict[Layer, Maps] = {}
        for layer in layers:
            both = layer.skip == "z" and not layer.dropout  # z is x then
            y = lasting(layer.values, layer.skip == "y")
            x = lasting(layer.values, both or layer.skip == "x") if layer.activates else y
            z = lasting(layer.values, True) if layer.skip == "z" and not both else x
            units = self.models if layer.unit == "model" else total
            maps = self.maps[layer] = Maps(y, x, z, vector(units * 4 * layer.channels))
            if layer.pool:
                values = layer.channels * (layer.side // 2) ** 2
                maps.pooled = lasting(values)
                maps.winners = vector(total * values, torch.uint8)
        self.sums, self.slopes = vector(total * 2 * most), vector(total * 3 * most)
        self.means, self.logits_all = vector(total * last.channels), vector(total * self.classes)
        if not self.trained:
            return
        for layer in reversed(layers):
            maps = self.maps[layer]
            if layer.pool:
                maps.pooled_d = brief(layer.channels * (layer.side // 2) ** 2)
            maps.d = lasting(layer.values) if layer.adds else brief(layer.values)
        self.splits = max(1, min(self.images // SPLIT, MOST_SPLITS))
        self.parts = vector(self.models * self.splits * self.row).zero_()
        self.gradient_rows = vector(self.models * self.row).view(self.models, self.row)
        self.head_slopes, self.back = vector(total * self.classes), vector(total * last.channels)
        self.losses, self.right = vector(total), vector(total, torch.int32)

    def _launch(
        self, kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any
    ) -> None:
        if self.noted is not None:
            self.noted.append((kernel, grid, arguments, constants))
        else:
            kernel[grid](*arguments, **constants)

    @torch.no_grad()
    def gradients(
        self,
        bank: Tensor,
        labels: Tensor,
        order: Tensor,
        copies: Tensor,
        weights: Tensor,
        loss: Tensor,
        correct: Tensor,
    ) -> Tensor:
        """Return the gradient of each model's objective, [models, parameters], until the next call.

        bank: uint8 [copies, N, C, H, W]; order, copies: [batch, models], which of its images in
        which copy; labels: [N]. Adds each model's summed cross-entropy to loss and its right
        answers to correct, [models]; moves the running statistics.
        """
        self._step(bank, labels, order, copies, weights, loss, correct)
        counters = [
            layer.norm.num_batches_tracked for layer in self.layers if layer.unit == "model"
        ]
        if counters:
            torch._foreach_add_(counters, 1)
        return self.gradient_rows

    def _step(
        self,
        bank: Tensor,
        labels: Tensor,
        order: Tensor,
        copies: Tensor,
        weights: Tensor,
        loss: Tensor,
        correct: Tensor,
    ) -> None:
        n = len(order)
        places = (copies * bank.shape[1] + order) * bank[0, 0].numel()
        self._forward(bank, places, weights, n, train=True)
        self._head(weights, n, labels, order.contiguous())
        self._launch(
            tally, (self.models,), self.losses, self.right, loss, correct, n,
            IMAGES=self.tiles.images,
        )  # fmt: skip
        self._back(weights, n)
        self._launch(
            add_parts, (triton.cdiv(self.row, self.tiles.values), self.models),
            self.parts, self.gradient_rows, self.row, self.splits, BLOCK=self.tiles.values,
        )  # fmt: skip

    @torch.no_grad()
    def logits(self, images: Tensor, weights: Tensor) -> Tensor:
        """Return logits [N, models, classes] of uint8 images [N, models, C, H, W], by the running
        statistics and without dropout."""
        n = len(images)
        if self.evaluation is None or self.evaluation.images < n:
            self.evaluation = None  # frees its maps
            self.evaluation = KernelNetwork(
                self.network, models=self.models, images=n, precision=self.precision,
                noise=self.noise, mean=self.mean, deviation=self.deviation,
                smoothing=self.smoothing, trained=False,
            )  # fmt: skip
        return self.evaluation._logits(images, weights)

    def _logits(self, images: Tensor, weights: Tensor) -> Tensor:
        n, models = images.shape[:2]
        rows, columns = (torch.arange(count, device=self.device) for count in (n, models))
        places = (rows * images.stride(0)).view(-1, 1) + columns * images.stride(1)
        self._forward(images, places, weights, n, train=False)
        self._head(weights, n)
        logits = self.logits_all[: models * n * self.classes].view(models, n, self.classes)
        return logits.transpose(0, 1).clone()

    # The pass forward.

    def _forward(
        self, images: Tensor, places: Tensor, weights: Tensor, n: int, train: bool
    ) -> None:
        total, values, x = self.models * n, self.tiles.values, self.input
        size = self.layers[0].inputs * self.pixels
        self._launch(
            gather, (total, triton.cdiv(size, values)), images, places, x, self.mean,
            self.deviation, n, *places.stride(), PIXELS=self.pixels,
            CHANNELS=self.layers[0].inputs, BLOCK=values,
        )  # fmt: skip
        for layer in self.layers:
            maps = self.maps[layer]
            self._convolve(layer, x, weights, n)
            self._stats(layer, weights, n, train)
            if layer.activates:
                through = {"DROP": "", "SKIP": maps.z is not maps.x, "BLOCK": values}
                through["DROP"] = layer.drop if train else ""
                self._launch(
                    activate, (total, triton.cdiv(layer.values, values)), maps.y,
                    maps.stats, weights, *self._noise(layer), maps.x, maps.z, n, self.row,
                    layer.affine_at, layer.number, CHANNELS=layer.channels, AREA=layer.side**2,
                    UNIT=layer.unit, RELU=layer.relu == "after",
                    ELEMENT=layer.affine == "element", **through,
                )  # fmt: skip
            if layer.pool:
                pooled = layer.channels * (layer.side // 2) ** 2
                self._launch(
                    pool, (total, triton.cdiv(pooled, values)), maps.x, maps.pooled,
                    maps.winners, CHANNELS=layer.channels, SIDE=layer.side, BLOCK=values,
                )  # fmt: skip
            x = maps.output

    def _convolve(self, layer: Layer, x: Tensor, weights: Tensor, n: int) -> None:
        maps, skip = self.maps[layer], self._skip(layer.adds)
        block = self._channels(layer.channels)
        self._launch(
            conv, (self.models * n, triton.cdiv(layer.channels, block)), x, weights,
            maps.y if skip is None else skip, maps.y, self.sums, n, self.row, layer.at,
            **layer.shape, BIAS=layer.bias, SKIP=skip is not None, RELU=layer.relu == "before",
            SUMS=layer.unit != "none", BLOCK=block, PIXELS=self._pixels(layer.side),
            DEPTH=self._depth(layer.inputs * layer.kernel**2), PRODUCT=self.product,
            STAGES=STAGES, num_warps=WARPS,
        )  # fmt: skip

    def _stats(self, layer: Layer, weights: Tensor, n: int, train: bool) -> None:
        """What the layer's norm comes to, from the sums that its convolution left."""
        norm, stats, area = layer.norm, self.maps[layer].stats, layer.side**2
        affine, tiles = layer.affine == "channel", self.tiles
        if layer.unit == "model":
            self._launch(
                model_stats, (self.models, triton.cdiv(layer.channels, tiles.norm)),
                self.sums, weights, norm.running_mean, norm.running_var, stats, n, self.row,
                layer.affine_at, layer.channels, area, AFFINE=affine, TRAIN=train, EPS=norm.eps,
                MOMENTUM=norm.momentum, IMAGES=tiles.images, BLOCK=tiles.norm,
            )  # fmt: skip
        elif layer.unit == "image":
            members = layer.channels // layer.groups
            self._launch(
                image_stats, (self.models * n,), self.sums, weights, stats, n, self.row,
                layer.affine_at, layer.groups, members, area, AFFINE=affine, EPS=norm.eps,
                GROUP=_power(layer.groups), MEMBER=_power(members), num_warps=1,
            )  # fmt: skip

    def _head(
        self, weights: Tensor, n: int, labels: Tensor | None = None, order: Tensor | None = None
    ) -> None:
        """Logits; with labels what training wants of them too."""
        last, rest = self.layers[-1], [self.means] * 6
        if labels is not None and order is not None:
            rest = [labels, order, self.head_slopes, self.back, self.losses, self.right]
        labels_or, order_or, slopes, back, losses, right = rest
        self._launch(
            head, (self.models * n,), self.maps[last].x, weights, labels_or, order_or,
            self.smoothing, self.means, self.logits_all, slopes, back, losses, right, n,
            self.models, self.row, self.head_at, CHANNELS=last.channels, AREA=last.side**2,
            CLASSES=self.classes, BIAS=self.head_bias, TRAIN=labels is not None,
            CHANNEL=_power(last.channels), CLASS=_power(self.classes),
            PIXELS=_power(last.side**2, most=self.tiles.pixels),
        )  # fmt: skip

    # The pass back.

    def _back(self, weights: Tensor, n: int) -> None:
        last = self.layers[-1]
        shape = {"INPUTS": last.channels, "OUTPUTS": self.classes, "SIDE": 1, "OUT": 1}
        self._weight_gradients(
            self.means, self.head_slopes, self.head_at, self.head_bias, n,
            "float64" if self.precision == "float64" else "ieee",
            **shape, KERNEL=1, PADDING=0,
        )  # fmt: skip
        self._spread(last, self.back, weights, n)
        for place in reversed(range(len(self.layers))):
            layer = self.layers[place]
            before = self.layers[place - 1] if place else None
            maps = self.maps[layer]
            self._norm_back(layer, weights, n)
            x = self.maps[before].output if before else self.input
            self._weight_gradients(x, maps.d, layer.at, layer.bias, n, self.product, **layer.shape)
            if before:
                self._convolve_back(layer, before, weights, n)
                if before.pool:
                    self._spread(before, self.maps[before].pooled_d, weights, n)

    def _spread(self, layer: Layer, g: Tensor, weights: Tensor, n: int) -> None:
        """Back from the pool behind the layer, or from the average over its map."""
        maps, block = self.maps[layer], self._channels(layer.channels)
        winners = maps.y if maps.winners is None else maps.winners
        self._launch(
            spread, (self.models * n, triton.cdiv(layer.channels, block)), g, winners,
            maps.y, maps.stats, weights, self._skip_gradient(layer), *self._noise(layer), maps.d,
            self.sums, n, self.row, layer.affine_at, layer.number, CHANNELS=layer.channels,
            SIDE=layer.side, POOL=layer.pool, **layer.through, BLOCK=block,
            PIXELS=self._pixels(layer.side),
        )  # fmt: skip

    def _norm_back(self, layer: Layer, weights: Tensor, n: int) -> None:
        """From the gradient of the norm's output to that of the convolution's; its parameters'."""
        if layer.unit == "none":
            return
        maps, tiles, area = self.maps[layer], self.tiles, layer.side**2
        affine = layer.affine == "channel"
        if affine or layer.unit == "model":
            self._launch(
                model_slopes, (self.models, triton.cdiv(layer.channels, tiles.norm)),
                self.sums, maps.stats, self.slopes, self.parts, n, self.row, layer.affine_at,
                self.splits, layer.channels, area, AFFINE=affine, BATCH=layer.unit == "model",
                IMAGES=tiles.images, BLOCK=tiles.norm,
            )  # fmt: skip
        if layer.unit == "image":
            members = layer.channels // layer.groups
            self._launch(
                image_slopes, (self.models * n,), self.sums, maps.stats, weights,
                self.slopes, n, self.row, layer.affine_at, layer.groups, members, area,
                AFFINE=affine, GROUP=_power(layer.groups), MEMBER=_power(members), num_warps=1,
            )  # fmt: skip
        blocks = triton.cdiv(layer.values, tiles.values)
        if layer.affine == "element":
            self._launch(
                element_gradients, (self.models, blocks), maps.d, maps.y, maps.stats,
                self.parts, n, self.row, layer.affine_at, self.splits, layer.values, area,
                BLOCK=tiles.values,
            )  # fmt: skip
        self._launch(
            norm_back, (self.models * n, blocks), maps.d, maps.y, self.slopes, weights,
            self._skip_gradient(layer), n, self.row, layer.affine_at, CHANNELS=layer.channels,
            AREA=area, UNIT=layer.unit, RELU=layer.relu == "before", SKIP=layer.skip == "y",
            ELEMENT=layer.affine == "element", BLOCK=tiles.values,
        )  # fmt: skip

    def _weight_gradients(
        self, x: Tensor, g: Tensor, at: int, bias: bool, n: int, product: str, **shape: int
    ) -> None:
        terms, block = shape["INPUTS"] * shape["KERNEL"] ** 2, self._channels(shape["OUTPUTS"])
        weights = _power(terms, self._least, self.tiles.weights)
        tiles = triton.cdiv(terms, weights) * triton.cdiv(shape["OUTPUTS"], block)
        self._launch(
            weight_gradients, (self.splits, self.models, tiles), x, g, self.parts, n,
            self.row, at, triton.cdiv(n, self.splits), **shape, BIAS=bias, BLOCK=block,
            TERM=weights, PIXELS=self._pixels(shape["OUT"]), PRODUCT=product, STAGES=STAGES,
            num_warps=WARPS,
        )  # fmt: skip

    def _convolve_back(self, layer: Layer, before: Layer, weights: Tensor, n: int) -> None:
        """To the output of the layer before, and through its activation unless it was pooled."""
        maps, block = self.maps[before], self._channels(layer.inputs)
        self._launch(
            conv_back, (self.models * n, triton.cdiv(layer.inputs, block)),
            self.maps[layer].d, weights, maps.y, maps.stats, self._skip_gradient(before),
            *self._noise(before), maps.pooled_d if before.pool else maps.d, self.sums, n, self.row,
            layer.at, before.affine_at, before.number, INPUTS=layer.channels,
            OUTPUTS=layer.inputs, SIDE=layer.side, OUT=layer.side_in, KERNEL=layer.kernel,
            PADDING=layer.kernel - 1 - layer.padding, POOLED=before.pool, **before.through,
            BLOCK=block, PIXELS=self._pixels(layer.side_in),
            DEPTH=self._depth(layer.channels * layer.kernel**2), PRODUCT=self.product,
            STAGES=STAGES, num_warps=WARPS,
        )  # fmt: skip

    def compile(self) -> None:
        """Compile all that a step and evaluation launch, many kernels at a time, into Triton's
        cache on disk; where that has them already it takes no time."""
        models, side = self.models, self.layers[0].side_in
        images = torch.zeros(
            1, models, self.layers[0].inputs, side, side, dtype=torch.uint8, device=self.device
        )
        whole = torch.zeros(1, models, dtype=torch.int64, device=self.device)
        weights = torch.zeros_like(self.gradient_rows)
        self.noted = []
        try:
            self._step(images, whole[0], whole, whole, weights, weights[:, 0], whole[0])
            self._logits(images, weights)
            warm_up(self.noted)
        finally:
            self.noted = None

    # Arguments of the launches.

    def _noise(self, layer: Layer) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        keys, step = self.noise.keys, self.noise.step
        if layer.dropout is None:
            return keys, step, keys, self.mean  # none of them is read
        return keys, step, layer.dropout.thresholds, layer.dropout.scales

    def _skip(self, layer: Layer | None) -> Tensor | None:
        """The value of a layer that a later one adds."""
        if layer is None:
            return None
        maps = self.maps[layer]
        return {"y": maps.y, "z": maps.z, "x": maps.x}[layer.skip]

    def _skip_gradient(self, layer: Layer) -> Tensor:
        """The gradient of that value, which is that of the later layer's convolution."""
        [later] = [other for other in self.layers if other.adds is layer] or [layer]
        return self.maps[later].d

    @property
    def _least(self) -> int:
        """The least that tensor cores take at once."""
        return 1 if self.precision == "float64" else 16

    def _channels(self, channels: int) -> int:
        return _power(channels, self._least, self.tiles.channels)

    def _pixels(self, side: int) -> int:
        return _power(side**2, self._least, self.tiles.pixels)

    def _depth(self, terms: int) -> int:
        return _power(terms, self._least, self.tiles.depth)


def _power(number: int, least: int = 1, most: int = 2**20) -> int:
    """Return the power of two from `number` up, within limits."""
    return max(least, min(most, triton.next_power_of_2(number)))


def warm_up(launches: Iterable[tuple]) -> None:
    """Compile the kernels of launches that have not been made yet, on all cores. Triton lets other
    threads run while it does, but for a quarter of the time."""
    mode = getattr(triton, "AsyncCompileMode", None)  # not in older releases: one after the other
    bar = tqdm(total=0, desc="compiling GPU kernels, once", unit="", disable=None, delay=1)
    begun: list[Future] = []
    with bar, ThreadPoolExecutor(usable_cores()) as threads:

        def submit(work: Callable[[], Any]) -> Future:
            begun.append(threads.submit(work))
            bar.total = len(begun)
            begun[-1].add_done_callback(lambda _: bar.update())
            return begun[-1]

        with mode(SimpleNamespace(submit=submit)) if mode else contextlib.nullcontext():
            for kernel, grid, arguments, constants in launches:
                kernel.warmup(*arguments, grid=grid, **constants)
