"""`study sync`: the real wandb client against the stand-in backend."""

import contextlib
import dataclasses
import errno
import os
from types import SimpleNamespace

import pytest

from study import locks, runs
from study.config import Config
from study.errors import RunError, UsageError
from study.tracking import heartbeats, logger, marks, packs, sync, tables
from tests.machines import TINY, epochs, finish, sweep_text
from tests.tracking.test_pull import turned_to

LONG = TINY | {"epochs": 6, "dropout": 0.1}
# The client gives up an upload after one more try.
IMPATIENT = {
    f"WANDB_X_{name}_RETRY_MAX": "1" for name in ("FILE_STREAM", "FILE_TRANSFER", "GRAPHQL")
}
ONCE = {"study.tracking.stored.ATTEMPTS": 1}  # and we ask no server again that is away


def folder_of(machine, run):
    [folder] = (machine.home / "runs").glob(f"*/*-{run.id}")
    return folder


def killed(server, machine, *words, **variables):
    """The runs of a sweep whose process is killed, with nobody else told, once all have a row."""
    sweep = server.add_sweep(sweep_text(**LONG, seed=[1, 2]))
    process = machine.fork("agent", sweep.path, "--pack", "2")
    found = sweep.runs
    server.wait_for(lambda: len(found) == 2 and all(run.rows for run in found.values()), 120)
    process.kill()
    finish(process)
    for run in found.values():
        server.crash(run.id)
        assert run.state == "crashed" and len(run.rows) < 6
    return list(found.values())


def test_a_killed_pack_is_trained_on_and_finishes_the_same_runs(server, machine):
    first, second = killed(server, machine)
    code, output = machine.study("sync", "runs/" + first.sweep)
    assert code == 0 and "0 runs uploaded, 2 trained to their end" in output, output
    assert len(server.runs) == 2 and not server.unknown
    for run in (first, second):
        assert (run.state, run.exit_code, run.summary["state"]) == ("finished", 0, "finished")
        assert epochs(run) == [1, 2, 3, 4, 5, 6] and run.sweep == first.sweep
        assert set(tables.NAMES) <= run.summary.keys()
        assert {"history.jsonl", "misclassified.npz"} <= set(run.files)
        assert marks.is_recorded(folder_of(machine, run), "online")
    before = server.requests["UpsertBucket"]
    code, output = machine.study("sync", folder_of(machine, first), folder_of(machine, second))
    assert code == 0 and "0 trained to their end, 2 were complete, 0 left" in output, output
    assert server.requests["UpsertBucket"] == before


def test_a_run_whose_end_never_reached_the_server_is_trained_and_uploaded_later(server, machine):
    sweep = server.add_sweep(sweep_text(**LONG, seed=1))
    agent = machine.fork("agent", sweep.path, "--count", "1", patches=ONCE, **IMPATIENT)
    server.wait_for(lambda: any(run.rows for run in sweep.runs.values()), 120)
    server.cut()
    output = finish(agent)
    [run] = sweep.runs.values()
    folder = folder_of(machine, run)
    assert agent.returncode == 0 and "1 run trained" in output and "0 failed" in output, output
    assert f"`study sync {folder}` completes it" in output, output
    assert run.state == "running" and len(run.rows) < 6 and not run.files.get("misclassified.npz")
    assert not marks.is_recorded(folder, "online")
    server.recover()
    server.crash(run.id)
    code, output = machine.study("sync", folder)
    assert code == 0 and "1 run uploaded, 0 trained to their end" in output, output
    assert run.state == "finished" and epochs(run) == [1, 2, 3, 4, 5, 6]
    assert set(tables.NAMES) <= run.summary.keys() and "misclassified.npz" in run.files


@pytest.fixture
def client(server, tmp_path):
    with turned_to(server, tmp_path / "wandb"):
        yield server


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """Leave pytest its own handlers of signals."""
    monkeypatch.setattr("signal.signal", lambda *_: None)


def cut_off(server, folder, seed):
    """A run that was killed in its first epoch, and its W&B run."""
    config = Config(norm="layer", epochs=1, seed=seed)
    run = server.add_run(None, dataclasses.asdict(config), [], state="crashed")
    run.raw_config["_wandb"] = {"value": {"t": {}}}
    path = folder / f"{runs.name(config)}-{run.id}"
    runs.write_config(path, config)
    marks.mark_opened(SimpleNamespace(path=f"team/tests/{run.id}"), path)
    return path, run


def test_a_damaged_run_of_an_agent_is_set_aside_and_trained(client, tmp_path):
    """W&B assigns it to no other agent."""
    sweep = client.add_sweep(sweep_text(seed=1))
    path, run = cut_off(client, tmp_path / "runs", 1)
    marks.mark_opened(SimpleNamespace(path=f"team/tests/{run.id}"), path, sweep.id)
    (path / runs.HISTORY).write_text('{"epoch": 1, "test/lo')
    with pytest.raises(UsageError, match=rf"is damaged .*: `study sync {path}` sets it aside"):
        runs.read(path)
    outcome = sync.sync([tmp_path / "runs"], "cpu")
    assert outcome.continued == 1 and not outcome.left
    assert run.state == "finished" and marks.is_recorded(path, "online")
    assert list((tmp_path / "runs").glob("*.damaged"))


