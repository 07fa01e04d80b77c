"""Odd runs of a server, each left out by name: the real wandb client against the stand-in."""

import io
import json
import math
import zipfile

import numpy as np
import pytest

from study import runs, sweep_folder
from study.config import FIELDS, Config
from study.tracking import pull, server_run
from tests.machines import settings, sweep_text
from tests.tracking import test_pull
from tests.tracking.test_pull import ROW, turned_to
from tests.wandb_server import Server

client = test_pull.client
ROWS = [ROW | {"epoch": epoch} for epoch in (1, 2)]
VAL = {"val/loss": 0.2, "val/accuracy": 96.0}
OURS = settings(seed=1, epochs=2)
SUMMARY = {"state": "finished", "device": "cpu", "versions": {"torch": "2"}, "epochs": 2}


def uploaded(**values) -> dict[str, bytes]:
    return {runs.SUMMARY: json.dumps(SUMMARY | values).encode()}


def archive(**members: bytes) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return body.getvalue()


def pickled() -> bytes:
    body = io.BytesIO()
    np.savez(body, index=np.array([{}], dtype=object))
    return body.getvalue()


# Runs that are odd in one thing, each with what is said of it.
CONFIGS = [
    ({"architecture": "vit"}, "no settings named architecture"),
    ({"learning_rate": 0.1, "optimizer": "adam"}, "no settings named learning_rate"),
    ({"learning_rate": 0.1, "wd": 0.1, "lr": 0.1}, "no settings named learning_rate, wd"),
    (OURS | {"depth": 3, "\x1b[2J": 1}, "no settings named depth, \x1b[2J"),
    ({}, f"lacks {', '.join(FIELDS)}"),
    ({k: v for k, v in OURS.items() if k != "lr"}, "lacks lr"),
    ({"variant": "norm=layer", "seed": 1}, "lacks dataset, network, norm, groups"),
    (OURS | {"lr": "fast"}, "lr='fast'"),
    (OURS | {"norm": ["batch"]}, "norm="),
    (OURS | {"dataset": "own:../../etc"}, "dataset=own:../../etc"),
    (OURS | {"epochs": 10**400}, "epochs="),
]
HISTORIES = [
    ([ROWS[0] | VAL, ROWS[1]], "val/loss is in 1 of its 2 epochs only"),
    ([ROWS[0], ROWS[1] | {"val/accuracy": 96}], "val/accuracy is in 1 of its 2 epochs only"),
    ([ROW, ROW], "no finite epoch"),
    ([{"epoch": 1, "train/loss": 1.0}, {"epoch": 1, "test/loss": 1.0, "test/accuracy": 9.0}],
     "no finite test/loss and no test/accuracy: an epoch is logged in one call"),
    ([ROWS[0], ROWS[1] | {"test/loss": math.nan}], "no finite test/loss"),
    ([ROWS[0], ROWS[1] | {"test/accuracy": "97"}], "no finite test/accuracy"),
    ([ROWS[0], ROWS[1] | {"test/accuracy": True}], "no finite test/accuracy"),
    ([ROWS[0], ROWS[1] | {"test/accuracy": 10**400}], "no finite test/accuracy"),
    ([ROW | {"epoch": 0}, ROW | {"epoch": 1}], "epoch=0: allowed is a whole number at least 1"),
    ([ROW | {"epoch": 1.5}], "epoch=1.5"),
    ([ROW | {"epoch": [1]}], "no finite epoch"),
    ([ROWS[0], ROWS[1] | {"test/accuracy": 150.0}], "test/accuracy=150: allowed are percent"),
    ([ROWS[0] | {"train/accuracy": -1}, ROWS[1]], "train/accuracy=-1"),
    ([r | {"test/accuracy": 0.97, "train/accuracy": 1.0} for r in ROWS], "not fractions"),
    ([ROWS[0], ROWS[1] | {"_step": 10**7}], "10,000,000 steps"),
]  # fmt: skip
OTHERS = [
    ({"summary": [1]}, "it cannot be read (CommError: Unable to convert [1]"),
    ({"summary": "text"}, "it cannot be read (CommError: Expecting value"),
    ({"summary": {"cause": {"a": 1}}, "state": "failed"}, "cause={'a': 1}: allowed is text"),
    ({"summary": {"cause": math.nan}}, "cause=nan: allowed is text"),
    ({"given": {runs.SUMMARY: b'{"state": "fini'}}, "its summary.json is damaged"),
    ({"given": {runs.SUMMARY: b"\xff\xfe"}}, "its summary.json is damaged"),
    ({"given": {runs.SUMMARY: b"[" * 100_000}}, "its summary.json is damaged"),
    ({"given": {runs.SUMMARY: b"[1]"}}, "its summary.json is no mapping"),
    ({"given": uploaded(peak_memory_mb=math.nan)}, "summary.json has peak_memory_mb=nan"),
    ({"given": uploaded(device=["cpu"])}, "summary.json has device=['cpu']"),
    ({"given": uploaded(cause={})}, "summary.json has cause={}"),
    ({"given": uploaded(versions=["1"])}, "summary.json has versions=['1']"),
    ({"given": uploaded(versions={"torch": 2})}, "summary.json has versions="),
    ({"config": OURS | {"max_parameters": 7000}, "summary": {"parameters": 7684}},
     "max_parameters=7000: mnist_7684 with BN on digits has 7,684 parameters"),
    ({"given": {runs.PARAMETERS: b"{"}}, "its parameters.json is damaged"),
    ({"given": {runs.CONFUSION: b"{}"}}, "its confusion.json is damaged"),
    ({"given": {runs.MISCLASSIFIED: b"PK"}}, "its misclassified.npz is damaged"),
    ({"given": {runs.MISCLASSIFIED: archive(index=b"")[:-30]}}, "misclassified.npz is damaged"),
    ({"given": {runs.MISCLASSIFIED: archive(other=b"")}}, "misclassified.npz is damaged"),
    ({"given": {runs.MISCLASSIFIED: archive(index=bytes(70_000_000))}}, "70 MB unpacked"),
    ({"given": {runs.MISCLASSIFIED: pickled()}}, "its misclassified.npz is damaged"),
    ({"given": {"../../up": b"x"}, "unasked": ("../../up",)}, "a file named '../../up'"),
    ({"given": {"/etc/x": b"x"}, "unasked": ("/etc/x",)}, "a file named '/etc/x'"),
    ({"given": {".pulled.json": b"x"}, "unasked": (".pulled.json",)}, "file named '.pulled"),
    ({"id": "x/../../../escaped"}, "its id is no file name"),
    ({"id": ".."}, "its id is no file name"),
    ({"id": "n" * 300}, "its id is no file name"),
    ({"id": "a\nb"}, "its id is no file name"),
]  # fmt: skip
ODD = [
    *(({"config": config}, why) for config, why in CONFIGS),
    *(({"rows": rows}, why) for rows, why in HISTORIES),
    *OTHERS,
]


