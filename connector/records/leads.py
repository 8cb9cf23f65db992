"""What a lead is: the one place that says so. No I/O.

Which standard fields can be cleared is from Pipedrive's published description; where it is
silent or says more than is known to be true (a null title), the field counts as not
clearable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from connector.records.fields import Field, LabelField, PairField
from connector.records.kinds import (
    BOOLEAN,
    CURRENCY,
    DATE,
    ID,
    NUMBER,
    TEXT,
    TITLE,
    VISIBILITY,
    Labels,
    Reference,
    parse_uuid,
)
from connector.records.options import NO_OPTIONS, Options

ColumnType = Literal["text", "bigint", "bool", "date", "timestamp", "json", "decimal"]


@dataclass(frozen=True)
class Tokens:
    """What calls cost, in Pipedrive's tokens, whatever their page size (documented)."""

    page: int
    archived_page: int
    one: int
    patch: int
    definitions: int


@dataclass(frozen=True)
class RecordType:
    """A type of Pipedrive's records, and all that differs from one type to another.

    Attributes:
        name: What one of them is called.
        path: Of the list, below `/api/v1`; a record is at the path and its id.
        archived_path: Of the list of archived ones.
        fields_path: Of the definitions of their fields.
        page_limit: Most rows on a page, of records and of definitions (documented).
        tokens: What calls cost.
        read_only: Keys that no PATCH changes (published description).
        aliases: Column names beside a field's own, with the field's key and the part.
        archive_key: The field that says whether one is archived, and so may not be edited.
        one_of: Fields of which a record must keep one.
        mirror: The mirror's columns of what the API returns, with their types.
        table: The mirror's name.
    """

    name: str
    path: str
    archived_path: str
    fields_path: str
    page_limit: int
    tokens: Tokens
    read_only: frozenset[str]
    aliases: Mapping[str, tuple[str, str]]
    archive_key: str
    one_of: tuple[str, ...]
    mirror: Mapping[str, ColumnType] = field(repr=False)
    table: str

    def list_tokens(self, records: int) -> int:
        """Returns what it costs to read a list of so many: one page at least."""
        return (-(-records // self.page_limit) or 1) * self.tokens.page


LEADS = RecordType(
    name="lead",
    path="/leads",
    archived_path="/leads/archived",
    fields_path="/leadFields",
    page_limit=500,
    tokens=Tokens(page=20, archived_page=40, one=2, patch=10, definitions=20),
    read_only=frozenset(
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
    ),
    aliases={
        "labels": ("label_ids", ""),
        "add_labels": ("label_ids", "add"),
        "remove_labels": ("label_ids", "remove"),
        "owner_email": ("owner_id", ""),
    },
    archive_key="is_archived",
    one_of=("person_id", "organization_id"),
    mirror={
        "id": "text",
        "title": "text",
        "owner_id": "bigint",
        "creator_id": "bigint",
        "label_ids": "json",
        "person_id": "bigint",
        "organization_id": "bigint",
        "source_name": "text",
        "origin": "text",
        "origin_id": "text",
        "channel": "bigint",
        "channel_id": "text",
        "source_deal_id": "bigint",
        "is_archived": "bool",
        "was_seen": "bool",
        "value_amount": "decimal",
        "value_currency": "text",
        "expected_close_date": "date",
        "next_activity_id": "bigint",
        "add_time": "timestamp",
        "update_time": "timestamp",
        "visible_to": "text",
        "cc_email": "text",
        "custom_fields": "json",
    },
    table="leads",
)


def standard_fields(labels: Options = NO_OPTIONS, users: Options = NO_OPTIONS) -> tuple[Field, ...]:
    """Returns the fields that every lead has.

    Args:
        labels: The account's lead labels, so that they can be given by name.
        users: Its users, so that an owner can be given by e-mail address.
    """
    owner = Reference(users)
    return (
        Field("title", "Title", TITLE, "varchar", clearable=False),
        Field("owner_id", "Owner", owner, "user", clearable=False, options=users),
        LabelField("label_ids", "Labels", Labels(labels), "labels", options=labels),
        Field("person_id", "Person", ID, "people"),
        Field("organization_id", "Organization", ID, "org"),
        Field("is_archived", "Archived", BOOLEAN, "boolean", clearable=False),
        VALUE,
        Field("expected_close_date", "Expected close date", DATE, "date"),
        Field("visible_to", "Visible to", VISIBILITY, "visible_to", clearable=False),
        Field("was_seen", "Seen", BOOLEAN, "boolean", clearable=False),
        Field("channel", "Channel", ID, "channel"),
        Field("channel_id", "Channel ID", TEXT, "varchar"),
    )


def lead_url(domain: str | None, lead_id: str | None) -> str | None:
    """Returns where a lead can be looked at; None where that is not known for certain.

    The path is what a browser shows at Pipedrive; no documentation has it.

    Args:
        domain: The company's part of the address.
        lead_id: The lead.
    """
    if not re.fullmatch(r"[A-Za-z0-9-]{1,63}", domain or "") or not lead_id:
        return None
    try:
        return f"https://{domain}.pipedrive.com/leads/inbox/{parse_uuid(lead_id)}"
    except ValueError:
        return None


VALUE = PairField(
    "value",
    "Value",
    NUMBER,
    "monetary",
    first="amount",
    second="currency",
    second_kind=CURRENCY,
    leads=True,
    nested=True,
)

STANDARD_FIELDS = standard_fields()
