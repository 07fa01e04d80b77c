"""The calls that training makes on whoever follows a run."""

import logging

log = logging.getLogger(__name__)


class Callback:
    """Follows a run. This one logs its warnings; subclasses override what they need."""

    def warn(self, message: str) -> None:
        """Called with a line for the user, at any time."""
        log.warning("%s", message)

    def begin(self, history: list[dict[str, float]]) -> None:
        """Called before the first epoch, with the history so far: not empty where a run goes on."""

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        """Called within an epoch: `done` of `steps` batches, mean loss and accuracy (%) so far."""

    def epoch(self, row: dict[str, float]) -> None:
        """Called after an epoch, with its line of the history."""

    def stops(self) -> bool:
        """Asked after an epoch whether the run stops here; of runs that train together, once
        `epoch` was called for all."""
        return False
