"""The live graphs: the values of the figures, as JSON takes them."""

import base64
import gzip
import json

import pytest

from study import runs
from study.config import Config
from study.report import variants
from study.report.figures import live
from study.report.figures.drawing import SavedFigure
from tests.report.conftest import run, spread


def figures(*names: str) -> list[SavedFigure]:
    return [SavedFigure(name, "", "", (98.0, 100.0)) for name in names]


def test_the_curves_have_their_bands_behind_them():
    study = variants.gather({"mine": [*spread(Config(), 99.4, 99.5), run(Config(lr=0.1), 99.0, 1)]})
    made = live.build(study, figures("test_accuracy", "final"), target=99.4)
    assert list(made) == ["test_accuracy"]
    low, high, bn, other = made["test_accuracy"]["data"]
    assert (bn["name"], other["name"]) == ("BN, lr 0.05", "BN, lr 0.1")
    assert low["legendgroup"] == high["legendgroup"] == bn["name"]  # switched off together
    assert bn["y"][-1] == pytest.approx(99.45) and bn["x"][-1] == 10
    assert high["y"][-1] - bn["y"][-1] == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert "99.45 ± 0.6353" in bn["hovertemplate"][-1]
    layout = made["test_accuracy"]["layout"]
    assert layout["yaxis"]["range"] == (98.0, 100.0) and layout["shapes"][0]["y0"] == 99.4
    json.dumps(made, allow_nan=False)


def test_a_response_has_points_lines_and_stopped_runs():
    made = [run(Config(l1=l1), last, 1) for l1, last in ((0.0, 99.0), (1e-5, 99.2), (1e-3, 98.0))]
    study = variants.gather({"mine": [*made, run(Config(l1=1e-2), 60.0, 1, runs.STOPPED)]})
    graph = live.build(study, figures("response_l1"))["response_l1"]
    line, *points, stopped = graph["data"]
    assert line["mode"] == "lines" and line["y"] == [99.0, 99.2, 98.0]
    assert line["x"][0] < line["x"][1] == -5 and line["x"][2] == -3  # 0 left of the log axis
    assert [point["y"] for point in points] == [[99.0], [99.2], [98.0]]
    assert (stopped["x"], stopped["y"]) == ([-2], [60.0])
    assert graph["layout"]["xaxis"]["ticktext"][0] == "0"


def test_of_many_variants_all_but_the_best_are_grey():
    study = variants.gather(
        {"mine": [run(Config(lr=0.01 * i), 90 + i / 4, 1) for i in range(1, 15)]}
    )
    curves = live.build(study, figures("test_accuracy"))["test_accuracy"]["data"]
    assert curves[0]["name"] == "4 others" and curves[0]["y"].count(None) == 4
    assert len(curves) == 1 + variants.SHOWN
    points = live.build(study, figures("response_lr"))["response_lr"]["data"]
    assert len(next(trace for trace in points if trace.get("name") == "others")["x"]) == 4


def test_the_library_is_plotlys():
    code = gzip.decompress(base64.b64decode(live.plotly())).decode()
    assert "plotly.js" in code[:200]
