"""The early stop, against W&B's own code."""

import numpy as np
import pytest
from sweeps.hyperband_stopping import hyperband_stop_runs
from sweeps.run import RunState, SweepRun

from study.sweep.hyperband import Hyperband

RULES = {
    "min_iter": {"min_iter": 2, "eta": 2},
    "min_iter, its default eta": {"min_iter": 1, "eta": 3},
    "a fractional eta": {"min_iter": 1, "eta": 1.5},
    "max_iter": {"max_iter": 18, "s": 2, "eta": 3},
    "max_iter with brackets below one": {"max_iter": 8, "s": 9, "eta": 2},
}


def rule(given: dict, strict: bool) -> Hyperband:
    made = Hyperband.from_min_iter if "min_iter" in given else Hyperband.from_max_iter
    return made(**given, strict=strict)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("given", RULES.values(), ids=RULES)
def test_stops_what_wandb_stops(given, strict):
    random = np.random.default_rng(3)
    stopped = 0
    for _ in range(30):
        histories = [random.random(random.integers(1, 21)).tolist() for _ in range(8)]
        theirs = hyperband_stop_runs(
            [
                SweepRun(name=str(i), state=RunState.running, history=[{"loss": v} for v in values])
                for i, values in enumerate(histories)
            ],
            {
                "method": "random",
                "metric": {"name": "loss", "goal": "minimize"},
                "early_terminate": {"type": "hyperband", "strict": strict, **given},
                "parameters": {"a": {"values": [1, 2]}},
            },
        )
        ours = [i for i, own in enumerate(histories) if rule(given, strict).stops(own, histories)]
        assert [int(run.name) for run in theirs] == ours
        stopped += len(ours)
    assert stopped > 5


def test_brackets_are_epochs():
    assert rule(RULES["min_iter"], True).brackets[:4] == (2, 4, 8, 16)
    assert rule(RULES["max_iter"], True).brackets == (2, 6)


def test_the_first_to_come_is_never_stopped():
    assert not rule(RULES["min_iter"], True).stops([9.0, 9.0], [[9.0, 9.0], [1.0]])
