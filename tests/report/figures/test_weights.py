import numpy as np
import pytest
import torch

from study import runs
from study.config import Config
from study.report.figures import weights
from tests.report.conftest import run
from tests.report.figures.conftest import study


def test_the_share_of_weights_near_zero_under_each_lambda(saved, tmp_path):
    made = []
    for l1, near in ((0.0, 10), (1e-3, 90)):
        bare = run(Config(l1=l1), 99.0, 1)
        path = tmp_path / bare.path.name
        path.mkdir()
        state = {"w": torch.cat([torch.full((near,), 1e-5), -torch.ones(100 - near)])}
        torch.save(state | {"norm.running_mean": torch.zeros(1000)}, path / runs.WEIGHTS)
        made.append(runs.Run(path, bare.config, bare.history, bare.summary))
    drawn = weights.draw(tmp_path, study(*made))
    assert drawn.name == "weights" and "over all runs with that lambda" in drawn.caption
    assert "whatever their other settings are (1 run each)" in drawn.caption
    figure, rows = saved["weights"]
    [axes] = figure.axes
    for line, leader in zip(axes.lines[:2], axes.patches, strict=True):
        x, share = leader.xy1  # of the height of the axes, which are 100 % high
        on_curve = np.interp(np.log(x), np.log(line.get_xdata()), line.get_ydata())
        assert share == 0.5 and on_curve == pytest.approx(50)
    shares = {row["l1"]: (row["weights"], row["share_near_zero"]) for row in rows}
    assert shares == {"L1 0": (100, 0.1), "L1 0.001": (100, 0.9)}
    assert weights.draw(tmp_path, study(made[0])) is None
