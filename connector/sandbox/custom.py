"""Custom fields on the wire: their keys, what a write may say, what a read shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connector.sandbox import values
from connector.sandbox.directory import (
    DEFAULT_CURRENCY,
    FIELDS,
    ORGANIZATION_IDS,
    PERSON_IDS,
    USER_IDS,
    CustomField,
    user_ids,
)
from connector.sandbox.settings import Settings

Lead = dict[str, Any]

TEXTS: Final = frozenset({"varchar", "varchar_auto", "phone", "text", "address"})
REFERENCES: Final = frozenset({"user", "org", "people"})
ADDRESS_PARTS: Final = (
    "_subpremise",
    "_street_number",
    "_route",
    "_sublocality",
    "_locality",
    "_admin_area_level_1",
    "_admin_area_level_2",
    "_country",
    "_postal_code",
    "_formatted_address",
)

_CHECKS: Final[Mapping[str, Callable[[CustomField], values.Check]]] = {
    "varchar": lambda _: values.text(255),
    "varchar_auto": lambda _: values.text(255),
    "phone": lambda _: values.text(255),
    "text": lambda _: values.text(65_535),
    "address": lambda _: values.text(),
    "double": lambda _: values.decimal,
    "monetary": lambda _: values.number,
    "enum": lambda field: values.option(field.known_options, "any"),
    "set": lambda field: values.option_list(field.known_options),
    "user": lambda _: values.known_id(USER_IDS, "user"),
    "org": lambda _: values.known_id(ORGANIZATION_IDS, "organization"),
    "people": lambda _: values.known_id(PERSON_IDS, "person"),
    "date": lambda _: values.day,
    "daterange": lambda _: values.day,
    "time": lambda _: values.clock,
    "timerange": lambda _: values.clock,
}
_COMPANIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "monetary": ("_currency",),
    "daterange": ("_until",),
    "timerange": ("_until",),
    "address": ADDRESS_PARTS,
}


@dataclass(frozen=True, slots=True)
class WireKey:
    """A key that a lead may carry for a custom field: the field's own, or a companion's."""

    field: CustomField
    check: values.Check
    own: bool
    writable: bool


def _wire_keys() -> dict[str, WireKey]:
    keys: dict[str, WireKey] = {}
    for field in FIELDS:
        check = _CHECKS[field.field_type](field)
        keys[field.key] = WireKey(field, check, own=True, writable=True)
        for suffix in _COMPANIONS.get(field.field_type, ()):
            part = values.currency if suffix == "_currency" else check
            writable = field.field_type != "address"
            keys[field.key + suffix] = WireKey(field, part, own=False, writable=writable)
    return keys


WIRE_KEYS: Final[Mapping[str, WireKey]] = _wire_keys()
_ENUMS: Final = tuple(field.key for field in FIELDS if field.field_type == "enum")
_REFERENCES: Final = tuple(field.key for field in FIELDS if field.field_type in REFERENCES)


def complaint(wire: WireKey, value: object, settings: Settings) -> str | None:
    """Say what is wrong with a value for a custom key; null is judged by `readings`."""
    if value is None:
        return None
    match wire.field.field_type:
        case "enum":
            return values.option(wire.field.known_options, settings.enum_write)(value)
        case "user":
            return values.known_id(user_ids(settings.users), "user")(value)
        case "double" if settings.long_decimals == "round":
            return values.number(value)
    return wire.check(value)


def applied(lead: Lead, key: str, value: object, settings: Settings) -> None:
    """Put one written custom value into `lead`, with what follows from it."""
    wire = WIRE_KEYS[key]
    clears = value == "" and wire.field.field_type in TEXTS and settings.empty_text == "clear"
    if value is None or clears:
        _clear(lead, key, wire)
    else:
        lead[key] = str(value) if wire.field.field_type == "enum" else value
        _follow(lead, wire)


def _clear(lead: Lead, key: str, wire: WireKey) -> None:
    lead.pop(key, None)
    for suffix in _COMPANIONS.get(wire.field.field_type, ()) if wire.own else ():
        lead.pop(key + suffix, None)


def _follow(lead: Lead, wire: WireKey) -> None:
    key = wire.field.key
    if wire.field.field_type == "monetary" and key in lead:
        lead.setdefault(f"{key}_currency", DEFAULT_CURRENCY)
    if wire.field.field_type == "address":
        lead.update(derived_address(key, lead[key]))


def derived_address(key: str, address: str) -> Lead:
    """Return the read-only parts that an address string gives (which ones is assumed)."""
    parts = [part.strip() for part in address.split(",")]
    return {
        f"{key}_route": parts[0],
        f"{key}_country": parts[-1],
        f"{key}_formatted_address": address,
    }


def as_read(lead: Lead, settings: Settings) -> Lead:
    """Return a stored lead as the API shows it under these settings."""
    if settings.reads_as_stored:
        return lead
    shown = dict(lead)
    if settings.enum_form == "int":
        shown.update({key: int(lead[key]) for key in _ENUMS if str(lead.get(key)).isdigit()})
    if settings.reference_form != "id":
        inner = settings.reference_form.removeprefix("object_")
        shown.update({key: _reference(lead[key], inner) for key in _REFERENCES if key in lead})
    if settings.cleared == "null":
        shown.update({key: None for key in WIRE_KEYS if key not in lead})
    if settings.source_deal_id:
        shown["source_deal_id"] = lead.get("source_deal_id")
    return shown


def _reference(value: object, inner: str) -> object:
    return {inner: value, "name": f"Item {value}"} if isinstance(value, int) else value
