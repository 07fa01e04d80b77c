"""Make run folders of the runs of a W&B sweep, so that a report reads them like any other."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study import files, locks, runs, sweep_folder
from study.errors import RunError, UsageError, describe, first_line
from study.tracking import client, server_run

PULLERS = 8
PAUSE = 1  # seconds, at least, between two writes of the index
# Of a download, tried after 2, 4, 8 and 16 seconds; wandb's own default goes on for a quarter of
# an hour.
RETRIES = {"WANDB_X_FILE_TRANSFER_RETRY_MAX": "4"}


@dataclass
class Pulled:
    """What a pull did.

    sweep: the sweep's content, as its YAML had it; fetched, unchanged: run folders fetched now, or
    the same since the last pull; refused: run -> why it was left out, of which cut_off may come by
    another pull; skipped: a line for each file
    that was left out of a run; set_aside: a line for each folder whose run is not pulled any more;
    duplicates: run folders of a configuration that another folder has.
    """

    folder: Path
    sweep: dict[str, Any]
    fetched: int = 0
    unchanged: int = 0
    duplicates: int = 0
    cut_off: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)


def pull(path: str, out: Path) -> Pulled:
    """Make run folders of a sweep's runs below `out`; again, fetch only what has changed.

    Raises:
        UsageError: no such sweep, no API key, or another command is working in the sweep's folder.
        RunError: no server answers, or it goes away; what was fetched stays.
    """
    with client.environment(WANDB_SILENT="true", **RETRIES):
        api, sweep = client.find_sweep(path)
        project, _, sweep_id = path.rpartition("/")
        try:
            content = dict(sweep.config)
            found = api.runs(project, {"sweep": sweep_id}, "+created_at", per_page=client.PAGE)
            wandb_runs = {run.id: run for run in found}
        except Exception as error:  # wandb's errors share no base class
            raise RunError(
                f"{path}: the server gives no list of its runs ({first_line(error)}): pull again"
            ) from error
        pulled = Pulled(_folder(out, str(content.get("name") or sweep_id), path), content)
        with locks.claim(pulled.folder, "another command is working in it"):
            _Pull(path, pulled, wandb_runs).run()
    return pulled


def _folder(out: Path, name: str, path: str) -> Path:
    """Return the sweep's folder: its name, with its id where that folder holds other runs, of
    another sweep, trained on this machine, or agents' own, in a folder named after the sweep's
    id."""
    folder, sweep_id = out / files.file_name(name), files.file_name(path.rpartition("/")[2])
    if (folder / runs.PULLED).is_file():
        is_free = _read_index(folder).get("sweep", path) == path
    else:
        is_free = not sweep_folder.find_folders(folder)
    if is_free:
        return folder
    return folder.with_name(f"{folder.name}-{'pulled' if folder.name == sweep_id else sweep_id}")


def sweep_of(folder: Path) -> str:
    """Return ENTITY/PROJECT/SWEEP whose runs were pulled into a folder; "" where none were."""
    return str(_read_index(folder).get("sweep", ""))


def _read_index(folder: Path) -> dict[str, Any]:
    """Read what was pulled into a folder before; of an index that is damaged what is whole."""
    try:
        index = files.read_json(folder / runs.PULLED)
    except UsageError:
        return {}
    if not isinstance(index, dict):
        return {}
    entries = index.get("runs")
    known = entries.items() if isinstance(entries, dict) else ()
    return index | {"runs": {id: entry for id, entry in known if _is_entry(entry)}}


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and files.is_file_name(entry.get("folder")) and "stamp" in entry


class _Pull:
    """A pull at work. What has come is noted at once, whatever becomes of the rest.

    wandb_runs: by id. error: what ends the pull, from any of its threads.
    """

    def __init__(self, path: str, pulled: Pulled, wandb_runs: dict[str, Any]) -> None:
        self.path, self.pulled, self.wandb_runs = path, pulled, wandb_runs
        self.index: dict[str, Any] = _read_index(pulled.folder).get("runs", {})
        self.written = time.monotonic()
        self.error: RunError | None = None

    def run(self) -> None:
        """Fetch the runs that changed, several at once, and set aside those that are gone.

        Raises:
            RunError: the server went away, or the disk is full.
        """
        changed = [run for run in self.wandb_runs.values() if not self._is_unchanged(run)]
        self.pulled.unchanged = len(self.wandb_runs) - len(changed)
        try:
            for id in [id for id in self.index if id not in self.wandb_runs]:
                self._set_aside(id, "deleted on the server")
            with ThreadPoolExecutor(PULLERS) as pool:
                try:
                    for fetched in pool.map(self._fetch, changed):
                        self.pulled.fetched += fetched
                        self._write_index(PAUSE)
                finally:  # Ctrl-C
                    pool.shutdown(cancel_futures=True)
        finally:
            names = [entry["folder"].removesuffix(f"-{id}") for id, entry in self.index.items()]
            self.pulled.duplicates = len(names) - len(set(names))
            self._write_index()
        if self.error:
            raise self.error

    def _is_unchanged(self, wandb_run: Any) -> bool:
        entry = self.index.get(wandb_run.id)
        return bool(
            entry
            and entry["stamp"] == _stamp(wandb_run)
            and _is_whole(self.pulled.folder / entry["folder"])
        )

    def _fetch(self, wandb_run: Any) -> bool:
        """Fetch a run, or note why it is left out; return whether it has come."""
        if self.error:
            return False
        id = wandb_run.id
        try:
            folder, skipped = server_run.fetch(wandb_run, self.pulled.folder)
        except UsageError as error:
            self.pulled.refused[id] = str(error)
            self._set_aside(id, "its run is left out")
        except RunError as error:
            self.error = error
        except Exception as error:  # whatever wandb raises
            if client.is_answering():
                again = isinstance(error, server_run.TransferError)
                self.pulled.cut_off += again
                why = f"{error}: pull again" if again else f"it cannot be read ({describe(error)})"
                self.pulled.refused[id] = why
            else:
                self.error = RunError(
                    f"{self.path}: the server went away ({first_line(error)}): pull again, to go on"
                )
        else:
            self.pulled.skipped += [f"{id}: {line}" for line in skipped]
            if folder.name != self.index.get(id, {}).get("folder"):
                self._set_aside(id, "its run has other settings now")
            self.index[id] = {"folder": folder.name, "stamp": _stamp(wandb_run)}
            return True
        return False

    def _set_aside(self, id: str, why: str) -> None:
        """Set aside the folder of a run, if it has one, so that it is in no mean."""
        entry = self.index.pop(id, None)
        if entry and (self.pulled.folder / entry["folder"]).is_dir():
            aside = files.set_aside(self.pulled.folder / entry["folder"], runs.DELETED)
            self.pulled.set_aside.append(f"{entry['folder']}: {why}: set aside as {aside.name}")

    def _write_index(self, pause: float = 0) -> None:
        """Write what has come so far, if so many seconds have gone by since the last time."""
        if time.monotonic() - self.written < pause:
            return
        # A copy, since threads add to it meanwhile.
        files.write_json(
            self.pulled.folder / runs.PULLED, {"sweep": self.path, "runs": {**self.index}}
        )
        self.written = time.monotonic()


def _is_whole(folder: Path) -> bool:
    """Whether a run folder is there, and as it was fetched as far as a reader can tell."""
    try:
        runs.read(folder)
    except UsageError:
        return False
    return True


def _stamp(wandb_run: Any) -> list[Any]:
    """Return what changes when a run does; all come with the list of runs, free of requests. The
    heartbeat alone changes where files or tables are added to a run that has ended."""
    return [wandb_run.historyLineCount, wandb_run.state, wandb_run.heartbeatAt]
