import pytest

from study.config import Config
from study.report.figures import final
from tests.conftest import read_csv
from tests.report.conftest import run, spread
from tests.report.figures.conftest import study


def test_the_final_accuracies_have_their_seeds_and_intervals(saved, tmp_path):
    made = study(*spread(Config(), 99.4, 99.5), *spread(Config(norm="layer"), 99.3, 99.1))
    caption = final.draw(tmp_path, made).caption
    assert "half their interval is 6.4 times the difference between the two" in caption
    _, rows = saved["final"]
    assert [(row["label"], row["seed"], row["test_accuracy"]) for row in rows] == [
        ("BN", 1, 99.4), ("BN", 2, 99.5), ("LN", 1, 99.3), ("LN", 2, 99.1),
    ]  # fmt: skip
    assert rows[0]["mean"] == pytest.approx(99.45)
    assert rows[0]["high"] - rows[0]["mean"] == pytest.approx(12.706 * 0.05, rel=1e-3)
    final.draw(tmp_path, study(run(Config(), 99.1, 5), run(Config(), 99.2, 7)))
    assert [row["seed"] for row in saved["final"][1]] == [5, 7]


def test_of_many_variants_the_best_have_a_row():
    made = study(*(run(Config(lr=i / 100), 90 + i / 10, 1) for i in range(1, 41)))
    drawn = final.forest(made)
    assert [row.variant for row in drawn.rows] == made.ranked[: final.MOST_ROWS]
    assert drawn.cut == 40 - final.MOST_ROWS


def test_what_leaves_the_axis_may_be_a_seed_of_a_mean_within_it():
    close = [97.0 + i / 100 for i in range(11)]
    made = study(*spread(Config(), *close[:9], 97.0, 99.9), *spread(Config(lr=1.0), *close))
    [panel] = final.forest(made).panels
    wide, narrow = panel.rows
    assert wide.score.mean < panel.high < max(wide.seeds)
    assert panel.beyond(wide) == (False, True) and panel.beyond(narrow) == (False, False)


def test_a_variant_far_behind_is_a_triangle_at_the_edge(saved, tmp_path):
    ruined = run(Config(norm="group"), 20.0, 1)
    final.draw(
        tmp_path, study(*spread(Config(), 99.4), *spread(Config(norm="layer"), 99.3), ruined)
    )
    [axes] = saved["final"][0].axes
    low, high = axes.get_xlim()
    assert 99 < low < 99.3 and 99.4 < high <= 100
    [triangle] = [line for line in axes.lines if line.get_marker() == "<"]
    assert triangle.get_xdata()[0] == low and triangle.get_ydata()[0] == 0


def test_the_axis_has_all_seeds_but_one_far_away(saved, tmp_path):
    ten = (99.4, 99.41, 99.42, 99.43, 99.44, 99.45, 99.46, 99.47, 99.48, 99.55)
    final.draw(tmp_path, study(*spread(Config(), *ten), *spread(Config(norm="layer"), *ten[::-1])))
    [axes] = saved["final"][0].axes
    low, high = axes.get_xlim()
    assert 99.3 < low < 99.4 and 99.55 < high < 99.65
    assert not [line for line in axes.lines if line.get_marker() in "<>"]
    odd = (98.0, *ten[1:])
    final.draw(tmp_path, study(*spread(Config(), *ten), *spread(Config(norm="layer"), *odd)))
    [axes] = saved["final"][0].axes
    assert axes.get_xlim()[0] > 98
    assert [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "<"] == [0]


def test_epochs_are_not_ranked_by_one_another(saved, tmp_path):
    one, two = Config(epochs=12), Config(norm="layer", epochs=20)
    made = study(*spread(one, 99.9), *spread(Config(epochs=20), 99.1), *spread(two, 99.3))
    caption = final.draw(tmp_path, made).caption
    assert "on their own axis" in caption and final.TWO_SEEDS not in caption
    panels = saved["final"][0].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["epochs 20", "epochs 12"]
    labels = [[label.get_text() for label in axes.get_yticklabels()[::-1]] for axes in panels]
    assert labels == [["LN, epochs 20", "BN, epochs 20"], ["BN, epochs 12"]]
    assert panels[0].get_xlim()[1] < 99.9 < panels[1].get_xlim()[1]


def test_the_test_accuracy_beside_the_marks_has_a_head(saved, tmp_path):
    def beside(*all_runs):
        caption = final.draw(tmp_path, study(*all_runs)).caption
        panels = saved["final"][0].axes
        words = [[text.get_text() for text in axes.texts] for axes in panels]
        return words, "beside it the test accuracy" in caption

    bn, wide = spread(Config(), 99.4), spread(Config(network="mnist_9802"), 99.3)
    assert beside(*bn) == ([["99.40 %", "test accuracy"]], False)
    for each in (*bn, *wide):
        each.summary["val_accuracy_last"] = 98.0
    assert beside(*bn, *wide) == (
        [
            ["99.40 %  7,684 parameters", "test accuracy"],
            ["99.30 %  9,802 parameters", "test accuracy"],
        ],
        True,
    )


def test_a_figure_is_a_png_a_pdf_with_its_fonts_and_a_csv(tmp_path):
    made = study(*spread(Config(), 99.4, 99.5), *spread(Config(norm="layer"), 99.3, 99.1))
    final.draw(tmp_path, made)
    assert (tmp_path / "final.png").read_bytes().startswith(b"\x89PNG")
    pdf = (tmp_path / "final.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert len(read_csv(tmp_path / "final.csv")) == 4
