"""study check: what this machine has, and what is missing."""

import numpy as np

from study.cli import check
from study.errors import UsageError
from study.tracking import client
from tests.machines import sweep_text
from tests.test_datasets import made


def test_what_is_missing_is_downloaded_later_and_what_is_damaged_is_named(
    command, monkeypatch, tmp_path
):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "data"))
    done = command("check")
    assert done.returncode == 0, done.stdout
    assert "digits: 1,437 training and 360 test images, intact" in done.stdout
    for name in ("mnist", "cifar100"):
        assert f"{name}: not in {tmp_path / 'data'}" in done.stdout
    damaged = tmp_path / "data/cifar-10-batches-py"
    damaged.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (damaged / name).write_bytes(b"no pickle")
    done = command("check")
    assert done.returncode == 1
    assert "mend first" in done.stdout and "data_batch_1" in done.stdout


def test_ones_own_data_set_is_checked(command, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    np.savez(tmp_path / "mine.npz", **made())
    done = command("check", "--dataset", "digits", "own:mine")
    assert done.returncode == 0, done.stdout
    assert "own:mine: 30 training and 15 test images, intact" in done.stdout
    assert done.stdout.count("digits: ") == 1
    done = command("check", "--dataset", "own:yours")
    assert done.returncode == 1
    assert f"mend first: {tmp_path / 'yours.npz'}: cannot be read" in done.stdout


def test_an_unknown_data_set_is_one_line(command):
    done = command("check", "--dataset", "mnits")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "dataset=mnits" in line and "did you mean mnist?" in line


def test_a_full_disk_and_a_folder_that_cannot_be_written_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    monkeypatch.setattr(check, "LEAST_FREE", float("inf"))

    def refuse(folder, meant):
        raise UsageError(f"{folder}: cannot be written")

    monkeypatch.setattr(check.files, "check_writable", refuse)
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "agents"))
    assert check.run([], [], ask_login=False) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("mend first")]
    assert f"mend first: {tmp_path}: cannot be written" in lines
    for folder in ("runs", tmp_path / "agents"):
        assert any(f"{folder} has" in line and "make room for runs" in line for line in lines)


def test_a_cache_that_cannot_be_made_names_its_variable(command, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "file/cache"))
    done = command("check")
    [line] = [line for line in done.stdout.splitlines() if line.startswith("mend first")]
    assert line.startswith(f"mend first: {tmp_path / 'file'}: cannot be written (")
    assert line.endswith("choose another folder with STUDY_CACHE")


def test_a_login_is_asked_for_only_with_online(command, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))

    def refuse():
        raise UsageError("no W&B login: run `wandb login`")

    monkeypatch.setattr(client, "check_login", refuse)
    assert command("check").returncode == 0
    done = command("check", "--online")
    assert done.returncode == 1
    assert "mend first: no W&B login" in done.stdout


def test_a_sweep_file_is_checked_with_its_networks_and_data_sets(command, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    np.savez(tmp_path / "mine.npz", **made(classes=10, images=40, shape=(20, 20)))
    file = tmp_path / "mine.yaml"
    file.write_text(sweep_text(dataset="own:mine", norm=["batch", "layer"], max_parameters=8000))
    done = command("check", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{file}: grid, 2 configurations" in done.stdout
    assert "mnist_7684 with LN on own:mine: 7,684 parameters of at most 8,000" in done.stdout
    assert "own:mine: 40 training and 20 test images, intact" in done.stdout
    file.write_text(sweep_text(network=["mnist_7684", "mnist_9680"], max_parameters=8000))
    done = command("check", file)
    wrong = "max_parameters=8000: mnist_9680 with BN on digits has 9,680 parameters"
    assert done.returncode == 2 and done.stderr.splitlines() == [f"study: {file}: {wrong}"]
    done = command("sweep", file)
    assert done.returncode == 2 and done.stderr.splitlines() == [f"study: {wrong}"]
    assert not list(tmp_path.glob("runs/*/*.json"))
