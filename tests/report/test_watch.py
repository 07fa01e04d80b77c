"""A report that is watched: what is written when."""

import shutil

import pytest

from study import files, runs
from study.config import Config
from study.errors import RunError, UsageError
from study.report import page, watch
from study.report.watch import Watch
from tests.report.conftest import curve
from tests.report.test_progress import plan

GRID = {"norm": ["batch"], "seed": [1, 2]}


@pytest.fixture
def begun(made, tmp_path, monkeypatch, quick):
    """A sweep of two runs, of which one runs, and its watch."""
    monkeypatch.setattr(watch, "LOOK", 0)
    monkeypatch.setattr(watch, "IDLE", 0)
    made(Config(seed=1), [50.0, 60.0], runs.RUNNING)
    plan(tmp_path / "runs/mine", grids=(GRID,))
    return Watch([tmp_path / "runs/mine"], tmp_path / "out", None, False)


def finish(made, tmp_path, seed: int, last: float) -> None:
    """Let a run end: its folder is replaced."""
    shutil.rmtree(tmp_path / "runs/mine" / runs.name(Config(seed=seed)), ignore_errors=True)
    made(Config(seed=seed), curve(last))


def test_the_page_follows_the_runs_to_the_end(begun, made, tmp_path):
    looks = begun.run(until_done=True)
    found = next(looks)
    assert found.words == "0 of 2 planned runs finished, 1 running, 0 failed, 1 to come."
    html = begun.index.read_text()
    assert "60.00" in html and "The report comes with the first run" in html
    versions = [begun.version]

    finish(made, tmp_path, 1, 99.0)
    assert next(looks).words.startswith("1 of 2 planned runs finished, 0 running")
    html = begun.index.read_text()
    assert "99.00" in html and "1 of 2 planned runs finished" in html
    versions.append(begun.version)

    finish(made, tmp_path, 2, 98.0)
    assert next(looks).is_done
    assert list(looks) == []
    assert begun.news()["progress"] == ""
    html = begun.index.read_text()
    assert "planned runs" not in html and "98.50" in html
    assert len({*versions, begun.version}) == 3


def test_a_sweep_of_unknown_length_ends_when_nothing_happens_any_more(
    begun, made, tmp_path, monkeypatch
):
    (tmp_path / "runs/mine/sweep.json").unlink()  # as in the folder of agents
    finish(made, tmp_path, 1, 99.0)
    assert begun.look() and begun.progress.is_done and not begun._is_over()
    made(Config(seed=2), [50.0], runs.RUNNING)
    monkeypatch.setattr(watch, "QUIET", -1)
    assert not begun.look() and not begun._is_over()
    finish(made, tmp_path, 2, 98.0)
    looks = begun.run(until_done=True)
    assert next(looks).words == "2 finished, 0 running, 0 failed." and list(looks) == []


def test_only_what_has_changed_is_read_again(begun, made, tmp_path, monkeypatch):
    def read(path, original=runs.read):
        folders.append(path.name)
        return original(path)

    folders = []
    monkeypatch.setattr(runs, "read", read)
    finish(made, tmp_path, 1, 99.0)
    finish(made, tmp_path, 2, 98.0)
    assert begun.look() and len(folders) == 2
    finish(made, tmp_path, 1, 97.0)
    assert begun.look() and folders[2:] == [runs.name(Config(seed=1))]
    assert "97.50" in begun.index.read_text()


def test_an_epoch_changes_the_progress_alone(begun, made, tmp_path, monkeypatch):
    finish(made, tmp_path, 2, 99.0)
    assert begun.look() and not begun.look()
    version, before = begun.version, begun.index.read_text()
    monkeypatch.setattr(watch, "build_report", lambda *_: pytest.fail("built again"))
    path = tmp_path / "runs/mine" / runs.name(Config(seed=1))
    runs.append_history(path, files.read_json_lines(path / runs.HISTORY)[-1] | {"epoch": 3})
    assert not begun.look()
    assert "3 of 20" in begun.news()["progress"]
    assert begun.index.read_text() == before  # every few seconds is enough
    monkeypatch.setattr(watch, "REWRITE", 0)
    assert not begun.look()
    html = begun.index.read_text()
    assert "3 of 20" in html and len(html) == len(before) and begun.version == version


def test_between_two_drawings_the_sweep_has_the_machine(begun, made, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "IDLE", 1000)
    monkeypatch.setattr(watch, "REWRITE", 0)
    finish(made, tmp_path, 2, 99.0)
    assert begun.look()
    made(Config(seed=3), curve(98.0))
    assert not begun.look()  # but the counts are new
    assert "2 of 3 planned runs finished" in begun.index.read_text()
    monkeypatch.setattr(begun, "_rested", 0)
    assert begun.look() and "98.00" in begun.index.read_text()
    monkeypatch.setattr(begun, "_rested", float("inf"))
    finish(made, tmp_path, 1, 97.0)  # the last
    assert begun.look() and "of 3 planned" not in begun.index.read_text()


def test_what_cannot_be_read_now_is_read_later(begun, made, tmp_path, monkeypatch):
    def vanish(*_, **__):
        raise UsageError("a folder is gone")

    finish(made, tmp_path, 2, 99.0)
    with monkeypatch.context() as patch:
        patch.setattr(watch, "collect", vanish)
        assert not begun.look()
    assert begun.look()
    folder = tmp_path / "runs/mine"
    folder.rename(tmp_path / "away")
    assert begun.look() and not begun.progress.has_results
    (tmp_path / "away").rename(folder)
    assert begun.look() and "99.00" in begun.index.read_text()


def test_a_report_that_cannot_be_written_ends_it(begun, monkeypatch):
    def full(*_):
        raise RunError("the disk is full")

    monkeypatch.setattr(page, "render_waiting", full)
    with pytest.raises(RunError, match="the disk is full"):
        begun.look()


def test_only_folders_that_are_there_are_watched(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(UsageError, match="no such folder"):
        Watch([tmp_path / "none"], tmp_path, None, False)
    with pytest.raises(UsageError, match="given twice"):
        Watch([tmp_path / "one"] * 2, tmp_path, None, False)


def test_a_report_that_can_never_be_written_is_refused_at_once(begun, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file/report: cannot be written"):
        Watch(begun.folders, tmp_path / "file/report", None, False)


def test_the_command_ends_with_the_sweep(begun, made, tmp_path, command):
    finish(made, tmp_path, 1, 99.0)
    finish(made, tmp_path, 2, 98.0)
    done = command("report", "runs/mine", "--watch")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == "reports/mine/index.html  (Ctrl-C ends)"
    assert second.endswith("2 of 2 planned runs finished, 0 running, 0 failed, 0 to come.")
    assert (tmp_path / "reports/mine/index.html").is_file()


@pytest.mark.parametrize("option", ["--watch", "--serve"])
def test_ctrl_c_is_one_line(begun, command, monkeypatch, option):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", interrupt)
    done = command("report", "runs/mine", option)
    assert done.returncode == 130 and "0 of 2 planned runs finished, 1 running" in done.stdout
    [line] = done.stderr.splitlines()
    assert line == "study: stopped; reports/mine/index.html is as of the last look"
