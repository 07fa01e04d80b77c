import dataclasses

from study import planned
from study.cli import outcome
from study.config import Config
from study.metrics import Metric
from study.planned import Plan
from study.sweep.outcome import Outcome
from tests.report.conftest import made  # noqa: F401 (a fixture)


def printed(folder, done, capsys):
    code = outcome.report(folder, done)
    return code, capsys.readouterr().out.splitlines()


def write_runs(made, config, *accuracies):  # noqa: F811
    for seed, accuracy in enumerate(accuracies, 1):
        made(dataclasses.replace(config, seed=seed), [90.0, accuracy], sweep="my sweep")


def test_the_best_configuration_and_the_next_command_come_last(made, tmp_path, capsys):  # noqa: F811
    folder = tmp_path / "runs/my sweep"
    write_runs(made, Config(norm="batch"), 98.0, 98.2)
    write_runs(made, Config(norm="layer"), 97.0, 97.4)
    code, lines = printed(folder, Outcome(trained=3, existing=1), capsys)
    assert code == 0
    assert lines == [
        f"{folder}: 3 runs trained, 1 already done, 0 failed, 0 remaining",
        "best: BN, test accuracy 98.10 ± 1.27 % (2 seeds, whose interval is too wide to be"
        " useful: train 3 or more)",
        f"report: study report '{folder}'",
    ]
    plan = Plan("my sweep", "grid", Metric("test/loss", False, None), "0")
    planned.write(folder, plan)
    assert "best: BN, test loss" in printed(folder, Outcome(), capsys)[1][1]


def test_what_is_not_to_be_compared_has_a_best_of_its_own(made, tmp_path, capsys):  # noqa: F811
    write_runs(made, Config(dataset="mnist", norm="batch"), 99.0)
    write_runs(made, Config(dataset="mnist", norm="layer"), 99.4)
    write_runs(made, Config(dataset="mnist", norm="layer", epochs=3), 97.0)
    write_runs(made, Config(dataset="cifar10", norm="batch"), 73.0)
    _, lines = printed(tmp_path / "runs/my sweep", Outcome(trained=4), capsys)
    found = [line.partition(" test accuracy ")[::2] for line in lines[1:-1]]
    assert [value for _, value in found] == [f"{v} % (1 seed)" for v in ("99.40", "97.00", "73.00")]
    assert [name.startswith("best: ") for name, _ in found] == [True, False, False]


def test_three_seeds_are_told_without_advice(made, tmp_path, capsys):  # noqa: F811
    write_runs(made, Config(), 98.0, 98.2, 98.1)
    _, lines = printed(tmp_path / "runs/my sweep", Outcome(trained=1, remaining=2), capsys)
    assert "1 run trained, 0 already done, 0 failed, 2 remaining" in lines[0]
    assert lines[1].endswith("98.10 ± 0.25 % (3 seeds)")


def test_one_configuration_is_not_the_best(made, tmp_path, capsys):  # noqa: F811
    write_runs(made, Config(), 98.0)
    _, lines = printed(tmp_path / "runs/my sweep", Outcome(trained=1), capsys)
    assert lines[1] == "BN: test accuracy 98.00 % (1 seed)"


def test_without_a_finished_run_nothing_is_the_best(tmp_path, capsys):
    done = Outcome(failed={"runs/x/batch_s1 (BN)": "out of memory"}, remaining=2)
    code, lines = printed(tmp_path / "none", done, capsys)
    assert code == 1 and len(lines) == 1
