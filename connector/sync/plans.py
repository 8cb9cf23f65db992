"""Making a plan, settling what is left of earlier ones, and showing it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from connector.planning import model
from connector.planning.columns import Words, names_of
from connector.planning.context import context_of
from connector.planning.diff import conflicting, decide
from connector.planning.guards import PlanSize, measure
from connector.planning.model import (
    Comparison,
    Decision,
    Later,
    NotSent,
    Patch,
    Planned,
    Unchanged,
)
from connector.planning.repeats import without_repeats
from connector.planning.undo import undo
from connector.records.fields import Field, by_key, fields_of
from connector.records.leads import lead_url
from connector.sync.bases import bases_decided, keeps_bases
from connector.sync.leads import Reading
from connector.sync.reading import Account
from connector.sync.session import Session
from connector.sync.summary import Entry
from connector.warehouse import history, journal, noted, schema
from connector.warehouse.bases import all_bases
from connector.warehouse.comparison import compared, mark_failed, mark_passed, sent_leads
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.record import RunRecord, package_version
from connector.warehouse.rows import (
    is_lead_id,
    left_out_row,
    patch_rows,
    patches_by_lead,
    settled_rows,
)

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
        narrowed_by: The options that narrowed it, if any.
        desired_table: The desired table, where the plan is of all of it.
        desired_rows: Rows that the table had.
        unchanged: Leads that it found as they shall be.
        size: What its guards counted when it was made, also what `--limit` left out of it.
    """

    plan_id: str
    lead_ids: Sequence[str]
    resumed: bool
    reverts: str | None
    narrowed_by: str | None
    desired_table: str | None
    desired_rows: int
    unchanged: int
    size: PlanSize

    def record(self, session: Session) -> RunRecord:
        """Returns the record of a run that applies it."""
        return session.record(
            "apply" if self.reverts is None else "revert",
            self.plan_id,
            reverts=self.reverts,
            narrowed_by=self.narrowed_by,
            desired_rows=self.desired_rows,
            unchanged=self.unchanged,
            desired_leads=self.size.desired_leads,
        )


@dataclass(frozen=True)
class Plan:
    """What is to be sent: patches without an outcome.

    Attributes:
        leads: How many leads it changes.
        settled: The first leads that get no patch, or not all of it.
        table: The desired table, where the plan is of all of it.
        plan_id: The only plan; None for whatever is released.
        revised: By their ids the patches that are sent otherwise than they were planned.
        size: What the guards count of it, whatever `--limit` leaves of it.
    """

    leads: int
    settled: Sequence[NotSent] = ()
    table: str | None = None
    plan_id: str | None = None
    revised: Mapping[str, Patch] = field(default_factory=dict)
    size: PlanSize = field(default_factory=PlanSize)


def plan_changes(
    session: Session,
    record: RunRecord,
    account: Account,
    reading: Reading,
    revised: Mapping[str, Patch],
) -> Plan:
    """Compares every lead, and loads the plan of as many as the limit allows.

    The guards judge what all of them want: a limit must not let a broken join through in slices.

    Leads that are to be sent what an interrupted run left are not compared; they count for the
    limit.

    Args:
        session: The run.
        record: Counts what it finds.
        account: What the desired table manages.
        reading: What came of reading the leads.
        revised: Patches of interrupted runs that are sent otherwise than they were planned.
    """
    scope, columns, scratch = session.scope, account.columns, session.scratch
    left = history.count_unfinished(session.warehouse, scope.lead) if record.released else 0
    left = left if scope.limit is None else min(left, scope.limit)
    kept = keeps_bases(session)
    _prepare_comparison(session, account, reading, kept=kept, anew=record.released)
    earlier = patches_by_lead(history.unfinished(session.warehouse, scope.lead)) if left else ()
    leads = sum(map(is_lead_id, scratch.named()))
    size = measure(earlier, PlanSize(desired_leads=leads), account.fields)
    record.unchanged, record.kept_nulls = scratch.set_aside_same()
    found = compared(
        session.warehouse,
        scratch,
        account.table.head.read,
        with_bases=kept,
        with_tried=not scope.retry_failed,
    )

    def decide_on(one: Comparison) -> Decision:
        unarchive = session.settings.unarchive
        wanted = decide(one.rows, one.current, columns, unarchive=unarchive, base=one.base)
        return without_repeats(wanted, one.current, one.tried, account.fields)

    counted = _counting_unknown(found, reading, size)
    decided = ((one, _decide(one, reading, decide_on)) for one in counted)
    decisions = _remembered(session, decided)
    within = up_to(scope.limit, measured(decisions, size, account.fields), left)
    record.planned = record.left_over = left
    settled = _load_plan(session, record, within, MOST_SHOWN)
    table = None if scope.lead else session.settings.desired_table
    return Plan(record.planned, settled, table, revised=revised, size=size)


