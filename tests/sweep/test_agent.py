"""The real `wandb` command line and client against the stand-in backend."""

import dataclasses
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from study import runs, sweep_folder
from study.config import Config
from study.report import page, results
from study.report.grouping import collect
from study.sweep import local, spec
from study.tracking import marks, tables
from study.train import loop
from tests.conftest import ROOT, without_times
from tests.machines import (
    SECRET,
    TINY,
    WANDB,
    Machine,
    descendants,
    epochs,
    finish,
    settings,
    sweep_text,
    terminate_all,
)
from tests.wandb_server import Server


def test_the_command_of_our_sweeps_is_the_one_that_runs():
    from wandb.sdk.launch.sweeps import utils

    content = yaml.safe_load((ROOT / "sweeps/quickstart.yaml").read_text())
    assert utils.create_sweep_command(content["command"]) == content["command"]
    assigned = {"args": {"lr": {"value": 0.1}}, "program": content["program"], "run_id": "x"}
    words = utils.create_sweep_command_args(assigned)
    parts = {"${env}": ["/usr/bin/env"], "${interpreter}": ["python"]} | {
        f"${{{name}}}": value for name, value in words.items() if name.startswith("args")
    }
    built = [word for part in content["command"] for word in parts.get(part, [part])]
    assert built == ["/usr/bin/env", "python", "-m", "study.sweep.agent"]
    assert (ROOT / content["program"]).is_file()


def test_a_grid_by_two_agents_pulled_and_reported_is_the_one_swept_offline(server, machine, quick):
    text = (ROOT / "sweeps/quickstart.yaml").read_text()
    small = {"{value: 15}": "{value: 2}", "{value: 32}": "{value: 256}", "[1, 2, 3]": "[1]"}
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (machine.home / "quickstart.yaml").write_text(text)
    code, output = machine.wandb("sweep", "quickstart.yaml")
    assert code == 0, output
    [sweep] = server.sweeps.values()
    agents = [machine.agent(sweep) for _ in range(2)]
    output = [finish(agent) for agent in agents]
    assert sweep.state == "FINISHED", output
    assert len(sweep.runs) == 3
    assert all(run.state == "finished" and epochs(run) == [1, 2] for run in sweep.runs.values())
    [one] = [run for run in sweep.runs.values() if "l1" in run.config["variant"]]
    assert {"norm-study", "digits", "mnist_7684"} <= set(one.tags)
    assert (one.group, one.job_type) == (sweep.id, "train")
    assert set(Config().__dict__) <= set(one.config)
    assert one.config["variant"] == "norm=batch l1=2.5e-5"
    assert one.summary["test_accuracy_last"] == one.rows[-1]["test/accuracy"]
    for key in ("misclassified", "misclassified_grid", "layers", "confusion"):
        assert key in one.rows[-1], key
    # Their folders record their addresses.
    trained = sweep_folder.find(machine.home / "runs" / sweep.id)
    paths = {f"{sweep.entity}/{sweep.project}/{run_id}" for run_id in sweep.runs}
    assert {marks.address(run) for run in trained} == paths

    code, output = machine.study("pull", sweep.path, "--out", "pulled")
    assert code == 0 and "3 runs fetched, 0 unchanged" in output, output
    before = server.requests.total()
    code, output = machine.study("pull", sweep.path, "--out", "pulled")
    assert code == 0 and "0 runs fetched, 3 unchanged" in output, output
    assert server.requests.total() - before < 6
    local.run(spec.read(machine.home / "quickstart.yaml"), machine.home / "offline/quickstart")
    reported = [
        [row | {"seconds_mean": ""} for row in result_rows(machine.home / where / "quickstart")]
        for where in ("pulled", "offline")
    ]
    assert reported[0] == reported[1] and len(reported[0]) == 3
    assert not server.unknown
    assert_no_secret(machine, output)


