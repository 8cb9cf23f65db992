"""The sandbox as a server on loopback."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from connector.sandbox.app import sandbox_app
from connector.sandbox.delivery import TRANSPORT
from connector.sandbox.world import World

HOST = "127.0.0.1"
_BACKLOG = 1024
Ready = Callable[[str], None]


class ResettableProtocol(HttpToolsProtocol):
    """Lets the application at the connection, so that a fault can reset it."""

    def on_message_begin(self) -> None:
        """Put the transport into the scope of each request."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class AnnouncingServer(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then tell."""
        await super().startup(sockets)
        self._announce()


def run(world: World, *, port: int, ready: Ready | None = None) -> None:
    """Serve a world on loopback until SIGTERM or SIGINT; see `connector.sandbox.serve`."""
    with _listening(port) as listener, terminable(), suppress(KeyboardInterrupt):
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        server = AnnouncingServer(_config(world), lambda: ready(url) if ready else None)
        server.run(sockets=[listener])


def _config(world: World) -> uvicorn.Config:
    return uvicorn.Config(
        sandbox_app(world),
        http=ResettableProtocol,
        ws="none",
        loop="uvloop" if find_spec("uvloop") else "asyncio",
        lifespan="off",
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    listener.listen(_BACKLOG)
    return listener


@contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM end what is under way as SIGINT does, so that its ends are seen to."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