def _prepare_comparison(
    session: Session, account: Account, reading: Reading, *, kept: bool, anew: bool
) -> None:
    """Notes what the books have to say on which leads are compared, and in which order.

    Args:
        session: The run.
        account: What the desired table manages.
        reading: What came of reading the leads.
        kept: Whether it is kept what both sides last agreed on.
        anew: Whether to pass over leads with a patch still to be sent, or kept from an edit.
    """
    warehouse, scratch = session.warehouse, session.scratch
    mark_failed(warehouse, scratch)
    scratch.mark("unreadable", reading.unreadable)
    if anew:
        mark_passed(warehouse, scratch, session.run_id)
    if kept:
        scratch.note_bases(all_bases(warehouse))
    if not session.scope.fields:
        context = context_of(
            account.columns,
            account.fields,
            account.table.head.columns,
            unarchive=session.settings.unarchive,
            keeps_bases=kept,
            version=package_version(),
        )
        scratch.remember_in(Path(warehouse.pipeline.working_dir), context)


def _counting_unknown(
    found: Iterator[Comparison], reading: Reading, size: PlanSize
) -> Iterator[Comparison]:
    """Passes leads on, and counts those that the account does not have, whatever their rows say.

    Args:
        found: The leads.
        reading: Which of them cannot be read; nobody knows whether the account has those.
        size: It is counted up.
    """
    for one in found:
        is_missing = one.current is None and is_lead_id(one.lead_id)
        size.not_found += is_missing and one.lead_id not in reading.unreadable
        yield one


def _remembered(
    session: Session, decided: Iterator[tuple[Comparison, Decision]]
) -> Iterator[Decision]:
    """Passes decisions on, and remembers which rows agree with their leads."""
    while batch := list(islice(decided, BATCH)):
        session.scratch.remember(
            (one.agreement, decision.kept_nulls)
            for one, decision in batch
            if isinstance(decision, Unchanged)
            and one.agreement is not None
            and decision.base is None
            and not one.tried
        )
        yield from (decision for _, decision in batch)
    session.scratch.keep_memory()


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
    found = sent_leads(session.warehouse, session.scratch, undone, session.scope.lead)
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
    named, warehouse = by_key(fields), session.warehouse
    noted.note_fields(warehouse, named.values())
    domain = journal.domain_of(warehouse)
    for patch, title in history.planned(warehouse, record.plan_id):
        changed, url = fields_of(patch.body, named), lead_url(domain, patch.lead_id)
        show(Entry(patch.lead_id, title, patch=patch, fields=changed, url=url))
    titles = history.titles(warehouse, [one.lead_id for one in plan.settled if one.lead_id])
    for one in sorted(plan.settled, key=lambda one: model.STATUSES.index(one.status)):
        title, url = titles.get(one.lead_id or "", ""), lead_url(domain, one.lead_id)
        show(Entry(one.lead_id, title, settled=one, url=url))


