"""Half of a sweep is called half."""

import dataclasses

from study import planned, runs
from study.config import Config
from study.metrics import Metric
from study.planned import Plan
from study.report import grouping, results
from study.report.text import findings, missing, pairs, search
from tests.report.conftest import curve

NORMS = {"norm": ["batch", "group"], "seed": [1, 2, 3]}
GRID = Plan("mine", "grid", None, "", ({**NORMS, "epochs": [10]},))
BN = Config(epochs=10)


def sentences(study) -> list[str]:
    return [finding.text for finding in missing.findings(study)]


def seeded(config: Config, seed: int) -> Config:
    return dataclasses.replace(config, seed=seed)


def test_what_was_planned_and_is_not_there_is_named(made, tmp_path):
    folder = tmp_path / "runs/mine"
    made(seeded(BN, 1), curve(99.4))
    made(seeded(BN, 2), curve(99.3), runs.STOPPED)
    made(seeded(BN, 3), curve(9.0), runs.FAILED, cause="x")
    assert sentences(grouping.collect(folder)) == []  # an older folder has no plan
    planned.write(folder, GRID)
    study = grouping.collect(folder)
    assert sentences(study) == ["2 of 6 planned runs have ended: BN has 2 of 3, GN has none of 3."]
    [short] = missing.findings(study, counted=True)
    assert short.text == "Of their planned runs, BN has 2 of 3, GN has none of 3."
    best = findings.summarize(study, pairs.compare(study))[0].text
    assert best.startswith(
        "The test accuracy of BN (the only variant with a finished run) at the last epoch is"
    )
    assert search.summarize(study) is None
    rows = [dict(zip(results.HEADER, row)) for row in results.rows(study)]
    assert [(r["label"], r["planned"], r["seeds"]) for r in rows] == [("BN", 3, 3), ("GN", 3, 0)]


def test_a_whole_sweep_lacks_nothing_and_runs_beside_the_plan_count(made, tmp_path):
    folder = tmp_path / "runs/mine"
    for norm in ("batch", "group"):
        for seed in (1, 2, 3, 4):
            made(Config(norm=norm, epochs=10, seed=seed), curve(99.4))
    planned.write(folder, GRID)
    assert sentences(grouping.collect(folder)) == []
    made(Config(norm="layer", epochs=10), curve(99.0), runs.FAILED, cause="x")
    [text] = sentences(grouping.collect(folder))
    assert text == "8 of 9 planned runs have ended: LN has none of 1."


def test_a_search_has_its_cap_unless_its_target_ended_it(made, tmp_path):
    folder = tmp_path / "runs/mine"
    for lr in (0.1, 0.2):
        made(Config(lr=lr, epochs=10), curve(99.4))
    plan = Plan("mine", "bayes", Metric("test/accuracy", True, 99.5), "", run_cap=30)
    planned.write(folder, plan)
    study = grouping.collect(folder)
    assert sentences(study) == ["2 of at most 30 planned runs have ended."]
    assert missing.findings(study, counted=True) == []
    planned.write(folder, dataclasses.replace(plan, metric=Metric("test/accuracy", True, 99.3)))
    assert sentences(grouping.collect(folder)) == []


def test_a_search_that_has_all_its_runs_lacks_nothing(made, tmp_path):
    folder = tmp_path / "runs/mine"
    for lr in (0.1, 0.2):
        made(Config(lr=lr, epochs=10), curve(99.4))
    planned.write(folder, Plan("mine", "bayes", Metric("test/accuracy", True, None), "", run_cap=2))
    assert sentences(grouping.collect(folder)) == []


def test_sweeps_together_are_counted_each_by_itself(made, tmp_path):
    for sweep in ("one", "two"):
        made(seeded(BN, 1), curve(99.4), sweep=sweep)
        planned.write(tmp_path / "runs" / sweep, dataclasses.replace(GRID, run_cap=2))
    study = grouping.collect(tmp_path / "runs/one", tmp_path / "runs/two")
    first, second = sentences(study)
    assert missing.findings(study, counted=True) == missing.findings(study)
    assert first == "1 of 2 planned runs of one have ended: one: BN has 1 of 2."
    assert second.startswith("1 of 2 planned runs of two")


def test_folders_that_cannot_be_read_are_named_and_the_others_reported(made, tmp_path):
    made(seeded(BN, 1), curve(99.4))
    damaged = made(seeded(BN, 2), curve(99.4), name="damaged")
    (damaged / runs.HISTORY).write_text('{"epoch": 1}\n{"epo')
    (made(seeded(BN, 3), curve(99.4), name="bare") / runs.CONFIG).unlink()
    (tmp_path / "runs/mine/notes").mkdir()
    study = grouping.collect(tmp_path / "runs/mine")
    assert len(study.all) == 1
    [text] = sentences(study)
    assert text.startswith("Not read, and in no count or mean: 2 run folders: bare (")
    assert "is damaged (it has no config.json)" in text and "history.jsonl: is damaged" in text
