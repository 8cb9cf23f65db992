"""A server in front of the sandbox that may answer itself, or do something between two calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


@dataclass(frozen=True)
class Raw:
    """An answer as it leaves, byte for byte."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


Answer = Callable[[str, str], Raw | None]
"""Told method and path with query before a call; None lets the sandbox answer."""


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
            self.send_response(told.status)
            self.send_header("Content-Type", told.content_type)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_PATCH = do_GET  # noqa: N815

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

    with ThreadingHTTPServer(("127.0.0.1", 0), Front) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
