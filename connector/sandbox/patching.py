"""PATCH /leads/{id}: what a body may say, and the lead it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from connector.sandbox import clock, custom, readings, replies, values
from connector.sandbox.custom import WIRE_KEYS, Lead
from connector.sandbox.directory import (
    CHANNELS,
    ORGANIZATION_IDS,
    PERSON_IDS,
    VISIBILITIES,
    user_ids,
)
from connector.sandbox.readings import Body
from connector.sandbox.replies import Reply
from connector.sandbox.settings import Settings
from connector.sandbox.store import LeadStore

LONGEST_TITLE: Final = 255
STANDARD: Final[Mapping[str, values.Check]] = {
    "title": values.text(LONGEST_TITLE),
    "owner_id": values.integer,
    "label_ids": values.labels,
    "person_id": values.optional(values.known_id(PERSON_IDS, "person")),
    "organization_id": values.optional(values.known_id(ORGANIZATION_IDS, "organization")),
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
    body = parsed(content_type, raw, settings)
    if isinstance(body, Reply):
        return body
    lead = store.get(lead_id)
    if lead is None:
        return replies.not_found(settings.not_found_text)
    if refused := complaint(lead, body, settings):
        return refused
    made = merged(lead, body, settings)
    store.put(made)
    return replies.ok(custom.as_read(made, settings), wrote=True)


def parsed(content_type: bytes, raw: bytes, settings: Settings) -> Body | Reply:
    """Return the object in a body, or the refusal that says why there is none."""
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        return replies.refusal(415, "Unsupported media type", "The body must be application/json.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return replies.refusal(400, "Bad request", "The body is not valid JSON.")
    if not isinstance(body, dict):
        return replies.invalid('"value" must be of type object')
    if not body and settings.empty_body == "refuse":
        return replies.invalid('"value" must have at least 1 key')
    return body


def complaint(lead: Lead, body: Body, settings: Settings) -> Reply | None:
    """Return why this lead does not take this body, naming one field, or None."""
    if lead["is_archived"] and not _unarchives(body, settings):
        return replies.archived(settings.archived_status, settings.archived_text)
    for key, value in body.items():
        if wrong := _value_complaint(key, value, settings):
            return replies.invalid(f'"{key}" {wrong}')
    if settings.contact_null == "refuse" and readings.leaves_no_contact(lead, body):
        return without_contact()
    return None


def _unarchives(body: Body, settings: Settings) -> bool:
    alone = body == _UNARCHIVE or settings.unarchive == "with_others"
    return settings.unarchive != "never" and alone and body.get("is_archived") is False


def without_contact() -> Reply:
    """Return the refusal of a lead that would have neither person nor organization."""
    return replies.invalid('"person_id" or "organization_id" must be set: a lead needs one of them')


def _value_complaint(key: str, value: object, settings: Settings) -> str | None:
    reading = readings.reading(key, value, settings)
    if reading == "refuse":
        return _wrong(key, value, settings) or "is not allowed"
    if reading == "ignore" or (reading == "take" and value is None):
        return None
    return _wrong(key, value, settings)


def _wrong(key: str, value: object, settings: Settings) -> str | None:
    if key == "owner_id":
        return values.known_id(user_ids(settings.users), "user")(value)
    if check := STANDARD.get(key):
        return check(value)
    wire = WIRE_KEYS.get(key)
    if wire is not None and wire.writable:
        return custom.complaint(wire, value, settings)
    return "is not allowed" if settings.unknown_keys == "refuse" else None


def merged(lead: Lead, body: Body, settings: Settings) -> Lead:
    """Return the lead with an accepted body in it and `update_time` moved on."""
    made = dict(lead)
    for key, value in readings.effective(lead, body, settings).items():
        if key in STANDARD:
            empties = key == "channel_id" and value == "" and settings.empty_text == "clear"
            made[key] = None if empties else value
        elif key in WIRE_KEYS and WIRE_KEYS[key].writable:
            custom.applied(made, key, value, settings)
    if readings.is_quiet(lead, made, settings):
        return made
    if settings.noop_bumps or made != lead:
        made["update_time"] = clock.later_than(lead["update_time"])
    return made
