import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from study.config import Config
from study.report import grouping
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
    tradeoff.draw(tmp_path, study(*sizes))
    varied = varying(made)
    response.draw(tmp_path, made, varied[1], varied)
    importance.draw(tmp_path, made, varied)
    assert len(saved) == 6
    for name, (figure, _) in saved.items():
        assert overlaps(figure) == [], name


def test_long_labels_leave_the_plot_its_room(saved, tmp_path):
    settings = {"schedule": "onecycle", "batch_size": 32, "augment": "rotate7", "holdout": 100}
    long = [
        each
        for i in range(12)
        for config in [Config(lr=0.05 + i / 100, dropout=i / 50, **(settings if i % 2 else {}))]
        for each in spread(config, 98.0 + i / 10, 98.1 + i / 10)
    ]
    few = [each for norm in ("batch", "group") for each in spread(Config(norm=norm), 97.0, 97.1)]
    made = grouping.gather({"a_sweep_of_many_settings": long, "other": few})
    assert max(len(variant.label) for variant in made.variants) > 90
    curves.draw(tmp_path, made, "test/accuracy", 99.4)
    final.draw(tmp_path, made)
    for name, (figure, _) in saved.items():
        assert overlaps(figure) == [], name
        [axes] = figure.axes
        inside = axes.get_window_extent()
        assert inside.width > 0.35 * figure.bbox.width, name
        words = [text.get_window_extent() for text in [*axes.texts, *axes.get_yticklabels()]]
        assert min(box.x0 for box in words) >= 0 and max(box.x1 for box in words) <= figure.bbox.x1


def test_no_word_is_cut_in_a_picture(monkeypatch, tmp_path):
    kept = []
    save = drawing.save

    def keep(figure, *rest):
        save(figure, *rest)
        kept.append(figure)

    monkeypatch.setattr(drawing, "save", keep)
    curves.draw(tmp_path, study(*many(12)), "test/accuracy")
    [figure] = kept
    figure.set_dpi(drawing.STYLE["savefig.dpi"])
    FigureCanvasAgg(figure).draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    ends = [Text.get_window_extent(text).x1 for text in texts]
    assert len(ends) == 12 and max(ends) <= figure.bbox.x1


def test_words_beside_a_pale_curve_are_dark(saved, tmp_path):
    curves.draw(tmp_path, study(*many(12)), "test/accuracy")
    [axes] = saved["test_accuracy"][0].axes
    assert {text.get_color() for text in axes.texts if text.get_text()} == {"0.2"}
    assert len({leader.get_edgecolor() for leader in axes.patches}) > 5


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


@pytest.mark.parametrize(
    ("ends", "ticks"), [((1e-5, 1), ["1e-5", "0.001", "1"]), ((0.002, 0.009), ["0.002", "0.004"])]
)
def test_a_logarithmic_axis_has_plain_numbers_and_a_name_any_letters(tmp_path, ends, ticks):
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure()
        axes = figure.subplots()
        axes.plot(ends, (1, 2))
        drawing.set_logarithmic(axes, "x")
        axes.set_title(name := "$ a sweep $ that_costs $")
        drawing.save(figure, tmp_path, "costs", ["x"], [])
    shown = {label.get_text() for label in axes.get_xticklabels(which="both")}
    assert set(ticks) <= shown and not any("mathdefault" in word for word in shown)
    assert axes.title.get_text() == name and not axes.title.get_parse_math()
