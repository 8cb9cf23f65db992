"""How an answer leaves: whole, cut short, or not at all because the connection is reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from connector.sandbox.replies import Reply

TRANSPORT: Final = "sandbox.transport"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A reply, and what becomes of the connection.

    Attributes:
        reply: The answer.
        reset: Reset the TCP connection in place of answering.
        announced: A content length to announce that is more than what is sent; the connection
            is then closed early.
    """

    reply: Reply
    reset: bool = False
    announced: int | None = None


async def deliver(sent: Delivery, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer over HTTP, or reset the connection."""
    if sent.reset:
        await _drop(scope, receive, reset=True)
        return
    body = sent.reply.body
    length = len(body) if sent.announced is None else sent.announced
    headers = [*sent.reply.headers, (b"content-length", b"%d" % length)]
    start = {"type": "http.response.start", "status": sent.reply.status, "headers": headers}
    await send(start)
    short = length > len(body)
    await send({"type": "http.response.body", "body": body, "more_body": short})
    if short:
        await _drop(scope, receive, reset=False)


async def _drop(scope: Scope, receive: Receive, *, reset: bool) -> None:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]["transport"]
    if reset:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
