from study.config import Config
from study.report.figures import live, traces, tradeoff
from tests.report.conftest import spread
from tests.report.figures.conftest import overlaps, study


def test_a_tradeoff_needs_a_difference(saved, tmp_path):
    small, big = Config(), Config(network="mnist_9802")
    alike = study(*spread(small, 99.4), *spread(Config(norm="layer"), 99.3))
    assert tradeoff.draw(tmp_path, alike) is None
    tradeoff.draw(tmp_path, study(*spread(small, 99.4), *spread(big, 99.5)))
    figure, rows = saved["accuracy_parameters"]
    assert [row["parameters"] for row in rows] == [7684, 9802]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[0].endswith("99.40 %, 7,684 parameters")


def test_means_far_below_are_one_triangle_with_their_values(saved, tmp_path):
    wide = 99.0, 99.9, 99.95  # whose interval ends above 100
    made = study(
        *spread(Config(), *wide), *spread(Config(network="mnist_9802"), 99.4, 99.5, 99.6),
        *spread(Config(lr=0.1), 9.8, 99.0, 30.0), *spread(Config(lr=0.2), 20.0),
        *spread(Config(network="mnist_9802", lr=0.2), 30.0),
    )  # fmt: skip
    drawn = tradeoff.draw(tmp_path, made)
    figure, _ = saved["accuracy_parameters"]
    [axes] = figure.axes
    low, high = axes.get_ylim()
    assert drawn.window == (low, high) and low > 90
    beyond = [line for line in axes.lines if not line.get_clip_on() and line.get_marker() in "^v"]
    assert [line.get_xydata()[0].tolist() for line in beyond] == [[7684, low], [9802, low]]
    words = [text.get_text() for text in axes.texts]
    assert "2 below the axis\n20.00 to 46.27 %, 7,684 parameters" in words
    assert any(word.endswith("lr 0.2\n30.00 %, 9,802 parameters") for word in words)
    bars = [bar.get_segments()[0][:, 1] for bar in axes.collections]
    assert max(bar.max() for bar in bars) == 100 and not overlaps(figure)
    graph = live.build(made, [drawn])[tradeoff.NAME]
    marks = [trace for trace in graph["data"] if trace.get("meta") == traces.MARK]
    assert {mark["marker"]["symbol"] for mark in marks} == {"triangle-down"}
