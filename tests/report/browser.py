"""A headless Chromium, driven by its DevTools protocol over two pipes."""

import json
import os
import shutil
import subprocess
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One page of a browser of its own. `errors`: what its console complained of; `requests`: the
    addresses it asked for."""

    def __init__(self, profile) -> None:
        theirs, ours = os.pipe(), os.pipe()  # to the browser, from the browser
        command = (
            f"exec {CHROMIUM} --headless --no-sandbox --disable-gpu --remote-debugging-pipe"
            f" --user-data-dir={profile} --disable-background-networking --no-first-run"
            f" 3<&{theirs[0]} 4>&{ours[1]} about:blank"
        )
        self.process = subprocess.Popen(
            ["bash", "-c", command], pass_fds=(theirs[0], ours[1]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs[0])
        os.close(ours[1])
        self.to, self.back = os.fdopen(theirs[1], "wb"), os.fdopen(ours[0], "rb")
        self.number, self.session = 0, None
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return a command's result; events that arrive meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self.back.read(1)) != b"\0":
            assert letter, "the browser is gone"
            letters += letter
        message = json.loads(letters)
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(params["exceptionDetails"]["exception"]["description"])
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.errors.append(str(params["args"]))
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Page.loadEventFired":
                self.loaded = True
        return message

    def open(self, address: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.loaded = False
        self.call("Page.navigate", url=address)
        while not self.loaded:
            self._read()

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    def media(self, name: str = "", scheme: str = "light") -> None:
        """The page as on `screen` or on paper (`print`), `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=name, features=features)

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it gives."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def move(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def close(self) -> None:
        self.to.close()
        self.process.kill()
        self.process.wait()
        self.back.close()
