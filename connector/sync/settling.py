"""Settling what earlier runs planned or sent, once the leads are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from connector.planning.earlier import (
    Resolved,
    WhyNot,
    resolve_doubt,
    resolve_interrupted,
    resolve_planned,
    unreadable,
    why_not_wanted,
)
from connector.planning.model import Comparison, Patch
from connector.records.fields import Field
from connector.sync.plans import Plan, StoredPlan
from connector.sync.reading import Account, Reading, read_fields_of
from connector.sync.recording import outcome_batches
from connector.sync.session import Session
from connector.warehouse import history
from connector.warehouse.comparison import doubtful, interrupted, planned_leads
from connector.warehouse.load import Marked, into
from connector.warehouse.record import RunRecord
from connector.warehouse.rows import settling_row


def settle_wanted(
    session: Session, record: RunRecord, account: Account, reading: Reading
) -> dict[str, Patch]:
    """Settles what earlier runs left; what is still wanted stays released.

    Returns:
        By their ids the patches that are in effect in part, with what is left to be sent.
    """
    fields = account.fields
    keys = history.pending_keys(session.warehouse)
    if keys - fields.keys():
        fields = {**read_fields_of(session, keys), **fields}
    columns, unarchive = account.columns, session.settings.unarchive
    why_not = why_not_wanted(columns, unarchive=unarchive)
    written = columns.tracks_edits
    return _settle(session, record, reading, fields, why_not, with_written=written)


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

    What of these leads is not in effect is not sent any more: the plan comes in its place.

    Args:
        session: The run.
        record: Counts the outcomes of what was interrupted.
        reading: What came of reading the leads.
        fields: The leads' fields by key.
        lead_ids: The leads.
        but_plan: The plan, if it was interrupted itself; `drop_overtaken` settles that.
    """
    overtaken = "interrupted before it took effect; a later plan of this lead comes in its place"
    leads = {*lead_ids}

    def why_not(found: Comparison, _rest: Sequence[Patch]) -> str:
        return overtaken if found.lead_id in leads else ""

    _settle(session, record, reading, fields, why_not, but_plan=but_plan)


def _settle(
    session: Session,
    record: RunRecord,
    reading: Reading,
    fields: Mapping[str, Field],
    why_not: WhyNot,
    *,
    but_plan: str | None = None,
    with_written: bool = False,
) -> dict[str, Patch]:
    """Settles what earlier runs left, of the leads that this one has read.

    Args:
        session: The run.
        record: Counts the outcomes of what was interrupted.
        reading: What came of reading the leads.
        fields: The leads' fields by key.
        why_not: Tells whether what is not in effect is still to be sent.
        but_plan: The plan that this run applies; it settles that by itself.
        with_written: Whether it matters what was last written of each field.

    Returns:
        By their ids the patches that are in effect in part, with what is left to be sent.
    """
    warehouse, lead = session.warehouse, session.scope.lead
    session.load(_settle_doubts(session, fields))
    found = interrupted(
        warehouse, session.run_id, lead, reading.unreadable, with_written=with_written
    )
    unread = "interrupted, and the lead cannot be read, so it may be in effect"
    parts: dict[str, Patch] = {}

    def rows() -> Iterator[Marked]:
        for each in found:
            patches = [patch for patch in each.patches if patch.plan_id != but_plan]
            one = replace(each, patches=patches)
            if trouble := reading.unreadable.get(one.lead_id or ""):
                resolved = Resolved(unreadable(one, f"{unread}: {trouble}"), [])
            else:
                resolved = resolve_interrupted(one, fields, why_not)
            parts.update(_in_part(resolved.left))
            yield from outcome_batches(session, record, resolved.outcomes)

    session.load(rows())
    return parts


def _settle_doubts(session: Session, fields: Mapping[str, Field]) -> Iterator[Marked]:
    """Yields what took effect of sends that were left without an answer; each was counted then."""
    for one in doubtful(session.warehouse, session.run_id, session.scope.lead):
        settled = resolve_doubt(one, fields)
        yield from into(
            "lead_outcomes", [settling_row(session.run_id, outcome) for outcome in settled]
        )


def _in_part(patches: Iterable[Patch]) -> dict[str, Patch]:
    return {
        patch.patch_id: replace(patch, sent_by=None)
        for patch in patches
        if len(patch.left or ()) < len(patch.body)
    }


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
    found = planned_leads(warehouse, plan_id, session.run_id, resumed=stored.resumed)
    unread = "not sent by this run, as the lead cannot be read"
    parts: dict[str, Patch] = {}

    def rows() -> Iterator[Marked]:
        for one in found:
            if trouble := reading.unreadable.get(one.lead_id or ""):
                resolved = Resolved(unreadable(one, f"{unread}: {trouble}"), [])
            else:
                resolved = resolve_planned(one, fields)
            parts.update(_in_part(resolved.left))
            yield from outcome_batches(session, record, resolved.outcomes)

    session.load(rows())
    record.planned = history.count_unfinished(warehouse, None, plan_id)
    return Plan(record.planned, table=stored.desired_table, plan_id=plan_id, parts=parts)
