"""The network of a pack as launches of its kernels: the pass forward, the pass back.

Launches a step: 56 for mnist_7684 with batch norm, 63 with group norm; for cifar_48178 71 and 79.
Bytes: each map is written and read some 14 times (forward by convolution and activation; back by
the convolution behind it, the norm, and the two factors of its gradients).
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from study.train.blocks import Network
from study.train.dropout import Noise
from study.train.kernels.activation import activate, pool, spread
from study.train.kernels.convolution import add_parts, conv, conv_back, weight_gradients
from study.train.kernels.head import head, tally
from study.train.kernels.images import gather
from study.train.kernels.layers import Layer
from study.train.kernels.memory import Memory
from study.train.kernels.norm import (
    element_gradients,
    image_slopes,
    image_stats,
    model_slopes,
    model_stats,
    norm_back,
)
from study.train.kernels.tiles import TILES, power
from study.train.kernels.warm_up import warm_up

PRODUCTS = {"float32": "tf32", "bfloat16": "bfloat16", "float64": "float64"}
WARPS, STAGES = 2, 2  # of convolutions, measured on an H200


class KernelNetwork:
    """A pack's network that gives logits, and the gradients of each model's parameters.

    network: of `models` copies, whose running statistics are moved in place. layers: its own, as
    read_layers gives them. images: the most of each model at once. noise: of its dropout. mean,
    std: of the channels of an image, on the scale of uint8. smoothing: of each model's labels.
    trained: whether it keeps its maps for gradients.
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[Layer],
        *,
        models: int,
        images: int,
        precision: str,
        noise: Noise,
        mean: Tensor,
        std: Tensor,
        smoothing: Tensor,
        trained: bool = True,
    ) -> None:
        self.network, self.layers, self.models, self.images = network, layers, models, images
        self.precision, self.noise, self.trained = precision, noise, trained
        self.mean, self.std, self.smoothing = mean.flatten(), std.flatten(), smoothing
        self.device, self.dtype, self.tiles = mean.device, mean.dtype, TILES[precision]
        self.product = PRODUCTS[precision]
        if self.device.type != "cuda" and precision != "float64":
            self.product = "ieee"  # Triton's interpreter has no other
        self.evaluation: KernelNetwork | None = None
        self.noted: list[tuple] | None = None  # launches instead of being made, see `compile`
        last = layers[-1]
        self.classes = network.head.out_channels // models
        self.head_bias = network.head.bias is not None
        self.row = sum(p.numel() for p in network.parameters()) // models
        self.head_at = self.row - self.classes * (last.channels + self.head_bias)
        self.pixels = layers[0].side_in ** 2
        self.memory = Memory(
            layers, models=models, images=images, classes=self.classes, row=self.row,
            dtype=self.dtype, stored=torch.bfloat16 if precision == "bfloat16" else self.dtype,
            device=self.device, trained=trained,
        )  # fmt: skip

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
        memory = self.memory
        n = len(order)
        places = (copies * bank.shape[1] + order) * bank[0, 0].numel()
        self._forward(bank, places, weights, n, train=True)
        self._head(weights, n, labels, order.contiguous())
        self._launch(
            tally, (self.models,), memory.losses, memory.right, loss, correct, n,
            IMAGES=self.tiles.images,
        )  # fmt: skip
        self._back(weights, n)
        self._launch(
            add_parts, (triton.cdiv(self.row, self.tiles.values), self.models),
            memory.parts, memory.gradients, self.row, memory.splits, BLOCK=self.tiles.values,
        )  # fmt: skip
        counters = [
            layer.norm.num_batches_tracked for layer in self.layers if layer.unit == "model"
        ]
        if counters and self.noted is None:
            torch._foreach_add_(counters, 1)
        return memory.gradients

    @torch.no_grad()
    def logits(self, images: Tensor, weights: Tensor) -> Tensor:
        """Return logits [N, models, classes] of uint8 images [N, models, C, H, W], by the running
        statistics and without dropout."""
        n = len(images)
        if self.evaluation is None or self.evaluation.images < n:
            self.evaluation = None  # frees its maps
            self.evaluation = KernelNetwork(
                self.network, self.layers, models=self.models, images=n, precision=self.precision,
                noise=self.noise, mean=self.mean, std=self.std,
                smoothing=self.smoothing, trained=False,
            )  # fmt: skip
        return self.evaluation._logits(images, weights)

    def _logits(self, images: Tensor, weights: Tensor) -> Tensor:
        n, models = images.shape[:2]
        rows, columns = (torch.arange(count, device=self.device) for count in (n, models))
        places = (rows * images.stride(0)).view(-1, 1) + columns * images.stride(1)
        self._forward(images, places, weights, n, train=False)
        self._head(weights, n)
        logits = self.memory.logits[: models * n * self.classes].view(models, n, self.classes)
        return logits.transpose(0, 1).clone()

    # The pass forward.

    def _forward(
        self, images: Tensor, places: Tensor, weights: Tensor, n: int, train: bool
    ) -> None:
        memory = self.memory
        total, values, x = self.models * n, self.tiles.values, memory.input
        size = self.layers[0].inputs * self.pixels
        self._launch(
            gather, (total, triton.cdiv(size, values)), images, places, x, self.mean,
            self.std, n, *places.stride(), PIXELS=self.pixels,
            CHANNELS=self.layers[0].inputs, BLOCK=values,
        )  # fmt: skip
        for layer in self.layers:
            maps = memory.maps[layer]
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
                pooled = layer.pooled_values
                self._launch(
                    pool, (total, triton.cdiv(pooled, values)), maps.x, maps.pooled,
                    maps.winners, CHANNELS=layer.channels, SIDE=layer.side, BLOCK=values,
                )  # fmt: skip
            x = maps.output

    def _convolve(self, layer: Layer, x: Tensor, weights: Tensor, n: int) -> None:
        memory = self.memory
        maps, skip = memory.maps[layer], self._skip(layer.adds)
        block = self.tiles.of_channels(layer.channels)
        self._launch(
            conv, (self.models * n, triton.cdiv(layer.channels, block)), x, weights,
            maps.y if skip is None else skip, maps.y, memory.sums, n, self.row, layer.at,
            **layer.shape, BIAS=layer.bias, SKIP=skip is not None, RELU=layer.relu == "before",
            SUMS=layer.unit != "none", BLOCK=block, PIXELS=self.tiles.of_pixels(layer.side),
            DEPTH=self.tiles.of_depth(layer.inputs * layer.kernel**2), PRODUCT=self.product,
            STAGES=STAGES, num_warps=WARPS,
        )  # fmt: skip

    def _stats(self, layer: Layer, weights: Tensor, n: int, train: bool) -> None:
        """What the layer's norm comes to, from the sums that its convolution left."""
        memory = self.memory
        norm, stats, area = layer.norm, memory.maps[layer].stats, layer.side**2
        affine, tiles = layer.affine == "channel", self.tiles
        if layer.unit == "model":
            self._launch(
                model_stats, (self.models, triton.cdiv(layer.channels, tiles.norm)),
                memory.sums, weights, norm.running_mean, norm.running_var, stats, n, self.row,
                layer.affine_at, layer.channels, area, AFFINE=affine, TRAIN=train, EPS=norm.eps,
                MOMENTUM=norm.momentum, IMAGES=tiles.images, BLOCK=tiles.norm,
            )  # fmt: skip
        elif layer.unit == "image":
            members = layer.channels // layer.groups
            self._launch(
                image_stats, (self.models * n,), memory.sums, weights, stats, n, self.row,
                layer.affine_at, layer.groups, members, area, AFFINE=affine, EPS=norm.eps,
                GROUP=power(layer.groups), MEMBER=power(members), num_warps=1,
            )  # fmt: skip

    def _head(
        self, weights: Tensor, n: int, labels: Tensor | None = None, order: Tensor | None = None
    ) -> None:
        """Logits; with labels what training wants of them too."""
        memory = self.memory
        last, rest = self.layers[-1], [memory.means] * 6
        if labels is not None and order is not None:
            rest = [labels, order, memory.head_slopes, memory.back, memory.losses, memory.right]
        labels_or, order_or, slopes, back, losses, right = rest
        self._launch(
            head, (self.models * n,), memory.maps[last].x, weights, labels_or, order_or,
            self.smoothing, memory.means, memory.logits, slopes, back, losses, right, n,
            self.models, self.row, self.head_at, CHANNELS=last.channels, AREA=last.side**2,
            CLASSES=self.classes, BIAS=self.head_bias, TRAIN=labels is not None,
            CHANNEL=power(last.channels), CLASS=power(self.classes),
            PIXELS=power(last.side**2, most=self.tiles.pixels),
        )  # fmt: skip

    # The pass back.

    def _back(self, weights: Tensor, n: int) -> None:
        memory = self.memory
        last = self.layers[-1]
        shape = {"INPUTS": last.channels, "OUTPUTS": self.classes, "SIDE": 1, "OUT": 1}
        self._weight_gradients(
            memory.means, memory.head_slopes, self.head_at, self.head_bias, n,
            "float64" if self.precision == "float64" else "ieee",
            **shape, KERNEL=1, PADDING=0,
        )  # fmt: skip
        self._spread(last, memory.back, weights, n)
        for place in reversed(range(len(self.layers))):
            layer = self.layers[place]
            before = self.layers[place - 1] if place else None
            maps = memory.maps[layer]
            self._norm_back(layer, weights, n)
            x = memory.maps[before].output if before else memory.input
            self._weight_gradients(x, maps.d, layer.at, layer.bias, n, self.product, **layer.shape)
            if before:
                self._convolve_back(layer, before, weights, n)
                if before.pool:
                    self._spread(before, memory.maps[before].pooled_d, weights, n)

    def _spread(self, layer: Layer, g: Tensor, weights: Tensor, n: int) -> None:
        """Back from the pool behind the layer, or from the average over its map."""
        memory = self.memory
        maps, block = memory.maps[layer], self.tiles.of_channels(layer.channels)
        winners = maps.y if maps.winners is None else maps.winners
        self._launch(
            spread, (self.models * n, triton.cdiv(layer.channels, block)), g, winners,
            maps.y, maps.stats, weights, self._skip_gradient(layer), *self._noise(layer), maps.d,
            memory.sums, n, self.row, layer.affine_at, layer.number, CHANNELS=layer.channels,
            SIDE=layer.side, POOL=layer.pool, **layer.through, BLOCK=block,
            PIXELS=self.tiles.of_pixels(layer.side),
        )  # fmt: skip

    def _norm_back(self, layer: Layer, weights: Tensor, n: int) -> None:
        """From the gradient of the norm's output to that of the convolution's; its parameters'."""
        memory = self.memory
        if layer.unit == "none":
            return
        maps, tiles, area = memory.maps[layer], self.tiles, layer.side**2
        affine = layer.affine == "channel"
        if affine or layer.unit == "model":
            self._launch(
                model_slopes, (self.models, triton.cdiv(layer.channels, tiles.norm)),
                memory.sums, maps.stats, memory.slopes, memory.parts, n, self.row, layer.affine_at,
                memory.splits, layer.channels, area, AFFINE=affine, BATCH=layer.unit == "model",
                IMAGES=tiles.images, BLOCK=tiles.norm,
            )  # fmt: skip
        if layer.unit == "image":
            members = layer.channels // layer.groups
            self._launch(
                image_slopes, (self.models * n,), memory.sums, maps.stats, weights,
                memory.slopes, n, self.row, layer.affine_at, layer.groups, members, area,
                AFFINE=affine, GROUP=power(layer.groups), MEMBER=power(members), num_warps=1,
            )  # fmt: skip
        blocks = triton.cdiv(layer.values, tiles.values)
        if layer.affine == "element":
            self._launch(
                element_gradients, (memory.splits, self.models, blocks), maps.d, maps.y, maps.stats,
                memory.parts, n, self.row, layer.affine_at, triton.cdiv(n, memory.splits),
                layer.values, area, BLOCK=tiles.values,
            )  # fmt: skip
        self._launch(
            norm_back, (self.models * n, blocks), maps.d, maps.y, memory.slopes, weights,
            self._skip_gradient(layer), n, self.row, layer.affine_at, CHANNELS=layer.channels,
            AREA=area, UNIT=layer.unit, RELU=layer.relu == "before", SKIP=layer.skip == "y",
            ELEMENT=layer.affine == "element", BLOCK=tiles.values,
        )  # fmt: skip

    def _weight_gradients(
        self, x: Tensor, g: Tensor, at: int, bias: bool, n: int, product: str, **shape: int
    ) -> None:
        memory = self.memory
        terms = shape["INPUTS"] * shape["KERNEL"] ** 2
        block = self.tiles.of_channels(shape["OUTPUTS"])
        weights = self.tiles.of_weights(terms)
        tiles = triton.cdiv(terms, weights) * triton.cdiv(shape["OUTPUTS"], block)
        self._launch(
            weight_gradients, (memory.splits, self.models, tiles), x, g, memory.parts, n,
            self.row, at, triton.cdiv(n, memory.splits), **shape, BIAS=bias, BLOCK=block,
            TERM=weights, PIXELS=self.tiles.of_pixels(shape["OUT"]), PRODUCT=product, STAGES=STAGES,
            num_warps=WARPS,
        )  # fmt: skip

    def _convolve_back(self, layer: Layer, before: Layer, weights: Tensor, n: int) -> None:
        """To the output of the layer before, and through its activation unless it was pooled."""
        memory = self.memory
        maps, block = memory.maps[before], self.tiles.of_channels(layer.inputs)
        self._launch(
            conv_back, (self.models * n, triton.cdiv(layer.inputs, block)),
            memory.maps[layer].d, weights, maps.y, maps.stats, self._skip_gradient(before),
            *self._noise(before), maps.pooled_d if before.pool else maps.d, memory.sums, n,
            self.row, layer.at, before.affine_at, before.number, INPUTS=layer.channels,
            OUTPUTS=layer.inputs, SIDE=layer.side, OUT=layer.side_in, KERNEL=layer.kernel,
            PADDING=layer.kernel - 1 - layer.padding, POOLED=before.pool, **before.through,
            BLOCK=block, PIXELS=self.tiles.of_pixels(layer.side_in),
            DEPTH=self.tiles.of_depth(layer.channels * layer.kernel**2), PRODUCT=self.product,
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
        weights = torch.zeros_like(self.memory.gradients)
        self.noted = []
        try:
            self.gradients(images, whole[0], whole, whole, weights, weights[:, 0], whole[0])
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
        maps = self.memory.maps[layer]
        return {"y": maps.y, "z": maps.z, "x": maps.x}[layer.skip]

    def _skip_gradient(self, layer: Layer) -> Tensor:
        """The gradient of that value, which is that of the later layer's convolution."""
        [later] = [other for other in self.layers if other.adds is layer] or [layer]
        return self.memory.maps[later].d
