"""The nouns that a plan is made of. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict, get_args

import pendulum

from connector.pipedrive.errors import PipedriveError
from connector.records.fields import Field, Values
from connector.records.text import visible

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
FreshLook = Literal["auto", "always", "never"]
"""Which leads are read directly before their PATCH."""
STATUSES: tuple[Status, ...] = get_args(Status)
DONE: frozenset[Status] = frozenset({"applied", "confirmed"})
"""Outcomes of a lead that says what is wanted."""
ChangeKind = Literal["set", "changed", "cleared"]
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
Lead = Mapping[str, Any]
Row = Mapping[str, Any]


def kind_of_change(field: Field, before: Values, body: Values) -> ChangeKind:
    """Tells whether a body sets a field that was unset, changes it or clears it.

    Args:
        field: The field.
        before: The lead's values before, by key.
        body: What is sent.
    """
    if field.is_blank(body):
        return "cleared"
    return "set" if field.is_blank(before) else "changed"


class Condition(TypedDict, total=False):
    """What of a lead's other state one field of a body was made from; JSON types.

    Attributes:
        wish: What the row wants relative to what is there: labels to add and to remove, or one
            part of two.
        only_if_blank: Whether the field is filled and never overwritten.
        on_conflict: Who wins over an edit in the CRM, where that is not the warehouse.
        one_of: Whether it may be cleared only as long as the lead has the other of two.
    """

    wish: dict[str, Any]
    only_if_blank: bool
    on_conflict: str
    one_of: bool


Conditions = Mapping[str, Condition]


@dataclass(frozen=True)
class Change:
    """One PATCH: its body, and the same keys as they were.

    Attributes:
        before: Has as well what goes when the body clears a value, such as its currency.
        conditions: What of the lead the body was made from, by field; the lead is looked at
            again before it is sent.
    """

    body: dict[str, Any]
    before: dict[str, Any]
    conditions: Conditions = field(default_factory=dict, compare=False)

    def without(self, fields: Iterable[Field]) -> Change:
        """Returns the change less some fields."""
        gone = {key for field in fields for key in field.keys}
        return Change(
            {key: value for key, value in self.body.items() if key not in gone},
            {key: value for key, value in self.before.items() if key not in gone},
            {key: value for key, value in self.conditions.items() if key not in gone},
        )


@dataclass(frozen=True)
class Conflict:
    """A field whose value in the CRM stays, as it is not the one that was expected there.

    Attributes:
        expected: What should be there: as both sides last agreed, or as it was when planned; as
            are the next two, by the field's keys.
        current: What is there.
        wanted: What would have been written.
        why: Which rule keeps it.
    """

    field: Field
    expected: Values
    current: Values
    wanted: Values
    why: str

    def __str__(self) -> str:
        values = (self.expected, self.current, self.wanted)
        expected, current, wanted = (visible(self.field.show(one)) for one in values)
        named = visible(self.field.name)
        return f"{named}: expected {expected}, is {current}, wanted {wanted}; {self.why}"


@dataclass(frozen=True)
class Planned:
    """A lead that differs; nearly always one change, two where it is un-archived first.

    Attributes:
        conflicts: Fields that differ as well and are not written.
        base: What is agreed on of all fields now, where that has moved; None where it has not.
        unagreed: Fields that are written though nothing was agreed on of them, where that matters.
    """

    lead_id: str
    changes: tuple[Change, ...]
    kept_nulls: int = 0
    conflicts: tuple[Conflict, ...] = ()
    base: Values | None = field(default=None, compare=False)
    unagreed: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Unchanged:
    """A lead that already says what is wanted.

    Attributes:
        base: What is agreed on of all fields now, where that has moved; None where it has not.
    """

    lead_id: str
    kept_nulls: int = 0
    base: Values | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NotSent:
    """A lead whose outcome is known without sending anything.

    Attributes:
        rows: How many rows of the desired table it is the outcome of.
        conflicts: The fields that it is about, for a conflict.
        base: What is agreed on of all fields now, where that has moved; None where it has not.
    """

    lead_id: str | None
    status: Status
    reason: str
    rows: int = 1
    conflicts: tuple[Conflict, ...] = ()
    base: Values | None = field(default=None, compare=False)


Decision = Planned | Unchanged | NotSent


@dataclass(frozen=True)
class Later:
    """A lead that differs and is beyond the limit: another run changes it.

    Attributes:
        base: What is agreed on of all fields now, where that has moved.
    """

    lead_id: str
    base: Values


@dataclass(frozen=True)
class Patch:
    """A row of `lead_patches`.

    Attributes:
        intact: Whether the warehouse gives it back as it was planned.
        left: The keys of the body that are still to be sent; None for all of them.
        took: The keys of the body that are in effect through this patch so far.
        sent_by: The earlier run that sent it, or may have; None where no earlier one did.
        sent_at: When that run sent it, as near as it has noted; None where it has not.
        conditions: What of the lead its body was made from, by field.
        planned_at: When it was planned, where that is known.
        unread: Whether this run goes by what an earlier one has read of its lead.
    """

    patch_id: str
    plan_id: str
    lead_id: str
    body: dict[str, Any]
    before: dict[str, Any]
    intact: bool = True
    left: tuple[str, ...] | None = None
    took: tuple[str, ...] = ()
    sent_by: str | None = None
    sent_at: datetime | None = None
    conditions: Conditions = field(default_factory=dict)
    planned_at: datetime | None = None
    unread: bool = False

    @property
    def body_left(self) -> dict[str, Any]:
        """What of the body is still to be sent."""
        return {key: self.body[key] for key in (self.body if self.left is None else self.left)}


@dataclass(frozen=True)
class Tried:
    """A PATCH that Pipedrive refused, or answered without taking all of it.

    Attributes:
        status: "failed" or "archived" where it was refused, "ignored" where it was answered.
        after: The body's keys as the lead had them afterwards.
        lead_updated: The lead's `update_time` afterwards, as Pipedrive spells it.
        error: What Pipedrive said.
    """

    status: Status
    body: Mapping[str, Any]
    after: Mapping[str, Any]
    lead_updated: str | None
    error: str


@dataclass(frozen=True)
class Agreement:
    """What tells a row and a record that were compared from any others.

    Attributes:
        wanted: The digest of the row.
        lead: The digest of the record.
        base: The digest of what was last agreed on; None where that is not kept.
    """

    lead_id: str
    wanted: bytes
    lead: str
    base: bytes | None


@dataclass(frozen=True)
class Comparison:
    """The rows that want something of one lead, beside the lead as it is.

    Attributes:
        lead_id: Lower case; None for a row that names no lead.
        rows: Its rows in the desired table; none where it left the table since it was planned.
        current: The lead as this run read it; None where Pipedrive has none.
        patches: What an earlier run planned for it and left without an outcome.
        base: What both sides last agreed on of each field; None where that is not kept.
        tried: What was sent to it before and not taken.
        agreement: What to remember where row and lead are found to agree; None for nothing.
    """

    lead_id: str | None
    rows: Sequence[Row]
    current: Lead | None
    patches: Sequence[Patch] = ()
    base: Values | None = None
    tried: Sequence[Tried] = ()
    agreement: Agreement | None = None


TIDIED = "in effect as Pipedrive tidies it"
"""How the reason begins where all of a body took effect, but trimmed or rounded.

