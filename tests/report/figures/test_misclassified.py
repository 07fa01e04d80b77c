import dataclasses

from study import runs
from study.config import Config
from study.report.figures import confusion, misclassified
from study.runs import Misclassified
from tests.report.conftest import run
from tests.report.figures.conftest import kept, study


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


def test_the_grids_of_a_variant_are_of_its_most_confident(saved, tmp_path):
    [variant] = study(kept(tmp_path, Config(), 1, list(range(30)))).variants
    assert [figure.name for figure in misclassified.draw(tmp_path, variant)] == [
        "misclassified_bn", "misclassified_25_bn",
    ]  # fmt: skip
    [axes] = saved["misclassified_25_bn"][0].axes
    assert len(axes.images) == 25 and axes.texts[1].get_text() == "1\n< 0, 100%"
    assert len(saved["misclassified_bn"][0].axes[0].images) == 10
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
