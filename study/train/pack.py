"""Configurations of one bucket as one network: every kernel works on all of them.

Their channels lie side by side, their convolutions and norms are in groups, and their weights and
momenta are the rows of one matrix. loop.py is the reference: in float64 a pack leaves the same
weights.
"""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from study.config import Config
from study.train import augment, data, l1, loop, networks, schedule, seeds
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint
from study.train.dropout import Dropouts

EVALUATED = 16_000  # images times models in a batch of the evaluation


class Pack:
    """Configurations of one bucket being trained together, from the same epoch on.

    weights, momentum: [models, parameters of one], the parameters in the network's order.
    """

    def __init__(
        self, configs: Sequence[Config], states: Sequence[Checkpoint | None], device: torch.device
    ) -> None:
        self.configs, self.device = list(configs), device
        first = self.configs[0]
        self.dtype = loop.DTYPES[first.precision]
        self.dataset = data.load(first)
        singles = [_single(config, state) for config, state in zip(configs, states)]
        parameters = [list(single.parameters()) for single in singles]
        self.names = [name for name, _ in singles[0].named_parameters()]
        self.shapes = [p.shape for p in parameters[0]]
        self.sizes = [p.numel() for p in parameters[0]]
        self.weights = self._rows(parameters).requires_grad_()
        momenta = [
            state.momentum if state and state.momentum else [torch.zeros_like(p) for p in own]
            for state, own in zip(states, parameters)
        ]
        self.momentum = self._rows(momenta)
        self._build([dict(single.named_buffers()) for single in singles])
        spec = self.dataset.spec
        self.mean, self.std = self._per_channel(spec.mean), self._per_channel(spec.std)
        self.labels = torch.from_numpy(self.dataset.train.labels).to(device)
        copies = [torch.from_numpy(copy) for copy in augment.copies(first, self.dataset)]
        self.bank = torch.stack(copies).to(device)  # uint8 [copies, N, C, H, W]
        self.steps = math.ceil(len(self.dataset.train) / first.batch_size)

    def _rows(self, tensors: Sequence[Sequence[Tensor]]) -> Tensor:
        rows = [torch.cat([t.detach().flatten().cpu() for t in own]) for own in tensors]
        return torch.stack(rows).to(self.device, self.dtype)

    def _build(self, buffers: Sequence[dict[str, Tensor]]) -> None:
        """The network of all models, and what each has of its own, a column a model."""
        configs = self.configs
        self.network = networks.build_pack(configs).to(self.device, self.dtype)
        self.generators = [torch.Generator() for _ in configs]
        for module in self.network.modules():
            if isinstance(module, Dropouts):
                module.generators = self.generators
        own = dict(self.network.named_buffers())
        for name in buffers[0]:
            values = [buffer[name] for buffer in buffers]
            own[name].copy_(torch.cat(values) if values[0].dim() else values[0])
        self.decay = self._column("weight_decay")
        self.momentum_coef = self._column("momentum")
        self.nesterov = self._column("nesterov").bool()
        self.smoothing = self._column("label_smoothing")[:, 0]
        one = self._shaped(self.weights[0])
        scales = torch.tensor([l1.scales(config, one) for config in configs], dtype=self.dtype)
        self.scales = scales.repeat_interleave(torch.tensor(self.sizes), 1).to(self.device)
        self.loss = torch.zeros(len(configs), device=self.device, dtype=self.dtype)
        self.correct = torch.zeros(len(configs), device=self.device, dtype=torch.int64)
        self.graph: _Graph | None = None

    def _column(self, name: str) -> Tensor:
        values = [[float(getattr(config, name))] for config in self.configs]
        return torch.tensor(values, device=self.device, dtype=self.dtype)

    def _per_channel(self, values: tuple[float, ...]) -> Tensor:
        """A statistic on the scale of uint8, [C, 1, 1]."""
        scaled = torch.tensor(values, device=self.device, dtype=self.dtype) * 255
        return scaled.view(-1, 1, 1)

    def _shaped(self, row: Tensor) -> list[Tensor]:
        """One model's parameters of its row."""
        return [part.view(shape) for part, shape in zip(row.split(self.sizes), self.shapes)]

    # One epoch.

    def epoch(self, epoch: int, callbacks: Sequence[Callback]) -> list[dict[str, float]]:
        """Train one epoch and evaluate: a line of the history for each model.

        `seconds` is a model's share of the time that the pack took.
        """
        began = time.perf_counter()
        self._train(epoch, callbacks)
        images = len(self.dataset.train)
        loss, correct = (self.loss / images).tolist(), self.correct.tolist()
        rows = [
            {"epoch": epoch, "train/loss": loss[k], "train/accuracy": 100 * correct[k] / images}
            for k in range(len(self.configs))
        ]
        for row, config, term in zip(rows, self.configs, self._l1()):
            row.update({"train/l1": term} if config.l1 else {})
        for name, split in {"val": self.dataset.validation, "test": self.dataset.test}.items():
            if split is not None:
                for row, scores in zip(rows, self._scores(name, split)):
                    row.update(scores)
        for row, config in zip(rows, self.configs):
            row["lr"] = schedule.learning_rate(config, epoch * self.steps - 1, self.steps)
            row["seconds"] = round((time.perf_counter() - began) / len(rows), 3)
        return rows

    def _train(self, epoch: int, callbacks: Sequence[Callback]) -> None:
        self.network.train()
        self.loss.zero_()
        self.correct.zero_()
        order, copies = self._order(epoch)
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

    def _order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """The image that each model sees at each place of the epoch, and the copy of the bank that
        it is taken from, int64 [N, models] each."""
        orders, copies = {}, {}
        for config in self.configs:
            if config.seed in orders:
                continue
            shuffle = seeds.generator(config.seed, seeds.ORDER, epoch)
            order = torch.randperm(len(self.dataset.train), generator=shuffle)
            drawn = np.zeros(len(order), np.int64)
            if config.augment != "none":
                drawn = augment.epoch_copies(config, self.dataset, epoch)
            orders[config.seed], copies[config.seed] = order, torch.from_numpy(drawn)[order]
        return tuple(
            torch.stack([found[config.seed] for config in self.configs], 1).to(self.device)
            for found in (orders, copies)
        )

    def _rates(self, epoch: int) -> Tensor:
        """The learning rate of each model at each batch of the epoch, [steps, models, 1]."""
        moves = ("schedule", "lr", "gamma", "step_size")
        keys = [tuple(getattr(config, name) for name in moves) for config in self.configs]
        found = {
            key: [
                schedule.learning_rate(config, (epoch - 1) * self.steps + step, self.steps)
                for step in range(self.steps)
            ]
            for key, config in dict(zip(keys, self.configs)).items()
        }
        rates = torch.tensor([found[key] for key in keys], dtype=self.dtype)
        return rates.t().unsqueeze(2).contiguous().to(self.device)

    def _seed(self, epoch: int, step: int) -> None:
        """Seed what the models' dropout draws from (see Dropouts)."""
        for config, generator in zip(self.configs, self.generators):
            if config.dropout:
                seed = seeds.derive(config.seed, seeds.NOISE, epoch, step)
                if self.device.type != "cpu":
                    torch.manual_seed(seed)  # one for all
                    return
                generator.manual_seed(seed)

    def _step(self, order: Tensor, copies: Tensor, rates: Tensor) -> None:
        """Train on one batch: on CUDA by replaying what the first whole batch recorded."""
        whole = len(order) == self.configs[0].batch_size
        if self.device.type != "cuda" or not whole:
            self.learn(order, copies, rates)
            return
        if self.graph is None:
            self.graph = _Graph(self, order, copies, rates)
        self.graph.replay(order, copies, rates)

    def learn(self, order: Tensor, copies: Tensor, rates: Tensor) -> None:
        """One step of SGD for each model on its own batch, order and copies [batch, models].

        No value comes back to the host, so that a CUDA graph can record it.
        """
        target = self.labels[order]
        logits = self._logits(self.bank[copies, order])
        logs = logits.log_softmax(2)
        losses = -logs.gather(2, target.unsqueeze(2)).squeeze(2).mean(0)
        even = -logs.mean(2).mean(0)
        objective = (1 - self.smoothing) * losses + self.smoothing * even
        (gradient,) = torch.autograd.grad(objective.sum(), self.weights)
        with torch.no_grad():
            gradient.addcmul_(self.weights.sign(), self.scales)
            gradient.addcmul_(self.weights, self.decay)
            self.momentum.mul_(self.momentum_coef).add_(gradient)
            ahead = gradient.addcmul_(self.momentum, self.momentum_coef)
            self.weights.addcmul_(torch.where(self.nesterov, ahead, self.momentum), -rates)
            self.loss += losses * len(order)
            self.correct += (logits.argmax(2) == target).sum(0)

    def _logits(self, images: Tensor) -> Tensor:
        """uint8 [N, models, C, H, W] to logits [N, models, classes]."""
        x = images.to(self.dtype).sub_(self.mean).div_(self.std).flatten(1, 2)
        half = self.configs[0].precision == "bfloat16"
        parts = self.weights.split(self.sizes, 1)
        values = [p.reshape(-1, *s[1:]) for p, s in zip(parts, self.shapes)]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits = functional_call(self.network, dict(zip(self.names, values)), x)
        return logits.to(self.dtype).unflatten(1, (len(self.configs), -1))

    @torch.no_grad()
    def _l1(self) -> list[float]:
        return (self.weights.abs() * self.scales).sum(1).tolist()

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> Tensor:
        """Logits [N, models, classes] on the device of uint8 images [N, C, H, W]."""
        self.network.eval()
        models = len(self.configs)
        batches = torch.from_numpy(images).to(self.device).split(max(1, EVALUATED // models))
        return torch.cat(
            [self._logits(batch.unsqueeze(1).expand(-1, models, -1, -1, -1)) for batch in batches]
        )

    def _scores(self, name: str, split: data.Split) -> Iterator[dict[str, float]]:
        """Each model's mean cross-entropy and accuracy in percent."""
        logits = self.predict(split.images)
        labels = torch.from_numpy(split.labels).to(self.device).unsqueeze(1)
        logs = logits.log_softmax(2).gather(2, labels.unsqueeze(2).expand(-1, logits.shape[1], 1))
        right = (logits.argmax(2) == labels).sum(0).tolist()
        for loss, count in zip((-logs.mean(0)).flatten().tolist(), right):
            yield {f"{name}/loss": loss, f"{name}/accuracy": 100 * count / len(labels)}

    # The models of the pack.

    def states(self) -> Iterator[tuple[dict[str, Tensor], list[Tensor]]]:
        """Each model's network and momentum as they are now, on the CPU, in the loop's form."""
        weights, momentum = self.weights.detach().cpu(), self.momentum.cpu()
        for k, (config, buffers) in enumerate(zip(self.configs, self._buffers())):
            # clones, since of a view all that it is a view of would be saved
            own = [part.clone() for part in self._shaped(weights[k])]
            moved = [part.clone() for part in self._shaped(momentum[k])] if config.momentum else []
            yield dict(zip(self.names, own)) | buffers, moved

    def _buffers(self) -> list[dict[str, Tensor]]:
        """Each model's running statistics, on the CPU."""
        kept = {n: t.cpu() for n, t in self.network.state_dict().items() if n not in self.names}
        models = len(self.configs)
        return [
            {name: t.chunk(models)[k].clone() if t.dim() else t for name, t in kept.items()}
            for k in range(models)
        ]

    def select(self, which: Sequence[int]) -> None:
        """Go on with these models alone; the others cost nothing any more."""
        buffers = self._buffers()
        self.configs = [self.configs[k] for k in which]
        rows = torch.tensor(which, device=self.device)
        self.weights = self.weights.detach()[rows].requires_grad_()
        self.momentum = self.momentum[rows]
        self._build([buffers[k] for k in which])


def _single(config: Config, state: Checkpoint | None) -> torch.nn.Module:
    """One model before it joins a pack."""
    network = loop.initialized(config).to(loop.DTYPES[config.precision])
    if state:
        network.load_state_dict(state.network)
    return network


class _Graph:
    """A pack's step on CUDA, recorded once: replaying it costs one launch for hundreds of kernels.

    What it reads is copied into the tensors that it was recorded with. See PyTorch's notes on CUDA
    graphs (docs.pytorch.org/docs/stable/notes/cuda.html): a few steps come first on a stream of
    their own, and what they changed is put back.
    """

    def __init__(self, pack: Pack, *inputs: Tensor) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        changed = [pack.weights, pack.momentum, pack.loss, pack.correct, *pack.network.buffers()]
        before = [tensor.detach().clone() for tensor in changed]
        stream = torch.cuda.Stream(pack.device)
        stream.wait_stream(torch.cuda.current_stream(pack.device))
        with torch.cuda.stream(stream):
            for _ in range(3):
                pack.learn(*self.inputs)
        torch.cuda.current_stream(pack.device).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            pack.learn(*self.inputs)
        with torch.no_grad():
            for tensor, value in zip(changed, before):
                tensor.copy_(value)

    def replay(self, *inputs: Tensor) -> None:
        for own, given in zip(self.inputs, inputs):
            own.copy_(given)
        self.graph.replay()