def add(server, sweep, config=OURS, rows=ROWS, given=None, **fields):
    return server.add_run(sweep, config, rows, given, **fields)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """One pull of all odd runs and of one that is whole: its folder, their ids, what it did."""
    home = tmp_path_factory.mktemp("together")
    with Server() as server, turned_to(server, home / "wandb"):
        sweep = server.add_sweep(sweep_text(seed=[1, 2]))
        ids = [add(server, sweep, **run).id for run, _ in ODD]
        add(server, sweep, settings(seed=2, epochs=2))
        yield home, ids, pull.pull(sweep.path, home / "runs")


@pytest.mark.parametrize("case", range(len(ODD)), ids=lambda case: ODD[case][1])
def test_an_odd_run_is_left_out_by_name(together, case):
    _, ids, pulled = together
    [line] = pulled.refused[ids[case]].splitlines()
    assert ODD[case][1] in line


def test_nothing_else_is_left_out_or_written(together):
    home, ids, pulled = together
    assert pulled.fetched == 1 and pulled.refused.keys() == {*ids}
    assert [run.config.seed for run in sweep_folder.find(pulled.folder)] == [2]
    assert {path.name for path in home.iterdir()} == {"wandb", "runs"}
    assert len([*pulled.folder.iterdir()]) == 3  # the run, the index, and the lock


