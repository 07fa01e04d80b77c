"""One configuration of a pack, and what becomes of it."""

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from study import locks, runs
from study.config import Config
from study.errors import DiskError, RunError, UsageError
from study.train import checkpoint, failures, recovery, results
from study.train.callback import Callback
from study.train.checkpoint import Checkpoint


@dataclass
class Member:
    """One configuration of a pack: its run folder, its callback, and what became of it.

    picture: whether its misclassified images are drawn; lines: its history as written; state: its
    checkpoint, where it is not in a pack.
    """

    config: Config
    folder: Path
    callback: Callback
    picture: bool = True
    history: list[dict[str, float]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    state: Checkpoint | None = None
    failure: RunError | None = None
    ended: bool = False

    def enter(self, claims: contextlib.ExitStack) -> None:
        """Claim its folder, and see whether it is trained.

        Raises:
            UsageError: the folder is another process's or another run's, or cannot be written.
            RunError: what is damaged in it cannot be set aside.
        """
        claims.enter_context(locks.claim(self.folder))
        self.ended = recovery.find_done(self.config, self.folder, self.callback) is not None

    def begin(self) -> None:
        """Find where it goes on from, and write what is known before the next epoch."""
        try:
            self._restore()
            results.begin(self.folder, self.config, self.history)
        except (UsageError, RunError) as error:
            self.fail(failures.as_run_error(error))
            return
        self.callback.begin(self.history)

    def restore(self) -> None:
        """Go back to the last whole epoch that is written."""
        try:
            self._restore()
        except RunError as error:
            self.fail(error)

    def _restore(self) -> None:
        self.state = recovery.find_checkpoint(
            self.config, self.folder, checkpoint.CPU, self.callback
        )
        self.history = self.state.history if self.state else []
        self.lines = [json.dumps(row) for row in self.history]

    def add(self, row: dict[str, float]) -> None:
        """Take an epoch's line, or fail by it."""
        try:
            failures.check_finite(row, self.config)
        except RunError as failure:
            self.fail(failure)
            return
        self.history.append(row)
        self.lines.append(json.dumps(row))

    def fail(self, failure: RunError) -> None:
        """Leave the pack, the last whole epoch in its folder, and in its summary the cause unless
        the disk cut it off."""
        self.failure, self.ended = failure, True
        with contextlib.suppress(UsageError, RunError):  # then the pack's file stays
            checkpoint.detach(self.folder)
        if not isinstance(failure, DiskError):
            runs.write_failure(self.folder, self.config, str(failure))
