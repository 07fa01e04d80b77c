"""What one setting allows: its type, its choices or its range, and how it is read and written."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import yaml

from study.errors import UsageError
from study.values import brief, by_alias, find_nearest, number, one_of, quoted, text, typed

# What others call the words that fields allow, in lower case with `_`.
ALIASES = by_alias(
    {
        "batch": "bn batchnorm batch_norm batchnorm2d",
        "layer": "ln layernorm layer_norm",
        "group": "gn groupnorm group_norm",
        "instance": "in instancenorm instance_norm instancenorm2d",
        "none": "no off false null identity",
    }
)


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
        if isinstance(value, str) and self.knows(value):
            return value
        if self.unlisted is None:
            raise UsageError(one_of(self.name, value, self.choices, ALIASES))
        near = find_nearest(value, self.choices + self.unlisted.names())
        hint = f" (did you mean {near}?)" if near else ""
        allowed = f"{', '.join(self.choices)} and {self.unlisted.description}"
        raise UsageError(f"{self.name}={quoted(value)}: allowed are {allowed}{hint}")

    def knows(self, word: str) -> bool:
        """Whether a word is one of its choices; a field of numbers knows none."""
        return word in self.choices or bool(self.unlisted and self.unlisted.allows(word))

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
            raise self._refusal(text(value))
        return self.kind(value) + self.kind(0)  # -0.0 becomes 0.0

    def _refusal(self, word: str) -> UsageError:
        return UsageError(f"{self.name}={brief(word)}: allowed is {self._kind} {self.range}")

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
            value = float(word)
        except ValueError:
            raise self._refusal(word) from None
        return self.canonical(value)


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