def test_a_search_by_an_agent_and_offline_are_reported_alike(server, machine, quick):
    text = (ROOT / "sweeps/l1_fine.yaml").read_text()
    small = {"mnist}": "digits}", "{value: 5000}": "{value: 200}", "run_cap: 24": "run_cap: 2",
             "{value: 5}": "{value: 1}"}  # fmt: skip
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (machine.home / "l1_fine.yaml").write_text(text)
    code, output = machine.wandb("sweep", "l1_fine.yaml")
    assert code == 0, output
    [sweep] = server.sweeps.values()
    output = finish(machine.fork("agent", sweep.path, "--pack", "1"))
    assert sweep.state == "FINISHED" and len(sweep.runs) == 2, output
    local.run(spec.read(machine.home / "l1_fine.yaml"), machine.home / "offline")
    code, output = machine.study("pull", sweep.path, "--out", "pulled")
    assert code == 0, output
    [pulled] = (machine.home / "pulled").iterdir()
    spaces, reported = [], []
    for folder in (pulled, machine.home / "offline"):
        found = sweep_folder.find(folder)
        assert len(found) == 2 and all(1e-6 <= run.config.l1 <= 1e-3 for run in found)
        spaces.append({dataclasses.replace(run.config, l1=0, l1_reduction="sum") for run in found})
        reported.append(result_rows(folder))
    assert spaces[0] == spaces[1] and len(spaces[0]) == 1
    assert [len(rows) for rows in reported] == [2, 2]


