"""`study agent`: the real wandb client, many runs in one process, against the stand-in backend."""

import signal
from types import SimpleNamespace

import pytest

from study import sweep_folder
from study.config import Config
from study.errors import DiskError, RunError, UsageError
from study.sweep import spec
from study.tracking import pack_agent
from study.tracking.agent_api import Assignment
from study.tracking.assigned import AssignedRun
from study.train import loop
from tests.machines import TINY, Machine, epochs, finish, sweep_text

SHORT = TINY | {"batch_size": 64}
OFTEN = {"study.tracking.agent_api.HEARTBEAT": 0.5}


def start(machine, sweep, *words):
    """`study agent`, with more heartbeats, so that stops come sooner."""
    return machine.fork("agent", sweep.path, *words, patches=OFTEN)


def test_a_grid_of_two_buckets_by_one_process_is_the_one_swept_offline(
    server, machine, monkeypatch
):
    text = sweep_text(
        **SHORT, epochs=2, variant=["norm=batch l1=1.0e-4", "norm=layer"], lr=[0.05, 0.1]
    )
    sweep = server.add_sweep(text)
    agent = start(machine, sweep, "--pack", "3")
    output = finish(agent)
    assert agent.returncode == 0 and "4 runs trained (0 stopped by the server), 0 failed" in output
    assert sweep.state == "FINISHED" and server.requests["CreateAgent"] == 3
    for run in sweep.runs.values():
        assert (run.state, run.exit_code, run.starts) == ("finished", 0, 1), output
        assert epochs(run) == [1, 2]
        assert (run.group, run.job_type) == (sweep.id, "train")
        assert {"norm-study", "own:tiny"} <= set(run.tags) and "variant" in run.config
        assert run.summary["test_accuracy_last"] == run.rows[-1]["test/accuracy"]
        for key in ("misclassified", "misclassified_grid", "layers", "confusion"):
            assert key in run.rows[-1], key
        assert {"history.jsonl", "misclassified.npz"} <= set(run.files)
    packs = sorted(run.summary["pack"] for run in sweep.runs.values())
    assert packs == [1, 1, 2, 2]  # two and one of the first three, then the last
    (machine.home / "mine.yaml").write_text(text)
    monkeypatch.setenv("STUDY_DATA", str(machine.data))
    offline = spec.read(machine.home / "mine.yaml").configs
    trained = sweep_folder.find(machine.home / "runs" / sweep.id)
    assert {run.config for run in trained} == set(offline)
    assert not server.unknown


def test_a_run_that_is_refused_or_fails_says_why_and_the_others_go_on(server, machine):
    text = sweep_text(**SHORT, epochs=1, norm="none", lr=[0.05, -1.0, 1.0e9, 0.05])
    sweep = server.add_sweep(text)
    agent = start(machine, sweep, "--pack", "4")
    output = finish(agent)
    assert agent.returncode == 1 and "2 runs trained" in output and "2 failed" in output
    # They are opened side by side, so that the server may have them in another order.
    by_rate = sorted(sweep.runs.values(), key=lambda run: run.config["lr"])
    refused, fine, again, diverged = by_rate
    assert (refused.state, refused.exit_code) == ("failed", 2)
    assert "lr=-1: allowed is a number above 0" in refused.summary["cause"]
    assert (diverged.state, diverged.exit_code) == ("failed", 1)
    assert "train/loss became" in diverged.summary["cause"]
    assert fine.state == again.state == "finished"
    assert fine.summary["test_loss_last"] == pytest.approx(again.summary["test_loss_last"])
    assert "Traceback" not in output


def test_a_run_that_the_server_stops_ends_as_stopped_and_the_others_go_on(server, machine):
    sweep = server.add_sweep(sweep_text(**SHORT, epochs=16, seed=[1, 2, 3]))
    agent = start(machine, sweep, "--pack", "2", "--count", "2")
    machine.wait_for_an_epoch()
    run = next(iter(sweep.runs.values()))
    server.stop_run(run.id)
    output = finish(agent)
    assert agent.returncode == 0 and "(1 stopped by the server)" in output
    assert len(sweep.runs) == 2
    [other] = [r for r in sweep.runs.values() if r is not run]
    assert (run.state, run.exit_code, run.summary["state"]) == ("finished", 0, "stopped")
    assert epochs(run) == list(range(1, len(run.rows) + 1)) and len(run.rows) < 16
    assert "misclassified" in run.rows[-1]
    assert epochs(other) == list(range(1, 17)) and other.summary["state"] == "finished"


