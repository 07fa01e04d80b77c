"""How far the runs of a sweep are, read while they are written."""

import os
import shutil
from datetime import datetime

import pytest

from study import files, locks, planned, runs, search_record, sweep_folder
from study.config import Config
from study.errors import UsageError
from study.metrics import Metric
from study.planned import Plan
from study.report import progress
from study.search_record import SearchRecord
from tests.report.conftest import curve

AS_OF = datetime.fromtimestamp(2e9).strftime("%d %b %H:%M:%S")
ACCURACY = Metric("test/accuracy", True, None)


def plan(folder, metric=ACCURACY, method="grid", grids=(), run_cap=None) -> None:
    planned.write(folder, Plan("mine", method, metric, "", grids, run_cap))


@pytest.fixture
def half(made, tmp_path):
    """A grid of six of which two finished, one runs, one failed and two are to come."""
    folder = tmp_path / "runs/mine"
    made(Config(seed=1), curve(99.0))
    made(Config(seed=2), curve(98.0))
    path = made(Config(seed=3), curve(97.0)[:4], runs.RUNNING)
    os.utime(path / runs.HISTORY, (0, 2e9))
    made(Config(norm="layer", seed=1), curve(9.0)[:1], runs.FAILED, cause="it broke")
    plan(folder, grids=({"norm": ["batch", "layer"], "seed": [1, 2, 3]},))
    return folder


def test_the_runs_are_counted_and_those_that_run_described(half):
    found = progress.read([half])
    assert found.words == "2 of 6 planned runs finished, 1 running, 1 failed, 2 to come."
    assert not found.is_done and found.has_results
    [run] = found.running
    assert (run.label, run.seed, run.epoch, run.epochs) == ("BN", 3, 4, Config().epochs)
    assert run.score == f"test accuracy {curve(97.0)[3]:.2f}" and run.time == AS_OF
    [failed] = found.failed
    assert (failed.label, failed.cause) == ("LN", "it broke")


def test_runs_that_were_read_before_are_not_read_again(half, monkeypatch):
    found = progress.read([half])
    known = sweep_folder.find(half)
    progress._read_run.cache_clear()
    read_config, opened = runs.read_config, []
    monkeypatch.setattr(runs, "read_config", lambda path: opened.append(path) or read_config(path))
    assert progress.read([half], known) == found
    assert opened == [run.path for run in known if not run.done]


def test_runs_that_were_stopped_early_are_counted(made, tmp_path):
    made(Config(seed=1), curve(99.0))
    made(Config(seed=2), [50.0], runs.STOPPED)
    found = progress.read([tmp_path / "runs/mine"])
    assert found.words == "1 finished, 1 stopped early, 0 running, 0 failed."


def test_a_finished_run_counts_before_a_failed_one_of_its_seed(made, tmp_path):
    made(Config(seed=1), [50.0], runs.FAILED, name="aa_before", cause="x")
    made(Config(seed=1), curve(99.0))
    assert progress.read([tmp_path / "runs/mine"]).words == "1 finished, 0 running, 0 failed."


def test_sweeps_have_results_when_each_has(made, tmp_path):
    made(Config(), curve(99.0), sweep="one")
    made(Config(), [50.0], runs.RUNNING, sweep="two")
    one, two = (tmp_path / "runs" / name for name in ("one", "two"))
    assert progress.read([one]).has_results and not progress.read([one, two]).has_results


def test_a_run_that_runs_is_scored_by_the_sweeps_metric_or_else_by_validation(made, tmp_path):
    folder = tmp_path / "runs/mine"
    path = made(Config(holdout=100), curve(97.0)[:4], runs.RUNNING)
    os.utime(path / runs.HISTORY, (0, 2e9))
    os.utime(path / runs.SUMMARY, (0, 2.1e9))
    [run] = progress.read([folder]).running
    assert run.score == f"validation accuracy {curve(97.0)[3] - 0.5:.2f}"
    assert run.time == AS_OF  # of the last epoch
    plan(folder, Metric("test/loss", False, None), grids=({"holdout": [100]},))
    [run] = progress.read([folder]).running
    assert run.score == f"test loss {(100 - curve(97.0)[3]) / 30:.4f}"


