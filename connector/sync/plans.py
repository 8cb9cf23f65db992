"""Making a plan, settling what is left of earlier ones, and showing it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from connector.planning import model
from connector.planning.columns import field_key, names_of
from connector.planning.diff import conflicting, decide
from connector.planning.earlier import resolve_interrupted, resolve_planned, undo, unreadable
from connector.planning.model import (
    Comparison,
    Decision,
    NotSent,
    Outcome,
    Patch,
    Planned,
    Unchanged,
)
from connector.records.fields import Field, by_key, fields_of
from connector.sync.reading import Account, Reading, known_to
from connector.sync.recording import outcome_batches
from connector.sync.session import Session
from connector.sync.summary import Entry
from connector.warehouse import history, schema
from connector.warehouse.comparison import (
    compared,
    interrupted,
    planned_leads,
    sent_leads,
)
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.record import RunRecord
from connector.warehouse.rows import patch_rows, patches_by_lead, settled_rows

log = logging.getLogger(__name__)
MOST_SHOWN = 1000
"""Rows without a patch that a plan keeps in memory to show."""
Show = Callable[[Entry], None]
"""Told each patch of a plan, and each lead that gets none for a reason."""


@dataclass(frozen=True)
class StoredPlan:
    """A plan that an earlier run has made, and that may be applied.

    Attributes:
        lead_ids: Its leads that have a patch without an outcome.
        resumed: Whether it was being sent when an earlier run was cut off.
        reverts: The run that it takes back, if any.
        desired_table: The desired table, where the plan is of all of it.
        desired_rows: Rows that the table had.
        unchanged: Leads that it found as they shall be.
        desired_leads: Leads that the table named.
        not_found: Those of them that the account did not have.
    """

    plan_id: str
    lead_ids: Sequence[str]
    resumed: bool
    reverts: str | None
    desired_table: str | None
    desired_rows: int
    unchanged: int
    desired_leads: int
    not_found: int

    def record(self, session: Session) -> RunRecord:
        """Returns the record of a run that applies it."""
        return session.record(
            "apply" if self.reverts is None else "revert",
            self.plan_id,
            reverts=self.reverts,
            desired_rows=self.desired_rows,
            unchanged=self.unchanged,
            desired_leads=self.desired_leads,
        )


@dataclass(frozen=True)
class Plan:
    """What is to be sent: patches without an outcome.

    Attributes:
        leads: How many leads it changes.
        settled: The first leads that get no patch, or not all of it.
        table: The desired table, where the plan is of all of it.
        plan_id: The only plan; None for whatever is released.
        not_found: Leads of the table that the account does not have.
    """

    leads: int
    settled: Sequence[NotSent] = ()
    table: str | None = None
    plan_id: str | None = None
    not_found: int = 0


def plan_changes(
    session: Session, record: RunRecord, account: Account, reading: Reading, left: int = 0
) -> Plan:
    """Compares every lead and loads the plan.

    Args:
        session: The run.
        record: Counts what it finds.
        account: What the desired table manages.
        reading: What came of reading the leads.
        left: Leads that are to be sent what an interrupted run left; they count for the limit.
    """
    scope, columns = session.scope, account.columns
    known, written = known_to(session), columns.tracks_edits
    found = compared(
        session.warehouse, known, scope.lead, anew=record.released, with_written=written
    )

    def decide_on(one: Comparison) -> Decision:
        unarchive = session.settings.unarchive
        return decide(one.rows, one.current, columns, unarchive=unarchive, written=one.written)

    decisions = (_decide(one, reading, decide_on) for one in found)
    within = up_to(None if scope.limit is None else scope.limit - left, decisions)
    record.planned = left
    not_found = -record.statuses["not_found"]  # those of an interrupted run are not the table's
    settled = _load_plan(session, record, within, MOST_SHOWN)
    table = None if scope.lead else session.settings.desired_table
    not_found += record.statuses["not_found"]
    return Plan(record.planned, settled, table, not_found=not_found)


def plan_undo(
    session: Session,
    record: RunRecord,
    reading: Reading,
    fields: Mapping[str, Field],
    undone: str,
) -> Plan:
    """Decides how every lead that a run changed gets back what it had, and loads the plan.

    Args:
        session: The run.
        record: Counts what it finds.
        reading: What came of reading the leads.
        fields: The leads' fields by key.
        undone: The run that is taken back.
    """
    only = only_keys(session, fields)
    found = sent_leads(session.warehouse, undone, session.run_id, session.scope.lead)
    decisions = (_decide(one, reading, lambda one: undo(one, fields, only)) for one in found)
    settled = _load_plan(session, record, decisions, sys.maxsize)
    return Plan(record.planned, settled, plan_id=record.plan_id)


def show_plan(
    session: Session, record: RunRecord, plan: Plan, fields: Iterable[Field], show: Show
) -> None:
    """Passes on every patch of the plan with its fields, then what gets none, by its status.

    Args:
        session: The run.
        record: Which plan it has made.
        plan: What came of it.
        fields: The leads' fields, with the names that people know.
        show: Told each of them.
    """
    named = by_key(fields)
    for patch, title in history.planned(session.warehouse, record.plan_id):
        changed = fields_of(patch.body, named)
        show(Entry(patch.lead_id, title, patch=patch, fields=changed))
    for one in sorted(plan.settled, key=lambda one: model.STATUSES.index(one.status)):
        show(Entry(one.lead_id, "", settled=one))


def record_settled(session: Session, record: RunRecord, settled: Sequence[NotSent]) -> None:
    """Counts and loads what was settled when the plan was made."""
    for one in settled:
        record.statuses[one.status] += one.rows
    session.load(_settled_outcomes(record, enumerate(settled, 1)))


def _settled_outcomes(
    record: RunRecord, settled: Iterable[tuple[int, NotSent]]
) -> Iterator[Marked]:
    """Yields the outcomes of leads that get no patch, or not all of it."""
    rows = [
        row
        for number, one in settled
        for row in settled_rows(record.run_id, record.plan_id, number, one)
    ]
    yield from into("lead_outcomes", rows)


def _load_plan(
    session: Session, record: RunRecord, decisions: Iterator[Decision], most_shown: int
) -> list[NotSent]:
    """Loads decisions as a plan; returns the first leads that get no patch, or not all of it."""
    without: list[NotSent] = []

    def rows() -> Iterator[Marked]:
        numbered = enumerate(decisions, 1)
        while batch := list(islice(numbered, BATCH)):
            patches: list[schema.TableRow] = []
            settled: list[tuple[int, NotSent]] = []
            for number, decision in batch:
                _count(record, decision)
                settled += [(number, one) for one in _settled(decision)]
                if isinstance(decision, Planned):
                    patches += patch_rows(record.plan_id, number, decision)
            without.extend([one for _, one in settled][: most_shown - len(without)])
            yield from into("lead_patches", patches)
            if record.released:
                yield from _settled_outcomes(record, settled)

    session.load(rows())
    log.info("%d leads to change, %d unchanged", record.planned, record.unchanged)
    return without


def up_to(most: int | None, decisions: Iterator[Decision]) -> Iterator[Decision]:
    """Yields decisions until so many leads are to be changed; None for all of them."""
    while most is None or most > 0:
        decision = next(decisions, None)
        if decision is None:
            return
        yield decision
        if most is not None and isinstance(decision, Planned):
            most -= 1


def _decide(
    found: Comparison, reading: Reading, decide_on: Callable[[Comparison], Decision]
) -> Decision:
    trouble = reading.unreadable.get(found.lead_id or "")
    if trouble is None:
        return decide_on(found)
    return NotSent(found.lead_id, "failed", f"the lead cannot be read: {trouble}")


def _count(record: RunRecord, decision: Decision) -> None:
    if isinstance(decision, Planned | Unchanged):
        record.kept_nulls += decision.kept_nulls
    record.desired_leads += record.reverts is None and decision.lead_id is not None
    record.planned += isinstance(decision, Planned)
    record.patches += len(decision.changes) if isinstance(decision, Planned) else 0
    record.unchanged += isinstance(decision, Unchanged)
    for one in _settled(decision):
        record.statuses[one.status] += one.rows


def _settled(decision: Decision) -> list[NotSent]:
    """Returns what of a decision is settled without sending: all of it, a part, or nothing."""
    if isinstance(decision, NotSent):
        return [decision]
    conflicts = decision.conflicts if isinstance(decision, Planned) else ()
    return [conflicting(decision.lead_id, conflicts)] if conflicts else []


def settle_interrupted(
    session: Session, record: RunRecord, account: Account, reading: Reading
) -> int:
    """Settles what an interrupted run left: in effect, still to be sent, or overtaken.

    Returns:
        The leads that are still to be sent theirs, of those that the limit allows.
    """
    scope, unarchive = session.scope, session.settings.unarchive
    written = account.columns.tracks_edits
    found = interrupted(session.warehouse, session.run_id, scope.lead, with_written=written)

    def settle(one: Comparison) -> list[Outcome]:
        return resolve_interrupted(one, account.columns, account.fields, unarchive=unarchive)

    unread = "interrupted, and the lead cannot be read, so it may be in effect"
    session.load(_settle_earlier(session, record, reading, found, settle, unread))
    left = history.count_unfinished(session.warehouse, scope.lead)
    return left if scope.limit is None else min(left, scope.limit)


def drop_overtaken(
    session: Session,
    record: RunRecord,
    stored: StoredPlan,
    reading: Reading,
    fields: Mapping[str, Field],
) -> Plan:
    """Settles what of a stored plan must not be sent: its leads are no longer as planned.

    Args:
        session: The run.
        record: Counts the outcomes.
        stored: The plan.
        reading: What came of reading its leads.
        fields: The leads' fields by key.

    Returns:
        What is left of the plan.
    """
    found = planned_leads(session.warehouse, stored.plan_id, session.run_id)

    def settle(one: Comparison) -> list[Outcome]:
        return resolve_planned(one, fields, interrupted=stored.resumed)

    unread = "not sent by this run, as the lead cannot be read"
    session.load(_settle_earlier(session, record, reading, found, settle, unread))
    record.planned = history.count_unfinished(session.warehouse, None, stored.plan_id)
    return Plan(
        record.planned,
        table=stored.desired_table,
        plan_id=stored.plan_id,
        not_found=stored.not_found,
    )


def _settle_earlier(
    session: Session,
    record: RunRecord,
    reading: Reading,
    found: Iterator[Comparison],
    settle: Callable[[Comparison], list[Outcome]],
    unread: str,
) -> Iterator[Marked]:
    """Yields what becomes of patches planned earlier; `unread` tells of leads not readable."""
    for one in found:
        trouble = reading.unreadable.get(one.lead_id or "")
        outcomes = unreadable(one, f"{unread}: {trouble}") if trouble else settle(one)
        yield from outcome_batches(session, record, outcomes)


def patches_to_send(session: Session, plan: Plan) -> Iterator[list[Patch]]:
    """Yields the released patches of each lead that has no outcome yet, within the limit."""
    scope = session.scope
    leads = patches_by_lead(history.unfinished(session.warehouse, scope.lead, plan.plan_id))
    return islice(leads, scope.limit)


def patches_as_planned(session: Session, record: RunRecord) -> Iterator[list[Patch]]:
    """Yields the patches of each lead of a plan that is not sent now."""
    return patches_by_lead(patch for patch, _ in history.planned(session.warehouse, record.plan_id))


def only_keys(session: Session, fields: Mapping[str, Field]) -> set[str]:
    """Returns the keys of the fields that are asked for by name; none for all.

    Raises:
        ConfigError: A name is of no field.
    """
    by_name = names_of(fields.values())
    return {field_key(name, "fields", by_name) for name in session.scope.fields}
