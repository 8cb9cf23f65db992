"""The story of a run, from lock to summary; only this module knows the order of things."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any

from connector import tables
from connector.apply import Sender, send_in_chunks
from connector.breaker import Breaker
from connector.catalogue import columns_for, read_names
from connector.columns import Columns
from connector.diff import Decision, Planned, Settled, Unchanged, decide, unknown_field
from connector.errors import DesiredTableError
from connector.fields import Field
from connector.job import Job, Progress, open_job, recorded, run_row, silent
from connector.outcome import Outcome
from connector.pipedrive.errors import Interrupted
from connector.reconcile import settle_interrupted, unreadable
from connector.records import outcome_row, patch_rows, settled_rows
from connector.refresh import listed_leads, looked_up_leads, mirror_row
from connector.rows import Comparison, Patch
from connector.source import BATCH, Marked, empty_tables, into
from connector.summary import Entry, Summary

DEFERRED_CHUNK = 20_000
"""Leads a load once nothing is sent any more: only their outcomes are left to write."""
MOST_SHOWN = 1000
"""Rows without a patch that a plan keeps in memory to show."""

log = logging.getLogger(__name__)


def run(
    *,
    lead: str | None = None,
    limit: int | None = None,
    full_refresh: bool = False,
    progress: Progress = silent,
    **settings: Any,
) -> Summary:
    """Makes Pipedrive's leads say what the desired table says.

    Args:
        lead: Only this lead.
        limit: Change at most so many leads; those that failed before come last.
        full_refresh: Ask again for the leads that are known to be gone or archived.
        progress: Told how far the run is.
        **settings: Settings that win over dlt's configuration; see `connector.settings`.

    Returns:
        What was done. A lead's trouble is in `lead_outcomes` and in the counts.

    Raises:
        LeadSyncError: The run could not go on.
    """
    with open_job(
        "run", settings, lead=lead, limit=limit, full_refresh=full_refresh, progress=progress
    ) as job:
        with recorded(job):
            begin(job)
            columns, fields = understand(job)
            refresh(job)
            reconcile(job, columns, fields)
            plan_changes(job, columns)
            apply_changes(job, fields)
        return job.summary()


def plan(
    *,
    lead: str | None = None,
    limit: int | None = None,
    full_refresh: bool = False,
    progress: Progress = silent,
    show: Callable[[Entry], None] | None = None,
    **settings: Any,
) -> Summary:
    """Does what `run` does up to the plan, and sends nothing.

    Args:
        lead: Only this lead.
        limit: Plan at most so many leads; those that failed before come last.
        full_refresh: Ask again for the leads that are known to be gone or archived.
        progress: Told how far the run is.
        show: Called for each patch, and for each lead that gets none for a reason.
        **settings: Settings that win over dlt's configuration.

    Raises:
        LeadSyncError: The plan could not be made.
    """
    with open_job(
        "plan", settings, lead=lead, limit=limit, full_refresh=full_refresh, progress=progress
    ) as job:
        with recorded(job):
            begin(job)
            columns, fields = understand(job)
            refresh(job)
            settled = plan_changes(job, columns)
            if show:
                managed = {column.field.key for column in columns.managed}
                show_plan(job, settled, read_names(job.client, fields.values(), managed), show)
        return job.summary()


def begin(job: Job) -> None:
    """Loads what an earlier run left in dlt's folder, and notes that this run is under way."""
    if job.pipeline.has_pending_data:
        log.info("loading what an earlier run left")
        job.load_package(None)
    missing = job.warehouse.missing_tables()
    if missing:
        job.load_package(empty_tables(missing))
    job.load(_begun(job))


