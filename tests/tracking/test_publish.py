"""`study publish` with the real wandb client against the stand-in backend, read back there."""

import json
import shutil

import pytest
import wandb

from study import files, runs, sweep_folder
from study.config import Config
from study.report import grouping
from study.report.build import build_report
from study.tracking import marks, recording
from tests.report import conftest
from tests.report.conftest import curve
from tests.wandb_server import Server

made = conftest.made


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server for the wandb client of this process, which knows all that it is asked."""
    wandb.teardown()  # the settings of an earlier test
    with Server() as running:
        for name, value in running.settings(tmp_path / "wandb").items():
            monkeypatch.setenv(name, value)
        yield running
        wandb.teardown()
        assert running.unknown == []


@pytest.fixture
def publish(quick, command):
    """Publish runs/mine with small blank figures; return the exit code and what was printed."""

    def run(*words: str) -> tuple[int, str]:
        done = command("publish", "runs/mine", *words)
        return done.returncode, done.stdout + done.stderr

    return run


def variant(made, *lasts: float, **settings) -> None:
    for seed, last in enumerate(lasts, 1):
        made(Config(seed=seed, **settings), curve(last, 3))


def report(server):
    [view] = [view for view in server.views.values() if view.type == "runs"]
    return view


def workspace(server):
    [view] = [view for view in server.views.values() if view.type == "project-view"]
    return view


def report_run(server):
    """The run that holds the figures."""
    [run] = [run for run in server.runs.values() if run.job_type == "report"]
    return run


def uploaded(server) -> list:
    return [run for run in server.runs.values() if run.job_type != "report"]


def grids(view) -> dict:
    """Name of a panel grid of a report -> its run set and its panels."""
    found = [b["metadata"] for b in view.spec["blocks"] if b["type"] == "panel-grid"]
    return {
        grid["runSets"][0]["name"]: (
            grid["runSets"][0],
            grid["panelBankSectionConfig"]["panels"],
        )
        for grid in found
    }


def panels(view) -> list[dict]:
    """All panels of a report or a workspace."""
    if view.type == "runs":
        return [panel for _, found in grids(view).values() for panel in found]
    sections = view.spec["section"]["panelBankConfig"]["sections"]
    return [panel for section in sections for panel in section["panels"]]


def of(view, kind: str) -> list[dict]:
    """The configurations of the panels of a kind."""
    return [panel["config"] for panel in panels(view) if panel["viewType"] == kind]


def shown(runset: dict) -> list[str]:
    """The ids of the runs that a run set shows."""
    [only] = runset["filters"]["filters"]
    assert (only["key"], only["op"]) == ({"section": "run", "name": "name"}, "IN")
    return only["value"]


def ids(tmp_path, *states: str) -> set[str]:
    """The W&B ids of the run folders, of the runs in a state."""
    found = sweep_folder.find(tmp_path / "runs/mine")
    return {marks.address(r).rpartition("/")[2] for r in found if r.state in states}


def test_offline_runs_are_uploaded_and_the_report_has_the_findings_of_the_page(
    server, made, publish, tmp_path
):
    variant(made, 99.4, 99.38, l1=2.5e-5)
    variant(made, 99.2, 99.24, norm="layer")
    variant(made, 99.41, norm="group", groups=5)
    made(Config(norm="none", seed=1), curve(50, 3), state=runs.FAILED)
    for run in sweep_folder.find(tmp_path / "runs/mine"):
        if run.done:
            recording.record(run, "mine", "norm-study")  # as `study sweep` does offline
    assert not server.runs
    code, printed = publish("--target", "99.4")
    assert code == 0, printed
    assert printed.startswith("runs/mine: 5 runs uploaded\n")
    assert {(r.entity, r.project) for r in server.runs.values()} == {("team", "norm-study")}
    assert {run.id for run in uploaded(server)} == ids(tmp_path, runs.FINISHED)

    made_report, made_workspace = report(server), workspace(server)
    assert (made_report.title, made_workspace.title) == ("mine", "mine")
    assert f"reports/mine--{made_report.id.rstrip('=')}" in printed and "?nw=" in printed

    [part] = build_report(
        grouping.collect(tmp_path / "runs/mine"), [], tmp_path / "again", target=99.4
    ).comparisons
    findings = part.findings
    words = json.dumps(made_report.spec, ensure_ascii=False)
    markdown = "\n".join(panel["value"] for panel in of(made_workspace, "Markdown Panel"))
    for finding in findings:
        assert finding.text in words and finding.text in markdown
    assert "| BN + L1 2.5e-5 (sum) | 7,684 | 2 |" in words
    links = {finding.source.rpartition("/")[2] for finding in findings}
    assert links and links | {"index.html"} <= set(report_run(server).files)
    for name in links:
        assert f"/runs/{report_run(server).id}/files/{name}" in words


def test_lines_are_grouped_by_what_makes_a_variant(server, made, publish, tmp_path):
    variant(made, 99.4, 99.38, l1=2.5e-5)
    variant(made, 99.2, 99.24, norm="layer")
    made(Config(norm="layer", seed=3), curve(98, 2), state=runs.STOPPED)
    assert publish("--project", "lab/norms")[0] == 0
    curves, lines = grids(report(server))["Curves"]
    finished = ids(tmp_path, runs.FINISHED)
    assert set(shown(curves)) == finished < {run.id for run in uploaded(server)}
    assert [key["name"] for key in curves["grouping"]] == ["norm.value", "l1.value"]
    assert (curves["project"]["entityName"], curves["project"]["name"]) == ("lab", "norms")
    assert [line["config"]["metrics"] for line in lines] == [
        ["test/accuracy"], ["test/loss"], ["train/accuracy"], ["train/loss"],
    ]  # fmt: skip
    [section] = workspace(server).spec["section"]["runSets"]
    assert section["grouping"] == curves["grouping"]
    assert set(shown(section)) == finished | {report_run(server).id}
    for view in (report(server), workspace(server)):
        for line in of(view, "Run History Line Plot"):
            assert (line["xAxis"], line["groupAgg"], line["groupArea"]) == (
                "epoch", "mean", "stderr",
            )  # fmt: skip
        [parallel] = of(view, "Parallel Coordinates Plot")
        columns = [column["accessor"] for column in parallel["columns"]]
        assert columns == ["config:norm.value", "config:l1.value", "summary:test/accuracy"]
        [importance] = of(view, "Parameter Importance")
        assert importance["targetKey"] == "test/accuracy"
    for run in uploaded(server):  # what the panels name is there
        assert {"norm", "l1"} <= run.config.keys()
        assert run.summary["test/accuracy"] == run.rows[-1]["test/accuracy"]


def test_figures_are_images_and_misclassified_images_tables(server, made, publish, tmp_path):
    variant(made, 99.4, 99.38, l1=2.5e-5)
    variant(made, 99.2, 99.24, norm="layer")
    assert publish("--project", "norm-study")[0] == 0
    run = report_run(server)
    figures = {path.stem: path for path in (tmp_path / "reports/mine/figures").glob("*.png")}
    assert len(figures) > 10
    [row] = run.rows
    for view in (report(server), workspace(server)):
        keys = [key for browser in of(view, "Media Browser") for key in browser["mediaKeys"]]
        assert len(keys) == len(set(keys)) == len(figures)
        sent = [run.files[row[key]["path"]] for key in keys]
        assert sorted(sent) == sorted(path.read_bytes() for path in figures.values())
        assert not any("." in key for key in keys)
        [table] = of(view, "Weave")
        assert '"val": "misclassified"' in json.dumps(table)
    assert "Bands: 95 % t interval" in row["figures/test_accuracy"]["caption"]
    tables, _ = grids(report(server))["Misclassified images"]
    assert len(shown(tables)) == 2
    for run_id in shown(tables):
        assert server.runs[run_id].summary["misclassified"]["_type"] == "table-file"


def test_again_and_elsewhere_the_same_report_is_updated(server, made, publish, tmp_path):
    variant(made, 99.4, l1=2.5e-5)
    variant(made, 99.2, norm="layer")
    code, first = publish("--project", "norm-study")
    assert code == 0
    shutil.rmtree(tmp_path / "reports")
    made(Config(norm="layer", seed=2), curve(99.9, 3))  # trained since, on another machine
    code, again = publish()
    assert code == 0 and again == "runs/mine: 1 run uploaded\n" + first.split("\n", 1)[1]
    assert len(uploaded(server)) == 3 and len(report_run(server).rows) == 2
    for view in (report(server), workspace(server)):
        assert view.saves == 2
        assert "99.55" in view.text  # the mean of both seeds
    assert len(shown(grids(report(server))["Curves"][0])) == 3
    assert len(shown(workspace(server).spec["section"]["runSets"][0])) == 3 + 1
    server.views.clear()  # somebody deleted both
    code, printed = publish()
    assert code == 0 and report(server).saves == workspace(server).saves == 1, printed
    workspace(server).text = "[1]"  # whatever made it odd, it is there
    code, printed = publish()
    assert code == 1 and "cannot be read" in printed.splitlines()[-1], printed
    assert workspace(server).saves == 1


def test_sweeps_of_one_name_have_a_report_each(server, made, publish, tmp_path):
    variant(made, 99.4)
    for sweep in ("first", "second"):
        files.write_json(tmp_path / "runs/mine" / runs.PULLED, {"sweep": f"lab/theirs/{sweep}"})
        code, _ = publish("--project", "norm-study")
        assert code == 0
    assert sorted(run.group for run in server.runs.values() if run.job_type == "report") == [
        "first", "second",
    ]  # fmt: skip
    assert [view.saves for view in server.views.values()] == [1, 1, 1, 1]


def test_pulled_runs_are_published_where_they_are(server, made, publish):
    for seed in (1, 2):
        row = {"epoch": 3, "test/accuracy": 99.0, "test/loss": 0.1}
        run = server.add_run(None, {"seed": seed}, [row], entity="lab", project="theirs")
        url = f"{server.url}/lab/theirs/runs/{run.id}"
        made(Config(seed=seed), curve(99, 3), name=f"batch-{run.id}", url=url)
    code, printed = publish()
    assert code == 0 and "uploaded" not in printed, printed
    assert len(uploaded(server)) == 2
    assert (report(server).entity, report(server).project) == ("lab", "theirs")
    assert set(shown(grids(report(server))["Curves"][0])) == {run.id for run in uploaded(server)}
    assert "Settings" not in grids(report(server))  # one configuration: none varies


def test_what_wandb_sync_has_uploaded_is_not_uploaded_again(server, made, publish):
    run = runs.read(made(Config(), curve(99, 3)))
    recording.record(run, "mine", "norm-study")
    synced = recording.run_id("mine", run)
    server.add_run(None, {}, run.history, id=synced, project="norm-study")
    code, printed = publish()
    assert code == 0 and "uploaded" not in printed, printed
    assert shown(grids(report(server))["Curves"][0]) == [synced]


def check_line(done: tuple[int, str], code: int, *words: str) -> None:
    """Check that one line with these words was printed, and the exit code."""
    exit_code, printed = done
    assert exit_code == code and len(printed.splitlines()) == 1, printed
    for word in words:
        assert word in printed


def test_what_cannot_be_published_is_one_line(server, made, publish, monkeypatch):
    check_line(publish(), 2, "runs/mine", "no such folder")
    variant(made, 99.4)
    check_line(publish(), 2, "study sweep FILE --online", "--project ENTITY/PROJECT")
    check_line(publish("--target", "994"), 2, "target=994")
    made(Config(norm="layer"), curve(99, 3), url="https://wandb.ai/a/b/runs/c")
    made(Config(norm="none"), curve(99, 3), url="https://wandb.ai/a/d/runs/e")
    check_line(publish(), 2, "several W&B projects", "a/b, a/d")
    assert not server.runs
    server.refuses.add("upsertView")
    check_line(publish("--project", "a/b"), 1, "the W&B server did not take it", "publish again")
    assert report_run(server).state == "failed"
    server.fail(401)
    check_line(publish("--project", "a/b"), 1, "does not accept this machine", "wandb login")


def test_without_a_server_or_a_key_the_remedy_is_named(
    server, made, publish, monkeypatch, tmp_path
):
    variant(made, 99.4)
    monkeypatch.setattr("study.tracking.client.PATIENCE", 0)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    check_line(publish(), 1, "no W&B server at http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    wandb.teardown()  # which has read them
    done = publish()
    check_line(done, 2, "wandb login", "WANDB_API_KEY")
    assert "offline" not in done[1]


def test_a_run_that_variables_name_is_left_alone(server, made, publish, monkeypatch):
    """They are of another program, or of `wandb agent`."""
    variant(made, 99.4, 99.5)
    sweep = server.add_sweep("method: grid\nparameters: {wd: {value: 1}}\n")
    server.add_run(None, {"wd": 1}, [{"loss": 1}], id="theirs", name="theirs")
    monkeypatch.setenv("WANDB_RUN_ID", "theirs")
    monkeypatch.setenv("WANDB_SWEEP_ID", sweep.id)
    code, printed = publish("--project", "team/norms")
    assert code == 0, printed
    theirs = server.runs["theirs"]
    assert (theirs.name, theirs.job_type, theirs.starts) == ("theirs", None, 0)
    ours = [run for run in server.runs.values() if run is not theirs]
    assert len(ours) == 3 and not sweep.runs
    assert {(run.project, run.sweep) for run in ours} == {("norms", None)}
