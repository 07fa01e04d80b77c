"""What `--set` and `--seeds` may be; that they replace what a file says: test_spec.py."""

import pytest

from study.errors import UsageError
from study.sweep import replacement


def test_a_setting_has_the_values_between_commas():
    parsed = replacement.parse(["seed=3", "norm=group,none", "epochs=1"])
    assert {name: p.values for name, p in parsed.items()} == {
        "seed": (3,), "norm": ("group", "none"), "epochs": (1,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", "--set seed: write name=value"),
        ("sed=1", "did you mean seed?"),
        ("lr=fast", "--set lr=fast"),
        ("seed=1,x", "--set seed=x"),
    ],
)
def test_a_wrong_setting_is_refused(setting, message):
    with pytest.raises(UsageError) as error:
        replacement.parse([setting])
    assert message in str(error.value)


@pytest.mark.parametrize("words", [["seed=1", "seed=2"], ["lr=0.1,0.2", "epochs=1", "lr=0.3"]])
def test_a_setting_that_stands_twice_is_refused(words):
    with pytest.raises(UsageError, match=r"--set \w+: stands twice; give it once"):
        replacement.parse(words)


@pytest.mark.parametrize(
    ("words", "advice"),
    [("1-3", "1,2,3"), ("7..9", "7,8,9"), ("1:1000", "1,2,3"), ("3-1", "1,2,3")],
)
def test_a_range_of_seeds_is_shown_with_commas(words, advice):
    with pytest.raises(UsageError, match=f"; separate seeds with commas: {advice}$"):
        replacement.values("seed", words, "--seeds")
