"""Figures rendered here and in other processes."""

import subprocess
import sys
from pathlib import Path

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
        drawing.set_logarithmic(axes, "x")
    return figure


def begin(figure: Figure, path: Path) -> None:
    with matplotlib.rc_context(drawing.STYLE):
        rendering.render(figure, path)


@pytest.fixture
def render(tmp_path):
    """Render and return the bytes of the files."""

    def run(figure: Figure, name: str) -> list[bytes]:
        begin(figure, tmp_path / name)
        rendering.finish_pngs()
        if rendering._renderer:
            rendering._renderer.finish()
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


def test_the_processes_do_without_torch():
    """Its import takes longer than most figures; the test's own server of forks may have it."""
    script = f"""
import importlib, sys
for name in {rendering.PRELOAD}:
    importlib.import_module(name)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pictures_come_first_and_what_needs_all_files_last(tmp_path):
    def look():
        seen.append([(tmp_path / f"a.{kind}").is_file() for kind in rendering.KINDS])

    seen = []
    with rendering.side_by_side():
        begin(small(2), tmp_path / "a")
        rendering.afterwards(look)
        rendering.finish_pngs()
        assert (tmp_path / "a.png").is_file() and not seen
        picture = rendering.webp(tmp_path / "a")
        begin(small(2), tmp_path / "a")
        assert not rendering._renderer.pending  # its pdf is being written
        (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
        rendering.read(tmp_path / "b")
        rendering.finish_pngs()
        assert rendering._renderer.pictures == {tmp_path / name: picture for name in "ab"}
    assert seen == [[True, True]]
    assert rendering.webp(tmp_path / "a") == picture
    rendering.afterwards(look)
    assert len(seen) == 2


def test_a_pdf_that_cannot_be_written_is_an_error_in_the_end(tmp_path):
    (tmp_path / "a.pdf").mkdir()
    with pytest.raises(RunError, match=r"a\.pdf: cannot be written"), rendering.side_by_side():
        begin(small(2), tmp_path / "a")
        rendering.finish_pngs()
        assert (tmp_path / "a.png").is_file()