def result_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of the results.csv that a report of the runs in a folder has."""
    rows = results.rows(collect(folder))
    return [dict(zip(results.HEADER, row)) for row in rows]


def assert_no_secret(machine: Machine, *texts: str) -> None:
    for text in texts:
        assert SECRET not in text
    for path in machine.home.glob("**/*"):
        if path.is_file() and not path.is_symlink():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_preempted_run_goes_on_elsewhere_as_if_nothing_had_happened(
    server, tmp_path, monkeypatch
):
    sweep = server.add_sweep(sweep_text(**TINY, epochs=6, dropout=0.1, seed=1))
    lost, found = Machine(server, tmp_path / "lost"), Machine(server, tmp_path / "found")
    agent = lost.agent(sweep)
    lost.wait_for_an_epoch()
    agent.send_signal(signal.SIGTERM)
    output = finish(agent)
    [run] = sweep.runs.values()
    assert run.preempting and run.exit_code == 143 and run.state == "preempted", output
    reached = len(run.rows)
    assert 1 <= reached < 6
    assert "checkpoint.pt" in run.files
    output = finish(found.agent(sweep))
    assert run.state == "finished" and run.starts == 2, output
    assert epochs(run) == [1, 2, 3, 4, 5, 6]
    [folder] = (tmp_path / "found/runs").glob("*/*")
    assert len(runs.read_history(folder)) == 6
    monkeypatch.setenv("STUDY_DATA", str(found.data))
    config = Config(**TINY, epochs=6, dropout=0.1, seed=1)
    alone = loop.train(config, tmp_path / "alone")
    again = [{key: row[key] for key in alone.history[0]} for row in run.rows]
    assert without_times(again) == without_times(alone.history)
    assert run.summary["state"] == "finished"


def test_a_signal_to_every_process_hands_the_run_back(server, machine):
    """As Slurm sends it, which kills wandb's service too: before the first epoch; then later, where
    nobody reads what is printed, as in `wandb agent SWEEP | tee log`, whose `tee` it has ended."""
    sweep = server.add_sweep(sweep_text(**TINY, epochs=12, seed=1))
    agent = machine.agent(sweep)
    server.wait_for(lambda: sweep.runs, 120)
    terminate_all(agent.pid)
    output = finish(agent)
    [run] = sweep.runs.values()
    await_handed_back(server, run)
    reached = len(run.rows)  # most often none
    assert bool(reached) == ("checkpoint.pt" in run.files), output

    words = (WANDB, "agent", "--forward-signals", sweep.path)
    agent = machine.start(*words, WANDB_SILENT="false")  # as it opens the run again, it prints
    server.wait_for(lambda: len(run.rows) > reached, 120)
    agent.stdout.close()
    terminate_all(agent.pid)
    agent.wait(120)
    await_handed_back(server, run)
    assert "checkpoint.pt" in run.files and run.starts > 1

    output = finish(machine.agent(sweep))
    assert run.state == "finished" and epochs(run) == list(range(1, 13)), output


def await_handed_back(server, run) -> None:
    """Wait for the end of a run whose agent may have gone before it; the next agent has it then."""
    server.wait_for(lambda: run.state != "running", 120)
    assert (run.state, run.exit_code) == ("preempted", 143)


def test_a_run_stopped_by_the_server_is_stopped_and_not_assigned_again(server, machine):
    sweep = server.add_sweep(sweep_text(**TINY, epochs=500, seed=1))
    agent = machine.agent(sweep)
    run = server.wait_for(lambda: next((r for r in sweep.runs.values() if r.rows), None), 120)
    server.stop_run(run.id)
    output = finish(agent)
    assert agent.returncode == 0 and len(sweep.runs) == 1, output
    assert (run.state, run.exit_code, run.starts) == ("finished", 0, 1), output
    assert run.summary["state"] == "stopped"
    assert epochs(run) == list(range(1, len(run.rows) + 1))
    assert len(run.rows) < 500


def test_a_run_refused_or_failed_says_why_and_the_next_run_starts(server, machine, quick):
    text = sweep_text(**TINY, epochs=1, norm="none", lr=[1.0e9, -1.0, 0.05])
    sweep = server.add_sweep(text)
    output = finish(machine.agent(sweep, "--max-consecutive-failed-runs", "3"))
    diverged, refused, fine = sweep.runs.values()
    assert diverged.state == "failed" and diverged.exit_code == 1, output
    assert "train/loss became" in diverged.summary["cause"]
    assert refused.state == "failed" and refused.exit_code == 2
    assert "lr=-1: allowed is a number above 0" in refused.summary["cause"]
    assert fine.state == "finished"
    assert "Traceback" not in output
    code, output = machine.study("pull", sweep.path)
    assert code == 0 and "left out" in output and "lr=-1" in output
    page.write(machine.home / "runs" / sweep.id, machine.home / "out")
    assert "train/loss became" in (machine.home / "out/report.md").read_text()


def test_a_server_away_for_some_seconds_loses_nothing(server, machine):
    """It is away when the run ends, and its tables and files are to be uploaded."""
    sweep = server.add_sweep(sweep_text(**TINY, epochs=6, seed=1))
    agent = machine.fork("agent", sweep.path)
    server.wait_for(lambda: any(run.rows for run in sweep.runs.values()), 120)
    server.cut(10)
    output = finish(agent)
    [run] = sweep.runs.values()
    assert (run.state, run.summary["state"]) == ("finished", "finished"), output
    assert epochs(run) == list(range(1, 7))
    assert whole_table(server) and {"history.jsonl", "misclassified.npz"} <= set(run.files)
    assert server.refused > 0 and "study sync" not in output


IMPATIENT_AGENT = """
from study.sweep import agent
from study.tracking import client

