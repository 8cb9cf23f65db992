"""Answers that must be there in time, however slowly they come.

A timeout of a socket is for the silence between two bytes, so a server that sends one now and
then would hold a call for ever, be it in its headers or in its body. Once the run is asked to
stop, an answer has a few seconds left: what it would have told is read from the lead later.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPResponse, parse_headers
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

STOPPING_SECONDS = 3.0
LOOK_SECONDS = 0.5
"""How long a wait for bytes lasts before the request to stop is looked at again."""


class BoundedAdapter(HTTPAdapter):
    """Gives an answer so many seconds to be there whole, from when its request has left.

    Args:
        seconds: How long one may take.
        stop: Set when the run is asked to stop.

    Attributes:
        has_left: Whether a byte of a request has left since this was last set to False.
    """

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        answer = partial(_BoundedResponse, seconds=seconds, stop=stop)
        self.has_left = False
        self._pools = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, answer, self._note_left),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, answer, self._note_left),
        }
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **given: Any) -> None:
        """Makes the pools of connections to the server itself."""
        super().init_poolmanager(*arguments, **given)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **given: Any) -> Any:
        """Makes the pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **given)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def _note_left(self) -> None:
        self.has_left = True


class _BoundedResponse(HTTPResponse):
    def __init__(
        self,
        sock: socket.socket,
        *arguments: Any,
        seconds: float,
        stop: threading.Event,
        **given: Any,
    ) -> None:
        super().__init__(sock, *arguments, **given)
        self.fp = io.BufferedReader(_UntilThen(self.fp.detach(), sock, seconds, stop))

    def _read_status(self) -> Any:
        """Passes over what is said before the answer; http.client knows 100 alone of that."""
        while True:
            told = super()._read_status()  # type: ignore[misc]
            if not 101 < told[1] < 200:
                return told
            parse_headers(self.fp)

    def begin(self) -> None:
        """Reads the headers, and drops lines that are none: urllib3 would log them whole."""
        super().begin()
        self.headers.defects.clear()
        self.headers.set_payload("")


class _UntilThen(io.RawIOBase):
    """Reads a socket until a moment, and never waits beyond it."""

    def __init__(
        self, raw: io.RawIOBase, sock: socket.socket, seconds: float, stop: threading.Event
    ) -> None:
        self._raw, self._sock, self._stop = raw, sock, stop
        self._silence = sock.gettimeout() or seconds
        self._until = time.monotonic() + seconds
        self._stopping = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        silent_until = time.monotonic() + self._silence
        while (left := min(silent_until, self._end()) - time.monotonic()) > 0:
            self._sock.settimeout(min(left, LOOK_SECONDS))
            with suppress(TimeoutError):
                return self._sock.recv_into(buffer)
        raise TimeoutError("the answer took too long")

    def _end(self) -> float:
        if self._stop.is_set() and not self._stopping:
            self._stopping = True
            self._until = min(self._until, time.monotonic() + STOPPING_SECONDS)
        return self._until

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pool(
    pool: type[Any], connection: type[Any], answer: Any, note_left: Callable[[], None]
) -> type[Any]:
    """Makes a pool of connections whose answers are bounded, and that tell when a request leaves.

    Args:
        pool: The kind of pool.
        connection: The kind of connection.
        answer: Makes an answer.
        note_left: Called when bytes of a request leave; what opens the connection is none.
    """

    class Bounded(connection):  # type: ignore[misc]
        response_class = answer
        _is_opening = False

        def connect(self) -> None:
            self._is_opening = True
            super().connect()
            self._is_opening = False

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            if not self._is_opening:
                note_left()
            super().send(data)

    return type(pool.__name__, (pool,), {"ConnectionCls": Bounded})
