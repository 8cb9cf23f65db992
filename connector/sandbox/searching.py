"""GET /leads/search: leads by words in their title or custom fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from connector.sandbox import replies
from connector.sandbox.custom import TEXTS, WIRE_KEYS, Lead
from connector.sandbox.listing import cut, window
from connector.sandbox.replies import Reply

FIELDS: Final = frozenset({"title", "custom_fields", "notes"})
_SHORTEST_TERM: Final = 2


def search(leads: Iterable[Lead], query: Mapping[str, str]) -> Reply:
    """Answer the leads that have a term, archived ones too; a lead's notes are not kept here."""
    try:
        found, more = cut(_matching(leads, query), window(query))
    except ValueError as wrong:
        return replies.refusal(400, "Bad request", str(wrong))
    seen = query.get("include_fields") == "lead.was_seen"
    items = [{"result_score": 1.0, "item": _item(lead, seen=seen)} for lead in found]
    part = window(query)
    paging: dict[str, object] = {"start": part.start, "limit": part.limit}
    paging["more_items_in_collection"] = more
    if more:
        paging["next_start"] = part.start + part.limit
    return replies.ok({"items": items}, {"pagination": paging})


def _matching(leads: Iterable[Lead], query: Mapping[str, str]) -> Iterator[Lead]:
    exact = query.get("exact_match", "false") in {"true", "1"}
    term = query.get("term", "").strip().casefold()
    if len(term) < (1 if exact else _SHORTEST_TERM):
        raise ValueError("term: at least 2 characters, or 1 with exact_match")
    fields = {name for name in query.get("fields", "").split(",") if name} or FIELDS
    if unknown := fields - FIELDS:
        raise ValueError(f"fields: unknown {', '.join(sorted(unknown))}")
    links = {key: int(query[key]) for key in ("person_id", "organization_id") if key in query}
    for lead in leads:
        linked = all(lead[key] == wanted for key, wanted in links.items())
        words = (str(text).casefold() for text in _texts(lead, fields))
        if linked and any(term == text if exact else term in text for text in words):
            yield lead


def _texts(lead: Lead, fields: frozenset[str] | set[str]) -> Iterator[object]:
    if "title" in fields:
        yield lead["title"]
    if "custom_fields" in fields:
        texts = (key for key in WIRE_KEYS.keys() & lead.keys() if WIRE_KEYS[key].own)
        yield from (lead[key] for key in texts if WIRE_KEYS[key].field.field_type in TEXTS)


def _item(lead: Lead, *, seen: bool) -> dict[str, Any]:
    value = lead["value"] or {}
    item = {
        "id": lead["id"],
        "type": "lead",
        "title": lead["title"],
        "owner": {"id": lead["owner_id"]},
        "person": _link(lead["person_id"], "Person"),
        "organization": _link(lead["organization_id"], "Organization"),
        "phones": [],
        "emails": [],
        "custom_fields": list(_texts(lead, {"custom_fields"})),
        "notes": [],
        "value": value.get("amount"),
        "currency": value.get("currency"),
        "visible_to": int(lead["visible_to"]),
        "is_archived": lead["is_archived"],
    }
    return {**item, "was_seen": lead["was_seen"]} if seen else item


def _link(number: int | None, noun: str) -> dict[str, Any] | None:
    return None if number is None else {"id": number, "name": f"{noun} {number}"}
