from types import SimpleNamespace

import pytest

from study.errors import RunError
from study.tracking import agent_api

SWEEP = SimpleNamespace(id="sweep", project="project", entity="team")


@pytest.fixture
def wandb(monkeypatch):
    """Puts a function in the place of one of wandb's own; None takes it away."""
    from wandb.apis.public import sweeps

    def put(name, function):
        if function:
            monkeypatch.setattr(sweeps, name, function)
        else:
            monkeypatch.delattr(sweeps, name)

    put("_register_agent", lambda *_, **__: {"id": "one"})
    return put


def test_an_agent_is_handed_a_run_and_hears_of_its_stop(wandb):
    agent = agent_api.Agent(None, SWEEP)
    asked = []
    answers = [
        [],
        [{"type": "run", "run_id": "a", "args": {"lr": {"value": 0.1}}, "program": "x"}],
        [],
        [{"type": "stop", "run_id": "a"}],
        [{"type": "exit"}],
    ]
    wandb("_agent_heartbeat", lambda *words: asked.append(words) or answers.pop(0))
    assert agent.ask() is None and not agent.gone
    run = agent.ask()
    assert (run.run, run.drawn) == ("a", {"lr": 0.1})
    agent.beat()
    assert not run.stopping.is_set()
    agent.beat()
    assert run.stopping.is_set() and not agent.gone
    assert agent.ask() is None and agent.gone
    agent.beat()  # it has no run: says nothing
    assert [words[1:] for words in asked] == [
        ("one", {}, running) for running in ({}, {}, {"a": True}, {"a": True}, {})
    ]


def test_a_cancelled_sweep_stops_the_run_and_a_deleted_one_lets_it_end(wandb):
    from wandb.sdk.sweeps import SweepNotFoundError

    def deleted(*_):
        raise SweepNotFoundError

    for answer, stops in ((lambda *_: [{"type": "exit"}], True), (deleted, False)):
        agent = agent_api.Agent(None, SWEEP)
        agent.suggestion = agent_api.Suggestion("a", {})
        wandb("_agent_heartbeat", answer)
        agent.beat()
        assert agent.gone and agent.suggestion.stopping.is_set() == stops


def test_a_wandb_without_the_calls_is_told_with_what_always_works(wandb):
    agent = agent_api.Agent(None, SWEEP)
    wandb("_agent_heartbeat", lambda *_: [{"type": "run"}])
    with pytest.raises(RunError, match="`wandb agent SWEEP` always works"):
        agent.ask()
    wandb("_agent_heartbeat", lambda api, agent: [])
    with pytest.raises(RunError, match=r"wandb [\d.]+ .*TypeError.* always works"):
        agent.ask()
    wandb("_register_agent", None)
    with pytest.raises(RunError, match=r"ImportError.*_register_agent.* always works") as told:
        agent_api.Agent(None, SWEEP)
    assert len(str(told.value).splitlines()) == 1
