"""Serve a report to the browsers of this machine alone."""

import contextlib
import http.server
import json
import mimetypes
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from study.report import page
from study.report.parts import FIGURES
from study.report.watch import Watch

HOST = "127.0.0.1"
# Of several data sets each has a folder of its own among the figures.
FILE = re.compile(rf"(?:{FIGURES}/(?:\w[\w.-]*/)?)?\w[\w.-]*\.(?:html|md|csv|tex|png|pdf|xlsx)")
NEWS = "/news"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@contextlib.contextmanager
def serve(watch: Watch) -> Iterator[str]:
    """Serve the report of a watch from a thread; yield its address, at a port that is free."""
    with _Server(watch) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}/"
        finally:
            server.shutdown()


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, *_: Any) -> None:
        """A browser that has left is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers for the report's own files and for news of it; all else is not found."""

    server: _Server
    server_version, sys_version = "study", ""

    def do_GET(self) -> None:
        # A page from elsewhere whose name was made to lead here names another host.
        names = [f"{host}:{self.server.server_port}" for host in (HOST, "localhost")]
        if self.headers.get_all("Host", []) not in [[name] for name in names]:
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"open the address that study printed")
            return
        path = unquote(urlsplit(self.path).path)
        if path == NEWS:
            news = json.dumps(self.server.watch.news()).encode()
            self._answer(HTTPStatus.OK, "application/json", news)
            return
        name = "index.html" if path == "/" else path[1:]
        body = self._read(name)
        if body is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not a file of this report")
            return
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        self._answer(HTTPStatus.OK, kind, body)

    do_HEAD = do_GET

    def _read(self, name: str) -> bytes | None:
        """Read a file of the report; the page with the script that loads it again. None where it is
        none, or leads out of the report's folder."""
        folder = self.server.watch.out.resolve()
        if not FILE.fullmatch(name):
            return None
        version = self.server.watch.version  # before the page, which may become newer
        try:
            path = (folder / name).resolve(strict=True)
            if not path.is_relative_to(folder) or not path.is_file():
                return None
            body = path.read_bytes()
        except OSError:
            return None
        if name != "index.html":
            return body
        head, end, tail = body.rpartition(b"</body>")
        return head + page.reload_script(version).encode() + end + tail

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **HEADERS}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The terminal is for the runs."""
