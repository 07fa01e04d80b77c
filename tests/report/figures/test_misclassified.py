from study.config import Config
from study.report.figures import misclassified
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
