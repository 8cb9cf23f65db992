"""What is wanted × what is → the smallest PATCH, nothing, or the reason why not. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connector.planning.bases import agree, standing_of
from connector.planning.columns import UPDATED_AT, Columns, OnConflict
from connector.planning.desired import (
    WRITE_A_TIME,
    Desired,
    RowRejected,
    desired_of,
    keep_one_of,
    lead_id_of,
    moment_of,
    newest,
    shown,
)
from connector.planning.look import conditions_of
from connector.planning.model import (
    Change,
    Conflict,
    Decision,
    Lead,
    NotSent,
    Planned,
    Row,
    Unchanged,
)
from connector.records.definitions import companions_of_cleared
from connector.records.fields import Field, Values, pick
from connector.records.kinds import Normal
from connector.records.leads import LEADS, STANDARD_FIELDS

ARCHIVED = next(field for field in STANDARD_FIELDS if field.key == LEADS.archive_key)


def decide(
    rows: Sequence[Row],
    current: Lead | None,
    columns: Columns,
    *,
    unarchive: bool = False,
    base: Values | None = None,
) -> Decision:
    """Decides on one lead.

    Args:
        rows: The lead's rows of the desired table, at least one.
        current: The lead as it is, or None for one that Pipedrive does not have.
        columns: What the table's columns manage.
        unarchive: Whether `is_archived = false` may bring an archived lead back.
        base: What both sides last agreed on of each field; None where that is not kept.
    """
    given = rows[0]["lead_id"]
    try:
        lead_id = lead_id_of(rows[0])
    except RowRejected as error:
        return NotSent(None if given is None else str(given), "rejected", str(error))
    try:
        row = newest(rows)
        desired = desired_of(row, columns)
        if current is None:
            return NotSent(lead_id, "not_found", "no such lead: deleted, converted or merged")
        change = difference(desired, current, columns.only_if_blank)
        edits = Edits(current, base, row)
        decision: Decision = Unchanged(lead_id, desired.kept_nulls)
        if change.body:
            decision = _what_is_sent(change, desired, columns, edits, unarchive=unarchive)
    except RowRejected as error:
        return NotSent(lead_id, "rejected", str(error), error.rows)
    return decision if base is None else _agreed(decision, desired, change, columns, edits)


def _what_is_sent(
    change: Change, desired: Desired, columns: Columns, edits: Edits, *, unarchive: bool
) -> Decision:
    """Returns what becomes of a change: all of it is sent, a part, or nothing for a reason."""
    lead_id, current, fields = desired.lead_id, edits.current, desired.fields
    conflicts = tuple(conflicts_of(change.body, fields, columns, edits))
    left = change.without(one.field for one in conflicts)
    left = replace(left, conditions=conditions_of(left.body, desired, columns))
    if conflicts and (stops_lead(conflicts, columns) or not left.body):
        return conflicting(lead_id, conflicts)
    keep_one_of(left.body, current)
    decision = planned(lead_id, left, current, conflicts, fields, unarchive=unarchive)
    if isinstance(decision, Planned):
        return replace(decision, kept_nulls=desired.kept_nulls)
    return decision


def _agreed(
    decision: Decision, desired: Desired, change: Change, columns: Columns, edits: Edits
) -> Decision:
    """Adds to a decision what row and lead agree on, which is never what is still to be sent.

    Of a field that is sent, the part that does not differ is agreed on; of one that is not sent
    for a reason, nothing is.
    """
    base, current = edits.base or {}, edits.current
    kept = () if isinstance(decision, Unchanged) else [one.field for one in decision.conflicts]
    compared = [
        field
        for field in desired.fields
        if field not in kept and (field.key not in columns.only_if_blank or field.is_blank(current))
    ]
    sent = [field for field in compared if not change.body.keys().isdisjoint(field.keys)]
    if not isinstance(decision, Planned):
        compared = [field for field in compared if field not in sent]
    moved = agree(base, compared, change.body, current)
    decision = replace(decision, base=None if moved == base else moved)
    if not isinstance(decision, Planned):
        return decision
    unagreed = [
        field
        for field in sent
        if columns.conflict_rule(field) != "warehouse"
        and standing_of(field, base, current) == "unagreed"
    ]
    return replace(decision, unagreed=len(unagreed))


def difference(desired: Desired, current: Lead, only_if_blank: Collection[str] = ()) -> Change:
    """Returns the smallest change that brings a lead to what is wanted, maybe an empty one.

    Args:
        desired: What is wanted.
        current: The lead as it is.
        only_if_blank: Keys of fields that are filled and never overwritten.

    Raises:
        RowRejected: A half that the row leaves to the lead is not there either.
    """
    body: dict[str, Any] = {}
    before: dict[str, Any] = {}
    for field, wanted in desired.fields.items():
        have = field.read(current)
        if field.key in only_if_blank and not field.is_blank(current):
            continue
        value = _complete(field, wanted, have, desired)
        if value != have:
            changed = field.with_companions(field.write(value, have), current)
            body |= changed
            before |= field.before(changed, current)
    return Change(body, before)


def planned(
    lead_id: str,
    change: Change,
    current: Lead,
    conflicts: tuple[Conflict, ...],
    fields: Iterable[Field],
    *,
    unarchive: bool,
) -> Decision:
    """Returns what a change comes to: nothing, one PATCH, two where it un-archives, or why none.

    Args:
        lead_id: The lead.
        change: What is to be sent, un-archiving left out.
        current: The lead as it is.
        conflicts: What of the row is not sent, as somebody has edited it.
        fields: The leads' fields.
        unarchive: Whether an archived lead may be brought back for it.
    """
    if not change.body:
        return Unchanged(lead_id)
    if not current.get("is_archived"):
        return Planned(lead_id, (change,), conflicts=conflicts)
    if ARCHIVED.key not in change.body:
        return NotSent(lead_id, "archived", _archived_reason(change, fields))
    if not unarchive:
        reason = "archived in Pipedrive; is_archived false needs `unarchive = true` in config"
        return NotSent(lead_id, "archived", reason)
    conditions = {key: one for key, one in change.conditions.items() if key == ARCHIVED.key}
    first = Change({ARCHIVED.key: False}, {ARCHIVED.key: True}, conditions)
    rest = change.without([ARCHIVED])
    return Planned(lead_id, (first, rest) if rest.body else (first,), conflicts=conflicts)


def conflicting(lead_id: str, conflicts: tuple[Conflict, ...]) -> NotSent:
    """Returns the outcome that tells which fields are kept as they are in the CRM."""
    return NotSent(lead_id, "conflict", "; ".join(map(str, conflicts)), conflicts=conflicts)


def _complete(field: Field, wanted: Normal, have: Normal, desired: Desired) -> Normal:
    try:
        return field.complete(wanted, have)
    except ValueError as error:
        raise RowRejected(f"{desired.source(field)} {error}") from None


def _archived_reason(change: Change, fields: Iterable[Field]) -> str:
    names = ", ".join(
        field.name for field in fields if not change.body.keys().isdisjoint(field.keys)
    )
    return f"archived in Pipedrive, so it may not be edited; differs in {names}"


@dataclass(frozen=True)
class Edits:
    """What is known of one lead's fields besides what they are and what they shall be.

    Attributes:
        current: The lead as it is.
        base: What both sides last agreed on of each field; None where that is not kept.
        row: The row of the desired table.
    """

    current: Lead
    base: Values | None
    row: Row


def conflicts_of(
    body: Mapping[str, Any], fields: Iterable[Field], columns: Columns, edits: Edits
) -> Iterator[Conflict]:
    """Yields the fields of a body that must not be sent, by the rule of each.

    Args:
        body: The body that would be sent.
        fields: The fields that the row manages.
        columns: The rules.
        edits: The lead, and what was last agreed on of it.

    Raises:
        RowRejected: A rule needs a time of the row that is not there.
    """
    gone = dict.fromkeys(companions_of_cleared(body))
    for field in fields:
        is_sent = not body.keys().isdisjoint(field.keys)
        if is_sent and (why := _kept(field, columns, edits)):
            expected, current = (pick(one, field.keys) for one in (edits.base or {}, edits.current))
            wanted = pick({**edits.current, **gone, **body}, field.keys)
            yield Conflict(field, expected, current, wanted, why)


def stops_lead(conflicts: Iterable[Conflict], columns: Columns) -> bool:
    """Tells whether a conflict keeps the whole lead from being written."""
    return any(columns.conflict_rule(one.field) == "fail" for one in conflicts)


def _kept(field: Field, columns: Columns, edits: Edits) -> str:
    """Tells why a value stays, or an empty text: only one edited since the agreement ever does."""
    rule: OnConflict = columns.conflict_rule(field)
    if rule == "warehouse" or standing_of(field, edits.base or {}, edits.current) != "edited":
        return ""
    if rule == "newest":
        return _newer_in_crm(edits)
    return f"changed in Pipedrive since both sides agreed (on_conflict {rule})"


def _newer_in_crm(edits: Edits) -> str:
    """Tells that Pipedrive's value is not older than the row's, or an empty text."""
    row, lead = _row_time(edits.row), moment_of(edits.current.get("update_time"))
    if lead is not None and row > lead:
        return ""
    updated = "at an unknown time" if lead is None else f"{lead:%Y-%m-%d %H:%M:%S} UTC"
    rows = f"{row:%Y-%m-%d %H:%M:%S} UTC"
    return f"the lead was updated {updated}, the row {rows} (on_conflict newest)"


def _row_time(row: Row) -> datetime:
    value = row.get(UPDATED_AT)
    moment = moment_of(value)
    if moment is None:
        raise RowRejected(
            f"{UPDATED_AT} {shown(value)} is no time, and on_conflict newest needs one; "
            f"{WRITE_A_TIME}"
        )
    return moment
