"""Runs of a sweep into folders: the real wandb client, in this process, against the stand-in."""

import contextlib
import json
import threading

import numpy as np
import pytest

from study import files, locks, planned, runs, sweep_folder
from study.config import Config
from study.errors import UsageError
from study.report.grouping import collect
from study.tracking import pull, server_run
from tests.conftest import write_run
from tests.machines import settings, sweep_text

ROW = {"train/loss": 0.2, "train/accuracy": 95.0, "test/loss": 0.1, "test/accuracy": 97.0}


@contextlib.contextmanager
def turned_to(server, home):
    """Turn this process's wandb to a server."""
    import wandb

    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.settings(home).items():
            patch.setenv(name, value)
        wandb.teardown()  # it reads its settings once
        yield server
        wandb.teardown()


@pytest.fixture
def client(server, tmp_path):
    with turned_to(server, tmp_path / "wandb"):
        yield server


def test_every_numeric_column_is_pulled_and_nothing_else(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=1))
    row = ROW | {"epoch": 1.0, "gradient/norm": 2.5, "momentum": 3}
    others = {"note": "text", "flag": True, "table": {"_type": "table-file"}, "nan": "NaN"}
    other_epochs = [row | {"epoch": 2, "gradient/norm": 2.0}, {"epoch": 3, "system": 1.0}]
    client.add_run(sweep, settings(seed=1, epochs=2), [row | others, *other_epochs])
    pulled = pull.pull(sweep.path, tmp_path / "runs")
    assert (pulled.fetched, pulled.unchanged) == (1, 0)
    [run] = sweep_folder.find(pulled.folder)
    assert run.history == [row | {"epoch": 1}, row | {"epoch": 2, "gradient/norm": 2.0}]
    assert isinstance(run.history[0]["epoch"], int)
    assert (run.state, run.summary["gradient_norm_last"]) == (runs.FINISHED, 2.0)


def test_only_what_changed_is_fetched_again(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=[1, 2]))
    rows = [ROW | {"epoch": 1}]
    going = client.add_run(sweep, settings(seed=1, epochs=2), rows, state="running")
    client.add_run(sweep, settings(seed=2, epochs=1), rows)
    client.add_run(sweep, settings(seed=2, epochs=1), rows)  # the same configuration again
    client.add_run(sweep, settings() | {"norm": "strange"}, rows)
    pulled = pull.pull(sweep.path, tmp_path / "runs")
    assert (pulled.fetched, pulled.duplicates) == (3, 1)
    [why] = pulled.refused.values()
    assert "norm=strange" in why
    going.state = "crashed"
    pulled = pull.pull(sweep.path, tmp_path / "runs")
    assert (pulled.fetched, pulled.unchanged) == (1, 2)
    states = {run.path.name[-8:]: run.state for run in sweep_folder.find(pulled.folder)}
    assert states[going.id] == runs.FAILED


def test_what_a_sync_adds_to_an_ended_run_is_fetched(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=1))
    run = whole(client, sweep)
    folder = pull.pull(sweep.path, tmp_path).folder
    run.files[runs.SUMMARY] = json.dumps({"state": runs.FINISHED, "device": "later"}).encode()
    run.heartbeat = "2030-01-01T00:00:00Z"
    pulled = pull.pull(sweep.path, tmp_path)
    assert (pulled.fetched, pulled.unchanged) == (1, 0)
    [run] = sweep_folder.find(folder)
    assert run.summary["device"] == "later"
    assert pull.pull(sweep.path, tmp_path).unchanged == 1


@pytest.mark.parametrize("file", [runs.CONFIG, runs.HISTORY, runs.SUMMARY, runs.PARAMETERS])
def test_a_damaged_folder_is_fetched_anew_as_its_message_says(client, tmp_path, file):
    sweep = client.add_sweep(sweep_text(seed=1))
    whole(client, sweep)
    [run] = sweep_folder.find(pull.pull(sweep.path, tmp_path).folder)
    (run.path / file).write_text('{"cut')
    with pytest.raises(UsageError, match=f"{file}: is damaged .*: pull its sweep again"):
        runs.read(run.path)
    pulled = pull.pull(sweep.path, tmp_path)
    assert (pulled.fetched, pulled.unchanged) == (1, 0)
    assert runs.read(run.path).history == run.history
    assert pull.pull(sweep.path, tmp_path).unchanged == 1


def test_sweeps_of_one_name_are_pulled_apart(tmp_path):
    folder = pull._folder(tmp_path, "norms: 1", "team/study/abc")
    assert folder == tmp_path / "norms__1"
    files.write_json(folder / runs.PULLED, {"sweep": "team/study/abc", "runs": {}})
    assert pull._folder(tmp_path, "norms: 1", "team/study/abc") == folder
    assert pull._folder(tmp_path, "norms: 1", "team/study/def").name == "norms__1-def"


