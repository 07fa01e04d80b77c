"""The panels of a Report and a workspace, as the package wandb-workspaces builds them."""

import dataclasses
from types import SimpleNamespace

import pytest
import wandb_workspaces.reports.v2 as wr

from study import planned
from study.config import Config
from study.errors import RunError
from study.report import grouping, page, progress
from study.report.build import build_report
from study.report.figures.drawing import SavedFigure
from study.tracking import panels
from tests.report import conftest
from tests.report.conftest import curve

made = conftest.made
LOG = SimpleNamespace(id="the-figures", entity="team", project="norms", url="https://w/r/the")


@pytest.fixture
def study(made, tmp_path):
    for norm, last in (("batch", 99.4), ("layer", 99.2)):
        made(Config(norm=norm, lr=0.1 if norm == "layer" else 0.05), curve(last, 3))
    return grouping.collect(tmp_path / "runs/mine")


def test_a_figures_key_has_no_dot():
    assert panels.key(SavedFigure("train_test_l1_2.5e-5", "", "")) == "figures/train_test_l1_2_5e_5"


def test_the_sections_are_those_of_the_page_in_its_order(study, tmp_path, quick):
    report = build_report(study, [], tmp_path / "out")
    [part] = report.comparisons
    sections = panels._sections(LOG, report)
    assert [section.title for section in sections] == [
        "Findings", "Curves", "Variants", "The same with 95 % intervals", "More graphs",
        "Settings", "BN, lr 0.05", "LN, lr 0.1", "Misclassified images", "What the norms do",
        "Provenance",
    ]  # fmt: skip
    planned.write(tmp_path / "runs/mine", planned.Plan("mine", "grid", None, "", ({},), run_cap=9))
    half = dataclasses.replace(report, progress=progress.read([tmp_path / "runs/mine"]))
    assert panels._sections(LOG, half)[0].words.startswith("2 of ")
    first = sections[0]
    assert part.cards[0].verdict in first.words and "](https://w/r/the/files/" in first.words
    pictures = [
        panel.media_keys[0]
        for section in sections
        if section.ids == [LOG.id]
        for panel in section.panels
    ]
    figures = [figure for group in part.figures.values() for figure in group] + report.norms
    assert pictures == [panels.key(figure) for figure in figures]
    [curves] = [section for section in sections if section.title == "Curves"]
    assert curves.groups == ("norm", "lr") and curves.words == panels.BANDS


def test_each_data_set_has_sections_of_its_own(made, tmp_path, quick):
    for dataset, last in (("mnist", 99.4), ("digits", 98.0)):
        made(Config(dataset=dataset), curve(last, 3))
    report = build_report(grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "out")
    sections = {section.title: section for section in panels._sections(LOG, report)}
    assert {"Curves, on digits", "Curves, on mnist"} <= sections.keys()
    assert len(sections["Curves, on mnist"].ids) == 1
    keys = [panel.media_keys[0] for panel in sections["Findings, on mnist"].panels]
    assert keys == ["figures/mnist_final"]
    assert "/files/mnist/test_accuracy.csv)" in sections["Findings, on mnist"].words


def test_curves_have_the_limits_of_the_figures(study, tmp_path, quick):
    [part] = build_report(study, [], tmp_path / "out").comparisons
    windows = {figure.name: figure.window for figure in part.compared}
    lines = {line.title: line.range_y for line in panels._curves(part)}
    assert lines["test/accuracy"] == windows["test_accuracy"]
    assert lines["train/loss"] == windows["train_loss"]
    without = panels._curves(dataclasses.replace(part, compared=[]))
    assert {line.range_y for line in without} == {(None, None)}
    assert not any(metric.startswith("val/") for metric in lines)  # not logged


def test_a_setting_with_a_zero_has_no_log_axis(made, tmp_path):
    for l1 in (0.0, 1e-5, 1e-3):
        made(Config(l1=l1, lr=0.01 if l1 else 0.1), curve(99.0, 3))
    study = grouping.collect(tmp_path / "runs/mine")
    [parallel, importance] = panels._settings(study, panels.varying(study))
    logarithmic = {column.display_name: column.log for column in parallel.columns[:-1]}
    assert logarithmic == {"L1 lambda": False, "learning rate": True}
    assert isinstance(importance, wr.ParameterImportancePlot)
    assert panels._settings(study, []) == []


def test_the_steps_are_a_table_as_on_the_page(made, tmp_path, quick):
    made(Config(), curve(99.4, 3))
    folder = tmp_path / "runs/mine"
    grid = ({"norm": ["batch"]},)
    step = planned.Step(99.0, "the bare network")
    planned.write(folder, planned.Plan("mine", "grid", None, "", grid, steps=(step,)))
    report = build_report(grouping.collect(folder), [folder], tmp_path / "out")
    [part] = report.comparisons
    [section] = [each for each in panels._sections(LOG, report) if each.title == "Step by step"]
    row = "| 1 | the bare network |  | 99 | 7,684 | 1 | 99.40 |"
    assert row in section.words and row in page.markdown_table(part.steps)
    page.render(report, tmp_path / "out")
    assert row in (tmp_path / "out/report.md").read_text()
    assert "<td>the bare network</td>" in (tmp_path / "out/index.html").read_text()


def fails(error: Exception):
    def load(url: str):
        raise error

    return load


def test_what_was_deleted_is_published_anew():
    gone = ValueError("Workspace `x` not found in project `norms`")
    assert panels._load(fails(gone), "https://wandb.ai/a/b") is None
    with pytest.raises(TypeError) as no_report:
        "spec" in None  # noqa: B015 (how wandb-workspaces meets a Report that is no more)
    assert panels._load(fails(no_report.value), "https://wandb.ai/a/b") is None
    assert panels._load(fails(gone), None) is None
    assert panels._load(str.upper, "known") == "KNOWN"


@pytest.mark.parametrize("error", [TypeError("'int'"), ValueError("no JSON"), KeyError("spec")])
def test_what_is_there_but_cannot_be_read_is_not_published_twice(error):
    with pytest.raises(RunError, match=r"/a/b: cannot be read .*: delete it on W&B"):
        panels._load(fails(error), "https://wandb.ai/a/b")
