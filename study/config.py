"""Config: the one list of hyperparameters, which defines a run.

fields.py checks one setting; this module checks them together, expands the `variant` strings that
couple settings, and gives a run its identity.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from study import datasets, extension
from study.architectures import ARCHITECTURES
from study.errors import Faults, UsageError
from study.fields import Choices, Effect, Field, Range, Unlisted, fields_of, setting
from study.values import brief, by_alias, find_nearest, nearest, text, typed

log = logging.getLogger(__name__)

# A run must be readable where its data set is not, so the file is looked at when data are loaded.
OWN_DATASETS = Unlisted(datasets.OWN_WORDS, datasets.is_own)
BACKBONES = Unlisted(
    "timm's backbones, with what STUDY_IMPORT registers",
    lambda name: name in extension.backbone_names(),
    extension.backbone_names,
)
STEPS = Effect("schedule=step", lambda c: c["schedule"] == "step")
SGD = Effect("optimizer=sgd", lambda c: c["optimizer"] == "sgd")
MOMENTUM = Effect(
    "optimizer=sgd and momentum is above 0",
    lambda c: c["optimizer"] == "sgd" and c["momentum"] > 0,
)
NORM_LABELS = {"batch": "BN", "layer": "LN", "group": "GN", "instance": "IN", "none": "no norm"}
VARIANT = "variant"  # the parameter of a sweep whose text sets several fields


@dataclass(frozen=True)
class Config:
    """The settings of a run: flat scalars, each a sweep parameter and a command line option.

    Raises:
        UsageError: a value of the wrong type or out of range, or a setting without effect.
    """

    dataset: str = setting(
        "digits", Choices(tuple(datasets.DATASETS), OWN_DATASETS), shapes_network=True
    )
    """the images: digits (1,797 scans, no download), mnist, fashion_mnist, cifar10, cifar100, or
    own:NAME for NAME.npz in STUDY_DATA"""
    network: str = setting(
        "mnist_7684", Choices(tuple(ARCHITECTURES), BACKBONES), shapes_network=True
    )
    """a published network, such as mnist_7684, or ours, such as mnist_7848 (named after their
    parameters; study/architectures.py lists them), or a timm backbone with BatchNorm, such as
    resnet18, whose norms are swapped"""
    norm: Literal["batch", "layer", "group", "instance", "none"] = setting(
        "batch", shapes_network=True
    )
    """the normalization after (or before) each activation"""
    groups: int = setting(
        4,
        Range(1),
        shapes_network=True,
        effect=Effect("norm=group", lambda c: c["norm"] == "group"),
    )
    """norm=group: a layer of C channels uses the largest divisor of C that is at most this"""
    norm_affine: Literal["channel", "element", "none"] = setting(
        "channel",
        shapes_network=True,
        effect=Effect("there is a norm", lambda c: c["norm"] != "none"),
    )
    """the norm's scale and shift: two a channel; two an element (norm=layer only); none"""
    dropout: float = setting(0.0, Range(0, 1, below=True), shapes_network=True, per_model=True)
    """share of activations dropped in each block"""
    l1: float = setting(0.0, Range(0), per_model=True)
    """weight of the L1 term over ALL parameters; its size depends on l1_reduction"""
    l1_reduction: Literal["sum", "mean"] = setting(
        "sum", per_model=True, effect=Effect("l1 is above 0", lambda c: c["l1"] > 0)
    )
    """the L1 term: sum of |w|, or the sum over tensors of each tensor's mean |w|"""
    optimizer: Literal["sgd", "adamw"] = setting("sgd")
    """sgd, or adamw with torch's betas and eps"""
    weight_decay: float = setting(0.0, Range(0, 1e30), per_model=True)
    """L2 on all parameters: sgd adds it to the gradient, adamw shrinks the weights beside it"""
    lr: float = setting(0.05, Range(0, 1e30, above=True), per_model=True)
    """learning rate at the start; with schedule=onecycle its peak"""
    momentum: float = setting(0.9, Range(0, 1, below=True), per_model=True, effect=SGD)
    """momentum of optimizer=sgd"""
    nesterov: bool = setting(False, per_model=True, effect=MOMENTUM)
    """Nesterov's momentum"""
    schedule: Literal["constant", "step", "onecycle", "cosine"] = setting(
        "constant", per_model=True
    )
    """how the learning rate moves: step by epoch, onecycle and cosine by batch"""
    step_size: int = setting(1, Range(1), per_model=True, effect=STEPS)
    """schedule=step: epochs between two steps"""
    gamma: float = setting(0.1, Range(0, 1, above=True), per_model=True, effect=STEPS)
    """schedule=step: factor of the learning rate at each step"""
    epochs: int = setting(20, Range(1, 10_000))
    """passes over the training set"""
    batch_size: int = setting(128, Range(1))
    """images in a batch; the last, partial batch is kept"""
    augment: Literal[
        "none",
        "rotate7",
        "rotate7_mean",
        "jitter_rotate7",
        "affine",
        "slant8",
        "crop_flip",
        "crop_flip_reflect",
    ] = setting("none")
    """augmentation of the training images. rotate7: rotated by up to 7 degrees, corners black;
    rotate7_mean: the same, corners in MNIST's mean grey; jitter_rotate7: brightness, contrast and
    hue jittered by up to a tenth, then rotate7; affine: rotated by up to 10 degrees, shifted by up
    to 2 pixels, scaled by up to a tenth; slant8: rotated and sheared by up to 8 degrees, scaled by
    up to a twentieth; crop_flip: padded by 4 black pixels, cropped at random, mirrored with
    probability 0.5; crop_flip_reflect: the same, padded by reflection"""
    label_smoothing: float = setting(0.0, Range(0, 1, below=True), per_model=True)
    """label smoothing of the training loss (reported losses are without)"""
    ema: float = setting(0.0, Range(0, 1, below=True), per_model=True)
    """decay a step, such as 0.998, of a moving average of the weights, which is evaluated and kept
    in their place; 0: none"""
    holdout: int = setting(0, Range(0))
    """images of the training set kept for validation, the same for every seed; 0: none"""
    seed: int = setting(0, Range(0, 2**32 - 1), per_model=True)
    """seed of initialization, order of images and dropout"""
    precision: Literal["float32", "bfloat16", "float64"] = setting("float32")
    """arithmetic; bfloat16 by autocast, with float32 weights"""
    max_parameters: int = setting(0, Range(0), per_model=True)
    """a network with more parameters is refused; 0: no limit"""

    def __post_init__(self) -> None:
        for field in FIELDS.values():
            value = field.canonical(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        self._check_together()
        for name, value in self.non_defaults().items():
            if not self.has_effect(name):
                raise UsageError(
                    f"{name}={text(value)}: has no effect unless {FIELDS[name].needs};"
                    f" leave it out (default {text(FIELDS[name].default)})"
                )

    def has_effect(self, name: str) -> bool:
        """Whether a setting changes anything beside the others."""
        return FIELDS[name].has_effect(vars(self))

    def _check_together(self) -> None:
        """Refuse settings that are each allowed, but not together."""
        if self.norm_affine == "element" and self.norm != "layer":
            raise UsageError(
                f"norm_affine=element: needs norm=layer, not norm={self.norm}"
                " (allowed here: channel, none)"
            )
        if self.dataset in datasets.DATASETS:
            datasets.spec(self.dataset).check_holdout(self.holdout)

    @classmethod
    def from_sweep(cls, settings: Mapping[str, Any], quiet: bool = False) -> "Config":
        """Make the configuration of a sweep's parameters.

        `variant` is expanded into the fields it names. A field that has no effect is put back to
        its default with a line in the log (unless `quiet`), since a search over norm and groups
        together sets both; one that a `variant` names is refused.

        Raises:
            UsageError: as Config, and for unknown names and for a field set twice.
        """
        settings = dict(settings)
        variant = settings.pop(VARIANT, "")
        named = parse_variant(variant)
        if twice := [name for name in named if name in settings]:
            raise UsageError(
                f"{', '.join(twice)}: set both in variant={brief(repr(variant))} and beside it;"
                " keep one of the two"
            )
        settings |= named
        check_names(settings)
        values = {
            name: FIELDS[name].canonical(settings[name]) if name in settings else field.default
            for name, field in FIELDS.items()
        }
        for name, field in FIELDS.items():
            if name in named or field.has_effect(values) or values[name] == field.default:
                continue
            log.log(
                logging.DEBUG if quiet else logging.INFO,
                "%s=%s has no effect unless %s: put back to its default, %s",
                name, text(values[name]), field.needs, text(field.default),
            )  # fmt: skip
            values[name] = field.default
        try:
            return cls(**values)
        except UsageError as error:
            if str(error).partition("=")[0] in named:
                raise UsageError(f"variant={brief(repr(variant))}: {error}") from error
            raise

    def check_parameters(self, total: int) -> None:
        """Check a network's number of parameters.

        Raises:
            UsageError: there are more than max_parameters.
        """
        if 0 < self.max_parameters < total:
            raise UsageError(
                f"max_parameters={self.max_parameters}: {self.describe_network()} has {total:,}"
                " parameters"
            )

    def with_values(self, values: Mapping[str, Any]) -> "Config":
        """Return it with other values of fields that are not COUPLED, without checking it again.

        values: canonical ones. Checking 100,000 configurations would take most of a minute.
        """
        config = object.__new__(Config)
        for name in FIELDS:
            value = values[name] if name in values else getattr(self, name)
            object.__setattr__(config, name, value)
        return config

    def describe_network(self) -> str:
        """Return what the network is, in words: mnist_7684 with BN on digits."""
        affine = "" if self.norm_affine == "channel" else f" (affine {self.norm_affine})"
        return f"{self.network} with {NORM_LABELS[self.norm]}{affine} on {self.dataset}"

    def non_defaults(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, in the order of the fields."""
        values = ((name, getattr(self, name)) for name in FIELDS)
        return {name: value for name, value in values if value != FIELDS[name].default}

    @functools.cached_property
    def identity(self) -> str:
        """Ten hexadecimal digits that stand for the configuration, seed included.

        Only fields that differ from their defaults count, so that a field added later does not
        change the identity of older runs.
        """
        canonical = json.dumps(self.non_defaults(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:10]

    def without_seed(self) -> "Config":
        """Return it with the default seed: runs that are equal in this are averaged."""
        return self.with_values({"seed": FIELDS["seed"].default})


FIELDS: dict[str, Field] = fields_of(Config)
# The fields that the configurations of a pack share; they may differ in all others.
SHARED = tuple(name for name, field in FIELDS.items() if not field.per_model)
# The fields that are checked together: those with an effect, and those that an effect or a rule of
# Config reads. A value of any other field is as good beside all values of all others.
COUPLED = {"dataset", "norm", "l1", "optimizer", "schedule", "holdout"} | {
    name for name, field in FIELDS.items() if field.effect
}
# What others call these settings, in lower case with `_`.
ALIASES = by_alias(
    {
        "dataset": "data data_set dataset_name",
        "network": "model model_name arch architecture backbone net",
        "norm": "norm_type norm_layer normalization normalisation normalization_type",
        "groups": "num_groups n_groups gn_groups",
        "dropout": "drop drop_rate dropout_p dropout_prob dropout_probability p_dropout",
        "l1": "lambda l1_lambda lambda_l1 lambda1 l1_weight l1_reg l1_factor",
        "optimizer": "opt optim optimiser",
        "weight_decay": "wd l2 l2_lambda lambda_l2 l2_reg l2_weight weightdecay",
        "lr": "learning_rate learn_rate learningrate init_lr initial_lr base_lr max_lr lr0",
        "schedule": "scheduler lr_scheduler lr_schedule",
        "step_size": "lr_step lr_step_size",
        "gamma": "lr_gamma lr_decay decay_rate",
        "epochs": "num_epochs n_epochs max_epochs nb_epochs",
        "batch_size": "bs batch batchsize train_batch train_batch_size minibatch_size",
        "augment": "augmentation augmentations transform transforms data_augmentation",
        "label_smoothing": "smoothing ls",
        "holdout": "val_size validation_size val_split validation_split",
        "seed": "random_seed rng_seed manual_seed random_state",
        "precision": "dtype amp",
        "max_parameters": "max_params parameter_budget param_budget",
    }
)


def largest_divisor(channels: int, groups: int) -> int:
    """Return the largest divisor of `channels` up to `groups`: the groups a layer really has."""
    return next(g for g in range(min(groups, channels), 0, -1) if channels % g == 0)


def check_names(names: Iterable[Any], where: str = "") -> None:
    """Refuse names that are no field, with the nearest that is one. `where` goes before each.

    A name with dots, as of settings in groups, is told to be written without them.
    """
    faults = Faults()
    for name in names:
        if name in FIELDS:
            continue
        hint = nearest(name, FIELDS, aliases=ALIASES)
        if "." in str(name) and (meant := guess_name(name)):
            hint = f"write it flat: {meant}"
        faults.add(f"{where}{brief(str(name))}: no such setting; {hint}")
    faults.check()


def guess_name(name: Any) -> str | None:
    """Return the field that a name probably means, with or without groups and dots before it."""
    return find_nearest(str(name).rpartition(".")[2], FIELDS, ALIASES)


def parse_setting(word: str) -> tuple[str, Any]:
    """Parse `name=value` into a field's name and its value.

    Raises:
        UsageError: no `=`, an unknown name or a value that is not allowed.
    """
    name, equals, value = word.partition("=")
    if not equals or not value:
        raise UsageError(f"{brief(repr(word))}: write a setting as name=value")
    check_names([name])
    return name, FIELDS[name].parse(value)


def parse_variant(variant: Any) -> dict[str, Any]:
    """Parse a variant such as "norm=group groups=5" into the fields it names.

    Raises:
        UsageError: not a text of name=value words, or a name twice; each line names the variant.
    """
    if not isinstance(variant, str):
        raise UsageError(f"variant={typed(variant)}: write a text such as 'norm=group groups=5'")
    named: dict[str, Any] = {}
    faults = Faults()
    for word in variant.split():
        if parsed := faults.attempt(parse_setting, word):
            name, value = parsed
            if name in named:
                faults.add(f"{name} stands in it twice")
            named[name] = value
    faults.check(f"variant={brief(repr(variant))}: ")
    return named
