"""A pack leaves what the loop leaves, whoever the neighbours are, and however it ends.

Equal to 1e-8 in float64 on any processor: the images and weights have no ties (tests/untied.py).
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from study import files, locks, runs
from study.config import Config
from study.errors import DiskError, RunError, UsageError
from study.train import checkpoint, data, loop, pack_runs, packing, results
from study.train.callback import Callback
from study.train.pack import Pack
from tests import untied
from tests.conftest import ROOT, CutOff, few_images, without_times

# Models of a pack: between them every field that may differ, and every schedule.
MODELS = (
    {"schedule": "constant", "l1": 1e-4, "dropout": 0.1, "seed": 1},
    {"schedule": "step", "gamma": 0.5, "step_size": 1, "l1": 1e-2, "l1_reduction": "mean"}
    | {"nesterov": True, "seed": 2},
    {"schedule": "onecycle", "weight_decay": 1e-3, "label_smoothing": 0.1, "lr": 0.02, "seed": 1},
    {"schedule": "cosine", "momentum": 0.0, "dropout": 0.05, "seed": 3},
)
NORMS = (  # the losses of all others are those of the loop, too: see tests/golden
    {"norm": "batch"},
    {"norm": "batch", "ema": 0.9},
    {"norm": "layer", "norm_affine": "element"},
    {"norm": "group", "groups": 4},
)


@pytest.fixture(autouse=True)
def few_untied_images(monkeypatch, tmp_path):
    """A hundred digits to train on, fifty to test on: float64 takes its time. They have no ties,
    and so need another bank than digits."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "read", untied.digits)
    monkeypatch.setattr(loop, "initialized", untied.initialized)
    few_images(monkeypatch, train=100, test=50)


def pack_of(**common):
    return [Config(**({"epochs": 2, "batch_size": 32} | common | model)) for model in MODELS]


def both_ways(configs, tmp_path):
    """The same configurations by the loop and as a pack."""
    alone = [loop.train(c, tmp_path / "loop" / runs.name(c)) for c in configs]
    packed = pack_runs.train(configs, [tmp_path / "pack" / runs.name(c) for c in configs])
    return alone, packed


def weights(run):
    return torch.load(run.path / "weights.pt", weights_only=True)


def assert_same(one, other, tolerance=1e-8):
    """Per tensor max|a - b| <= tolerance max|b|, and the same history, times aside."""
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert (tensor - theirs[name]).abs().max() <= tolerance * theirs[name].abs().max(), name
    histories = without_times(one.history), without_times(other.history)
    for row, expected in zip(*histories, strict=True):
        assert list(row) == list(expected)
        assert row == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: "-".join(map(str, norm.values())))
def test_a_pack_leaves_the_loops_weights(norm, tmp_path):
    configs = pack_of(precision="float64", **norm)
    alone, packed = both_ways(configs, tmp_path)
    for run, expected in zip(packed, alone, strict=True):
        assert_same(run, expected)
        mistakes, theirs = run.misclassified(), expected.misclassified()
        np.testing.assert_array_equal(mistakes.index, theirs.index)
        np.testing.assert_array_equal(mistakes.predicted, theirs.predicted)
        assert run.parameters() == expected.parameters()
        assert run.summary["path"] == "pack" and run.summary["pack"] == len(configs)


@pytest.mark.parametrize(
    "network",
    ["mnist_7848", "mnist_8008", "mnist_9680", "mnist_9802", "cifar_48178", "cifar_45808"],
)
def test_so_does_a_pack_of_each_network(network, tmp_path):
    configs = pack_of(precision="float64", network=network, epochs=1, augment="rotate7")[:2]
    for run, expected in zip(*both_ways(configs, tmp_path), strict=True):
        assert_same(run, expected)


@pytest.mark.parametrize("norm, truth", [("group", "float32"), ("batch", "float64")])
def test_one_step_in_float32_is_the_loops(norm, truth, tmp_path):
    """One, since rounding grows; of batch norm the loop's in float64: a shift's gradient, whose
    terms nearly cancel, keeps three digits in the loop's float32. Where rounding carries a value
    across a ReLU's zero its gradient jumps: one model of four may.
    """
    configs, worst = pack_of(epochs=1, batch_size=100, norm=norm), []
    packed = pack_runs.train(configs, [tmp_path / runs.name(c) for c in configs])
    for run, config in zip(packed, configs, strict=True):
        exact = dataclasses.replace(config, precision=truth)
        ours, theirs = weights(run), weights(loop.train(exact, tmp_path / "x" / runs.name(exact)))
        parameters = [name for name in ours if ours[name].is_floating_point()]
        worst.append(max((ours[n] - theirs[n]).norm() / theirs[n].norm() for n in parameters))
    assert sorted(worst)[2] <= 1e-5
    assert max(worst) <= 2e-2


