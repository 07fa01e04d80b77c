"""The rows of the data sets, and one's own: read, checked, trained on and reported."""

import dataclasses
import hashlib
import io
import pickle
import re

import numpy as np
import pytest

from study import datasets, files, own_data, runs, sweep_folder
from study.config import FIELDS, Config
from study.errors import RunError, UsageError
from study.report import page
from study.report.variants import Variant
from study.train import bank, data, loop, networks, pack_runs
from tests.conftest import CutOff, without_times


def made(classes: int = 3, images: int = 30, shape: tuple[int, ...] = (20, 20, 3), seed: int = 0):
    """The four arrays of a data set in which each class has a brightness of its own."""
    random = np.random.RandomState(seed)
    arrays = {}
    for part, count in (("train", images), ("test", images // 2)):
        labels = np.arange(count) % classes
        pixels = random.randint(0, 80, (count, *shape)) + (labels * 60).reshape(
            -1, *[1] * len(shape)
        )
        arrays[f"{part}_images"] = pixels.astype(np.uint8)
        arrays[f"{part}_labels"] = labels.astype(np.int32)
    return arrays


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """NAME.npz in a STUDY_DATA of the test's own: three classes of 20x20 colour images."""
    monkeypatch.setenv("STUDY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "data" / "mine.npz"
    path.parent.mkdir()
    np.savez_compressed(path, **made())
    return path


def test_the_rows_agree_with_themselves():
    for name, row in datasets.DATASETS.items():
        assert row.name == name and row.format in data.READERS
        assert len(row.mean) == len(row.std) == row.shape[0]
        assert len(set(row.class_names)) == row.num_classes
        assert len(datasets.DATASETS) == len(datasets.ROWS)
    names = datasets.spec("cifar100").class_names
    assert len(names) == 100 and list(names) == sorted(names)


def test_statistics_are_numpys():
    images = np.random.RandomState(0).randint(0, 256, (5, 3, 7, 7)).astype(np.uint8)
    mean, std = own_data.statistics(images)
    assert mean == pytest.approx((images / 255).mean((0, 2, 3)))
    assert std == pytest.approx((images / 255).std((0, 2, 3)))


def test_ones_own_data_set_is_known_by_its_file(mine):
    spec = datasets.spec("own:mine")
    arrays = made()
    assert spec.shape == (3, 20, 20) and spec.class_names == ("0", "1", "2")
    assert (spec.train_images, spec.test_images) == (30, 15)
    assert spec.mean == pytest.approx((arrays["train_images"] / 255).mean((0, 1, 2)))
    dataset = data.load(Config(dataset="own:mine", holdout=6))
    assert dataset.spec == spec
    np.testing.assert_array_equal(np.bincount(dataset.validation.labels), [2, 2, 2])
    originals = arrays["train_images"].transpose(0, 3, 1, 2)[dataset.train_indices]
    np.testing.assert_array_equal(dataset.train.images, originals)
    assert dataset.train.images.dtype == np.uint8 and dataset.train.labels.dtype == np.int64


@pytest.mark.parametrize("shape", [(12, 12), (12, 12, 1)])
def test_grey_images_have_one_channel(mine, shape):
    np.savez(mine, **made(shape=shape))
    assert data.load(Config(dataset="own:mine")).test.images.shape == (15, 1, 12, 12)


def test_a_run_on_a_file_that_was_replaced_is_trained_again(mine, tmp_path, caplog):
    config = Config(dataset="own:mine", epochs=1, batch_size=8)
    folder = tmp_path / "runs" / runs.name(config)
    first = loop.train(config, folder)
    assert first.summary[runs.DATASET_MD5] == datasets.spec("own:mine").files["mine.npz"]
    assert runs.is_done(folder)
    content = mine.read_bytes()
    np.savez(mine, **made(seed=1))
    assert not runs.is_done(folder)
    [again] = pack_runs.train([config], [folder])
    assert (
        "mine.npz was replaced since it was trained: set aside as"
        f" {folder.name}.damaged, and trained again from the start"
    ) in caplog.text
    assert again.history[-1]["test/loss"] != first.history[-1]["test/loss"]
    assert runs.is_done(folder) and sweep_folder.find(folder.parent) == [again]
    mine.unlink()
    assert runs.is_done(folder)  # it cannot be told
    mine.write_bytes(content)
    assert not runs.is_done(folder)
    files.write_json(folder / runs.SUMMARY, again.summary | {runs.DATASET_MD5: None})
    assert runs.is_done(folder)  # of an older version


def test_classes_may_have_names_which_a_report_has_without_the_file(mine, tmp_path):
    np.savez(mine, **made(), class_names=np.array(["cat", "dog (big)", "Ärger"]))
    config = Config(dataset="own:mine", epochs=1, batch_size=8)
    run = loop.train(config, tmp_path / "run")
    mine.unlink()
    assert Variant("BN", config, [run]).class_names == ("cat", "dog (big)", "Ärger")
    for foreign in ("cat,dog", "a,a,b", "a,b,<c>", "0,1,2", ""):
        files.write_json(run.path / runs.SUMMARY, run.summary | {runs.CLASS_NAMES: foreign})
        variant = Variant("BN", config, [runs.read(run.path)])
        assert variant.class_names == ("0", "1", "2")


@pytest.mark.parametrize("fails", [False, True])
def test_an_unfinished_run_on_a_file_that_was_replaced_begins_anew(mine, tmp_path, caplog, fails):
    config = Config(dataset="own:mine", epochs=2, batch_size=8)
    folder = tmp_path / "runs" / runs.name(config)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, folder, callback=CutOff(1))
    if fails:
        runs.write_failure(folder, config, "made up")
    assert runs.count_epochs(folder) == 1 and (folder / runs.CHECKPOINT).is_file()
    np.savez(mine, **made(seed=1))
    run = loop.train(config, folder)
    assert "mine.npz was replaced since it was trained: set aside as" in caplog.text
    assert without_times(run.history) == without_times(loop.train(config, tmp_path / "b").history)


def test_the_loop_a_pack_and_the_report_take_three_classes(mine, tmp_path, quick):
    """With a bank of augmented copies; and the report where the file itself is not at hand."""
    folder = tmp_path / "runs" / "mine"
    common = {"dataset": "own:mine", "epochs": 1, "batch_size": 8, "augment": "crop_flip"}
    common |= {"precision": "float64"}  # rounding of batches of eight grows to a percent in float32
    configs = [Config(**common, l1=1e-4, seed=seed) for seed in (1, 2)]
    looped = [Config(**common, norm="layer", seed=seed) for seed in (1, 2)]
    finished = [
        *(loop.train(config, folder / runs.name(config)) for config in looped),
        *pack_runs.train(configs, [folder / runs.name(config) for config in configs]),
    ]
    for run in finished:
        assert run.state == runs.FINISHED
        assert run.confusion().shape == (3, 3) and run.confusion().sum() == 15
        assert run.parameters()["layers"][-1]["output"] == [3, 1, 1]
    alone = loop.train(configs[0], tmp_path / "alone")
    [row], [packed] = without_times(alone.history), without_times(finished[2].history)
    assert packed == pytest.approx(row, rel=1e-6)

    def report(out):
        page.write(folder, out)
        return (out / "report.md").read_text()

    assert "on the same 15 test images" in report(tmp_path / "report")
    mine.unlink()
    assert "on the same 15 test images" in report(tmp_path / "elsewhere")


def test_the_facts_are_saved_beside_the_file_and_are_of_its_content(mine, monkeypatch):
    first = datasets.spec("own:mine")
    assert files.read_json(mine.with_suffix(".json"))["mean"] == list(first.mean)
    own_data._facts.cache_clear()
    with monkeypatch.context() as patch:
        patch.delattr(own_data, "read")  # the arrays are not read again
        assert datasets.spec("own:mine") == first
    before = bank.folder("own:mine", "rotate7")
    np.savez_compressed(mine, **made(classes=4, seed=1))
    second = datasets.spec("own:mine")
    assert second.num_classes == 4 and second.mean != first.mean
    assert set(data.read("own:mine")[1].labels) == {0, 1, 2, 3}
    assert bank.folder("own:mine", "rotate7") != before
    assert networks.parameter_table(Config(dataset="own:mine"))["layers"][-1]["output"] == [4, 1, 1]


def test_facts_that_are_damaged_are_computed_again(mine):
    facts = own_data.facts(mine)
    saved = mine.with_suffix(".json")
    content = files.read_json(saved)
    for damaged in (content | {"shape": None}, [], content | {"mean": 1}):
        files.write_json(saved, damaged)
        own_data._facts.cache_clear()
        assert own_data.facts(mine) == facts


def test_grey_images_may_have_a_channel_or_none(mine):
    arrays = made(shape=(20, 20))
    arrays["test_images"] = arrays["test_images"][..., None]
    np.savez(mine, **arrays)
    read = own_data.read(mine)
    assert read.train_images.shape[1:] == read.test_images.shape[1:] == (1, 20, 20)


def test_facts_go_to_the_cache_where_the_data_cannot_be_written(mine, tmp_path, monkeypatch):
    write = files.write_json

    def read_only(path, content):
        if path.parent == mine.parent:
            raise RunError(f"{path}: read-only file system")
        write(path, content)

    monkeypatch.setattr(files, "write_json", read_only)
    spec = datasets.spec("own:mine")
    assert files.read_json(tmp_path / "cache" / "mine.json")["md5"] == spec.files["mine.npz"]
    assert not mine.with_suffix(".json").exists()
    own_data._facts.cache_clear()
    monkeypatch.delattr(own_data, "read")
    assert datasets.spec("own:mine") == spec


def test_a_file_of_the_users_own_is_left_alone(mine, tmp_path):
    mine.with_suffix(".json").write_text('{"author": "me"}')
    assert datasets.spec("own:mine").num_classes == 3
    assert mine.with_suffix(".json").read_text() == '{"author": "me"}'
    assert (tmp_path / "cache" / "mine.json").exists()


def changed(**arrays):
    """A data set in which some arrays are others; None: it is left out."""
    return {name: array for name, array in (made() | arrays).items() if array is not None}


IMAGES, LABELS = made()["train_images"], made()["train_labels"]
FLAT = IMAGES.copy()
FLAT[..., 2] = 7


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (changed(train_images=None), ["train_images is missing", "test_labels"]),
        (changed(test_labels=None), ["test_labels is missing"]),
        (changed(train_images=IMAGES / 255), ["train_images is float64 [30, 20, 20, 3]", "uint8"]),
        (changed(test_images=IMAGES[0]), ["test_images is uint8 [20, 20, 3]", "at least 12 wide"]),
        (changed(train_images=np.uint8(3)), ["train_images is uint8 []"]),
        (changed(train_images=IMAGES[:, :15]), ["train_images is uint8 [30, 15, 20, 3]", "square"]),
        (changed(train_images=IMAGES[:, :11, :11]), ["[30, 11, 11, 3]", "at least 12 wide"]),
        (changed(train_images=IMAGES[..., :2]), ["[30, 20, 20, 2]", "C 1 or 3"]),
        (changed(train_images=IMAGES[:0], train_labels=LABELS[:0]), ["[0, 20, 20, 3]"]),
        (changed(test_images=IMAGES[:15, ..., 0]), ["is uint8 [15, 20, 20]", "one size"]),
        (changed(test_images=IMAGES[:15, :14, :14]), ["[15, 14, 14, 3]", "one size"]),
        (changed(train_labels=LABELS.astype(float)), ["float64 [30]", "whole numbers [30]"]),
        (changed(train_labels=LABELS[:9]), ["train_labels is int32 [9]", "[30], one an image"]),
        (changed(train_labels=LABELS[:, None]), ["train_labels is int32 [30, 1]"]),
        (changed(train_labels=LABELS - 1), ["train_labels has -1", "from 0"]),
        (changed(train_labels=LABELS * 2), ["train_labels has 4 but no 1"]),
        (changed(train_labels=LABELS * 0), ["train_labels has 0 alone", "2 classes or more"]),
        (changed(test_labels=LABELS[:15] + 1), ["test_labels has 3", "0 to 2"]),
        (changed(train_labels=LABELS.astype(object)), ["train_labels cannot", "plain arrays"]),
        (changed(class_names=np.array(["a", "b"])), ["class_names is ('a', 'b')", "3 different"]),
        (changed(class_names=np.array(["a", "b", "a"])), ["('a', 'b', 'a')", "one a class"]),
        (changed(class_names=np.array(["a", "b", "$c$"])), ["$c$", "letters, digits, spaces"]),
        (changed(class_names=np.array(["a", "b", ""])), ["''", "of 1 to 40"]),
        (changed(class_names=np.arange(3)), ["class_names is int64 [3]", "3 different texts"]),
        (changed(train_images=FLAT), ["train_images has one value in all of channel 2"]),
    ],
)  # fmt: skip
def test_an_array_that_is_wrong_is_named_in_one_line(mine, arrays, expected):
    np.savez_compressed(mine, **arrays)
    assert_refused(mine, expected)


