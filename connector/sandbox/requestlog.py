"""The record of API requests, for tests and the demo to read; never with the token in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

HIDDEN: Final = "(hidden)"


@dataclass(slots=True)
class Entry:
    """A request as it arrived, and what came of it, filled in as it happens."""

    seq: int
    at: float
    method: str
    path: str
    query: str
    lead_id: str | None
    body: bytes
    status: int | None = None
    tokens: int = 0
    fault: str | None = None
    wrote: bool = False


class RequestLog:
    """The requests since the last clearing; numbers go on rising when it is cleared."""

    def __init__(self, token: str) -> None:
        self._entries: list[Entry] = []
        self._hidden = token.encode()
        self._last = 0

    def add(self, at: float, method: str, path: str, query: str) -> Entry:
        """Record a request's arrival and return its entry."""
        self._last += 1
        entry = Entry(self._last, at, method, path, query, None, b"")
        self._entries.append(entry)
        return entry

    def clear(self) -> None:
        """Forget all requests so far."""
        self._entries = []

    def as_json(self, since: int = 0) -> bytes:
        """Return the entries after `since` as a JSON list, the token hidden wherever it stood."""
        shown = [_shown(entry) for entry in self._entries if entry.seq > since]
        return orjson.dumps(shown).replace(self._hidden, HIDDEN.encode())


def _shown(entry: Entry) -> dict[str, Any]:
    query = dict(parse_qsl(entry.query, keep_blank_values=True))
    if "api_token" in query:
        query["api_token"] = HIDDEN
    return {
        "seq": entry.seq,
        "at": entry.at,
        "method": entry.method,
        "path": entry.path,
        "query": query,
        "lead_id": entry.lead_id,
        "body": _body(entry.body),
        "status": entry.status,
        "tokens": entry.tokens,
        "fault": entry.fault,
        "wrote": entry.wrote,
    }


def _body(raw: bytes) -> object:
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None