def test_a_single_run_may_be_a_pack_of_one(tmp_path, monkeypatch):
    config = pack_of(precision="float64")[0]
    alone = pack_runs.train_one(config, tmp_path / "loop")
    monkeypatch.setattr(packing, "by_pack", lambda *_: True)
    callback = Stops()
    packed = pack_runs.train_one(config, tmp_path / "pack", callback=callback)
    assert (alone.summary["path"], packed.summary["path"]) == ("loop", "pack")
    assert callback.begun == [0] and len(callback.rows) == 2
    assert_same(packed, alone)
    with pytest.raises(RunError, match="lower lr or l1"):
        wild = dataclasses.replace(config, lr=1e30, l1=1e300)
        pack_runs.train_one(wild, tmp_path / "wild")


def test_every_command_leaves_that_choice_to_one_place():
    callers = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "study").rglob("*.py")
        if "loop.train(" in path.read_text().replace("run = loop.train(Config(", "")
    ]
    assert callers == ["study/train/pack_runs.py"]


def test_a_model_does_not_depend_on_its_neighbours(tmp_path):
    configs = pack_of(precision="float64")
    few = pack_runs.train(configs[:2], [tmp_path / "few" / str(k) for k in range(2)])
    turned = configs[::-1]
    many = pack_runs.train(turned, [tmp_path / "many" / str(k) for k in range(4)])[::-1]
    for run, expected in zip(few, many):
        assert_same(run, expected)


def test_one_that_diverges_is_cut_out_and_the_others_go_on(tmp_path):
    configs = pack_of(precision="float64", epochs=3)
    wild = dataclasses.replace(configs[1], lr=1e30, l1=1e300, l1_reduction="sum")  # inf
    folders = [tmp_path / str(k) for k in range(3)]
    first, failed, last = pack_runs.train([configs[0], wild, configs[2]], folders)
    assert isinstance(failed, RunError) and "lower lr or l1" in str(failed)
    assert runs.read(folders[1]).summary == {"state": "failed", "cause": str(failed)}
    for run, config in ((first, configs[0]), (last, configs[2])):
        assert_same(run, loop.train(config, tmp_path / "alone" / runs.name(config)))


class Stops(Callback):
    """Stops a run after an epoch, and counts its calls."""

    def __init__(self, after=99):
        self.after, self.begun, self.rows = after, [], []

    def begin(self, history):
        self.begun.append(len(history))

    def epoch(self, row):
        self.rows.append(row)

    def stops(self):
        return self.rows[-1]["epoch"] == self.after


def test_one_that_stops_early_is_whole_and_leaves_the_others_theirs(tmp_path):
    configs = pack_of(precision="float64", epochs=3)[:3]
    callbacks = [Stops(), Stops(after=1), Stops()]
    folders = [tmp_path / str(k) for k in range(3)]
    results = pack_runs.train(configs, folders, callbacks=callbacks)
    assert [run.state for run in results] == ["finished", "stopped", "finished"]
    assert [len(callback.rows) for callback in callbacks] == [3, 1, 3]
    assert results[1].has("misclassified.npz") and not results[1].has(runs.CHECKPOINT)
    for k in (0, 2):
        assert_same(results[k], loop.train(configs[k], tmp_path / "alone" / str(k)))


def test_what_was_cut_off_goes_on_in_another_pack_or_by_the_loop(tmp_path):
    configs = pack_of(precision="float64", epochs=3, ema=0.9)
    alone = [loop.train(c, tmp_path / "alone" / str(k)) for k, c in enumerate(configs)]
    folders = [tmp_path / str(k) for k in range(4)]
    with pytest.raises(KeyboardInterrupt):  # by the loop, after one epoch
        loop.train(configs[0], folders[0], callback=CutOff(1))
    callbacks = [Callback(), Callback(), CutOff(2)]
    with pytest.raises(KeyboardInterrupt):  # in a pack, after two, or one that is written
        pack_runs.train(configs[1:], folders[1:], callbacks=callbacks)
    done = loop.train(configs[1], folders[1])
    callbacks = [Stops() for _ in configs]
    results = pack_runs.train(configs, folders, callbacks=callbacks)
    assert done == results[1] and callbacks[1].begun == []
    assert [callbacks[k].begun for k in (0, 3)] == [[1], [2]]
    for run, expected in zip(results, alone):
        assert_same(run, expected)


