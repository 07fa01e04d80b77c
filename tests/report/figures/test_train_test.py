from study.config import Config
from study.report.figures import train_test
from tests.report.conftest import spread
from tests.report.figures.conftest import study


def test_the_learning_rate_is_beside_training_and_test(saved, tmp_path):
    [variant] = study(*spread(Config(), 99.2, 99.3)).variants
    train_test.draw(tmp_path, variant)
    figure, rows = saved["train_test_bn"]
    assert {(row["part"], row["metric"]) for row in rows} == {
        (part, metric) for part in ("train", "test") for metric in ("loss", "accuracy")
    } | {("train", "lr")}
    rates = {row["epoch"]: row["mean"] for row in rows if row["metric"] == "lr"}
    assert rates == {epoch: 0.1 * 0.5**epoch for epoch in range(1, 11)}
    assert figure.axes[2].get_ylabel() == "learning rate"
    assert figure.axes[2].get_yscale() == "log"  # it falls by more than ten times
