from study.config import Config
from study.report.figures import train_test
from tests.report.conftest import run, spread
from tests.report.figures.conftest import overlaps, study


def test_the_learning_rate_is_beside_training_and_test(saved, tmp_path):
    [variant] = study(*spread(Config(), 99.2, 99.3)).variants
    train_test.draw(tmp_path, variant)
    figure, rows = saved["train_test_bn"]
    assert {(row["part"], row["metric"]) for row in rows} == {
        (part, metric) for part in ("train", "test") for metric in ("loss", "accuracy")
    } | {("train", "lr")}
    rates = {row["epoch"]: row["mean"] for row in rows if row["metric"] == "lr"}
    assert rates == {epoch: 0.1 * 0.5**epoch for epoch in range(1, 11)}
    assert figure.axes[2].get_ylabel() == "learning rate" and overlaps(figure) == []
    for axes in figure.axes[:2]:
        assert axes.get_legend().get_window_extent().y0 >= axes.get_window_extent().y1
    assert figure.axes[2].get_yscale() == "log"  # it falls by more than ten times


def test_one_epoch_is_a_marker_in_each_graph(saved, tmp_path):
    one = run(Config(), 99.0, 1)
    del one.history[1:]
    train_test.draw(tmp_path, study(one).variants[0])
    figure, _ = saved["train_test_bn"]
    assert all(axes.lines[0].get_marker() in ("o", ".") for axes in figure.axes)