def pull_one(client, tmp_path, **run):
    """Pull a sweep of one run; the run, its folder, and what the pull did."""
    sweep = client.add_sweep(sweep_text(seed=1))
    run = add(client, sweep, **run)
    done = pull.pull(sweep.path, tmp_path / "runs")
    assert done.fetched == 1 and not done.refused
    [folder] = done.folder.glob(f"*-{run.id}")
    return run, folder, done


def test_a_run_of_an_older_version_lacks_newer_settings(client, tmp_path):
    older = {name: value for name, value in OURS.items() if name != "optimizer"}
    _, folder, _ = pull_one(client, tmp_path, config=older, tags=["norm-study"])
    assert runs.read(folder).config == Config(**OURS)


@pytest.mark.parametrize(
    ("dataset", "accuracy", "loss", "are"),
    [
        ("mnist", 0.5, 2.0, True),
        ("mnist", 9.8, 2.0, False),
        ("cifar100", 1.0, 4.6, False),  # a run that learns nothing
        ("cifar100", 0.9, 0.4, True),
        ("own:mine", 0.9, 0.9, True),
    ],
)
def test_fractions_are_told_from_percent(dataset, accuracy, loss, are):
    row = {"epoch": 1, "test/accuracy": accuracy, "test/loss": loss}
    assert server_run._are_fractions([row], Config(dataset=dataset)) is are


@pytest.mark.parametrize("says", [True, False])  # the server may say another size
def test_a_file_that_is_too_large_is_left_out(client, tmp_path, monkeypatch, says):
    from wandb.apis.public import File

    monkeypatch.setattr(server_run, "MOST_MB", 0.001)
    if not says:
        size = File.size.fget
        monkeypatch.setattr(File, "size", property(lambda file: min(size(file), 1)))
    given = {
        runs.GRID: bytes(1001),
        runs.CONFUSION: json.dumps(np.eye(10, dtype=int).tolist()).encode(),
    }
    run, folder, done = pull_one(client, tmp_path, given=given)
    assert done.skipped == [f"{run.id}: {runs.GRID} has 0 MB: at most 0.001 are fetched"]
    assert {path.name for path in folder.iterdir()} == {
        runs.CONFIG, runs.HISTORY, runs.SUMMARY, runs.CONFUSION,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at_wandb", "state"),
    [("preempting", runs.RUNNING), ("preempted", runs.RUNNING), ("crashed", runs.FAILED)],
)
def test_a_run_that_was_handed_back_is_still_to_come(client, tmp_path, at_wandb, state):
    _, folder, _ = pull_one(client, tmp_path, rows=ROWS[:1], state=at_wandb)
    assert runs.read(folder).state == state


def test_no_password_comes_with_an_address(client, tmp_path, monkeypatch):
    address = client.url.replace("//", "//alice:hunter2@")
    monkeypatch.setenv("WANDB_BASE_URL", address)
    _, folder, _ = pull_one(client, tmp_path)
    url = runs.read(folder).summary["url"]
    assert url.startswith(f"{client.url}/") and "hunter2" not in url


def test_a_file_that_is_gone_on_the_server_is_gone_here(client, tmp_path):
    run, folder, _ = pull_one(client, tmp_path, given={runs.GRID: b"png"}, state="running")
    (folder / "notes.txt").touch()
    del run.files[runs.GRID]
    run.state = "finished"
    pull.pull(f"{run.entity}/{run.project}/{run.sweep}", tmp_path / "runs")
    assert not (folder / runs.GRID).exists() and (folder / "notes.txt").exists()
    assert runs.read(folder).state == runs.FINISHED


def test_figures_follow_from_the_history_whatever_was_uploaded(client, tmp_path):
    claim = {"test_accuracy_last": 99.9, "state": "finished", "url": "javascript:x", "epochs": 9}
    _, folder, _ = pull_one(client, tmp_path, rows=ROWS[:1], given=uploaded(**claim))
    run = runs.read(folder)
    assert run.state == runs.STOPPED  # one epoch of two
    assert (run.summary["test_accuracy_last"], run.summary["epochs"]) == (97.0, 1)
    assert run.summary["device"] == "cpu" and run.summary["url"].startswith("http")
