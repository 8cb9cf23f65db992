"""Answers that must be there in time, however slowly they come.

A timeout of a socket is for the silence between two bytes, so a server that sends one now and
then would hold a call for ever, be it in its headers or in its body.
"""

from __future__ import annotations

import io
import socket
import time
from functools import partial
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class BoundedAdapter(HTTPAdapter):
    """Gives an answer so many seconds to be there whole, from when its request has left.

    Args:
        seconds: How long one may take.
    """

    def __init__(self, seconds: float) -> None:
        answer = partial(_BoundedResponse, seconds=seconds)
        self._pools = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, answer),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, answer),
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


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, seconds: float, **given: Any) -> None:
        super().__init__(sock, *arguments, **given)
        self.fp = io.BufferedReader(_UntilThen(self.fp.detach(), sock, seconds))


class _UntilThen(io.RawIOBase):
    """Reads a socket until a moment, and never waits beyond it."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, seconds: float) -> None:
        self._raw, self._sock = raw, sock
        self._silence = sock.gettimeout()
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left if self._silence is None else min(left, self._silence))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _pool(pool: type[Any], connection: type[Any], answer: Any) -> type[Any]:
    bounded = type(connection.__name__, (connection,), {"response_class": answer})
    return type(pool.__name__, (pool,), {"ConnectionCls": bounded})
