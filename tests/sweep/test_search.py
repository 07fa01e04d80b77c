"""The searcher by itself: what it asks for, with runs whose figures are computed, not trained."""

import errno
import itertools
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileOpenLock
from optuna.trial import TrialState

from study import files, runs, schema, search_record
from study.config import Config
from study.errors import DamagedError, RunError, UsageError
from study.sweep import bayes, leases, local, spec, storages, trials
from study.sweep.job_queue import JobQueue
from study.sweep.methods import search_of
from study.sweep.search import Search
from study.sweep.sweep import Sweep
from study.train import packing

BAYES = """
method: bayes
metric: {name: val/accuracy, goal: maximize}
run_cap: 16
parameters:
  norm: {values: [batch, group]}
  groups: {values: [2, 4]}
  l1: {distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-2}
  dropout: {min: 0.0, max: 0.5}
  epochs: {value: 4}
  holdout: {value: 100}
"""
RANDOM = BAYES.replace("bayes", "random")


@pytest.fixture
def sweep(tmp_path):
    def write(body: str = BAYES, *settings: str) -> Sweep:
        (tmp_path / "mine.yaml").write_text(body)
        return spec.read(tmp_path / "mine.yaml", settings)

    return write


def accuracy(config) -> float:
    """The best where l1 is 1e-4, without dropout, with batch norm."""
    l1 = abs(np.log10(config.l1 or 1e-9) + 4)
    return 99 - l1 - 5 * config.dropout - (config.norm == "group")


def ended(folder, trial, state=runs.FINISHED, best=None) -> runs.Run:
    """A run that has been trained, as far as a searcher looks."""
    best = accuracy(trial.config) if best is None else best
    others = {"test/loss": 0.5, "test/accuracy": 80.0}
    rows = [{"epoch": e + 1, "val/accuracy": best - 3 + e, **others} for e in range(4)]
    path = folder / runs.name(trial.config)
    runs.write_config(path, trial.config)
    runs.write_history(path, rows)
    runs.write_summary(path, {"state": state, "epochs": 4, **schema.scores(rows)})
    return runs.read(path)


def work(search: Search, count: int | None = None) -> list:
    """Ask and complete until nothing is left; return the configurations."""
    asked = []
    while count is None or len(asked) < count:
        trial = search.ask()
        if trial is None:
            break
        asked.append(trial.config)
        search.complete(trial, ended(search.out, trial))
    return asked


def test_one_seed_draws_one_sequence_and_a_restart_goes_on(sweep, tmp_path):
    first = work(search_of(sweep(), tmp_path / "a"))
    assert len(first) == len(set(first)) == 16
    again = work(search_of(sweep(), tmp_path / "b"), 5)
    again += work(search_of(sweep(), tmp_path / "b"), 7)
    search = search_of(sweep(), tmp_path / "b")
    assert search.existing == 12
    assert search.ask() is not None  # and the command is killed while it trains
    search.store.release_expired()
    search.close()
    again += work(search_of(sweep(), tmp_path / "b"))
    assert again == first
    assert work(search_of(sweep(), tmp_path / "c", seed=1), 3) != first[:3]


def test_the_gaussian_process_finds_what_is_good(sweep, tmp_path):
    found = work(search_of(sweep(), tmp_path / "a"))
    chosen, random = found[10:], found[:10]
    assert np.mean([accuracy(c) for c in chosen]) > np.mean([accuracy(c) for c in random]) + 1
    assert max(map(accuracy, found)) == max(map(accuracy, chosen))


def test_random_draws_need_no_metric(sweep, tmp_path):
    body = RANDOM.replace("metric: {name: val/accuracy, goal: maximize}\n", "")
    assert len(work(search_of(sweep(body), tmp_path / "a"))) == 16


def test_the_record_says_how_the_runs_were_drawn(sweep, tmp_path):
    drawn = work(search_of(sweep(RANDOM), tmp_path, seed=7), 5)
    record = search_record.read(tmp_path)
    assert (record.method, record.seed) == ("random", 7)
    assert (record.metric, record.goal) == ("val/accuracy", "maximize")
    assert list(record.runs) == [runs.name(config) for config in drawn]