def test_out_of_memory_halves_the_pack_and_loses_no_epoch(tmp_path, monkeypatch):
    """Also where it is Triton that finds none."""
    configs = pack_of(precision="float64")
    sizes, epoch = [], Pack.epoch

    def narrow(wide, number, callbacks):
        sizes.append((number, len(wide.configs)))
        if number == 2 and len(wide.configs) > 2:
            raise RuntimeError("Triton Error [CUDA]: out of memory")
        return epoch(wide, number, callbacks)

    monkeypatch.setattr(Pack, "epoch", narrow)
    results = pack_runs.train(configs, [tmp_path / str(k) for k in range(4)])
    assert sizes == [(1, 4), (2, 4), (2, 2), (2, 2)]
    assert [run.summary["pack"] for run in results] == [2] * 4
    for run, config in zip(results, configs):
        assert_same(run, loop.train(config, tmp_path / "alone" / runs.name(config)))


def test_an_error_of_ours_leaves_what_had_ended(tmp_path, monkeypatch):
    epoch = Pack.epoch

    def broken(whole, number, callbacks):
        if number == 2:
            raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")
        return epoch(whole, number, callbacks)

    monkeypatch.setattr(Pack, "epoch", broken)
    folders = [tmp_path / "stopped", tmp_path / "going"]
    with pytest.raises(RuntimeError):
        pack_runs.train(pack_of(epochs=3)[:2], folders, callbacks=[Stops(after=1), Stops()])
    assert [runs.read(out).state for out in folders] == ["stopped", "failed"]


def test_out_of_memory_for_a_single_one_names_the_remedy(tmp_path, monkeypatch):
    def narrow(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Pack, "epoch", narrow)
    for failure in pack_runs.train(pack_of()[:2], [tmp_path / "a", tmp_path / "b"]):
        assert isinstance(failure, RunError) and "lower batch_size (now 32)" in str(failure)
    assert runs.read(tmp_path / "b").state == "failed"


KILLS = 11  # changes of files between two kills: by and by each kind of moment


class Killed(BaseException):
    """The end of a process: it writes nothing any more."""


def dying(monkeypatch, alive):
    """Let every change of a file first ask whether the process is alive."""
    for owner, name in (
        (files.os, "replace"), (files, "append_json_line"), (Path, "unlink"), (Path, "symlink_to"),
    ):  # fmt: skip
        change = getattr(owner, name)

        def guarded(*args, change=change, **options):
            if not alive():
                raise Killed
            return change(*args, **options)

        monkeypatch.setattr(owner, name, guarded)


@pytest.fixture
def tiny_pack(monkeypatch):
    """Three configurations whose epoch is one step on eight images; blank pictures."""
    few_images(monkeypatch, train=8, test=8)
    blank = Figure(figsize=(1, 1))
    monkeypatch.setattr(results.image_grid, "draw_misclassified", lambda *_: blank)
    return pack_of(precision="float64", epochs=3, ema=0.9)[:3]


def test_a_pack_killed_between_any_two_writes_loses_at_most_an_epoch(
    tiny_pack, tmp_path, monkeypatch
):
    whole = pack_runs.train(tiny_pack, [tmp_path / f"whole{k}" for k in range(3)])
    changes, limit = 0, 10**9

    def alive():
        nonlocal changes
        changes += 1
        return changes <= limit

    dying(monkeypatch, alive)
    pack_runs.train(tiny_pack, [tmp_path / "counted" / str(k) for k in range(3)])
    total = changes
    for last in range(0, total, KILLS):
        folders = [tmp_path / str(last) / str(k) for k in range(3)]
        changes, limit = 0, last
        callbacks = [Stops() for _ in tiny_pack]
        with pytest.raises(Killed):
            pack_runs.train(tiny_pack, folders, callbacks=callbacks)
        changes, limit = 0, 10**9
        reached = [len(callback.rows) for callback in callbacks]
        for folder, epochs in zip(folders, reached):  # what a report sees of the killed pack
            if (folder / runs.CONFIG).is_file():
                assert len(runs.read(folder).history) >= epochs
        callbacks = [Stops() for _ in tiny_pack]
        for run, expected in zip(
            pack_runs.train(tiny_pack, folders, callbacks=callbacks), whole, strict=True
        ):
            assert_same(run, expected)
        for callback, epochs in zip(callbacks, reached):
            assert not callback.begun or callback.begun[0] >= epochs
        assert leftovers(tmp_path / str(last)) == []


