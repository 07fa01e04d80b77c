from study.config import Config
from study.report import grouping
from study.report.text import settings
from tests.report.conftest import spread


def test_of_several_sweeps_the_settings_that_differ_are_a_table():
    bn = Config(l1=1e-5, lr=0.1, schedule="onecycle", epochs=3)
    gn = [Config(norm="group", groups=groups, epochs=3) for groups in (2, 5)]
    study = grouping.gather(
        {"old": spread(bn, 99.3), "new": [each for c in gn for each in spread(c, 90.0 + c.groups)]}
    )
    made = settings.table(study)
    assert made.header == [
        "#", "variant", "norm", "groups", "L1 lambda", "learning rate", "schedule"
    ]  # fmt: skip
    assert made.rows == [
        ["1", "old: BN", "batch", "", "1e-5", "0.1", "onecycle"],
        ["2", "new: GN (5 groups)", "group", "5", "0", "0.05", "constant"],
        ["3", "new: GN (2 groups)", "group", "2", "0", "0.05", "constant"],
    ]


def test_the_labels_of_one_sweep_say_all():
    assert settings.table(grouping.gather({"mine": spread(Config(), 99.3)})) is None
