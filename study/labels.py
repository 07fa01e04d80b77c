"""Short labels of configurations, from the settings in which they differ."""

import re
from collections.abc import Iterable
from typing import Any

from study.config import FIELDS, NORM_LABELS, Config
from study.values import number, text

# Fields whose values need no name before them in a label.
SPEAKING = ("dataset", "network", "optimizer", "schedule", "precision", "augment")


def labels(configs: Iterable[Config]) -> dict[Config, str]:
    """Make a short label for each configuration (without its seed) from the fields that differ.

    The norm is always named; a field is named where it has an effect and differs among the
    configurations in which it has one, unless it is off, as by default: no dropout needs no word.
    So two that differ never share a label.
    """
    distinct = list(dict.fromkeys(config.without_seed() for config in configs))
    seen: dict[str, set] = {
        name: {getattr(config, name) for config in distinct if config.has_effect(name)}
        for name in FIELDS
    }
    varying = {name for name, values in seen.items() if len(values) > 1}
    return {config: label(config, varying) for config in distinct}


def label(config: Config, varying: set[str]) -> str:
    """Make the label of a configuration from the fields that vary."""
    named = {name for name in varying if config.has_effect(name) and not _is_off(config, name)}
    words = NORM_LABELS[config.norm]
    if "groups" in named:
        words += f" ({config.groups} group{'s' if config.groups > 1 else ''})"
    if varying & {"l1", "l1_reduction"} and config.l1:
        words += f" + L1 {number(config.l1)} ({config.l1_reduction})"
    if "weight_decay" in named:
        words += f" + L2 {number(config.weight_decay)}"
    named -= {"norm", "l1", "l1_reduction", "groups", "weight_decay"}
    phrases = [_phrase(name, getattr(config, name)) for name in FIELDS if name in named]
    return ", ".join([words, *phrases])


def _is_off(config: Config, name: str) -> bool:
    """Whether a field is 0 or false, as it is by default."""
    value = getattr(config, name)
    return not value and value == FIELDS[name].default


def _phrase(name: str, value: Any) -> str:
    title = {"norm_affine": "affine"}.get(name, name.replace("_", " "))
    if value is False or value == "none":
        return f"no {title}"
    if value is True:
        return title
    return value if name in SPEAKING else f"{title} {text(value)}"


def slug(label: str) -> str:
    """Turn a label into part of a file's name: lower case letters, digits, `.`, `-` and `_`."""
    return re.sub(r"[^a-z0-9.-]+", "_", label.lower()).strip("_")
