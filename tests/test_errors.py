import pytest

from study.errors import Faults, UsageError, describe, first_line


@pytest.mark.parametrize(
    ("error", "line", "description"),
    [
        (ValueError("no such file\nsecond line"), "no such file", "ValueError: no such file"),
        (ValueError("\n  indented\nmore"), "indented", "ValueError: indented"),
        (KeyError("name"), "'name'", "KeyError: 'name'"),
        (ValueError(), "ValueError", "ValueError"),
        (MemoryError(" \n"), "MemoryError", "MemoryError"),
        (OSError("no answer of https://me:s3cret@host/x"), "no answer of https://host/x",
         "OSError: no answer of https://host/x"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(error, line, description):
    assert first_line(error) == line
    assert describe(error) == description


def test_faults_are_collected_each_once_and_told_together():
    def parse(word: str) -> int:
        if not word.isdigit():
            raise UsageError(f"{word}: is no number")
        return int(word)

    faults = Faults()
    faults.check()
    assert faults.attempt(parse, "3") == 3
    assert [faults.attempt(parse, word) for word in ("a", "b", "a")] == [None, None, None]
    faults.add("c: one\nd: two")
    with pytest.raises(UsageError) as error:
        faults.check("x: ")
    told = ["a: is no number", "b: is no number", "c: one", "d: two"]
    assert str(error.value).splitlines() == [f"x: {line}" for line in told]
