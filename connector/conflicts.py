"""Edits in the CRM: what was last written × what is × what is wanted. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from connector.columns import UPDATED_AT, Columns, OnConflict
from connector.desired import Row, RowRejected, shown
from connector.fields import Field, base_key
from connector.text import visible

Lead = Mapping[str, Any]


@dataclass(frozen=True)
class Conflict:
    """A field whose value in the CRM stays, as it is not the one that was expected there.

    Attributes:
        expected: What should be there: as it was last written, or as it was when planned.
        current: What is there.
        wanted: What would have been written.
        why: Which rule keeps it.
    """

    field: Field
    expected: Any
    current: Any
    wanted: Any
    why: str

    def __str__(self) -> str:
        values = (self.expected, self.current, self.wanted)
        expected, current, wanted = (visible(self.field.show(one)) for one in values)
        named = visible(self.field.name)
        return f"{named}: expected {expected}, is {current}, wanted {wanted}; {self.why}"


@dataclass(frozen=True)
class Edits:
    """What is known of one lead's fields besides what they are and what they shall be.

    Attributes:
        current: The lead as it is.
        written: What was last written of each field that ever was.
        row: The row of the desired table.
    """

    current: Lead
    written: Mapping[str, Any]
    row: Row

    def is_edited(self, field: Field) -> bool:
        """Tells whether a value was changed in the CRM since it was last written."""
        return field.key in self.written and field.read(self.written) != field.read(self.current)

    def is_ours(self, field: Field) -> bool:
        """Tells whether a value is still the one that was last written."""
        return field.key in self.written and not self.is_edited(field)


def conflicts_of(
    body: Mapping[str, Any], fields: Iterable[Field], columns: Columns, edits: Edits
) -> list[Conflict]:
    """Returns the fields of a body that must not be sent, by the rule of each.

    A field of two keys, such as an amount and its currency, is kept or sent as one.

    Raises:
        RowRejected: A rule needs a time of the row that is not there.
    """
    changed = [field for field in fields if field.key in body]
    reasons = {
        base_key(field.key): why for field in changed if (why := _kept(field, columns, edits))
    }
    return [
        Conflict(
            field,
            edits.written.get(field.key),
            edits.current.get(field.key),
            body[field.key],
            reasons[base_key(field.key)],
        )
        for field in changed
        if base_key(field.key) in reasons
    ]


def stops_lead(conflicts: Iterable[Conflict], columns: Columns) -> bool:
    """Tells whether a conflict keeps the whole lead from being written."""
    return any(columns.conflict_rule(one.field) == "fail" for one in conflicts)


def _kept(field: Field, columns: Columns, edits: Edits) -> str:
    rule: OnConflict = columns.conflict_rule(field)
    if rule == "newest":
        return "" if edits.is_ours(field) else _newer_in_crm(edits)
    if rule == "warehouse" or not edits.is_edited(field):
        return ""
    return f"changed in Pipedrive since it was last written (on_conflict {rule})"


def _newer_in_crm(edits: Edits) -> str:
    """Tells that Pipedrive's value is not older than the row's, or an empty text."""
    row, lead = _row_time(edits.row), _moment(edits.current.get("update_time"))
    if lead is not None and row > lead:
        return ""
    updated = "at an unknown time" if lead is None else f"{lead:%Y-%m-%d %H:%M:%S}"
    return f"the lead was updated {updated}, the row {row:%Y-%m-%d %H:%M:%S} (on_conflict newest)"


def _row_time(row: Row) -> datetime:
    value = row.get(UPDATED_AT)
    moment = _moment(value)
    if moment is None:
        raise RowRejected(
            f"{UPDATED_AT} {shown(value)} is no time, and on_conflict newest needs one; "
            "write it like 2026-12-31 23:59:59"
        )
    return moment


def _moment(value: Any) -> datetime | None:
    """Reads a time; one without a zone is in UTC, as Pipedrive's are (observed)."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
