"""Figures become png and pdf: here, or in processes side by side while others are being built.

A command that draws many figures does so within `side_by_side`. Then the pngs, which a page shows,
come first and the pdfs last; and a figure that looks as it did when its files were written is not
drawn again.
"""

import contextlib
import functools
import io
import os
import pickle
import pickletools
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from study import files, forks

if TYPE_CHECKING:  # else importing these would hold up the processes that import them, too
    from matplotlib.figure import Figure
    from PIL.Image import Image

PROCESSES = 2  # beside the one that builds the figures, which more would wait for
KINDS = PNG, PDF = "png", "pdf"
PRELOAD = ["matplotlib.figure", "matplotlib.backends.backend_agg",
           "matplotlib.backends.backend_pdf", "study.report.figures.drawing"]  # fmt: skip
ADDRESS = "LONG1"  # in a pickled figure: the address of an object, which differs every time


class _Pickled(NamedTuple):
    """A figure, and those of matplotlib's settings that are not its defaults: what a figure makes
    only as it is drawn follows them."""

    figure: bytes
    style: Any

    def looks_like(self, other: "_Pickled") -> bool:
        return self.style == other.style and _opcodes(self.figure) == _opcodes(other.figure)


class _Renderer:
    """Processes that render. Of each path `drawn` is the last figure that was given, `pictures` its
    picture for a page; pending, pdfs: what waits for the files that are being written; last: what
    is done after them."""

    def __init__(self) -> None:
        self.pool = forks.pool(PROCESSES, PRELOAD)
        self.drawn: dict[Path, _Pickled] = {}
        self.pictures: dict[Path, bytes] = {}
        self.pending: dict[Path, Callable[[], tuple[bytes, _Pickled | None]]] = {}
        self.pdfs: dict[Path, Callable[[], None]] = {}
        self.last: list[Callable[[], None]] = []
        for _ in range(PROCESSES):
            self.pool.submit(os.getpid)  # which starts one now

    def submit(self, figure: "Figure", path: Path) -> None:
        pickled = _Pickled(pickle.dumps(figure), _style())
        before = self.drawn.get(path)
        there = _file(path, PNG).is_file() and (path in self.pdfs or _file(path, PDF).is_file())
        if not (before and there and pickled.looks_like(before)):
            self.drawn[path] = pickled
            self.pending[path] = self._start(_write_png_of, pickled, path)

    def read(self, path: Path) -> None:
        if path not in self.pictures:
            self.pending[path] = self._start(_read, path)

    def finish_pngs(self) -> None:
        self._finish_pdfs()  # of an earlier report
        pending, self.pending = self.pending, {}
        for path, wait in pending.items():
            try:
                self.pictures[path], laid_out = wait()
            except BaseException:
                self.drawn.pop(path, None)
                raise
            if laid_out:
                self.pdfs[path] = self._start(_write_pdf_of, laid_out, path)

    def finish(self) -> None:
        self._finish_pdfs()
        for act in self.last:
            act()

    def _finish_pdfs(self) -> None:
        pdfs, self.pdfs = self.pdfs, {}
        for wait in pdfs.values():
            wait()

    def _start(self, work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        """Begin work in one of the processes; return what waits for its result. Where one was
        killed, such as where memory is short, this one works."""
        here = functools.partial(work, *arguments)
        try:
            future = self.pool.submit(work, *arguments)
        except BrokenProcessPool:
            return here

        def wait() -> Any:
            try:
                return future.result()
            except BrokenProcessPool:
                return here()

        return wait


_renderer: _Renderer | None = None  # None: figures are rendered where they are built


@contextlib.contextmanager
def side_by_side() -> Iterator[None]:
    """Render the figures that are saved meanwhile in processes of their own; at the end wait until
    all are written.

    Raises:
        RunError: a pdf cannot be written.
    """
    global _renderer
    try:
        with forks.out_of_reach():  # a pool half made could not be ended
            _renderer = _Renderer()
        yield
        _renderer.finish()
    finally:
        if _renderer:
            _renderer.pool.shutdown(cancel_futures=True)
        _renderer = None


def render(figure: "Figure", path: Path) -> None:
    """Write a figure as `path`.png and `path`.pdf: now or, side by side, the png until
    `finish_pngs`, and the pdf later.

    Raises:
        RunError: they cannot be written.
    """
    if _renderer:
        _renderer.submit(figure, path)
    else:
        _write_png(figure, path)
        _write_pdf(figure, path)


def finish_pngs() -> None:
    """Wait until the pngs of all figures are written.

    Raises:
        RunError: one cannot be, or a pdf of a figure before them.
    """
    if _renderer:
        _renderer.finish_pngs()


def afterwards(act: Callable[[], None]) -> None:
    """Call a function once all figures are written: now or, side by side, at the end."""
    if _renderer:
        _renderer.last.append(act)
    else:
        act()


def read(path: Path) -> None:
    """Make ready what `webp` returns of a figure that was written before."""
    if _renderer:
        _renderer.read(path)


def webp(path: Path) -> bytes:
    """Return a figure, whose png is written, as lossless webp, which is half its size."""
    made = _renderer.pictures.get(path) if _renderer else None
    return made or _read(path)[0]


def _file(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}")


def _read(path: Path) -> tuple[bytes, None]:
    from PIL import Image

    with Image.open(_file(path, PNG)) as picture:
        return _encode(picture), None


def _encode(picture: "Image") -> bytes:
    picture = picture.convert("RGBA")
    opaque = picture.getchannel("A").getextrema() == (255, 255)
    body = io.BytesIO()
    (picture.convert("RGB") if opaque else picture).save(body, "webp", lossless=True)
    return body.getvalue()


# Not by savefig, which draws a figure twice, the first time in vain.
def _write_png(figure: "Figure", path: Path) -> "Image":
    """Lay out a figure, write its png and return its picture."""
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(rcParams["savefig.dpi"])
    if layout := figure.get_layout_engine():  # once, not for the png and the pdf each
        layout.execute(figure)
        figure.set_layout_engine("none")
    canvas = FigureCanvasAgg(figure)
    files.write(_file(path, PNG), canvas.print_png)
    return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())


