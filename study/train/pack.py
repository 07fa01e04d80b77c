"""Configurations of one bucket as one network: every kernel works on all of them.

Their channels lie side by side, their convolutions and norms are in groups, and their weights are
the rows of one matrix. loop.py is the reference: in float64 a pack leaves the same weights. (Where
equal values tie in a maximum, as on a constant background under an elementwise norm, rounding may
choose another.)
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
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
        self.configs, self.device = list(configs), device
        self.graph: StepGraph | None
        self.kernels: KernelNetwork | None
        first = self.configs[0]
        self.dtype = loop.DTYPES[first.precision]
        self.dataset = data.load(first)
        singles = [_single_network(*pair) for pair in zip(configs, checkpoints)]
        self.names = [name for name, _ in singles[0].named_parameters()]
        self.shapes = [parameter.shape for parameter in singles[0].parameters()]
        self.weights = self._rows([list(single.parameters()) for single in singles])
        self.weights.requires_grad_()
        states = [
            _optimizer_state(first, single, checkpoint)
            for single, checkpoint in zip(singles, checkpoints)
        ]
        self.optimizer_state = {
            name: [self._rows([state[name] for state in states])] for name in states[0]
        }
        self.state_shapes = {
            name: [t.shape for t in tensors] for name, tensors in states[0].items()
        }
        spec = self.dataset.spec
        self.mean = loop.per_channel(spec.mean, device, self.dtype)
        self.std = loop.per_channel(spec.std, device, self.dtype)
        buffers = [dict(single.named_buffers()) for single in singles]
        self._build({name: torch.stack([b[name] for b in buffers]) for name in buffers[0]})
        self.average = Average(
            self._live(),
            [config.ema for config in self.configs],
            self._first_averages(singles, checkpoints),
        )
        self.batches = Batches(self.configs, self.dataset, device)
        self.steps = math.ceil(len(self.dataset.train) / first.batch_size)
        self.best = BestEpoch(
            [checkpoint.history if checkpoint else [] for checkpoint in checkpoints],
            [checkpoint.best if checkpoint else None for checkpoint in checkpoints],
            len(self.dataset.test),
        )

    def _rows(self, models: Sequence[Sequence[Tensor]]) -> Tensor:
        """Join each model's tensors into a row: [models, values of one]."""
        rows = [torch.cat([t.detach().flatten().cpu() for t in tensors]) for tensors in models]
        return torch.stack(rows).to(self.device, self.dtype)

    def _first_averages(
        self, singles: Sequence[torch.nn.Module], checkpoints: Sequence[Checkpoint | None]
    ) -> Tensors:
        """Return the averages to begin with where checkpoints have some, of the other models the
        networks' own."""
        if not any(checkpoint and checkpoint.average for checkpoint in checkpoints):
            return {}
        states = [
            single.state_dict() | (checkpoint.average if checkpoint else {})
            for single, checkpoint in zip(singles, checkpoints)
        ]
        rest = [name for name in states[0] if name not in self.names]
        weights = self._rows([[state[name] for name in self.names] for state in states])
        return {WEIGHTS: weights} | {
            name: self._rows([[state[name]] for state in states]) for name in rest
        }

    def _live(self) -> Tensors:
        """Return what steps change in place, without the optimizer's state: [models, ...] each."""
        models = len(self.configs)
        live = {WEIGHTS: self.weights.detach()}
        for name, buffer in self.network.state_dict().items():
            if name not in self.names and buffer.is_floating_point():
                live[name] = buffer.view(models, -1)
        return live

    def _build(self, buffers: Mapping[str, Tensor]) -> None:
        """Build the network of all models, and what differs between them, a row a model.

        buffers: the running statistics, [models, ...] each.
        """
        configs = self.configs
        self.graph, self.kernels = None, None  # gone before their successors take memory
        self.network = networks.build_pack(configs).to(self.device, self.dtype)
        self.generators = [torch.Generator() for _ in configs]
        self.noise = Noise([seeds.derive(c.seed, seeds.NOISE) for c in configs], self.device)
        for module in self.network.modules():
            if isinstance(module, Dropouts):
                module.generators, module.noise = self.generators, self.noise
        joined = dict(self.network.named_buffers())
        for name, values in buffers.items():
            joined[name].copy_(values.flatten() if joined[name].dim() else values[0])
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
        for name, split in {"val": self.dataset.validation, "test": self.dataset.test}.items():
            if split is not None:
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

    def state(self) -> tuple[dict[str, Tensor], optimizer.State]:
        """Return the networks' and the optimizer's state as they are now, on the CPU, in the loop's
        form but for a leading axis of models; views of the pack's own where that is the CPU."""
        state = {
            name: _split(matrix.cpu(), self.state_shapes[name])
            for name, [matrix] in self.optimizer_state.items()
        }
        network = self._network_state(self.weights.detach()) | self._buffers()
        return {name: network[name] for name in self.network.state_dict()}, state

    def average_state(self) -> Tensors:
        """Return the averages, where a model has one, in the form of `state`."""
        values = {name: value.cpu() for name, value in self.average.values.items()}
        return (self._network_state(values.pop(WEIGHTS)) | values) if values else {}

    def _network_state(self, weights: Tensor) -> Tensors:
        return dict(zip(self.names, _split(weights.cpu(), self.shapes)))

    def _buffers(self) -> dict[str, Tensor]:
        """Return the running statistics, on the CPU, [models, ...] each."""
        models = len(self.configs)
        joined = {n: t.cpu() for n, t in self.network.state_dict().items() if n not in self.names}
        return {
            name: t.unflatten(0, (models, -1)) if t.dim() else t.expand(models)
            for name, t in joined.items()
        }

    def select(self, models: Sequence[int]) -> None:
        """Go on with these models alone; the others cost nothing any more."""
        buffers, logits = self._buffers(), self.test_logits
        averages = self.average.select(models)
        self.best.select(models)
        self.configs = [self.configs[k] for k in models]
        self.batches.select(self.configs)
        rows = torch.tensor(models, device=self.device)
        self.weights = self.weights.detach()[rows].requires_grad_()
        self.optimizer_state = {
            name: [matrix[rows]] for name, [matrix] in self.optimizer_state.items()
        }
        self._build({name: values[list(models)] for name, values in buffers.items()})
        self.average = Average(self._live(), [config.ema for config in self.configs], averages)
        self.test_logits = None if logits is None else logits[:, rows]


def _single_network(config: Config, checkpoint: Checkpoint | None) -> torch.nn.Module:
    """Build the network of one model of a pack."""
    network = loop.initialized(config).to(loop.DTYPES[config.precision])
    if checkpoint:
        network.load_state_dict(checkpoint.network)
    return network


def _optimizer_state(
    config: Config, network: torch.nn.Module, checkpoint: Checkpoint | None
) -> optimizer.State:
    """Return the optimizer's state of one model of a pack."""
    state = optimizer.OPTIMIZERS[config.optimizer].start(list(network.parameters()))
    return state | checkpoint.optimizer if checkpoint else state


def _split(rows: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The tensors of a row, or of each row of a matrix."""
    parts = rows.split([shape.numel() for shape in shapes], -1)
    return [part.view(*rows.shape[:-1], *shape) for part, shape in zip(parts, shapes)]
