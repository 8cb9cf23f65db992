"""The story of a run, from lock to summary; only this module knows the order of things."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby, islice
from typing import Any

import pendulum

from connector import tables
from connector.apply import Outcome, Sender, send_in_chunks
from connector.desired import Columns
from connector.diff import Decision, Planned, Settled, Unchanged, decide
from connector.fields import Field
from connector.job import Job, Progress, open_job, recorded, run_row, silent
from connector.kinds import parse_uuid
from connector.pipedrive.errors import Interrupted
from connector.reconcile import settle_interrupted
from connector.records import outcome_row, patch_rows, settled_row
from connector.refresh import Found, look_up
from connector.source import Marked, batches, columns_for, empty_tables, into, mirror_pages
from connector.summary import Entry, Summary
from connector.warehouse import Comparison, Patch

BATCH = 1000
MOST_SHOWN = 1000
"""Rows without a patch that a plan keeps in memory to show."""


def run(
    *,
    lead: str | None = None,
    limit: int | None = None,
    progress: Progress = silent,
    **settings: Any,
) -> Summary:
    """Makes Pipedrive's leads say what the desired table says.

    Args:
        lead: Only this lead.
        limit: Plan at most so many leads; the next run goes on behind them.
        progress: Told how far the run is.
        **settings: Settings that win over dlt's configuration; see `connector.settings`.

    Returns:
        What was done. A lead's trouble is in `lead_outcomes` and in the counts.

    Raises:
        LeadSyncError: The run could not go on.
    """
    with open_job("run", settings, lead=lead, limit=limit, progress=progress) as job:
        columns, fields = begin(job)
        with recorded(job):
            refresh(job)
            reconcile(job, columns, fields)
            plan_changes(job, columns)
            apply_changes(job, fields)
        return job.summary()


def plan(
    *,
    lead: str | None = None,
    limit: int | None = None,
    progress: Progress = silent,
    show: Callable[[Entry], None] | None = None,
    **settings: Any,
) -> Summary:
    """Does what `run` does up to the plan, and sends nothing.

    Args:
        lead: Only this lead.
        limit: Plan at most so many leads.
        progress: Told how far the run is.
        show: Called for each patch, and for each lead that gets none for a reason.
        **settings: Settings that win over dlt's configuration.

    Raises:
        LeadSyncError: The plan could not be made.
    """
    with open_job("plan", settings, lead=lead, limit=limit, progress=progress) as job:
        columns, _ = begin(job)
        with recorded(job):
            refresh(job)
            settled = plan_changes(job, columns)
            if show:
                show_plan(job, settled, show)
        return job.summary()


def begin(job: Job) -> tuple[Columns, Mapping[str, Field]]:
    """Loads what an earlier run left, understands the desired table, and notes the start."""
    if job.pipeline.has_pending_data:
        job.load(None)
    columns, fields = columns_for(job.warehouse, job.client, job.settings)
    job.tally.desired_rows = job.warehouse.count_desired(job.lead)
    job.load([*empty_tables(job.warehouse.missing_tables()), batches(_begun(job))])
    return columns, fields


def refresh(job: Job) -> None:
    """Reads the leads as they are into the mirror."""
    if job.lead is None:
        job.load(batches(_listed_leads(job)))
    unknown = list(job.warehouse.unknown(job.started_at, job.lead))
    looked_up = look_up(job.client, filter(_is_lead_id, unknown), job.settings.workers)
    job.load(batches(_looked_up_leads(job, looked_up)))


def reconcile(job: Job, columns: Columns, fields: Mapping[str, Field]) -> None:
    """Settles what an interrupted run left: in effect, still to be sent, or overtaken."""

    def settled() -> Iterator[Marked]:
        for found in job.warehouse.interrupted(job.started_at):
            if str(found.lead_id) not in job.unreadable:
                outcomes = settle_interrupted(
                    found, columns, fields, unarchive=job.settings.unarchive
                )
                yield from _counted(job, outcomes)

    job.load(batches(settled()))
    job.tally.planned += job.warehouse.count_unfinished()


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

    job.load(batches(rows()))
    return without


def apply_changes(job: Job, fields: Mapping[str, Field]) -> None:
    """Sends what is released and loads what came of it, chunk after chunk.

    Raises:
        PipedriveError: What ended the sending early; every outcome is loaded by then.
    """
    sender = Sender(job.client, fields)
    leads = (list(group) for _, group in groupby(job.warehouse.unfinished(), _lead_of))
    total = job.warehouse.count_unfinished()
    chunks = send_in_chunks(
        leads,
        sender.send_lead,
        workers=job.settings.workers,
        chunk_size=job.settings.chunk_size,
        progress=lambda done: job.progress("apply", done, total),
    )
    for outcomes in chunks:
        job.load(batches(_counted(job, outcomes)))
    if sender.halted_by is not None:
        raise sender.halted_by
    if job.client.stop.is_set():
        raise Interrupted("asked to stop")


def show_plan(job: Job, settled: list[Settled], show: Callable[[Entry], None]) -> None:
    """Passes on every patch of the plan, then the leads that get none."""
    for patch, title in job.warehouse.planned(job.plan_id):
        show(Entry(patch.lead_id, title, patch=patch))
    for one in settled:
        show(Entry(one.lead_id, "", settled=one))


def _begun(job: Job) -> Iterator[Marked]:
    took_over = f"interrupted; run {job.run_id} took over what it left"
    ended = {"state": "failed", "finished_at": job.started_at, "message": took_over}
    interrupted = [{**row, **ended} for row in job.warehouse.interrupted_runs()]
    yield from into("sync_runs", [*interrupted, run_row(job)])


def _listed_leads(job: Job) -> Iterator[Marked]:
    for rows in mirror_pages(job.client.leads()):
        job.tally.leads_read += len(rows)
        job.progress("refresh", job.tally.leads_read, None)
        yield from into("leads", rows)


def _looked_up_leads(job: Job, looked_up: Iterator[Found]) -> Iterator[Marked]:
    while batch := list(islice(looked_up, BATCH)):
        job.unreadable.update({one.lead_id: one.trouble for one in batch if one.trouble})
        job.tally.leads_read += sum(one.lead is not None for one in batch)
        yield from into("leads", [row for one in batch if (row := _looked_up_row(job, one))])


def _looked_up_row(job: Job, found: Found) -> tables.Row | None:
    if found.lead is not None:
        return tables.lead_row(found.lead, pendulum.now("UTC"))
    return None if found.trouble else _gone_row(job, found.lead_id)


def _gone_row(job: Job, lead_id: str) -> tables.Row | None:
    record = job.warehouse.mirrored(lead_id)
    return record and tables.gone_row(record, pendulum.now("UTC"))


def _decisions(job: Job, columns: Columns) -> Iterator[Decision]:
    planned = 0
    for found in job.warehouse.compared(job.started_at, job.lead):
        if planned == job.limit:
            return
        decision = _decide(job, found, columns)
        planned += isinstance(decision, Planned)
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
            tally.statuses[decision.status] += 1


def _planned_rows(job: Job, batch: list[tuple[int, Decision]]) -> list[tables.Row]:
    return [
        row
        for number, decision in batch
        if isinstance(decision, Planned)
        for row in patch_rows(job.plan_id, number, decision)
    ]


def _settled_rows(job: Job, settled: list[tuple[int, Settled]]) -> list[tables.Row]:
    return [settled_row(job.run_id, job.plan_id, number, one) for number, one in settled]


def _counted(job: Job, outcomes: list[Outcome]) -> Iterator[Marked]:
    """Counts outcomes and yields their rows, and the mirror's rows of their leads."""
    job.tally.statuses.update(outcome.status for outcome in outcomes)
    yield from into("lead_outcomes", [outcome_row(job.run_id, one) for one in outcomes])
    leads = {one.patch.lead_id: row for one in outcomes if (row := _mirror_row(job, one))}
    yield from into("leads", list(leads.values()))


def _mirror_row(job: Job, outcome: Outcome) -> tables.Row | None:
    if outcome.lead is not None:
        return tables.lead_row(outcome.lead, outcome.finished_at)
    return _gone_row(job, outcome.patch.lead_id) if outcome.gone else None


def _lead_of(patch: Patch) -> str:
    return patch.lead_id


def _is_lead_id(lead_id: str) -> bool:
    try:
        return bool(parse_uuid(lead_id))
    except ValueError:
        return False
