"""Config: the one list of hyperparameters, which says what a run IS.

What one setting allows stands in fields.py; here is what they mean together: settings that have no
effect, the `variant` strings that couple settings, the identity of a run, its label in a figure.
"""

import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from study.fields import Backbones, Field, Range, Refused, nearest, number, text

log = logging.getLogger(__name__)

# Images in each training set: what `holdout` may take from. data.py checks the files against it.
TRAIN_IMAGES = {"digits": 1437, "mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000}
CLASSES = 10

NORM_LABELS = {"batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "none": "no norm"}


@dataclass(frozen=True)
class Config:
    """What a run is: flat scalars, each a sweep parameter and a command line option.

    Raises:
        Refused: a value of the wrong type or out of range, or a setting without effect.
    """

    dataset: Literal["digits", "mnist", "fashion_mnist", "cifar10"] = "digits"
    """the images: digits (1,797 scans, no download), mnist, fashion_mnist or cifar10"""
    network: Annotated[
        str, Backbones(("mnist_7684", "mnist_8008", "mnist_9680", "mnist_9802", "cifar_48178"))
    ] = "mnist_7684"
    """mnist_7684, mnist_8008, mnist_9680, mnist_9802, cifar_48178 (their numbers of parameters), or
    a timm backbone with BatchNorm, such as resnet18, whose norms are swapped"""
    norm: Literal["batch", "layer", "group", "instance", "none"] = "batch"
    """the normalization after (or before) each activation"""
    groups: Annotated[int, Range(1)] = 4
    """norm=group: a layer of C channels uses the largest divisor of C that is at most this"""
    norm_affine: Literal["channel", "element", "none"] = "channel"
    """the norm's scale and shift: two a channel; two an element (norm=layer only); none"""
    dropout: Annotated[float, Range(0, 1, below=True)] = 0.0
    """share of activations dropped in each block"""
    l1: Annotated[float, Range(0)] = 0.0
    """weight of the L1 term over ALL parameters; its size depends on l1_reduction"""
    l1_reduction: Literal["sum", "mean"] = "sum"
    """the L1 term: sum of |w|, or the sum over tensors of each tensor's mean |w|"""
    weight_decay: Annotated[float, Range(0)] = 0.0
    """L2 as SGD's weight decay, on all parameters"""
    lr: Annotated[float, Range(0, above=True)] = 0.05
    """learning rate at the start; with schedule=onecycle its peak"""
    momentum: Annotated[float, Range(0, 1, below=True)] = 0.9
    """momentum of SGD"""
    nesterov: bool = False
    """Nesterov's momentum"""
    schedule: Literal["constant", "step", "onecycle", "cosine"] = "constant"
    """how the learning rate moves: step by epoch, onecycle and cosine by batch"""
    step_size: Annotated[int, Range(1)] = 1
    """schedule=step: epochs between two steps"""
    gamma: Annotated[float, Range(0, 1, above=True)] = 0.1
    """schedule=step: factor of the learning rate at each step"""
    epochs: Annotated[int, Range(1, 10_000)] = 20
    """passes over the training set"""
    batch_size: Annotated[int, Range(1)] = 128
    """images in a batch; the last, partial batch is kept"""
    augment: Literal["none", "rotate7", "rotate7_mean", "jitter_rotate7", "affine", "crop_flip"] = (
        "none"
    )
    """augmentation of the training images, by albumentations"""
    label_smoothing: Annotated[float, Range(0, 1, below=True)] = 0.0
    """label smoothing of the training loss (reported losses are without)"""
    holdout: Annotated[int, Range(0)] = 0
    """images of the training set kept for validation, the same for every seed; 0: none"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """seed of initialization, order of images and dropout"""
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    """arithmetic; bfloat16 by autocast, with float32 weights"""

    def __post_init__(self) -> None:
        for field in FIELDS.values():
            value = field.canonical(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self._check_together()
        for name, need in self._without_effect().items():
            raise Refused(
                f"{name}={text(getattr(self, name))}: has no effect unless {need};"
                f" leave it out (default {text(FIELDS[name].default)})"
            )

    def _check_together(self) -> None:
        """Refuse settings that are each allowed, but not together."""
        if self.norm_affine == "element" and self.norm != "layer":
            raise Refused(
                f"norm_affine=element: needs norm=layer, not norm={self.norm}"
                " (allowed here: channel, none)"
            )
        most = TRAIN_IMAGES[self.dataset] - CLASSES
        if self.holdout and not CLASSES <= self.holdout <= most:
            raise Refused(
                f"holdout={self.holdout}: {self.dataset} allows 0, or {CLASSES} to {most} images"
            )

    def _without_effect(self) -> dict[str, str]:
        """Fields set to other than their default that change nothing -> what they would need."""
        values = dataclasses.asdict(self)
        return {
            name: need
            for name, (works, need) in EFFECTS.items()
            if values[name] != FIELDS[name].default and not works(values)
        }

    @classmethod
    def drawn(cls, settings: Mapping[str, Any]) -> "Config":
        """The configuration that a sweep or a search has drawn.

        `variant` is expanded into the fields it names. A field that has no effect beside the
        others is put back to its default with a line in the log, since a search over norm and
        groups together must be free to draw both; one that a `variant` names is refused.

        Raises:
            Refused: as Config, and for unknown names and for a field set twice.
        """
        settings = dict(settings)
        named = parse_variant(settings.pop("variant", ""))
        for name in named:
            if name in settings:
                raise Refused(f"{name}: set both in variant and beside it; keep one of the two")
        settings |= named
        check_names(settings)
        values = {
            name: FIELDS[name].canonical(settings[name]) if name in settings else field.default
            for name, field in FIELDS.items()
        }
        for name, (works, need) in EFFECTS.items():
            if name in named or works(values) or values[name] == FIELDS[name].default:
                continue
            log.info(
                "%s=%s has no effect unless %s: put back to its default, %s",
                name, text(values[name]), need, text(FIELDS[name].default),
            )  # fmt: skip
            values[name] = FIELDS[name].default
        return cls(**values)

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, in the order of the fields."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value != FIELDS[name].default
        }

    @property
    def identity(self) -> str:
        """Ten hexadecimal digits that say which configuration this is, seed included.

        Only fields that differ from their defaults count, so that a field added later, whose
        default means "as before", changes no identity.
        """
        canonical = json.dumps(self.changed(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:10]

    def without_seed(self) -> "Config":
        """The configuration whose seeds are averaged."""
        return dataclasses.replace(self, seed=FIELDS["seed"].default)


def _fields() -> dict[str, Field]:
    fields = {}
    hints = get_type_hints(Config, include_extras=True)
    for field in dataclasses.fields(Config):
        hint, limits, choices = hints[field.name], None, ()
        if get_origin(hint) is Annotated:
            hint, limits = get_args(hint)
        timm = isinstance(limits, Backbones)
        if timm:
            choices, limits = limits.ours, None
        if get_origin(hint) is Literal:
            hint, choices = str, get_args(hint)
        fields[field.name] = Field(field.name, hint, choices, limits, field.default, timm)
    return fields


FIELDS: dict[str, Field] = _fields()

# When a field has an effect, and how to say so.
EFFECTS = {
    "groups": (lambda c: c["norm"] == "group", "norm=group"),
    "norm_affine": (lambda c: c["norm"] != "none", "there is a norm"),
    "l1_reduction": (lambda c: c["l1"] > 0, "l1 is above 0"),
    "nesterov": (lambda c: c["momentum"] > 0, "momentum is above 0"),
    "step_size": (lambda c: c["schedule"] == "step", "schedule=step"),
    "gamma": (lambda c: c["schedule"] == "step", "schedule=step"),
}


def check_names(names: Iterable[str]) -> None:
    """Refuse names that are no field, with the nearest that is one."""
    for name in names:
        if name not in FIELDS:
            raise Refused(f"{name}: no such setting; {nearest(name, FIELDS)}")


def parse_setting(word: str) -> tuple[str, Any]:
    """`name=value` as a field's name and its value.

    Raises:
        Refused: no `=`, an unknown name or a value that is not allowed.
    """
    name, equals, value = word.partition("=")
    if not equals or not value:
        raise Refused(f"{word!r}: write a setting as name=value")
    check_names([name])
    return name, FIELDS[name].parse(value)


def parse_variant(variant: Any) -> dict[str, Any]:
    """The fields that a variant such as "norm=group groups=5" names.

    Raises:
        Refused: not a text of name=value words, or a name twice.
    """
    if not isinstance(variant, str):
        raise Refused(f"variant={text(variant)}: write a text such as 'norm=group groups=5'")
    named: dict[str, Any] = {}
    for word in variant.split():
        name, value = parse_setting(word)
        if name in named:
            raise Refused(f"variant={variant!r}: {name} stands in it twice")
        named[name] = value
    return named


def labels(configs: Iterable[Config]) -> dict[Config, str]:
    """A short label for each configuration (without its seed), from the fields that differ.

    The norm is always named; a field is named where it has an effect and differs among the
    configurations in which it has one. So two that differ never share a label.
    """
    distinct = list(dict.fromkeys(config.without_seed() for config in configs))
    values = [dataclasses.asdict(config) for config in distinct]
    seen: dict[str, set] = {name: set() for name in FIELDS}
    for value in values:
        for name in FIELDS:
            if name not in EFFECTS or EFFECTS[name][0](value):
                seen[name].add(value[name])
    varying = {name for name, options in seen.items() if len(options) > 1}
    return {config: _label(value, varying) for config, value in zip(distinct, values)}


def _label(value: dict[str, Any], varying: set[str]) -> str:
    named = {
        name
        for name in varying
        if name not in EFFECTS or EFFECTS[name][0](value)
    } - {"norm", "l1", "l1_reduction", "groups", "weight_decay"}  # fmt: skip
    words = NORM_LABELS[value["norm"]]
    if "groups" in varying and value["norm"] == "group":
        words += f" ({value['groups']} groups)"
    if varying & {"l1", "l1_reduction"} and value["l1"]:
        words += f" + L1 {number(value['l1'])} ({value['l1_reduction']})"
    if "weight_decay" in varying and value["weight_decay"]:
        words += f" + L2 {number(value['weight_decay'])}"
    return ", ".join([words, *(_phrase(name, value[name]) for name in FIELDS if name in named)])


def _phrase(name: str, value: Any) -> str:
    title = {"norm_affine": "affine"}.get(name, name.replace("_", " "))
    if isinstance(value, bool):
        return title if value else f"no {title}"
    if name in ("dataset", "network", "schedule", "precision", "augment") and value != "none":
        return value
    return f"no {title}" if value == "none" else f"{title} {text(value)}"


def slug(label: str) -> str:
    """The label as part of a file's name: lower case letters, digits, `.`, `-` and `_`."""
    return re.sub(r"[^a-z0-9.-]+", "_", label.lower()).strip("_")