def test_hyperband_stops_the_run_of_the_highest_loss(sweep, tmp_path):
    body = BAYES.replace("val/accuracy, goal: maximize", "val/loss, goal: minimize")
    body += "early_terminate: {type: hyperband, min_iter: 1, eta: 2}\n"
    search, stopped = search_of(sweep(body), tmp_path), []
    for loss in (0.3, 0.2, 0.1, 0.9):
        trial = search.ask()
        search.report(trial, {"epoch": 1, "val/loss": loss})
        stopped.append(search.stops(trial))
        search.complete(trial, ended(tmp_path, trial))
    assert stopped == [False, False, False, True]


def test_a_longer_search_goes_on_and_another_begins_anew(sweep, tmp_path):
    first = work(search_of(sweep(RANDOM.replace("16", "3")), tmp_path / "a"))
    longer = search_of(sweep(RANDOM.replace("16", "5")), tmp_path / "a")
    assert longer.existing == 3 and len(longer.pending(None)) == len(work(longer)) == 2
    other = search_of(sweep(RANDOM, "dropout=0.1"), tmp_path / "a")
    assert other.existing == 0
    assert not {c.dropout for c in first} & {c.dropout for c in work(other)}


def test_a_search_without_end_is_refused(sweep, tmp_path):
    endless = sweep(BAYES.replace("run_cap: 16\n", ""))
    with pytest.raises(UsageError, match="run_cap"):
        local.run(endless, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert len(search_of(endless, tmp_path / "a").pending(4)) == 4


TEARS = {
    "cut": lambda body: body[: int(0.6 * len(body))],
    "cut and written on": lambda body: body[: int(0.6 * len(body))] + body[-300:],
    "random": lambda body: body[: len(body) // 2] + bytes(range(256)) + body[len(body) // 2 :],
    "zeros": lambda body: body[:-100] + bytes(100),
    "a list": lambda body: body + b"[]\n",
    "null": lambda body: b"null\n" + body,
    "an object": lambda body: b"{}\n" + body,
    "not utf-8": lambda body: b"\xff\xfe\n" + body,
    "empty": lambda body: b"",
    "no operation": lambda body: b'{"op_code":99,"worker_id":"x"}\n' + body,
    "no study": lambda body: b'{"op_code":0,"worker_id":"x"}\n' + body,
}


@pytest.mark.parametrize(("kind", "tear"), TEARS.items(), ids=TEARS)
def test_of_a_damaged_journal_counts_what_stands_before(sweep, tmp_path, monkeypatch, kind, tear):
    first = work(search_of(sweep(RANDOM), tmp_path / "a"))
    journal = tmp_path / "a" / trials.JOURNAL
    body = tear(journal.read_bytes())
    journal.write_bytes(body)
    monkeypatch.setattr(trials.TrialStore, "_is_alive", lambda *_: False)  # it was another process
    try:
        search = search_of(sweep(RANDOM), tmp_path / "a")
    except DamagedError as error:  # records that no line shows; the remedy works
        assert "move it away and run" in str(error) and "\n" not in str(error)
        journal.unlink()
        search = search_of(sweep(RANDOM), tmp_path / "a")
    else:
        kept = (tmp_path / "a" / f"{trials.JOURNAL}.damaged").read_bytes() if body else b""
        assert kept == body
    known = {t.user_attrs["run"] for t in search.store.trials() if t.state == TrialState.COMPLETE}
    in_its_middle = {"cut", "cut and written on", "random", "zeros", "a list"}
    assert len(known) == search.existing and (search.existing > 5) == (kind in in_its_middle)
    again = work(search)
    assert {*known, *map(runs.name, again)} == {*map(runs.name, first)}
    assert len(known) + len(again) == 16


def test_a_small_space_ends_when_it_is_searched(sweep, tmp_path):
    body = RANDOM.replace(
        "{distribution: log_uniform_values, min: 1.0e-6, max: 1.0e-2}", "{value: 0}"
    )
    search = search_of(sweep(body, "dropout=0,0.1"), tmp_path / "a")
    assert len(work(search)) == 6  # batch, and group of 2 and of 4, with and without dropout
    assert "every configuration" in search.end_reason()
    assert files.read_json(tmp_path / "a" / search_record.FILE)["exhausted"]
    again = search_of(search.sweep, tmp_path / "b")
    assert len(work(again, 5)) == 5
    assert not files.read_json(tmp_path / "b" / search_record.FILE)["exhausted"]


def test_a_target_ends_the_search(sweep, tmp_path):
    body = RANDOM.replace("goal: maximize", "goal: maximize, target: 96.9")
    search = search_of(sweep(body), tmp_path / "a", seed=2)
    found = work(search)
    assert len(found) < 16
    assert accuracy(found[-1]) >= 96.9 > max(map(accuracy, found[:-1]))
    assert "val/accuracy 96.9, is reached" in search.end_reason()
    assert search.count_remaining() == 0


def test_what_failed_counts_as_the_worst_and_is_tried_once_a_command(sweep, tmp_path):
    search = search_of(sweep(), tmp_path / "a")
    work(search, 10)
    trial = search.ask()
    search.fail(trial, "loss is NaN")
    known, _ = bayes.observe(search.store.trials(), maximize=True)
    assert known[10] == (search.store.trials()[10].params, min(value for _, value in known))
    asked = [search.ask().config for _ in range(2)]
    assert trial.config not in asked
    search.close()
    later = search_of(sweep(), tmp_path / "a")
    assert later.ask().config == trial.config
    assert set(work(later)) >= set(asked)


def test_what_is_in_flight_is_taken_into_account(sweep, tmp_path):
    one, two = search_of(sweep(), tmp_path / "a"), search_of(sweep(), tmp_path / "a")
    work(one, 10)
    trials = [one.ask(), two.ask(), one.ask()]
    assert len({trial.config for trial in trials}) == 3
    assert [one.count_by_other_workers(), two.count_by_other_workers()] == [1, 12]
    for trial, search in zip(trials, (one, two, one)):
        search.complete(trial, ended(tmp_path / "a", trial))
    assert len(work(two)) == 3 and one.ask() is None


def test_a_stopped_run_counts_with_its_best(sweep, tmp_path):
    search = search_of(
        sweep(BAYES + "early_terminate: {type: hyperband, min_iter: 1, eta: 2}\n"), tmp_path
    )
    for value in (90.0, 95.0):
        trial = search.ask()
        search.report(trial, {"epoch": 1, "val/accuracy": value})
        assert not search.stops(trial)
        search.complete(trial, ended(tmp_path, trial))
    bad = search.ask()
    search.report(bad, {"epoch": 1, "val/accuracy": 80.0})
    assert search.stops(bad)
    search.complete(bad, ended(tmp_path, bad, runs.STOPPED, best=80.0))
    last = search.store.trials()[-1]
    assert last.value == 80.0 and last.user_attrs["state"] == runs.STOPPED


GRID = """
method: grid
parameters:
  norm: {values: [batch, layer]}
  seed: {values: [1, 2, 3]}
"""


TARGET = "metric: {name: test/loss, goal: minimize, target: 0.5}\n"  # which runs of `ended` have


@pytest.mark.parametrize("database", [False, True], ids=["journal", "sqlite"])
def test_the_target_of_a_grid_is_reached_by_its_runs_and_its_metric_alone(
    sweep, tmp_path, database
):
    storage = f"sqlite:///{tmp_path}/search.db" if database else None
    out, high = tmp_path / "a", TARGET.replace("0.5", "0.03")

    def search(metric: str, *settings: str) -> Search:
        return search_of(sweep(GRID + metric, *settings), out, storage=storage)

    assert len(work(search("", "seed=1,2"))) == 4  # whose trials hold no metric
    assert len(work(search(high, "seed=1,2,3"))) == 2
    of_another = search(high.replace("loss, goal: minimize", "accuracy, goal: maximize"))
    assert of_another.is_target_reached()  # 80 is above 0.03
    assert not search(high).is_target_reached()
    assert search(TARGET, "seed=3").is_target_reached()
    other = search(TARGET, "seed=4")  # those that have reached it are not in this grid
    assert not other.is_target_reached() and other.count_remaining() == 2
    assert len(work(other, 1)) == 1 and other.ask() is None
    assert "test/loss 0.5, is reached" in other.end_reason()
    late = search_of(other.sweep, tmp_path / "far", storage=storage)
    assert late.is_target_reached() == database  # by the store alone


@pytest.mark.parametrize("body", [GRID + TARGET, RANDOM.replace("goal: m", "target: 50, goal: m")])
def test_a_target_ends_a_sweep_while_the_run_that_reached_it_trains(sweep, tmp_path, body):
    search = search_of(sweep(body), tmp_path)
    trial = search.ask()
    search.report(trial, {"epoch": 1, "val/accuracy": 49.0, "test/loss": 0.6})
    assert not search.is_target_reached()
    search.report(trial, {"epoch": 2, "val/accuracy": 51.0, "test/loss": 0.4})
    assert search.is_target_reached() and search.ask() is None
    search.fail(trial, "x")  # a run that failed has reached nothing
    assert search.ask()


def test_of_a_grid_a_run_whose_folder_is_gone_has_reached_no_target(sweep, tmp_path):
    assert len(work(search_of(sweep(GRID + TARGET), tmp_path))) == 1
    [folder] = (path.parent for path in tmp_path.glob("*/summary.json"))
    assert search_of(sweep(GRID + TARGET), tmp_path).is_target_reached()
    shutil.rmtree(folder)
    assert len(work(search_of(sweep(GRID + TARGET), tmp_path))) == 1


def test_folders_that_are_not_of_the_grid_are_left_alone(sweep, tmp_path):
    """They are of an earlier version of the file, renamed, or not to be read."""
    for number, content in enumerate(["", "{}", '{"lr": -1}', '{"seed": 77}']):
        folder = tmp_path / f"batch_s0_{number}"
        folder.mkdir()
        (folder / "config.json").write_text(content)
        (folder / "summary.json").write_text('{"state": "finished"}')
    other = Config(seed=77)
    (tmp_path / f"batch_s0_{3}").rename(tmp_path / runs.name(other))
    search = search_of(sweep(GRID), tmp_path)
    assert search.existing == 0 and search.configs_done_here() == []
    assert search.count_remaining() == len(search.pending(None)) == 6


def test_two_commands_share_a_grid(sweep, tmp_path):
    one, two = search_of(sweep(GRID), tmp_path), search_of(sweep(GRID), tmp_path)
    trials = [(search, search.ask()) for _ in range(3) for search in (one, two)]
    assert [t.config for _, t in trials] == one.sweep.configs
    assert one.ask() is None and one.count_by_other_workers() == 3
    for search, trial in trials[:-1]:
        search.complete(trial, ended(tmp_path, trial))
    two.close()  # interrupted: the other takes over what it held
    assert one.ask().config == trials[-1][1].config


def test_a_pack_is_drawn_in_one_look_at_the_trials(sweep, tmp_path, monkeypatch):
    """A look for each run would take the square of their number."""
    seeds = "seed: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9]}"
    grid = sweep(f"method: grid\nparameters:\n  {seeds}\n")
    search, looks = search_of(grid, tmp_path / "out"), []
    trials_of = search.store.trials
    monkeypatch.setattr(search.store, "trials", lambda: looks.append(1) or trials_of())
    first = search.ask_many(5, lambda config: config.seed != 2)
    counts = [len(looks)]
    rest = search.ask_many(9)
    counts.append(len(looks) - counts[0])
    assert [t.config.seed for t in first] == [1, 3, 4, 5, 6]
    assert [t.config.seed for t in rest] == [2, 7, 8, 9]
    assert max(counts) <= 2
    assert search.ask() is None


DAMAGE = {
    "gone": Path.unlink,
    "random": lambda path: path.write_bytes(bytes(range(200))),
    "a list": lambda path: path.write_text("[]"),
    "bare": lambda path: path.write_text('{"state": "finished"}'),
    "without its config": lambda path: (path.parent / runs.CONFIG).unlink(),
    "with fewer epochs": lambda path: (path.parent / runs.HISTORY).write_text(""),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(("body", "count"), [(GRID, 6), (RANDOM, 16)])
def test_a_run_whose_folder_is_gone_is_trained_again(sweep, tmp_path, body, count, damage):
    assert len(work(search_of(sweep(body), tmp_path))) == count
    gone = sorted(path for path in tmp_path.glob("*/summary.json"))[0]
    damage(gone)
    search, other = search_of(sweep(body), tmp_path), search_of(sweep(body), tmp_path)
    assert (search.existing, search.count_remaining(), search.count_by_other_workers()) == (
        count - 1,
        1,
        0,
    )
    assert [runs.name(c) for c in work(search)] == [gone.parent.name]
    assert work(other) == work(search_of(sweep(body), tmp_path)) == []


def test_runs_of_another_machine_are_not_looked_for_here(sweep, tmp_path):
    storage = f"sqlite:///{tmp_path}/search.db"
    work(search_of(sweep(RANDOM), tmp_path / "far", storage=storage), 10)
    near = search_of(sweep(RANDOM), tmp_path / "near", storage=storage)
    assert near.existing == 10 and near.configs_done_here() == []
    assert len(work(near)) == 6


def test_a_pack_of_a_bayes_search_leaves_it_something_to_learn_from(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "default_size", lambda *_: 64)
    for body, asked in ((BAYES, 10), (RANDOM, 16)):
        search = search_of(sweep(body), tmp_path / body.split()[1])
        JobQueue(search, tmp_path, 16, []).next_training(0)
        assert len(search.asked) == asked


def _die_holding_two(path, folder, storage) -> None:
    search = search_of(spec.read(path), folder, storage=storage)
    work(search, 2)
    search.ask(), search.ask()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("database", [False, True], ids=["journal", "sqlite"])
def test_a_killed_worker_frees_what_it_held(sweep, tmp_path, database):
    storage = f"sqlite:///{tmp_path}/search.db" if database else None
    plan = sweep(RANDOM)
    living = search_of(plan, tmp_path / "a", storage=storage)
    work(living, 2)
    arguments = (tmp_path / "mine.yaml", tmp_path / "a", storage)
    process = multiprocessing.get_context("fork").Process(target=_die_holding_two, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    held = [t.user_attrs["run"] for t in living.store.trials() if not t.state.is_finished()]
    assert len(held) == 2
    asked = work(living)
    assert [runs.name(config) for config in asked[:2]] == held
    done = [t.user_attrs["run"] for t in living.store.trials() if t.state.name == "COMPLETE"]
    assert len(done) == len(set(done)) == 16


def test_the_lock_of_a_killed_command_is_broken(sweep, tmp_path, monkeypatch):
    monkeypatch.setattr(storages, "STALE", 3)
    monkeypatch.chdir(tmp_path)
    out = Path("runs/mine")  # as the command line gives it
    search_of(sweep(RANDOM), out).close()
    held = JournalFileOpenLock(str(out / trials.JOURNAL))
    held.acquire()  # and never released
    search = search_of(sweep(RANDOM), out)
    assert search.ask() is not None
    search.close()


def test_elsewhere_the_lease_counts(sweep, tmp_path, monkeypatch):
    far = search_of(sweep(GRID), tmp_path)
    far.store.owner["machine"] = "another"
    trial = far.ask()
    near = search_of(sweep(GRID), tmp_path)
    assert near.ask().config != trial.config
    later = leases.time.time() + leases.LEASE
    monkeypatch.setattr(leases.time, "time", lambda: later + 1)
    far.renew()
    assert near.ask().config not in (trial.config, None)
    monkeypatch.setattr(leases.time, "time", lambda: later + leases.LEASE + 2)
    assert near.ask().config == trial.config


def test_a_record_that_cannot_be_written_ends_the_search_in_a_line(sweep, tmp_path, monkeypatch):
    search = search_of(sweep(RANDOM), tmp_path)
    trial = search.ask()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(search.store.storage, "set_trial_state_values", full)
    with pytest.raises(RunError, match=r"search\.journal: No space left on device; make room"):
        search.store.release(trial)
    search.close()
    monkeypatch.undo()
    search.store.release_expired()  # this process lives: it is its own
    assert search_of(sweep(RANDOM), tmp_path).count_by_other_workers() == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nowhere", "no URL of a database"),
        ("oracle+nothing://x", "no URL of a database"),
        ("mysql+pymysql://me:secret@localhost/x", "pip install"),
        ("postgresql://me:p@ss:secret@localhost/x", "%40"),
        ("postgresql://me:p@secret@localhost/x", "%40"),
    ],
)
def test_a_database_that_cannot_be_is_refused(sweep, tmp_path, url, message):
    with pytest.raises(UsageError, match=message) as refused:
        search_of(sweep(), tmp_path, storage=url)
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


def test_the_name_of_a_study_never_changes(sweep, tmp_path):
    """Journals of users hold it: another name would begin their searches anew."""
    body = BAYES.replace(
        "groups: {values: [2, 4]}", "gamma: {distribution: normal, mu: 0.5, sigma: 0.1}"
    )
    body += "  batch_size: {distribution: int_uniform, min: 16, max: 64}\n"
    body += "early_terminate: {type: hyperband, min_iter: 3}\n"
    assert search_of(sweep(body), tmp_path).study_name() == "mine bayes 99c75b3b78"
    assert search_of(sweep(GRID), tmp_path).study_name() == "mine grid 44136fa355"


def test_what_we_rely_on_in_optuna(tmp_path):
    """Methods of Optuna's storages, for which pyproject.toml has an upper bound."""
    store = trials.TrialStore(tmp_path / "search.journal", "mine", maximize=True)
    assert isinstance(store.storage, JournalStorage)
    trial = store.lease("run", Config(), 0, {}, {}, limit=None, repeat=False)
    [stored] = optuna.load_study(study_name="mine", storage=store.storage).trials
    assert (stored.number, store._id(stored)) == (trial.number, trial.id)
    store.complete(trial, 1.5, "finished")
    store.report(trial, 1, 0.5)  # UpdateFinishedTrialError, which is as if nothing had happened
    [stored] = store.trials()
    assert (stored.value, stored.state, stored.intermediate_values) == (
        1.5,
        TrialState.COMPLETE,
        {},
    )


def test_runs_that_another_command_trains_meanwhile_add_up(sweep, tmp_path):
    one, two = search_of(sweep(GRID), tmp_path), search_of(sweep(GRID), tmp_path)
    trained = [0, 0]
    for turn in itertools.cycle([0, 1, 1]):
        count = len(work((one, two)[turn], 1))
        trained[turn] += count
        if not count:
            break
    total = len(one.sweep.grid)
    assert 0 < trained[0] < total
    for search, count in zip((one, two), trained):
        assert search.ask() is None
        assert search.existing == search.count_remaining() == 0
        assert count + search.count_by_other_workers() == total


@pytest.mark.parametrize(
    ("given", "rises"),
    [
        ("lr: {distribution: normal, mu: 0.1, sigma: 0.02}", False),
        ("lr: {distribution: log_normal, mu: -3, sigma: 0.5}", True),
        ("dropout: {distribution: q_normal, mu: 0.3, sigma: 0.05, q: 0.01}", False),
        ("dropout: {distribution: beta, a: 2, b: 5}", True),
        ("seed: {min: 0, max: 4294967295}", True),
    ],
)
def test_the_gaussian_process_suggests_what_a_setting_allows(sweep, given, rises):
    """Of a density it once tried the infinite end, and the search went on at random."""
    body = "method: bayes\nmetric: {name: val/accuracy, goal: maximize}\nrun_cap: 30\nparameters:"
    made = sweep(f"{body}\n  holdout: {{value: 100}}\n  {given}\n")
    [name] = (parameter.name for parameter in made.varying)
    drawn = [made.sample(0, number) for number in range(12)]
    values = [getattr(made.config(params), name) for params in drawn]
    span = max(values) - min(values)
    observed = [
        (params, (value if rises else -value) / span) for params, value in zip(drawn, values)
    ]
    tried = [made.config(bayes.suggest(made, observed, [], seed)) for seed in range(3)]
    middle = sum(values) / len(values)
    assert all((getattr(config, name) > middle) == rises for config in tried)
