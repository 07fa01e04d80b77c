import numpy as np
import pytest

from study.config import Config
from study.report import grouping
from study.report.axis import Axis, varying
from study.report.figures import response
from tests.report.conftest import curve, run
from tests.report.figures.conftest import study


def test_zero_is_left_of_a_log_axis():
    l1 = Axis("l1", (0.0, 1e-5, 1e-4, 1e-3))
    assert l1.log
    positions = [l1.position(value) for value in l1.values]
    assert positions == sorted(positions) and positions[1:] == pytest.approx([-5, -4, -3])
    assert l1.ticks()[0] == (l1.zero, "0") and l1.zero <= -5.5
    assert Axis("weight_decay", (0.0, 1e-5, 1e-3)).log
    assert Axis("lr", (0.01, 0.05, 0.1)).log
    assert not Axis("dropout", (0.0, 0.01, 0.5)).log
    assert not Axis("lr", (0.05, 0.07)).log


def test_doubled_values_are_as_far_from_one_another():
    groups = Axis("groups", (1, 2, 4, 8, 16, 32))
    assert [words for _, words in response.ticks(groups)] == ["1", "2", "4", "8", "16", "32"]
    assert np.ptp(np.diff([x for x, _ in groups.ticks()])) < 1e-9
    assert not Axis("groups", (1, 2, 4, 8)).log and not Axis("groups", (1, 2, 5, 20)).log


def test_values_are_ticks_where_they_are_few_and_round_numbers_else():
    norm = Axis("norm", ("batch", "layer", "group"))
    assert norm.ticks() == [(0.0, "batch"), (1.0, "layer"), (2.0, "group")]
    assert [norm.fraction(position) for position, _ in norm.ticks()] == [0, 0.5, 1]
    groups = Axis("groups", tuple(range(1, 21)))
    assert all(position == int(position) for position, _ in groups.ticks())
    rates = Axis("lr", tuple(0.001 * 1.5**i for i in range(12)))
    assert rates.ticks() == [(-3.0, "0.001"), (-2.0, "0.01"), (-1.0, "0.1")]


def test_an_axis_has_a_title_of_its_own():
    assert Axis("l1", (0.0, 1.0)).title == "L1 lambda"
    assert Axis("weight_decay", (0.0, 1.0)).title == "weight decay"


def test_settings_that_always_move_together_are_one_axis(made, tmp_path):
    for norm in ("batch", "layer"):
        for size in (2, 16, 128):
            made(Config(norm=norm, batch_size=size, lr=0.05 * size / 128), curve(99.0))
    norm, size = varying(grouping.collect(tmp_path / "runs/mine"))
    assert (norm.name, norm.beside) == ("norm", ())
    assert (size.name, size.values, size.beside) == ("batch_size", (2, 16, 128), ("lr",))
    assert size.title == "batch size (with learning rate)" and size.log


def test_a_word_names_an_axis_before_a_number_does():
    together = ("constant", 0.1), ("onecycle", 0.2)
    made = [
        run(Config(schedule=schedule, lr=lr, dropout=dropout), 99.0, 1)
        for dropout in (0, 0.1)
        for schedule, lr in together
    ]
    [axis] = [axis for axis in varying(study(*made)) if axis.beside]
    assert (axis.name, axis.beside) == ("schedule", ("lr",))


def test_values_that_never_come_twice_are_axes_of_their_own(made, tmp_path):
    for lr, dropout in ((0.1, 0.03), (0.02, 0.01), (0.05, 0.02)):
        made(Config(lr=lr, dropout=dropout), curve(99.0))
    assert [axis.names for axis in varying(grouping.collect(tmp_path / "runs/mine"))] == [
        ("dropout",), ("lr",),
    ]  # fmt: skip
