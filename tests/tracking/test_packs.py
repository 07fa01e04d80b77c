import threading
from types import SimpleNamespace

import pytest

from study import runs
from study.config import Config
from study.errors import RunError, UsageError
from study.runs import Run
from study.tracking import assigned, packs
from study.tracking.assigned import AssignedRun
from study.tracking.signals import Preempted
from study.train import pack_runs, packing
from tests.conftest import write_run


@pytest.fixture
def assign(tmp_path):
    """An open run of a configuration, in a folder of its own."""

    def make(**settings) -> AssignedRun:
        config = Config(**settings)
        folder = tmp_path / runs.name(config)
        runs.write_config(folder, config)
        return AssignedRun(SimpleNamespace(), config, folder, threading.Event(), lambda: None, 0)

    return make


def test_runs_of_one_bucket_are_a_group_and_a_backbone_is_alone(assign, monkeypatch):
    monkeypatch.setattr(packing, "bucket", lambda c: None if c.dropout else (c.norm,))
    plain, faster, other = assign(seed=1), assign(lr=0.5), assign(norm="layer")
    backbones = [assign(dropout=0.1, seed=seed) for seed in (1, 2)]
    groups = packs.group_by_bucket([plain, backbones[0], faster, other, backbones[1]])
    assert groups == [[plain, faster], backbones[:1], [other], backbones[1:]]


def test_a_group_that_cannot_be_trained_has_the_cause_and_what_is_there_counts(assign, monkeypatch):
    done, left = assign(seed=1), assign(seed=2)
    write_run(done.folder, done.config)
    for error, cause in ((UsageError("no data"), "no data"), (ValueError("a bug"), "a bug")):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(pack_runs, "train", fail)
        first, second = packs.train([done, left], lambda: None)
        assert isinstance(first, Run) and isinstance(second, RunError) and cause in str(second)


def test_a_preemption_is_no_failure(assign):
    def check() -> None:
        raise Preempted

    with pytest.raises(Preempted):
        packs.train([assign(epochs=1, batch_size=256)], check)


def test_all_are_ended_and_the_trained_ones_confirmed(assign, tiny_run, monkeypatch):
    ended, confirmed = {}, []
    monkeypatch.setattr(AssignedRun, "end", lambda run, result: ended.update({run: result}))
    monkeypatch.setattr(assigned, "confirm", lambda trained: confirmed.append(trained) or {})
    first, second, third = (assign(seed=seed) for seed in (1, 2, 3))
    failure = RunError("no memory")
    assert packs.end([first, second, third], [tiny_run, failure, None]) == {}
    assert ended == {first: tiny_run, second: failure, third: None}
    assert confirmed == [{first: tiny_run}]
