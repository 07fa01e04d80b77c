import numpy as np

from study.config import Config
from study.report.axis import varying
from study.report.figures import curves, drawing, final, importance, response, tradeoff
from tests.report.conftest import spread
from tests.report.figures.conftest import many, overlaps, study


def test_no_label_covers_another(saved, tmp_path):
    made = study(*many(28))
    curves.draw(tmp_path, made, "test/accuracy", 99.4)
    curves.draw(tmp_path, made, "test/loss")
    final.draw(tmp_path, made)
    networks = ("mnist_7684", "mnist_8008", "mnist_9680", "mnist_9802")
    sizes = [each for name in networks for each in spread(Config(network=name), 99.3, 99.4)]
    tradeoff.draw(tmp_path, study(*sizes), "parameters")
    varied = varying(made)
    response.draw(tmp_path, made, varied[1], varied)
    importance.draw(tmp_path, made, varied)
    assert len(saved) == 6
    for name, (figure, _) in saved.items():
        assert overlaps(figure) == [], name


def test_labels_beside_the_curves_keep_apart():
    heights = [0.5, 0.51, 0.505, 0.0, 1.0, 0.99]
    moved = drawing.spread(heights, 0.1)
    assert (np.diff(np.sort(moved)) >= 0.1 - 1e-9).all()
    assert min(moved) >= 0.05 - 1e-9 and max(moved) <= 0.95 + 1e-9
    assert (np.argsort(moved) == np.argsort(heights, kind="stable")).all()


def test_a_csv_holds_text_and_numbers_and_no_formula(tmp_path):
    rows = [["=1+1", -0.5, float("nan")], ["BN", "-0.5", 2]]
    drawing.write_csv(tmp_path / "some.csv", ["label", "@x", "y"], rows)
    assert (tmp_path / "some.csv").read_text() == "label,'@x,y\n'=1+1,-0.5,\nBN,-0.5,2\n"
