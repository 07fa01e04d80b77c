"""Figures become png and pdf: here, or in processes side by side while others are being built.

A command that draws many figures does so within `side_by_side`. Then a figure that looks as it did
when its files were written is not drawn again.
"""

import contextlib
import functools
import os
import pickle
import pickletools
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from study import files, forks

if TYPE_CHECKING:  # else importing these would hold up the processes that import them, too
    from matplotlib.figure import Figure

PROCESSES = 2  # beside the one that builds the figures, which more would wait for
KINDS = ("png", "pdf")
PRELOAD = ["matplotlib.figure", "matplotlib.backends.backend_agg",
           "matplotlib.backends.backend_pdf", "study.report.figures.rendering"]  # fmt: skip
ADDRESS = "LONG1"  # in a pickled figure: the address of an object, which differs every time


class _Pickled(NamedTuple):
    """A figure, and those of matplotlib's settings that are not its defaults: what a figure makes
    only as it is drawn follows them."""

    figure: bytes
    style: Any

    def looks_like(self, other: "_Pickled") -> bool:
        return self.style == other.style and _opcodes(self.figure) == _opcodes(other.figure)


class _Renderer:
    """Processes that render. pending: what they have yet to write; written: the last figure that
    was given for each path."""

    def __init__(self) -> None:
        self.pool = ProcessPoolExecutor(
            PROCESSES, forks.context(PRELOAD), initializer=forks.follow_parent
        )
        self.pending: dict[Path, Future[None]] = {}
        self.written: dict[Path, _Pickled] = {}
        for _ in range(PROCESSES):
            self.pool.submit(os.getpid)  # which starts one now

    def submit(self, figure: "Figure", path: Path) -> None:
        pickled = _Pickled(pickle.dumps(figure), _style())
        before = self.written.get(path)
        there = all(_file(path, kind).is_file() for kind in KINDS)
        if not (before and there and pickled.looks_like(before)):
            self.written[path] = pickled
            try:
                self.pending[path] = self.pool.submit(_write_pickled, pickled, path)
            except BrokenProcessPool:  # one was killed, such as where memory is short
                _write_pickled(pickled, path)

    def finish(self) -> None:
        pending, self.pending = self.pending, {}
        for path, future in pending.items():
            try:
                future.result()
            except BrokenProcessPool:
                _write_pickled(self.written[path], path)
            except BaseException:
                self.written.pop(path)
                raise


_renderer: _Renderer | None = None  # None: figures are rendered where they are built


@contextlib.contextmanager
def side_by_side() -> Iterator[None]:
    """Render the figures that are saved meanwhile in processes of their own. For commands alone:
    the processes import the program that starts them, which must be made for it."""
    global _renderer
    _renderer = _Renderer()
    try:
        yield
    finally:
        _renderer.pool.shutdown(cancel_futures=True)
        _renderer = None


def render(figure: "Figure", path: Path) -> None:
    """Write a figure as `path`.png and `path`.pdf: now or, side by side, until `finish`.

    Raises:
        RunError: they cannot be written.
    """
    if _renderer:
        _renderer.submit(figure, path)
    else:
        _write(figure, path)


def finish() -> None:
    """Wait until all figures are written.

    Raises:
        RunError: one cannot be.
    """
    if _renderer:
        _renderer.finish()


def _file(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}")


def _write(figure: "Figure", path: Path) -> None:
    from matplotlib import rcParams

    layout = figure.get_layout_engine()
    if layout:  # once, not for the png and the pdf each; words are as wide as in the png
        figure.set_dpi(rcParams["savefig.dpi"])
        layout.execute(figure)
        figure.set_layout_engine("none")
    for kind in KINDS:
        # No date inside, so that the same runs give the same files.
        metadata: dict[str, None] = {"CreationDate": None} if kind == "pdf" else {}
        save_as = functools.partial(figure.savefig, format=kind, metadata=metadata)
        files.write(_file(path, kind), save_as)


def _write_pickled(pickled: _Pickled, path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context(pickled.style):
        _write(pickle.loads(pickled.figure), path)


def _style() -> Any:
    from matplotlib import rcParams, rcParamsDefault

    names = (name for name in rcParams if not name.startswith("backend"))
    return {name: rcParams[name] for name in names if rcParams[name] != rcParamsDefault[name]}


def _opcodes(pickled: bytes) -> list[tuple[str, Any]]:
    """What a pickled figure consists of, but for addresses."""
    opcodes = ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(pickled))
    return [(name, argument) for name, argument in opcodes if name != ADDRESS]
