"""Values whose effect Pipedrive's documentation leaves open, and what a setting makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connector.sandbox.custom import TEXTS, WIRE_KEYS, Lead
from connector.sandbox.settings import Settings
from connector.sandbox.values import MAX_DECIMALS

Body = Mapping[str, object]

CONTACT: Final = ("person_id", "organization_id")
_OF_NULL: Final[Mapping[str, str]] = {
    "title": "title_null",
    "owner_id": "owner_null",
    "visible_to": "visible_null",
    "label_ids": "labels_null",
}
_LOWER_PLANS: Final = frozenset({"lite", "growth"})
_CENTS: Final = 2
_QUIET: Final[Mapping[str, frozenset[str]]] = {
    "none": frozenset(),
    "seen_and_labels": frozenset({"was_seen", "label_ids"}),
    "custom": frozenset(WIRE_KEYS),
}


def reading(key: str, value: object, settings: Settings) -> str | None:
    """Return `refuse`, `ignore` or `take` for a value in doubt, None where its effect is known."""
    if value is None:
        setting = "custom_null" if key in WIRE_KEYS else _OF_NULL.get(key)
        return getattr(settings, setting) if setting else None
    match key, value:
        case "title", str() if not value.strip():
            return settings.title_empty
        case "label_ids", []:
            return settings.labels_empty
        case "visible_to", "5" | "7" if settings.plan in _LOWER_PLANS:
            return settings.visible_beyond_plan
        case "value", {"amount": int() | float() as amount} if amount < 0:
            return settings.negative_amount
    return None


def leaves_no_contact(lead: Lead, body: Body) -> bool:
    """Say whether a body takes away the last of a lead's person and organization."""
    named = not body.keys().isdisjoint(CONTACT)
    return named and all(body.get(key, lead[key]) is None for key in CONTACT)


def effective(lead: Lead, body: Body, settings: Settings) -> dict[str, Any]:
    """Return the part of an accepted body that takes effect, its values tidied."""
    ignored = {key for key, value in body.items() if reading(key, value, settings) == "ignore"}
    if settings.contact_null == "ignore" and leaves_no_contact(lead, body):
        ignored.update(CONTACT)
    kept = {key: value for key, value in body.items() if key not in ignored}
    if kept.get("label_ids", []) is None:
        kept["label_ids"] = []
    return {key: _tidied(key, value, settings) for key, value in kept.items()}


def is_quiet(before: Lead, after: Lead, settings: Settings) -> bool:
    """Say whether all that differs between two states leaves `update_time` as it is."""
    keys = before.keys() | after.keys()
    changed = {key for key in keys if before.get(key) != after.get(key)}
    return bool(changed) and changed <= _QUIET[settings.quiet_keys]


def _tidied(key: str, value: Any, settings: Settings) -> Any:
    wire = WIRE_KEYS.get(key)
    sort = wire.field.field_type if wire and wire.own else ""
    rounds = settings.amount_tidied == "round"
    match value:
        case str() if settings.text_tidied == "trim" and _is_text(key, sort):
            return value.strip()
        case {"amount": amount} if key == "value" and rounds:
            return {**value, "amount": round(amount, _CENTS)}
        case int() | float() if sort == "monetary" and rounds:
            return round(value, _CENTS)
        case float() if sort == "double":
            return round(value, MAX_DECIMALS)
    return value


def _is_text(key: str, field_type: str) -> bool:
    return key in {"title", "channel_id"} or field_type in TEXTS
