"""The numbers of a run are those that they were: see tests/golden/losses.py."""

import json

import pytest

from tests.golden import losses

GOLDEN = json.loads(losses.FILE.read_text())


@pytest.fixture(autouse=True)
def as_golden():
    images, steps = losses.as_golden()
    with images, steps:
        yield


@pytest.mark.parametrize("network", losses.NETWORKS)
@pytest.mark.parametrize("norm", losses.NORMS, ids=lambda norm: "-".join(map(str, norm.values())))
def test_the_first_steps_are_as_ever_by_the_loop_and_in_a_pack(network, norm):
    """On any processor, since the images have no ties and no weight is 0 (tests/untied.py)."""
    configs = losses.configs(network, norm)
    for config, packed in zip(configs, losses.in_a_pack(configs), strict=True):
        expected = pytest.approx(GOLDEN[losses.key(config)], rel=1e-9)
        assert losses.by_the_loop(config) == expected
        assert packed == expected
