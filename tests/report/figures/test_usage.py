import pytest

from study.config import Config
from study.report.figures import usage
from tests.report.conftest import run
from tests.report.figures.conftest import overlaps, study


def test_load_is_the_processors_share_of_the_clock(saved, tmp_path):
    made = [run(Config(norm=norm), 99.0, seed) for norm in ("batch", "layer") for seed in (1, 2)]
    for each in made:
        del each.history[4:]  # of few epochs an axis has room for halves
    for each in made[:2]:  # those of an older version have neither
        for row in each.history:
            row |= {"cpu_seconds": 24.0, "memory_mb": 500.0 + each.config.seed}
    assert usage.draw(tmp_path, study(*made)).name == "usage"
    figure, rows = saved["usage"]
    assert {row["label"] for row in rows} == {"BN"} and len(rows) == len(made[0].history)
    assert rows[0]["load"] == pytest.approx(80)  # of 30 seconds
    assert rows[0]["memory_mb"] == pytest.approx(501.5) and not overlaps(figure)
    ticks = [tick for axes in figure.axes for tick in axes.get_xticks()]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_runs_that_recorded_nothing_have_no_figure(saved, tmp_path):
    assert usage.draw(tmp_path, study(run(Config(), 99.0, 1))) is None
