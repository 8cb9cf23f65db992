"""Rows of the mirror: what a run reads of the leads, and what an answer shows of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import pendulum

from connector import stored, tables
from connector.errors import AccountError
from connector.job import Job
from connector.lookup import Found, look_up, one_by_one
from connector.outcome import Outcome
from connector.pipedrive.client import COST_LEAD, COST_LIST, MOST_PAGES, MostPages
from connector.pipedrive.errors import TooManyPages
from connector.pipedrive.paging import PAGE_LIMIT
from connector.source import BATCH, Marked, into, mirror_pages
from connector.values import parse_uuid

FIRST_PAGES = 400
"""Pages of the list of leads where none was read before: 200,000 leads for 8,000 tokens."""
SHORTEST_PAGE = 100
"""Rows of a full page at least: what Pipedrive gives where no limit is named (documented)."""
SPARE_PAGES = 10
"""Pages by which the list may be longer than twice what is known."""


def listed_leads(job: Job) -> Iterator[Marked]:
    """Yields the leads that are not archived, page by page.

    Raises:
        AccountError: The list is far longer than it can be, as far as is known.
    """
    most = _most_pages(job)
    try:
        for rows in mirror_pages(job.client.leads(most), job.run_id):
            job.tally.leads_read += len(rows)
            job.progress("refresh", job.tally.leads_read, None)
            yield from into("leads", rows)
    except TooManyPages as error:
        way_out = "if it is right, `lead-sync run --full-refresh` reads it to its end"
        raise AccountError(f"{error}, far more leads than were known; {way_out}") from None


def _most_pages(job: Job) -> MostPages:
    """Returns how many pages the list may have, by the size of its pages.

    They may be smaller than asked for; one that is hardly filled says nothing of their size.
    """
    known = stored.most_read(job.warehouse)
    if job.scope.full_refresh or not known:
        most = MOST_PAGES if job.scope.full_refresh else FIRST_PAGES
        return lambda _rows: most
    return lambda rows: 2 * -(-known // max(rows, SHORTEST_PAGE)) + SPARE_PAGES


def looked_up_leads(job: Job, lead_ids: list[str]) -> Iterator[Marked]:
    """Yields the leads that the list does not show; notes those that cannot be read."""
    found = look_up(job.client, filter(_is_lead_id, lead_ids), job.settings.workers)
    yield from _rows_of(job, found)


def _rows_of(job: Job, looked_up: Iterator[Found]) -> Iterator[Marked]:
    while batch := list(islice(looked_up, BATCH)):
        job.unreadable.update({one.lead_id: one.trouble for one in batch if one.trouble})
        job.tally.leads_read += sum(one.lead is not None for one in batch)
        yield from into("leads", [row for one in batch if (row := _looked_up_row(job, one))])


def read_leads(job: Job, lead_ids: Collection[str]) -> None:
    """Reads certain leads into the mirror, by the cheaper of the list and a call for each."""
    pages = -(-stored.count_active(job.warehouse) // PAGE_LIMIT) or 1
    if len(lead_ids) * COST_LEAD <= pages * COST_LIST:
        found = one_by_one(job.client, list(lead_ids), job.settings.workers)
        job.load(_rows_of(job, found))
        return
    job.load(listed_leads(job))
    unlisted = set(lead_ids).difference(stored.read_by(job.warehouse, job.run_id))
    job.load(looked_up_leads(job, sorted(unlisted)))


def _looked_up_row(job: Job, found: Found) -> tables.Row | None:
    if found.lead is not None:
        return tables.lead_row(found.lead, pendulum.now("UTC"), job.run_id)
    return None if found.trouble else _gone_row(job, found.lead_id)


def _gone_row(job: Job, lead_id: str) -> tables.Row:
    record, gone_at = stored.mirrored(job.warehouse, lead_id) or ({"id": lead_id}, None)
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
