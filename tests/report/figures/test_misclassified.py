import dataclasses

from study import runs
from study.config import Config
from study.report.figures import confusion, misclassified
from study.runs import Misclassified
from tests.report.conftest import run
from tests.report.figures.conftest import kept, overlaps, study


def test_the_images_all_get_wrong_and_those_only_one_does(saved, tmp_path):
    bn, ln = Config(), Config(norm="layer")
    made = study(
        kept(tmp_path, bn, 1, [1, 2, 3]), kept(tmp_path, bn, 2, [1, 2]),
        kept(tmp_path, ln, 1, [1, 4]), kept(tmp_path, ln, 2, [1, 4, 5]),
    )  # fmt: skip
    misclassified.draw_shared(tmp_path, made)
    _, rows = saved["misclassified_by"]
    # 3 and 5 are wrong for one seed of two: not for most.
    assert [(row["wrong_for"], row["index"]) for row in rows] == [
        ("all", 1), ("only BN", 2), ("only LN", 4),
    ]  # fmt: skip
    assert misclassified.draw_shared(tmp_path, study(kept(tmp_path, bn, 1, [1]))) is None


def test_each_variant_has_a_row_with_its_count(saved, tmp_path):
    bn, ln, gn = Config(), Config(norm="layer"), Config(norm="group")
    made = study(
        kept(tmp_path, bn, 1, [1, 2]), kept(tmp_path, ln, 1, [1, 4]), kept(tmp_path, gn, 1, [1])
    )
    [layer] = [variant for variant in made.variants if variant.label == "LN"]
    wrong = layer.runs[0].misclassified()
    bare = dataclasses.replace(wrong, pixels=wrong.pixels[:1])  # of 1 alone, which both get wrong
    runs.write_misclassified(layer.runs[0].path, bare)
    misclassified.draw_shared(tmp_path, made)
    figure, rows = saved["misclassified_by"]
    words = [text.get_text() for text in figure.axes[0].texts]
    shown = [word.replace("\n", " ") for word in words if word]
    assert shown == [
        "all: 1", "1: 0", "only BN: 1", "2: 0", "only LN: 1", "no run kept their pixels",
        "only GN: 0",
    ]  # fmt: skip
    assert rows[-1]["wrong_for"] == "only LN"


def test_the_grids_of_a_variant_are_of_its_most_confident(saved, tmp_path):
    [variant] = study(kept(tmp_path, Config(), 1, list(range(30)))).variants
    [figure] = misclassified.draw(tmp_path, variant)  # no image twice
    assert figure.name == "misclassified_bn" and figure.as_is
    assert figure.caption.startswith("The 25 most confident mistakes: target as prediction")
    picture, rows = saved["misclassified_bn"]
    [axes] = picture.axes
    assert len(axes.images) == 25 and axes.texts[1].get_text() == "0 as 1, 100 %"
    assert len(rows) == 30 and overlaps(picture) == []
    nothing = study(run(Config(), 99.0, 1)).variants[0]
    assert misclassified.draw(tmp_path, nothing) == []


def test_the_best_epochs_mistakes_where_a_run_kept_them(saved, tmp_path):
    one, two = (kept(tmp_path, Config(), seed, [1, 2, 3]) for seed in (1, 2))
    [variant] = study(one, two).variants
    for made in (one, two):
        made.summary["test_accuracy_best_epoch"] = len(made.history) - 1
    assert misclassified.draw_at_best(tmp_path, variant) is None
    assert confusion.draw_at_best(tmp_path, variant) is None
    wrong = one.misclassified()
    first = Misclassified(*(values[:1] for values in dataclasses.asdict(wrong).values()))
    runs.write_misclassified(one.path, first, runs.MISCLASSIFIED_BEST)
    two.summary["test_accuracy_best_epoch"] = len(two.history)  # then its last images
    assert misclassified.draw_at_best(tmp_path, variant).name == "misclassified_best_bn"
    _, rows = saved["misclassified_best_bn"]
    assert [row["index"] for row in rows] == [1]
    confusion.draw_at_best(tmp_path, variant)
    _, cells = saved["confusion_best_bn"]
    by_class = {(row["target"], row["predicted"]): row["images"] for row in cells}
    assert by_class["0", "1"] == 2  # 1 of the first, 3 of the second
    assert by_class["0", "0"] == 36 + 3 - 2 and by_class["9", "9"] == 36
