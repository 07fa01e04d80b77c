"""Show the progress of `study train`: a bar within each epoch and a line after it."""

from typing import Self

from tqdm import tqdm

from study.config import Config
from study.train.callback import Callback


class ProgressBar(Callback):
    """Draws the bar and prints the lines. As a context manager it removes the bar, also after an
    error.
    """

    def __init__(self, config: Config) -> None:
        self.epochs = config.epochs
        self.bar: tqdm | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def batch(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        if self.bar is None:
            name = f"epoch {epoch}/{self.epochs}"
            self.bar = tqdm(total=steps, desc=name, leave=False, disable=None)
        self.bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.2f}", refresh=False)
        self.bar.update(done - self.bar.n)

    def epoch(self, row: dict[str, float]) -> None:
        self._close()
        scores = "  ".join(
            f"{key.replace('/', ' ')} {row[key]:.{2 if 'accuracy' in key else 4}f}"
            for key in row
            if "/" in key
        )
        tqdm.write(
            f"epoch {row['epoch']:>3}/{self.epochs}  {scores}  lr {row['lr']:.3g}"
            f"  {row['seconds']:.1f} s"
        )

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
