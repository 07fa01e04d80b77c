"""Damaged folders by the commands: reports leave them out, a sweep trains them again."""

import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from study import files, planned, runs, search_record
from study.config import Config
from study.report import grouping
from study.report.text import search as search_text
from study.sweep import spec, trials
from study.sweep.methods import search_of
from tests.conftest import write_run
from tests.damage import BYTES, DAMAGES

GRID = """
method: grid
parameters:
  dataset: {value: digits}
  norm: {value: none}
  epochs: {value: 2}
  batch_size: {value: 512}
  lr: {value: 0.01}
  seed: {values: [1, 2, 3]}
"""


@pytest.fixture
def written(tmp_path):
    """Write the whole runs of the grid, without training; their configurations."""
    (tmp_path / "mine.yaml").write_text(GRID)
    plan = spec.read(tmp_path / "mine.yaml")
    for config in plan.configs:
        write_run(tmp_path / "runs/mine" / runs.name(config), config)
    planned.write(tmp_path / "runs/mine", plan.plan())
    return plan.configs


def test_a_report_leaves_out_each_damaged_folder_and_says_why(written, tmp_path, command, quick):
    folder = tmp_path / "runs/mine"
    for seed, damage in enumerate(DAMAGES.values(), 100):
        config = Config(**written[0].non_defaults() | {"seed": seed})
        damage(write_run(folder / runs.name(config), config).path)
    done = command("report", "runs/mine")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    page = (tmp_path / "reports/mine/index.html").read_text()
    text = (tmp_path / "reports/mine/report.md").read_text()
    assert len(lines) == len(DAMAGES) and "Traceback" not in done.stderr
    for seed in range(100, 100 + len(DAMAGES)):
        [line] = [line for line in lines if line.startswith(f"left out: none_s{seed}_")]
        assert "is damaged (" in line
        assert f"<td>none_s{seed}_" in page and f"- none_s{seed}_" in text
    assert f"Not read, and in no count or mean: {len(DAMAGES)} run folders" in text
    assert "3 finished" in page


@pytest.mark.parametrize("kind", BYTES)
def test_a_report_does_without_a_damaged_plan_and_record_of_a_search(written, kind, tmp_path):
    folder = tmp_path / "runs/mine"
    for file in (planned.FILE, search_record.FILE):
        (folder / file).write_bytes(BYTES[kind])
    study = grouping.collect(folder)
    assert len(study.all) == 3 and study.plan is None
    assert search_text.summarize(study) is None
    assert [len(found) for found in search_text.in_order(study)[:1]] == [3]


def test_a_report_of_damaged_folders_alone_is_one_line(written, tmp_path, command):
    for path in (tmp_path / "runs/mine").glob("*/history.jsonl"):
        path.write_text("[1]\n")
    done = command("report", "runs/mine")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "no run in it can be read" in line and "history.jsonl: is damaged" in line


def test_runs_of_other_code_are_one_line_of_a_report(written, tmp_path, command, quick):
    for seed in (7, 8, 9):
        config = Config(**written[0].non_defaults() | {"seed": seed})
        path = write_run(tmp_path / "runs/mine" / runs.name(config), config).path / runs.CONFIG
        files.write_json(path, files.read_json(path) | {"network": "tiny_net"})
    done = command("report", "runs/mine")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert line.startswith("left out: 3 runs, such as none_s7_") and "damaged" not in done.stderr
    assert "uses network=tiny_net" in line and "set STUDY_IMPORT to the module that" in line
    text = (tmp_path / "reports/mine/report.md").read_text()
    assert "Not read, and in no count or mean: 3 run folders: none_s7_" in text
    assert text.count("uses network=tiny_net") == 2  # in the findings and below the runs


