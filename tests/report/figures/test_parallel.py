import pytest

from study.config import Config
from study.report.axis import varying
from study.report.figures import parallel
from tests.report.conftest import run
from tests.report.figures.conftest import many, study


def test_a_line_a_configuration_the_best_first_in_the_csv(saved, tmp_path):
    made = study(*many(6))
    [drawn] = parallel.draw(tmp_path, made, varying(made))
    assert (drawn.name, drawn.title) == ("parallel_coordinates", "All configurations at once")
    assert "not ranked" not in drawn.caption
    assert "the darker the better" in drawn.caption and drawn.as_is
    figure, rows = saved["parallel_coordinates"]
    [lines] = figure.axes[0].collections
    assert len(lines.get_segments()) == len(rows) == 6
    assert list(rows[0]) == ["label", "norm", "dropout", "val_accuracy_last"]
    assert rows[0]["label"] == made.ranked[0].label
    assert rows[0]["val_accuracy_last"] == max(row["val_accuracy_last"] for row in rows)


def test_a_setting_without_effect_is_below_its_axis(saved, tmp_path):
    groups = [Config(norm="group", groups=n) for n in (1, 2, 5, 10)]
    made = study(*(run(config, 99.0 + i, 1) for i, config in enumerate([Config(), *groups])))
    parallel.draw(tmp_path, made, varying(made))
    [axes] = saved["parallel_coordinates"][0].axes
    assert "no effect" in [text.get_text() for text in axes.texts]
    heights = [segment[1][1] for segment in axes.collections[0].get_segments()]
    assert sorted(heights) == [parallel.NO_EFFECT, 0, pytest.approx(1 / 9), pytest.approx(4 / 9), 1]


def test_kinds_are_not_ranked_by_one_another(saved, tmp_path):
    runs = [
        run(Config(norm=norm, lr=lr, epochs=epochs), 99 + lr + epochs / 100, 1)
        for epochs, lrs in ((10, (0.01, 0.03, 0.1)), (20, (0.01, 0.03, 0.1)), (5, (0.01,)))
        for norm in ("batch", "layer")
        for lr in lrs
    ]
    made = study(*runs)
    drawn = parallel.draw(tmp_path, made, varying(made))
    assert [(each.name, each.title) for each in drawn] == [
        ("parallel_coordinates_epochs_20", "All configurations with epochs 20 at once"),
        ("parallel_coordinates_epochs_10", "All configurations with epochs 10 at once"),
    ]  # and none of the two with 5
    for each in drawn:
        assert each.caption.endswith("numbers of epochs are not ranked with these.")
        figure, rows = saved[each.name]
        assert list(rows[0]) == ["label", "norm", "lr", "test_accuracy_last"] and len(rows) == 6
        assert {row["label"].rpartition(" ")[2] for row in rows} == {each.name[-2:]}
        [lines] = figure.axes[0].collections
        assert len(lines.get_segments()) == 6
