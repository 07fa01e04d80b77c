"""What is printed is a view of the work, which goes on where nobody can read it."""

import io
import os
import sys
from pathlib import Path

import pytest

from study import output


def unread() -> io.TextIOWrapper:
    """A stream whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full() -> io.TextIOWrapper:
    """A stream onto a full disk."""
    return open("/dev/full", "w")


@pytest.mark.parametrize(("name", "stream"), [("stdout", unread), ("stdout", full),
                                              ("stderr", unread), ("stderr", full)])  # fmt: skip
def test_the_work_goes_on_where_nothing_can_be_printed(name, stream, monkeypatch, capsys):
    if stream is full and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with stream() as printed:
        monkeypatch.setattr(sys, name, printed)
        done = []
        with output.lasting():
            for step in range(5):
                print("x" * 10_000, file=getattr(sys, name), flush=step % 2 == 0)
                done.append(step)
        assert done == [0, 1, 2, 3, 4] and getattr(sys, name) is printed
    told = capsys.readouterr().err
    if name == "stdout" and stream is full:
        assert told == (
            "study: what is printed cannot be written (No space left on device), and is left out\n"
        )
    else:
        assert told == ""


def test_letters_that_a_stream_does_not_have_are_written_as_escapes(monkeypatch):
    with io.TextIOWrapper(io.BytesIO(), encoding="latin-1") as printed:
        monkeypatch.setattr(sys, "stdout", printed)
        with output.lasting():
            print("café 実験")
        assert printed.buffer.getvalue() == b"caf\xe9 \\u5b9f\\u9a13\n"


def test_a_stream_that_is_no_file_is_dropped_once(monkeypatch, capsys):
    class Full(io.StringIO):
        def write(self, words):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    open_before = len(os.listdir("/proc/self/fd")) if Path("/proc").exists() else None
    with output.lasting() as printed:
        for _ in range(5):
            print("x")
        if open_before:
            assert len(os.listdir("/proc/self/fd")) <= open_before + 1  # os.devnull
    assert printed.lost and len(capsys.readouterr().err.splitlines()) == 1


def test_a_stream_that_is_closed_from_the_beginning_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with output.lasting():
        print("to nobody")
        sys.stdout.flush()
    assert sys.stdout is None


def test_what_stood_there_stands_there_again_after_an_error(capsys):
    before = sys.stdout, sys.stderr
    with pytest.raises(RuntimeError), output.lasting():
        print("so far")
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == before and capsys.readouterr().out == "so far\n"


def test_the_end_has_a_line_a_fault_that_cannot_act_on_a_terminal(capsys):
    assert output.end("one\ntwo\x1b[2J", 2) == 2
    assert capsys.readouterr().err == "study: one\nstudy: two\\x1b[2J\n"
