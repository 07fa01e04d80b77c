import numpy as np
import pytest

from study.config import Config
from study.report.figures import confusion
from study.report.variants import Variant
from tests.report.conftest import run
from tests.report.figures.conftest import kept, overlaps, study


def test_cells_are_means_over_seeds_and_shares_of_what_is_right(saved, tmp_path):
    made = study(kept(tmp_path, Config(), 1, list(range(30))), kept(tmp_path, Config(), 2, [1]))
    confusion.draw(tmp_path, made.variants[0])
    figure, rows = saved["confusion_bn"]
    assert [row["images"] for row in rows if row["target"] == "0"][:2] == [36, 15.5]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["15.5", "69.9%", *["100.0%"] * 9]  # plain numbers, not numpy's
    assert overlaps(figure) == []


@pytest.mark.parametrize("classes", [3, 10, 20, 100])
def test_words_in_cells_keep_apart_however_many_classes(classes, saved, tmp_path, monkeypatch):
    names = tuple(f"a class {i}" for i in range(classes))
    [variant] = study(run(Config(), 99.0, 1)).variants
    matrices = [np.eye(classes, dtype=int) * 990 for _ in range(2)]
    matrices[0][:2] += 33
    matrices[0][0, 1] += 1  # 17 images over both, beside 16.5
    monkeypatch.setattr(Variant, "class_names", names)
    monkeypatch.setattr(Variant, "confusions", lambda self: matrices)
    confusion.draw(tmp_path, variant)
    [(figure, _)] = saved.values()
    assert overlaps(figure) == []


def test_without_a_matrix_there_is_no_figure(saved, tmp_path):
    assert confusion.draw(tmp_path, study(run(Config(), 99.0, 1)).variants[0]) is None
    assert not saved
