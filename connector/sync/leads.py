"""The leads as they are: read by page, looked up where the list has not shown them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Any

import pendulum

from connector.errors import AccountError
from connector.pipedrive.client import MOST_PAGES, MostPages
from connector.pipedrive.errors import BudgetSpent, TooManyPages
from connector.pipedrive.lookup import Found, look_among_archived, look_up, one_by_one
from connector.planning.desired import moment_of
from connector.planning.model import Outcome
from connector.records.leads import LEADS
from connector.sync.increment import Increment, increment_of, known_until, read_under_with
from connector.sync.reading import Account, stop_where_short
from connector.sync.session import Session
from connector.warehouse import history, schema
from connector.warehouse.history import Trust
from connector.warehouse.listing import doubt_unlisted, least_listed, maybe_archived
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.record import RunRecord
from connector.warehouse.rows import is_lead_id
from connector.warehouse.schema import LEADS as LEADS_TABLE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """What came of reading the leads; they are in the mirror.

    Attributes:
        unreadable: Leads that cannot be read, each with the trouble.
    """

    unreadable: Mapping[str, str]


FIRST_PAGES = 400
"""Pages of the list of leads where none was read before: 200,000 leads for 8,000 tokens."""
SHORTEST_PAGE = 100
"""Rows of a full page at least: what Pipedrive gives where no limit is named (documented)."""
SPARE_PAGES = 10
"""Pages by which the list may be longer than twice what is known."""


def read_list(session: Session, record: RunRecord, increment: Increment | None = None) -> None:
    """Reads the leads that are not archived, page by page, into the mirror.

    Those that the books have as they are stay as they are.

    Args:
        session: The run.
        record: Counts them, and notes how much is known now.
        increment: What is enough to read; None for all of them.

    Raises:
        AccountError: The list is far longer than it can be, as far as is known.
    """
    session.scratch.note_mirror(history.mirror(session.warehouse, trust_of(session, increment)))
    shown = Shown()
    began, clock = pendulum.now("UTC"), monotonic()
    try:
        session.load_pages(LEADS_TABLE.name, _changed(session, record, increment, shown))
    except TooManyPages as error:
        hint = "if it is right, `lead-sync run --full-refresh` reads it to its end"
        raise AccountError(f"{error}, far more leads than were known; {hint}") from None
    if increment is None:
        doubt_unlisted(session.warehouse, session.scratch.unlisted())
    lasted = timedelta(seconds=monotonic() - clock)
    before = increment.since if increment else None
    newest = None if shown.has_gap else shown.updated
    record.updated_until = known_until(newest, began, lasted, before)
    record.whole_as_of = increment.whole_as_of if increment else began
    record.leads_listed = None if increment else shown.leads


@dataclass
class Shown:
    """What a list has shown so far.

    Attributes:
        leads: How many leads.
        updated: The largest `update_time` of them.
        has_gap: Whether a lead may lie between two pages of an increment, as others left it.
    """

    leads: int = 0
    updated: datetime | None = None
    has_gap: bool = False
    last: frozenset[str] = frozenset()

    def add_part(self, leads: list[dict[str, Any]]) -> None:
        """Adds a page of an increment, which begins as the one before it ended."""
        page = frozenset(str(lead["id"]) for lead in leads)
        self.has_gap |= bool(self.last) and self.last.isdisjoint(page)
        self.last = page
        self.add(leads)

    def add(self, leads: list[dict[str, Any]]) -> None:
        """Adds a page."""
        self.leads += len(leads)
        times = [time for lead in leads if (time := moment_of(lead.get("update_time")))]
        self.updated = max([*times, self.updated] if self.updated else times, default=None)


def _changed(
    session: Session, record: RunRecord, increment: Increment | None, shown: Shown
) -> Iterator[list[schema.TableRow]]:
    """Yields the rows of leads that the books have otherwise, page by page.

    Args:
        session: The run.
        record: Counts all leads that were read.
        increment: What is enough to read; None for all of them.
        shown: Gets what the list has shown.
    """
    pages = session.client.pages(
        LEADS,
        most_pages(session),
        updated_since=increment.spelled if increment else None,
        expected=0 if increment else least_listed(session.warehouse),
    )
    see = session.scratch.see if increment else session.scratch.see_all
    add = shown.add_part if increment else shown.add
    for page in pages:
        leads = [lead for lead in page if lead.get("id")]  # one without an id is no lead
        add(leads)
        record.leads_read += len(leads)
        session.tell(record, "refresh", record.leads_read, None)
        read_at, changed = pendulum.now("UTC"), see(leads)
        yield [schema.lead_row(lead, read_at, session.run_id, digest) for lead, digest in changed]


def most_pages(session: Session) -> MostPages:
    """Returns how many pages the list may have, by the size of its pages.

    They may be smaller than asked for; one that is hardly filled says nothing of their size.
    """
    known = history.most_read(session.warehouse)
    if session.scope.full_refresh or not known:
        most = MOST_PAGES if session.scope.full_refresh else FIRST_PAGES
        return lambda _rows: most
    return lambda rows: 2 * -(-known // max(rows, SHORTEST_PAGE)) + SPARE_PAGES


def _look_up(session: Session, record: RunRecord, looked_up: Iterator[Found]) -> Reading:
    """Loads leads that were asked for; returns which of them cannot be read, and why.

    What was found before the budget was spent is loaded too: the next run need not ask for it.

    Raises:
        BudgetSpent: The budget did not last for all of them.
    """
    unreadable: dict[str, str] = {}
    spent: list[BudgetSpent] = []

    def affordable(found: Iterator[Found]) -> Iterator[Found]:
        try:
            yield from found
        except BudgetSpent as error:
            spent.append(error)

    def rows() -> Iterator[Marked]:
        waiting = affordable(_with_hidden(session, affordable(looked_up)))
        while batch := list(islice(waiting, BATCH)):
            unreadable.update({one.lead_id: one.trouble for one in batch if one.trouble})
            record.leads_read += sum(one.lead is not None for one in batch)
            session.scratch.see(one.lead for one in batch if one.lead is not None)
            session.scratch.see_gone(one.lead_id for one in batch if one.is_gone)
            found = [row for one in batch if (row := _looked_up_row(session, one))]
            yield from into("leads", found)

    session.load(rows())
    if spent:
        raise spent[0]
    return Reading(unreadable)


def _with_hidden(session: Session, looked_up: Iterator[Found]) -> Iterator[Found]:
    """Passes leads on; one that may be archived is gone only where no archived lead is it."""
    hidden: set[str] = set()
    while batch := list(islice(looked_up, BATCH)):
        gone = [one.lead_id for one in batch if one.is_gone]
        hidden |= maybe_archived(session.warehouse, gone)
        yield from (one for one in batch if one.lead_id not in hidden)
    if hidden:
        yield from look_among_archived(session.client, LEADS, hidden)


def read_leads(session: Session, record: RunRecord, lead_ids: Collection[str]) -> Reading:
    """Reads certain leads into the mirror, by the cheaper of the list and a call for each.

    Args:
        session: The run.
        record: Counts the leads.
        lead_ids: The leads.
    """
    client, workers = session.client, session.workers
    listed = history.count_active(session.warehouse)
    if len(lead_ids) * LEADS.tokens.one <= LEADS.list_tokens(listed):
        return _look_up(session, record, one_by_one(client, LEADS, list(lead_ids), workers))
    read_list(session, record)
    unlisted = set(lead_ids).difference(session.scratch.seen(lead_ids))
    return _look_up(session, record, _unlisted(session, sorted(unlisted)))


def _unlisted(session: Session, lead_ids: list[str]) -> Iterator[Found]:
    return look_up(session.client, LEADS, filter(is_lead_id, lead_ids), session.workers)


def _looked_up_row(session: Session, found: Found) -> schema.TableRow | None:
    if found.lead is not None:
        return schema.lead_row(found.lead, pendulum.now("UTC"), session.run_id)
    return _gone_row(session, found.lead_id) if found.is_gone else None


def _gone_row(session: Session, lead_id: str) -> schema.TableRow:
    record, gone_at = history.mirrored(session.warehouse, lead_id) or ({"id": lead_id}, None)
    return schema.gone_row(record, pendulum.now("UTC"), session.run_id, gone_at)


def mirror_row(session: Session, outcome: Outcome) -> schema.TableRow | None:
    """Returns the row of an outcome's lead; None where no answer told of it."""
    if outcome.lead is not None:
        return schema.lead_row(outcome.lead, outcome.finished_at, session.run_id)
    return _gone_row(session, outcome.patch.lead_id) if outcome.gone else None


