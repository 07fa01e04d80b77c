"""Text from elsewhere, made safe for where it is shown: a terminal, Markdown, a spreadsheet.

Runs and sweep files bring names, causes and descriptions that anybody may have written. index.html
is escaped by its templates.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any

# What Markdown takes for a tag or an address in angle brackets; `p < 0.05` is neither.
TAG = re.compile(r"<(?=[a-zA-Z/!?])")
# Backticks stay: within them Markdown has no syntax.
ENTITY = re.compile(r"&(?=#?\w+;)")
SYNTAX = re.compile(r"[\\*|\[\]]|(?<=\])\(|(?<![^\W_])_|_(?![^\W_])|~(?=~)")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell's first letter that spreadsheets act upon


class Markdown(str):
    """Text that is Markdown already, or stands where Markdown has no syntax."""


def printable(text: Any) -> str:
    r"""Return text in one line, with what would act on a terminal shown as an escape such as
    \x1b: control characters, letters that change the direction, halves of letters."""
    letters = str(text)
    if letters.isprintable():
        return letters
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in letters
    )


def markdown(text: Any) -> str:
    """Return text as Markdown that shows it: no tag, link, picture, emphasis or table of its own.

    Text that is Markdown already is left as it is.
    """
    if isinstance(text, Markdown):
        return text
    tagless = TAG.sub("&lt;", ENTITY.sub("&amp;", printable(text)))
    return SYNTAX.sub(r"\\\g<0>", tagless)


def code(text: Any) -> Markdown:
    """Return text as Markdown's code within a line."""
    shown = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if "`" in shown else ""
    return Markdown(f"{fence}{space}{shown}{space}{fence}")


def verbatim(text: Any) -> Markdown:
    """Return text for a line of a block of code."""
    return Markdown(printable(text))


def cells(row: Iterable[Any]) -> Markdown:
    """Return the cells of a row of a table in Markdown."""
    return Markdown(" | ".join(map(markdown, row)))


def cell(value: Any) -> Any:
    """Return the cell of a csv so that a spreadsheet shows a text and never computes it.

    Numbers stay numbers, also those given as text.
    """
    if not isinstance(value, str) or not value.startswith(FORMULA) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not text.startswith(FORMULA[-2:])


class PrintableFormatter(logging.Formatter):
    """Makes the lines of a log printable."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))
