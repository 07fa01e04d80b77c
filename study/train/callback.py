"""What is called while a run trains."""


class Callback:
    """Called while a run trains. This one does nothing; others override what they need."""

    def begin(self, history: list[dict[str, float]]) -> None:
        """Before the first epoch, with the history so far: not empty where a run goes on."""

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        """Within an epoch: batches done, and the epoch's mean loss and accuracy so far."""

    def epoch(self, row: dict[str, float]) -> bool:
        """After an epoch, with its line of the history. True: stop the run here."""
        return False
