from study.config import Config
from study.report import grouping
from study.report.text import cost
from tests.report.conftest import run


def test_what_training_took_is_told_as_far_as_it_was_recorded():
    more = {"peak_memory_mb": 500.0, "images_per_second": 1234.5, "device": "cpu (x86_64)"}
    one = run(Config(), 99.0, 1, **more)
    two = run(Config(), 99.2, 2, **more | {"peak_memory_mb": 1600.0, "device": None})
    two.history[3]["seconds"] = 90.0
    for row in one.history:
        row["cpu_seconds"] = 12.5
    old = run(Config(norm="layer"), 98.0, 1, images_per_second=None)
    for row in old.history:
        del row["seconds"]
    old.summary.pop("seconds")
    made = cost.table(grouping.gather({"mine": [one, two, old]}))
    assert made.rows == [
        ["1", "BN", "300.0", "90.00", "30.00", "12.50", "1,234", "1,600", "cpu (x86_64)"],
        ["2", "LN", "", "", "", "", "", "", ""],
    ]
    assert all(len(row) == len(made.header) for row in made.rows)
