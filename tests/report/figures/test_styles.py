from study.report import variants
from study.report.figures import styles
from tests.report.figures.conftest import many, study


def test_so_many_looks_differ_as_lines_and_as_marks():
    looks = [styles.nth(i) for i in range(variants.SHOWN)]
    assert len({(look.colour, look.dashes) for look in looks}) == variants.SHOWN
    assert len({(look.colour, look.marker) for look in looks}) == variants.SHOWN
    assert len({(look.dash, look.symbol, look.colour) for look in looks}) == variants.SHOWN
    assert len(set(styles.ON_DARK)) == len(styles.COLOURS) == len(set(styles.COLOURS))


def test_a_look_follows_the_settings_and_not_the_rank():
    made = study(*many(28))
    shown = [variant for variant in made.variants if variant in made.shown]
    assert [styles.of(made, variant) for variant in shown[:2]] == [styles.nth(0), styles.nth(1)]
    assert made.shown[0] != shown[0]
    assert styles.of(made, made.order[-1]) == styles.GREY
