from study.config import Config
from study.report.axis import varying
from study.report.figures import parallel
from tests.report.conftest import run
from tests.report.figures.conftest import many, study


def test_a_line_a_configuration_the_best_first_in_the_csv(saved, tmp_path):
    made = study(*many(6))
    parallel.draw(tmp_path, made, varying(made))
    figure, rows = saved["parallel_coordinates"]
    [lines] = figure.axes[0].collections
    assert len(lines.get_segments()) == len(rows) == 6
    assert list(rows[0]) == ["label", "norm", "dropout", "val_accuracy_last"]
    assert rows[0]["label"] == made.ranked()[0].label
    assert rows[0]["val_accuracy_last"] == max(row["val_accuracy_last"] for row in rows)


def test_a_setting_without_effect_is_below_its_axis(saved, tmp_path):
    groups = [Config(norm="group", groups=n) for n in (1, 2, 5)]
    made = study(*(run(config, 99.0 + i, 1) for i, config in enumerate([Config(), *groups])))
    parallel.draw(tmp_path, made, varying(made))
    [axes] = saved["parallel_coordinates"][0].axes
    assert "no effect" in [text.get_text() for text in axes.texts]
    heights = [segment[1][1] for segment in axes.collections[0].get_segments()]
    assert sorted(heights) == [parallel.NO_EFFECT, 0, 0.25, 1]
