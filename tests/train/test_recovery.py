"""What is damaged is set aside, never deleted, and the run is trained again."""

import shutil
from pathlib import Path

import pytest
import torch

from study import locks, runs, sweep_folder
from study.config import Config
from study.errors import RunError, UsageError
from study.train import checkpoint, loop, networks, recovery
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint
from tests.conftest import write_run
from tests.damage import DAMAGES

CONFIG = Config(dataset="digits", norm="batch", epochs=3, batch_size=512, seed=1)


class Listener(Callback):
    """Keeps what it is told; after the first epoch it does something to the run's folder."""

    def __init__(self, after_first=lambda: None) -> None:
        self.warnings, self.after_first = [], after_first

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def epoch(self, row: dict) -> None:
        if row["epoch"] == 1:
            self.after_first()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("whole") / runs.name(CONFIG), CONFIG).path


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "runs" / whole.name))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def begin(folder: Path, epochs: int) -> None:
    """Turn a whole run into one that was cut off after so many epochs."""
    rows = runs.read_history(folder)[:epochs]
    runs.write_summary(folder, {"state": runs.RUNNING})
    runs.write_history(folder, rows)
    network = networks.build(CONFIG).state_dict()
    Checkpoint(network, {}, rows).write(folder / runs.CHECKPOINT)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_set_aside_whole(folder, damage):
    damage(folder)
    before, listener = contents(folder), Listener()
    with locks.claim(folder):
        assert recovery.find_done(CONFIG, folder, listener) is None
    aside = folder.with_name(f"{folder.name}.damaged")
    assert contents(aside) == {n: b for n, b in before.items() if n != locks.LOCK}
    assert (aside / runs.WANDB).is_dir() and not folder.exists()
    [line] = listener.warnings
    assert "is damaged (" in line and f"set aside as {aside.name}, and trained again" in line


def test_folders_set_aside_are_numbered_and_no_command_reads_them(folder):
    for _ in range(3):
        (folder / runs.SUMMARY).write_text("[]")
        with locks.claim(folder):
            assert recovery.find_done(CONFIG, folder, Listener()) is None
        write_run(folder, CONFIG)
    names = sorted(path.name.removeprefix(folder.name) for path in folder.parent.iterdir())
    assert names == ["", ".damaged", ".damaged-2", ".damaged-3"]
    found, unread = sweep_folder.find_readable(folder.parent)
    assert [run.path for run in found] == [folder] and not unread


def test_what_is_whole_is_found_done_and_another_run_is_left_alone(folder):
    listener = Listener()
    assert recovery.find_done(CONFIG, folder, listener).done
    other = folder.rename(folder.with_name("mine"))
    with pytest.raises(UsageError, match="holds another run"):
        recovery.find_done(Config(dataset="digits", seed=2), other, listener)
    assert not listener.warnings


def test_a_whole_checkpoint_survives_a_damaged_history(folder):
    begin(folder, 2)
    with (folder / runs.HISTORY).open("a") as history:
        history.write('{"epoch": 3, "test/l')  # torn as the power failed
    listener = Listener()
    run = loop.train(CONFIG, folder, callback=listener)
    assert run.done and [row["test/accuracy"] for row in run.history[:2]] == [81, 82]
    [line] = listener.warnings
    assert "history.jsonl is damaged" in line and line.endswith("from the last whole epoch")


def _other_network(folder: Path) -> None:
    state = {"weight": torch.zeros(3)}
    Checkpoint(state, {}, runs.read_history(folder)).write(folder / runs.CHECKPOINT)


def _other_history(folder: Path) -> None:
    network = networks.build(CONFIG).state_dict()
    Checkpoint(network, {}, [{"epoch": 1}]).write(folder / runs.CHECKPOINT)


def _flipped(folder: Path) -> None:
    body = bytearray((folder / runs.CHECKPOINT).read_bytes())
    body[len(body) // 2] ^= 1
    (folder / runs.CHECKPOINT).write_bytes(body)


@pytest.mark.parametrize("damage", [_flipped, _other_network, _other_history])
def test_a_run_with_a_damaged_checkpoint_starts_anew(folder, damage):
    begin(folder, 1)
    damage(folder)
    before, listener = (folder / runs.CHECKPOINT).read_bytes(), Listener()
    with locks.claim(folder):
        assert recovery.find_done(CONFIG, folder, listener) is None
        assert recovery.find_checkpoint(CONFIG, folder, checkpoint.CPU, listener) is None
    aside = folder.with_name(f"{folder.name}.damaged")
    assert (aside / runs.CHECKPOINT).read_bytes() == before
    assert len(runs.read(aside).history) == 1
    [line] = listener.warnings
    assert line.startswith("checkpoint.pt is damaged") and line.endswith("from the start")


@pytest.mark.parametrize("leave", ["deleted", "renamed"])
def test_a_folder_that_goes_while_it_trains_fails_its_run_and_the_next_command_trains_it(
    leave, tmp_path
):
    folder = tmp_path / runs.name(CONFIG)
    gone = {
        "deleted": lambda: shutil.rmtree(folder),
        "renamed": lambda: folder.rename(tmp_path / "mine"),
    }
    with pytest.raises(RunError, match="is gone"):
        loop.train(CONFIG, folder, callback=Listener(gone[leave]))
    listener = Listener()
    run = loop.train(CONFIG, folder, callback=listener)
    assert [row["epoch"] for row in run.history] == [1, 2, 3] and not listener.warnings
