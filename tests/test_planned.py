"""sweep.json: what was planned, by one command and by several."""

import contextlib
import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from study import files, locks, planned
from study.errors import DamagedError, UsageError
from study.metrics import Metric
from study.planned import Plan, Step
from study.sweep import spec
from tests.damage import BYTES

GRID = """
method: grid
metric: {name: val/loss, goal: minimize}
description: |
  Three steps, for whoever reads the file.
  target: 99.4
  step 1, target 99: the bare network
  step 2: with a learning rate that falls
parameters:
  schedule: {values: [constant, cosine]}
  holdout: {value: 100}
  groups: {value: 5}
  seed: {values: [1, 2, 3]}
"""


@pytest.fixture
def command(tmp_path):
    """Plans as `study sweep` does: its file, and settings that replace some of it."""

    def plan(text: str = GRID, *settings: str) -> Plan:
        (tmp_path / "mine.yaml").write_text(text)
        planned.write(tmp_path / "runs", spec.read(tmp_path / "mine.yaml", settings).plan())
        return planned.read(tmp_path / "runs")

    return plan


def test_a_grid_reads_back_with_its_metric_targets_and_configurations(command, tmp_path):
    assert planned.read(tmp_path) is None
    plan = command()
    assert (plan.name, plan.method, plan.target) == ("mine", "grid", 99.4)
    assert plan.metric == Metric("val/loss", False, None)
    assert plan.steps == (
        Step(99.0, "the bare network"),
        Step(99.4, "with a learning rate that falls"),
    )
    assert plan.configs == spec.read(tmp_path / "mine.yaml").configs and len(plan.configs) == 6
    assert [config.schedule for config in plan.step_configs] == ["constant", "cosine"]


def test_settings_add_to_the_plan_and_an_edited_file_plans_anew(command):
    assert len(command(GRID, "seed=1").configs) == 2
    assert len(command().configs) == 6
    assert len(command(GRID, "seed=4", "schedule=constant").configs) == 7
    assert [c.schedule for c in command().step_configs] == ["constant", "cosine"]
    edited = command(GRID.replace("cosine", "onecycle"))
    assert len(edited.configs) == 6 and {c.schedule for c in edited.configs} == {
        "constant", "onecycle",
    }  # fmt: skip


def test_commands_that_begin_together_lose_no_plan(tmp_path, monkeypatch):
    together = threading.Barrier(2, timeout=0.5)

    def read(folder, original=planned.read):
        earlier = original(folder)
        with contextlib.suppress(threading.BrokenBarrierError):  # the other waits, as it should
            together.wait()
        return earlier

    monkeypatch.setattr(planned, "read", read)
    plans = [Plan("mine", "grid", None, "", ({"seed": [seed]},)) for seed in (1, 2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(planned.write, [tmp_path] * 2, plans))
    assert {config.seed for config in planned.read(tmp_path).configs} == {1, 2}


def test_a_plan_is_written_where_there_are_no_locks(command, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    assert len(command().configs) == 6


def test_a_search_plans_its_cap(command):
    search = "method: random\nrun_cap: 12\nparameters: {lr: {min: 0.01, max: 0.1}}\n"
    plan = command(search)
    assert (plan.run_cap, plan.configs, plan.metric, plan.target) == (12, [], None, None)


def test_what_is_not_allowed_here_is_left_out_with_a_warning(caplog):
    grid = {"network": ["mnist_7684", "of_elsewhere"], "seed": [1, 2]}
    plan = Plan("mine", "grid", None, "", (grid,))
    assert [(config.network, config.seed) for config in plan.configs] == [
        ("mnist_7684", 1), ("mnist_7684", 2),
    ]  # fmt: skip
    assert "left out: network=of_elsewhere" in caplog.text


def test_a_large_grid_is_cut(command, monkeypatch):
    monkeypatch.setattr(planned, "MOST", 4)
    assert len(command().configs) == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("target: 99.4", "target: high", "'target: high': a target is a number above 0"),
        ("target: 99.4", "target: 994", "at most 100"),
        ("step 2:", "step 3:", "step 2 comes next"),
        ("step 1, target 99:", "step 1 (99):", "write `target: 99.4`"),
        ("  step 2: with a learning rate that falls\n", "", "has 1 step; allowed is one for each"),
    ],
)
def test_a_wrong_description_is_refused(command, old, new, message):
    assert old in GRID
    with pytest.raises(UsageError, match="description") as error:
        command(GRID.replace(old, new))
    assert message in str(error.value)


@pytest.mark.parametrize("kind", BYTES)
def test_a_damaged_plan_is_named_and_set_aside_by_the_next_command(command, kind, tmp_path, caplog):
    (tmp_path / planned.FILE).write_bytes(BYTES[kind])
    with pytest.raises(DamagedError, match=r"sweep\.json: is damaged"):
        planned.read(tmp_path)
    planned.write(tmp_path, command(GRID))
    assert planned.read(tmp_path) == command(GRID)
    assert (tmp_path / f"{planned.FILE}.damaged").read_bytes() == BYTES[kind]
    assert f"set aside as {planned.FILE}.damaged" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        *({"grids": grids} for grids in (1, [1], {"norm": ["batch"]}, [{"norm": "batch"}])),
        *({"run_cap": cap} for cap in ("3", 2.5, True, 0, -1)),
        *({"target": target} for target in ("99.4", True, [99])),
        {"steps": [{"target": "99", "words": "bare"}]},
        {"steps": [{"target": 99.0, "words": 1}]},
        *({"metric": {"name": "val/loss", "maximize": False, "target": t}} for t in ("0.1", {})),
        {"metric": {"name": "val/loss", "maximize": "no", "target": None}},
        *({"metric": {"name": n, "maximize": True, "target": None}} for n in ("best", 3, "a/loss")),
        *({name: 5} for name in ("name", "method", "definition", "metric", "steps")),
    ],
    ids=str,
)
def test_a_plan_edited_to_what_it_cannot_be_is_damaged(command, changes, tmp_path):
    planned.write(tmp_path, command(GRID))
    content = files.read_json(tmp_path / planned.FILE)
    files.write_json(tmp_path / planned.FILE, content | changes)
    with pytest.raises(DamagedError, match=r"sweep\.json: is damaged"):
        planned.read(tmp_path)
