"""Figures rendered here and in other processes."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from study.errors import RunError
from study.report.figures import drawing, rendering


def small(height: float) -> Figure:
    """A figure whose ticks are made only as it is drawn."""
    with matplotlib.rc_context(drawing.STYLE):
        figure = Figure(figsize=(2, 1), layout="constrained")
        axes = figure.subplots()
        axes.plot([1, 1000], [1, height])
        axes.set_xscale("log")
    return figure


@pytest.fixture
def render(tmp_path):
    """Render and return the bytes of the files."""

    def run(figure: Figure, name: str) -> list[bytes]:
        with matplotlib.rc_context(drawing.STYLE):
            rendering.render(figure, tmp_path / name)
        rendering.finish()
        return [(tmp_path / f"{name}.{kind}").read_bytes() for kind in rendering.KINDS]

    return run


def test_other_processes_render_the_same_and_nothing_twice(render, tmp_path):
    here = render(small(2), "here")
    with rendering.side_by_side():
        assert render(small(2), "a") == here
        before = (tmp_path / "a.png").stat().st_ino  # every write makes a new file
        render(small(2), "a")
        assert (tmp_path / "a.png").stat().st_ino == before
        assert render(small(3), "a") != here
        assert (tmp_path / "a.png").stat().st_ino != before
        (tmp_path / "a.pdf").unlink()
        assert render(small(3), "a") != here
        (tmp_path / "b.png").mkdir()
        for _ in range(2):
            with pytest.raises(RunError, match=r"b\.png: cannot be written"):
                render(small(3), "b")
        for process in rendering._renderer.pool._processes.values():
            process.kill()
        assert render(small(2), "c") == here
    assert rendering._renderer is None
