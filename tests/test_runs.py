import dataclasses
import errno
import json
import subprocess

import numpy as np
import pytest

from study import extension, files, runs, sweep_folder
from study.config import Config
from study.errors import RunError, UnknownSettingError, UsageError
from study.train import image_grid


def test_a_run_folder_reads_back(tiny_run):
    again = runs.read(tiny_run.path)
    assert again.config == tiny_run.config
    assert [row["epoch"] for row in again.history] == [1, 2]
    assert again.state == runs.FINISHED
    assert again.parameters()["total"] == 7684
    wrong = again.misclassified()
    assert len(wrong.pixels) == min(len(wrong.index), 100)
    assert (np.diff(wrong.confidence) <= 0).all()
    assert again.misclassified_indices().tolist() == wrong.index.tolist()
    assert (wrong.target != wrong.predicted).all()
    confusion = again.confusion()
    assert confusion.sum() == 360
    assert confusion.sum() - confusion.trace() == len(wrong.index)
    assert (again.path / "misclassified.png").stat().st_size > 5000
    assert not (again.path / "checkpoint.pt").exists()


def test_the_misclassified_grid_shows_ten_images(tiny_run):
    figure = image_grid.draw_misclassified(tiny_run.misclassified(), "0123456789", "mistakes", 10)
    (axes,) = figure.axes
    assert len(axes.images) == 10
    assert sum(" as " in words.get_text() for words in axes.texts) == 10


def test_a_path_that_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no run folder"):
        runs.read(tmp_path)
    runs.write_config(tmp_path / "run1", Config())
    with pytest.raises(UsageError, match="is the folder of a sweep; give one run of it, such as"):
        runs.read(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    runs.write_config(tmp_path, Config())
    (tmp_path / "history.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(UsageError, match=r"history\.jsonl: is damaged"):
        runs.read(tmp_path)


def test_indices_that_are_damaged_since_the_run_was_read_are_named(tmp_path):
    run = runs.Run(tmp_path, Config(), [], {})
    (tmp_path / runs.MISCLASSIFIED).write_bytes(b"cut")
    with pytest.raises(UsageError, match=r"misclassified\.npz: is damaged"):
        run.misclassified_indices()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"network": "tiny_net"}, "uses network=tiny_net, which this installation does not know:"
         " set STUDY_IMPORT to the module that registers it, or use the code that trained it"),
        ({"warmup": 3, "augment": "mixup"}, "uses augment=mixup, warmup=3, which this installation"
         " does not know: use the code that trained it"),
    ],
)  # fmt: skip
def test_a_run_of_other_code_is_not_damaged(change, why, tmp_path):
    content = dataclasses.asdict(Config()) | change
    files.write_json(tmp_path / "runs/batch_s0_0123456789" / runs.CONFIG, content)
    with pytest.raises(UnknownSettingError, match=rf"config\.json: {why}$"):
        runs.read(tmp_path / "runs/batch_s0_0123456789")
    assert sweep_folder.find_readable(tmp_path / "runs") == ([], {"batch_s0_0123456789": why})
    with pytest.raises(UsageError, match=f"config.json: {why}$"):
        sweep_folder.find(tmp_path / "runs")


def test_a_module_that_cannot_be_imported_damages_no_run(tmp_path, monkeypatch):
    files.write_json(tmp_path / runs.CONFIG, dataclasses.asdict(Config()) | {"network": "tiny_net"})
    monkeypatch.setenv("STUDY_IMPORT", "no_such_module")
    monkeypatch.setattr(extension, "load", extension.load.__wrapped__)
    monkeypatch.setattr(extension, "backbone_names", extension.backbone_names.__wrapped__)
    with pytest.raises(UsageError, match=r"^STUDY_IMPORT=no_such_module: cannot be imported"):
        runs.read(tmp_path)


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    files.write_json(path, {"state": "running"})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(
        RunError, match=r"summary\.json: cannot be written \(No space left on device"
    ):
        files.write_json(path, {"state": "finished"})
    assert json.loads(path.read_text()) == {"state": "running"}
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_nan_never_reaches_a_file(tmp_path):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "summary.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_fails_the_run_in_one_line(mounted, command):
    folder = mounted("size=200k")
    (folder / "other").write_bytes(b"\0" * 100_000)
    done = command("train", "--epochs", 1, "--out", folder / "run")
    assert done.returncode == 1, done.stderr
    [line] = done.stderr.splitlines()
    assert "No space left on device" in line
    assert "make room" in line
    assert not [p for p in (folder / "run").iterdir() if p.name.startswith(".") and p.suffix]
    (folder / "other").unlink()
    subprocess.run(["mount", "-o", "remount,size=10m", str(folder)], check=True)
    again = command("train", "--epochs", 1, "--out", folder / "run")
    assert again.returncode == 0, again.stderr


def test_a_read_only_folder_is_refused_before_training(mounted, command):
    folder = mounted("size=1m,ro")
    done = command("train", "--epochs", 1, "--out", folder / "run")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "Read-only file system" in line and "--out" in line