def _write_pdf(figure: "Figure", path: Path) -> None:
    """Write the pdf of a figure that is laid out."""
    from matplotlib import rcParams
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    figure.set_dpi(rcParams["savefig.dpi"])  # of its images; a figure that was pickled forgets it
    # No date inside, so that the same runs give the same files.
    metadata = {"CreationDate": None}
    save = functools.partial(FigureCanvasPdf(figure).print_pdf, metadata=metadata)
    files.write(_file(path, PDF), save)


def _write_png_of(pickled: _Pickled, path: Path) -> tuple[bytes, _Pickled]:
    with _unpickled(pickled) as figure:
        picture = _encode(_write_png(figure, path))
        return picture, _Pickled(pickle.dumps(figure), pickled.style)


def _write_pdf_of(pickled: _Pickled, path: Path) -> None:
    with _unpickled(pickled) as figure:
        _write_pdf(figure, path)


@contextlib.contextmanager
def _unpickled(pickled: _Pickled) -> Iterator["Figure"]:
    import matplotlib

    with matplotlib.rc_context(pickled.style):
        yield pickle.loads(pickled.figure)


def _style() -> Any:
    from matplotlib import rcParams, rcParamsDefault

    names = (name for name in rcParams if not name.startswith("backend"))
    return {name: rcParams[name] for name in names if rcParams[name] != rcParamsDefault[name]}


def _opcodes(pickled: bytes) -> list[tuple[str, Any]]:
    """What a pickled figure consists of, but for addresses."""
    opcodes = ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(pickled))
    return [(name, argument) for name, argument in opcodes if name != ADDRESS]