def test_a_run_of_an_agent_without_its_configuration_is_left(client, tmp_path):
    """What it was to train is known no more, so the remedy must not be to sync."""
    sweep = client.add_sweep(sweep_text(seed=1))
    path, run = cut_off(client, tmp_path / "runs", 1)
    marks.mark_opened(SimpleNamespace(path=f"team/tests/{run.id}"), path, sweep.id)
    (path / runs.CONFIG).write_text('{"norm": "la')
    outcome = sync.sync([tmp_path / "runs"], "cpu")
    [why] = outcome.left.values()
    assert why.endswith("W&B assigns it to no agent again: train its settings in another sweep")


def test_a_run_that_another_process_takes_meanwhile_is_left_to_it(
    client, tmp_path, monkeypatch, capsys
):
    trained, opened = (cut_off(client, tmp_path / "runs", seed) for seed in (1, 2))
    find = sync._find_incomplete

    def find_and_take(*found):
        incomplete = find(*found)
        others.enter_context(locks.claim(trained[0]))
        return incomplete

    def group_and_open(self, found):
        marks.mark_opened(SimpleNamespace(path=f"team/tests/{opened[1].id}"), opened[0])
        yield list(found)

    monkeypatch.setattr(sync, "_find_incomplete", find_and_take)
    monkeypatch.setattr(sync._Sync, "_group", group_and_open)
    with contextlib.ExitStack() as others:
        outcome = sync.sync([tmp_path / "runs"], "cpu")
    assert not outcome.left and outcome.skipped == {
        str(trained[0]): "another process is training this run; wait for it",
        str(opened[0]): "another process has taken it meanwhile",
    }
    assert [(run.state, run.starts) for run in client.runs.values()] == [("crashed", 0)] * 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_opened_a_moment_ago_is_waited_for_then_trained_or_left(
    client, tmp_path, monkeypatch, capsys
):
    killed, alive = (cut_off(client, tmp_path / "runs", seed) for seed in (1, 2))
    for _, run in (killed, alive):
        run.state = "running"  # the server has not missed them yet
    wait = heartbeats.wait

    def wait_and_lock(awaited, signals):
        monkeypatch.setattr(heartbeats, "OPENING", 1)
        wait(awaited, signals)
        others.enter_context(locks.claim(alive[0]))

    monkeypatch.setattr(heartbeats, "wait", wait_and_lock)
    with contextlib.ExitStack() as others:
        outcome = sync.sync([tmp_path / "runs"], "cpu")
    assert outcome.skipped == {str(alive[0]): "another process is training this run; wait for it"}
    assert not outcome.left
    assert outcome.continued == 1 and killed[1].state == "finished" and alive[1].starts == 0


def handed_back(server, folder, seed, **fields):
    """A run that was opened here long ago, and its W&B run."""
    path, run = cut_off(server, folder, seed)
    os.utime(path / runs.WANDB / marks.OPENED, (0, 0))
    for name, value in fields.items():
        setattr(run, name, value)
    return path, run


def test_a_run_that_another_machine_trains_is_left_to_it(client, tmp_path, monkeypatch):
    """It was handed back here, and nobody on this machine has locked its folder."""
    alive, killed = (handed_back(client, tmp_path, seed, state="running") for seed in (1, 2))
    old = handed_back(client, tmp_path, 3, state="running", heartbeat="2026-01-01T00:00:00")
    monkeypatch.setattr(packs, "train", lambda opened, *_, **__: [RunError("odd")] * len(opened))
    wait = heartbeats.wait

    def wait_and_hear(awaited, signals):
        assert awaited.keys() == {alive[0], killed[0]} and old[1].state == "failed"
        monkeypatch.setattr(heartbeats, "OPENING", 0)
        wait(awaited, signals)
        alive[1].heartbeat = "2100-01-01T00:00:00Z"

    monkeypatch.setattr(heartbeats, "wait", wait_and_hear)
    outcome = sync.sync([tmp_path], "cpu")
    assert outcome.skipped == {str(alive[0]): heartbeats.ELSEWHERE}
    assert outcome.left == {str(path): "odd" for path, _ in (killed, old)}
    assert (alive[1].state, killed[1].state) == ("running", "failed")


def test_a_clock_that_is_ahead_holds_up_no_run_for_ever(client, tmp_path, monkeypatch):
    """That of the disk that its folder is on."""
    path, run = handed_back(client, tmp_path, 1, state="running")
    os.utime(path / runs.WANDB / marks.OPENED, (4e9, 4e9))
    monkeypatch.setattr(packs, "train", lambda opened, *_, **__: [RunError("odd")] * len(opened))
    wait = heartbeats.wait
    monkeypatch.setattr(
        heartbeats,
        "wait",
        lambda *given: monkeypatch.setattr(heartbeats, "OPENING", 0) or wait(*given),
    )
    assert sync.sync([tmp_path], "cpu").left and run.state == "failed"


