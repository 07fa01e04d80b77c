"""A report served to browsers on this machine: by real requests, and in Chromium."""

import contextlib
import http.client
import json
import os
import socket
import threading
import time

import pytest

from study import files, runs
from study.config import Config
from study.report import serve, watch
from study.report.watch import Watch
from tests.report.browser import CHROMIUM, Browser
from tests.report.conftest import curve
from tests.report.test_progress import plan


@pytest.fixture
def served(made, tmp_path, quick, monkeypatch):
    """The watch of a sweep with a finished and a running run, and its port."""
    monkeypatch.setattr(watch, "LOOK", 0.1)
    monkeypatch.setattr(watch, "IDLE", 0)
    made(Config(seed=1), curve(99.0))
    made(Config(seed=2), [50.0], runs.RUNNING, name="<b>")
    plan(tmp_path / "runs/mine", grids=({"norm": ["batch"], "seed": [1, 2, 3]},))
    watched = Watch([tmp_path / "runs/mine"], tmp_path / "reports/mine", None, False)
    assert watched.look()
    with serve.serve(watched) as address:
        assert address.startswith("http://127.0.0.1:")
        yield watched, int(address.strip("/").rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.strip("/").rpartition(":")[2])), 1)


def ask(port: int, path: str, method: str = "GET", **headers: str):
    """The status, the headers and the body of an answer; the path goes out as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_it_serves_the_files_of_the_report(served):
    watched, port = served
    status, headers, body = ask(port, "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    disk = watched.index.read_bytes()
    files.write_text(watched.out / "figures/mnist/final.csv", "as of several data sets")
    assert b"/news" in body and b"/news" not in disk
    assert body.replace(b"<script>" + body.split(b"<script>")[-1], b"") in disk
    assert ask(port, "/index.html?x=1")[2] == body
    for path, kind in (
        ("/results.csv", "text/csv; charset=utf-8"),
        ("/report.md", "text/markdown; charset=utf-8"),
        ("/figures/final.png", "image/png"),
        ("/figures/mnist/final.csv", "text/csv; charset=utf-8"),
    ):
        status, headers, body = ask(port, path)
        assert (status, headers["Content-Type"]) == (200, kind)
        assert body == (watched.out / path[1:]).read_bytes()
    status, headers, body = ask(port, "/results.csv", "HEAD")
    assert (status, body) == (200, b"") and int(headers["Content-Length"]) > 100
    assert headers["Cache-Control"] == "no-store"


ELSEWHERE = (
    "/figures", "/figures/", "/.", "/..", "/secret.txt", "/.secret.csv", "/../secret.csv",
    "/figures/../../secret.csv", "/%2e%2e/secret.csv", "/..%2fsecret.csv", "//etc/passwd",
    "/figures/%2e%2e/%2e%2e/secret.csv", "/etc/passwd", "/link.csv", "/outside/secret.csv",
    "/figures/mnist/../../../secret.csv", "/figures/mnist/%2e%2e/final.png",
    "/figures%00.csv", "/\\..\\secret.csv", "/run.csv", "/%ff.csv", "/figures/nothing.png",
)  # fmt: skip


def test_it_serves_nothing_else(served):
    watched, port = served
    for place in (watched.out.parent / "secret.csv", watched.out / ".secret.csv",
                  watched.out / "secret.txt"):  # fmt: skip
        files.write_text(place, "secret")
    (watched.out / "link.csv").symlink_to(watched.out.parent / "secret.csv")
    (watched.out / "outside").symlink_to(watched.out.parent)
    (watched.out / "run.csv").mkdir()
    answers = {path: ask(port, path) for path in ELSEWHERE}
    assert {path: status for path, (status, _, _) in answers.items()} == dict.fromkeys(
        ELSEWHERE, 404
    )
    assert not any(b"secret" in body for _, _, body in answers.values())


def test_a_page_from_elsewhere_is_refused(served):
    _, port = served
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "", f"[::1]:{port}"):
        for path in ("/", "/news", "/results.csv"):
            status, _, body = ask(port, path, Host=host)
            assert status == 403 and len(body) < 100
    assert ask(port, "/news", Host=f"localhost:{port}")[0] == 200


def test_only_reading_is_allowed(served):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(served[1], "/results.csv", method)[0] == 501


def test_other_machines_cannot_connect(served):
    _, port = served
    with pytest.raises(OSError):  # which all addresses of this machine would take
        socket.create_connection(("127.0.0.2", port), 2)


def test_news_tell_of_new_results_and_of_progress(served, made):
    watched, port = served
    before = json.loads(ask(port, "/news")[2])
    assert before["version"] == watched.version
    assert "1 of 3 planned runs finished, 1 running" in before["progress"]
    made(Config(seed=3), curve(98.0))
    assert watched.look()
    after = json.loads(ask(port, "/news")[2])
    assert after["version"] != before["version"]
    assert "2 of 3 planned runs finished" in after["progress"]
    assert after["version"].encode() in ask(port, "/")[2]


def test_a_browser_that_leaves_is_no_error(served, capfd):
    _, port = served
    with socket.create_connection(("127.0.0.1", port)) as leaving:
        leaving.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port)
        leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with socket.create_connection(("127.0.0.1", port)) as silly:
        silly.sendall(b"\xff" * 70_000 + b"\r\n\r\n")
        silly.recv(100)
    assert ask(port, "/news")[0] == 200
    assert capfd.readouterr().err == ""


def wait_until(browser: Browser, expression: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(AssertionError):  # while the page is loaded
            if browser.run(expression):
                return
        time.sleep(0.1)
    pytest.fail(f"never so: {expression}")


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian: chromium)")
def test_an_open_page_follows_where_it_was_scrolled_to(served, made, tmp_path):
    watched, port = served
    browser = Browser(tmp_path / "profile")
    thread = threading.Thread(target=lambda: list(watched.run(until_done=True)), daemon=True)
    try:
        browser.size(1280, 700)
        browser.open(f"http://127.0.0.1:{port}/")
        browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        there = "document.getElementById('each').getBoundingClientRect().top"
        wait_until(
            browser, f"document.getElementById('each').scrollIntoView(), Math.abs({there}) < 1"
        )
        thread.start()
        path = tmp_path / "runs/mine/<b>"
        runs.append_history(path, files.read_json_lines(path / runs.HISTORY)[-1] | {"epoch": 2})
        text = "document.getElementById('progress').innerText"
        wait_until(browser, f"{text}.includes('2 of 20')")
        made(Config(seed=3), curve(98.0))
        wait_until(browser, f"{text}.includes('2 of 3 planned runs finished')")
        wait_until(browser, f"Math.abs({there}) < 5")
        assert browser.run("[...document.querySelectorAll('details')].every((d) => d.open)")
        assert browser.errors == []
        made(Config(seed=2), curve(97.0))
        os.rename(path, f"{path}{runs.DELETED}")
        wait_until(browser, f"{text} === ''")
        thread.join(timeout=20)
        assert not thread.is_alive()
    finally:
        browser.close()


# What the reader has set, as the page shows it.
SETTINGS = """(() => {
  const { by, together, smooth, x, y } = document.querySelector(".options").elements;
  const table = document.getElementById("variants-table"), graph = document.querySelector(".live");
  return JSON.stringify({
    options: [by.selectedOptions[0].text, together.checked, smooth.value, x.checked, y.checked],
    filter: [...document.querySelectorAll("#runs-table tbody tr")].map((row) => row.hidden),
    off: [...document.querySelectorAll("[aria-pressed=false]")].map((b) => b.dataset.variant),
    sorted: table.querySelector("[aria-sort=descending]")?.textContent,
    first: table.tBodies[0].rows[0].cells[0].textContent,
    drawn: graph.data?.filter((t) => t.meta === "mean").map((t) => [t.name, t.line.color]),
    axis: graph.layout?.xaxis.type,
  });
})()"""


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian: chromium)")
def test_a_page_that_is_loaded_again_keeps_what_the_reader_has_set(served, made, tmp_path):
    watched, port = served
    for norm in ("layer", "group"):
        for dropout in (0.0, 0.1):
            made(Config(norm=norm, dropout=dropout, seed=1), curve(98.0 - dropout))
    assert watched.look()
    browser = Browser(tmp_path / "profile")
    try:
        browser.size(1280, 1200)
        browser.open(f"http://127.0.0.1:{port}/")
        wait_until(browser, "document.querySelector('.live').data !== undefined")
        browser.run("""{
          const { by, together, smooth, x } = document.querySelector(".options").elements;
          by.value = [...by.options].find(({ text }) => text === "norm").value;
          together.checked = x.checked = true;
          smooth.value = smooth.max;
          by.dispatchEvent(new Event("input", { bubbles: true }));
          const filter = document.querySelector("[data-filters=runs-table]");
          filter.value = "n 1 finished";
          filter.dispatchEvent(new Event("input"));
          document.querySelector(".legend [data-variant='GN, dropout 0.1']").click();
          const head = document.querySelector("#variants-table th:nth-child(5) button");
          head.click();
          head.click();
          window.old = true;
        }""")
        wait_until(browser, "document.querySelector('.live').layout.xaxis.type === 'log'")
        time.sleep(0.5)
        before = json.loads(browser.run(SETTINGS))
        assert before["options"][:2] == ["norm", True] and set(before["off"]) == {"GN, dropout 0.1"}
        assert not all(before["filter"]) and before["sorted"] and before["axis"] == "log"
        made(Config(seed=3), curve(98.0))
        assert watched.look()
        wait_until(browser, "!window.old && document.querySelector('.live').data !== undefined")
        time.sleep(0.5)
        after = json.loads(browser.run(SETTINGS))
        assert after.pop("filter").count(False) == before.pop("filter").count(False) + 1
        assert after == before
        assert browser.errors == []
    finally:
        browser.close()