def leftovers(home):
    """What is left of checkpoints in the run folders below a folder, and beside them."""
    return [
        path
        for path in home.rglob("*")
        if path.name.startswith(".pack-") or (path.is_file() and path.name == runs.CHECKPOINT)
    ]


def killed(configs, folders, monkeypatch, epochs):
    """Train a pack that is killed after so many epochs."""
    ended = []
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dying(patch, lambda: not ended)

        class Kill(Callback):
            def epoch(self, row):
                if row["epoch"] == epochs:
                    ended.append(1)
                    raise Killed

        pack_runs.train(configs, folders, callbacks=[*(Callback() for _ in configs[1:]), Kill()])


def test_the_runs_of_a_killed_pack_share_its_checkpoint_and_part(tiny_pack, tmp_path, monkeypatch):
    """One goes on by the loop, one is deleted and starts anew, one was copied without its link."""
    whole = pack_runs.train(tiny_pack, [tmp_path / f"whole{k}" for k in range(3)])
    folders = [tmp_path / "runs" / str(k) for k in range(3)]
    killed(tiny_pack, folders, monkeypatch, epochs=2)
    [shared] = (tmp_path / "runs").glob(".pack-*")
    assert all((f / runs.CHECKPOINT).resolve() == shared for f in folders)
    looped = Stops()
    assert_same(loop.train(tiny_pack[0], folders[0], callback=looped), whole[0])
    assert looped.begun == [2] and shared.is_file()
    shutil.rmtree(folders[1])
    content = (folders[2] / runs.CHECKPOINT).read_bytes()
    (folders[2] / runs.CHECKPOINT).unlink()
    (folders[2] / runs.CHECKPOINT).write_bytes(content)
    shared.unlink()
    callbacks, sizes, epoch = [Stops() for _ in folders], [], Pack.epoch

    def counted(pack, number, callbacks):
        sizes.append((number, len(pack.configs)))
        return epoch(pack, number, callbacks)

    monkeypatch.setattr(Pack, "epoch", counted)
    for run, expected in zip(
        pack_runs.train(tiny_pack, folders, callbacks=callbacks), whole, strict=True
    ):
        assert_same(run, expected)
    assert [callback.begun for callback in callbacks] == [[], [0], [2]]
    assert sizes == [(1, 1), (2, 1), (3, 2)]  # the one behind catches up and joins the other
    assert leftovers(tmp_path / "runs") == []


def test_a_killed_pack_goes_on_in_smaller_ones(tiny_pack, tmp_path, monkeypatch):
    whole = pack_runs.train(tiny_pack, [tmp_path / f"whole{k}" for k in range(3)])
    folders = [tmp_path / "runs" / str(k) for k in range(3)]
    killed(tiny_pack, folders, monkeypatch, epochs=1)
    done = pack_runs.train(tiny_pack[:2], folders[:2]) + pack_runs.train(tiny_pack[2:], folders[2:])
    for run, expected in zip(done, whole, strict=True):
        assert_same(run, expected)
    assert leftovers(tmp_path / "runs") == []


def test_a_pack_that_is_left_gives_each_run_its_own_checkpoint(tiny_pack, tmp_path):
    folders = [tmp_path / str(k) for k in range(3)]
    with pytest.raises(KeyboardInterrupt):
        pack_runs.train(tiny_pack, folders, callbacks=[CutOff(2), Callback(), Callback()])
    assert not list(tmp_path.glob(".pack-*"))
    for folder in folders:
        path = folder / runs.CHECKPOINT
        assert path.is_file() and not path.is_symlink()
        assert len(checkpoint.read(path, torch.device("cpu")).history) == 2


