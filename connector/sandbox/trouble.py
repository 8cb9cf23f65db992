"""What each fault makes of the request it hits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from connector.sandbox import custom, replies
from connector.sandbox.delivery import Delivery
from connector.sandbox.endpoints import Call
from connector.sandbox.faults import Fault
from connector.sandbox.replies import Headers, Reply
from connector.sandbox.world import World

BLOCKED: Final = (
    b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
    b"<body><h1>Sorry, you have been blocked</h1></body></html>"
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that meets a fault; `answer` does what the request asks and replies to it."""

    world: World
    call: Call
    options: Mapping[str, Any]
    answer: Callable[[], Reply]


async def met(fault: Fault, world: World, call: Call, answer: Callable[[], Reply]) -> Delivery:
    """Return what leaves the server when this fault hits this request."""
    return await _KINDS[fault.kind](Hit(world, call, fault.options, answer))


async def _status(hit: Hit) -> Delivery:
    limits = _beyond_content_type(hit.answer().headers) if hit.options["write"] else ()
    headers = {name.lower(): value for name, value in (hit.options["headers"] or {}).items()}
    if hit.options["retry_after"] is not None:
        headers["retry-after"] = hit.options["retry_after"]
    given = tuple((name.encode(), str(value).encode()) for name, value in headers.items())
    kind = replies.HTML if hit.options["html"] else replies.JSON
    return Delivery(Reply(hit.options["status"], _status_body(hit), (kind, *limits, *given)))


def _status_body(hit: Hit) -> bytes:
    body, status = hit.options["body"], hit.options["status"]
    if isinstance(body, str):
        return body.encode()
    if body is not None:
        return orjson.dumps(body)
    if hit.options["html"]:
        return b"<html><body><h1>%d</h1></body></html>" % status
    return replies.refusal(status, "Fault", "A queued fault.").body


def _beyond_content_type(headers: Headers) -> Headers:
    return tuple(header for header in headers if header[0] != b"content-type")


async def _reset_before(_hit: Hit) -> Delivery:
    return Delivery(Reply(0, b""), reset=True)


async def _reset_after(hit: Hit) -> Delivery:
    return Delivery(hit.answer(), reset=True)


async def _ignore(hit: Hit) -> Delivery:
    lead = hit.world.leads.get(hit.call.lead_id or "")
    if hit.call.method != "PATCH" or lead is None:
        return Delivery(hit.answer())
    return Delivery(replies.ok(custom.as_read(lead, hit.world.settings)))


async def _truncated(hit: Hit) -> Delivery:
    reply = hit.answer()
    cut = replace(reply, body=reply.body[: len(reply.body) // 2])
    return Delivery(cut, announced=len(reply.body) if hit.options["close"] else None)


async def _html403(_hit: Hit) -> Delivery:
    return Delivery(Reply(403, BLOCKED, (replies.HTML, (b"server", b"cloudflare"))))


async def _hang(hit: Hit) -> Delivery:
    if hit.options["write"] == "before":
        reply = hit.answer()
        await asyncio.sleep(hit.options["seconds"])
        return Delivery(reply)
    await asyncio.sleep(hit.options["seconds"])
    return Delivery(hit.answer())


async def _redirect(hit: Hit) -> Delivery:
    location = (b"location", str(hit.options["location"]).encode())
    return Delivery(Reply(hit.options["status"], b"", (replies.HTML, location)))


async def _null_data(hit: Hit) -> Delivery:
    headers = hit.answer().headers if hit.options["write"] else (replies.JSON,)
    return Delivery(Reply(200, replies.ok(None).body, headers))


async def _wrong_lead(hit: Hit) -> Delivery:
    """Do what was asked, and answer with another lead than the one that was asked for."""
    reply = hit.answer() if hit.options["write"] else Reply(200, b"")
    others = (lead for lead in hit.world.leads if lead["id"] != hit.call.lead_id)
    other = next(others, None)
    if reply.status != 200 or hit.call.lead_id is None or other is None:
        return Delivery(reply if reply.body else hit.answer())
    shown = replies.ok(custom.as_read(other, hit.world.settings))
    return Delivery(replace(reply, body=shown.body, headers=reply.headers or shown.headers))


async def _reshaped(hit: Hit) -> Delivery:
    """Put other values into each record of `data`, or give `data` another form."""
    reply = hit.answer()
    if reply.status >= 400:
        return Delivery(reply)
    document = orjson.loads(reply.body)
    data = document.get("data")
    rows = data if isinstance(data, list) else [data]
    rows = [{**row, **hit.options["fields"]} if isinstance(row, dict) else row for row in rows]
    whole = rows if isinstance(data, list) else rows[0]
    document["data"] = _FORMS[hit.options["data"]](whole)
    return Delivery(replace(reply, body=orjson.dumps(document)))


_FORMS: Final[Mapping[str, Callable[[Any], object]]] = {
    "as_is": lambda data: data,
    "list": lambda data: [data],
    "object": lambda data: {str(place): row for place, row in enumerate(data or [])},
    "text": lambda _data: "unexpected",
    "number": lambda _data: 5,
}
_KINDS: Final[Mapping[str, Callable[[Hit], Awaitable[Delivery]]]] = {
    "status": _status,
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "ignore": _ignore,
    "truncated": _truncated,
    "html403": _html403,
    "hang": _hang,
    "redirect": _redirect,
    "null_data": _null_data,
    "wrong_lead": _wrong_lead,
    "reshaped": _reshaped,
}
