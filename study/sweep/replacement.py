"""What the command line replaces in a sweep: `--set name=value,value` and `--seeds 1,2,3`."""

import re
from collections.abc import Iterable

from study.config import FIELDS, VARIANT, check_names
from study.errors import Faults, UsageError
from study.sweep import space
from study.sweep.parameter import Parameter

RANGE = re.compile(r"(\d{1,9})\D+(\d{1,9})")  # as others write several seeds
MOST_SEEDS = 20  # of a range that a message lists


def parse(settings: Iterable[str]) -> dict[str, Parameter]:
    """Parse the words of `--set` into parameters by name.

    Raises:
        UsageError: a line for each that is not allowed, or is there twice.
    """
    found: dict[str, Parameter] = {}
    faults = Faults()
    for setting in settings:
        if parameter := faults.attempt(_replacement, setting):
            name, choice = parameter
            if name in found:
                faults.add(f"--set {name}: stands twice; give it once, as {name}=value,value")
            found[name] = choice
    faults.check()
    return found


def _replacement(setting: str) -> tuple[str, Parameter]:
    """Parse `seed=1` or `seed=1,2,3` of the command line into a parameter and its values."""
    name, equals, words = setting.partition("=")
    if not equals or not words:
        raise UsageError(f"--set {setting}: write name=value, or name=value,value")
    if name == VARIANT:
        return name, space.choice(name, [words])
    check_names([name], "--set ")
    return name, values(name, words, f"--set {name}")


def values(name: str, words: str, place: str) -> Parameter:
    """Parse `1,2,3` into a parameter and its values. place: where they stand, for messages.

    Raises:
        UsageError: a value that is not allowed, a line for each.
    """
    field, faults = FIELDS[name].at(place), Faults()
    parsed = [faults.attempt(field.parse, word) for word in words.split(",")]
    if name == "seed" and faults.lines and (given := RANGE.fullmatch(words)):
        first, last = int(given[1]), int(given[2])
        listed = range(first, last + 1) if 0 < last - first < MOST_SEEDS else (1, 2, 3)
        faults.lines[-1] += f"; separate seeds with commas: {','.join(map(str, listed))}"
    faults.check()
    return space.choice(name, parsed)