Later runs know such outcomes by it.
"""
DAMAGED = "the warehouse does not give it back as it was planned; not sent"


@dataclass(frozen=True)
class Outcome:
    """What became of one patch.

    Attributes:
        patch: The patch as it was sent.
        is_rewritten: Whether that is otherwise than it was planned.
        kept: The fields that a look at the lead took off the patch, as somebody's edit wins.
        lead: The lead as last returned, complete; None where no answer brought one.
        gone: Whether Pipedrive said that there is no such lead.
        took: The keys of the body that are in effect through this patch; None where that is not
            known, as a send without an answer may still take effect.
        waited_seconds: Time held back by limits and between attempts.
    """

    patch: Patch
    status: Status
    reason: str | None = None
    is_rewritten: bool = False
    lead: dict[str, Any] | None = None
    gone: bool = False
    took: tuple[str, ...] | None = ()
    kept: tuple[Conflict, ...] = ()
    error: PipedriveError | None = None
    attempts: int = 0
    tokens: int = 0
    waited_seconds: float = 0.0
    sent_at: datetime | None = None
    finished_at: datetime = field(default_factory=lambda: pendulum.now("UTC"))

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Its status, and that of the fields that were kept from it."""
        return (self.status, "conflict") if self.kept else (self.status,)

    @property
    def is_tidied(self) -> bool:
        """Whether Pipedrive took all of it, though trimmed or rounded."""
        return bool(self.reason and self.reason.startswith(TIDIED))
