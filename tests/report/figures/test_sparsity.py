import pytest
import torch

from study import runs
from study.config import Config
from study.report.axis import varying
from study.report.figures import response, sparsity
from tests.report.conftest import run
from tests.report.figures.conftest import overlaps, study


def with_weights(folder, config: Config, seed: int, near: int) -> runs.Run:
    """A run of 100 weights, so many of them near zero."""
    made = run(config, 99.0, seed)
    path = folder / made.path.name
    path.mkdir()
    weights = torch.cat([torch.full((near,), 1e-5), -torch.ones(100 - near)])
    torch.save({"w": weights}, path / runs.WEIGHTS)
    return runs.Run(path, made.config, made.history, made.summary)


def test_the_share_of_weights_near_zero_is_a_mean_over_seeds(saved, tmp_path):
    shares = {0.0: 10, 1e-5: 20, 1e-4: 60}
    made = study(
        *(
            with_weights(tmp_path, Config(norm=norm, l1=l1), seed, near + seed)
            for norm in ("batch", "layer")
            for l1, near in shares.items()
            for seed in (1, 2, 3)
        )
    )
    varied = varying(made)
    [l1] = [axis for axis in varied if axis.name == "l1"]
    drawn = sparsity.draw(tmp_path, made, l1, varied)
    assert drawn.name == "sparsity" and "Lines join those that differ in L1" in drawn.caption
    figure, rows = saved["sparsity"]
    bn = {row["l1"]: row for row in rows if row["label"].startswith("BN")}
    assert {l1: row["mean"] for l1, row in bn.items()} == {
        l1: pytest.approx(near + 2) for l1, near in shares.items()
    }
    assert bn[0.0]["seeds"] == 3 and bn[0.0]["low"] < 12 < bn[0.0]["high"]
    assert len(figure.axes[0].lines) >= 2 and not overlaps(figure)
    assert sparsity.draw(tmp_path, made, varied[0], varied) is None  # the norm


def looks(axes) -> dict[str, str]:
    """Family -> the colour of its points."""
    return {points.get_label(): points.lines[0].get_color() for points in axes.containers}


def test_a_norm_looks_as_in_the_response_and_the_axis_fits(saved, tmp_path):
    norms = {"batch": 99.0, "layer": 97.0, "group": 98.0}  # ranked in another order than listed
    made = []
    for norm, last in norms.items():
        for l1 in (0.0, 1e-5, 1e-4):
            bare = with_weights(tmp_path, Config(norm=norm, l1=l1), 1, 2)
            bare.summary["test_accuracy_last"] = last
            made.append(bare)
    grid = study(*made)
    varied = varying(grid)
    [l1] = [axis for axis in varied if axis.name == "l1"]
    sparsity.draw(tmp_path, grid, l1, varied)
    response.draw(tmp_path, grid, l1, varied)
    [shares], [accuracies] = (saved[name][0].axes for name in ("sparsity", "response_l1"))
    assert looks(shares) == looks(accuracies) and len(looks(shares)) == 3
    low, high = shares.get_ylim()
    assert low < 2 < high < 10


def test_of_many_variants_the_best_are_read(saved, tmp_path):
    lambdas = [i * 1e-5 for i in range(30)]
    made = study(*(with_weights(tmp_path, Config(l1=l1), 1, 50) for l1 in lambdas))
    [l1] = varying(made)
    figure = sparsity.draw(tmp_path, made, l1, [l1])
    assert len(saved["sparsity"][1]) == 24 and figure.caption.endswith("The best 24 of 30.")


def test_runs_without_weights_have_no_figure(saved, tmp_path):
    made = study(*(run(Config(l1=l1), 99.0, 1) for l1 in (0.0, 1e-5, 1e-4)))
    varied = varying(made)
    assert sparsity.draw(tmp_path, made, varied[0], varied) is None