def assert_refused(path, expected):
    with pytest.raises(UsageError) as error:
        data.load(Config(dataset="own:mine"))
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    for words in expected:
        assert words in message


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, IMAGES)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip at all", pickle.dumps(made()), npy(), lambda whole: whole[: len(whole) // 2]],
    ids=["empty", "text", "pickle", "npy", "cut"],
)
def test_a_file_that_is_no_npz_is_refused(mine, content):
    mine.write_bytes(content(mine.read_bytes()) if callable(content) else content)
    assert_refused(mine, ["is no .npz file"])


def test_a_damaged_file_is_refused(mine):
    content = bytearray(mine.read_bytes())
    content[2000:2100] = bytes(100)
    mine.write_bytes(content)
    assert_refused(mine, ["train_images cannot be read"])


def test_a_missing_file_is_refused_with_the_remedy(mine):
    mine.unlink()
    assert_refused(mine, ["No such file", "STUDY_DATA"])


def test_a_folder_of_pictures_is_no_data_set(mine):
    mine.unlink()
    mine.with_suffix("").mkdir()
    assert_refused(mine, ["no such file", "mine is a folder; put its images into one file"])


def test_a_holdout_is_checked_when_the_file_is_read(mine):
    with pytest.raises(UsageError, match="holdout=2: own:mine allows 0, or 3 to 27 images"):
        data.load(Config(dataset="own:mine", holdout=2))
    arrays = made()
    arrays["train_labels"][:] = [0] * 29 + [1]
    np.savez(mine, **arrays | {"test_labels": arrays["test_labels"] % 2})
    with pytest.raises(UsageError, match="holdout=5: own:mine has one training image of class 1"):
        data.load(Config(dataset="own:mine", holdout=5))


