"""What one setting allows, and how it is read and written."""

import re

import pytest
import yaml

from study.config import FIELDS
from study.errors import UsageError
from study.fields import Range, Unlisted, check_whole, finite


def refusal(name: str, value) -> str:
    with pytest.raises(UsageError) as error:
        FIELDS[name].canonical(value)
    message = str(error.value)
    assert message.startswith(f"{name}=") and "\n" not in message
    return message


def test_a_range_with_and_without_its_ends():
    assert 0 in Range(0, 1) and 1 in Range(0, 1)
    assert 0 not in Range(0, 1, above=True) and 1 not in Range(0, 1, below=True)
    assert 10**9 in Range(1) and 0.5 not in Range(1)
    assert str(Range(0, 1, above=True, below=True)) == "above 0 and below 1"
    assert str(Range(1)) == "at least 1" and str(Range(1, 9)) == "at least 1 and at most 9"


def test_a_value_takes_the_type_of_its_field():
    assert type(FIELDS["epochs"].canonical(5.0)) is int
    assert type(FIELDS["lr"].canonical(1)) is float
    assert str(FIELDS["l1"].canonical(-0.0)) == "0.0"


@pytest.mark.parametrize("value", [True, None, [1], float("inf"), 10**400, 2.5])
def test_a_whole_number_is_nothing_else(value):
    assert "allowed is a whole number at least 1" in refusal("batch_size", value)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("1e-1", "YAML reads 1e-1 as text: write 1.0e-1"),
        ("0.1", "write 0.1 without quotes"),
        ("fast", "is text, not a number"),
    ],
)
def test_text_that_means_a_number_is_refused_with_advice(value, advice):
    assert advice in refusal("lr", value)


@pytest.mark.parametrize("value", [3, None, ["batch"], "Batch"])
def test_a_word_is_one_of_those_listed(value):
    assert "allowed are batch, layer, group, instance, none" in refusal("norm", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", "x" * 5000), ("norm", "x" * 5000), ("nesterov", "x" * 5000), ("epochs", 10**4000),
     ("dropout", list(range(5000)))],
)  # fmt: skip
def test_a_long_value_does_not_hide_what_is_allowed(name, value):
    message = refusal(name, value)
    assert len(message) < 500 and re.search(r"\.\.\. \(\d+ characters\)", message)


def test_a_field_may_allow_words_that_it_does_not_list():
    even = Unlisted("words of two letters", lambda word: len(word) == 2, lambda: ("ab", "cd"))
    field = FIELDS["norm"]._replace(unlisted=even)
    assert field.canonical("xy") == "xy" and field.canonical("batch") == "batch"
    with pytest.raises(UsageError, match=r"none and words of two letters \(did you mean cd\?\)"):
        field.canonical("cde")
    assert sorted(["xy", "layer", "ab", "batch"], key=field.rank) == ["batch", "layer", "ab", "xy"]


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("nesterov", "True", True),
        ("nesterov", "false", False),
        ("epochs", "5", 5),
        ("lr", "1e-1", 0.1),
        ("norm", "layer", "layer"),
    ],
)
def test_a_word_of_the_command_line_is_read_as_its_field(name, word, value):
    assert FIELDS[name].parse(word) == value
    assert type(FIELDS[name].parse(word)) is type(value)


@pytest.mark.parametrize(("name", "word"), [("nesterov", "1"), ("lr", "fast"), ("epochs", "2.5")])
def test_a_word_that_is_none_is_refused(name, word):
    with pytest.raises(UsageError, match=f"{name}={word}: allowed"):
        FIELDS[name].parse(word)


def test_a_finite_number_fits_a_float():
    assert finite(1) and finite(0.5)
    for value in (True, None, "1", float("nan"), float("inf"), 10**400):
        assert not finite(value)


@pytest.mark.parametrize(
    "word", ["1e5", "1e-5", "1.5e3", "2E4", "-1e3", "1e+2", "0.1", "1.e-7", "10", "-.5", "1e15"]
)
def test_a_number_is_written_as_advised_and_read_as_meant(word):
    message = refusal("lr", word)
    [advised] = re.findall(r"write (\S+)", message)
    assert yaml.safe_load(advised) == float(word)
    assert isinstance(yaml.safe_load(advised), (int, float))


@pytest.mark.parametrize("word", ["fast", "nan", "inf", "1e999", ""])
def test_what_means_no_number_gets_no_advice(word):
    assert refusal("lr", word) == f"lr={word!r}: is text, not a number"


@pytest.mark.parametrize(
    ("value", "told"),
    [(10.0, "10.0 (a float); write 10"), ("10", "'10' (text); write 10 without quotes"),
     (0, "0"), (None, "null (no value)"), (True, "true (a boolean)"),
     (10**400, f"1{79 * '0'}... (401 characters)")],
)  # fmt: skip
def test_a_whole_number_has_yamls_type_too(value, told):
    shown, _, advice = told.partition(";")
    with pytest.raises(UsageError) as error:
        check_whole("run_cap", value)
    line = f"run_cap={shown}: allowed is a whole number at least 1"
    assert str(error.value) == line + (f";{advice}" if advice else "")
    check_whole("run_cap", 1)
