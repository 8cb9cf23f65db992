"""Making a plan: every decision, as rows of `lead_patches` and of `lead_outcomes`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from connector import stored, tables
from connector.columns import Columns
from connector.diff import (
    Decision,
    Planned,
    Settled,
    Unchanged,
    conflicting,
    decide,
    field_of,
)
from connector.fields import Field
from connector.job import Job
from connector.records import patch_rows, settled_rows
from connector.rows import Comparison
from connector.source import BATCH, Marked, into
from connector.summary import Entry
from connector.undo import undo

MOST_SHOWN = 1000
"""Rows without a patch that a plan keeps in memory to show."""
Show = Callable[[Entry], None]
"""Told each patch of a plan, and each lead that gets none for a reason."""
log = logging.getLogger(__name__)


def plan_changes(job: Job, columns: Columns) -> list[Settled]:
    """Compares every lead and loads the plan; returns the first leads that get no patch."""
    dry = job.command == "plan"
    compared = job.warehouse.compared if dry else job.warehouse.compared_anew
    found = compared(job.known, job.lead, with_written=columns.minds_edits)

    def decide_on(one: Comparison) -> Decision:
        unarchive = job.settings.unarchive
        return decide(one.rows, one.current, columns, unarchive=unarchive, written=one.written)

    return _load_plan(job, _decisions(job, found, decide_on), MOST_SHOWN)


def plan_undo(
    job: Job, run_id: str, fields: Mapping[str, Field], only: Collection[str]
) -> list[Settled]:
    """Decides how every lead that a run changed gets back what it had, and loads the plan."""
    found = stored.sent_leads(job.warehouse, run_id, job.run_id, job.lead)
    decisions = _decisions(job, found, lambda one: undo(one, fields, only))
    return _load_plan(job, decisions, sys.maxsize)


def tell_plan(job: Job, settled: Iterable[Settled], fields: Iterable[Field], show: Show) -> None:
    """Passes on every patch of the plan with its fields, then what gets none, by its status."""
    named = {field.key: field for field in fields}
    for patch, title in stored.planned(job.warehouse, job.plan_id):
        changed = [field_of(key, named) for key in patch.body]
        show(Entry(patch.lead_id, title, patch=patch, fields=changed))
    for one in sorted(settled, key=lambda one: tables.STATUSES.index(one.status)):
        show(Entry(one.lead_id, "", settled=one))


def record_settled(job: Job, settled: Sequence[Settled]) -> None:
    """Counts and loads what was settled when the plan was made."""
    for one in settled:
        job.tally.statuses[one.status] += one.rows
    job.load(_settled_outcomes(job, enumerate(settled, 1)))


def _settled_outcomes(job: Job, settled: Iterable[tuple[int, Settled]]) -> Iterator[Marked]:
    """Yields the outcomes of leads that get no patch, or not all of it."""
    rows = [
        row for number, one in settled for row in settled_rows(job.run_id, job.plan_id, number, one)
    ]
    yield from into("lead_outcomes", rows)


def _load_plan(job: Job, decisions: Iterator[Decision], most_shown: int) -> list[Settled]:
    """Loads decisions as a plan; returns the first leads that get no patch, or not all of it."""
    without: list[Settled] = []

    def rows() -> Iterator[Marked]:
        numbered = enumerate(decisions, 1)
        while batch := list(islice(numbered, BATCH)):
            settled = [(number, one) for number, each in batch for one in _settled(each)]
            without.extend([one for _, one in settled][: most_shown - len(without)])
            yield from into("lead_patches", _planned_rows(job, batch))
            if job.command != "plan":
                yield from _settled_outcomes(job, settled)

    job.load(rows())
    log.info("%d leads to change, %d unchanged", job.tally.planned, job.tally.unchanged)
    return without


def _decisions(
    job: Job, compared: Iterator[Comparison], decide_on: Callable[[Comparison], Decision]
) -> Iterator[Decision]:
    for found in compared:
        if job.tally.planned == job.limit:
            return
        trouble = job.unreadable.get(found.lead_id or "")
        decision = decide_on(found) if trouble is None else _unreadable(found, trouble)
        _count(job, decision)
        yield decision


def _unreadable(found: Comparison, trouble: str) -> Settled:
    return Settled(found.lead_id, "failed", f"the lead cannot be read: {trouble}")


def _count(job: Job, decision: Decision) -> None:
    tally = job.tally
    if isinstance(decision, Planned | Unchanged):
        tally.kept_nulls += decision.kept_nulls
    tally.planned += isinstance(decision, Planned)
    tally.patches += len(decision.changes) if isinstance(decision, Planned) else 0
    tally.unchanged += isinstance(decision, Unchanged)
    tally.statuses.update({one.status: one.rows for one in _settled(decision)})


def _settled(decision: Decision) -> list[Settled]:
    """Returns what of a decision is settled without sending: all of it, a part, or nothing."""
    if isinstance(decision, Settled):
        return [decision]
    conflicts = decision.conflicts if isinstance(decision, Planned) else ()
    return [conflicting(decision.lead_id, conflicts)] if conflicts else []


def _planned_rows(job: Job, batch: list[tuple[int, Decision]]) -> list[tables.Row]:
    return [
        row
        for number, decision in batch
        if isinstance(decision, Planned)
        for row in patch_rows(job.plan_id, number, decision)
    ]
