"""The stand-in W&B server against the unmodified `wandb` client (its command line and agents:
tests/sweep/test_agent.py)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked
from tests.forked import Forked
from tests.wandb_server import Server, search

# Logs a row for every line it is sent, so that a test decides when.
ROWS = """
import sys, wandb

with wandb.init(project="tests", id="rows") as run:
    for line in sys.stdin:
        run.log({"epoch": int(line)})
    with open("weights.txt", "w") as file:
        file.write("0.5")
    run.save("weights.txt")
"""

TABLE = """
import sys, numpy, wandb

settings = {"id": "table", "project": "tests", "mode": sys.argv[1], "config": {"lr": 0.5}}
with wandb.init(**settings, tags=["a", "b"], group="g", job_type="train") as run:
    for epoch in range(3):
        run.log({"epoch": epoch, "test/loss": 1 / (epoch + 1)})
    images = [wandb.Image(numpy.full((4, 6), shade, "uint8")) for shade in (0, 255)]
    table = wandb.Table(columns=["index", "image"], data=list(enumerate(images)))
    run.log({"misclassified": table})
    with open("notes.txt", "w") as file:
        file.write("some notes")
    run.save("notes.txt")
"""

READ_TABLE = """
import json, wandb

run = wandb.Api().run("team/tests/table")
run.file("notes.txt").download("copy")
[table] = [artifact.get("misclassified") for artifact in run.logged_artifacts()]
print(json.dumps({
    "config": run.config,
    "best": run.summary["test/loss"],
    "labels": [run.tags, run.group, run.job_type, run.state],
    "last": run.lastHistoryStep,
    "losses": [row["test/loss"] for row in run.scan_history(["epoch", "test/loss"])],
    "rows": len(list(run.scan_history())),
    "notes": open("copy/notes.txt").read(),
    "table": [[index, image.image.size] for index, image in table.data],
}))
"""

READ_SWEEP = """
import json, sys, wandb

