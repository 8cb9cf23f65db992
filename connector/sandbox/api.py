"""The way of one API request: log, token, limits, latency, fault, answer."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Final

from starlette.types import Receive, Scope, Send

from connector.sandbox import delivery, replies, trouble
from connector.sandbox.delivery import Delivery
from connector.sandbox.endpoints import SEARCH, Call, endpoint_for, route_of
from connector.sandbox.replies import Headers
from connector.sandbox.requestlog import Entry
from connector.sandbox.world import World

# One clock for the log and the limits, so that the log shows what the limits counted.
_EPOCH: Final = time.time() - time.monotonic()


async def respond(world: World, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one API request and record what came of it."""
    world = copy(world)  # after a reset, what was on its way is not to reach the new leads
    query = scope["query_string"].decode("latin-1")
    entry = world.log.add(_EPOCH + time.monotonic(), scope["method"], scope["path"], query)
    headers = dict(scope["headers"])
    call = await _read(scope, receive, entry, headers)
    now = time.monotonic()  # others whose body was quicker have been counted by now
    entry.at = _EPOCH + now
    sent = await _answer(world, call, headers, entry, now)
    entry.status = None if sent.reset else sent.reply.status
    await delivery.deliver(sent, scope, receive, send)


async def _read(
    scope: Scope, receive: Receive, entry: Entry, headers: Mapping[bytes, bytes]
) -> Call:
    route, lead_id = route_of(scope["path"])
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    entry.lead_id, entry.body = lead_id, body
    content_type = headers.get(b"content-type", b"")
    return Call(entry.method, route or "", entry.query, content_type, body, lead_id)


async def _answer(
    world: World, call: Call, headers: Mapping[bytes, bytes], entry: Entry, now: float
) -> Delivery:
    if not hmac.compare_digest(headers.get(b"x-api-token", b""), world.token.encode()):
        return Delivery(replies.unauthorized())
    endpoint = endpoint_for(call.route, call.method)
    fault = world.faults.first_for(call.method, call.route, call.lead_id)
    cost = endpoint.tokens if fault is None or fault.charged else 0
    refused, limits = _limits(world, call, cost, now)
    if refused is None and fault is not None:
        world.faults.use(fault)
    await _wait(world, now)
    if refused is not None:
        return Delivery(_with(replies.over_limit(refused, world.settings.limit_body), limits))
    entry.tokens, entry.fault = cost, fault.kind if fault else None

    def answer() -> replies.Reply:
        reply = endpoint.answer(world, call)
        entry.wrote = reply.wrote
        return _with(reply, limits)

    return Delivery(answer()) if fault is None else await trouble.met(fault, world, call, answer)


def _limits(world: World, call: Call, cost: int, now: float) -> tuple[str | None, Headers]:
    if not world.settings.limits:
        return None, ()
    search = call.route == SEARCH
    verdict = world.limiter.judge(world.settings, now, call.method, cost, search=search)
    return verdict.refused, verdict.headers


async def _wait(world: World, arrived: float) -> None:
    left = arrived + world.settings.latency_ms / 1000 - time.monotonic()
    if left > 0:
        await asyncio.sleep(left)


def _with(reply: replies.Reply, headers: Headers) -> replies.Reply:
    return replace(reply, headers=reply.headers + headers) if headers else reply