def test_a_sweep_is_pulled_beside_runs_that_were_not_pulled(tmp_path):
    """Trained offline from a file of that name; or by agents here, below the sweep's id."""
    write_run(tmp_path / "norms" / runs.name(Config()), Config())
    assert pull._folder(tmp_path, "norms", "team/study/abc").name == "norms-abc"
    write_run(tmp_path / "abc" / f"{runs.name(Config())}-run", Config())
    assert pull._folder(tmp_path, "abc", "team/study/abc").name == "abc-pulled"
    (tmp_path / "empty").mkdir()
    assert pull._folder(tmp_path, "empty", "team/study/abc").name == "empty"


def test_a_file_that_did_not_come_is_told_with_the_remedy(client, tmp_path, command, monkeypatch):
    from wandb.apis.public import File

    sweep = client.add_sweep(sweep_text(seed=[1, 2]))
    good, cut = whole(client, sweep, 1), whole(client, sweep, 2)
    cut.files[runs.CONFUSION] = json.dumps(np.eye(10, dtype=int).tolist()).encode()
    download = File.download

    def lose(file, *args, **options):
        raise OSError("connection reset")

    monkeypatch.setattr(File, "download", lose)
    done = command("pull", sweep.path)
    assert done.returncode == 1 and "1 run fetched, 0 unchanged, 1 left out" in done.stdout
    assert f"left out: {cut.id}: confusion.json did not come (connection reset): pull again" in (
        done.stderr
    )
    monkeypatch.setattr(File, "download", download)
    done = command("pull", sweep.path)
    assert done.returncode == 0 and "1 run fetched, 1 unchanged" in done.stdout
    pulled = sweep_folder.find(tmp_path / "runs" / sweep.id)
    assert {run.path.name.rpartition("-")[2] for run in pulled} == {good.id, cut.id}


def whole(client, sweep, seed=1, epochs=2, **fields):
    """A run that is as it should be."""
    rows = [ROW | {"epoch": epoch} for epoch in range(1, epochs + 1)]
    return client.add_run(sweep, settings(seed=seed, epochs=epochs), rows, **fields)


def test_an_odd_run_holds_up_no_other(client, tmp_path, command):
    sweep = client.add_sweep(sweep_text(seed=[1, 2, 3]))
    whole(client, sweep, 1)
    odd = whole(client, sweep, 2, summary=[1])
    client.add_run(sweep, settings() | {"\x1b[2J": 1}, [])
    whole(client, sweep, 3)
    done = command("pull", sweep.path)
    assert done.returncode == 0 and "2 runs fetched, 0 unchanged, 2 left out" in done.stdout
    assert f"left out: {odd.id}: it cannot be read (CommError: Unable to convert [1]" in done.stderr
    assert "named \\x1b[2J" in done.stderr and "\x1b" not in done.stderr
    assert len(sweep_folder.find(tmp_path / "runs" / sweep.id)) == 2


def test_a_run_that_is_deleted_on_the_server_leaves_the_means(client, tmp_path, command):
    sweep = client.add_sweep(sweep_text(seed=[1, 2, 3]))
    gone, odd, _ = (whole(client, sweep, seed) for seed in (1, 2, 3))
    assert "3 runs fetched" in command("pull", sweep.path).stdout
    folder = tmp_path / "runs" / sweep.id
    [name] = [run.path.name for run in sweep_folder.find(folder) if run.path.name.endswith(gone.id)]
    del client.runs[gone.id]
    odd.summary, odd.state = {"cause": {}}, "failed"
    done = command("pull", sweep.path)
    assert f"{name}: deleted on the server: set aside as {name}.deleted" in done.stderr
    assert f"-{odd.id}: its run is left out: set aside" in done.stderr
    assert (folder / f"{name}.deleted" / runs.HISTORY).is_file()
    assert [run.config.seed for run in collect(folder).all] == [3]
    client.runs[gone.id] = gone  # and if it comes again, it is a run again
    assert "1 run fetched, 1 unchanged" in command("pull", sweep.path).stdout
    del client.runs[gone.id]
    assert f"set aside as {name}.deleted-2" in command("pull", sweep.path).stderr


def test_a_run_whose_settings_were_edited_is_counted_once(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=1))
    run = whole(client, sweep)
    pull.pull(sweep.path, tmp_path)
    run.raw_config["norm"] = {"value": "layer"}
    run.state = "crashed"
    pulled = pull.pull(sweep.path, tmp_path)
    assert "other settings now" in pulled.set_aside[0]
    assert [run.config.norm for run in sweep_folder.find(pulled.folder)] == ["layer"]


