"""The figures: what they show, and that no annotation covers another."""

import csv
import itertools
import json

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text

from study import files, runs
from study.config import Config
from study.report import axis, variants
from study.report.figures import charts, drawing, misclassified, response, weights
from study.runs import Misclassified
from tests.report.conftest import run, spread


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, by name, with their rows; nothing is written."""
    kept = {}

    def keep(figure, folder, name, header, rows):
        kept[name] = figure, [dict(zip(header, row)) for row in rows]

    monkeypatch.setattr(drawing, "save", keep)
    return kept


def study(*all_runs):
    return variants.gather({"mine": all_runs})


def overlaps(figure) -> list[tuple[str, str]]:
    """Pairs of words in a figure whose boxes share more than a pixel or two."""
    FigureCanvasAgg(figure).draw()
    words = [
        text
        for text in figure.findobj(lambda artist: isinstance(artist, (Text, Annotation)))
        if text.get_text().strip() and text.get_visible()
    ]
    # An annotation's own extent includes its arrow; a Text's is that of its words.
    boxes = [(t.get_text(), Text.get_window_extent(t)) for t in words]
    found = []
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        height = min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 2 and height > 2:
            found.append((one, two))
    return found


def many(n: int):
    """Configurations of close accuracy over three seeds, one of them ruined."""
    rng = np.random.default_rng(0)
    for i in range(n):
        config = Config(norm=("batch", "layer")[i % 2], dropout=i / 100, holdout=100)
        last = 40.0 if i == 3 else 99.3 + 0.01 * i
        for seed in (1, 2, 3):
            value = last + 0.02 * rng.normal()
            more = {"val_accuracy_last": value, "parameters": 7684, "seconds": 100.0 + 20 * i}
            yield run(config, value, seed, **more)


def test_no_two_variants_share_a_files_name():
    sweeps = {name: spread(Config(), 99.2) for name in ("研究", "実験", "a b", "A_b", "x" * 300)}
    found = variants.gather(sweeps).variants
    names = [variant.file for variant in found]
    assert names[:4] == ["bn", "bn_2", "a_b_bn", "a_b_bn_2"] and len(names[4]) < 200


def test_no_words_cover_others(drawn, tmp_path):
    made = study(*many(14))
    charts.comparison(tmp_path, made, "test/accuracy", 99.4)
    charts.comparison(tmp_path, made, "test/loss")
    charts.final(tmp_path, made)
    charts.tradeoff(tmp_path, made, "seconds", lambda v: v.last("seconds").mean)
    varied = axis.varying(made)
    response.draw(tmp_path, made, varied[1], varied)
    response.importance(tmp_path, made, varied)
    assert len(drawn) == 6
    for name, (figure, _) in drawn.items():
        assert overlaps(figure) == [], name


def test_of_many_variants_the_best_are_told_apart(drawn, tmp_path):
    made = study(*many(14))
    assert len(made.shown) == variants.SHOWN and made.others == 4
    assert made.ranked()[0] in made.shown and made.ranked()[-1] not in made.shown
    caption = charts.comparison(tmp_path, made, "test/accuracy").caption
    assert "In grey: all but the best 10." in caption
    figure, rows = drawn["test_accuracy"]
    assert len(figure.axes[0].collections[-1].get_segments()) == 4  # in grey
    assert len({row["label"] for row in rows}) == 14  # the csv has all
    looks = [drawing.line(i) for i in range(variants.SHOWN)]
    assert len(set(looks)) == variants.SHOWN


def test_the_final_accuracies_have_their_seeds_and_intervals(drawn, tmp_path):
    made = study(*spread(Config(), 99.4, 99.5), *spread(Config(norm="layer"), 99.3, 99.1))
    charts.final(tmp_path, made)
    _, rows = drawn["final"]
    assert [(row["label"], row["seed"], row["test_accuracy"]) for row in rows] == [
        ("BN", 1, 99.4), ("BN", 2, 99.5), ("LN", 1, 99.3), ("LN", 2, 99.1),
    ]  # fmt: skip
    assert rows[0]["mean"] == pytest.approx(99.45)
    assert rows[0]["high"] - rows[0]["mean"] == pytest.approx(12.706 * 0.05, rel=1e-3)


def test_the_learning_rate_stands_beside_training_and_test(drawn, tmp_path):
    [variant] = study(*spread(Config(), 99.2, 99.3)).variants
    charts.train_test(tmp_path, variant)
    figure, rows = drawn["train_test_bn"]
    assert {(row["part"], row["metric"]) for row in rows} == {
        (part, metric) for part in ("train", "test") for metric in ("loss", "accuracy")
    } | {("train", "lr")}
    told = {row["epoch"]: row["mean"] for row in rows if row["metric"] == "lr"}
    assert told == {epoch: 0.1 * 0.5**epoch for epoch in range(1, 11)}
    assert figure.axes[2].get_ylabel() == "learning rate"
    assert figure.axes[2].get_yscale() == "log"  # it falls by more than ten times


def test_a_tradeoff_needs_a_difference(drawn, tmp_path):
    small, big = Config(), Config(network="mnist_9802")
    alike = study(*spread(small, 99.4), *spread(Config(norm="layer"), 99.3))
    size = lambda variant: variant.parameters["total"]  # noqa: E731
    assert charts.tradeoff(tmp_path, alike, "parameters", size) is None
    charts.tradeoff(tmp_path, study(*spread(small, 99.4), *spread(big, 99.5)), "parameters", size)
    assert [row["parameters"] for row in drawn["accuracy_parameters"][1]] == [7684, 9802]


def kept(folder, config: Config, seed: int, index: list[int]):
    """A run whose folder holds mistakes on these test images."""
    made = run(config, 99.0, seed)
    path = folder / made.path.name
    n = len(index)
    wrong = Misclassified(
        np.array(index), np.zeros(n, int), np.ones(n, int), np.linspace(1, 0.5, n, dtype="float32"),
        np.zeros((n, 1, 28, 28), np.uint8),
    )  # fmt: skip
    runs.write_misclassified(path, wrong)
    confusion = np.diag([36] * 10)
    confusion[0, 1] = n
    files.write(path / "confusion.json", lambda f: f.write(json.dumps(confusion.tolist()).encode()))
    return runs.Run(path, made.config, made.history, made.summary)


def test_the_images_all_get_wrong_and_those_only_one_does(drawn, tmp_path):
    bn, ln = Config(), Config(norm="layer")
    made = study(
        kept(tmp_path, bn, 1, [1, 2, 3]), kept(tmp_path, bn, 2, [1, 2]),
        kept(tmp_path, ln, 1, [1, 4]), kept(tmp_path, ln, 2, [1, 4, 5]),
    )  # fmt: skip
    misclassified.shared(tmp_path, made)
    _, rows = drawn["misclassified_by"]
    # 3 and 5 are wrong for one seed of two: not for most.
    assert [(row["wrong_for"], row["index"]) for row in rows] == [
        ("all", 1), ("only BN", 2), ("only LN", 4),
    ]  # fmt: skip
    assert misclassified.shared(tmp_path, study(kept(tmp_path, bn, 1, [1]))) is None


def test_the_grids_and_the_confusion_of_a_variant(drawn, tmp_path):
    made = study(kept(tmp_path, Config(), 1, list(range(30))), kept(tmp_path, Config(), 2, [1, 2]))
    [variant] = made.variants
    assert [d.name for d in misclassified.draw(tmp_path, variant)] == [
        "misclassified_bn", "misclassified_25_bn",
    ]  # fmt: skip
    [axes] = drawn["misclassified_25_bn"][0].axes
    assert len(axes.images) == 25 and axes.texts[1].get_text() == "1\n< 0, 100%"
    misclassified.confusion(tmp_path, variant)
    figure, rows = drawn["confusion_bn"]
    assert overlaps(figure) == []
    assert [row["images"] for row in rows if row["target"] == "0"][:2] == [36, 16]
    zero, *others, mean = misclassified.by_class(variant)
    assert zero == ["0", "100.00", "69.23", "81.82", "52"]  # 72 of 72, 72 of 104
    recalls = [float(row[2]) for row in (zero, *others)]
    assert mean[0] == "mean, all images"
    assert float(mean[2]) == pytest.approx(np.mean(recalls), abs=0.01)
    assert int(mean[4]) == sum(int(row[4]) for row in (zero, *others))
    nothing = study(run(Config(), 99.0, 1)).variants[0]
    assert misclassified.by_class(nothing) == []
    assert (
        misclassified.draw(tmp_path, nothing) == []
        and misclassified.confusion(tmp_path, nothing) is None
    )


def test_the_share_of_weights_near_zero_under_each_lambda(drawn, tmp_path):
    made = []
    for l1, near in ((0.0, 10), (1e-3, 90)):
        bare = run(Config(l1=l1), 99.0, 1)
        path = tmp_path / bare.path.name
        path.mkdir()
        state = {"w": torch.cat([torch.full((near,), 1e-5), -torch.ones(100 - near)])}
        torch.save(state | {"norm.running_mean": torch.zeros(1000)}, path / "weights.pt")
        made.append(runs.Run(path, bare.config, bare.history, bare.summary))
    assert weights.draw(tmp_path, study(*made)).name == "weights"
    _, rows = drawn["weights"]
    shares = {row["l1"]: (row["weights"], row["share_near_zero"]) for row in rows}
    assert shares == {"L1 0": (100, 0.1), "L1 0.001": (100, 0.9)}
    assert weights.draw(tmp_path, study(made[0])) is None


def test_a_figure_is_a_png_a_pdf_with_its_fonts_and_a_csv(tmp_path):
    made = study(*spread(Config(), 99.4, 99.5), *spread(Config(norm="layer"), 99.3, 99.1))
    charts.final(tmp_path, made)
    assert (tmp_path / "final.png").read_bytes().startswith(b"\x89PNG")
    pdf = (tmp_path / "final.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    with open(tmp_path / "final.csv") as file:
        assert len(list(csv.DictReader(file))) == 4
