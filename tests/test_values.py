"""How a value is written in a sweep file, and how a message shows a wrong one."""

import math

from study.values import brief, count, nearest, number, one_of, quoted, text, typed, without_noise


def test_the_hint_is_the_nearest_word_or_all():
    assert nearest("grop", ["group", "layer"]) == "did you mean group?"
    assert nearest("zzz", ["group", "layer"]) == "allowed are group, layer"


def test_a_count_has_its_noun_in_number():
    assert [count(n, "run") for n in (0, 1, 2, 1000)] == ["0 runs", "1 run", "2 runs", "1,000 runs"]


def test_numbers_are_short_and_read_back():
    for value in (20, 0.05, 2.5e-5, 1e-6, 1e300, 1 / 3, 10**20):
        assert float(number(value)) == value
    assert [number(x) for x in (2.5e-5, 1e-4, 20.0, 1e-6)] == ["2.5e-5", "0.0001", "20", "1e-6"]
    assert [text(x) for x in (True, 0.5, "batch")] == ["true", "0.5", "batch"]


def test_a_wrong_value_is_shown_with_its_type_and_shortened():
    assert [typed(x) for x in ("10", 10.0, None, [1])] == [
        "'10' (text)", "10.0 (a float)", "null (no value)", "[1] (a list)",
    ]  # fmt: skip
    assert [quoted(x) for x in ("grop", 3)] == ["grop", "3 (a whole number)"]
    assert brief(80 * "x") == 80 * "x" and brief(81 * "x") == 80 * "x" + "... (81 characters)"


def test_the_message_of_a_word_that_is_none_of_these():
    assert one_of("norm", "grop", ["group", "layer"]) == (
        "norm=grop: allowed are group, layer (did you mean group?)"
    )
    assert one_of("norm", 3, ["group"]) == "norm=3 (a whole number): allowed are group"


def test_what_arithmetic_adds_to_a_number_is_taken_off_and_nothing_else():
    for step in (0.01, 0.05, 0.1, 0.15):
        for i in range(100):  # as W&B makes the steps of a range
            assert without_noise(i * step) == float(f"{i * step:.12g}")
    drawn = 0.12345678901234567
    assert without_noise(drawn) == drawn and without_noise(1e-300) == 1e-300
    assert without_noise(math.inf) == math.inf and math.isnan(without_noise(math.nan))
