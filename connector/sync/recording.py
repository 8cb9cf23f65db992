"""How a run begins and ends: its row in `sync_runs`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pendulum

from connector.errors import AccountError, GuardTripped, LeadSyncError
from connector.pipedrive.errors import (
    BudgetSpent,
    Interrupted,
    PipedriveError,
    RateLimited,
    TooManyFailures,
)
from connector.sync.session import Job
from connector.sync.summary import State, run_row
from connector.warehouse import history
from connector.warehouse.history import make_view
from connector.warehouse.load import Marked, empty_tables, into
from connector.warehouse.schema import HINTS

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


def _begun(job: Job) -> Iterator[Marked]:
    took_over = f"interrupted; run {job.run_id} took over what it left"
    ended = {"state": "failed", "finished_at": job.started_at, "message": took_over}
    interrupted = [{**row, **ended} for row in history.interrupted_runs(job.warehouse)]
    yield from into("sync_runs", [*interrupted, run_row(job.summary(), job.desired_table)])


@contextmanager
def recorded(job: Job) -> Iterator[None]:
    """Writes to `sync_runs` how the run ended, however it ends.

    A guard, a spent budget or a request to stop ends a run early, which is no error.

    Raises:
        AccountError: Pipedrive cannot be used.
        LeadSyncError: Anything else that stopped the run.
    """
    try:
        yield
        _end(job, "done", job.message)
    except (BudgetSpent, RateLimited, Interrupted, TooManyFailures, GuardTripped) as error:
        _end(job, "stopped", str(error))
    except PipedriveError as error:
        _end(job, "failed", str(error))
        failed = AccountError(_told(job, error))
        failed.run = job.summary().as_dict()
        raise failed from None
    except BaseException as error:
        job.client.stop.set()
        _end_if_possible(job, str(error) if isinstance(error, LeadSyncError) else repr(error))
        if isinstance(error, LeadSyncError):
            error.run = job.summary().as_dict()
        raise


def _end(job: Job, state: State, message: str) -> None:
    job.state, job.message, job.finished_at = state, message, pendulum.now("UTC")
    job.load(into("sync_runs", [run_row(job.summary(), job.desired_table)]))


def _end_if_possible(job: Job, message: str) -> None:
    """After a failed load the next one may fail as well; the first error is the one to tell."""
    try:
        _end(job, "failed", message)
    except LeadSyncError:
        return


def _told(job: Job, error: PipedriveError) -> str:
    counted = ", ".join(f"{count} {status}" for status, count in job.tally.statuses.items())
    return f"{error}; {counted}: see lead_outcomes of run {job.run_id}" if counted else str(error)