def test_a_sweep_trains_damaged_runs_again_and_leaves_the_others(written, tmp_path, command):
    folders = [tmp_path / "runs/mine" / runs.name(config) for config in written]
    for kind, folder in zip(("history: fewer rows", "config: gone"), folders):
        DAMAGES[kind](folder)
    stamp = (folders[2] / runs.SUMMARY).stat().st_mtime_ns
    done = command("sweep", "mine.yaml", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "2 runs trained, 1 already done, 0 failed, 0 remaining" in done.stdout
    for folder in folders[:2]:
        assert re.search(rf"warning: .*{folder.name}: .* set aside as {folder.name}\.damaged, and"
                         r" trained again from the start", done.stderr)  # fmt: skip
        assert runs.read(folder).done and folder.with_name(f"{folder.name}.damaged").is_dir()
    assert (folders[2] / runs.SUMMARY).stat().st_mtime_ns == stamp
    again = command("sweep", "mine.yaml")
    assert "0 runs trained, 3 already done" in again.stdout and "warning" not in again.stderr


def test_a_folder_that_is_moved_while_it_trains_fails_that_run_alone(tmp_path, command):
    (tmp_path / "mine.yaml").write_text(GRID.replace("epochs: {value: 2}", "epochs: {value: 4}"))
    words = ("sweep", "mine.yaml", "--workers", 1, "--set", "seed=1,2")
    [first, _] = spec.read(tmp_path / "mine.yaml", words[-1:]).configs
    folder = tmp_path / "runs/mine" / runs.name(first)

    def move() -> None:
        until = time.monotonic() + 120
        while runs.count_epochs(folder) < 1:
            assert time.monotonic() < until, "it never trained an epoch"
            time.sleep(0.002)
        folder.rename(tmp_path / "moved")

    with ThreadPoolExecutor(1) as pool:
        moved = pool.submit(move)
        done = command(*words)
        moved.result()
    assert done.returncode == 1, done.stderr
    assert "1 run trained, 0 already done, 1 failed" in done.stdout
    assert f"{folder.name} (" in done.stderr and "Traceback" not in done.stderr
    again = command(*words)
    assert again.returncode == 0, again.stderr
    assert "1 run trained, 1 already done, 0 failed" in again.stdout


SEARCH = GRID.replace("method: grid", "method: random\nrun_cap: 1").replace(
    "seed: {values: [1, 2, 3]}", "dropout: {min: 0.0, max: 0.5}"
)


def test_runs_that_a_torn_journal_does_not_know_are_found_and_not_said_to_be_trained(
    tmp_path, command
):
    (tmp_path / "mine.yaml").write_text(SEARCH)
    plan = spec.read(tmp_path / "mine.yaml")
    search = search_of(plan, tmp_path / "runs/mine")
    trial = search.ask()
    run = write_run(tmp_path / "runs/mine" / runs.name(trial.config), trial.config)
    search.complete(trial, run)
    journal = tmp_path / "runs/mine" / trials.JOURNAL
    journal.write_bytes(b"torn")
    done = command("sweep", "mine.yaml", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "0 runs trained, 1 already done, 0 failed, 0 remaining" in done.stdout
    assert "search.journal: is damaged after line 0" in done.stderr
    assert "0 runs trained, 1 already done" in command("sweep", "mine.yaml").stdout


@pytest.mark.parametrize("body", [GRID, SEARCH], ids=["grid", "search"])
def test_a_finished_sweep_on_a_read_only_disk_has_nothing_to_do(body, mounted, tmp_path, command):
    (tmp_path / "mine.yaml").write_text(body)
    plan = spec.read(tmp_path / "mine.yaml")
    out = mounted("size=4m")
    search = search_of(plan, out / "mine")
    for _ in range(plan.run_cap or 3):
        trial = search.ask()
        search.complete(trial, write_run(out / "mine" / runs.name(trial.config), trial.config))
    before = sorted(path.name for path in (out / "mine").iterdir())
    subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
    done = command("sweep", "mine.yaml", "--out", out)
    assert done.returncode == 0, done.stderr
    count = plan.run_cap or 3
    assert f"0 runs trained, {count} already done, 0 failed, 0 remaining" in done.stdout
    assert sorted(path.name for path in (out / "mine").iterdir()) == before
    more = command("sweep", "mine.yaml", "--out", out, "--set", "norm=batch")
    assert more.returncode == 2 and "Read-only file system" in more.stderr


def test_a_cache_on_a_read_only_disk_is_named_as_that(mounted, tmp_path, command, monkeypatch):
    monkeypatch.setenv("STUDY_CACHE", str(mounted("size=1m,ro")))
    done = command("train", "--dataset", "digits", "--epochs", 1, "--augment", "rotate7")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "Read-only file system" in line and "STUDY_CACHE" in line and "--out" not in line
