"""Reach the W&B server: is it there, is this machine logged in, which sweep does a path name."""

import contextlib
import os
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from study.errors import RunError, UsageError, first_line
from study.tracking import tables

LOGIN = "run `wandb login`, or set WANDB_API_KEY"
OFFLINE = "or run offline: study sweep FILE"
PATIENCE = 20  # seconds a server may be away before a command gives it up
PAGE = 200  # runs listed by a request
# Variables that `wandb agent` sets for its program: wandb would take each of our runs for that one.
AGENT_VARIABLES = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


def check_reachable() -> None:
    """Find out quickly whether a W&B server answers; wandb itself would wait for minutes.

    Raises:
        UsageError: the address of the server or its proxy cannot be read.
        RunError: none answers within PATIENCE seconds, or wandb does not start.
    """
    url = _base_url()
    scheme = url.partition(":")[0].lower()
    host, port = _endpoint(url, "WANDB_BASE_URL", 443 if scheme == "https" else 80)
    server = f"{scheme}://{host}:{port}"
    proxy = urllib.request.getproxies().get(scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        host, port = _endpoint(proxy, f"{scheme.upper()}_PROXY", 80)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise RunError(
                    f"no W&B server at {server} ({error.strerror or error}): check the network"
                    " and WANDB_BASE_URL"
                ) from error
            time.sleep(1)


def _endpoint(address: str, variable: str, default_port: int) -> tuple[str, int]:
    """Return host and port of an address, which may hold a password and has none in a message.

    Raises:
        UsageError: it cannot be read; the message names the variable that holds it.
    """
    try:
        url = urlsplit(address if "//" in address else f"//{address}")
        host, port = url.hostname, url.port or default_port
    except ValueError:
        host = None
    if not host:
        raise UsageError(
            f"{variable}: its address cannot be read: write it as http://USER:PASSWORD@HOST:PORT,"
            " and in a password # as %23, / as %2F, ? as %3F"
        )
    return host, port


def _base_url() -> str:
    """Return the server's address as wandb has it.

    Raises:
        UsageError: wandb does not accept one of its settings, this or another.
        RunError: it does not start.
    """
    import wandb

    try:
        return wandb.setup().settings.base_url
    except OSError as error:
        raise RunError(_unstarted(error)) from error
    except wandb.errors.Error as error:  # some settings' faults are no ValueError
        if type(error).__name__ == "ServicePollForTokenError":  # which wandb keeps private
            raise RunError(_unstarted(error)) from error
        if "API key" not in str(error):
            raise UsageError(f"wandb's settings: {first_line(error)}") from error
        raise UsageError(_unusable(error)) from error
    except ValueError as error:
        if "base_url" not in str(error):
            raise UsageError(f"wandb's settings: {_faults(error)}") from error
        before, at, value = os.environ.get("WANDB_BASE_URL", "").rpartition("@")
        hidden = "..." if before else ""  # a password
        raise UsageError(f"WANDB_BASE_URL={hidden}{at}{value}: write it as https://HOST") from error


def _unstarted(error: Exception) -> str:
    """Return one line for a service of wandb that does not start: it needs a folder, and soon."""
    return (
        f"wandb does not start ({first_line(error)}): make room for temporary files or choose"
        " another folder with TMPDIR, end what else uses the machine, and run the command again"
    )


def _faults(error: ValueError) -> str:
    """Return what is wrong with wandb's settings in a line, without their values, of which
    some are secret."""
    listed: list[Any] = getattr(error, "errors", list)()  # pydantic's
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in listed]
    return "; ".join(faults) or first_line(error)


def check_login() -> None:
    """Check that wandb finds an API key, without asking a server.

    Raises:
        UsageError: there is no API key that can be used, wandb is told to keep away from servers,
            or STUDY_TABLE_PICTURES, by which runs are logged, is no number of rows.
        RunError: wandb does not start.
    """
    import wandb

    tables.count_pictures()

    with environment(WANDB_SILENT="true"):
        _base_url()
        _check_mode(wandb.setup().settings.mode)
        try:
            found = wandb.login(prompt=False, verify=False)
        except wandb.errors.Error as error:
            raise UsageError(_unusable(error)) from error
        if not found:
            raise UsageError(f"no W&B API key: {LOGIN}")


def _unusable(error: Exception) -> str:
    """Return one line for an API key that wandb does not take, with the remedy. wandb's message
    says what is wrong with the key, without the key."""
    return f"no W&B API key that can be used ({first_line(error)}): {LOGIN}"


def _check_mode(mode: str) -> None:
    """Check that wandb may speak to a server. It also reports no API key where it may not."""
    if mode not in ("offline", "dryrun", "disabled"):
        return
    if os.environ.get("WANDB_MODE") == mode:
        raise UsageError(f"WANDB_MODE={mode}: keeps wandb from the server; unset it")
    raise UsageError(f"wandb's mode is {mode}: run `wandb online` and `wandb enabled`")


