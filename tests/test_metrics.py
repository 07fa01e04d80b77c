from study.metrics import METRICS, Metric, default_metric


def test_a_metric_says_its_direction_and_its_unit():
    loss, accuracy = Metric.named("val/loss"), default_metric(False)
    assert loss == Metric("val/loss", False, None) and accuracy.name == "test/accuracy"
    assert (loss.part, loss.key, loss.superlative) == ("val", "val_loss_last", "lowest")
    assert (loss.title, loss.axis_title()) == ("validation loss", "validation loss")
    assert (accuracy.title, accuracy.superlative) == ("test accuracy", "highest")
    assert accuracy.axis_title(" at the end") == "test accuracy at the end (%)"
    assert loss.format(0.03126) + loss.unit == "0.0313"
    assert accuracy.format(99.412) + accuracy.unit == "99.41 %"
    assert accuracy.format(0.004, signed=True) + accuracy.difference_unit == "+0.00 points"
    assert loss.format(0.004, signed=True) + loss.difference_unit == "+0.0040"


def test_every_metric_is_known_by_its_name():
    assert [Metric.named(name).name for name in METRICS] == list(METRICS)


def test_the_best_of_a_history_is_by_its_direction():
    history = [{"test/loss": 0.2, "test/accuracy": 97.0}, {"test/loss": 0.1, "test/accuracy": 96.0}]
    assert Metric.named("test/loss").best(history) == 0.1
    assert Metric.named("test/accuracy").best(history) == 97.0
    assert Metric.named("val/loss").best(history) is None