def understand(job: Job) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns to the account's fields.

    Raises:
        DesiredTableError: The table is missing, a column maps to nothing, or the one lead that
            is asked for has no row.
    """
    columns, fields = columns_for(job.warehouse, job.client, job.settings)
    job.tally.desired_rows = job.warehouse.count_desired(job.lead)
    if job.lead and not job.tally.desired_rows:
        raise DesiredTableError(f"{job.settings.desired_table} has no row for lead {job.lead}")
    log.info("%d desired rows, %d managed columns", job.tally.desired_rows, len(columns.managed))
    return columns, fields


def refresh(job: Job) -> None:
    """Reads the leads as they are into the mirror, but for those known to be out of the list."""
    if job.lead is None:
        job.load(listed_leads(job))
    job.load(looked_up_leads(job, list(job.warehouse.unknown(job.known, job.lead))))
    log.info("read %d leads", job.tally.leads_read)


def reconcile(job: Job, columns: Columns, fields: Mapping[str, Field]) -> None:
    """Settles what an interrupted run left: in effect, still to be sent, or overtaken."""

    def settled() -> Iterator[Marked]:
        for found in job.warehouse.interrupted(job.run_id, job.lead):
            trouble = job.unreadable.get(found.lead_id or "")
            if trouble:
                yield from _counted(job, unreadable(found, trouble))
            else:
                outcomes = settle_interrupted(
                    found, columns, fields, unarchive=job.settings.unarchive
                )
                yield from _counted(job, outcomes)

    job.load(settled())
    job.tally.planned = job.warehouse.count_unfinished(job.lead)
    if job.limit is not None:
        job.tally.planned = min(job.tally.planned, job.limit)


def plan_changes(job: Job, columns: Columns) -> list[Settled]:
    """Compares every lead and loads the plan; returns the first leads that get no patch."""
    without: list[Settled] = []

    def rows() -> Iterator[Marked]:
        decisions = enumerate(_decisions(job, columns), 1)
        while batch := list(islice(decisions, BATCH)):
            settled = [(number, one) for number, one in batch if isinstance(one, Settled)]
            without.extend([one for _, one in settled][: MOST_SHOWN - len(without)])
            yield from into("lead_patches", _planned_rows(job, batch))
            if job.command != "plan":
                yield from into("lead_outcomes", _settled_rows(job, settled))

    job.load(rows())
    log.info("%d leads to change, %d unchanged", job.tally.planned, job.tally.unchanged)
    return without


def apply_changes(job: Job, fields: Mapping[str, Field]) -> None:
    """Sends what is released and loads what came of it, chunk after chunk.

    Raises:
        PipedriveError: What ended the sending early; every outcome is loaded by then.
    """
    settings = job.settings
    breaker = Breaker(settings.breaker_failures, settings.breaker_percent)
    sender = Sender(job.client, fields, breaker)
    leads = (list(group) for _, group in groupby(job.warehouse.unfinished(job.lead), _lead_of))
    chunks = send_in_chunks(
        islice(leads, job.limit),
        sender.send_lead,
        workers=settings.workers,
        chunk_size=lambda: DEFERRED_CHUNK if job.client.stop.is_set() else settings.chunk_size,
    )
    sent = 0
    job.progress("apply", sent, job.tally.planned)
    for outcomes in chunks:
        job.load(_counted(job, outcomes))
        sent += len(outcomes)
        job.progress("apply", sent, job.tally.planned)
        log.info("%d patches done", sent)
    if sender.halted_by is not None:
        raise sender.halted_by
    if job.client.stop.is_set():
        raise Interrupted("asked to stop, by a signal or by max_seconds")


def show_plan(
    job: Job, settled: list[Settled], fields: Iterable[Field], show: Callable[[Entry], None]
) -> None:
    """Passes on every patch of the plan with its fields, then the leads that get none."""
    named = {field.key: field for field in fields}
    for patch, title in job.warehouse.planned(job.plan_id):
        changed = [named.get(key) or unknown_field(key) for key in patch.body]
        show(Entry(patch.lead_id, title, patch=patch, fields=changed))
    for one in settled:
        show(Entry(one.lead_id, "", settled=one))


def _begun(job: Job) -> Iterator[Marked]:
    took_over = f"interrupted; run {job.run_id} took over what it left"
    ended = {"state": "failed", "finished_at": job.started_at, "message": took_over}
    interrupted = [{**row, **ended} for row in job.warehouse.interrupted_runs()]
    yield from into("sync_runs", [*interrupted, run_row(job)])


def _decisions(job: Job, columns: Columns) -> Iterator[Decision]:
    dry = job.command == "plan"
    compared = job.warehouse.compared if dry else job.warehouse.compared_anew
    for found in compared(job.known, job.lead):
        if job.tally.planned == job.limit:
            return
        decision = _decide(job, found, columns)
        _count(job, decision)
        yield decision


def _decide(job: Job, found: Comparison, columns: Columns) -> Decision:
    trouble = job.unreadable.get(found.lead_id or "")
    if trouble:
        return Settled(found.lead_id, "failed", f"the lead cannot be read: {trouble}")
    return decide(found.rows, found.current, columns, unarchive=job.settings.unarchive)


def _count(job: Job, decision: Decision) -> None:
    tally = job.tally
    match decision:
        case Planned():
            tally.planned += 1
            tally.kept_nulls += decision.kept_nulls
        case Unchanged():
            tally.unchanged += 1
            tally.kept_nulls += decision.kept_nulls
        case Settled():
            tally.statuses[decision.status] += decision.rows


def _planned_rows(job: Job, batch: list[tuple[int, Decision]]) -> list[tables.Row]:
    return [
        row
        for number, decision in batch
        if isinstance(decision, Planned)
        for row in patch_rows(job.plan_id, number, decision)
    ]


def _settled_rows(job: Job, settled: list[tuple[int, Settled]]) -> list[tables.Row]:
    return [
        row for number, one in settled for row in settled_rows(job.run_id, job.plan_id, number, one)
    ]


def _counted(job: Job, outcomes: list[Outcome]) -> Iterator[Marked]:
    """Counts outcomes and yields their rows, and the mirror's rows of their leads."""
    job.tally.statuses.update(outcome.status for outcome in outcomes)
    yield from into("lead_outcomes", [outcome_row(job.run_id, one) for one in outcomes])
    leads = {one.patch.lead_id: row for one in outcomes if (row := mirror_row(job, one))}
    yield from into("leads", list(leads.values()))


def _lead_of(patch: Patch) -> str:
    return patch.lead_id
