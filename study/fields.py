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

from study.errors import UsageError, describe


def nearest(word: Any, known: Iterable[str], allowed: Iterable[str] = ()) -> str:
    """Return a hint for an unknown word: the nearest known one, or else those allowed (all)."""
    known = list(known)
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(allowed or known)}"


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
            raise UsageError(f"{self.name}={text(value)}: allowed are true and false")
        return self._number(value)

    def _choice(self, value: Any) -> str:
        if value in self.choices:
            return value
        names, allowed = self.choices, ", ".join(self.choices)
        if self.unlisted:
            if isinstance(value, str) and self.unlisted.allows(value):
                return value
            names += self.unlisted.names()
            allowed += f" and {self.unlisted.description}"
        near = difflib.get_close_matches(str(value), names, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(f"{self.name}={text(value)}: allowed are {allowed}{hint}")

    def rank(self, value: Any) -> Any:
        """Return a key that sorts values: choices as listed, then by name; numbers by size."""
        if not self.choices:
            return value
        listed = value in self.choices
        return (self.choices.index(value), "") if listed else (len(self.choices), value)

    def _number(self, value: Any) -> int | float:
        kind = "a whole number" if self.kind is int else "a number"
        if isinstance(value, str):
            raise UsageError(f"{self.name}={value!r}: is text, not {kind}{_yaml_advice(value)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise UsageError(f"{self.name}={text(value)}: allowed is {kind} {self.range}")
        within = self.range is None or value in self.range
        if not finite(value) or not within or value != self.kind(value):
            raise UsageError(f"{self.name}={text(value)}: allowed is {kind} {self.range}")
        return self.kind(value) + self.kind(0)  # -0.0 becomes 0.0

    def parse(self, word: str) -> Any:
        """Read the value from a word of a command line or of a `variant`.

        Raises:
            UsageError: no such value.
        """
        if self.kind is bool:
            return self.canonical({"true": True, "false": False}.get(word.lower(), word))
        if self.kind is str:
            return self.canonical(word)
        try:
            return self.canonical(float(word))
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{self.name}={word}: allowed is a number {self.range}") from None


def finite(value: Any) -> bool:
    """Whether a value is a number that a float can hold, neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _yaml_advice(value: str) -> str:
    """Say how to write a number that YAML 1.1 reads as text, such as 1e-1."""
    try:
        meant = float(value)
    except ValueError:
        return ""
    mantissa, _, exponent = value.lower().partition("e")
    if exponent and "." not in mantissa:
        return f"; YAML reads {value} as text: write {mantissa}.0e{exponent}"
    return f"; write {number(meant)} without quotes"


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
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, (int, float)) else str(value)
