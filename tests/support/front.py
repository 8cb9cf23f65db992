"""A server in front of the sandbox that may answer itself, or do something between two calls.

It may also drip: answer byte by byte, for longer than any client should listen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import requests

from tests.support.harness import serving


@dataclass(frozen=True)
class Drip:
    """How an answer drips: it is whole in the end, if the client listens for so long.

    Attributes:
        form: One of `FORMS`.
        drops: Bytes that come before the whole rest, one after the other.
        pause_seconds: The silence between two of them.
        ends: Told of each call how it ended: whether its client hung up before the rest came.
    """

    form: str
    drops: int = 50
    pause_seconds: float = 0.1
    ends: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Raw:
    """An answer as it leaves, byte for byte."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    drip: Drip | None = None


CHUNKED = b"Transfer-Encoding: chunked\r\n"
FORMS: Mapping[str, Callable[[bytes, int], tuple[bytes, bytes, bytes]]] = {
    "small chunks": lambda body, _: (CHUNKED + b"\r\n", b"1\r\n \r\n", _chunk(body) + _chunk(b"")),
    "one chunk": lambda body, drops: (
        CHUNKED + b"\r\n%x\r\n" % (drops + len(body)),
        b" ",
        body + b"\r\n" + _chunk(b""),
    ),
    "a length": lambda body, drops: (
        b"Content-Length: %d\r\n\r\n" % (drops + len(body)),
        b" ",
        body,
    ),
    "no length": lambda body, _: (b"\r\n", b" ", body),
    "a header": lambda body, _: (
        b"X-Long: ",
        b"x",
        b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
    ),
}
"""For each way to drip: what comes at once, each drop, and the rest."""


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


Answer = Callable[[str, str], Raw | None]
"""Told method and path with query before a call; None lets the sandbox answer."""


def once(
    match: str, do: Callable[[], object], method: str | None = "GET"
) -> Callable[[str, str], None]:
    """Return what does something at the first call whose path has this in it.

    Args:
        match: What the path has in it.
        do: What is done.
        method: The method of the call; None for any.
    """
    waiting = [do]

    def look(called: str, path: str) -> None:
        if waiting and method in (None, called) and match in path:
            waiting.pop()()

    return look


@contextmanager
def front_of(
    base_url: str, answer: Answer, page: int = 500, after: Answer | None = None
) -> Iterator[str]:
    """Serve in front of a sandbox and yield the address.

    Args:
        base_url: The sandbox.
        answer: Asked before each call.
        page: Rows a page, whatever the caller asks for.
        after: Told of each call once the sandbox has answered it; its answer goes out instead.
    """

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            told = answer(self.command, self.path)
            if told is None:
                told = self._sandboxs(body)
                told = (after(self.command, self.path) if after else None) or told
            if told.drip:
                self._drip(told, told.drip)
                return
            self.send_response(told.status)
            self.send_header("Content-Type", told.content_type)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_PATCH = do_GET  # noqa: N815

        def _drip(self, told: Raw, drip: Drip) -> None:
            first, drop, rest = FORMS[drip.form](told.body, drip.drops)
            self.close_connection = True
            try:
                self.wfile.write(b"HTTP/1.1 %d Dripping\r\n" % told.status + first)
                for _ in range(drip.drops):
                    self.wfile.write(drop)
                    time.sleep(drip.pause_seconds)
                self.wfile.write(rest)
            except OSError:
                drip.ends.append(True)
            else:
                drip.ends.append(False)

        def _sandboxs(self, body: bytes) -> Raw:
            headers: Mapping[str, Any] = {
                name: self.headers[name]
                for name in ("x-api-token", "content-type")
                if name in self.headers
            }
            url = base_url + self.path.replace("limit=500", f"limit={page}")
            got = requests.request(self.command, url, data=body, headers=headers, timeout=30)
            return Raw(got.content, got.status_code)

        def log_message(self, format: str, *values: Any) -> None:  # noqa: A002
            pass

    with serving(Front) as url:
        yield url
