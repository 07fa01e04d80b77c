"""The W&B server is reached, or one line says why not."""

import functools
import inspect
import os
import socket

import pytest

from study.errors import RunError, UsageError
from study.tracking import client, logger
from tests.forked import SCRIPT, Forked
from tests.machines import SECRET, finish, sweep_text
from tests.tracking.test_pull import turned_to

# So that wandb looks for an API key.
KEY = {"WANDB_MODE": "online", "WANDB_BASE_URL": "http://localhost"}


@pytest.fixture
def listening():
    """The port of a server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server_socket:
        yield server_socket.getsockname()[1]


@pytest.fixture
def address(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(client, "PATIENCE", 0)

    def use(url: str) -> None:
        monkeypatch.setattr(client, "_base_url", lambda: url)

    return use


def test_a_server_is_reached_directly_or_through_a_proxy(listening, address, monkeypatch):
    address(f"http://127.0.0.1:{listening}")
    client.check_reachable()
    address("http://wandb.invalid")
    for proxy in (f"http://127.0.0.1:{listening}", f"127.0.0.1:{listening}"):
        monkeypatch.setenv("http_proxy", proxy)
        client.check_reachable()
    monkeypatch.setenv("no_proxy", "wandb.invalid")
    with pytest.raises(RunError, match=r"no W&B server at http://wandb\.invalid"):
        client.check_reachable()


@pytest.mark.parametrize("mark", "#/?")
def test_no_part_of_a_password_is_told(address, monkeypatch, mark):
    address("https://wandb.invalid")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}{mark}1@proxy:3128")
    with pytest.raises(UsageError, match="HTTPS_PROXY: its address cannot be read") as refused:
        client.check_reachable()
    assert SECRET not in str(refused.value)
    monkeypatch.delenv("HTTPS_PROXY")
    address(f"https://user:{SECRET}@wandb.invalid:8080/path")
    with pytest.raises(RunError, match=r"^no W&B server at https://wandb\.invalid:8080 \("):
        client.check_reachable()
    address(f"https://user:{SECRET}{mark}@wandb.invalid")
    with pytest.raises(UsageError, match="WANDB_BASE_URL: its address cannot be read") as refused:
        client.check_reachable()
    assert SECRET not in str(refused.value)
    cause = RuntimeError(f"Failed to verify credentials with https://user:{SECRET}@host: away")
    assert client.no_access(cause).startswith(
        "the W&B server does not answer (Failed to verify credentials with https://host: away)"
    )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"WANDB_BASE_URL": "localhost:8080"}, "WANDB_BASE_URL=localhost:8080: write it as https:"),
        ({"WANDB_MODE": "of line"}, "wandb's settings: "),
        ({"WANDB_BASE_URL": f"u:{SECRET}@host"}, "WANDB_BASE_URL=...@host: write it as https:"),
        ({"WANDB_MODE": SECRET}, "wandb's settings: mode: Input should be 'online'"),
        ({"WANDB_PROJECT": "a/b"}, "wandb's settings: Invalid project name 'a/b'"),
        ({"WANDB_MODE": "offline"}, "WANDB_MODE=offline: keeps wandb from the server; unset it"),
        ({"WANDB_MODE": "disabled"}, "WANDB_MODE=disabled: keeps wandb from the server"),
        ({"WANDB_MODE": "dryrun"}, "WANDB_MODE=dryrun: keeps wandb from the server"),
        (KEY | {"WANDB_API_KEY": "cut0ff"}, "no W&B API key that can be used (WANDB_API_KEY "),
        (KEY | {"WANDB_API_KEY": f"{SECRET} "}, "no W&B API key that can be used (API key "),
        (KEY | {"WANDB_API_KEY": "", "NETRC": "netrc"}, "no W&B API key that can be used (API "),
    ],
)
def test_a_setting_that_wandb_does_not_take_is_refused_by_its_name(setting, message, tmp_path):
    """In a process of its own: wandb reads its settings once."""
    (tmp_path / "netrc").write_text("machine localhost login user password cut0ff\n")
    ask = (
        "from study.tracking import client\n"
        "try: client.check_login()\nexcept ValueError as e: print(e)"
    )
    environment = os.environ | setting
    printed = finish(Forked(ask, cwd=tmp_path, env=environment, main=SCRIPT))
    assert printed.startswith(message) and len(printed.splitlines()) == 1, printed
    assert "cut0ff" not in printed and SECRET not in printed


def test_no_key_is_one_line(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setattr(client, "_base_url", lambda: "https://api.wandb.ai")
    monkeypatch.setattr(client, "_check_mode", lambda mode: None)
    remedy = "no W&B API key: run `wandb login`, or set WANDB_API_KEY"
    with pytest.raises(UsageError, match=f"^{remedy}$"):
        client.check_login()
    with pytest.raises(UsageError, match=f"^{remedy}, or run offline: study sweep FILE$"):
        client.check_online()  # of what trains without a server too


def test_a_mode_that_wandb_offline_has_set_is_told_with_its_remedy(monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    with pytest.raises(UsageError, match=r"wandb's mode is offline: run `wandb online`"):
        client._check_mode("offline")
    client._check_mode("online")


def test_what_we_rely_on_in_wandb():
    """The attributes of wandb that client.py uses, public or not: a new release may drop them."""
    import wandb

    assert isinstance(wandb.setup().settings.base_url, str)
    assert isinstance(wandb.setup().settings.mode, str)
    assert issubclass(wandb.errors.AuthenticationError, wandb.errors.Error)
    parameters = inspect.signature(wandb.login).parameters
    assert {"prompt", "verify"} <= parameters.keys() or "kwargs" in parameters


ACCESS = {
    401: "does not accept this machine .*: run `wandb login`",
    403: "does not accept this machine .*: run `wandb login`",
    503: "does not answer .*: run the command again$",
    None: "does not answer .*: run the command again$",  # the connection is cut
}


@pytest.fixture
def impatient(server, tmp_path, monkeypatch):
    """A server to which this process is turned, and asks again only once."""
    monkeypatch.setenv("WANDB_X_GRAPHQL_RETRY_MAX", "1")
    with turned_to(server, tmp_path / "wandb"):
        yield server


@pytest.mark.parametrize(("status", "message"), ACCESS.items())
def test_an_outage_is_told_apart_from_a_refused_key(impatient, status, message):
    sweep = impatient.add_sweep(sweep_text(seed=1))
    assert client.find_sweep(sweep.path)[1].id == sweep.id
    assert client.account() == "team" and client.is_open(sweep.path)
    impatient.fail(status) if status else impatient.cut()
    settings = {"id": f"run{status}", "reinit": "create_new", "project": "tests"}
    for ask in (
        client.account,
        lambda: client.find_sweep(sweep.path),
        lambda: client.is_open(sweep.path),
        lambda: logger._init({"console": "off", "silent": True, "init_timeout": 3}, **settings),
    ):
        with pytest.raises(RunError, match=f"^the W&B server {message}"):
            ask()


def test_a_sweep_is_told_missing_only_by_a_server_that_answers(impatient, monkeypatch):
    import wandb

    sweep = impatient.add_sweep(sweep_text(seed=1))
    missing = f"{sweep.path}0"
    with pytest.raises(UsageError, match=f"^{missing}: no such sweep, or not yours to read"):
        client.find_sweep(missing)
    assert not client.is_open(missing)
    api = wandb.Api()
    monkeypatch.setattr("wandb.Api", lambda timeout: api)
    impatient.fail(503)  # only now
    with pytest.raises(RunError, match="the W&B server does not answer"):
        client.find_sweep(sweep.path)


def test_a_run_that_the_server_does_not_take_is_told_with_its_cause(impatient):
    impatient.refuses.add("UpsertBucket")
    settings = {"id": "refused", "reinit": "create_new", "project": "tests"}
    for _ in range(2):  # from then on wandb calls the run in use in this process
        with pytest.raises(RunError, match=r"^the W&B run cannot be opened .*: check that you may"):
            logger._init({"console": "off", "silent": True, "init_timeout": 3}, **settings)


def test_a_key_that_is_nobodys_is_told_as_that(impatient, monkeypatch):
    """The server has an answer, and in it no account: to run the command again does not help."""
    answer = impatient.handle
    monkeypatch.setattr(impatient, "handle", lambda *_: (200, b'{"data": {"viewer": null}}'))
    with pytest.raises(RunError, match=r"^the W&B server does not accept .*: run `wandb login`"):
        client.account()
    monkeypatch.setattr(impatient, "handle", answer)
    assert client.account() == "team"


def test_a_service_that_does_not_start_is_no_mistake_of_the_users(monkeypatch, tmp_path):
    import wandb

    class ServicePollForTokenError(wandb.errors.Error):
        pass

    def fail(error):
        raise error

    for error in (ServicePollForTokenError("no port"), OSError(28, "No space left on device")):
        monkeypatch.setattr("wandb.setup", functools.partial(fail, error))
        with pytest.raises(RunError, match=r"^wandb does not start \(.*\): make room .* TMPDIR"):
            client.check_login()
    from wandb.sdk.lib.service import service_port_file

    assert issubclass(service_port_file.ServicePollForTokenError, wandb.errors.Error)