client.PATIENCE = 1
raise SystemExit(agent.main())
"""


def test_no_server_is_one_line_soon(tmp_path):
    with Server() as gone:
        machine = Machine(gone, tmp_path)
    (tmp_path / "mine.yaml").write_text(sweep_text(epochs=1))
    training = [["agent", "team/project/sweep"], ["sweep", "mine.yaml", "--online"]]
    others = [["pull", "team/project/sweep"], ["check", "--online"]]
    agent = machine.start(sys.executable, "-c", IMPATIENT_AGENT, WANDB_SWEEP_ID="sweep")
    impatient = {"study.tracking.client.PATIENCE": 1}
    started = [
        (machine.fork(*words, patches=impatient), words in training) for words in training + others
    ]
    for process, trains in [(agent, True), *started]:
        output = finish(process)
        assert process.returncode == 1, output
        [line] = [line for line in output.splitlines() if "no W&B server" in line]
        assert "check the network and WANDB_BASE_URL" in line
        assert ("or run offline: study sweep FILE" in line) == trains
        assert "Traceback" not in output


def test_without_a_sweep_or_a_key_the_agent_says_what_to_do(server, machine):
    code, output = machine.run(sys.executable, "-m", "study.sweep.agent")
    assert code == 2 and "wandb agent" in output
    code, output = machine.study(
        "pull", "team/project/sweep", WANDB_API_KEY="", HOME=str(machine.home)
    )
    assert code == 2 and "wandb login" in output, output
    code, output = machine.study("check", "--online")
    assert code == 0 and "logged in as team" in output, output
    server.fail(401)
    agent = machine.run(sys.executable, "-m", "study.sweep.agent", WANDB_SWEEP_ID="sweep")
    for code, output in (agent, machine.study("check", "--online")):
        assert code == 1 and "does not accept this machine" in output, output
        assert "Traceback" not in output
    server.recover()
    code, output = machine.study("pull", "team/sweep")
    assert code == 2 and "ENTITY/PROJECT/SWEEP" in output
    code, output = machine.study("pull", "team/project/nothing")
    assert code == 2 and "no such sweep" in output, output


def whole_table(server) -> bool:
    """Whether the table of misclassified images arrived, with its pictures."""
    [table] = [a for a in server.artifacts.values() if "misclassified" in a.collection]
    pictures = sum(name.endswith(".png") for name in table.files)
    return table.committed and pictures == tables.PICTURES


def test_an_offline_sweep_goes_online_where_it_was_trained_and_from_a_copied_folder(
    server, machine, tmp_path
):
    (machine.home / "mine.yaml").write_text(sweep_text(epochs=2, seed=1))
    outcome = local.run(spec.read(machine.home / "mine.yaml"), machine.home / "runs/mine")
    assert outcome.trained == 1 and not outcome.warnings and not server.runs
    with Server() as another:
        elsewhere = Machine(another, tmp_path / "two")
        shutil.copy(machine.home / "mine.yaml", elsewhere.home)
        shutil.copytree(machine.home / "runs", elsewhere.home / "copied")
        code, output = machine.wandb("sync", *machine.home.glob("runs/*/*/wandb/offline-run-*"))
        assert code == 0 and server.runs, output
        [run] = server.runs.values()
        assert run.state == "finished" and epochs(run) == [1, 2], output
        assert {"history.jsonl", "misclassified.npz"} <= set(run.files)
        assert whole_table(server)
        code, output = machine.study("sweep", "mine.yaml", "--online")  # adds nothing
        assert code == 0 and epochs(run) == [1, 2], output

        shutil.rmtree(machine.home / "runs")
        for logged in ("; 1 logged to W&B only", "remaining\n"):  # twice: nothing comes double
            code, output = elsewhere.study("sweep", "mine.yaml", "--out", "copied", "--online")
            assert code == 0 and "0 runs trained, 1 already done" in output, output
            assert logged in output, output
        [run] = another.runs.values()
        assert run.state == "finished" and epochs(run) == [1, 2]
        assert whole_table(another)


def test_runs_made_without_our_files_still_give_history_and_config(server, machine, quick):
    sweep = server.add_sweep(sweep_text(lr=[0.1, 0.2], seed=1))
    row = {"train/loss": 0.2, "train/accuracy": 95.0, "test/loss": 0.1}  # and no learning rate
    rows = [row | {"epoch": e, "test/accuracy": 97.0 + e / 10} for e in range(1, 4)]
    ours = settings(norm="layer", seed=1, epochs=3)
    server.add_run(sweep, ours, rows)
    server.add_run(sweep, ours, rows)  # the same configuration again
    server.add_run(sweep, ours | {"seed": 2}, rows[:2], state="crashed", exit_code=None)
    server.add_run(sweep, ours | {"seed": 3}, rows[:1], state="running", exit_code=None)
    last = rows[2] | {"test/accuracy": 97.2}
    short = [{k: v for k, v in row.items() if k != "train/accuracy"} for row in (rows[0], last)]
    server.add_run(sweep, ours | {"seed": 4}, short)  # finished, but lacks an epoch and a metric
    server.add_run(sweep, ours | {"seed": 5}, rows[:2])  # ended before its last
    server.add_run(sweep, ours | {"norm": "strange"}, rows)
    code, output = machine.study("pull", sweep.path)
    assert code == 0 and "6 runs fetched" in output and "norm=strange" in output, output
    assert "; 1 of a configuration that another has" in output, output
    page.write(machine.home / "runs" / sweep.id, machine.home / "out")
    report = (machine.home / "out/report.md").read_text()
    assert "97.25 ±" in report  # 97.30 and 97.20
    for words in (
        "1 running",
        "1 failed",
        "1 stopped",
        "its state at W&B is crashed",
        "a duplicate, not",
    ):
        assert words in report


def test_a_pull_takes_every_row_and_only_what_changed(server, machine):
    sweep = server.add_sweep(sweep_text(seed=list(range(20))))
    for seed in range(20):
        rows = [
            {"epoch": e, "train/loss": 1 / e, "train/accuracy": 90.0, "test/loss": 1 / e}
            | {"test/accuracy": 90 + seed / 100 + e / 1000, "lr": 0.1, "seconds": 1.0}
            for e in range(1, 701)
        ]
        server.add_run(sweep, settings(seed=seed, epochs=701), rows)
    code, output = machine.study("pull", sweep.path)
    assert code == 0 and "20 runs fetched" in output, output
    found = sweep_folder.find(machine.home / "runs" / sweep.id)
    assert all([row["epoch"] for row in run.history] == list(range(1, 701)) for run in found)
    more = list(sweep.runs.values())[3]
    more.write("wandb-history.jsonl", 700, [json.dumps({"_step": 700} | rows[-1] | {"epoch": 701})])
    code, output = machine.study("pull", sweep.path)
    assert code == 0 and "1 run fetched, 19 unchanged" in output, output


def test_make_agents_runs_one_a_gpu_and_a_stop_stops_all(server, tmp_path):
    """The script behind `make agents`, in a folder that looks like a checkout."""
    home = tmp_path / "checkout"
    launch = home / "sweeps/launch"
    launch.mkdir(parents=True)
    (launch / "agents").symlink_to(ROOT / "sweeps/launch/agents")
    (home / ".venv").symlink_to(Path(sys.prefix))
    machine = Machine(server, home)
    sweep = server.add_sweep(sweep_text(**TINY, epochs=200, seed=[1, 2, 3]))
    process = machine.start("sweeps/launch/agents", sweep.path, "0,1", STAGGER="1")
    server.wait_for(lambda: sum(bool(run.rows) for run in sweep.runs.values()) == 2, 180)
    family = descendants(process.pid)
    assert len(family) > 4
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    assert process.returncode == 143, output
    assert "[gpu 0] " in output and "[gpu 1] " in output
    end = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in family):
        assert time.monotonic() < end, "orphans"
        time.sleep(0.05)
    assert all(run.preempting and run.exit_code == 143 for run in sweep.runs.values()), output


@pytest.mark.skipif(
    not (ROOT / ".venv/installed").exists(), reason="make sweep would install .venv first"
)
def test_make_sweep_prints_the_id_and_refuses_what_cannot_run(server, machine):
    (machine.home / "mine.yaml").write_text(sweep_text(epochs=1))
    make = ["make", "-C", ROOT, "--no-print-directory", "-s", "sweep"]
    code, output = machine.run(*make, f"SWEEP={machine.home / 'mine.yaml'}")
    [sweep] = server.sweeps.values()
    assert code == 0 and output.splitlines()[-1].endswith(sweep.path), output
    server.refuses.add("UpsertSweep")
    code, output = machine.run(*make, f"SWEEP={machine.home / 'mine.yaml'}")
    assert code != 0 and "permission denied" in output, output
    (machine.home / "mine.yaml").write_text(sweep_text(epochs=-1))
    code, output = machine.run(*make, f"SWEEP={machine.home / 'mine.yaml'}")
    assert code != 0 and "parameters.epochs.value=-1: allowed is" in output
    assert len(server.sweeps) == 1
