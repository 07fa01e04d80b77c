import numpy as np

from study.config import Config
from study.report import variants
from study.report.figures import curves, drawing
from tests.report.conftest import run, spread
from tests.report.figures.conftest import many, study


def test_of_many_variants_the_best_have_a_colour(saved, tmp_path):
    made = study(*many(14))
    assert len(made.shown) == variants.SHOWN and made.hidden == 4
    assert made.ranked()[0] in made.shown and made.ranked()[-1] not in made.shown
    caption = curves.draw(tmp_path, made, "test/accuracy").caption
    assert "In grey: all but the best 10." in caption
    figure, rows = saved["test_accuracy"]
    assert len(figure.axes[0].collections[0].get_segments()) == 4  # in grey
    assert len({row["label"] for row in rows}) == 14  # the csv has all
    looks = [drawing.line_style(i) for i in range(variants.SHOWN)]
    assert len(set(looks)) == variants.SHOWN


def test_a_ruined_variant_leaves_the_axis_and_is_named(saved, tmp_path):
    made = study(
        *spread(Config(), 99.5), *spread(Config(norm="layer"), 99.3), run(Config(l1=0.1), 11.35, 1)
    )
    curves.draw(tmp_path, made, "test/accuracy")
    [axes] = saved["test_accuracy"][0].axes
    low, high = axes.get_ylim()
    assert low < 99.3 and high > 99.5 and high - low < 2
    assert "outside the axis at the end: BN + L1 0.1 (sum) (11.35)" in axes.get_title("left")


def test_the_label_has_the_last_value_its_interval_and_the_best_epoch(saved, tmp_path):
    curves.draw(tmp_path, study(*spread(Config(), 99.4, 99.5)), "test/accuracy", target=99.4)
    [axes] = saved["test_accuracy"][0].axes
    words = [text.get_text() for text in axes.texts]
    assert words == ["target 99.4", "BN\nlast 99.45 ± 0.64, best 99.45 at 10"]


def test_loss_is_best_where_it_is_lowest(saved, tmp_path):
    one = run(Config(), 99.4, 1)
    for row, loss in zip(one.history, np.linspace(0.5, 0.1, 10)):
        row["test/loss"] = float(loss)
    one.history[4]["test/loss"] = 0.05
    curves.draw(tmp_path, study(one), "test/loss")
    [axes] = saved["test_loss"][0].axes
    assert axes.texts[0].get_text() == "BN\nlast 0.1000, best 0.0500 at 5"
