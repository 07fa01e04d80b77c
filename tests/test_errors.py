import pytest

from study.errors import describe, first_line


@pytest.mark.parametrize(
    ("error", "line", "description"),
    [
        (ValueError("no such file\nsecond line"), "no such file", "ValueError: no such file"),
        (ValueError("\n  indented\nmore"), "indented", "ValueError: indented"),
        (KeyError("name"), "'name'", "KeyError: 'name'"),
        (ValueError(), "ValueError", "ValueError"),
        (MemoryError(" \n"), "MemoryError", "MemoryError"),
    ],
)
def test_an_error_is_one_line(error, line, description):
    assert first_line(error) == line
    assert describe(error) == description
