import pytest

from study.report.figures import published as figure
from study.report.text import published
from tests.conftest import read_csv
from tests.report.text.test_published import of, ran


def test_the_figure_has_the_published_curve_over_our_band(tmp_path):
    names = ["batch", "layer", "group", "batch_l1_none", "batch_l1_1e-5"]
    variants = [ran(of("eva6_s6_norms", name), (99.2, 99.3)) for name in names]
    saved = figure.draw(tmp_path, published.reproduced(variants))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{saved.name}.{kind}" for kind in ("png", "pdf", "csv")
    }
    rows = [row for row in read_csv(tmp_path / "published.csv") if row["variant"] == "layer"]
    assert [float(row["published"]) for row in rows] == list(of("eva6_s6_norms", "layer").curve)
    assert float(rows[-1]["mean"]) == pytest.approx(99.25)


def test_without_a_published_figure_ours_is_drawn_alone(tmp_path):
    figure.draw(tmp_path, published.reproduced([ran(of("s6_8k", "group"), (99.2,))]))
    assert (tmp_path / "published.png").is_file()
    assert figure.draw(tmp_path, []) is None
