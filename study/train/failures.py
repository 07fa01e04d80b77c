"""Why a run failed, in a line that names the remedy."""

import contextlib
import math
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

from study import runs
from study.config import Config
from study.errors import DiskError, RunError, UsageError, describe
from study.train import devices
from study.values import number


def check_finite(row: dict[str, float], config: Config) -> None:
    """Check a line of the history.

    Raises:
        RunError: a loss in it is infinite or no number; the message names the settings that are
            high, or those that may be.
    """
    for name, value in row.items():
        if not math.isfinite(value):
            terms = _set_terms(config)
            named = ", ".join(f"{n} {number(v)}" for n, v in {"lr": row["lr"], **terms}.items())
            raise RunError(
                f"{name} became {value:g} in epoch {row['epoch']} ({named}):"
                f" lower {' or '.join(_high(config) or ['lr', *terms])}"
            )


def _set_terms(config: Config) -> dict[str, float]:
    """Return the settings other than lr by which training may diverge, where they are set."""
    return {name: value for name in ("l1", "weight_decay") if (value := getattr(config, name))}


def _high(config: Config) -> list[str]:
    """Return the settings that are far above what trains.

    A step shrinks or moves each weight by lr * weight_decay and by lr * l1 (at most): common are
    2.5e-5 and less, and from 2 on weight decay alone diverges.
    """
    high = [name for name, value in _set_terms(config).items() if config.lr * value > 0.01]
    return ["lr"] * (config.lr > 1) + high


@contextlib.contextmanager
def recording(folder: Path, config: Config, device: torch.device) -> Iterator[None]:
    """Write into the summary why a run failed, also where the cause is an error of ours. One that
    the disk cut off has not."""
    try:
        yield
    except (UsageError, DiskError):
        raise
    except Exception as error:
        failure = remedied(error, config, device)
        cause = str(failure) if failure else describe(error)
        runs.write_failure(folder, config, cause)
        if failure:
            raise failure from error
        raise


def as_run_error(error: Exception) -> RunError:
    """Return an error as that of a run. One that is none of ours is a bug, here or elsewhere: its
    traceback is printed."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, UsageError):
        return RunError(str(error))
    traceback.print_exception(error)
    return RunError(describe(error))


def remedied(error: Exception, config: Config, device: torch.device) -> RunError | None:
    """Return the error as one with a remedy where its cause is outside the code, else None."""
    if isinstance(error, RunError):
        return error
    if devices.lacks_memory(error):
        where = "memory" if device.type == "cpu" else "GPU memory"
        return RunError(
            f"out of {where} on {device}: lower batch_size (now {config.batch_size}) or"
            " --workers, or free what else uses it"
        )
    if isinstance(error, OSError):
        return RunError(
            f"{error.filename or ''}: {error.strerror or error}: run it again".lstrip(": ")
        )
    return None