def test_an_outage_ends_a_pull_in_one_line_and_loses_nothing(
    client, tmp_path, command, monkeypatch
):
    sweep = client.add_sweep(sweep_text(seed=list(range(9))))
    for seed in range(9):
        whole(client, sweep, seed)
    fetch, first = server_run.fetch, next(iter(sweep.runs))

    def cut_off(wandb_run, folder):
        """The server goes away while one run is fetched, and eight others have come."""
        if wandb_run.id != first:
            fetched = fetch(wandb_run, folder)
            done.append(wandb_run.id)
            if len(done) == 8:
                client.cut()
                away.set()
            return fetched
        away.wait(60)
        raise ConnectionError("cut")

    done, away = [], threading.Event()
    monkeypatch.setattr(server_run, "fetch", cut_off)
    monkeypatch.setattr(pull.client, "is_answering", lambda: False)
    ended = command("pull", sweep.path)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line == f"study: {sweep.path}: the server went away (cut): pull again, to go on"
    client.recover()
    monkeypatch.setattr(server_run, "fetch", fetch)
    assert "1 run fetched, 8 unchanged" in command("pull", sweep.path).stdout


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "null", '{"runs": []}', '{"runs": {"ID": {}}}', '{"runs": {"ID": 1}}',
     '{"runs": {"ID": {"stamp": [2, "finished"]}}}',
     '{"runs": {"ID": {"folder": "../elsewhere", "stamp": [2, "finished"]}}}',
     '{"runs": {"ID": {"folder": ["x"], "stamp": [2, "finished"]}}}'],
)  # fmt: skip
def test_a_damaged_index_is_no_more_than_a_first_pull(client, tmp_path, content):
    sweep = client.add_sweep(sweep_text(seed=1))
    run = whole(client, sweep)
    (tmp_path / "elsewhere").mkdir()
    files.write_text(tmp_path / sweep.id / runs.PULLED, content.replace("ID", run.id))
    assert pull.pull(sweep.path, tmp_path).fetched == 1
    assert pull.pull(sweep.path, tmp_path).unchanged == 1


def test_the_folder_of_a_sweep_is_below_out_whatever_its_name(client, tmp_path):
    for name in ("../../escaped", "n" * 300, "\N{SNOWMAN}" * 300, "\ud800", ".hidden"):
        sweep = client.add_sweep(sweep_text(seed=1) + f"name: {json.dumps(name)}\n")
        whole(client, sweep)
        pulled = pull.pull(sweep.path, tmp_path / "out")
        assert pulled.fetched == 1 and pulled.folder.parent == tmp_path / "out"


def test_the_command_writes_what_the_sweep_has_planned(client, tmp_path, command):
    sweep = client.add_sweep(sweep_text(seed=[1, 2]) + "description: 'target: 99.4'\n")
    client.add_run(sweep, settings(seed=1, epochs=1), [ROW | {"epoch": 1}])
    foreign = client.add_sweep("method: grid\nparameters: {wd: {value: 1}}\n")
    for path in (sweep.path, foreign.path):
        done = command("pull", path)
        assert done.returncode == 0
    assert (
        "what the sweep has planned is not known here: parameters.wd: no such setting"
        in done.stderr
    )
    plan = planned.read(tmp_path / "runs" / sweep.id)
    assert len(plan.configs) == 2 and plan.target == 99.4


def test_two_pulls_never_write_into_one_folder(client, tmp_path):
    sweep = client.add_sweep(sweep_text(seed=1))
    client.add_run(sweep, settings(seed=1, epochs=1), [ROW | {"epoch": 1}])
    folder = pull.pull(sweep.path, tmp_path / "runs").folder
    before = sorted(folder.rglob("*"))
    with (
        locks.claim(folder),
        pytest.raises(UsageError, match=rf"{folder}: another command is working in it; wait"),
    ):
        pull.pull(sweep.path, tmp_path / "runs")
    assert sorted(folder.rglob("*")) == before
    assert pull.pull(sweep.path, tmp_path / "runs").unchanged == 1


def test_a_machine_without_room_for_temporary_files_is_told_as_that(
    client, tmp_path, command, monkeypatch
):
    """It is no fault of the runs, which would be left out and never asked for again."""
    sweep = client.add_sweep(sweep_text(seed=[1, 2]))
    assert command("pull", sweep.path).returncode == 0  # by now wandb has a folder of its own
    whole(client, sweep, 1), whole(client, sweep, 2)
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
        done = command("pull", sweep.path)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("study: no folder for temporary files")
    assert "2 runs fetched" in command("pull", sweep.path).stdout