def test_a_run_that_another_machine_has_trained_is_complete(client, tmp_path):
    handed_back(client, tmp_path, 1, state="finished")
    outcome = sync.sync([tmp_path], "cpu")
    assert outcome.complete == 1 and not outcome.left and not outcome.skipped


def test_where_a_disk_has_no_locks_w_and_b_knows_whether_a_run_lives(client, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    path, run = cut_off(client, tmp_path / "runs", 1)
    monkeypatch.setattr(heartbeats, "OPENING", 0)
    monkeypatch.setattr("fcntl.flock", refuse)
    (path / locks.LOCK).touch()  # as who trains it has left it
    run.state = "running"
    assert sync.sync([tmp_path / "runs"], "cpu").skipped == {str(path): heartbeats.UNKNOWN}
    run.state = "crashed"
    assert sync.sync([tmp_path / "runs"], "cpu").continued == 1


def test_a_run_that_cannot_be_opened_is_left_and_holds_up_no_other(client, tmp_path, monkeypatch):
    made = [cut_off(client, tmp_path / "runs", seed) for seed in (1, 2, 3)]
    open_run, mark = logger.init_by_path, marks.mark_opened
    (odd, _), (full, on_server), (whole, last) = made

    def refuse_one(path, *rest, **options):
        if path.endswith(made[0][1].id):
            raise ValueError("odd\nin two lines")
        return open_run(path, *rest, **options)

    def fill_disk(wandb_run, folder, sweep):
        if folder == full:
            raise RunError(f"{folder}: cannot be written")
        mark(wandb_run, folder, sweep)

    monkeypatch.setattr(logger, "init_by_path", refuse_one)
    monkeypatch.setattr(marks, "mark_opened", fill_disk)
    monkeypatch.setattr(
        packs, "train", lambda opened, *_, **__: [RunError("made up")] * len(opened)
    )
    outcome = sync.sync([tmp_path / "runs"], "cpu")
    assert outcome.left == {
        str(odd): "ValueError: odd",
        str(full): f"{full}: cannot be written",
        str(whole): "made up",
    }
    assert (on_server.starts, on_server.state) == (1, "failed")  # closed again
    assert (last.starts, last.state) == (1, "failed") and last.summary["cause"] == "made up"


def test_a_damaged_mark_holds_up_no_other_run(client, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "train", lambda opened, *_, **__: [RunError("odd")] * len(opened))
    (torn, _), (logged, _), (whole, on_server) = (
        cut_off(client, tmp_path / "runs", seed) for seed in (1, 2, 3)
    )
    for path in (torn, logged):
        (path / runs.WANDB / marks.OPENED).write_text('{"path": "te')
    marks.mark_recorded(f"team/tests/{on_server.id}0", logged)
    (torn / runs.WANDB / marks.MARKS["online"]).write_bytes(b"\xff\xfe")
    outcome = sync.sync([torn, logged, whole], "cpu")
    damaged = [outcome.left[str(path)] for path in (torn, logged)]
    assert all(f"{marks.OPENED}: is damaged; delete it" in why for why in damaged)
    assert outcome.left[str(whole)] == "odd" and on_server.starts == 1


def test_a_run_that_cannot_be_read_holds_up_no_other(client, tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "train", lambda opened, *_, **__: [RunError("odd")] * len(opened))
    (torn, _), (whole, on_server) = (cut_off(client, tmp_path / "runs", seed) for seed in (1, 2))
    (torn / runs.CONFIG).write_text('{"norm": "la')
    outcome = sync.sync([torn, whole], "cpu")
    assert "config.json: is damaged" in outcome.left[str(torn)] and on_server.starts == 1


def test_a_server_that_is_away_is_told_with_the_remedy(client, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_X_GRAPHQL_RETRY_MAX", "1")
    cut_off(client, tmp_path / "runs", 1)
    client.fail(503)
    with pytest.raises(RunError, match=r"does not answer .*: run the command again$"):
        sync.sync([tmp_path / "runs"], "cpu")


def test_a_run_that_failed_goes_on_once_its_cause_is_mended(client, tmp_path, monkeypatch):
    """It lacked memory, say; W&B assigns it to nobody again."""
    path, run = cut_off(client, tmp_path / "runs", 1)
    run.state = "failed"
    runs.write_failure(path, runs.read_config(path), "out of memory")
    trained = []

    def train(opened, *_, **__):
        trained.extend(each.folder for each in opened)
        return [RunError("odd")]

    monkeypatch.setattr(packs, "train", train)
    assert sync.sync([tmp_path / "runs"], "cpu").complete == 1 and not trained
    outcome = sync.sync([tmp_path / "runs"], "cpu", failed=True)
    assert trained == [path] and outcome.left == {str(path): "odd"}
