"""What is wanted × what is → the smallest PATCH, nothing, or the reason why not. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from connector.columns import Columns
from connector.conflicts import Conflict, Edits, conflicts_of, stops_lead
from connector.desired import Desired, Row, RowRejected, desired_of, lead_id_of, newest
from connector.fields import STANDARD_FIELDS, Field, companions_of_cleared
from connector.kinds import KINDS, Normal

Status = Literal[
    "applied",
    "ignored",
    "confirmed",
    "rejected",
    "failed",
    "not_found",
    "archived",
    "conflict",
    "deferred",
]
Lead = Mapping[str, Any]

ARCHIVED = next(field for field in STANDARD_FIELDS if field.key == "is_archived")


@dataclass(frozen=True)
class Change:
    """One PATCH: its body, and the same keys as they were.

    Attributes:
        before: Has as well what goes when the body clears a value, such as its currency.
    """

    body: dict[str, Any]
    before: dict[str, Any]

    def without(self, keys: Iterable[str]) -> Change:
        """Returns the change less some of its keys."""
        left = self.body.keys() - set(keys)
        return Change(
            {key: value for key, value in self.body.items() if key in left},
            {key: value for key, value in self.before.items() if key in left},
        )


@dataclass(frozen=True)
class Planned:
    """A lead that differs; nearly always one change, two where it is un-archived first.

    Attributes:
        conflicts: Fields that differ as well and are not written.
    """

    lead_id: str
    changes: tuple[Change, ...]
    kept_nulls: int = 0
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True)
class Unchanged:
    """A lead that already says what is wanted."""

    lead_id: str
    kept_nulls: int = 0


@dataclass(frozen=True)
class Settled:
    """A lead whose outcome is known without sending anything.

    Attributes:
        rows: How many rows of the desired table it is the outcome of.
        conflicts: The fields that it is about, for a conflict.
    """

    lead_id: str | None
    status: Status
    reason: str
    rows: int = 1
    conflicts: tuple[Conflict, ...] = ()


Decision = Planned | Unchanged | Settled


def decide(
    rows: Sequence[Row],
    current: Lead | None,
    columns: Columns,
    *,
    unarchive: bool = False,
    written: Mapping[str, Any] | None = None,
) -> Decision:
    """Decides on one lead.

    Args:
        rows: The lead's rows of the desired table, at least one.
        current: The lead as it is, or None for one that Pipedrive does not have.
        columns: What the table's columns manage.
        unarchive: Whether `is_archived = false` may bring an archived lead back.
        written: What was last written of each field that ever was.
    """
    given = rows[0]["lead_id"]
    try:
        lead_id = lead_id_of(rows[0])
    except RowRejected as error:
        return Settled(None if given is None else str(given), "rejected", str(error))
    try:
        row = newest(rows)
        desired = desired_of(row, columns)
        if current is None:
            return Settled(lead_id, "not_found", "no such lead: deleted, converted or merged")
        change = difference(desired, current, columns.only_if_blank)
        edits = Edits(current, written or {}, row)
        conflicts = tuple(conflicts_of(change.body, desired.fields, columns, edits))
        if conflicts and (stops_lead(conflicts, columns) or len(conflicts) == len(change.body)):
            return conflicting(lead_id, conflicts)
        change = _less_kept(change, conflicts, desired, current)
    except RowRejected as error:
        return Settled(lead_id, "rejected", str(error), error.rows)
    decision = planned(lead_id, change, current, conflicts, desired.fields, unarchive=unarchive)
    kept = desired.kept_nulls
    return decision if isinstance(decision, Settled) else replace(decision, kept_nulls=kept)


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
        if have is not None and field.key in only_if_blank:
            continue
        value = _complete(field, wanted, have, desired)
        if value != have:
            body[field.key] = field.write(value)
            before[field.key] = current.get(field.key)
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
    """Returns what a change comes to: nothing, one PATCH, two where it un-archives, or why none."""
    if not change.body:
        return Unchanged(lead_id)
    if not current.get("is_archived"):
        return Planned(lead_id, (_with_companions(change, current),), conflicts=conflicts)
    if ARCHIVED.key not in change.body:
        return Settled(lead_id, "archived", _archived_reason(change, fields))
    if not unarchive:
        reason = "archived in Pipedrive; is_archived false needs `unarchive = true` in config"
        return Settled(lead_id, "archived", reason)
    first = Change({ARCHIVED.key: False}, {ARCHIVED.key: True})
    rest = _with_companions(change.without([ARCHIVED.key]), current)
    return Planned(lead_id, (first, rest) if rest.body else (first,), conflicts=conflicts)


def _with_companions(change: Change, current: Lead) -> Change:
    going = companions_of_cleared(change.body)
    also = {key: current[key] for key in going if current.get(key) is not None}
    return Change(change.body, {**change.before, **also})


def conflicting(lead_id: str, conflicts: tuple[Conflict, ...]) -> Settled:
    """Returns the outcome that tells which fields are kept as they are in the CRM."""
    return Settled(lead_id, "conflict", "; ".join(map(str, conflicts)), conflicts=conflicts)


def shows(body: Mapping[str, Any], lead: Lead, fields: Mapping[str, Field]) -> bool:
    """Tells whether a lead has everything that a body asked for."""
    return all(
        field.read(body) == field.read(lead) for field in (field_of(key, fields) for key in body)
    )


def keep_person_or_organization(body: Mapping[str, Any], current: Lead) -> None:
    """Sees to it that a body leaves the lead with one of the two (documented).

    Raises:
        RowRejected: It would not.
    """
    links = ("person_id", "organization_id")
    cleared = [key for key in links if key in body and body[key] is None]
    if cleared and all({**current, **body}.get(key) is None for key in links):
        raise RowRejected(
            f"{' and '.join(cleared)} NULL would leave the lead without person and organization; "
            "give it one of them"
        )


def field_of(key: str, fields: Mapping[str, Field]) -> Field:
    """Returns a key's field, or a text for one that the account's definitions no longer hold."""
    return fields.get(key) or Field(key, key, KINDS["text"])


def _less_kept(
    change: Change, conflicts: Iterable[Conflict], desired: Desired, current: Lead
) -> Change:
    left = change.without(one.field.key for one in conflicts)
    keep_person_or_organization(left.body, current)
    _keep_currency_with_amount(desired, left.body, current)
    return left


def _complete(field: Field, wanted: Normal, have: Normal, desired: Desired) -> Normal:
    try:
        return field.kind.complete(wanted, have)
    except ValueError as error:
        raise RowRejected(f"{desired.sources[field]} {error}") from None


def _keep_currency_with_amount(desired: Desired, body: Mapping[str, Any], current: Lead) -> None:
    for field in desired.fields:
        amount_key = field.amount_key
        if field.key in body and amount_key and {**current, **body}.get(amount_key) is None:
            raise RowRejected(
                f"{desired.sources[field]} has no amount, and the lead has none; "
                "give the amount a value as well"
            )


def _archived_reason(change: Change, fields: Iterable[Field]) -> str:
    names = ", ".join(field.name for field in fields if field.key in change.body)
    return f"archived in Pipedrive, so it may not be edited; differs in {names}"
