"""How a value is written in a sweep file, and how a message shows a wrong one."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# What YAML calls the types of its values, for messages.
TYPES = {
    str: "text",
    bool: "a boolean",
    int: "a whole number",
    float: "a float",
    list: "a list",
    dict: "a mapping",
    type(None): "no value",
}
MOST_QUOTED = 80  # characters of a value that a message shows


def number(value: float) -> str:
    """The shortest text that reads back as the number: 20, 0.05, 2.5e-5."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) < 1e15):
        return str(int(value))
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def without_noise(value: float) -> float:
    """Return a number without what arithmetic has added to its last digits: W&B's third step of 0.1
    is 0.30000000000000004."""
    rounded = float(f"{value:.12g}")
    return rounded if abs(value - rounded) <= 4 * math.ulp(value) else value


def text(value: Any) -> str:
    """A setting's value as a sweep YAML would show it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return number(value) if isinstance(value, (int, float)) else str(value)


def count(n: int, noun: str) -> str:
    """A number and its noun: 1 run, 2 runs, 1,000 runs."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def brief(words: str) -> str:
    """Shorten what a message quotes, so that the rest of the message is seen."""
    if len(words) <= MOST_QUOTED:
        return words
    return f"{words[:MOST_QUOTED]}... ({len(words)} characters)"


def quoted(value: Any) -> str:
    """A value where a word is allowed, for messages: as it stands, or with its type."""
    return brief(value) if isinstance(value, str) else typed(value)


def typed(value: Any) -> str:
    """A value with its type, for messages where the type is what is wrong: '10' (text)."""
    shown = repr(value) if isinstance(value, (str, float)) else text(value)
    return f"{brief(shown)} ({TYPES.get(type(value), type(value).__name__)})"


def kind_and_shape(array: "np.ndarray") -> str:
    """Write an array's type and shape: "uint8 [60000, 28, 28]"."""
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"


def by_alias(aliases: Mapping[str, str]) -> dict[str, str]:
    """Turn each known word's aliases, separated by blanks, into a mapping alias -> known word."""
    return {alias: word for word, others in aliases.items() for alias in others.split()}


def find_nearest(
    word: Any, known: Iterable[str], aliases: Mapping[str, str] | None = None
) -> str | None:
    """Return the known word that an unknown one probably means; None where none is near.

    aliases: other names of known words, in lower case with `_`.
    """
    known, word = list(known), str(word).lower()
    alias = (aliases or {}).get(word.replace("-", "_").replace(" ", "_"))
    if alias in known:
        return alias
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


def nearest(word: Any, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    """Return a hint for an unknown word: the nearest known one, or else all of them."""
    known = list(known)
    near = find_nearest(word, known, aliases)
    return f"did you mean {near}?" if near else f"allowed are {', '.join(known)}"


def one_of(
    name: str, value: Any, allowed: Iterable[str], aliases: Mapping[str, str] | None = None
) -> str:
    """Return a message for a value that is none of these words, with the nearest."""
    allowed = list(allowed)
    near = find_nearest(value, allowed, aliases)
    hint = f" (did you mean {near}?)" if near else ""
    return f"{name}={quoted(value)}: allowed are {', '.join(allowed)}{hint}"
