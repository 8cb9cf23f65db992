"""POST /leads and DELETE /leads/{id}: a lead's beginning and its end."""

from __future__ import annotations

import uuid
from typing import Final

from connector.sandbox import custom, directory, patching, replies, values
from connector.sandbox.readings import CONTACT, Body
from connector.sandbox.replies import Reply
from connector.sandbox.settings import Settings
from connector.sandbox.store import LeadStore, blank

_ORIGIN_ID: Final = values.optional(values.text())


def add(store: LeadStore, content_type: bytes, raw: bytes, settings: Settings) -> Reply:
    """Make a lead: a title and a person or an organization are required (documented)."""
    body = patching.parsed(content_type, raw, settings)
    if isinstance(body, Reply):
        return body
    if refused := _complaint(body):
        return refused
    origin_id = body.get("origin_id")
    rest = {key: value for key, value in body.items() if key not in {"origin_id", "is_archived"}}
    lead = {
        **blank(str(uuid.uuid4())),
        "owner_id": directory.ME["id"],
        "creator_id": directory.ME["id"],
        "organization_id": None,
        "origin_id": origin_id,
    }
    if refused := patching.complaint({**lead, "organization_id": 0}, rest, settings):
        return refused
    made = {**patching.merged(lead, rest, settings), "update_time": lead["add_time"]}
    store.add(made)
    return replies.ok(custom.as_read(made, settings), status=201, wrote=True)


def _complaint(body: Body) -> Reply | None:
    if body.get("title") is None or not str(body["title"]).strip():
        return replies.invalid('"title" is required')
    if all(body.get(key) is None for key in CONTACT):
        return patching.without_contact()
    if wrong := _ORIGIN_ID(body.get("origin_id")):
        return replies.invalid(f'"origin_id" {wrong}')
    return None


def delete(store: LeadStore, lead_id: str, settings: Settings) -> Reply:
    """Delete a lead, archived or not (assumed), and answer with its id."""
    if not store.delete(lead_id):
        return replies.not_found(settings.not_found_text)
    return replies.ok({"id": lead_id}, wrote=True)