def test_a_pack_preempted_goes_on_elsewhere_as_if_nothing_had_happened(
    server, tmp_path, monkeypatch
):
    sweep = server.add_sweep(sweep_text(**SHORT, epochs=6, norm=["batch", "none"], lr=[1e-3, 2e-3]))
    lost, found = Machine(server, tmp_path / "lost"), Machine(server, tmp_path / "found")
    agent = start(lost, sweep, "--pack", "4")
    lost.wait_for_an_epoch()
    agent.send_signal(signal.SIGTERM)
    output = finish(agent)
    assert agent.returncode == 143 and "another agent goes on" in output
    assert "Traceback" not in output
    assert len(sweep.runs) == 4  # of the first pack, which may have ended, and of the second
    cut = [run for run in sweep.runs.values() if run.state == "preempted"]
    assert len(cut) >= 2 and all(run.preempting and run.exit_code == 143 for run in cut), output
    assert all(("checkpoint.pt" in run.files) == bool(run.rows) for run in cut)
    longest = max(cut, key=lambda run: len(run.rows))
    output = finish(start(found, sweep, "--pack", "4"))
    for run in sweep.runs.values():
        assert (run.state, run.starts) == ("finished", 2 if run in cut else 1), output
        assert epochs(run) == list(range(1, 7)), output
    monkeypatch.setenv("STUDY_DATA", str(found.data))
    config = Config(**SHORT, epochs=6, norm=longest.config["norm"], lr=longest.config["lr"])
    alone = loop.train(config, tmp_path / "alone")
    for row, expected in zip(longest.rows, alone.history):
        assert row["test/loss"] == pytest.approx(expected["test/loss"], rel=1e-3)


def test_ctrl_c_requeues_the_runs(server, machine):
    sweep = server.add_sweep(sweep_text(**SHORT, epochs=500))
    agent = start(machine, sweep, "--pack", "2")
    machine.wait_for_an_epoch()
    agent.send_signal(signal.SIGINT)
    output = finish(agent)
    assert agent.returncode == 130 and "the same command goes on" in output
    assert "Traceback" not in output
    [run] = sweep.runs.values()
    assert run.state == "preempted" and "checkpoint.pt" in run.files


@pytest.mark.parametrize(
    ("place", "parameter", "given", "why"),
    [
        ("file", "dataset", {"value": "digits"}, r"cannot be written .*STUDY_RUNS"),
        ("runs", "dataset", {"values": ["strange", "digits", "own:nowhere"]}, r"nowhere\.npz"),
        ("runs", "variant", {"values": ["lr=x", "dataset=own:nowhere lr=0.1"]}, r"nowhere\.npz"),
    ],
)
def test_what_this_machine_lacks_is_told_before_a_run_is_asked_for(
    place, parameter, given, why, tmp_path, monkeypatch
):
    """It could train none of those that the server suggests."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / place))
    sweep = SimpleNamespace(config={"parameters": {parameter: given}})
    monkeypatch.setattr(pack_agent.client, "find_sweep", lambda *_: (None, sweep))
    monkeypatch.setattr(pack_agent, "_register", lambda *_: 1 / 0)
    with pytest.raises(UsageError, match=why):
        pack_agent.run("team/tests/id", pack=2, device="cpu")


def test_an_agent_that_is_given_a_run_again_that_it_hands_back_ends(monkeypatch, capsys):
    def fill_disk(*_):
        raise DiskError("no space")

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(AssignedRun, "open", fill_disk)
    agent = SimpleNamespace(exited=False, ask=lambda: Assignment("same", {}))
    rounds = pack_agent._Rounds(SimpleNamespace(id="sweep"), [agent], "cpu", 1)
    with pytest.raises(RunError, match="all runs of 3 rounds failed, the last: no space: mend"):
        for _ in range(pack_agent.FAILED_ROUNDS):
            rounds.run_next(None)
    assert "sweep/same: handed back: no space" in capsys.readouterr().err
