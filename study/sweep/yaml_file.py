"""A YAML file as plain Python."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from study.errors import UsageError, first_line

MOST = 100_000  # values in a file, an alias counted as all that it stands for
DEEPEST = 50  # values in one another
LONGEST = 8192  # bits of a whole number
TOO_DEEP = f"is nested too deeply; allowed are {DEEPEST} values in one another"


def load(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        UsageError: it cannot be read, or is not YAML; the message names the file and the place.
    """
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a sweep YAML") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no text file; give a sweep YAML") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: {_describe(error)}") from error
    except ValueError as error:  # an impossible date or number
        raise UsageError(f"{path}: not valid YAML ({error})") from error
    except RecursionError as error:
        raise UsageError(f"{path}: {TOO_DEEP}") from error
    if fault := _find_excess(content):
        raise UsageError(f"{path}: {fault}")
    return content


def _find_excess(content: Any) -> str:
    """Return what no sweep has, and would take others' time or stack, or ""."""
    left, count = [(content, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if depth > DEEPEST:
            return TOO_DEEP
        if count > MOST:
            return f"has too many values; allowed are {MOST:,}, counting each alias in full"
        if isinstance(value, int) and value.bit_length() > LONGEST:
            return f"has a whole number of {value.bit_length():,} bits; allowed are {LONGEST:,}"
        if isinstance(value, Mapping):
            left += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            left += [(each, depth + 1) for each in value]
    return ""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that stands twice: the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if key.value in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} stands twice", key.start_mark
                )
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def _describe(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{position}not valid YAML ({problem or first_line(error)})"
