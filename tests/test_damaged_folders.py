"""Damaged folders by the commands: reports leave them out, a sweep trains them again."""

import re

import pytest

from study import planned, runs
from study.config import Config
from study.sweep import spec
from tests.conftest import write_run
from tests.damage import DAMAGES

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


def test_a_report_of_damaged_folders_alone_is_one_line(written, tmp_path, command):
    for path in (tmp_path / "runs/mine").glob("*/history.jsonl"):
        path.write_text("[1]\n")
    done = command("report", "runs/mine")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "no run in it can be read" in line and "history.jsonl: is damaged" in line


def test_a_sweep_trains_damaged_runs_again_and_leaves_the_others(written, tmp_path, command):
    folders = [tmp_path / "runs/mine" / runs.name(config) for config in written]
    for kind, folder in zip(("history: fewer rows", "config: gone"), folders):
        DAMAGES[kind](folder)
    stamp = (folders[2] / runs.SUMMARY).stat().st_mtime_ns
    done = command("sweep", "mine.yaml", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "2 runs trained now, 1 were there, 0 failed, 0 left for later" in done.stdout
    for folder in folders[:2]:
        assert re.search(rf"warning: .*{folder.name}: .* set aside as {folder.name}\.damaged, and"
                         r" trained again from the start", done.stderr)  # fmt: skip
        assert runs.read(folder).done and folder.with_name(f"{folder.name}.damaged").is_dir()
    assert (folders[2] / runs.SUMMARY).stat().st_mtime_ns == stamp
    again = command("sweep", "mine.yaml")
    assert "0 runs trained now, 3 were there" in again.stdout and "warning" not in again.stderr
