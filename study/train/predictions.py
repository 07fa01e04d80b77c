"""What networks make of the test images: after the last epoch, and in their best one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

UNKNOWN = -1  # the prediction in a best epoch that an older version trained


@dataclass(frozen=True)
class Predictions:
    """predicted: int [N], classes; confidence: float32 [N], their softmax."""

    predicted: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray) -> "Predictions":
        """Take the most probable class of float [N, classes]."""
        return cls(probabilities.argmax(1), probabilities.max(1).astype(np.float32))


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
        confidence, predicted = logits[:, better].softmax(2).max(2)
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
