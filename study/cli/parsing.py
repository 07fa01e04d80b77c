"""The command line as tyro reads it; a mistake in it is one line."""

import contextlib
import functools
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import tyro

from study.errors import UsageError
from study.fields import nearest


def read(arguments: list[str], commands: Mapping[str, Callable[..., int]]) -> Callable[[], int]:
    """The command that the arguments name, with its options bound, to be called.

    Raises:
        UsageError: no such command or option; what tyro would print in a box, in one line.
        SystemExit: help was asked for, and is printed.
    """
    caught = io.StringIO()
    try:
        with contextlib.redirect_stderr(caught):
            chosen = tyro.extras.subcommand_cli_from_dict(
                {name: _later(command) for name, command in commands.items()},
                prog="study",
                description="Sweeps over normalization in small image networks.",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(_one_line(caught.getvalue(), commands)) from None
    return chosen


def _later(command: Any) -> Any:
    """The command with its options bound, to run once parsing and its captured output are over."""

    @functools.wraps(command)
    def bind(*args: Any, **options: Any) -> Any:
        return functools.partial(command, *args, **options)

    return bind


def _one_line(box: str, commands: Mapping[str, Any]) -> str:
    """What a box of tyro's says, in a line: its message, and the option that was perhaps meant.

    The box is of dashes where the terminal knows no others.
    """
    lines = [re.sub(r"\s+", " ", line.strip("│╭╮╰╯ \n")) for line in box.splitlines()[1:]]
    parts: list[list[str]] = [[]]
    for line in lines:
        if re.match(r"[─-]{9}", line):
            parts.append([])
        elif line:
            parts[-1].append(line)
    message, *rest = [" ".join(part) for part in parts if part] or [box.strip()]
    more = " ".join(rest)
    wrong = re.match(r"Error parsing (--[\w-]+): .*?'(.*?)'", message)
    if wrong:
        allowed = "a whole number" if re.search(r"\bINT\b", more) else "a number"
        return f"{wrong[1]}={wrong[2]}: allowed is {allowed}"
    if "Available subcommands" in more:
        word = message.rpartition(": ")[2]
        return f"{word}: no such command; {nearest(word, commands)}"
    meant = re.search(r"Perhaps you meant: (--[\w-]+)", more)
    return f"{message}; did you mean {meant[1]}?" if meant else message
