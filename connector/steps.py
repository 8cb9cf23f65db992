"""The steps of a run, each on its own; their order is told in `sync`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping

from connector import stored
from connector.audit import make_view, new_names
from connector.catalogue import columns_for, read_fields, read_names
from connector.columns import Columns, field_key, names_of
from connector.diff import Settled
from connector.errors import DesiredTableError
from connector.fields import Field, base_key
from connector.guarding import judge
from connector.job import Job
from connector.outcome import Outcome
from connector.planning import Show, tell_plan
from connector.reconcile import settle_interrupted, settle_planned, unreadable
from connector.records import run_row
from connector.refresh import listed_leads, looked_up_leads
from connector.rows import Comparison, patches_by_lead
from connector.sending import tallied
from connector.source import HINTS, Marked, empty_tables, into

log = logging.getLogger(__name__)


def begin(job: Job) -> None:
    """Loads what an earlier run left in dlt's folder, and notes that this run is under way."""
    drain(job)
    missing = job.warehouse.missing_tables()
    if missing:
        job.load_package(empty_tables(missing))
    make_view(job.warehouse)
    job.load(_begun(job))


def drain(job: Job) -> None:
    """Loads what an earlier run left in dlt's folder, and gives old tables their new columns."""
    if job.pipeline.has_pending_data:
        log.info("loading what an earlier run left")
        job.load_package(None)
    wanted = {name: hints["columns"].keys() for name, hints in HINTS.items()}
    if incomplete := job.warehouse.incomplete_tables(wanted):
        job.load_package(empty_tables(incomplete))
    if incomplete := job.warehouse.incomplete_tables(wanted):
        job.add_columns(incomplete)


def understand(job: Job) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns to the account's fields.

    Raises:
        DesiredTableError: The table is missing, a column maps to nothing, or the one lead that
            is asked for has no row.
    """
    columns, fields = columns_for(job.warehouse, job.client, job.settings, job.scope.fields)
    job.tally.desired_rows = job.warehouse.count_desired(job.lead)
    if job.lead and not job.tally.desired_rows:
        raise DesiredTableError(f"{job.settings.desired_table} has no row for lead {job.lead}")
    job.whole_table = None if job.lead else job.settings.desired_table
    job.load(into("lead_fields", new_names(job.warehouse, fields.values())))
    log.info("%d desired rows, %d managed columns", job.tally.desired_rows, len(columns.managed))
    return columns, fields


def understand_keys(job: Job, keys: set[str], *, named: bool = False) -> Mapping[str, Field]:
    """Returns the fields of keys that were planned or sent earlier.

    Args:
        job: The job.
        keys: The keys.
        named: Whether people will read their values, so that owners and labels need names.
    """
    fields = read_fields(job.client, dict.fromkeys(keys, "JSON"))
    fields = read_names(job.client, fields, keys) if named else fields
    return {field.key: field for field in fields}


def refresh(job: Job) -> None:
    """Reads the leads as they are into the mirror, but for those known to be out of the list."""
    if job.lead is None:
        job.load(listed_leads(job))
    job.load(looked_up_leads(job, list(job.warehouse.unknown(job.known, job.lead))))
    log.info("read %d leads", job.tally.leads_read)


def reconcile(job: Job, columns: Columns, fields: Mapping[str, Field]) -> None:
    """Settles what an interrupted run left: in effect, still to be sent, or overtaken."""
    unarchive, minds = job.settings.unarchive, columns.minds_edits
    found = job.warehouse.interrupted(job.run_id, job.lead, with_written=minds)

    def settle(one: Comparison) -> list[Outcome]:
        return settle_interrupted(one, columns, fields, unarchive=unarchive)

    unread = "interrupted, and the lead cannot be read, so it may be in effect"
    job.load(_settled(job, found, settle, unread))
    job.tally.planned = stored.count_unfinished(job.warehouse, job.lead)
    if job.limit is not None:
        job.tally.planned = min(job.tally.planned, job.limit)


def release(job: Job, plan_id: str) -> None:
    """Takes a stored plan for this run's own: from now on each of its patches gets an outcome."""
    job.stored_plan = plan_id
    job.load(into("sync_runs", [run_row(job.summary(), None)]))


def hold_against_leads(job: Job, fields: Mapping[str, Field]) -> None:
    """Settles what of a stored plan must not be sent: its leads are no longer as planned."""
    found = stored.planned_leads(job.warehouse, job.plan_id, job.run_id)

    def settle(one: Comparison) -> list[Outcome]:
        return settle_planned(one, fields, interrupted=job.resumes)

    unread = "not sent by this run, as the lead cannot be read"
    job.load(_settled(job, found, settle, unread))
    job.tally.planned = stored.count_unfinished(job.warehouse, None, job.plan_id)


def finish_plan(
    job: Job,
    fields: Mapping[str, Field],
    shown: Collection[str],
    settled: list[Settled],
    show: Show | None,
) -> None:
    """Judges a plan that is not sent now, and shows it with the names that people know."""
    if job.reverts is None:
        patches = (patch for patch, _ in stored.planned(job.warehouse, job.plan_id))
        verdict = judge(job, fields, patches_by_lead(patches))
        job.message = f"a run would stop here: {verdict}" if verdict else ""
    if show:
        tell_plan(job, settled, read_names(job.client, fields.values(), shown), show)


def only_keys(job: Job, fields: Mapping[str, Field]) -> set[str]:
    """Returns the keys of the fields that are asked for by name; none for all.

    Raises:
        ConfigError: A name is of no field.
    """
    by_name = names_of(fields.values())
    return {base_key(field_key(name, "fields", by_name)) for name in job.scope.fields}


def _settled(
    job: Job,
    found: Iterator[Comparison],
    settle: Callable[[Comparison], list[Outcome]],
    unread: str,
) -> Iterator[Marked]:
    """Yields what becomes of patches planned earlier; `unread` tells of leads not readable."""
    for one in found:
        trouble = job.unreadable.get(one.lead_id or "")
        yield from tallied(job, unreadable(one, f"{unread}: {trouble}") if trouble else settle(one))


def _begun(job: Job) -> Iterator[Marked]:
    took_over = f"interrupted; run {job.run_id} took over what it left"
    ended = {"state": "failed", "finished_at": job.started_at, "message": took_over}
    interrupted = [{**row, **ended} for row in stored.interrupted_runs(job.warehouse)]
    yield from into("sync_runs", [*interrupted, run_row(job.summary(), job.desired_table)])
