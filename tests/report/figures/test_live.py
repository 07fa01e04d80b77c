"""The live graphs: the values of the figures, as JSON takes them."""

import base64
import gzip
import json

import pytest

from study import runs
from study.config import Config
from study.report import grouping
from study.report.figures import curves, live, styles
from study.report.figures.drawing import SavedFigure
from study.report.study import SHOWN
from tests.report.conftest import run, spread


def figures(*names: str) -> list[SavedFigure]:
    return [SavedFigure(name, "", "", (98.0, 100.0)) for name in names]


def test_the_curves_have_their_bands_behind_them():
    ones = [*spread(Config(), 99.4, 99.41), run(Config(lr=0.1), 97.0, 1)]
    study = grouping.gather({"mine": ones})
    made = live.build(study, figures("test_accuracy", "final"), target=99.4)
    assert list(made) == ["test_accuracy"]
    low, high, bn, _, other, _ = made["test_accuracy"]["data"]
    assert (bn["name"], other["name"]) == ("BN, lr 0.05", "BN, lr 0.1")
    assert low["legendgroup"] == high["legendgroup"] == bn["name"]  # switched off together
    assert bn["y"][-1] == pytest.approx(99.405) and bn["x"][-1] == 10
    assert high["y"][-1] - bn["y"][-1] == pytest.approx(12.706 * 0.005, rel=1e-3)
    assert "epoch 10<br>99.405 ± 0.06353 %" in bn["hovertemplate"][-1]
    json.dumps(made, allow_nan=False)


def test_the_live_curves_show_what_the_picture_shows(saved, tmp_path):
    ones = [*spread(Config(), 99.4, 99.5), *spread(Config(norm="layer"), 99.3, 99.1)]
    study = grouping.gather({"mine": [*ones, run(Config(l1=0.1), 11.35, 1)]})
    picture = curves.draw(tmp_path, study, "test/accuracy", target=99.4)
    graph = live.build(study, [picture], target=99.4)["test_accuracy"]
    [axes] = saved["test_accuracy"][0].axes
    assert graph["layout"]["yaxis"]["range"] == axes.get_ylim()
    assert graph["layout"]["yaxis"]["title"]["text"] == axes.get_ylabel() == "test accuracy (%)"
    assert graph["layout"]["annotations"][0]["text"] == "target 99.4"
    stars = [trace for trace in graph["data"] if trace.get("marker", {}).get("symbol") == "star"]
    drawn = [line.get_xydata() for line in axes.lines if line.get_marker() == "*"]
    assert [(star["x"][0], star["y"][0]) for star in stars] == [
        tuple(point.round(5).tolist()) for [point] in drawn
    ]
    triangles = [line.get_xydata()[0].tolist() for line in axes.lines if line.get_marker() == "v"]
    beyond = [trace for trace in graph["data"] if trace.get("cliponaxis") is False]
    assert [[each["x"][0], each["y"][0]] for each in beyond] == triangles and triangles
    assert [label["text"] for label in graph["labels"]] == [
        "1  99.45 ± 0.64", "2  99.20 ± 1.27", "3  11.35",
    ]  # fmt: skip


def test_one_epoch_has_markers_on_an_axis_with_room():
    one = run(Config(), 99.0, 1)
    del one.history[1:]
    graph = live.build(grouping.gather({"mine": [one]}), figures("test_accuracy"))["test_accuracy"]
    [line] = graph["data"]
    assert "markers" in line["mode"] and line["marker"]["size"] == [6]
    assert graph["layout"]["xaxis"]["range"] == [0.5, 1.5]


def test_a_response_has_points_lines_and_stopped_runs():
    made = [run(Config(l1=l1), last, 1) for l1, last in ((0.0, 99.0), (1e-5, 99.2), (1e-3, 98.0))]
    study = grouping.gather({"mine": [*made, run(Config(l1=1e-2), 60.0, 1, runs.STOPPED)]})
    graph = live.build(study, figures("response_l1"))["response_l1"]
    line, points, stopped = graph["data"]
    assert line["mode"] == "lines" and line["y"] == [99.0, 99.2, 98.0]
    assert line["x"][0] < line["x"][1] == -5 and line["x"][2] == -3  # 0 left of the log axis
    assert points["y"] == [99.0, 99.2, 98.0] and "BN + L1 0.001 (sum)" in points["hovertemplate"][2]
    assert (stopped["x"], stopped["y"]) == ([-2], [98.0])  # at the edge
    assert stopped["hovertemplate"][0].endswith("stopped at 60<extra></extra>")
    assert graph["layout"]["xaxis"]["ticktext"][0] == "0"


def test_of_many_variants_all_but_the_best_are_grey():
    study = grouping.gather(
        {"mine": [run(Config(lr=0.01 * i), 90 + i / 8, 1) for i in range(1, 29)]}
    )
    traces = live.build(study, figures("test_accuracy"))["test_accuracy"]["data"]
    assert traces[0]["name"] == "4 others" and traces[0]["y"].count(None) == 4
    assert sum("lines+markers" in trace["mode"] for trace in traces) == SHOWN


def test_no_two_values_of_a_setting_have_one_colour():
    configs = [Config(l1=1e-5 * i, norm=norm) for i in range(9) for norm in ("batch", "layer")]
    mine = [run(config, 99.0, 1) for config in configs]
    norm, l1 = live.groupings(grouping.gather({"mine": mine}))
    assert (norm["title"], norm["names"]) == ("norm", ["batch", "layer"])
    assert [look["color"] for look in norm["looks"]] == list(styles.COLOURS[:2])
    assert l1["names"][:2] == ["0", "1e-5"] and l1["of"]["LN"] == 0
    shades = [look["color"] for look in l1["looks"]]
    assert len(set(shades)) == 9 and (shades[0], shades[-1]) == (
        styles.SHADES[0],
        styles.SHADES[-1],
    )
    order = [styles.SHADES.index(shade) for shade in shades]
    assert order == sorted(order)


def test_words_of_which_not_each_has_a_colour_colour_nothing():
    sweeps = {f"sweep{i}": [run(Config(lr=0.01 * (i + 1)), 99.0, 1)] for i in range(8)}
    assert [each["title"] for each in live.groupings(grouping.gather(sweeps))] == ["learning rate"]
    del sweeps["sweep7"]
    titles = [each["title"] for each in live.groupings(grouping.gather(sweeps))]
    assert titles == ["sweep", "learning rate"]


def test_the_library_is_plotlys():
    code = gzip.decompress(base64.b64decode(live.plotly())).decode()
    assert "plotly.js" in code[:200]
