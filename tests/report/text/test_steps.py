"""A study in steps: target, result, what changed, and the finding of each."""

import dataclasses

import pytest

from study import planned
from study.config import Config
from study.planned import Plan, Step
from study.report import grouping
from study.report.text import steps
from study.sweep import spec
from tests.conftest import ROOT
from tests.report.conftest import spread

BARE = Config(epochs=10)
FALLING = dataclasses.replace(BARE, schedule="step", gamma=0.9)
PLAN = Plan(
    "mine", "grid", None, "",
    ({"epochs": [10], "variant": ["lr=0.05", "schedule=step gamma=0.9"], "seed": [1, 2, 3]},),
    target=99.4, steps=(Step(99.0, "bare"), Step(99.4, "falling")),
)  # fmt: skip


def table(*runs, plan=PLAN) -> list[dict[str, str]]:
    made = steps.table(grouping.gather({"mine": runs}, {"mine": plan}))
    return [dict(zip(made.header, row, strict=True)) for row in made.rows]


def test_each_step_has_its_target_result_change_and_finding():
    flat = spread(BARE, 99.31, 99.33, 99.32)
    better = spread(FALLING, 99.81, 99.82, 99.83)
    for run in [*flat, *better]:
        run.summary["test_accuracy_last5_min"] = run.summary["test_accuracy_last"] - 0.414
        run.summary["test_accuracy_best"] = run.summary["test_accuracy_last"] + 0.25
    first, second = table(*flat, *better)
    assert (first["step"], first["what"], first["changed"], first["target"]) == (
        "1", "bare", "", "99",
    )  # fmt: skip
    assert (first["last"], first["last-five minimum"]) == ("99.32 ± 0.02", "98.90")
    assert first["best"] == "99.57"
    assert first["finding"] == "0 of 3 seeds hold 99."
    assert second["changed"] == "schedule constant to step, step_size none to 1, gamma none to 0.9"
    assert second["parameters"] == "7,684" and second["seeds"] == "3"
    assert second["finding"].startswith("2 of 3 seeds hold 99.4. +0.50 points on step 1 (95 %")
    assert "no gain" not in second["finding"]


def test_a_gain_within_its_interval_is_none_and_a_missing_step_says_so():
    _, second = table(*spread(BARE, 99.3, 99.4, 99.35), *spread(FALLING, 99.4, 99.3, 99.37))
    assert second["finding"].endswith(": not significant.")
    _, second = table(*spread(BARE, 99.3))
    assert second["finding"] == "No run of it has finished."


def test_a_run_of_fewer_than_five_epochs_holds_no_target():
    short = dataclasses.replace(BARE, epochs=4)
    plan = dataclasses.replace(PLAN, grids=({**PLAN.grids[0], "epochs": [4]},))
    first, _ = table(*spread(short, 99.3, 99.4), plan=plan)
    assert first["last-five minimum"] == ""
    assert first["finding"] == "It is too short to hold a target in each of 5 epochs."


def test_a_loss_beyond_its_interval_is_significant_too():
    _, second = table(*spread(BARE, 99.81, 99.82, 99.83), *spread(FALLING, 99.31, 99.33, 99.32))
    assert "-0.50 points on step 1" in second["finding"]
    assert "not significant" not in second["finding"]


def test_each_step_is_compared_with_the_one_before_it():
    variants = [*PLAN.grids[0]["variant"], "schedule=step gamma=0.9 dropout=0.1"]
    plan = dataclasses.replace(
        PLAN, grids=(PLAN.grids[0] | {"variant": variants},),
        steps=(*PLAN.steps, Step(99.4, "dropout")),
    )  # fmt: skip
    third = spread(dataclasses.replace(FALLING, dropout=0.1), 99.6, 99.53)
    runs = [*spread(BARE, 99.3, 99.2), *spread(FALLING, 99.5, 99.41), *third]
    *_, last = table(*runs, plan=plan)
    assert last["changed"] == "dropout 0 to 0.1" and "+0.11 points on step 2" in last["finding"]


def test_no_plan_or_one_without_steps_has_no_table():
    runs = spread(BARE, 99.3)
    assert steps.table(grouping.gather({"mine": runs})) is None
    plain = dataclasses.replace(PLAN, steps=())
    assert steps.table(grouping.gather({"mine": runs}, {"mine": plain})) is None


def test_the_published_steps_are_described():
    plan = spec.read(ROOT / "sweeps/published/eva8_s4.yaml").plan()
    assert [step.target for step in plan.steps] == [99.4] * 3
    assert [(c.augment, c.schedule) for c in plan.step_configs] == [
        ("none", "constant"), ("rotate7", "constant"), ("rotate7", "step"),
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "line"), [(None, 99.4), (99.0, 99.0)])
def test_the_files_target_is_drawn_unless_another_is_given(made, tmp_path, quick, given, line):
    from study.report.build import build_report
    from tests.report.conftest import curve

    made(dataclasses.replace(BARE, seed=1), curve(99.3))
    folder = tmp_path / "runs/mine"
    planned.write(folder, PLAN)
    report = build_report(grouping.collect(folder), [folder], tmp_path / "out", given)
    [part] = report.comparisons
    [shape] = part.graphs["test_accuracy"]["layout"]["shapes"]
    assert shape["y0"] == line and len(part.steps.rows) == 2
