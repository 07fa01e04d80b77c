import numpy as np
import pytest
from matplotlib.figure import Figure

from study import runs
from study.config import Config
from study.report import grouping
from study.report.axis import varying
from study.report.figures import response
from study.report.stats import Interval
from tests.conftest import read_csv
from tests.report.conftest import curve, run


def test_the_response_to_l1_is_the_mean_of_each_lambda(l1_grid, tmp_path):
    study = grouping.collect(l1_grid)
    varied = varying(study)
    [l1] = varied
    figure = response.draw(tmp_path, study, l1, varied)
    assert figure.name == "response_l1" and "stopped early" in figure.caption
    for kind in ("png", "pdf", "csv"):
        assert (tmp_path / f"response_l1.{kind}").stat().st_size
    table = read_csv(tmp_path / "response_l1.csv")
    assert [(row["l1"], row["state"]) for row in table] == [
        ("0.0", "finished"), ("1e-05", "finished"), ("0.0001", "finished"),
        ("0.001", "finished"), ("0.01", "stopped"),
    ]  # fmt: skip
    best = table[2]
    assert float(best["mean"]) == pytest.approx(98.84)  # validation: half a point lower
    assert float(best["high"]) - float(best["mean"]) == pytest.approx(
        4.303 * 0.02 / 3**0.5, rel=1e-3
    )
    assert table[4]["low"] == ""


def test_runs_stopped_beyond_the_axis_are_at_its_edge():
    axes = Figure().subplots()
    axes.set_ylim(98.5, 99.5)
    response.draw_crosses(axes, [(1, 91.2), (2, 99.0)])
    [crosses] = axes.lines
    assert list(crosses.get_ydata()) == [98.5, 99.0] and not crosses.get_clip_on()


def test_the_crosses_are_runs_that_were_stopped_where_the_setting_has_an_effect():
    made = [run(Config(norm="group", groups=groups), 99.0, 1) for groups in (1, 2)]
    stopped = run(Config(norm="group", groups=4), 50.0, 1, runs.STOPPED)
    failed = run(Config(norm="group", groups=5), 50.0, 1, runs.FAILED)
    without = run(Config(), 50.0, 1, runs.STOPPED)
    study = grouping.gather({"mine": [*made, stopped, failed, without]})
    [groups] = [axis for axis in varying(study) if axis.name == "groups"]
    assert response.stopped_on(study, groups) == [stopped]


def test_losses_beyond_the_axis_are_triangles_at_its_upper_edge():
    axes = Figure().subplots()
    means = enumerate((0.05, 0.06, 0.07, 2.3))
    points = [(x, Interval(mean, np.nan, np.nan, 1)) for x, mean in means]
    assert response.set_limits(axes, points, perfect=0.0) == [0, 1, 2]
    [triangle] = axes.lines
    assert (triangle.get_marker(), triangle.get_ydata()[0]) == ("v", axes.get_ylim()[1])
    assert [text.get_text() for text in axes.texts] == ["2.30"]


def test_a_ruined_configuration_does_not_flatten_the_others(l1_grid, tmp_path):
    study = grouping.collect(l1_grid)
    axes = Figure().subplots()
    points = [(i, variant.last("val_accuracy_last")) for i, variant in enumerate(study.variants)]
    assert response.set_limits(axes, points) == [0, 1, 2]
    low, high = axes.get_ylim()
    assert 97 < low < 98.54 and 98.84 < high <= 100.2
    assert [text.get_text() for text in axes.texts] == ["59.5"]


def test_a_coupled_setting_is_drawn_where_it_has_an_effect(made, tmp_path):
    for groups in (1, 2, 5):
        made(Config(norm="group", groups=groups), curve(99.0 + groups / 100))
    made(Config(), curve(98.0))
    study = grouping.collect(tmp_path / "runs/mine")
    varied = varying(study)
    assert [(axis.name, axis.values) for axis in varied] == [
        ("norm", ("batch", "group")), ("groups", (1, 2, 5)),
    ]  # fmt: skip
    response.draw(tmp_path, study, varied[1], varied)
    assert [row["groups"] for row in read_csv(tmp_path / "response_groups.csv")] == ["1", "2", "5"]


