"""A run folder is read by one function that trusts nothing."""

import pytest

from study import runs
from study.config import Config
from study.errors import DamagedError
from study.report import progress
from tests.conftest import write_run
from tests.damage import DAMAGES

CONFIG = Config(dataset="digits", norm="batch", epochs=3, seed=1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / runs.name(CONFIG)
    return write_run(folder, CONFIG).path


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of a whole run's folder, without what nobody reads."""
    for path in whole.iterdir():
        if path.is_file():
            (tmp_path / whole.name).mkdir(exist_ok=True)
            (tmp_path / whole.name / path.name).write_bytes(path.read_bytes())
    return tmp_path / whole.name


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_and_named_in_a_line(folder, damage):
    assert runs.read_done(folder)
    damage(folder)
    with pytest.raises(DamagedError) as raised:
        runs.read(folder)
    [line] = str(raised.value).splitlines()
    assert line.startswith(f"{folder}") and ": is damaged (" in line and len(line) < 500
    assert not runs.is_done(folder)


@pytest.mark.parametrize(
    "name", ["test_accuracy_best_epoch", "val_accuracy_last", "val_loss_last", "seconds"]
)
def test_a_finished_run_has_each_figure_that_a_report_reads(tmp_path, name):
    run = write_run(tmp_path / "run", Config(dataset="digits", holdout=100, epochs=2))
    assert runs.is_done(run.path)
    runs.write_summary(run.path, {k: v for k, v in run.summary.items() if k != name})
    with pytest.raises(DamagedError, match=f"finished, but without {name}"):
        runs.read(run.path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("test_accuracy_best", 99.9), ("test_accuracy_best_epoch", 1), ("test_accuracy_last5_min", 50),
     ("test_accuracy_at_best_val", 99.9), ("test_loss_last", 0.7), ("epochs", 1)],
)  # fmt: skip
def test_a_summary_that_contradicts_its_history_is_damaged(tmp_path, name, value):
    run = write_run(tmp_path / "run", Config(dataset="digits", holdout=100, epochs=2))
    runs.write_summary(run.path, run.summary | {name: value})
    with pytest.raises(DamagedError, match="history"):
        runs.read(run.path)


@pytest.mark.parametrize("value", [None, "gone"])
def test_a_validated_run_has_a_validation_accuracy_each_epoch(tmp_path, value):
    run = write_run(tmp_path / "run", Config(dataset="digits", holdout=100, epochs=3))
    first = dict(run.history[0])
    first |= {"val/accuracy": None} if value is None else {}
    if value == "gone":
        del first["val/accuracy"]
    runs.write_history(run.path, [first, *run.history[1:]])
    with pytest.raises(DamagedError, match="val/accuracy"):
        runs.read(run.path)
    assert progress.read([tmp_path]).states[runs.FINISHED] == 0


@pytest.mark.parametrize("state", [runs.STOPPED, runs.FAILED, runs.RUNNING])
def test_whole_runs_of_each_state_are_read(state, tmp_path):
    assert write_run(tmp_path / "run", CONFIG, state).state == state


def test_a_run_that_just_began_and_one_pulled_without_files_are_whole(folder):
    for file in (runs.PARAMETERS, runs.CONFUSION, runs.MISCLASSIFIED, runs.WEIGHTS):
        (folder / file).unlink()
    assert runs.is_done(folder)
    runs.write_summary(folder, {"state": runs.RUNNING})
    runs.write_history(folder, [])
    assert runs.read(folder).history == []
    (folder / runs.SUMMARY).unlink()
    assert runs.read(folder).state == runs.RUNNING


def test_another_runs_config_shows_by_the_folders_name_wherever_it_is_from(folder):
    pulled = folder.rename(folder.with_name(f"{folder.name}-a1b2c3d4"))
    assert runs.is_done(pulled)
    runs.write_config(pulled, Config(dataset="digits", norm="batch", epochs=3, seed=2))
    with pytest.raises(DamagedError, match="of another run, batch_s2_"):
        runs.read(pulled)
    assert runs.is_done(pulled.rename(pulled.with_name("mine")))  # a name of one's own says nothing
