"""What one setting allows: its type, its choices or its range, and how it is read and written."""

import dataclasses
import difflib
import functools
import importlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import yaml

from study.errors import UsageError, describe

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


def nearest(
    word: Any,
    known: Iterable[str],
    allowed: Iterable[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> str:
    """Return a hint for an unknown word: the nearest known one, or else those allowed (all)."""
    known = list(known)
    near = find_nearest(word, known, aliases)
    return f"did you mean {near}?" if near else f"allowed are {', '.join(allowed or known)}"


def one_of(
    name: str, value: Any, allowed: Iterable[str], aliases: Mapping[str, str] | None = None
) -> str:
    """Return a message for a value that is none of these words, with the nearest."""
    allowed = list(allowed)
    near = find_nearest(value, allowed, aliases)
    hint = f" (did you mean {near}?)" if near else ""
    return f"{name}={quoted(value)}: allowed are {', '.join(allowed)}{hint}"


class Range(NamedTuple):
    """The numbers a field allows: from `low` (or above it) to `high` (or below it)."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: Any) -> bool:
        over = value > self.low if self.above else value >= self.low
        under = value < self.high if self.below else value <= self.high
        return over and under

    def __str__(self) -> str:
        words = [f"{'above' if self.above else 'at least'} {number(self.low)}"]
        if self.high < math.inf:
            words.append(f"{'below' if self.below else 'at most'} {number(self.high)}")
        return " and ".join(words)


class Unlisted(NamedTuple):
    """Words that a field allows beside its list.

    description: of them, for messages. allows: the test of one. names: all of them, where they
    can be listed, so that a message can name the nearest.
    """

    description: str
    allows: Callable[[str], bool]
    names: Callable[[], tuple[str, ...]] = tuple


class Choices(NamedTuple):
    """The words a field allows: those listed, and perhaps more."""

    listed: tuple[str, ...]
    unlisted: Unlisted | None = None


class Effect(NamedTuple):
    """When a setting changes anything: in words, and as a test of all values by name."""

    needs: str
    holds: Callable[[Mapping[str, Any]], bool]


def setting(
    default: Any,
    allowed: Range | Choices | None = None,
    *,
    effect: Effect | None = None,
    per_model: bool = False,
    shapes_network: bool = False,
) -> Any:
    """Declare a field of Config.

    allowed: its numbers or words, where its type (a Literal, a bool) does not say it. effect: when
    it changes anything. per_model: models of one pack may differ in it. shapes_network: the
    network's layers follow from it.
    """
    metadata: dict[str, Any] = {"allowed": allowed, "effect": effect}
    metadata |= {"per_model": per_model, "shapes_network": shapes_network}
    return dataclasses.field(default=default, metadata=metadata)


class Field(NamedTuple):
    """One field of Config: its type, its default, and what `setting` declares of it."""

    name: str
    kind: type
    choices: tuple[str, ...]
    unlisted: Unlisted | None
    range: Range | None
    default: Any
    effect: Effect | None
    per_model: bool
    shapes_network: bool

    @property
    def needs(self) -> str:
        """What must be set for it to have an effect, in words; empty where nothing must."""
        return self.effect.needs if self.effect else ""

    def has_effect(self, values: Mapping[str, Any]) -> bool:
        """Whether it changes anything beside the other settings, all given by name."""
        return self.effect is None or self.effect.holds(values)

    def at(self, place: str) -> "Field":
        """Return the field under the name that a place in a file has, for messages."""
        return self._replace(name=place)

    def canonical(self, value: Any) -> Any:
        """Check a value and return it in the field's type (0 and 0.0 are one configuration).

        Raises:
            UsageError: the wrong type, or not allowed.
        """
        if self.choices:
            return self._choice(value)
        if self.kind is bool:
            if isinstance(value, bool):
                return value
            meant = isinstance(value, str) and value.lower() in ("true", "false")
            advice = f"; write {value.lower()} without quotes" if meant else ""
            raise UsageError(f"{self.name}={typed(value)}: allowed are true and false{advice}")
        return self._number(value)

    def _choice(self, value: Any) -> str:
        if value in self.choices:
            return value
        if self.unlisted is None:
            raise UsageError(one_of(self.name, value, self.choices))
        if isinstance(value, str) and self.unlisted.allows(value):
            return value
        near = find_nearest(value, self.choices + self.unlisted.names())
        hint = f" (did you mean {near}?)" if near else ""
        allowed = f"{', '.join(self.choices)} and {self.unlisted.description}"
        raise UsageError(f"{self.name}={quoted(value)}: allowed are {allowed}{hint}")

    def rank(self, value: Any) -> Any:
        """Return a key that sorts values: choices as listed, then by name; numbers by size."""
        if not self.choices:
            return value
        listed = value in self.choices
        return (self.choices.index(value), "") if listed else (len(self.choices), value)

    @property
    def _kind(self) -> str:
        """What its numbers are, in words."""
        return "a whole number" if self.kind is int else "a number"

    def _number(self, value: Any) -> int | float:
        check_number(self.name, value, self._kind, self.range)
        if value != self.kind(value):
            allowed = f"{self._kind} {self.range}"
            raise UsageError(f"{self.name}={brief(text(value))}: allowed is {allowed}")
        return self.kind(value) + self.kind(0)  # -0.0 becomes 0.0

    def parse(self, word: str) -> Any:
        """Read the value from a word of a command line or of a `variant`.

        Raises:
            UsageError: no such value.
        """
        if self.kind is bool:
            if word.lower() in ("true", "false"):
                return word.lower() == "true"
            raise UsageError(f"{self.name}={brief(word)}: allowed are true and false")
        if self.kind is str:
            return self.canonical(word)
        try:
            return self.canonical(float(word))
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            allowed = f"{self._kind} {self.range}"
            raise UsageError(f"{self.name}={brief(word)}: allowed is {allowed}") from None


def finite(value: Any) -> bool:
    """Whether a value is a number that a float can hold, neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_number(
    where: str, value: Any, kind: str = "a number", limits: Range | None = None
) -> None:
    """Check that a value is a finite number within the limits. kind: its kind, in words.

    Raises:
        UsageError: it is not; where YAML reads a number as text, the message says how to write it.
    """
    allowed = f"{kind} {limits}" if limits else kind
    if isinstance(value, str):
        raise UsageError(f"{where}={brief(repr(value))}: is text, not {kind}{_yaml_advice(value)}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{where}={typed(value)}: allowed is {allowed}")
    if not finite(value) or (limits and value not in limits):
        raise UsageError(f"{where}={brief(text(value))}: allowed is {allowed}")


def check_whole(where: str, value: Any) -> None:
    """Check that a value is a whole number at least 1, in YAML's type too.

    Raises:
        UsageError: it is not.
    """
    if type(value) is int and finite(value) and value >= 1:
        return
    advice = ""
    if isinstance(value, str):
        advice = _yaml_advice(value)
    elif finite(value) and value == int(value) >= 1:
        advice = f"; write {int(value)}"
    wrong = brief(text(value)) if type(value) is int else typed(value)
    raise UsageError(f"{where}={wrong}: allowed is a whole number at least 1{advice}")


def _yaml_advice(value: str) -> str:
    """Say how to write a number that a YAML file has as text: quoted, or in a form such as 1e5,
    which YAML 1.1 reads as text: an exponent needs a point before it and a sign.
    """
    try:
        meant = float(value)
    except ValueError:
        return ""
    if not math.isfinite(meant):
        return ""
    if isinstance(yaml.safe_load(value), (int, float)):
        return f"; write {value.strip()} without quotes"
    mantissa, _, exponent = value.lower().partition("e")
    power = f"e{int(exponent):+d}" if exponent else ""
    return f"; YAML reads {value} as text: write {float(mantissa)!r}{power}"


@functools.cache
def import_extension() -> None:
    """Import the module that STUDY_IMPORT names, once, so that it can register models with timm.

    The current folder is searched last. Only the environment names it, so that neither a sweep
    file nor a server can have code imported.

    Raises:
        UsageError: it cannot be imported.
    """
    name = os.environ.get("STUDY_IMPORT")
    if not name:
        return
    if os.getcwd() not in sys.path:  # Python adds it for `python -m study`, not for `study`
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(name)
    except Exception as error:
        raise UsageError(
            f"STUDY_IMPORT={name}: cannot be imported ({describe(error)}); it names a Python module"
            " in the current folder or installed"
        ) from error


@functools.cache
def _timm_names() -> tuple[str, ...]:
    """The names of timm's backbones. Its import takes seconds, so it waits until one is needed."""
    import timm

    import_extension()
    return tuple(timm.list_models())


BACKBONES = Unlisted(
    "timm's backbones, with what STUDY_IMPORT registers",
    lambda name: name in _timm_names(),
    _timm_names,
)


def fields_of(config: type) -> dict[str, Field]:
    """Read the fields of Config by name."""
    fields, hints = {}, get_type_hints(config)
    for field in dataclasses.fields(config):
        kind, metadata = hints[field.name], dict(field.metadata)
        allowed = metadata.pop("allowed")
        if get_origin(kind) is Literal:
            kind, allowed = str, Choices(get_args(kind))
        listed, unlisted = allowed if isinstance(allowed, Choices) else ((), None)
        limits = allowed if isinstance(allowed, Range) else None
        fields[field.name] = Field(
            field.name, kind, listed, unlisted, limits, field.default, **metadata
        )
    return fields


def number(value: float) -> str:
    """The shortest text that reads back as the number: 20, 0.05, 2.5e-5."""
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) < 1e15):
        return str(int(value))
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def text(value: Any) -> str:
    """A setting's value as a sweep YAML would show it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return number(value) if isinstance(value, (int, float)) else str(value)


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
