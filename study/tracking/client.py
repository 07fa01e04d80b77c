"""The W&B server: whether it is there, who this machine is to it, and the sweeps it has."""

import contextlib
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from study.errors import RunError, UsageError, first_line

OFFLINE = "or run offline: study sweep FILE"
PATIENCE = 20  # seconds a server may be away before a command gives it up


def check_reachable() -> None:
    """Find out soon whether there is a W&B server, rather than after wandb's own long wait.

    Raises:
        RunError: none answers within PATIENCE seconds.
    """
    url = urlsplit(_base_url())
    host, port = url.hostname, url.port or {"https": 443, "http": 80}[url.scheme]
    proxy = urllib.request.getproxies().get(url.scheme)
    if proxy and not urllib.request.proxy_bypass(host):
        through = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        host, port = through.hostname, through.port or 80
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise RunError(
                    f"no W&B server at {url.geturl()} ({error.strerror or error}): check the"
                    f" network and WANDB_BASE_URL, {OFFLINE}"
                ) from error
            time.sleep(1)


def _base_url() -> str:
    """Where wandb looks for the server.

    Raises:
        UsageError: a setting of wandb's, there or another, that it does not accept.
    """
    import wandb

    try:
        return wandb.setup().settings.base_url
    except ValueError as error:
        if "base_url" not in str(error):
            raise UsageError(f"wandb's settings: {' '.join(str(error).split())}") from error
        given = os.environ.get("WANDB_BASE_URL", "")
        raise UsageError(f"WANDB_BASE_URL={given}: write it as https://HOST, {OFFLINE}") from error


def check_login() -> None:
    """Ask whether wandb would find an API key, without asking any server.

    Raises:
        UsageError: there is none.
    """
    import wandb

    with environment(WANDB_SILENT="true"):
        _base_url()
        if not wandb.login(prompt=False, verify=False):
            raise UsageError(f"no W&B API key: run `wandb login`, {OFFLINE}")


def find_sweep(path: str) -> tuple[Any, Any]:
    """wandb's public interface, and the sweep that ENTITY/PROJECT/SWEEP names there.

    Raises:
        UsageError: no such sweep, or no API key.
        RunError: no server answers, or it does not accept the key.
    """
    import wandb

    if path.count("/") != 2:
        raise UsageError(
            f"{path}: write a sweep as ENTITY/PROJECT/SWEEP, as `wandb sweep` prints it"
        )
    check_reachable()
    check_login()
    with environment(WANDB_SILENT="true"):
        try:
            api = wandb.Api(timeout=30)
            return api, api.sweep(path)
        except wandb.errors.AuthenticationError as error:
            raise RunError(not_accepted(error)) from error
        except (wandb.errors.Error, ValueError) as error:
            why = first_line(error)
            raise UsageError(f"{path}: no such sweep, or not yours to read ({why})") from error


def account() -> str:
    """The W&B user whose API key this machine has.

    Raises:
        RunError: the server does not accept the key.
    """
    import wandb

    with environment(WANDB_SILENT="true"):
        try:
            return wandb.Api(timeout=10).viewer.username
        except (wandb.errors.Error, ValueError) as error:
            raise RunError(not_accepted(error)) from error


def not_accepted(error: Exception) -> str:
    """A key that is refused, in a line with its remedy."""
    why = first_line(error)
    return f"the W&B server does not accept this machine ({why}): run `wandb login`, {OFFLINE}"


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for a while; wandb also reports its own errors to nobody then."""
    values |= {"WANDB_ERROR_REPORTING": "false"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
