"""How a run ends: its row in `sync_runs`, whatever has ended it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pendulum

from connector.errors import AccountError, GuardTripped, LeadSyncError
from connector.job import Job
from connector.pipedrive.errors import (
    BudgetSpent,
    Interrupted,
    PipedriveError,
    RateLimited,
    TooManyFailures,
)
from connector.records import run_row
from connector.source import into
from connector.summary import State


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
