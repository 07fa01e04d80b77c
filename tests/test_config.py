import contextlib
import dataclasses
import logging
import re

import pytest

from study import datasets
from study.config import COUPLED, FIELDS, Config
from study.errors import UsageError
from study.labels import labels


def refusal(**settings) -> str:
    with pytest.raises(UsageError) as refused:
        Config.from_sweep(settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"drpout": 0.1}, ["drpout", "did you mean dropout?"]),
        ({"l1": -1.0e-3}, ["l1=-0.001", "at least 0"]),
        ({"norm": "group", "groups": 0}, ["groups=0", "at least 1"]),
        ({"norm": "group", "groups": 2.5}, ["groups=2.5", "whole number"]),
        ({"norm": "grop"}, ["norm=grop", "did you mean group?"]),
        ({"norm": "BN"}, ["norm=BN", "did you mean batch?"]),
        ({"norm": "in"}, ["norm=in", "did you mean instance?"]),
        ({"norm": "LayerNorm"}, ["did you mean layer?"]),
        ({"lr": "1e-1"}, ["lr='1e-1'", "write 1.0e-1"]),
        ({"lr": "0.1"}, ["write 0.1 without quotes"]),
        ({"lr": float("nan")}, ["lr=nan", "above 0"]),
        ({"lr": None}, ["lr=null (no value)", "above 0"]),
        ({"nesterov": 1}, ["nesterov=1", "true and false"]),
        ({"dropout": 1.0}, ["dropout=1", "below 1"]),
        ({"norm": "batch", "norm_affine": "element"}, ["norm_affine=element", "norm=layer"]),
        ({"holdout": 1437}, ["holdout=1437", "10 to 1427"]),
        ({"holdout": 9}, ["holdout=9", "10 to 1427"]),
        ({"dataset": "cifar100", "holdout": 99}, ["holdout=99", "100 to 49900"]),
        ({"dataset": "mnits"}, ["dataset=mnits", "own:NAME", "did you mean mnist?"]),
        ({"dataset": "own:"}, ["dataset=own:", "NAME.npz in STUDY_DATA"]),
        ({"dataset": "own:../mine"}, ["dataset=own:../mine", "letters, digits"]),
        ({"dataset": 3}, ["dataset=3", "digits"]),
        ({"variant": "norm=layer", "norm": "batch"}, ["norm", "both in variant='norm=layer'"]),
        ({"variant": "norm=layer groups=5"}, ["groups=5", "no effect unless norm=group"]),
        ({"variant": "norm=layer norm=batch"}, ["norm stands in it twice"]),
        ({"variant": "layer"}, ["name=value"]),
        ({"variant": 3}, ["variant=3"]),
    ],
)  # fmt: skip
def test_what_is_refused_names_the_field_the_value_and_what_is_allowed(settings, expected):
    message = refusal(**settings)
    for words in expected:
        assert words in message


def test_a_setting_without_effect_is_refused_unless_a_sweep_sets_it(caplog):
    with pytest.raises(UsageError, match="groups=5: has no effect unless norm=group"):
        Config(norm="batch", groups=5)
    with caplog.at_level(logging.INFO, logger="study"):
        assert Config.from_sweep({"norm": "batch", "groups": 5}) == Config(norm="batch")
    assert "groups=5 has no effect unless norm=group" in caplog.text


def test_every_field_is_documented_and_its_default_is_allowed():
    assert Config() == Config.from_sweep({})
    for name, field in FIELDS.items():
        assert field.canonical(field.default) == field.default, name
    assert FIELDS["dataset"].choices == tuple(datasets.DATASETS)


def test_a_data_set_of_ones_own_needs_no_file_to_be_named(tmp_path, monkeypatch):
    """So that a run pulled from elsewhere can be read here."""
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    config = Config(dataset="own:mine-2.b_c", holdout=5)
    assert config.dataset == "own:mine-2.b_c"
    assert list(labels([config, Config()]).values()) == [
        "BN, own:mine-2.b_c, holdout 5",
        "BN, digits",
    ]


def test_equal_settings_of_other_types_are_one_configuration():
    config = Config(lr=1, l1=0, epochs=5)
    same = Config.from_sweep({"lr": 1.0, "l1": -0.0, "epochs": 5.0})
    assert config == same
    assert config.identity == same.identity
    assert isinstance(same.epochs, int)


def test_the_identity_is_of_what_differs_from_the_defaults():
    assert Config().identity == Config.from_sweep(dataclasses.asdict(Config())).identity
    others = [Config(seed=1), Config(lr=0.1), Config(norm="group"), Config(norm="group", groups=5)]
    assert len({config.identity for config in [Config(), *others]}) == 5
    # Pinned: run folders made by an older version must be found again.
    assert Config(norm="group", groups=5, lr=0.07, seed=1).identity == "9f34572b89"


def test_a_variant_is_expanded():
    config = Config.from_sweep({"variant": "norm=group groups=5", "seed": 2})
    assert config == Config(norm="group", groups=5, seed=2)


def other_value(field):
    """A value that the field allows and is not its default."""
    for value in (*field.choices, True, 0.5, 3):
        with contextlib.suppress(UsageError):
            if field.canonical(value) != field.default:
                return field.canonical(value)


def test_fields_that_are_not_coupled_are_allowed_beside_all_others():
    """What makes a grid quick: a change of one of them changes nothing for the others."""
    free = {name: other_value(field) for name, field in FIELDS.items() if name not in COUPLED}
    assert {"seed", "lr", "dropout"} < free.keys()
    rows = [
        {"norm_affine": "element"}, {"norm_affine": "element", "norm": "layer"}, {"groups": 2},
        {"groups": 2, "norm": "group"}, {"holdout": 1437}, {"holdout": 100}, {"l1": 0.1},
        {"l1_reduction": "mean"}, {"l1_reduction": "mean", "l1": 0.1}, {"nesterov": True},
        {"nesterov": True, "momentum": 0.0}, {"momentum": 0.5, "optimizer": "adamw"},
        {"gamma": 0.5}, {"gamma": 0.5, "schedule": "step"}, {"step_size": 2},
    ]  # fmt: skip
    for row in rows:
        for name, value in [*free.items(), (None, None)]:
            settings = row | ({name: value} if name else free)
            try:
                plain = Config(**row)
            except UsageError as error:
                with pytest.raises(UsageError, match=re.escape(str(error))):
                    Config(**settings)
            else:
                changed = Config(**settings)
                assert plain.with_values({k: settings[k] for k in settings if k in free}) == changed