sweep = wandb.Api().sweep(sys.argv[1])
runs = wandb.Api().runs("team/tests", filters={"sweep": sweep.id, "state": "finished"})
print(json.dumps({
    "name": sweep.name,
    "state": sweep.state,
    "all": len(sweep.runs),
    "finished": [run.config["i"] for run in runs],
    "sampled": len(runs[0].history(pandas=False)),
    "scanned": [row["epoch"] for row in runs[0].scan_history()],
    "file": runs[1].file("config.json").download("copy").read(),
}))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of which clients must not ask anything that it cannot answer."""
    with Server() as server:
        yield server
        assert server.unknown == []


def client(server: Server, home: Path, *words: str, main: str = forked.WANDB) -> str:
    """Run a client, by default a command of `wandb`, to its end and return what it printed."""
    process = Forked(*words, cwd=home, env=server.environment(home), main=main)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    return printed


def python(server: Server, home: Path, code: str, *arguments: str) -> str:
    """Run a script of a client; the last line that it printed, if any."""
    printed = client(server, home, code, *arguments, main=forked.SCRIPT)
    return printed.strip().rpartition("\n")[2]


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_run_is_read_back_whole(server: Server, tmp_path: Path, mode: str) -> None:
    """The public API finds what was logged, at once or synced later."""
    python(server, tmp_path, TABLE, mode)
    if mode == "offline":
        assert not server.requests
        [folder] = tmp_path.glob("wandb/offline-run-*")
        client(server, tmp_path, "sync", str(folder))
    assert json.loads(python(server, tmp_path, READ_TABLE)) == {
        "config": {"lr": 0.5},
        "best": 1 / 3,
        "labels": [["a", "b"], "g", "train", "finished"],
        "last": 3,
        "losses": [1, 1 / 2, 1 / 3],
        "rows": 4,
        "notes": "some notes",
        "table": [[0, [6, 4]], [1, [6, 4]]],
    }


@pytest.mark.parametrize("outage", ["fails", "cuts"])
def test_an_outage_loses_nothing(server: Server, tmp_path: Path, outage: str) -> None:
    """Rows that were logged before, during and after an outage arrive, each once."""
    command = [sys.executable, "-c", ROWS]
    environment = server.environment(tmp_path)
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdin=subprocess.PIPE) as process:
        send(process, range(3))
        run = server.wait_for(lambda: "rows" in server.runs and server.runs["rows"])
        server.wait_for(lambda: len(run.rows) == 3)
        if outage == "cuts":
            server.cut()
        else:
            server.fail()
        send(process, range(3, 6))
        server.wait_for(lambda: server.refused)
        server.recover()
        send(process, range(6, 9))
    assert process.returncode == 0
    assert [row["epoch"] for row in run.rows] == list(range(9))
    assert (run.state, run.files["weights.txt"]) == ("finished", b"0.5")


def send(process: subprocess.Popen[bytes], epochs: range) -> None:
    process.stdin.writelines(b"%d\n" % epoch for epoch in epochs)
    process.stdin.flush()


def test_runs_that_nobody_trained(server: Server, tmp_path: Path) -> None:
    """Many runs in pages, filtered; a long history is exact by scan alone."""
    sweep = server.add_sweep("{name: many, method: random, parameters: {i: {min: 0, max: 9}}}")
    for i in range(120):
        rows = [{"epoch": epoch} for epoch in range(1200 if i == 0 else 2)]
        files = {"config.json": b'{"i": %d}' % i}
        server.add_run(sweep, {"i": i}, rows, files, state="crashed" if i == 7 else "finished")
    sweep.forced_state = "FINISHED"
    found = json.loads(python(server, tmp_path, READ_SWEEP, sweep.path))
    assert found["sampled"] <= 500
    assert found["scanned"] == list(range(1200))
    assert found["finished"] == [i for i in range(120) if i != 7]
    assert (found["name"], found["state"], found["all"]) == ("many", "FINISHED", 120)
    assert found["file"] == '{"i": 1}'


def test_a_silent_run_is_given_up(server: Server) -> None:
    """What the backend does by itself after some minutes without a sign of life."""
    [lost, gone] = [
        server.add_run(None, {}, [], state="running", preempting=preempting)
        for preempting in (True, False)
    ]
    server.crash(lost.id)
    server.crash(gone.id)
    assert (lost.state, gone.state) == ("preempted", "crashed")


def test_a_random_search_is_seeded_and_capped() -> None:
    config = {
        "method": "random",
        "run_cap": 4,
        "parameters": {
            "epochs": {"min": 1, "max": 3, "distribution": "int_uniform"},
            "l1": {"min": 1e-6, "max": 1e-3, "distribution": "log_uniform_values"},
            "dropout": {"min": 0, "max": 0.5, "q": 0.1, "distribution": "q_uniform"},
            "norm": {"values": ["batch", "layer"]},
        },
    }
    found = list(search(config, seed=1))
    assert found == list(search(config, seed=1)) != list(search(config, seed=2))
    assert len(found) == 4
    for settings in found:
        assert settings["epochs"] in (1, 2, 3)
        assert 1e-6 <= settings["l1"] <= 1e-3
        assert settings["dropout"] * 10 == pytest.approx(round(settings["dropout"] * 10))
        assert settings["norm"] in ("batch", "layer")


def test_an_unknown_request_is_refused_and_noted() -> None:
    with Server() as server:
        query = json.dumps({"query": "query Weather { sky }"}).encode()
        with urllib.request.urlopen(f"{server.url}/graphql", query) as answer:
            [error] = json.load(answer)["errors"]
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{server.url}/nowhere")
        assert "Weather" in error["message"]
        assert server.unknown == [error["message"], "GET /nowhere"]


def test_it_serves_by_hand_until_ctrl_c():
    command = [sys.executable, "-m", "tests.wandb_server"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        # Of what runs in the background of a script, SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        settings = process.stdout.readline() + process.stdout.readline()
        url = settings.partition("WANDB_BASE_URL=")[2].split()[0]
        with pytest.raises(urllib.error.HTTPError):  # it answers, if not to this
            urllib.request.urlopen(f"{url}/nothing")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0 and settings.count("\nexport ") == 1
