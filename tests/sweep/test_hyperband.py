"""The early stop, against the answers of W&B's own code."""

import json

import pytest

from study.sweep.hyperband import Hyperband
from tests.sweep.wandb_reference import FILE, HYPERBAND, histories

STOPPED = json.loads(FILE.read_text())["stopped"]


def rule(name: str, strict: bool) -> Hyperband:
    given = HYPERBAND[name]
    made = Hyperband.from_min_iter if "min_iter" in given else Hyperband.from_max_iter
    return made(**given, strict=strict)


@pytest.mark.parametrize("mode", ["strict", "loose"])
@pytest.mark.parametrize("name", HYPERBAND)
def test_stops_what_wandb_stops(name, mode):
    hyperband = rule(name, strict=mode == "strict")
    stopped = [
        [i for i, losses in enumerate(runs) if hyperband.stops(losses, runs)]
        for runs in histories()
    ]
    assert stopped == STOPPED[name][mode] and sum(map(len, stopped)) > 5


def test_brackets_are_epochs():
    assert rule("min_iter", True).brackets[:4] == (2, 4, 8, 16)
    assert rule("max_iter", True).brackets == (2, 6)


def test_the_first_to_come_is_never_stopped():
    assert not rule("min_iter", True).stops([9.0, 9.0], [[9.0, 9.0], [1.0]])
