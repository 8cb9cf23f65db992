"""A bare HTTP server that answers as it is told and remembers every request whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.harness import serving

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

    with serving(Handler) as recorder.base_url:
        yield recorder
