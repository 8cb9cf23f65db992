"""A bare HTTP server that answers as it is told and remembers every request whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "b1946ac92492d2347c6235b4d2611184c0ffee42"
ME = b'{"success": true, "data": {"id": 1}}'


@dataclass(frozen=True)
class Arrived:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Recorder:
    """What arrived so far, and the answer that every request gets."""

    base_url: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = ME
    arrived: list[Arrived] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Remember a request and answer it."""
        length = int(request.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.rfile.read(length)
        self.arrived.append(Arrived(request.command, request.path, headers, body))
        request.send_response(self.status)
        for name, value in {"content-length": str(len(self.body)), **self.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(self.body)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Serves a recorder on a free port of the loopback interface."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            recorder.answer(self)

        def do_PATCH(self) -> None:
            recorder.answer(self)

        def do_CONNECT(self) -> None:
            recorder.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    recorder.base_url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield recorder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