def test_what_is_torn_gone_or_no_run_is_passed_over(half, monkeypatch):
    before = progress.read([half])
    path = half / runs.name(Config(seed=3))
    with open(path / runs.HISTORY, "a") as file:
        file.write('{"epoch": 5, "test/acc')
    os.utime(path / runs.HISTORY, (0, 2e9))
    assert progress.read([half]) == before
    for name, body in (("a", "{"), ("b", "[]"), ("c", '{"norm": "x"}')):
        files.write_text(half / name / runs.CONFIG, body)
    (half / "d").mkdir()
    path.rename(half / f"{path.name}{runs.DELETED}")
    assert progress.read([half]).running == []

    real = runs.read_config
    monkeypatch.setattr(runs, "read_config", lambda path: (shutil.rmtree(path), real(path)))
    progress._read_run.cache_clear()
    found = progress.read([half])
    assert found.words == "0 of 6 planned runs finished, 0 running, 0 failed, 6 to come."
    assert not found.has_results and not found.is_done
    shutil.rmtree(half)
    assert progress.read([half]).total is None


def test_a_finished_run_that_is_damaged_is_to_come(half):
    path = half / runs.name(Config(seed=1))
    runs.write_history(path, runs.read_history(path)[:-1])
    found = progress.read([half])
    assert found.words == "1 of 6 planned runs finished, 1 running, 1 failed, 3 to come."


def test_a_sweep_is_done_when_no_planned_run_is_left(half, made):
    made(Config(norm="layer", seed=2), curve(99.0))
    made(Config(norm="layer", seed=3), curve(99.0))
    assert not progress.read([half]).is_done
    running = half / runs.name(Config(seed=3))
    shutil.rmtree(running)
    made(Config(seed=3), curve(99.0))
    found = progress.read([half])
    assert found.is_done and found.states[runs.FAILED] == 1
    made(Config(seed=4), [50.0], runs.RUNNING)  # beside the plan
    assert not progress.read([half]).is_done


def test_a_search_is_done_at_its_limit_or_its_target(made, tmp_path):
    folder = tmp_path / "runs/mine"
    made(Config(lr=0.1), curve(98.0))
    plan(folder, method="bayes", run_cap=3)
    assert progress.read([folder]).words == (
        "1 of 3 planned runs finished, 0 running, 0 failed, 2 to come."
    )
    (folder / planned.FILE).unlink()
    plan(folder, Metric("test/accuracy", True, 97.5), "bayes", run_cap=3)
    assert progress.read([folder]).is_done
    (folder / planned.FILE).unlink()
    assert progress.read([folder]).is_done  # nothing is known to be left
    assert not progress.read([folder, tmp_path]).is_done


def test_a_search_of_every_configuration_is_done_before_its_limit(made, tmp_path):
    folder = tmp_path / "runs/mine"
    made(Config(norm="batch"), curve(98.0))
    made(Config(norm="layer"), curve(97.0))
    plan(folder, method="random", run_cap=30)
    for record in ({"method": "random", "exhausted": False}, {}, []):
        files.write_json(folder / search_record.FILE, record)
        assert not progress.read([folder]).is_done
    search_record.write(folder, SearchRecord("random", exhausted=True))
    found = progress.read([folder])
    assert found.is_done
    assert found.words == "2 of 2 planned runs finished, 0 running, 0 failed, 0 to come."
    with locks.share(folder):
        assert not progress.read([folder]).is_done


def test_a_record_that_cannot_be_read_just_now_is_passed_over(made, tmp_path, monkeypatch):
    folder = tmp_path / "runs/mine"
    made(Config(norm="batch"), curve(98.0))
    plan(folder, method="random", run_cap=30)
    search_record.write(folder, SearchRecord("random", exhausted=True))
    read = files.read_json

    def stale(path):
        if path.name == search_record.FILE:
            raise UsageError(f"{path}: cannot be read (Stale file handle)")
        return read(path)

    monkeypatch.setattr(files, "read_json", stale)
    assert progress.read([folder]).total == 30


def test_a_search_without_a_limit_is_not_done_while_a_command_works_on_it(made, tmp_path):
    folder = tmp_path / "runs/mine"
    made(Config(lr=0.1), curve(98.0))
    plan(folder, method="random")
    assert progress.read([folder]).total is None
    with locks.share(folder):  # as `study sweep` does, here between two runs
        assert not progress.read([folder]).is_done
        (folder / planned.FILE).unlink()
        assert not progress.read([folder]).is_done
    assert progress.read([folder]).is_done


def test_a_look_tells_an_end_from_an_epoch(half):
    before = progress.read([half])
    path = half / runs.name(Config(seed=3))
    row = files.read_json_lines(path / runs.HISTORY)[-1] | {"epoch": 5}
    runs.append_history(path, row)
    epoch = progress.read([half])
    assert epoch != before and epoch.ended == before.ended
    assert epoch.running[0].epoch == 5
    runs.write_failure(path, Config(seed=3), "it broke, too")
    assert progress.read([half]).ended != before.ended
