"""The mean of a network's weights over its last epochs, by which a run is evaluated.

Averages of late weights do better than each of them, and move less from epoch to epoch (Izmailov et
al. 2018, arXiv 1803.05407; of the latest epochs: Kaddour 2022, arXiv 2209.14981).
"""

from collections import deque
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

State = dict[str, Tensor]  # a network's, or with a leading axis of models those of a pack


class Average:
    """The states after the last epochs; the newest is that of the network being trained.

    epochs: how many count; past: states to begin with, the oldest first.
    """

    def __init__(self, epochs: int, past: Iterable[State] = ()) -> None:
        self.states: deque[State] = deque(past, maxlen=epochs)

    def add(self, state: State) -> None:
        """Take the state after an epoch, which later steps do not change."""
        self.states.append({name: value.detach().clone() for name, value in state.items()})

    @property
    def newest(self) -> State:
        return self.states[-1]

    @property
    def past(self) -> list[State]:
        """All but the newest, the oldest first."""
        return list(self.states)[:-1]

    def mean(self) -> State:
        """Return the mean of weights and running statistics; what only counts is the newest."""
        return {
            name: torch.stack([state[name] for state in self.states]).mean(0)
            if value.is_floating_point()
            else value
            for name, value in self.newest.items()
        }

    def select(self, models: Sequence[int]) -> None:
        """Go on with these models of a pack alone."""
        rows = list(models)
        kept = ({name: value[rows] for name, value in state.items()} for state in self.states)
        self.states = deque(kept, maxlen=self.states.maxlen)
