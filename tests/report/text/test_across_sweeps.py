"""Sweeps compared with each other."""

import pytest

from study import runs
from study.__main__ import main
from study.config import Config
from study.report import grouping
from study.report.text import across_sweeps
from tests.conftest import read_csv
from tests.report.conftest import curve, run, spread

BN, LN, GN = Config(), Config(norm="layer"), Config(norm="group")


def test_shared_configurations_are_paired_by_seed():
    study = grouping.gather(
        {
            "old": [*spread(BN, 99.30, 99.31, 99.29), *spread(LN, 99.1, 99.2, 99.15)],
            "new": [*spread(BN, 99.40, 99.42, 99.39), *spread(LN, 99.2, 99.1, 99.15),
                    *spread(GN, 99.5)],
        }
    )  # fmt: skip
    assert [variant.label for variant in study.variants] == [
        "old: BN", "old: LN", "new: BN", "new: LN", "new: GN",
    ]  # fmt: skip
    bn, ln = across_sweeps.match(study)
    assert (bn.label, bn.one.sweep, bn.two.sweep) == ("BN", "old", "new")
    assert bn.difference.interval.mean == pytest.approx(0.1033, abs=1e-4) and bn.significant
    assert bn.p_holm == pytest.approx(2 * bn.difference.p)
    row = dict(zip(across_sweeps.HEADER, bn.row(), strict=True))
    assert (row["p"], row["p_holm"]) == (bn.difference.p, bn.p_holm)
    assert bn.cells[4:] == ["+0.10", "+0.09 to +0.12", f"{bn.p_holm:.2g}"]
    assert not ln.significant and ln.difference.interval.mean == pytest.approx(0, abs=1e-9)
    best_new, best_old, shared = across_sweeps.sentences(study, [bn, ln])
    assert best_new.startswith(
        "First by its mean in new: GN, with 99.50 % over 1 seed and 7,684 parameters"
    )
    assert best_old.startswith("First by its mean in old: BN, with 99.30 ± 0.02 % over 3 seeds")
    assert shared == (
        "2 configurations in both sweeps: the sweeps differ significantly (p < 0.05 after Holm's"
        " correction) in 1; new is higher than old in 1 and lower in 0. The table has each"
        " difference."
    )
    assert across_sweeps.compare(grouping.gather({"old": spread(BN, 99.3)})) is None


def last_sentence(**sweeps) -> str:
    return across_sweeps.compare(grouping.gather(sweeps)).sentences[-1]


def test_why_shared_configurations_are_not_tested():
    three = 99.1, 99.2, 99.35
    assert last_sentence(old=spread(BN, 99.3), new=spread(BN, 99.5)) == (
        "1 configuration in both sweeps: none can be tested (1 with fewer than two common seeds)."
        " The table has each difference."
    )
    same = last_sentence(old=spread(BN, *three), new=spread(BN, *three))
    assert "none can be tested (1 identical on all common seeds)." in same
    higher, lower = ([last + by for last in three] for by in (0.1, -0.1))
    for other in (higher, lower):
        alike = last_sentence(old=spread(BN, *three), new=spread(BN, *other))
        assert "(1 with the same difference on all common seeds)" in alike
    some = last_sentence(
        old=[*spread(BN, *three), *spread(LN, *three), *spread(GN, *three)],
        new=[*spread(BN, *three), *spread(LN, *higher), *spread(GN, 99.0, 99.2, 99.4)],
    )
    assert (
        "in none of the 1 that can be tested; not tested: 1 identical on all common seeds, 1 with"
        " the same difference on all common seeds."
    ) in some


def test_of_three_sweeps_configurations_and_comparisons_are_counted_apart():
    low, high = (99.1, 99.2, 99.35), (99.3, 99.41, 99.54)
    two = {
        "a": [*spread(BN, *low), *spread(LN, *high)],
        "b": [*spread(BN, *high), *spread(LN, *low)],
    }
    said = last_sentence(**two, c=spread(BN, *low))
    assert said.startswith("2 configurations in more than one sweep, 4 comparisons of two sweeps:")
    assert (
        "in 3 of the 3 that can be tested; b is higher than a in 1 and lower in 1, c is higher than"
        " b in 0 and lower in 1; not tested: 1 identical on all common seeds."
    ) in said


def test_each_sweep_has_a_best_of_each_kind():
    kinds = [*spread(BN, 99.3), *spread(Config(epochs=12), 98.3)]
    study = grouping.gather({"old": kinds, "new": spread(LN, 99.0)})
    *bests, _ = across_sweeps.compare(study).sentences
    assert [each.split(":")[0] for each in bests] == [
        "First by its mean in old with epochs 20", "First by its mean in new with epochs 20",
        "First by its mean in old with epochs 12",
    ]  # fmt: skip


def test_sweeps_that_share_nothing_say_so():
    study = grouping.gather({"old": spread(BN, 99.3), "new": spread(LN, 99.1)})
    assert across_sweeps.match(study) == []
    assert "share no configuration" in across_sweeps.compare(study).sentences[-1]


def test_a_configuration_of_two_sweeps_is_no_duplicate():
    twice = [run(BN, 99.3, 1), run(BN, 99.3, 1)]
    assert len(grouping.gather({"old": twice}).duplicates) == 1
    assert not grouping.gather({"old": twice[:1], "new": twice[1:]}).duplicates


def test_the_command_reports_two_sweeps(made, tmp_path, quick, capsys):
    for sweep, last in (("old", 99.2), ("new", 99.4)):
        for seed in (1, 2):
            made(Config(seed=seed), curve(last + seed / 100), sweep=sweep)
    folders = [str(tmp_path / "runs" / name) for name in ("old", "new")]
    assert main(["report", *folders, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out/index.html")
    html = (tmp_path / "out/index.html").read_text()
    assert "Sweep against sweep" in html and "old and new" in html
    assert f"study report {' '.join(folders)}" in html
    [row] = read_csv(tmp_path / "out/sweeps.csv")
    assert (row["one"], row["two"], row["seeds"]) == ("old", "new", "2")
    assert float(row["difference"]) == pytest.approx(0.2)
    assert "Sweep against sweep" in (tmp_path / "out/report.md").read_text()


def test_a_sweep_is_not_compared_with_itself_or_nothing(made, tmp_path, capsys):
    made(Config(), curve(99.0), sweep="old")
    made(Config(), curve(99.0), runs.FAILED, sweep="new", cause="x")
    old, new = (str(tmp_path / "runs" / name) for name in ("old", "new"))
    for words, message in (
        ([], "give the folder of a sweep"),
        ([old, old], "given twice"),
        ([old, new], "has 1 run, none of them finished"),
    ):
        assert main(["report", *words, "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
