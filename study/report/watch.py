"""Write a report again and again while its sweeps run."""

import dataclasses
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from study import files, runs
from study.errors import UsageError
from study.report import page, progress
from study.report.build import build_report
from study.report.grouping import collect, sweep_names
from study.report.parts import Report
from study.report.progress import Progress, Stamp
from study.runs import Run

log = logging.getLogger(__name__)

LOOK, REWRITE = 2, 10  # seconds between two looks, and two pages that differ in progress alone
QUIET = 120  # seconds without news after which a sweep of unknown length counts as done
IDLE = 1  # it draws anew after so many times as long as it took, to leave the machine to the sweep


class Watch:
    """The report of sweeps that run. `look` brings it up to date.

    index: its page; progress: of the runs, as of the last look; version: differs for each page that
    shows other results.

    Raises:
        UsageError: a folder is not there, or given twice, or `out` cannot be written.
    """

    def __init__(
        self, folders: Sequence[Path], out: Path, target: float | None, best_epoch: bool
    ) -> None:
        self.name = " and ".join(sweep_names(folders))
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"{folder}: no such folder; start its sweep first")
        files.check_writable(out)  # later it counts as what may change: a disk that is full now
        self.folders, self.out = folders, out
        self.target, self.best_epoch = target, best_epoch
        self.index = out / "index.html"
        self.progress = progress.read(folders)
        self._session, self._pages = secrets.token_hex(4), 0
        self._report: Report | None = None
        self._shown: Progress | None = None  # what the page says of the runs
        self._built: tuple[Any, ...] | None = None  # what the runs that its results are of have
        self._read: dict[Path, tuple[Stamp, Run]] = {}
        self._written = self._rested = 0.0
        self._news = time.monotonic()  # when the progress was seen to change

    @property
    def version(self) -> str:
        return f"{self._session}-{self._pages}"

    def look(self) -> bool:
        """Bring the page up to date; whether its results are new.

        What cannot be read now, such as a folder that is being removed, is left for the next look.

        Raises:
            RunError: the report cannot be written.
        """
        now = progress.read(self.folders)
        if now != self.progress:
            self.progress, self._news = now, time.monotonic()
        new = now.ended != self._built
        if now == self._shown and not new:
            return False
        began = time.monotonic()
        if not new or (began < self._rested and not now.is_done):
            if now != self._shown and began > self._written + REWRITE:
                self._rewrite(now)
            return False
        try:
            self._report = self._build() if now.has_results else None
            self._rewrite(now)
        except (UsageError, OSError) as error:
            log.warning("not yet: %s", error)
            return False
        self._pages += 1
        self._built = now.ended
        self._rested = time.monotonic() + IDLE * (time.monotonic() - began)
        return True

    def run(self, until_done: bool) -> Iterator[Progress]:
        """Look until the sweeps are done, or for ever; yield the progress at each new page."""
        while True:
            if self.look():
                yield self.progress
            if until_done and self._is_over():
                return
            time.sleep(LOOK)

    def _is_over(self) -> bool:
        """Whether the page shows the end of the sweeps. Where nobody knows how many runs there are,
        as of agents, the next may be about to begin: then nothing has happened for a while."""
        if not self.progress.is_done or self.progress != self._shown:
            return False
        known = self.progress.total is not None
        return known or time.monotonic() > self._news + QUIET

    def news(self) -> dict[str, Any]:
        """Return what a page that is open asks for."""
        done = self.progress.is_done
        return {
            "version": self.version,
            "progress": page.progress_table(None if done else self.progress),
        }

    def _read_run(self, path: Path) -> Run:
        """Read a run's folder, unless its files are as they were when it was read last."""
        now = progress.stamp(path, runs.READ)
        if path not in self._read or self._read[path][0] != now:
            self._read[path] = now, runs.read(path)
        return self._read[path][1]

    def _build(self) -> Report:
        study = collect(*self.folders, read=self._read_run)
        return build_report(study, self.folders, self.out, self.target, self.best_epoch)

    def _rewrite(self, now: Progress) -> None:
        if self._report:
            shown = None if now.is_done else now
            page.render(dataclasses.replace(self._report, progress=shown), self.out)
        else:
            page.render_waiting(self.name, now, self.out)
        self._shown, self._written = now, time.monotonic()
