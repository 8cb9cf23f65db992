"""An account with a custom field of every type, and short ways to compare one lead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from connector.planning.columns import Columns, map_columns
from connector.planning.diff import decide
from connector.planning.model import Change, Decision, NotSent, Planned, Unchanged
from connector.planning.truth import effect_of
from connector.records.definitions import custom_fields
from connector.records.fields import Field, by_key
from connector.records.leads import STANDARD_FIELDS

LEAD_ID = "adf21080-0e10-11eb-879b-05d71fb426ec"
HOT = "0a1b2c3d-0e10-11eb-879b-05d71fb426ec"
COLD = "f0e1d2c3-0e10-11eb-879b-05d71fb426ec"
Lead = dict[str, Any]
Row = dict[str, Any]

TYPES = (
    *("varchar", "varchar_auto", "phone", "text", "address", "double", "monetary", "enum"),
    *("set", "user", "org", "people", "date", "daterange", "time", "timerange"),
)
OPTIONS = [{"id": 190, "label": "Gold"}, {"id": 191, "label": "Silver"}, {"id": 7, "label": "Tin"}]


def key_of(name: str) -> str:
    """Returns the key of the custom field of a type."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


DEFINITIONS: list[dict[str, Any]] = [
    {"key": key_of(one), "name": f"My {one}", "field_type": one, "options": OPTIONS}
    for one in TYPES
]
FIELDS: tuple[Field, ...] = (*STANDARD_FIELDS, *custom_fields(DEFINITIONS))
BY_KEY: Mapping[str, Field] = by_key(FIELDS)

SCORE, NOTE, SHORT = key_of("double"), key_of("text"), key_of("varchar")

LEAD: Lead = {
    "id": LEAD_ID,
    "title": "Pilot",
    "owner_id": 1001,
    "label_ids": [HOT],
    "person_id": 11,
    "organization_id": 22,
    "is_archived": False,
    "value": {"amount": 100, "currency": "EUR"},
    "expected_close_date": "2026-12-31",
    "visible_to": "3",
    "was_seen": True,
    "channel": 52,
    "channel_id": "Spring",
    SCORE: 7.5,
    NOTE: "Asked for a quote.",
}
"""A lead that has everything."""

BARE: Lead = {"id": LEAD_ID, "title": "Bare", "owner_id": 1001, "organization_id": 22}
"""A lead that has next to nothing, not even as null."""


def columns_of(*rows: Row, timezone: str = "UTC") -> Columns:
    """Maps the columns that some rows of one table have."""
    names = dict.fromkeys(name for row in rows for name in row)
    return map_columns(list(names), FIELDS, None, timezone)


def decided(
    cells: Row, lead: Lead | None = LEAD, *, unarchive: bool = False, timezone: str = "UTC"
) -> Decision:
    """Decides on the lead for one row with these cells."""
    row = {"lead_id": LEAD_ID, **cells}
    return decide([row], lead, columns_of(row, timezone=timezone), unarchive=unarchive)


def change_of(cells: Row, lead: Lead = LEAD, *, timezone: str = "UTC") -> Change:
    """Returns the only change that the cells want; an empty one where the lead has them."""
    decision = decided(cells, lead, timezone=timezone)
    if isinstance(decision, Unchanged):
        return Change({}, {})
    assert isinstance(decision, Planned), decision
    [change] = decision.changes
    return change


def body_of(cells: Row, lead: Lead = LEAD, *, timezone: str = "UTC") -> Row:
    """Returns the body that the cells ask for."""
    return change_of(cells, lead, timezone=timezone).body


def refusal_of(cells: Row, lead: Lead = LEAD, *, timezone: str = "UTC") -> str:
    """Returns why the row is rejected."""
    decision = decided(cells, lead, timezone=timezone)
    assert isinstance(decision, NotSent), decision
    assert decision.status == "rejected"
    return decision.reason


def shows(body: Row, lead: Lead, fields: Mapping[str, Field] = BY_KEY) -> bool:
    """Tell whether a lead has everything that a body asked for."""
    return effect_of({}, body, lead, fields).is_whole
