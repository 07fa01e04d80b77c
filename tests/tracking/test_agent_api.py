import inspect
from types import SimpleNamespace

import pytest

from study.errors import RunError
from study.tracking import agent_api

SWEEP = SimpleNamespace(id="sweep", project="project", entity="team")


@pytest.fixture
def wandb(monkeypatch):
    """Puts a function in the place of one of wandb's own; None takes it away."""
    from wandb.apis.public import sweeps

    def replace(name, function):
        if function:
            monkeypatch.setattr(sweeps, name, function)
        else:
            monkeypatch.delattr(sweeps, name)

    replace("_register_agent", lambda *_, **__: {"id": "one"})
    return replace


def test_an_agent_gets_a_run_and_learns_of_its_stop(wandb):
    agent = agent_api.Agent(None, SWEEP)
    calls = []
    answers = [
        [],
        [{"type": "run", "run_id": "a", "args": {"lr": {"value": 0.1}}, "program": "x"}],
        [],
        [{"type": "stop", "run_id": "a"}],
        [{"type": "exit"}],
    ]
    wandb("_agent_heartbeat", lambda *arguments: calls.append(arguments) or answers.pop(0))
    assert agent.ask() is None and not agent.exited
    run = agent.ask()
    assert (run.run_id, run.parameters) == ("a", {"lr": 0.1})
    agent.heartbeat()
    assert not run.stop_requested.is_set()
    agent.heartbeat()
    assert run.stop_requested.is_set() and not agent.exited
    assert agent.ask() is None and agent.exited
    agent.heartbeat()  # it has no run: nothing is sent
    assert [arguments[1:] for arguments in calls] == [
        ("one", {}, running) for running in ({}, {}, {"a": True}, {"a": True}, {})
    ]


def test_a_cancelled_sweep_stops_the_run_and_a_deleted_one_lets_it_end(wandb):
    from wandb.sdk.sweeps import SweepNotFoundError

    def deleted(*_):
        raise SweepNotFoundError

    for answer, stops in ((lambda *_: [{"type": "exit"}], True), (deleted, False)):
        agent = agent_api.Agent(None, SWEEP)
        agent.assignment = agent_api.Assignment("a", {})
        wandb("_agent_heartbeat", answer)
        agent.heartbeat()
        assert agent.exited and agent.assignment.stop_requested.is_set() == stops


def test_a_stop_arrives_though_heartbeats_failed_before(wandb, monkeypatch, caplog):
    monkeypatch.setattr(agent_api, "HEARTBEAT", 0.01)
    answers = [["odd"], ["odd"], [], [{"type": "stop"}]]
    wandb("_agent_heartbeat", lambda *_: answers.pop(0) if answers else [])
    agent = agent_api.Agent(None, SWEEP)
    agent.assignment = agent_api.Assignment("a", {})
    with agent_api.heartbeats([agent]):
        assert agent.assignment.stop_requested.wait(10)
    [message] = caplog.messages
    assert "a heartbeat to the sweep failed" in message and "TypeError" in message


def test_a_wandb_without_the_calls_is_an_error_that_names_what_always_works(wandb):
    agent = agent_api.Agent(None, SWEEP)
    wandb("_agent_heartbeat", lambda *_: [{"type": "run"}])
    with pytest.raises(RunError, match="`wandb agent SWEEP` always works"):
        agent.ask()
    wandb("_agent_heartbeat", lambda api, agent: [])
    with pytest.raises(RunError, match=r"wandb [\d.]+ .*TypeError.* always works"):
        agent.ask()
    wandb("_register_agent", None)
    with pytest.raises(RunError, match=r"ImportError.*_register_agent.* always works") as error:
        agent_api.Agent(None, SWEEP)
    assert len(str(error.value).splitlines()) == 1


def test_what_we_rely_on_in_wandb():
    """The private calls of `wandb agent`: pyproject.toml has an upper bound of wandb for them."""
    from wandb.apis.public.sweeps import _agent_heartbeat, _register_agent
    from wandb.sdk.sweeps import SweepNotFoundError

    inspect.signature(_register_agent).bind(None, "host", sweep_id="s", project="p", entity="e")
    inspect.signature(_agent_heartbeat).bind(None, "agent", {}, {"run": True})
    assert issubclass(SweepNotFoundError, Exception)
