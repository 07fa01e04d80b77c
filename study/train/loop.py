"""Train one configuration: the reference, readable in one sitting.

    from study.config import Config
    from study.train import loop
    run = loop.train(Config(network="mnist_7684", norm="group", groups=5), "runs/mine/group")

The data stay in memory as uint8 tensors on the device. On a CPU a run uses one thread, and the
same Config then gives the same numbers to the bit.
"""

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from study import locks, runs
from study.config import Config
from study.runs import Run
from study.train import (
    bank,
    data,
    devices,
    failures,
    l1,
    networks,
    optimizer,
    provenance,
    recovery,
    results,
    schedule,
    seeds,
)
from study.train.average import Average
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint
from study.train.predictions import BestEpoch, Predictions
from study.train.usage import Usage

EVALUATION_BATCH = 500
DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}
PROGRESS_INTERVAL = 0.5  # seconds between reports within an epoch: on a GPU each makes it wait


def initialized(config: Config) -> nn.Module:
    """Build the network of a configuration, its weights drawn from the seed, on the CPU."""
    torch.manual_seed(seeds.derive(config.seed, seeds.INITIALIZATION))
    return networks.build(config)


def per_channel(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a statistic of each channel of an image on the scale of uint8, [C, 1, 1]."""
    return torch.tensor(values, device=device, dtype=dtype).view(-1, 1, 1) * 255


class Training:
    """A configuration being trained: its network, optimizer, data and history so far."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.config, self.device = config, device
        self.dtype = DTYPES[config.precision]
        self.dataset = data.load(config)
        bank.prepare(config)
        self.network = initialized(config).to(device, self.dtype)
        self.network.to(memory_format=torch.channels_last)
        self.parameters: list[Tensor] = list(self.network.parameters())
        self.l1_scales = l1.scale_tensors(config, self.parameters)
        kind = optimizer.OPTIMIZERS[config.optimizer]
        self.optimizer = kind(lambda name: getattr(config, name))
        self.optimizer_state = kind.start(self.parameters)
        self.average = Average(self.network.state_dict(), config.ema)
        self.history: list[dict[str, float]] = []
        self.test_logits: Tensor | None = None  # after the last epoch
        self.best = BestEpoch([[]], [None], len(self.dataset.test))
        self.mean = per_channel(self.dataset.spec.mean, self.device, self.dtype)
        self.std = per_channel(self.dataset.spec.std, self.device, self.dtype)
        self.labels = self._on_device(self.dataset.train.labels)
        self.steps = math.ceil(len(self.dataset.train) / config.batch_size)

    def epoch(self, callback: Callback) -> dict[str, float]:
        """Train one epoch and evaluate; append the epoch's line to the history and return it.

        Raises:
            RunError: a loss is no finite number.
        """
        usage = Usage(self.device)
        epoch = len(self.history) + 1
        loss, accuracy = self._train(epoch, callback)
        row = {"epoch": epoch, "train/loss": loss, "train/accuracy": accuracy}
        if self.config.l1:
            row["train/l1"] = l1.value(self.parameters, self.l1_scales)
        for name, split in self.dataset.evaluated.items():
            logits = self.predict(split.images)
            row |= _scores(name, logits, torch.from_numpy(split.labels))
            if name == "test":
                self.test_logits = logits
                self.best.update([row["test/accuracy"]], logits.unsqueeze(1))
        row["lr"] = schedule.learning_rate(self.config, epoch * self.steps - 1, self.steps)
        row |= usage.row()
        failures.check_finite(row, self.config)
        self.history.append(row)
        return row

    def _train(self, epoch: int, callback: Callback) -> tuple[float, float]:
        """Pass over the training images once; the mean loss and accuracy (percent) during it."""
        config = self.config
        images = self._on_device(bank.epoch_images(config, self.dataset, epoch))
        shuffle = seeds.generator(config.seed, seeds.ORDER, epoch)
        order = torch.randperm(len(images), generator=shuffle).to(self.device)
        loss_sum = torch.zeros((), device=self.device, dtype=self.dtype)
        correct = torch.zeros((), device=self.device, dtype=torch.int64)
        self.network.train()
        reported = time.perf_counter()
        for step, batch in enumerate(order.split(config.batch_size)):
            torch.manual_seed(seeds.derive(config.seed, seeds.NOISE, epoch, step))  # dropout
            target = self.labels[batch]
            logits = self._logits(images[batch])
            loss = F.cross_entropy(logits, target)
            smoothing = config.label_smoothing
            objective = (
                F.cross_entropy(logits, target, label_smoothing=smoothing) if smoothing else loss
            )
            gradients = self._gradients(objective)
            if config.l1:
                l1.add_gradient(gradients, self.parameters, self.l1_scales)
            done = (epoch - 1) * self.steps + step
            lr = schedule.learning_rate(config, done, self.steps)
            self.optimizer.step(self.parameters, gradients, self.optimizer_state, lr)
            self.average.update(done)
            with torch.no_grad():
                loss_sum += loss * len(batch)
                correct += (logits.argmax(1) == target).sum()
            if time.perf_counter() - reported > PROGRESS_INTERVAL:
                reported = time.perf_counter()
                seen = min((step + 1) * config.batch_size, len(images))
                mean, share = loss_sum.item() / seen, 100 * correct.item() / seen
                callback.batch(epoch, step + 1, self.steps, mean, share)
        return loss_sum.item() / len(images), 100 * correct.item() / len(images)

    def _gradients(self, objective: Tensor) -> list[Tensor]:
        """The gradient of each parameter, 0 of one that a backbone leaves unused."""
        self.network.zero_grad()
        objective.backward()
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]

    def _logits(self, images: Tensor) -> Tensor:
        """uint8 [N, C, H, W] to logits [N, classes]."""
        x = images.to(self.dtype).sub_(self.mean).div_(self.std)
        x = x.contiguous(memory_format=torch.channels_last)
        half = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            return self.network(x).to(self.dtype)

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> Tensor:
        """Logits [N, classes] on the CPU of uint8 images [N, C, H, W]."""
        self.network.eval()
        batches = torch.from_numpy(images).split(EVALUATION_BATCH)
        with self.average.in_place():
            return torch.cat([self._logits(batch.to(self.device)) for batch in batches]).cpu()

    def _on_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def checkpoint(self) -> Checkpoint:
        """Return the run as it is now."""
        return Checkpoint(
            self.network.state_dict(),
            self.optimizer_state,
            self.history,
            self.best.row(0),
            self.average.values,
        )

    def restore(self, state: Checkpoint) -> None:
        """Go on from a checkpoint, which is of such a network."""
        self.network.load_state_dict(state.network)
        self.optimizer_state |= state.optimizer
        self.average = Average(self.network.state_dict(), self.config.ema, state.average)
        self.history = state.history
        self.best = BestEpoch([state.history], [state.best], len(self.dataset.test))


