"""PATCH /leads/{id}: what a body may say, and the lead it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from connector.sandbox import clock, custom, replies, values
from connector.sandbox.custom import WIRE_KEYS, Lead
from connector.sandbox.directory import CHANNELS, USER_IDS, VISIBILITIES
from connector.sandbox.replies import Reply
from connector.sandbox.settings import Settings
from connector.sandbox.store import LeadStore

Body = Mapping[str, object]

STANDARD: Final[Mapping[str, values.Check]] = {
    "title": values.title,
    "owner_id": values.known_id(USER_IDS, "user"),
    "label_ids": values.labels,
    "person_id": values.optional(values.identifier),
    "organization_id": values.optional(values.identifier),
    "is_archived": values.boolean,
    "value": values.optional(values.money),
    "expected_close_date": values.optional(values.day),
    "visible_to": values.one_of(VISIBILITIES),
    "was_seen": values.boolean,
    "channel": values.optional(values.known_id(CHANNELS, "channel")),
    "channel_id": values.optional(values.text()),
}
_UNARCHIVE: Final[Body] = {"is_archived": False}


def patch(
    store: LeadStore, lead_id: str, content_type: bytes, raw: bytes, settings: Settings
) -> Reply:
    """Change a lead as a body says, or refuse the whole body.

    A body that is not JSON, not an object or empty is refused with 400, another content type
    with 415 (both assumed: the real effect is not known and no client may depend on it).
    """
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        return replies.refusal(415, "Unsupported media type", "The body must be application/json.")
    body = parsed(raw)
    if isinstance(body, Reply):
        return body
    lead = store.get(lead_id)
    if lead is None:
        return replies.not_found()
    if refused := complaint(lead, body, settings):
        return refused
    made = merged(lead, body, settings)
    store.put(made)
    return replies.ok(custom.as_read(made, settings), wrote=True)


def parsed(raw: bytes) -> Body | Reply:
    """Return the object in a body, or the 400 that says why there is none."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return replies.refusal(400, "Bad request", "The body is not valid JSON.")
    if not isinstance(body, dict):
        return replies.invalid('"value" must be of type object')
    return body or replies.invalid('"value" must have at least 1 key')


def complaint(lead: Lead, body: Body, settings: Settings) -> Reply | None:
    """Return why this lead does not take this body, naming one field, or None."""
    if lead["is_archived"] and not _unarchives(body):
        return replies.archived(settings.archived_status)
    for key, value in body.items():
        if wrong := _value_complaint(key, value, settings):
            return replies.invalid(f'"{key}" {wrong}')
    return _contact_complaint(lead, body)


def _unarchives(body: Body) -> bool:
    return body == _UNARCHIVE and body["is_archived"] is False


def _value_complaint(key: str, value: object, settings: Settings) -> str | None:
    if check := STANDARD.get(key):
        return check(value)
    wire = WIRE_KEYS.get(key)
    if wire is not None and wire.writable:
        return custom.complaint(wire, value, settings)
    return "is not allowed" if settings.unknown_keys == "refuse" else None


def _contact_complaint(lead: Lead, body: Body) -> Reply | None:
    contact = ("person_id", "organization_id")
    if body.keys().isdisjoint(contact) or any(body.get(k, lead[k]) is not None for k in contact):
        return None
    return replies.invalid('"person_id" or "organization_id" must be set: a lead needs one of them')


def merged(lead: Lead, body: Body, settings: Settings) -> Lead:
    """Return the lead with an accepted body in it and `update_time` moved on."""
    made = dict(lead)
    for key, value in body.items():
        if key in STANDARD:
            made[key] = value
        elif key in WIRE_KEYS and WIRE_KEYS[key].writable:
            custom.applied(made, key, value, settings)
    if settings.noop_bumps or made != lead:
        made["update_time"] = clock.later_than(lead["update_time"])
    return made
