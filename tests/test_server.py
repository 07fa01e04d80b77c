"""Whether the W&B server is found, or who is told why it is not."""

import socket

import pytest

from study import pull, runs, server
from study.config import Refused
from study.runs import Failed


@pytest.fixture
def listening():
    """The port of a server that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one.getsockname()[1]


@pytest.fixture
def address(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(server, "PATIENCE", 0)

    def use(url: str) -> None:
        monkeypatch.setattr(server, "_base_url", lambda: url)

    return use


def test_a_server_is_reached_directly_or_through_a_proxy(listening, address, monkeypatch):
    address(f"http://127.0.0.1:{listening}")
    server.check_reachable()
    address("http://wandb.invalid")
    for proxy in (f"http://127.0.0.1:{listening}", f"127.0.0.1:{listening}"):
        monkeypatch.setenv("http_proxy", proxy)
        server.check_reachable()
    monkeypatch.setenv("no_proxy", "wandb.invalid")
    with pytest.raises(Failed, match=r"no W&B server at http://wandb\.invalid"):
        server.check_reachable()


def test_an_address_that_is_none_is_refused(study, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "localhost:8080")
    done = study("check", "--online", "--dataset", "digits")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "WANDB_BASE_URL=localhost:8080: write it as https://HOST" in done.stdout + done.stderr


def test_another_setting_of_wandbs_is_not_called_the_address(study, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "of line")
    done = study("check", "--online", "--dataset", "digits")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "wandb's settings: " in done.stdout + done.stderr and "WANDB_BASE_URL" not in done.stderr


def test_sweeps_of_one_name_are_pulled_apart(tmp_path):
    folder = pull._folder(tmp_path, "norms: 1", "team/study/abc")
    assert folder == tmp_path / "norms__1"
    runs.write_json(folder / pull.INDEX, {"sweep": "team/study/abc", "runs": {}})
    assert pull._folder(tmp_path, "norms: 1", "team/study/abc") == folder
    assert pull._folder(tmp_path, "norms: 1", "team/study/def").name == "norms__1-def"


def test_no_key_is_one_line(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setattr(server, "_base_url", lambda: "https://api.wandb.ai")
    with pytest.raises(Refused, match="no W&B API key: run `wandb login`"):
        server.check_login()
