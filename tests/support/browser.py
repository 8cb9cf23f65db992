"""A real Chromium without a screen, driven through its own pipe."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.support.harness import PATIENCE_SECONDS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
)
TO_BROWSER, FROM_BROWSER = 3, 4
"""The descriptors on which Chromium listens and answers."""
FREE = 20
"""A descriptor from which on none of these stands in the way of the two."""


@dataclass
class Tab:
    """One page of a browser.

    Attributes:
        troubles: What it has written to its console as an error or a warning.
        requests: The addresses that it has asked for.
    """

    out: IO[bytes]
    answers: IO[bytes]
    session: str = ""
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _count: int = 0
    _events: list[str] = field(default_factory=list)

    def open(self, file: Path, width: int, height: int = 900) -> None:
        """Open a file in a window of a size, and wait until it is loaded."""
        self.troubles.clear()
        self.requests.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self._events.clear()
        self.call("Page.navigate", url=file.absolute().as_uri())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Page.loadEventFired" not in self._events:
            assert time.monotonic() < deadline, "the page is not loaded"
            self._read()

    def evaluate(self, script: str) -> Any:
        """Return what an expression comes to in the page."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def type(self, selector: str, text: str) -> None:
        """Put the cursor into a field of a form, empty it, and type."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        self.press("Backspace")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key."""
        code = {"Tab": 9, "Enter": 13, "Backspace": 8}[key]
        text = {"Enter": "\r"}.get(key, "")
        given: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def call(self, method: str, **params: Any) -> Any:
        """Call the browser, and return its answer."""
        self._count += 1
        call: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self.session:
            call["sessionId"] = self.session
        self.out.write(json.dumps(call).encode() + b"\0")
        self.out.flush()
        while True:
            told = self._read()
            if told.get("id") == call["id"]:
                assert "error" not in told, told
                return told["result"]

    def _read(self) -> dict[str, Any]:
        raw = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser has ended"
            raw += byte
        told: dict[str, Any] = json.loads(raw)
        self._note(str(told.get("method")), told.get("params", {}))
        return told

    def _note(self, event: str, params: dict[str, Any]) -> None:
        self._events.append(event)
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.troubles.append(json.dumps(params))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.troubles.append(json.dumps(params["args"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.troubles.append(params["entry"]["text"])


@contextmanager
def chromium_tab(folder: Path) -> Iterator[Tab]:
    """Start Chromium with a new profile in a folder, and yield its only page."""
    listens, says = _high_pipe()
    hears, tells = _high_pipe()

    def connect() -> None:
        os.dup2(listens, TO_BROWSER)
        os.dup2(tells, FROM_BROWSER)

    process = subprocess.Popen(
        [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(TO_BROWSER, FROM_BROWSER),
        preexec_fn=connect,  # noqa: PLW1509 it only moves two descriptors
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(listens)
    os.close(tells)
    try:
        with os.fdopen(says, "wb") as out, os.fdopen(hears, "rb") as answers:
            tab = Tab(out, answers)
            made = tab.call("Target.createTarget", url="about:blank")
            attached = tab.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
            tab.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                tab.call(f"{domain}.enable")
            yield tab
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _high_pipe() -> tuple[int, int]:
    """Return a pipe whose ends are none of the descriptors that Chromium expects."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FREE) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