def test_a_colour_is_a_kind_where_these_are_few(quick, tmp_path):
    def families(*l1s):
        made = [
            run(Config(norm=norm, lr=lr, l1=l1), 98 + lr, 1)
            for norm in ("batch", "layer")
            for l1 in l1s
            for lr in (0.01, 0.1, 1.0)
        ]
        study = grouping.gather({"mine": made})
        [axis] = [axis for axis in varying(study) if axis.name == "lr"]
        names = [other.name for other in varying(study) if other != axis]
        found = response.by_family(response.points_on(study, axis), axis, names)
        lines = response.joined(found, names)
        caption = response.draw(tmp_path, study, axis, varying(study)).caption
        assert "differ in learning rate alone" in caption
        return {name: len(each) for name, each in lines.items()}, response.MIXED in caption

    kinds = ["BN", "BN + L1 1e-5 (sum)", "LN", "LN + L1 1e-5 (sum)"]
    assert families(0.0, 1e-5) == (dict.fromkeys(kinds, 1), False)
    many = 0.0, 1e-5, 1e-4, 1e-3
    assert families(*many) == ({"BN": len(many), "LN": len(many)}, True)


def test_a_colour_beside_l1_is_how_it_is_reduced():
    made = [run(Config(l1=l1), 98.0, 1) for l1 in (0.0, 1e-5, 1e-4)]
    made += [run(Config(l1=l1, l1_reduction="mean"), 98.0, 1) for l1 in (1e-3, 1e-2)]
    study = grouping.gather({"mine": made})
    l1, reduction = varying(study)
    found = response.by_family(response.points_on(study, l1), l1, [reduction.name])
    assert {name: len(members) for name, members in found.items()} == {"BN, sum": 3, "BN, mean": 2}
    made += [run(Config(l1=1e-4, dropout=i / 10), 98.0, 1) for i in range(1, 7)]
    study = grouping.gather({"mine": made})  # of more kinds than there are colours
    l1, *others = sorted(varying(study), key=lambda axis: axis.name != "l1")
    found = response.by_family(response.points_on(study, l1), l1, [each.name for each in others])
    assert {name: len(members) for name, members in found.items()} == {"BN, sum": 9, "BN, mean": 2}


def drawn_lines(saved, tmp_path, sweeps) -> tuple[int, bool]:
    """How many lines a response to lr has, and whether its caption says what they join."""
    study = grouping.gather(sweeps)
    [axis] = [axis for axis in varying(study) if axis.name == "lr"]
    caption = response.draw(tmp_path, study, axis, varying(study)).caption
    [axes] = saved["response_lr"][0].axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_alpha() == 0.6]
    return len(lines), "Lines join" in caption


def test_lines_join_two_points_too_and_where_there_is_none_nothing_is_said(saved, tmp_path):
    def two(*pairs):
        configs = [Config(norm=norm, lr=lr) for norm, lrs in pairs for lr in lrs]
        return [run(config, 99 + config.lr, 1) for config in configs]

    pairs = ("batch", (0.01, 0.1)), ("layer", (0.01, 0.03)), ("group", (0.03, 0.1))
    assert drawn_lines(saved, tmp_path, {"mine": two(*pairs)}) == (3, True)
    single = ("batch", (0.01,)), ("layer", (0.03,)), ("group", (0.1,))
    assert drawn_lines(saved, tmp_path, {"mine": two(*single)}) == (0, False)


def test_lines_are_left_out_where_they_are_too_many(saved, tmp_path):
    def made(several):
        configs = [Config(l1=i * 1e-5, lr=lr) for i in range(several) for lr in (0.01, 0.03, 0.1)]
        return {"mine": [run(config, 99 + config.lr, 1) for config in configs]}

    assert drawn_lines(saved, tmp_path, made(response.MOST_LINES)) == (response.MOST_LINES, True)
    assert drawn_lines(saved, tmp_path, made(response.MOST_LINES + 1)) == (0, False)


def test_no_line_joins_two_sweeps(saved, tmp_path):
    made = [run(Config(lr=lr), 99 + lr, 1) for lr in (0.01, 0.03, 0.1)]
    assert drawn_lines(saved, tmp_path, {"old": made, "new": made}) == (2, True)
