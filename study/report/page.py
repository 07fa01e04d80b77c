"""A Report as report.md and one self-contained index.html."""

import base64
import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from study import escape, files
from study.report.build import build_report
from study.report.figures import drawing, live, rendering, styles
from study.report.grouping import collect
from study.report.parts import FIGURES, Comparison, Report
from study.report.progress import Progress
from study.report.text.table import Table

SHOWN = re.compile(rf"\({FIGURES}/((?:\w[^()\s/]*/)?\w[^()\s/]*)\.(?:png|csv|xlsx)\)")


def write(
    sweep: Path,
    folder: Path,
    target: float | None = None,
    compared_with: Sequence[Path] = (),
    best_epoch: bool = False,
) -> Path:
    """Write the report of a sweep, compared with other sweeps; return its index.html.

    Args:
        sweep, compared_with: folders of runs.
        folder: where the report goes.
        target: a test accuracy in percent, to draw a line at.
        best_epoch: whether to draw the mistakes of the best epochs, too.

    Raises:
        UsageError: there is nothing to report, or `folder` cannot be written.
    """
    sweeps = [sweep, *compared_with]
    return render(build_report(collect(*sweeps), sweeps, folder, target, best_epoch), folder)


def render(report: Report, folder: Path) -> Path:
    """Write report.md and index.html into the folder of the report's figures; return the latter.
    Figures that an older report there shows, and this one does not, are removed."""
    index = folder / "index.html"
    before = _shown(folder)
    files.write_text(folder / "report.md", _render("page.md.j2", report=report))
    body = _render(
        "page.html.j2",
        report=report,
        plotly=live.plotly(),
        palette=styles.PALETTE,
        embedded=lambda name: _embedded(folder / FIGURES / name),
    )
    files.write_text(index, body)
    for name in before - _shown(folder):
        for kind in (*drawing.FILE_KINDS, "xlsx"):
            (folder / FIGURES / f"{name}.{kind}").unlink(missing_ok=True)
    return index


def render_waiting(name: str, progress: Progress, folder: Path) -> Path:
    """Write the index.html of sweeps without results; return it."""
    index = folder / "index.html"
    files.write_text(index, _render("waiting.html.j2", name=name, progress=progress))
    return index


def progress_table(progress: Progress | None) -> str:
    """How far the runs are, as HTML; empty where none is left to run."""
    return _render("progress.html.j2", progress=progress)


def reload_script(version: str) -> str:
    """The part of a served page, as HTML, that loads it again where its version is another."""
    return _render("reload.html.j2", version=version)


def cards(part: Comparison) -> str:
    """The cards on top of the report in Markdown."""
    return _render("cards.md.j2", part=part)


def variants_table(part: Comparison) -> str:
    """The table of the variants in Markdown."""
    return _render("variants.md.j2", part=part)


def markdown_table(table: Table) -> str:
    """A table in Markdown."""
    return _render("table.md.j2", table=table)


def _render(template: str, **context: Any) -> str:
    """Fill in a template. Whatever goes into it is escaped for HTML or Markdown, here alone."""
    return _environment(template.endswith(".html.j2")).get_template(template).render(**context)


@functools.cache
def _environment(html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("study.report", "templates"),
        autoescape=html,
        finalize=None if html else escape.markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "cells": escape.cells, "code": escape.code, "verbatim": escape.verbatim,
    }  # fmt: skip
    return environment


def _shown(folder: Path) -> set[str]:
    """The figures that the report.md of a folder shows, without their ending."""
    try:
        return set(SHOWN.findall((folder / "report.md").read_text(errors="replace")))
    except FileNotFoundError:
        return set()


def _embedded(figure: Path) -> str:
    """A figure as an address that holds its picture."""
    return f"data:image/webp;base64,{base64.b64encode(rendering.webp(figure)).decode()}"
