"""What networks make of the test images: after the last epoch, and in their best one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

UNKNOWN = -1  # the prediction in a best epoch that an older version trained


@dataclass(frozen=True)
class Predictions:
    """predicted: int [N], classes; confidence: float32 [N], their softmax.

    The class is that of the largest logit, as in the accuracy: in a softmax small differences of
    logits are lost.
    """

    predicted: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of_each(cls, logits: Tensor) -> list[Self]:
        """Take the class of the largest of each model's logits, float [N, models, classes]."""
        predicted, confidence = (values.t().cpu().numpy() for values in _predict(logits))
        return [cls(p, c.astype(np.float32)) for p, c in zip(predicted, confidence)]


def _predict(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the class of the largest of logits, [..., classes], and its softmax, [...] each."""
    predicted = logits.argmax(-1, keepdim=True)
    return predicted.squeeze(-1), logits.softmax(-1).gather(-1, predicted).squeeze(-1)


class BestEpoch:
    """The predictions of models in the epoch of their highest test accuracy so far.

    That epoch is chosen on the test images, as published studies do that show its mistakes. A
    checkpoint holds the state: by name int16 and float16 [models, N] on the CPU, so small since it
    is written after every epoch.
    """

    def __init__(
        self,
        histories: Sequence[Sequence[Mapping[str, float]]],
        states: Sequence[Mapping[str, Tensor] | None],
        images: int,
    ) -> None:
        """histories: of the epochs so far, a model each; states: from their checkpoints."""
        self.accuracy = [
            max((row["test/accuracy"] for row in history), default=-1.0) for history in histories
        ]
        unknown = {
            "predicted": torch.full((images,), UNKNOWN, dtype=torch.int16),
            "confidence": torch.zeros(images, dtype=torch.float16),
        }
        # Of other images, where a data set of one's own was replaced, it says nothing.
        known = [
            state if state and len(state["predicted"]) == images else unknown for state in states
        ]
        self.state = {name: torch.stack([state[name] for state in known]) for name in unknown}

    def update(self, accuracies: Sequence[float], logits: Tensor) -> None:
        """Keep an epoch's predictions for the models whose best it is.

        accuracies: percent, [models]; logits: on the test images, [N, models, classes].
        """
        better = [k for k, value in enumerate(accuracies) if value > self.accuracy[k]]
        if not better:
            return
        for k in better:
            self.accuracy[k] = accuracies[k]
        predicted, confidence = _predict(logits[:, better])
        self.state["predicted"][better] = predicted.t().to("cpu", torch.int16)
        self.state["confidence"][better] = confidence.t().to("cpu", torch.float16)

    def select(self, models: Sequence[int]) -> None:
        """Go on with these models alone."""
        self.accuracy = [self.accuracy[k] for k in models]
        self.state = {name: values[list(models)] for name, values in self.state.items()}

    def predictions(self, model: int) -> Predictions | None:
        """Return those of a model; None where they are not known."""
        predicted = self.state["predicted"][model].numpy()
        if (predicted == UNKNOWN).any():
            return None
        return Predictions(predicted, self.state["confidence"][model].float().numpy())

    def row(self, model: int) -> dict[str, Any]:
        """Return the state of one model, as its own checkpoint holds it."""
        return {name: values[model] for name, values in self.state.items()}
