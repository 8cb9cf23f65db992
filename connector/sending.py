"""Sending what is released, and loading what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import islice

from connector import stored
from connector.breaker import Breaker
from connector.fields import Field
from connector.job import Job
from connector.outcome import Outcome
from connector.pipedrive.errors import Interrupted
from connector.records import outcome_row
from connector.refresh import mirror_row
from connector.rows import patches_by_lead
from connector.sender import Sender, send_in_chunks
from connector.source import Marked, into

DEFERRED_CHUNK = 20_000
"""Leads a load once nothing is sent any more: only their outcomes are left to write."""
log = logging.getLogger(__name__)


def apply_changes(job: Job, fields: Mapping[str, Field]) -> None:
    """Sends what is released and loads what came of it, chunk after chunk.

    Raises:
        PipedriveError: What ended the sending early; every outcome is loaded by then.
    """
    settings = job.settings
    breaker = Breaker(settings.breaker_failures, settings.breaker_percent)
    sender = Sender(job.client, fields, breaker)
    leads = patches_by_lead(stored.unfinished(job.warehouse, job.lead, job.stored_plan))
    chunks = send_in_chunks(
        islice(leads, job.limit),
        sender.send_lead,
        workers=settings.workers,
        chunk_size=lambda: DEFERRED_CHUNK if job.client.stop.is_set() else settings.chunk_size,
    )
    sent = 0
    job.progress("apply", sent, job.tally.planned)
    for outcomes in chunks:
        job.load(tallied(job, outcomes))
        sent += len(outcomes)
        job.progress("apply", sent, job.tally.planned)
        log.info("%d patches done", sent)
    if sender.halted_by is not None:
        raise sender.halted_by
    if job.client.stop.is_set():
        raise Interrupted("asked to stop, by a signal or by max_seconds")


def tallied(job: Job, outcomes: list[Outcome]) -> Iterator[Marked]:
    """Tallies outcomes and yields their rows, and the mirror's rows of their leads."""
    job.tally.statuses.update(outcome.status for outcome in outcomes)
    yield from into("lead_outcomes", [outcome_row(job.run_id, one) for one in outcomes])
    leads = {one.patch.lead_id: row for one in outcomes if (row := mirror_row(job, one))}
    yield from into("leads", list(leads.values()))