def test_images_too_small_for_a_network_are_refused_by_name(mine):
    np.savez(mine, **made(shape=(12, 12)))
    with pytest.raises(UsageError) as error:
        networks.build(Config(dataset="own:mine"))
    assert str(error.value) == (
        "network=mnist_7684: takes images of at least 20x20, own:mine has 12x12; allowed there are"
        " cifar_48178, cifar_45808"
    )
    networks.build(Config(dataset="own:mine", network="cifar_48178"))
    with pytest.raises(UsageError, match=r"img_size=19: .* at least 20 pixels"):
        networks.Network(networks.ARCHITECTURES["mnist_7684"], img_size=19)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"norm": "instance"}, "norm=instance: features.7.norm of network=mnist_7684 has maps of"),
        ({"norm": "group", "groups": 32}, "norm=group: features.7.norm"),
        ({"batch_size": 29}, "batch_size=29: of 30 images the last batch has one, and features.7"),
    ],
)
def test_a_mean_over_one_value_is_refused(mine, settings, expected):
    """The last block of mnist_7684 leaves 1x1 of a 20x20 image."""
    with pytest.raises(UsageError, match=re.escape(expected)):
        networks.build(Config(dataset="own:mine", **settings))
    networks.build(Config(dataset="own:mine", network="mnist_9680", **settings))
    configs = [Config(dataset="own:mine", seed=seed, **settings) for seed in (1, 2)]
    with pytest.raises(UsageError, match=re.escape(expected)):
        networks.build_pack(configs)


