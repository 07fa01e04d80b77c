"""What was written before stays readable: identities, labels, a folder of runs.

before/ is a sweep's folder as of commit 40c7513, which called a pack's path `fused`: two runs of a
pack, one by the loop, one cut off after its first epoch. identities.json is of that commit too, but
for its labels, which name what is off no longer.
"""

import json
import shutil
from pathlib import Path

import pytest

from study import sweep_folder
from study.config import Config
from study.labels import labels
from tests.conftest import read_csv

GOLDEN = Path(__file__).parent
IDENTITIES = json.loads((GOLDEN / "identities.json").read_text())


@pytest.fixture
def before(tmp_path):
    """A copy of the folder that runs below tmp_path."""
    return Path(shutil.copytree(GOLDEN / "before", tmp_path / "runs" / "before"))


def test_identities_and_labels_are_as_ever():
    configs = [Config(**row["settings"]) for row in IDENTITIES]
    named = labels(configs)
    for config, row in zip(configs, IDENTITIES, strict=True):
        assert config.identity == row["identity"]
        assert named[config.without_seed()] == row["label"]


def test_runs_of_before_are_read(before):
    found = {run.path.name: run for run in sweep_folder.find(before)}
    assert sorted(run.state for run in found.values()) == ["finished"] * 3 + ["running"]
    packed = found["group_s1_f12ee0116a"]
    assert packed.config == Config(
        norm="group", groups=5, l1=1e-4, dropout=0.05, batch_size=256, epochs=2, holdout=100, seed=1
    )
    assert packed.summary["path"] == "fused" and packed.summary["pack"] == 2
    assert packed.parameters()["total"] == 7684
    wrong = packed.misclassified()
    assert packed.confusion().sum() == 360 and len(wrong.index) == round(360 * (1 - 0.41666666))


def test_a_sweep_of_before_goes_on_and_is_reported(before, command, quick):
    reached = {path.parent.name: path.read_text() for path in before.glob("*/history.jsonl")}
    done = command("sweep", GOLDEN / "before.yaml", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "1 run trained" in done.stdout and "3 already done" in done.stdout
    for name, history in reached.items():
        assert (before / name / "history.jsonl").read_text().startswith(history)
    assert {run.state for run in sweep_folder.find(before)} == {"finished"}
    done = command("report", "runs/before")
    assert done.returncode == 0, done.stderr
    rows = read_csv(before.parent.parent / "reports/before/results.csv")
    assert [row["finished"] for row in rows] == ["2", "2"]
