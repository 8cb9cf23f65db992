"""The fields of a lead: the standard ones, and an account's custom ones by their definition.

Which standard fields can be cleared is from Pipedrive's published description; where it is
silent or says more than is known to be true (a null title), the field counts as not
clearable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.kinds import KINDS, Json, Kind, Normal


@dataclass(frozen=True)
class Field:
    """One field of a lead.

    Attributes:
        key: Its key on the wire.
        name: What the CRM's users call it.
        kind: How its values are read, compared and written.
        clearable: Whether NULL can clear it.
    """

    key: str
    name: str
    kind: Kind = field(repr=False, compare=False)
    clearable: bool = True

    def read(self, lead: Mapping[str, Json]) -> Normal:
        """Returns the field's normal form in a lead; absent and null both mean unset."""
        return self.kind.read(lead.get(self.key))

    def write(self, value: Normal) -> Json:
        """Returns the wire form that sets this normal form, or clears for None."""
        return self.kind.cleared if value is None else self.kind.write(value)


STANDARD_FIELDS = (
    Field("title", "Title", KINDS["title"], clearable=False),
    Field("owner_id", "Owner", KINDS["id"], clearable=False),
    Field("label_ids", "Labels", KINDS["labels"]),
    Field("person_id", "Person", KINDS["id"]),
    Field("organization_id", "Organization", KINDS["id"]),
    Field("is_archived", "Archived", KINDS["boolean"], clearable=False),
    Field("value", "Value", KINDS["money"]),
    Field("expected_close_date", "Expected close date", KINDS["date"]),
    Field("visible_to", "Visible to", KINDS["visibility"], clearable=False),
    Field("was_seen", "Seen", KINDS["boolean"], clearable=False),
    Field("channel", "Channel", KINDS["id"]),
    Field("channel_id", "Channel ID", KINDS["text"]),
)

READ_ONLY = frozenset(
    {
        "id",
        "creator_id",
        "source_name",
        "origin",
        "origin_id",
        "source_deal_id",
        "next_activity_id",
        "add_time",
        "update_time",
        "cc_email",
    }
)
"""Fields of a lead that no PATCH changes (published description)."""

CUSTOM_KINDS = {
    "varchar": KINDS["varchar"],
    "varchar_auto": KINDS["varchar"],
    "phone": KINDS["varchar"],
    "text": KINDS["text"],
    "double": KINDS["number"],
}
"""Which kind each `field_type` of a custom field is."""


def is_custom_key(name: str) -> bool:
    """Tells whether a name is a custom field's key: 40 hexadecimal digits."""
    return len(name) == 40 and set(name.lower()) <= set("0123456789abcdef")


def custom_fields(definitions: Iterable[Mapping[str, Any]]) -> list[Field]:
    """Returns the custom fields that can be written, out of the account's definitions."""
    return [
        Field(str(one["key"]), str(one.get("name")), CUSTOM_KINDS[one["field_type"]])
        for one in definitions
        if is_custom_key(str(one.get("key"))) and one.get("field_type") in CUSTOM_KINDS
    ]