def check_server() -> None:
    """Check that there is an API key, and a server that answers.

    Raises:
        UsageError, RunError: as check_login and check_reachable.
    """
    check_login()
    check_reachable()


def check_online() -> None:
    """Check that a sweep's runs can go to the server; they could train without one.

    Raises:
        UsageError, RunError: as check_server, with the way to do without.
    """
    try:
        check_server()
    except (UsageError, RunError) as error:
        raise type(error)(f"{error}, {OFFLINE}") from error


@contextlib.contextmanager
def _api(remedy: str = ": run the command again", timeout: int = 10) -> Iterator[Any]:
    """Yield wandb's public API, which prints nothing meanwhile. remedy: where the server is away,
    for the message, unless the caller names one.

    Raises:
        RunError: the server is away, or does not accept the key.
    """
    import wandb

    with environment(WANDB_SILENT="true"):
        try:
            yield wandb.Api(timeout=timeout)
        except UsageError:
            raise
        except Exception as error:  # wandb's errors share no base class
            raise RunError(no_access(error, remedy)) from error


def find_sweep(path: str, check: Callable[[], None] = check_server) -> tuple[Any, Any]:
    """Return wandb's public API, and the sweep that ENTITY/PROJECT/SWEEP names.

    check: of the server, such as check_online.

    Raises:
        UsageError: no such sweep, or no API key.
        RunError: no server answers, or it does not accept the key.
    """
    if path.count("/") != 2:
        raise UsageError(
            f"{path}: write a sweep as ENTITY/PROJECT/SWEEP, as `wandb sweep` prints it"
        )
    check()
    import wandb

    with _api(timeout=30) as api:
        try:
            return api, api.sweep(path)
        except (wandb.errors.Error, ValueError) as error:
            if _is_unanswered(error):
                raise
            raise UsageError(
                f"{path}: no such sweep, or not yours to read ({first_line(error)})"
            ) from error


def forget_assigned_run() -> None:
    """Forget which run `wandb agent` has assigned to this process, or another program's variables
    name, since this process is to open others. Before wandb reads its settings, which it does
    once."""
    for name in AGENT_VARIABLES:
        os.environ.pop(name, None)


def find_runs(project: str, ids: Sequence[str], remedy: str = "") -> dict[str, Any]:
    """Return those of a project's W&B runs that the server has, by their ids. remedy: see _api.

    Raises:
        RunError: the server is away, or does not accept the key.
    """
    with _api(remedy) as api:
        try:
            listed = api.runs(project, {"name": {"$in": list(ids)}}, per_page=PAGE, lazy=False)
            return {run.id: run for run in listed}
        except ValueError:  # there is no such project yet
            return {}


def is_open(sweep: str) -> bool:
    """Whether the sweep ENTITY/PROJECT/SWEEP may still give runs to agents.

    Raises:
        RunError: the server is away, or does not accept the key.
    """
    with _api() as api:
        try:
            return api.sweep(sweep).state in ("RUNNING", "PENDING", "PAUSED")
        except Exception as error:
            if isinstance(_origin(error), ValueError):  # it was deleted
                return False
            raise


def account() -> str:
    """Return the W&B user whose API key this machine has.

    Raises:
        RunError: the server is away, or does not accept the key.
    """
    with _api() as api:
        return api.viewer.username


def is_answering() -> bool:
    """Whether the W&B server answers now. Its other answers then say what they mean."""
    try:
        return bool(account())
    except Exception:  # wandb's errors share no base class
        return False


def no_access(error: Exception, remedy: str = ": run the command again") -> str:
    """Return one line for an error of wandb's public API: it raises the same one where the server
    refuses the API key and where none answers. remedy: of the latter."""
    import wandb

    # One without another error behind it is of a malformed key; a key that is no longer anybody's
    # is refused with the status of an answer that is fine.
    malformed = isinstance(_origin(error), wandb.errors.AuthenticationError)
    if malformed or _status(error) in (401, 403) or "invalid credentials" in str(error):
        return f"the W&B server does not accept this machine ({first_line(error)}): {LOGIN}"
    return f"the W&B server does not answer ({first_line(error)}){remedy}"


def _is_unanswered(error: Exception) -> bool:
    """Whether an error of wandb's public API says that the server is away, or has a fault."""
    return hasattr(_origin(error), "response") and not 400 <= _status(error) < 500


def _status(error: Exception) -> int:
    """Return the HTTP status that an error of wandb's public API is of; 0 where it is of none."""
    response = getattr(_origin(error), "response", None)
    return getattr(response, "http_status", 0)


def _origin(error: BaseException) -> BaseException:
    """Return the error that wandb has wrapped in this one, such as that of its service, which is
    private and holds the server's response."""
    return error.__cause__ or getattr(error, "exc", None) or error


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while; wandb then reports its own errors to nobody."""
    values |= {"WANDB_ERROR_REPORTING": "false"}
    previous = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)  # another thread may have done so
            else:
                os.environ[name] = value
