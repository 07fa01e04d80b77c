"""A checkpoint is as it was written, or it is refused."""

import numpy as np
import pytest
import torch

from study import runs
from study.config import Config
from study.errors import DamagedError
from study.train import checkpoint
from study.train.checkpoint import CPU, Checkpoint, PackCheckpoint
from tests.conftest import ROOT, write_run

FLIPS = 300
STATE = {"weight": torch.arange(200.0), "bias": torch.ones(3)}
HISTORY = [{"epoch": 1, "test/accuracy": 90.0}]


def own(home):
    Checkpoint(STATE, {"momentum": list(STATE.values())}, HISTORY).write(home / runs.CHECKPOINT)
    return home / runs.CHECKPOINT


def of_a_pack(home):
    folders = [home / "a", home / "b"]
    for folder in folders:
        folder.mkdir()
    shared = PackCheckpoint(folders)
    network = {name: torch.stack([values, 2 * values]) for name, values in STATE.items()}
    best = {"predicted": torch.zeros(2, 5, dtype=torch.int16)}
    lines = [['{"epoch": 1}']] * 2
    shared.write(folders, network, {"momentum": list(network.values())}, lines, best, network)
    shared.link(folders)
    return folders[1] / runs.CHECKPOINT


@pytest.mark.parametrize("written", [own, of_a_pack])
def test_one_flipped_bit_anywhere_is_found(written, tmp_path):
    path = written(tmp_path)
    body = path.read_bytes()
    assert checkpoint.read(path, CPU).network["weight"][-1] == (199 if written is own else 398)
    rng = np.random.default_rng(0)
    end = range(len(body) - 40, len(body))  # the checksum, and what tells that there is one
    for place in [*rng.integers(len(body), size=FLIPS), *end]:
        flipped = bytearray(body)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.resolve().write_bytes(flipped)
        checkpoint._check_seal.cache_clear()  # the clock of files ticks slower than these writes
        with pytest.raises(DamagedError, match=r"checkpoint\.pt: is damaged"):
            checkpoint.read(path, CPU)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_so_is_a_cut_one(share, tmp_path):
    path = own(tmp_path)
    body = path.read_bytes()
    path.write_bytes(body[: int(share * len(body))])
    with pytest.raises(DamagedError):
        checkpoint.read(path, CPU)


@pytest.mark.parametrize("content", [[], {"network": 1}, {"folders": ["x"]}, {"momentum": None}])
def test_whole_files_with_another_content_are_refused(content, tmp_path):
    torch.save(content, tmp_path / runs.CHECKPOINT)
    with pytest.raises(DamagedError):
        checkpoint.read(tmp_path / runs.CHECKPOINT, CPU)


def test_one_without_a_checksum_is_read():
    [before] = (ROOT / "tests/golden/before").glob("*/checkpoint.pt")
    assert checkpoint.MARK not in before.read_bytes()
    assert len(checkpoint.read(before, CPU).history) == 1


def test_zip_tools_read_it(tmp_path):
    state = torch.load(own(tmp_path), weights_only=True)
    assert torch.equal(state["network"]["weight"], STATE["weight"])


def test_what_killed_packs_left_is_cleared_and_what_runs_go_on_from_is_not(tmp_path):
    linked = of_a_pack(tmp_path).resolve()
    orphan = PackCheckpoint([tmp_path / "a", tmp_path / "b"]).path
    orphan.write_bytes(linked.read_bytes())
    ended = write_run(tmp_path / "ended", Config(dataset="digits", epochs=2)).path
    (ended / runs.CHECKPOINT).write_bytes(b"")
    checkpoint.clear(tmp_path)
    assert linked.is_file() and not orphan.exists() and not (ended / runs.CHECKPOINT).exists()
    for name in "ab":  # both end, killed before they removed what they had
        (tmp_path / name / runs.CHECKPOINT).rename(tmp_path / f"{name}.link")
        write_run(tmp_path / name, Config(dataset="digits", epochs=2))
        (tmp_path / f"{name}.link").rename(tmp_path / name / runs.CHECKPOINT)
    checkpoint.clear(tmp_path)
    assert not linked.exists() and not list(tmp_path.glob(f"*/{runs.CHECKPOINT}"))
