"""Settling what earlier runs planned or sent, once the leads are read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from connector.planning.earlier import (
    INTERRUPTED,
    Resolved,
    StillWanted,
    as_wanted,
    resolve_doubt,
    resolve_interrupted,
    resolve_planned,
    unreadable,
)
from connector.planning.model import Comparison, Patch
from connector.records.fields import Field, by_key
from connector.sync.bases import bases_settled, keeps_bases
from connector.sync.leads import Reading
from connector.sync.plans import Plan, StoredPlan
from connector.sync.reading import Account, read_fields
from connector.sync.recording import outcome_batches, told_outcomes
from connector.sync.session import Session
from connector.warehouse import history
from connector.warehouse.comparison import doubtful, interrupted, planned_leads
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.record import RunRecord
from connector.warehouse.rows import rewritten_row, settling_row
from connector.warehouse.schema import LEAD_PATCHES

Resolve = Callable[[Comparison], Resolved]


def settle_wanted(
    session: Session, record: RunRecord, account: Account, reading: Reading
) -> dict[str, Patch]:
    """Settles what earlier runs left; what is still wanted stays released.

    Args:
        session: The run.
        record: Counts what is settled.
        account: What the desired table manages.
        reading: What came of reading the leads.

    Returns:
        By their ids the patches that were sent before or are so in part, as they are left.
    """
    warehouse, columns, fields = session.warehouse, account.columns, account.fields
    keys = history.pending_keys(warehouse)
    if keys - fields.keys():
        fields = {**by_key(read_fields(session.client, dict.fromkeys(keys, "JSON"))), **fields}
    still = as_wanted(columns, unarchive=session.settings.unarchive)
    found = interrupted(
        warehouse,
        session.scratch,
        session.run_id,
        session.scope.lead,
        reading.unreadable,
        read=account.table.head.read,
        with_bases=keeps_bases(session),
    )
    return _settle_left(session, record, reading, fields, found, still)


def with_pending(session: Session, lead_ids: Iterable[str]) -> list[str]:
    """Returns leads, and those of patches that earlier runs left unfinished or in doubt."""
    pending = history.pending_lead_ids(session.warehouse, session.scope.lead)
    return sorted({*lead_ids, *pending})


def settle_for(
    session: Session,
    record: RunRecord,
    reading: Reading,
    fields: Mapping[str, Field],
    lead_ids: Collection[str],
    but_plan: str | None = None,
) -> None:
    """Settles what earlier runs left, before some leads get patches of a stored plan.

    What of these leads is not in effect is not sent any more: the plan comes in its place, or
    the run is taken back.

    Args:
        session: The run.
        record: Counts the outcomes of what was interrupted.
        reading: What came of reading the leads.
        fields: The leads' fields by key.
        lead_ids: The leads.
        but_plan: The plan, if it was interrupted itself; `drop_overtaken` settles that.
    """
    undone = record.reverts
    why = (
        f"run {undone} is taken back" if undone else "a later plan of this lead comes in its place"
    )
    leads, overtaken = {*lead_ids}, f"{INTERRUPTED}; {why}"

    def still(found: Comparison, rest: Sequence[Patch]) -> Sequence[Patch] | str:
        return overtaken if found.lead_id in leads else rest

    lead, unread = session.scope.lead, reading.unreadable
    found = interrupted(
        session.warehouse, session.scratch, session.run_id, lead, unread, but_plan=but_plan
    )
    _settle_left(session, record, reading, fields, found, still)


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
    warehouse, plan_id = session.warehouse, stored.plan_id
    found = planned_leads(
        warehouse, session.scratch, plan_id, session.run_id, resumed=stored.resumed
    )

    def resolve(one: Comparison) -> Resolved:
        return resolve_planned(one, fields)

    revised = _settle(session, record, reading, found, resolve)
    record.planned = history.count_unfinished(warehouse, None, plan_id)
    return Plan(record.planned, table=stored.desired_table, plan_id=plan_id, revised=revised)


def _settle_left(
    session: Session,
    record: RunRecord,
    reading: Reading,
    fields: Mapping[str, Field],
    found: Iterator[Comparison],
    still: StillWanted,
) -> dict[str, Patch]:
    """Settles what was left in doubt, then what was interrupted, and notes that this run has.

    Args:
        session: The run.
        record: Counts the outcomes of what was interrupted.
        reading: What came of reading the leads.
        fields: The leads' fields by key.
        found: The interrupted patches, beside the leads; nothing of it is read before.
        still: Tells whether what is not in effect is still to be sent.

    Returns:
        By their ids the patches that were sent before or are so in part, as they are left.
    """
    session.load(_settle_doubts(session, record, fields))
    revised = _settle(
        session, record, reading, found, lambda one: resolve_interrupted(one, fields, still)
    )
    if session.scope.lead is None:
        history.note_taken_over(session.warehouse, session.run_id)
    return revised


def _settle(
    session: Session,
    record: RunRecord,
    reading: Reading,
    found: Iterator[Comparison],
    resolve: Resolve,
) -> dict[str, Patch]:
    """Loads the outcomes of patches that are not sent any more, and new conditions of the others.

    Args:
        session: The run.
        record: Counts them.
        reading: What came of reading the leads.
        found: The patches, beside the leads.
        resolve: Settles one lead's patches.

    Returns:
        By their ids the patches that were sent before or are so in part, as they are left.
    """
    revised: dict[str, Patch] = {}

    def settle(one: Comparison) -> Resolved:
        if trouble := reading.unreadable.get(one.lead_id or ""):
            return Resolved(unreadable(one, trouble), [])
        return resolve(one)

    def rows() -> Iterator[Marked]:
        while batch := list(islice(found, BATCH)):
            settled = [(one, settle(one)) for one in batch]
            renewed = [patch for one, its in settled for patch in _renewed(one.patches, its.left)]
            for _, its in settled:
                revised.update(_as_left(its.left))
            yield from into(LEAD_PATCHES.name, [rewritten_row(patch) for patch in renewed])
            outcomes = [outcome for _, its in settled for outcome in its.outcomes]
            yield from outcome_batches(session, record, outcomes)

    session.load(rows())
    return revised


def _settle_doubts(
    session: Session, record: RunRecord, fields: Mapping[str, Field]
) -> Iterator[Marked]:
    """Yields what took effect of sends that were left without an answer; each was counted then.

    A lead that a person has edited since is kept from this run, which counts that.

    Args:
        session: The run.
        record: Counts the leads that it leaves to a person.
        fields: The leads' fields by key.
    """
    found = doubtful(session.warehouse, session.scratch, session.scope.lead)
    while batch := list(islice(found, BATCH)):
        outcomes = [outcome for one in batch for outcome in resolve_doubt(one, fields)]
        if record.released:
            record.statuses["conflict"] += sum(one.status == "conflict" for one in outcomes)
        rows = [settling_row(session.run_id, outcome) for outcome in outcomes]
        yield from told_outcomes(session, rows)
        yield from bases_settled(session, outcomes)


def _renewed(planned: Iterable[Patch], left: Iterable[Patch]) -> Iterator[Patch]:
    """Yields the patches left that are under other rules now.

    The books have those rules too: a doubt about the patch is judged by what it was sent under.
    """
    before = {patch.patch_id: patch.conditions for patch in planned}
    return (patch for patch in left if patch.conditions != before[patch.patch_id])


def _as_left(left: Iterable[Patch]) -> dict[str, Patch]:
    """Returns those that the books do not have as they are left: sent before, or so in part."""
    return {
        patch.patch_id: patch
        for patch in left
        if patch.sent_by or len(patch.left or ()) < len(patch.body)
    }
