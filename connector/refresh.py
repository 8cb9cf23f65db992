"""Rows of the mirror: what a run reads of the leads, and what an answer shows of one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pendulum

from connector import tables
from connector.job import Job
from connector.lookup import Found, look_up
from connector.outcome import Outcome
from connector.source import BATCH, Marked, into, mirror_pages
from connector.values import parse_uuid


def listed_leads(job: Job) -> Iterator[Marked]:
    """Yields the leads that are not archived, page by page."""
    for rows in mirror_pages(job.client.leads(), job.run_id):
        job.tally.leads_read += len(rows)
        job.progress("refresh", job.tally.leads_read, None)
        yield from into("leads", rows)


def looked_up_leads(job: Job, lead_ids: list[str]) -> Iterator[Marked]:
    """Yields the leads that the list does not show; notes those that cannot be read."""
    looked_up = look_up(job.client, filter(_is_lead_id, lead_ids), job.settings.workers)
    while batch := list(islice(looked_up, BATCH)):
        job.unreadable.update({one.lead_id: one.trouble for one in batch if one.trouble})
        job.tally.leads_read += sum(one.lead is not None for one in batch)
        yield from into("leads", [row for one in batch if (row := _looked_up_row(job, one))])


def _looked_up_row(job: Job, found: Found) -> tables.Row | None:
    if found.lead is not None:
        return tables.lead_row(found.lead, pendulum.now("UTC"), job.run_id)
    return None if found.trouble else _gone_row(job, found.lead_id)


def _gone_row(job: Job, lead_id: str) -> tables.Row:
    record, gone_at = job.warehouse.mirrored(lead_id) or ({"id": lead_id}, None)
    return tables.gone_row(record, pendulum.now("UTC"), job.run_id, gone_at)


def mirror_row(job: Job, outcome: Outcome) -> tables.Row | None:
    """Returns the row of an outcome's lead; None where no answer told of it."""
    if outcome.lead is not None:
        return tables.lead_row(outcome.lead, outcome.finished_at, job.run_id)
    return _gone_row(job, outcome.patch.lead_id) if outcome.gone else None


def _is_lead_id(lead_id: str) -> bool:
    try:
        return bool(parse_uuid(lead_id))
    except ValueError:
        return False
