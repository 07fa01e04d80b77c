import numpy as np
from matplotlib.colors import to_rgb

from study.report.figures import styles
from study.report.study import SHOWN
from tests.report.figures.conftest import many, study


def test_so_many_looks_differ_as_lines_and_as_marks():
    looks = [styles.nth(i) for i in range(SHOWN)]
    assert len({(look.colour, look.dashes) for look in looks}) == SHOWN
    assert len({(look.colour, look.marker) for look in looks}) == SHOWN
    assert len({(look.dash, look.symbol, look.colour) for look in looks}) == SHOWN
    assert len(set(styles.ON_DARK)) == len(styles.COLOURS) == len(set(styles.COLOURS))


def test_a_look_follows_the_settings_and_not_the_rank():
    made = study(*many(28))
    shown = [variant for variant in made.variants if variant in made.shown]
    assert [styles.of(made, variant) for variant in shown[:2]] == [styles.nth(0), styles.nth(1)]
    assert made.shown[0] != shown[0]
    assert styles.of(made, made.order[-1]) == styles.GREY


def test_the_shades_of_ordered_values_differ_and_are_seen_on_both_pages():
    def light(colour: str) -> float:
        parts = np.array(to_rgb(colour))
        return np.where(parts <= 0.04, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (
            0.2126, 0.7152, 0.0722,
        )  # fmt: skip

    assert len(set(styles.SHADES)) == len(set(styles.SHADES_ON_DARK)) == len(styles.SHADES)
    assert min(1.05 / (light(each) + 0.05) for each in styles.SHADES) > 2.5
    dark = light("#17181a") + 0.05
    assert min((light(each) + 0.05) / dark for each in styles.SHADES_ON_DARK) > 3
    assert [look.colour for look in styles.ordered(2)] == [styles.SHADES[0], styles.SHADES[-1]]
    assert len(styles.PALETTE) == len(styles.COLOURS) + len(styles.SHADES)