def test_a_damaged_checkpoint_of_one_is_set_aside_and_it_starts_anew(tiny_pack, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / runs.CHECKPOINT).write_bytes(b"no checkpoint")
    pair = pack_runs.train(tiny_pack[:2], [tmp_path / "bad", tmp_path / "good"])
    assert [run.state for run in pair] == [runs.FINISHED] * 2
    assert (tmp_path / "bad.damaged" / runs.CHECKPOINT).read_bytes() == b"no checkpoint"


def test_a_folder_that_cannot_be_worked_in_fails_its_run_alone(tiny_pack, tmp_path):
    busy, odd, good = folders = [tmp_path / name for name in ("busy", "odd", "good")]
    (odd / locks.LOCK).mkdir(parents=True)
    callbacks = [Stops() for _ in folders]
    with locks.claim(busy):
        first, second, third = pack_runs.train(tiny_pack, folders, callbacks=callbacks)
        assert isinstance(first, RunError) and f"{busy}: another process is training" in str(first)
        with pytest.raises(UsageError, match="another process is training"):
            pack_runs.train(tiny_pack[:1], [busy])  # as the loop says it of one
    assert isinstance(second, RunError) and f"{odd / locks.LOCK}: is no file" in str(second)
    assert third.done and [callback.begun for callback in callbacks] == [[], [], [0]]
    assert not any(runs.holds_run(folder) for folder in (busy, odd))

    pack_runs.train(tiny_pack[:1], [busy])
    before = files.read_json(busy / runs.SUMMARY)
    wrong, _ = pack_runs.train(tiny_pack[1:], [busy, good])  # the folder of another run
    assert isinstance(wrong, RunError) and f"{busy}: holds another run" in str(wrong)
    assert files.read_json(busy / runs.SUMMARY) == before


def test_a_folder_that_goes_while_it_trains_fails_its_run_alone(tiny_pack, tmp_path):
    folders = [tmp_path / str(k) for k in range(2)]

    class Delete(Callback):
        def epoch(self, row):
            if row["epoch"] == 1:
                shutil.rmtree(folders[0])

    lost, done = pack_runs.train(tiny_pack[:2], folders, callbacks=[Delete(), Callback()])
    assert isinstance(lost, RunError) and "is gone" in str(lost) and done.done
    assert runs.read(folders[0]).state == runs.FAILED
    assert [run.done for run in pack_runs.train(tiny_pack[:2], folders)] == [True, True]


def test_an_end_that_fails_for_one_leaves_the_others_theirs(tiny_pack, tmp_path, monkeypatch):
    folders = [tmp_path / str(k) for k in range(3)]
    write = runs.write_misclassified

    def full(path, wrong, *name):
        if path == folders[1]:
            raise DiskError("no space")
        write(path, wrong, *name)

    monkeypatch.setattr(runs, "write_misclassified", full)
    first, failed, last = pack_runs.train(tiny_pack, folders)
    assert isinstance(failed, DiskError) and runs.read(folders[1]).state == runs.RUNNING
    assert first.state == last.state == runs.FINISHED
    monkeypatch.undo()
    callback = Stops()
    [run] = pack_runs.train(tiny_pack[1:2], folders[1:2], callbacks=[callback])
    assert callback.begun == [3] and run.state == runs.FINISHED  # nothing was trained again


def test_a_models_seconds_are_a_share_that_is_never_nothing(tiny_pack, tmp_path):
    [run] = pack_runs.train(tiny_pack[:1], [tmp_path / "run"])
    assert all(0 < row["seconds"] < 60 for row in run.history)
    total = sum(row["seconds"] for row in run.history)
    assert run.summary["images_per_second"] == pytest.approx(8 * 3 / total, rel=0.01)


def test_an_evaluation_that_does_not_fit_takes_fewer_images(monkeypatch):
    pack = Pack([Config(batch_size=8)], [None], torch.device("cpu"))
    images = pack.dataset.test.images
    expected, sizes, logits = pack.predict(images), [], Pack._logits

    def narrow(pack, batch):
        sizes.append(len(batch))
        if len(batch) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(pack, batch)

    monkeypatch.setattr(Pack, "_logits", narrow)
    torch.testing.assert_close(pack.predict(images), expected)
    assert sizes[0] == len(images) and max(sizes[2:]) <= 25