def train(
    config: Config,
    folder: str | Path,
    *,
    device: str | None = None,
    threads: int = 1,
    callback: Callback | None = None,
) -> Run:
    """Train a configuration in a run folder, or go on where it was left, or find it done.

    device: a name that devices.pick takes; None is the best there is. threads: on a CPU.

    Raises:
        UsageError: a setting, a data file or the folder cannot be used; nothing was trained.
        DiskError: the disk cut the run off.
        RunError: the run failed, and its summary has the cause. Either way its checkpoint has the
            last whole epoch, from which the next call goes on.
    """
    provenance.look_up()
    folder, callback = Path(folder), callback or Callback()
    picked = devices.pick(device)
    devices.prepare(picked, config, threads)
    with locks.claim(folder):
        if done := recovery.find_done(config, folder, callback):
            return done
        with failures.recording(folder, config, picked):
            training = Training(config, picked)
            _begin(training, folder, callback)
            state = _train_epochs(training, folder, callback)
            _finish(training, folder, state, threads)
    return runs.read(folder)


def _begin(training: Training, folder: Path, callback: Callback) -> None:
    """Restore the checkpoint, and write what is known before the next epoch."""
    if state := recovery.find_checkpoint(training.config, folder, training.device, callback):
        training.restore(state)
    results.begin(folder, training.config, training.history)


def _train_epochs(training: Training, folder: Path, callback: Callback) -> str:
    """Train the epochs that are left, each saved as it ends; the state the run ends in."""
    callback.begin(training.history)
    while len(training.history) < training.config.epochs:
        row = training.epoch(callback)
        training.checkpoint().write(folder / runs.CHECKPOINT)
        runs.append_history(folder, row)
        callback.epoch(row)
        if callback.stops() and row["epoch"] < training.config.epochs:
            return runs.STOPPED
    return runs.FINISHED


def _finish(training: Training, folder: Path, state: str, threads: int) -> None:
    """Write the files of the run's end."""
    logits = training.test_logits
    if logits is None:  # it was cut off after its last epoch
        logits = training.predict(training.dataset.test.images)
    results.write(
        folder,
        training.config,
        state,
        training.history,
        training.dataset,
        Predictions.of_each(logits.unsqueeze(1))[0],
        training.best.predictions(0),
        training.network.state_dict() | training.average.values,
        provenance.collect(training.device, threads=threads, path="loop", pack=1),
    )


def _scores(name: str, logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cross-entropy and accuracy in percent."""
    return {
        f"{name}/loss": F.cross_entropy(logits, labels).item(),
        f"{name}/accuracy": 100 * (logits.argmax(1) == labels).sum().item() / len(labels),
    }