def write_cifar100(folder, images: int = 10):
    """Files as torchvision unpacks them, with so many made-up images; their MD5 by name."""
    folder.mkdir(parents=True)
    md5 = {}
    for file in ("train", "test"):
        random = np.random.RandomState(0)
        content = {
            "data": random.randint(0, 256, (images, 3072)).astype(np.uint8),
            "fine_labels": [11 * i for i in range(images)],
            "coarse_labels": [0] * images,
        }
        body = pickle.dumps(content)
        (folder / file).write_bytes(body)
        md5[file] = hashlib.md5(body).hexdigest()
    return md5


def replaced(monkeypatch, row):
    """As if the row stood in datasets.py."""
    monkeypatch.setitem(datasets.DATASETS, row.name, row)
    choices = FIELDS["dataset"]._replace(choices=tuple(datasets.DATASETS))
    monkeypatch.setitem(FIELDS, "dataset", choices)


def test_cifar100_has_a_hundred_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    row = datasets.spec("cifar100")
    md5 = write_cifar100(tmp_path / row.folder)
    few = {"files": md5, "train_images": 10, "test_images": 10}
    replaced(monkeypatch, dataclasses.replace(row, **few))
    train, _ = data.read("cifar100")
    assert train.images.shape == (10, 3, 32, 32)
    assert train.labels.tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    config = Config(dataset="cifar100", network="cifar_48178", epochs=1)
    run = loop.train(config, tmp_path / "run")
    assert run.confusion().shape == (100, 100)
    (tmp_path / row.folder / "test").write_bytes(b"no pickle")
    data._read.cache_clear()
    with pytest.raises(UsageError, match="truncated or altered"):
        data.read("cifar100")


