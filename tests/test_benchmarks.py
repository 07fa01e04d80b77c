"""The training benchmark: its peer is a fair one, and its table says what was measured."""

import json
import os
import re
import subprocess

import pytest
import torch
from torch.utils.data import DataLoader

from study.config import Config
from study.train import loop, networks, seeds
from tests.benchmarks import plain, train
from tests.benchmarks.processes import Cost

SETTINGS = {
    "dataset": "digits", "network": "mnist_7684", "norm": "batch", "groups": 4, "seed": 1,
    "dropout": 0.029, "l1": 2.5e-5, "lr": 0.05, "batch_size": 32, "epochs": 3, "augment": "none",
}  # fmt: skip
FOUND = {
    "device": "cpu", "cores": 2, "versions": {"torch": "2.15.0", "wandb": "0.31.0"},
    "loaders": {0: 3.0, 1: 2.0, 2: 4.0}, "floor": {"seconds": 2.0},
}  # fmt: skip


@pytest.fixture
def in_64_bits():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def plan(seeds: int) -> train.Plan:
    return train.Plan("mnist", "mnist_7684", ("batch", "layer", "group"), seeds, 3, "none")


def cells(way: train.Way, first: train.Way) -> list[str]:
    *_, row = train.table([first, way], FOUND).splitlines()
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_table_gives_medians_rates_and_ratios_by_repeat():
    first = train.Way("plain", plan(2), [Cost(s, 700) for s in (400, 440, 410)], [98.0] * 3)
    costs = [Cost(s, 1600, 9000, 300) for s in (100.0, 88.0, 102.5)]
    assert cells(train.Way("workers", plan(2), costs, [99.0, 98.0, 98.5]), first) == [
        "workers", "6", "100.0", "216", "10800", "4.00 (4.00 to 5.00)", "2.8", "98.50", "1600",
        "9000", "300",
    ]  # fmt: skip
    assert "best num_workers is 1" in train.table([first], FOUND)


def test_ways_that_train_more_are_compared_by_configurations_an_hour():
    first = train.Way("plain", plan(2), [Cost(400, 700)], [98.0])
    pack = train.Way("pack8", train.planned("pack8", plan(2)), [Cost(800, 900)], [98.0], {8})
    name, count, _, hourly, _, ratio, *_ = cells(pack, first)
    assert (name, count, hourly, ratio) == ("pack8", "24", "108", "2.00 (2.00 to 2.00)")
    pack.packs = {4}
    assert cells(pack, first)[0] == "pack8 (packs of 4)"


def test_a_way_that_is_none_is_refused_before_anything_is_measured():
    with pytest.raises(SystemExit, match="fused8: no such way"):
        train.planned("fused8", plan(2))


def test_eight_plain_agents_at_once_have_eight_runs_of_a_norm():
    assert train.planned("plain8", plan(2)).count == 24


def test_a_way_finds_the_packages_that_this_process_found(monkeypatch):
    """Where they lie on PYTHONPATH: a machine without a network may have them nowhere else."""
    way = train.Way("workers", plan(1))
    monkeypatch.setenv("PYTHONPATH", "/packages:/more")
    assert train.places(way, 0)["PYTHONPATH"].split(":")[1:] == ["/packages", "/more"]
    monkeypatch.delenv("PYTHONPATH")
    assert train.places(way, 0)["PYTHONPATH"] == str(train.ROOT)


def test_what_is_cut_off_has_written_what_it_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "_loader_trial", lambda plan: {0: 1.0})
    out = tmp_path / "out.json"

    def measure(way, loaders):
        if way.name == "plain8":
            raise KeyboardInterrupt
        way.costs.append(Cost(4, 700))

    monkeypatch.setattr(train, "_measure", measure)
    with pytest.raises(KeyboardInterrupt):
        train.main(("plain", "plain8"), dataset="digits", out=out)
    written = json.loads(out.read_text())
    assert [way["costs"] for way in written["ways"]] == [[vars(Cost(4, 700))], []]


GPU = train.ROOT / "tests/benchmarks/gpu.sh"


def test_a_gpus_parts_each_run_and_leave_few_files(tmp_path):
    """After the failure of an earlier one. Few, since not every machine gives many back."""
    stub, out = tmp_path / "python", tmp_path / "out"
    stub.write_text('#!/bin/sh\ncase "$2" in pytest) exit 1 ;; esac\n')
    stub.chmod(0o755)
    environment = os.environ | {"PYTHON": str(stub), "OUT": str(out)}
    done = subprocess.run(["bash", GPU], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "== tests FAILED" in done.stdout and done.stdout.count("FAILED") == 1
    assert done.stdout == (out / "log.txt").read_text()
    parts = re.findall(r"part (\w+) (\d+) ", GPU.read_text())
    assert re.findall(r"== (\w+): \d+ s", done.stdout) == [name for name, _ in parts]
    assert sum(int(limit) for _, limit in parts) <= 9 * 60
    assert len(re.findall(r"--out (\S+)", GPU.read_text())) + 1 <= 8


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_plain_agents_network_is_ours_but_for_its_dropout(norm):
    settings = SETTINGS | {"norm": norm}
    theirs, ours = plain.build(settings), networks.build(Config.from_sweep(settings))
    kinds = [type(module).__module__ for module in theirs.modules()]
    assert "study.train.dropout" not in kinds and "torch.nn.modules.dropout" in kinds
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(theirs.eval()(images), ours.eval()(images))


@pytest.mark.parametrize(("norm", "groups"), [("batch", 4), ("group", 5)])
def test_the_plain_agent_learns_as_the_loop_does(tmp_path, in_64_bits, norm, groups):
    """From the same weights, in the same order and without dropout's noise, to the same losses;
    in 64 bits, since 32 bits' rounding grows with every step."""
    torch.set_num_threads(1)  # as the loop: two beside other work wait for each other
    settings = SETTINGS | {"norm": norm, "groups": groups, "dropout": 0.0, "epochs": 1}
    config = Config.from_sweep(settings | {"precision": "float64"})
    run = loop.train(config, tmp_path / "run")
    theirs = plain.Trainer(settings)
    theirs.network.double().load_state_dict(loop.initialized(config).state_dict())
    images = plain.loader(settings, True, 0, theirs.device).dataset
    tests = plain.loader(settings, False, 0, theirs.device)
    shuffle = seeds.generator(config.seed, seeds.ORDER, 1)
    order = torch.randperm(len(images), generator=shuffle).tolist()
    batches = DataLoader(images, settings["batch_size"], sampler=order)
    assert theirs.train(batches) == pytest.approx(run.history[0]["train/loss"], abs=1e-6)
    assert theirs.accuracy(tests) == pytest.approx(run.history[0]["test/accuracy"])
