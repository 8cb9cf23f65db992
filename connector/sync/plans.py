"""Making a plan, settling what is left of earlier ones, and showing it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from connector.planning import model
from connector.planning.columns import Columns, field_key, names_of
from connector.planning.diff import conflicting, decide
from connector.planning.earlier import resolve_interrupted, resolve_planned, undo, unreadable
from connector.planning.model import Comparison, Decision, NotSent, Outcome, Planned, Unchanged
from connector.records.fields import Field, by_key, fields_of
from connector.sync.permission import judge
from connector.sync.reading import read_names
from connector.sync.sending import tallied
from connector.sync.session import Job
from connector.sync.summary import Entry, run_row
from connector.warehouse import history, schema
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.rows import patch_rows, patches_by_lead, settled_rows

log = logging.getLogger(__name__)
MOST_SHOWN = 1000
"""Rows without a patch that a plan keeps in memory to show."""
Show = Callable[[Entry], None]
"""Told each patch of a plan, and each lead that gets none for a reason."""


def plan_changes(job: Job, columns: Columns) -> list[NotSent]:
    """Compares every lead and loads the plan; returns the first leads that get no patch."""
    dry = job.command == "plan"
    compared = job.warehouse.compared if dry else job.warehouse.compared_anew
    found = compared(job.known, job.lead, with_written=columns.tracks_edits)

    def decide_on(one: Comparison) -> Decision:
        unarchive = job.settings.unarchive
        return decide(one.rows, one.current, columns, unarchive=unarchive, written=one.written)

    return _load_plan(job, _decisions(job, found, decide_on), MOST_SHOWN)


def plan_undo(
    job: Job, run_id: str, fields: Mapping[str, Field], only: Collection[str]
) -> list[NotSent]:
    """Decides how every lead that a run changed gets back what it had, and loads the plan."""
    found = history.sent_leads(job.warehouse, run_id, job.run_id, job.lead)
    decisions = _decisions(job, found, lambda one: undo(one, fields, only))
    return _load_plan(job, decisions, sys.maxsize)


def tell_plan(job: Job, settled: Iterable[NotSent], fields: Iterable[Field], show: Show) -> None:
    """Passes on every patch of the plan with its fields, then what gets none, by its status."""
    named = by_key(fields)
    for patch, title in history.planned(job.warehouse, job.plan_id):
        changed = fields_of(patch.body, named)
        show(Entry(patch.lead_id, title, patch=patch, fields=changed))
    for one in sorted(settled, key=lambda one: model.STATUSES.index(one.status)):
        show(Entry(one.lead_id, "", settled=one))


def record_settled(job: Job, settled: Sequence[NotSent]) -> None:
    """Counts and loads what was settled when the plan was made."""
    for one in settled:
        job.tally.statuses[one.status] += one.rows
    job.load(_settled_outcomes(job, enumerate(settled, 1)))


def _settled_outcomes(job: Job, settled: Iterable[tuple[int, NotSent]]) -> Iterator[Marked]:
    """Yields the outcomes of leads that get no patch, or not all of it."""
    rows = [
        row for number, one in settled for row in settled_rows(job.run_id, job.plan_id, number, one)
    ]
    yield from into("lead_outcomes", rows)


def _load_plan(job: Job, decisions: Iterator[Decision], most_shown: int) -> list[NotSent]:
    """Loads decisions as a plan; returns the first leads that get no patch, or not all of it."""
    without: list[NotSent] = []

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


def _unreadable(found: Comparison, trouble: str) -> NotSent:
    return NotSent(found.lead_id, "failed", f"the lead cannot be read: {trouble}")


def _count(job: Job, decision: Decision) -> None:
    tally = job.tally
    if isinstance(decision, Planned | Unchanged):
        tally.kept_nulls += decision.kept_nulls
    tally.planned += isinstance(decision, Planned)
    tally.patches += len(decision.changes) if isinstance(decision, Planned) else 0
    tally.unchanged += isinstance(decision, Unchanged)
    tally.statuses.update({one.status: one.rows for one in _settled(decision)})


def _settled(decision: Decision) -> list[NotSent]:
    """Returns what of a decision is settled without sending: all of it, a part, or nothing."""
    if isinstance(decision, NotSent):
        return [decision]
    conflicts = decision.conflicts if isinstance(decision, Planned) else ()
    return [conflicting(decision.lead_id, conflicts)] if conflicts else []


def _planned_rows(job: Job, batch: list[tuple[int, Decision]]) -> list[schema.TableRow]:
    return [
        row
        for number, decision in batch
        if isinstance(decision, Planned)
        for row in patch_rows(job.plan_id, number, decision)
    ]


def reconcile(job: Job, columns: Columns, fields: Mapping[str, Field]) -> None:
    """Settles what an interrupted run left: in effect, still to be sent, or overtaken."""
    unarchive, minds = job.settings.unarchive, columns.tracks_edits
    found = job.warehouse.interrupted(job.run_id, job.lead, with_written=minds)

    def settle(one: Comparison) -> list[Outcome]:
        return resolve_interrupted(one, columns, fields, unarchive=unarchive)

    unread = "interrupted, and the lead cannot be read, so it may be in effect"
    job.load(_settle_earlier(job, found, settle, unread))
    job.tally.planned = history.count_unfinished(job.warehouse, job.lead)
    if job.limit is not None:
        job.tally.planned = min(job.tally.planned, job.limit)


def release(job: Job, plan_id: str) -> None:
    """Takes a stored plan for this run's own: from now on each of its patches gets an outcome."""
    job.stored_plan = plan_id
    job.load(into("sync_runs", [run_row(job.summary(), None)]))


def drop_overtaken(job: Job, fields: Mapping[str, Field]) -> None:
    """Settles what of a stored plan must not be sent: its leads are no longer as planned."""
    found = history.planned_leads(job.warehouse, job.plan_id, job.run_id)

    def settle(one: Comparison) -> list[Outcome]:
        return resolve_planned(one, fields, interrupted=job.resumes)

    unread = "not sent by this run, as the lead cannot be read"
    job.load(_settle_earlier(job, found, settle, unread))
    job.tally.planned = history.count_unfinished(job.warehouse, None, job.plan_id)


def finish_plan(
    job: Job,
    fields: Mapping[str, Field],
    shown: Collection[str],
    settled: list[NotSent],
    show: Show | None,
) -> None:
    """Judges a plan that is not sent now, and shows it with the names that people know."""
    if job.reverts is None:
        patches = (patch for patch, _ in history.planned(job.warehouse, job.plan_id))
        verdict = judge(job, fields, patches_by_lead(patches))
        job.message = f"a run would stop here: {verdict}" if verdict else ""
    if show:
        tell_plan(job, settled, read_names(job.client, dict.fromkeys(fields.values()), shown), show)


def only_keys(job: Job, fields: Mapping[str, Field]) -> set[str]:
    """Returns the keys of the fields that are asked for by name; none for all.

    Raises:
        ConfigError: A name is of no field.
    """
    by_name = names_of(dict.fromkeys(fields.values()))
    return {field_key(name, "fields", by_name) for name in job.scope.fields}


def _settle_earlier(
    job: Job,
    found: Iterator[Comparison],
    settle: Callable[[Comparison], list[Outcome]],
    unread: str,
) -> Iterator[Marked]:
    """Yields what becomes of patches planned earlier; `unread` tells of leads not readable."""
    for one in found:
        trouble = job.unreadable.get(one.lead_id or "")
        yield from tallied(job, unreadable(one, f"{unread}: {trouble}") if trouble else settle(one))