def refresh(session: Session, record: RunRecord, account: Account) -> Reading:
    """Reads the leads as they are into the mirror, but for those known to be out of the list.

    Args:
        session: The run.
        record: Counts the leads, and notes how much is known now.
        account: What the desired table manages, and under what it is read.
    """
    lead, scratch = session.scope.lead, session.scratch
    left = history.pending_lead_ids(session.warehouse, lead)
    if lead is None:
        last = history.last_refresh(session.warehouse, session.run_id)
        before = last["read_under"] if last else None
        record.read_under = read_under_with(account.read_under, before)
        increment = increment_of(session, last, account.read_under)
        read_list(session, record, _enough(session, increment, left))
    scratch.mark("left", left)
    reading = _look_up(session, record, _unlisted(session, scratch.unknown()))
    log.info("read %d leads", record.leads_read)
    return reading


def _enough(
    session: Session, increment: Increment | None, left: Collection[str]
) -> Increment | None:
    """Returns what is to be read in the end: the increment, or None for all leads.

    Each lead that was left over is read in any case. Where that costs more one by one, the list
    brings them.

    Args:
        session: The run.
        increment: What is enough but for those that were left over.
        left: Leads that earlier runs have left over.

    Raises:
        BudgetSpent: The budget does not last for all.
    """
    if increment and not left:
        return increment
    listed = LEADS.list_tokens(least_listed(session.warehouse))
    if increment and len(left) * LEADS.tokens.one <= listed:
        return increment
    stop_where_short(session, listed)
    return None


def trust_of(session: Session, increment: Increment | None) -> Trust:
    """Returns what a run need not ask for; one lead alone is always asked for.

    An archived lead that may be brought back is compared with what it is, never with what it was.
    """
    settings, scope = session.settings, session.scope
    if scope.full_refresh or scope.lead or not settings.recheck_hours:
        return Trust(listed=increment is not None)
    period = (session.started_at - timedelta(hours=settings.recheck_hours), session.started_at)
    return Trust(period, archived=not settings.unarchive, listed=increment is not None)