def record_settled(session: Session, record: RunRecord, settled: Sequence[NotSent]) -> None:
    """Counts and loads what was settled when the plan was made.

    Args:
        session: The run.
        record: Counts them.
        settled: Leads that get no patch, each with the reason.
    """
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
    session: Session, record: RunRecord, decisions: Iterator[Decision | Later], most_shown: int
) -> list[NotSent]:
    """Loads decisions as a plan; returns the first leads that get no patch, or not all of it."""
    without: list[NotSent] = []

    def marked() -> Iterator[Marked]:
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
            yield from bases_decided([decision for _, decision in batch])
            if record.released:
                yield from _settled_outcomes(record, settled)
            else:
                rows = [left_out_row(record.plan_id, number, one) for number, one in settled]
                yield from into("plan_left_out", rows)

    session.load(marked())
    log.info("%d leads to change, %d unchanged", record.planned, record.unchanged)
    return without


def measured(
    decisions: Iterable[Decision], size: PlanSize, fields: Mapping[str, Field]
) -> Iterator[Decision]:
    """Passes decisions on, and counts what the guards look at.

    Args:
        decisions: One a lead.
        size: It is counted up.
        fields: The leads' fields by key.
    """
    for decision in decisions:
        if isinstance(decision, Planned):
            lead_id, changes = decision.lead_id, decision.changes
            size.add([Patch("", "", lead_id, one.body, one.before) for one in changes], fields)
        yield decision


def up_to(
    most: int | None, decisions: Iterable[Decision], planned: int = 0
) -> Iterator[Decision | Later]:
    """Leaves out the leads to be changed once there are so many; what needs no PATCH stays.

    What was found to be agreed on of those stays as well: it was compared like that of others.

    Args:
        most: How many may be changed; None for all of them.
        decisions: One a lead.
        planned: Leads that are to be changed already.
    """
    for decision in decisions:
        if isinstance(decision, Planned):
            if most is not None and planned >= most:
                if decision.base is not None:
                    yield Later(decision.lead_id, decision.base)
                continue
            planned += 1
        yield decision


def _decide(
    found: Comparison, reading: Reading, decide_on: Callable[[Comparison], Decision]
) -> Decision:
    trouble = reading.unreadable.get(found.lead_id or "")
    if trouble is None:
        return decide_on(found)
    return NotSent(found.lead_id, "failed", f"the lead cannot be read: {trouble}")


def _count(record: RunRecord, decision: Decision | Later) -> None:
    if isinstance(decision, Planned | Unchanged):
        record.kept_nulls += decision.kept_nulls
    record.planned += isinstance(decision, Planned)
    record.patches += len(decision.changes) if isinstance(decision, Planned) else 0
    record.unagreed += decision.unagreed if isinstance(decision, Planned) else 0
    record.unchanged += isinstance(decision, Unchanged)
    for one in _settled(decision):
        record.statuses[one.status] += one.rows


def _settled(decision: Decision | Later) -> list[NotSent]:
    """Returns what of a decision is settled without sending: all of it, a part, or nothing."""
    if isinstance(decision, NotSent):
        return [decision]
    conflicts = decision.conflicts if isinstance(decision, Planned) else ()
    return [conflicting(decision.lead_id, conflicts)] if conflicts else []


def patches_to_send(session: Session, plan: Plan) -> Iterator[list[Patch]]:
    """Yields the released patches of each lead that has no outcome yet, within the limit."""
    scope = session.scope
    found = history.unfinished(session.warehouse, scope.lead, plan.plan_id)
    leads = patches_by_lead(plan.revised.get(patch.patch_id, patch) for patch in found)
    return _with_unread(session, islice(leads, scope.limit))


def _with_unread(session: Session, leads: Iterator[list[Patch]]) -> Iterator[list[Patch]]:
    """Notes on the patches of each lead whether this run has read it."""
    while some := list(islice(leads, BATCH)):
        read = session.scratch.seen([patches[0].lead_id for patches in some])
        for patches in some:
            unread = patches[0].lead_id not in read
            yield [replace(patch, unread=unread) for patch in patches] if unread else patches


def only_keys(session: Session, fields: Mapping[str, Field]) -> set[str]:
    """Returns the keys of the fields that are asked for by name; none for all.

    Raises:
        ConfigError: A name is of no field.
    """
    words = Words(names_of(fields.values()), {})
    return {words.key_of(name, "fields") for name in session.scope.fields}
