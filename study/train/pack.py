"""Configurations of one bucket as one network: every kernel works on all of them.

Their channels lie side by side, their convolutions and norms are in groups, and their weights are
the rows of one matrix. loop.py is the reference: in float64 a pack leaves the same weights. (Where
equal values tie in a maximum, as on a constant background under an elementwise norm, rounding may
choose another.)
"""

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from study.config import Config
from study.train import (
    data,
    devices,
    l1,
    loop,
    networks,
    optimizer,
    schedule,
    seeds,
)
from study.train.average import Average, Tensors
from study.train.batches import Batches
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint
from study.train.dropout import Dropouts, Noise
from study.train.graph import StepGraph
from study.train.kernels import choice
from study.train.pack_state import PackState
from study.train.predictions import BestEpoch
from study.train.usage import Usage

if TYPE_CHECKING:
    from study.train.kernels.network import KernelNetwork

EVALUATION_BATCH = 16_000  # images times models
WEIGHTS = "weights"  # the name of all models' weights among what steps change
LEAST_EVALUATED = 500  # images at once on a GPU, which fewer would leave idle


class Pack:
    """Configurations of one bucket being trained together, from the same epoch on.

    weights: [models, parameters of one], the parameters in the network's order; optimizer_state:
    by name a list of one such matrix.
    """

    def __init__(
        self,
        configs: Sequence[Config],
        checkpoints: Sequence[Checkpoint | None],
        device: torch.device,
    ) -> None:
        first, self.device = configs[0], device
        self.graph: StepGraph | None
        self.kernels: KernelNetwork | None
        self.dtype = loop.DTYPES[first.precision]
        self.dataset = data.load(first)
        spec = self.dataset.spec
        self.mean = loop.per_channel(spec.mean, device, self.dtype)
        self.std = loop.per_channel(spec.std, device, self.dtype)
        self.batches = Batches(configs, self.dataset, device)
        self.steps = math.ceil(len(self.dataset.train) / first.batch_size)
        self.best = BestEpoch(
            [checkpoint.history if checkpoint else [] for checkpoint in checkpoints],
            [checkpoint.best if checkpoint else None for checkpoint in checkpoints],
            len(self.dataset.test),
        )
        self._build(configs, PackState.start(configs, checkpoints))

    def _build(self, configs: Sequence[Config], state: PackState) -> None:
        """Build the network of these models, and what differs between them, a row a model."""
        self.configs = list(configs)
        self.graph, self.kernels = None, None  # gone before their successors take memory
        self.network = networks.build_pack(configs).to(self.device, self.dtype)
        self.network.load_state_dict(
            {name: t.flatten(0, 1) if t.dim() > 1 else t[0] for name, t in state.network.items()}
        )
        self.names = [name for name, _ in self.network.named_parameters()]
        self.shapes = [state.network[name].shape[1:] for name in self.names]
        self.state_shapes = {
            name: [t.shape[1:] for t in tensors] for name, tensors in state.optimizer.items()
        }
        self.weights = self._flat(state.network)[WEIGHTS].requires_grad_()
        self.optimizer_state = {
            name: [self._rows(tensors)] for name, tensors in state.optimizer.items()
        }
        averages = self._flat(state.average) if state.average else None
        self.average = Average(self._live(), [config.ema for config in configs], averages)
        self.generators = [torch.Generator() for _ in configs]
        self.noise = Noise([seeds.derive(c.seed, seeds.NOISE) for c in configs], self.device)
        for module in self.network.modules():
            if isinstance(module, Dropouts):
                module.generators, module.noise = self.generators, self.noise
        self.optimizer = optimizer.OPTIMIZERS[configs[0].optimizer](self._column)
        self.smoothing = self._column("label_smoothing")[:, 0]
        self.has_l1 = any(config.l1 for config in configs)
        self.l1_scales = l1.scale_rows(configs, _split(self.weights.detach()[0], self.shapes))
        self.loss = torch.zeros(len(configs), device=self.device, dtype=self.dtype)
        self.correct = torch.zeros(len(configs), device=self.device, dtype=torch.int64)
        self.kernels = choice.build(
            self.network,
            self.device,
            models=len(configs),
            images=min(configs[0].batch_size, len(self.dataset.train)),
            precision=configs[0].precision,
            noise=self.noise,
            mean=self.mean,
            std=self.std,
            smoothing=self.smoothing,
        )
        self.test_logits: Tensor | None = None  # after the last epoch

    def _column(self, name: str) -> Tensor:
        """A field of the configurations as numbers, [models, 1]."""
        values = [[float(getattr(config, name))] for config in self.configs]
        return torch.tensor(values, device=self.device, dtype=self.dtype)

    # One epoch.

    def epoch(self, epoch: int, callbacks: Sequence[Callback]) -> list[dict[str, float]]:
        """Train one epoch and evaluate: a line of the history for each model.

        Its seconds are a model's share of the time that the pack took.
        """
        usage = Usage(self.device)
        self._train(epoch, callbacks)
        images = len(self.dataset.train)
        loss, correct = (self.loss / images).tolist(), self.correct.tolist()
        rows = [
            {"epoch": epoch, "train/loss": loss[k], "train/accuracy": 100 * correct[k] / images}
            for k in range(len(self.configs))
        ]
        terms = l1.row_values(self.weights, self.l1_scales)
        for row, config, term in zip(rows, self.configs, terms):
            row.update({"train/l1": term} if config.l1 else {})
        for name, split in self.dataset.evaluated.items():
            for row, scores in zip(rows, self._scores(name, split)):
                row.update(scores)
        used = usage.row(len(rows))
        for row, config in zip(rows, self.configs):
            row["lr"] = schedule.learning_rate(config, epoch * self.steps - 1, self.steps)
            row |= used
        return rows

    def _train(self, epoch: int, callbacks: Sequence[Callback]) -> None:
        """Pass over the training images once; the sums during it are left in loss and correct."""
        self.network.train()
        self.loss.zero_()
        self.correct.zero_()
        order, copies = self.batches.of_epoch(epoch)
        rates = self._rates(epoch)
        reported, size = time.perf_counter(), self.configs[0].batch_size
        for step in range(self.steps):
            self._seed(epoch, step)
            batch = slice(step * size, (step + 1) * size)
            self._step(order[batch], copies[batch], rates[step])
            if time.perf_counter() - reported > loop.PROGRESS_INTERVAL:
                reported, seen = time.perf_counter(), min(batch.stop, len(order))
                losses, correct = self.loss.tolist(), self.correct.tolist()
                for callback, loss, right in zip(callbacks, losses, correct):
                    callback.batch(epoch, step + 1, self.steps, loss / seen, 100 * right / seen)

    def _rates(self, epoch: int) -> Tensor:
        """The learning rate of each model at each batch of the epoch, [steps, models, 1]."""
        rates = torch.tensor(schedule.table(self.configs, epoch, self.steps), dtype=self.dtype)
        return rates.t().unsqueeze(2).contiguous().to(self.device)

    def _seed(self, epoch: int, step: int) -> None:
        """Set what the models' dropout draws from (see Dropouts) to a step of an epoch."""
        self.noise.step.fill_((epoch - 1) * self.steps + step)
        if self.device.type != "cpu":
            return
        for config, generator in zip(self.configs, self.generators):
            if config.dropout:
                generator.manual_seed(seeds.derive(config.seed, seeds.NOISE, epoch, step))

    def _step(self, order: Tensor, copies: Tensor, rates: Tensor) -> None:
        """Train on one batch: on CUDA by replaying what the first whole batch recorded."""
        whole = len(order) == self.configs[0].batch_size
        if self.device.type != "cuda" or not whole:
            self.learn(order, copies, rates)
            return
        if self.graph is None:
            self.graph = StepGraph(self.learn, self._changed(), order, copies, rates)
        self.graph.replay(order, copies, rates)

    def _changed(self) -> list[Tensor]:
        """Return all that a step changes in place."""
        matrices = [matrix for [matrix] in self.optimizer_state.values()]
        sums = [self.loss, self.correct, *self.network.buffers()]
        return [self.weights, *sums, *matrices, *self.average.values.values()]

    def learn(self, order: Tensor, copies: Tensor, rates: Tensor) -> None:
        """Step each model once on its own batch.

        order, copies: [batch, models]; rates: [models, 1]. No value comes back to the host, so
        that a CUDA graph can record it.
        """
        gradient = self._gradient(order, copies)
        if self.has_l1:
            l1.add_gradient([gradient], [self.weights], [self.l1_scales])
        self.optimizer.step([self.weights], [gradient], self.optimizer_state, rates)
        self.average.update(self.noise.step)

    def _gradient(self, order: Tensor, copies: Tensor) -> Tensor:
        """Return the gradient of each model's objective, [models, weights]; add up its loss and its
        right answers."""
        if self.kernels:
            return self.kernels.gradients(
                self.batches.bank, self.batches.labels, order, copies,
                self.weights, self.loss, self.correct,
            )  # fmt: skip
        target = self.batches.labels[order]
        logits = self._logits(self.batches.images(order, copies))
        logs = logits.log_softmax(2)
        losses = -logs.gather(2, target.unsqueeze(2)).squeeze(2).mean(0)
        even = -logs.mean(2).mean(0)
        objective = (1 - self.smoothing) * losses + self.smoothing * even
        (gradient,) = torch.autograd.grad(objective.sum(), self.weights)
        with torch.no_grad():
            self.loss += losses * len(order)
            self.correct += (logits.argmax(2) == target).sum(0)
        return gradient

    def _logits(self, images: Tensor) -> Tensor:
        """uint8 [N, models, C, H, W] to logits [N, models, classes]."""
        if self.kernels and not self.network.training:
            return self.kernels.logits(images, self.weights)
        x = images.to(self.dtype).sub_(self.mean).div_(self.std).flatten(1, 2)
        half = self.configs[0].precision == "bfloat16"
        parts = self.weights.split([shape.numel() for shape in self.shapes], 1)
        values = [part.reshape(-1, *shape[1:]) for part, shape in zip(parts, self.shapes)]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits = functional_call(self.network, dict(zip(self.names, values)), x)
        return logits.to(self.dtype).unflatten(1, (len(self.configs), -1))

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> Tensor:
        """Logits [N, models, classes] on the device of uint8 images [N, C, H, W].

        On a GPU many at once, of which half as many are left where memory runs out.
        """
        self.network.eval()
        models = len(self.configs)
        uploaded = torch.from_numpy(images).to(self.device)
        least = 1 if self.device.type == "cpu" else LEAST_EVALUATED
        size = min(len(uploaded), max(least, EVALUATION_BATCH // models))
        while True:
            try:
                batches = (
                    batch.unsqueeze(1).expand(-1, models, -1, -1, -1)
                    for batch in uploaded.split(size)
                )
                with self.average.in_place():
                    return torch.cat([self._logits(batch) for batch in batches])
            except RuntimeError as error:
                # A step takes as much as a batch.
                if not devices.lacks_memory(error) or size <= self.configs[0].batch_size:
                    raise
            size //= 2
            torch.cuda.empty_cache()

    def try_out(self) -> None:
        """Train on a whole batch and on an epoch's last, and evaluate on one, to see whether the
        memory suffices. The pack is of no use afterwards."""
        size = self.configs[0].batch_size
        order, copies = self.batches.of_epoch(1)
        self.network.train()
        self._step(order[:size], copies[:size], self._rates(1)[0])
        rest = len(order) % size
        if rest and not self.kernels:  # torch's take memory for it anew, beside the recording's
            self._step(order[:rest], copies[:rest], self._rates(1)[-1])
        self.predict(self.dataset.test.images[:LEAST_EVALUATED])

    def predict_test(self) -> Tensor:
        """Return the logits on the test images, [N, models, classes], after the last epoch."""
        if self.test_logits is None:  # the pack was cut off after it
            self.test_logits = self.predict(self.dataset.test.images)
        return self.test_logits

    def _scores(self, name: str, split: data.Split) -> Iterator[dict[str, float]]:
        """Each model's mean cross-entropy and accuracy in percent."""
        logits = self.predict(split.images)
        labels = torch.from_numpy(split.labels).to(self.device).unsqueeze(1)
        logs = logits.log_softmax(2).gather(2, labels.unsqueeze(2).expand(-1, logits.shape[1], 1))
        right = (logits.argmax(2) == labels).sum(0).tolist()
        if name == "test":
            self.test_logits = logits
            self.best.update([100 * count / len(labels) for count in right], logits)
        for loss, count in zip((-logs.mean(0)).flatten().tolist(), right):
            yield {f"{name}/loss": loss, f"{name}/accuracy": 100 * count / len(labels)}

    # The models of the pack.

    def state(self) -> PackState:
        """Return the models as they are now, on the CPU; views of the pack's own where that is the
        device."""
        return PackState(
            self._by_name(self._live()),
            {
                name: _split(matrix.cpu(), self.state_shapes[name])
                for name, [matrix] in self.optimizer_state.items()
            },
            self._by_name(self.average.values),
        )

    def _live(self) -> Tensors:
        """Return what steps change in place, but for the optimizer's state: the WEIGHTS of all
        models, and their running statistics by name, views, [models, ...] each."""
        models = len(self.configs)
        return {WEIGHTS: self.weights.detach()} | {
            name: buffer.unflatten(0, (models, -1)) if buffer.dim() else buffer.expand(models)
            for name, buffer in self.network.state_dict().items()
            if name not in self.names
        }

    def _by_name(self, live: Tensors) -> Tensors:
        """Bring such tensors, or their averages, into the form of PackState, on the CPU."""
        if not live:
            return {}
        tensors = {name: tensor.cpu() for name, tensor in live.items()}
        tensors |= zip(self.names, _split(tensors.pop(WEIGHTS), self.shapes))
        return {name: tensors[name] for name in self.network.state_dict() if name in tensors}

    def _flat(self, tensors: Tensors) -> Tensors:
        """Bring them back, onto the device."""
        flat = {name: self._rows([t]) for name, t in tensors.items() if name not in self.names}
        return flat | {WEIGHTS: self._rows([tensors[name] for name in self.names])}

    def _rows(self, tensors: Sequence[Tensor]) -> Tensor:
        """Lay tensors [models, ...] side by side, on the device: [models, values of one]."""
        rows = torch.cat([tensor.reshape(len(tensor), -1) for tensor in tensors], 1)
        return rows.to(self.device, self.dtype)

    def select(self, models: Sequence[int]) -> None:
        """Go on with these models alone; the others cost nothing any more."""
        logits, configs = self.test_logits, [self.configs[k] for k in models]
        self.best.select(models)
        self.batches.select(configs)
        self._build(configs, self.state().select(models))
        self.test_logits = None if logits is None else logits[:, list(models)]


def _split(rows: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The tensors of a row, or of each row of a matrix."""
    parts = rows.split([shape.numel() for shape in shapes], -1)
    return [part.view(*rows.shape[:-1], *shape) for part, shape in zip(parts, shapes)]
