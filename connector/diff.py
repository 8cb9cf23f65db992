"""What is wanted × what is → the smallest PATCH, nothing, or the reason why not. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from connector.columns import Columns
from connector.desired import Desired, Row, RowRejected, desired_of, lead_id_of, newest
from connector.fields import STANDARD_FIELDS, Field
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
    """One PATCH: its body, and the same keys as they were."""

    body: dict[str, Any]
    before: dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """A lead that differs; nearly always one change, two where it is un-archived first."""

    lead_id: str
    changes: tuple[Change, ...]
    kept_nulls: int = 0


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
    """

    lead_id: str | None
    status: Status
    reason: str
    rows: int = 1


Decision = Planned | Unchanged | Settled


def decide(
    rows: Sequence[Row], current: Lead | None, columns: Columns, *, unarchive: bool = False
) -> Decision:
    """Decides on one lead.

    Args:
        rows: The lead's rows of the desired table, at least one.
        current: The lead as it is, or None for one that Pipedrive does not have.
        columns: What the table's columns manage.
        unarchive: Whether `is_archived = false` may bring an archived lead back.
    """
    given = rows[0]["lead_id"]
    try:
        lead_id = lead_id_of(rows[0])
    except RowRejected as error:
        return Settled(None if given is None else str(given), "rejected", str(error))
    try:
        desired = desired_of(newest(rows), columns)
        if current is None:
            return Settled(lead_id, "not_found", "no such lead: deleted, converted or merged")
        change = difference(desired, current, columns.only_if_blank)
    except RowRejected as error:
        return Settled(lead_id, "rejected", str(error), error.rows)
    if not change.body:
        return Unchanged(lead_id, desired.kept_nulls)
    if current.get("is_archived"):
        return _decide_archived(desired, change, unarchive)
    return Planned(lead_id, (change,), desired.kept_nulls)


def difference(desired: Desired, current: Lead, only_if_blank: Collection[str] = ()) -> Change:
    """Returns the smallest change that brings a lead to what is wanted, maybe an empty one.

    Args:
        desired: What is wanted.
        current: The lead as it is.
        only_if_blank: Keys of fields that are filled and never overwritten.

    Raises:
        RowRejected: The row and the lead together cannot be sent.
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
    _keep_person_or_organization(body, current)
    _keep_currency_with_amount(desired, body, current)
    return Change(body, before)


def shows(body: Mapping[str, Any], lead: Lead, fields: Mapping[str, Field]) -> bool:
    """Tells whether a lead has everything that a body asked for."""
    return all(
        field.read(body) == field.read(lead)
        for field in (fields.get(key) or unknown_field(key) for key in body)
    )


def unknown_field(key: str) -> Field:
    """A field of an earlier plan that the account's definitions no longer hold."""
    return Field(key, key, KINDS["text"])


def _complete(field: Field, wanted: Normal, have: Normal, desired: Desired) -> Normal:
    try:
        return field.kind.complete(wanted, have)
    except ValueError as error:
        raise RowRejected(f"{desired.sources[field]} {error}") from None


def _keep_person_or_organization(body: Mapping[str, Any], current: Lead) -> None:
    links = ("person_id", "organization_id")
    cleared = [key for key in links if key in body and body[key] is None]
    if cleared and all({**current, **body}.get(key) is None for key in links):
        raise RowRejected(
            f"{' and '.join(cleared)} NULL would leave the lead without person and organization; "
            "give it one of them"
        )


def _keep_currency_with_amount(desired: Desired, body: Mapping[str, Any], current: Lead) -> None:
    for field in desired.fields:
        amount_key = field.amount_key
        if field.key in body and amount_key and {**current, **body}.get(amount_key) is None:
            raise RowRejected(
                f"{desired.sources[field]} has no amount, and the lead has none; "
                "give the amount a value as well"
            )


def _decide_archived(desired: Desired, change: Change, unarchive: bool) -> Decision:
    if ARCHIVED.key not in change.body:
        return Settled(desired.lead_id, "archived", _archived_reason(change))
    if not unarchive:
        reason = "archived in Pipedrive; is_archived false needs `unarchive = true` in config"
        return Settled(desired.lead_id, "archived", reason)
    first = Change({ARCHIVED.key: False}, {ARCHIVED.key: True})
    rest = Change(
        {key: value for key, value in change.body.items() if key != ARCHIVED.key},
        {key: value for key, value in change.before.items() if key != ARCHIVED.key},
    )
    changes = (first, rest) if rest.body else (first,)
    return Planned(desired.lead_id, changes, desired.kept_nulls)


def _archived_reason(change: Change) -> str:
    return f"archived in Pipedrive, so it may not be edited; differs in {', '.join(change.body)}"
