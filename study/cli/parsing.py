"""Parse the command line with tyro. A mistake in it is one line."""

import contextlib
import dataclasses
import functools
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import tyro

from study.config import ALIASES
from study.errors import UsageError
from study.values import find_nearest, nearest


def parse(arguments: list[str], commands: Mapping[str, Callable[..., int]]) -> Callable[[], int]:
    """Return the command that the arguments name, its options bound, ready to be called.

    Raises:
        UsageError: no such command or option, one that stands twice, or a wrong value; in one line
            what tyro says in a box.
        SystemExit: help was asked for, and is printed.
    """
    _check_once(arguments)
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            return tyro.extras.subcommand_cli_from_dict(
                {name: _bind_only(command) for name, command in commands.items()},
                prog="study",
                description="Sweeps over normalization in small image networks.",
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(_one_line(stderr.getvalue(), arguments, commands)) from None


def _check_once(arguments: Sequence[str]) -> None:
    """Check that no option stands twice: tyro would take the last and drop the others."""
    options = [word.partition("=")[0].replace("_", "-") for word in arguments if word[:2] == "--"]
    for option, count in Counter(options).items():
        if count > 1:
            raise UsageError(f"{option}: stands {count} times; give it once, with all its values")


def _bind_only(command: Any) -> Any:
    """Make tyro bind a command's options but not call it, since stderr is captured meanwhile."""

    @functools.wraps(command)
    def bind(*args: Any, **options: Any) -> Any:
        return functools.partial(command, *args, **options)

    return bind


def _one_line(
    box: str, arguments: Sequence[str], commands: Mapping[str, Callable[..., int]]
) -> str:
    """Turn tyro's box into a line: its message, and the option that was perhaps meant.

    tyro has no public way to the message alone: its hook for it, `tyro._errors.on_parse_error`, may
    change in any release. A test pins the boxes that are read here.
    """
    message, details = _sections(box)
    wrong = re.match(r"Error parsing (--[\w-]+): .*?'(.*?)'", message)
    if wrong:
        allowed = "a whole number" if re.search(r"\bINT\b", details) else "a number"
        return f"{wrong[1]}={wrong[2]}: allowed is {allowed}"
    if "Available subcommands" in details:
        word = arguments[0]
        if word.startswith("-"):
            return f"{word}: no such option; {nearest(word, ('--help', '--version'))}"
        return f"{word}: no such command; {nearest(word, commands)}"
    unknown = re.match(r"Unrecognized options: (--[\w-]+)", message)
    if not unknown or arguments[0] not in commands:
        return message
    meant = find_nearest(
        unknown[1][2:].replace("-", "_"), _options(commands[arguments[0]]), ALIASES
    )
    if meant:
        return f"{message}; did you mean --{meant.replace('_', '-')}?"
    return f"{message}; study {arguments[0]} --help lists the options"


def _options(command: Callable[..., int]) -> list[str]:
    """Return the names of a command's parameters, those of a dataclass each by itself."""
    names = []
    for name, kind in get_type_hints(command).items():
        fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else []
        names += [field.name for field in fields] or [name]
    return names


def _sections(box: str) -> tuple[str, str]:
    """Split a box at its first rule: the message, and all else.

    A terminal without Unicode gets rules of dashes.
    """
    lines = [re.sub(r"\s+", " ", line.strip("│╭╮╰╯ \n")) for line in box.splitlines()[1:]]
    sections: list[list[str]] = [[]]
    for line in lines:
        if re.match(r"[─-]{9}", line):
            sections.append([])
        elif line:
            sections[-1].append(line)
    message, *details = [" ".join(section) for section in sections if section] or [box.strip()]
    return message, " ".join(details)
