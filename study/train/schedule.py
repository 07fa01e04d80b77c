"""The learning rate over a run."""

import math
from collections.abc import Sequence

from study.config import Config


def learning_rate(config: Config, step: int, steps: int) -> float:
    """Return the learning rate of a batch: `step` counts batches from 0 over the run, `steps` is
    the batches of an epoch.

    step: lr * gamma^(epoch // step_size). cosine: to 0 over the run, without restarts
    (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5). onecycle: torch's OneCycleLR with its
    defaults (from lr/25 up over 30 % of the run, down to lr/250000; Smith & Topin 2018,
    arXiv 1708.07120), the momentum left alone.
    """
    total = config.epochs * steps
    if config.schedule == "step":
        return config.lr * config.gamma ** (step // steps // config.step_size)
    if config.schedule == "cosine":
        return _anneal(config.lr, 0.0, step / total)
    if config.schedule == "onecycle":
        first, last, peak = config.lr / 25, config.lr / 25e4, 0.3 * total - 1
        if step <= peak:
            return _anneal(first, config.lr, step / peak)
        return _anneal(config.lr, last, (step - peak) / (total - 1 - peak))
    return config.lr


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


# The fields that a learning rate follows from.
FIELDS = ("schedule", "lr", "step_size", "gamma", "epochs")


def table(configs: Sequence[Config], epoch: int, steps: int) -> list[list[float]]:
    """Return the learning rate of each configuration at each of the `steps` batches of an epoch
    (counted from 1): a row a configuration.

    Configurations that differ in nothing of the schedule share the work, since a pack has hundreds.
    """
    first = (epoch - 1) * steps
    keys = [tuple(getattr(config, name) for name in FIELDS) for config in configs]
    rows = {
        key: [learning_rate(config, first + step, steps) for step in range(steps)]
        for key, config in dict(zip(keys, configs)).items()
    }
    return [rows[key] for key in keys]
