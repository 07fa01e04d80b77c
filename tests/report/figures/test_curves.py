import numpy as np

from study.config import Config
from study.report.figures import curves
from study.report.study import SHOWN
from tests.report.conftest import run, spread, validated
from tests.report.figures.conftest import many, study


def test_of_many_variants_the_best_have_a_colour(saved, tmp_path):
    made = study(*many(28))
    assert len(made.shown) == SHOWN and made.hidden == 4
    assert made.shown == made.ranked[:SHOWN]
    caption = curves.draw(tmp_path, made, "test/accuracy").caption
    assert "In grey: all but the best 24." in caption
    figure, rows = saved["test_accuracy"]
    assert len(figure.axes[0].collections[0].get_segments()) == 4  # in grey
    assert len({row["label"] for row in rows}) == 28  # the csv has all


def test_a_ruined_variant_leaves_the_axis_and_is_named(saved, tmp_path):
    made = study(
        *spread(Config(), 99.5), *spread(Config(norm="layer"), 99.3), run(Config(l1=0.1), 11.35, 1)
    )
    curves.draw(tmp_path, made, "test/accuracy")
    [axes] = saved["test_accuracy"][0].axes
    low, high = axes.get_ylim()
    assert low < 99.3 and high > 99.5 and high - low < 2
    [triangle] = [line for line in axes.lines if line.get_marker() == "v"]
    assert triangle.get_xydata().tolist() == [[10, low]]
    assert axes.texts[-1].get_text() == "BN + L1 0.1 (sum)\nlast 11.35, best 11.35 at 10"


def test_bands_that_would_fill_the_graph_are_lines_of_the_seeds(saved, tmp_path):
    wide = study(*spread(Config(), 98.0, 99.5), *spread(Config(norm="layer"), 98.5, 99.5))
    caption = curves.draw(tmp_path, wide, "test/accuracy").caption
    [axes] = saved["test_accuracy"][0].axes
    assert "Thin lines: seeds" in caption
    assert sum(line.get_linewidth() == 0.5 for line in axes.lines) == 4
    narrow = study(*spread(Config(), *np.linspace(99.49, 99.51, 5)), *spread(Config(lr=1.0), 97.0))
    assert "Bands: 95 %" in curves.draw(tmp_path, narrow, "test/accuracy").caption


def test_one_epoch_is_a_marker_on_an_axis_with_room(saved, tmp_path):
    one = run(Config(), 99.0, 1)
    del one.history[1:]
    curves.draw(tmp_path, study(one), "test/accuracy")
    [axes] = saved["test_accuracy"][0].axes
    assert axes.get_xlim() == (0.5, 1.5) and axes.get_xticks().tolist() == [1]
    assert axes.lines[0].get_marker() == "o"


def test_the_label_has_the_last_value_its_interval_and_the_best_epoch(saved, tmp_path):
    curves.draw(tmp_path, study(*spread(Config(), 99.4, 99.5)), "test/accuracy", target=99.4)
    [axes] = saved["test_accuracy"][0].axes
    words = [text.get_text() for text in axes.texts]
    assert words == ["target 99.4", "BN\nlast 99.45 ± 0.64, best 99.45 at 10"]
    *_, last = saved["test_accuracy"][1]
    assert last["low"] < last["mean"] < last["high"] and last["epoch"] == 10
    alike = curves.graph(study(*spread(Config(), 99.4, 99.4)), "test/accuracy")
    assert alike.format_last(alike.curves[0]) == "99.40"  # seeds that are all alike


def test_a_target_is_one_of_test_accuracy_and_inside_the_graph():
    made = study(*spread(Config(), 99.0, 99.1))
    low, high = curves.graph(made, "test/accuracy", 99.9).window
    assert low < 99.0 and high > 99.9
    for name in ("train/accuracy", "test/loss"):
        assert curves.graph(made, name, 99.9).target is None


def test_a_caption_says_on_what_the_best_epoch_was_chosen():
    made = study(*validated(Config(), (99.3, 99.4), (99.4, 99.5)))
    for row in (row for each in made.all for row in each.history):
        row["val/accuracy"] = row["test/accuracy"]
    test, val, train = (
        curves.graph(made, f"{part}/accuracy").caption for part in ("test", "val", "train")
    )
    assert "chosen on the test set." in test and "chosen on the validation images." in val
    assert "chosen on" not in train and train.endswith(curves.WHILE_TRAINING)
    assert curves.WHILE_TRAINING not in test + val


def test_loss_is_best_where_it_is_lowest(saved, tmp_path):
    one = run(Config(), 99.4, 1)
    for row, loss in zip(one.history, np.linspace(0.5, 0.1, 10)):
        row["test/loss"] = float(loss)
    one.history[4]["test/loss"] = 0.05
    curves.draw(tmp_path, study(one), "test/loss")
    [axes] = saved["test_loss"][0].axes
    assert axes.texts[0].get_text() == "BN\nlast 0.1000, best 0.0500 at 5"