def test_a_row_is_all_that_a_new_data_set_of_a_known_format_needs(tmp_path, monkeypatch):
    """Five classes, in two files of CIFAR's format."""
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    random, md5 = np.random.RandomState(0), {}
    for file in ("train", "test"):
        pixels = random.randint(0, 256, (20, 3 * 24 * 24)).astype(np.uint8)
        body = pickle.dumps({"data": pixels, "labels": [i % 5 for i in range(20)]})
        (tmp_path / file).write_bytes(body)
        md5[file] = hashlib.md5(body).hexdigest()
    row = datasets.DatasetSpec(
        name="shapes", shape=(3, 24, 24), class_names=("disc", "ring", "square", "star", "cross"),
        train_images=20, test_images=20, mean=(0.5,) * 3, std=(0.29,) * 3,
        statistics_source="made up", format="cifar", files=md5,
    )  # fmt: skip
    replaced(monkeypatch, row)
    with pytest.raises(UsageError, match="holdout=16: shapes allows 0, or 5 to 15 images"):
        Config(dataset="shapes", holdout=16)
    common = {"dataset": "shapes", "epochs": 1, "augment": "rotate7", "holdout": 5}
    alone = loop.train(Config(**common), tmp_path / "loop")
    [packed] = pack_runs.train([Config(**common)], [tmp_path / "pack"])
    for run in (alone, packed):
        assert run.confusion().shape == (5, 5) and "val/accuracy" in run.history[0]
    data._read.cache_clear()
    (tmp_path / "test").write_bytes(b"no pickle")
    with pytest.raises(UsageError, match="truncated or altered; put the original there"):
        data.read("shapes")
    (tmp_path / "test").unlink()
    with pytest.raises(UsageError, match="test: missing; put it there, or point STUDY_DATA"):
        data.read("shapes")
