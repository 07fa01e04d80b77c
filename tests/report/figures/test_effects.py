from study.config import Config
from study.report import effects as analysis
from study.report.figures import effects
from tests.report.conftest import run
from tests.report.figures.conftest import overlaps, study
from tests.report.test_effects import grid


def test_a_panel_a_setting_and_one_for_two_together(saved, tmp_path):
    made = study(*grid())
    found = analysis.analyse(made)
    caption = effects.draw(tmp_path, made, found).caption
    assert "and over 3 seeds. Bars: " in caption
    figure, rows = saved["effects"]
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == [
        "norm and groups",
        "dropout",
        "norm and groups",
    ]
    assert len({axes.get_ylim() for axes in shown}) == 1, "one scale for all"
    assert overlaps(figure) == []
    legend, inside = shown[2].get_legend().get_window_extent(), shown[2].get_window_extent()
    assert inside.x1 <= legend.x0 and legend.x1 <= figure.bbox.x1, "beside the lines"
    of_norm = [row for row in rows if row["setting"] == "norm and groups"]
    assert [row["level"] for row in of_norm] == ["BN", "GN, groups 2", "GN, groups 4"]
    assert all(row["low"] < row["mean"] < row["high"] for row in of_norm)
    assert sum("together" in row["setting"] for row in rows) == 6
    assert effects.draw(tmp_path, made, None) is None


def test_many_factors_and_long_values_stay_apart(saved, tmp_path):
    runs = [
        run(Config(norm=norm, lr=lr, weight_decay=decay, momentum=m), 99.0 + s / 9, s)
        for norm in ("batch", "layer", "group", "instance")
        for lr in (0.001234, 0.0123, 0.1234, 0.2)
        for decay in (0.0, 5e-4)
        for m in (0.0, 0.9)
        for s in (1, 2)
    ]  # fmt: skip
    made = study(*runs)
    effects.draw(tmp_path, made, analysis.analyse(made))
    figure, _ = saved["effects"]
    assert len([axes for axes in figure.axes if axes.get_visible()]) == 4 + effects.MOST_TOGETHER
    assert overlaps(figure) == []
