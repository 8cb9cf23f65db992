"""Three books that must agree: what Pipedrive was sent, what it holds, what the tables say.

A PATCH in the log belongs to the patch of its lead and body that was planned last before it:
a lead gets no new patch before its last one has an outcome.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import psycopg2

from tests.support.harness import Row, Site, wire

MAYBE = "in effect"
"""What the reason of a failed patch says when its PATCH may have been written."""
CLOCK_SLACK_SECONDS = 0.05

_PATCHES = """
    SELECT p.patch_id, p.lead_id, p.body, p.planned_at,
           o.outcome_id, o.status, o.reason, o.took, o.body AS sent
    FROM pipedrive_leads.lead_patches p
    LEFT JOIN pipedrive_leads.lead_outcomes o USING (patch_id)
    WHERE p.plan_id IN (SELECT plan_id FROM pipedrive_leads.sync_runs WHERE command <> 'plan')
    ORDER BY p.planned_at, p.patch_id
"""


@dataclass
class Entry:
    """A released patch: its row and its outcomes, and the PATCHes that belong to it.

    A further outcome settles what was in doubt when the run of the first one ended.
    """

    patch_id: str
    lead_id: str
    body: dict[str, Any]
    planned: float
    rows: list[Row] = field(default_factory=list)
    settled: list[Row] = field(default_factory=list)
    sends: list[Row] = field(default_factory=list)

    @property
    def status(self) -> str | None:
        return self.rows[0]["status"] if self.rows else None

    @property
    def reason(self) -> str:
        return str(self.rows[0]["reason"] or "")

    @property
    def writes(self) -> int:
        return sum(send["wrote"] for send in self.sends)


@dataclass(frozen=True)
class Books:
    """What the three books say together."""

    entries: list[Entry]
    strays: list[Row]
    leads: Mapping[str, Row]

    @property
    def statuses(self) -> Counter[str]:
        return Counter(entry.status or "none" for entry in self.entries)

    @property
    def doubled(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.writes > 1]


def assert_books(
    site: Site,
    *,
    edited: Collection[str] = (),
    only: Collection[str] | None = None,
    doubles: int = 0,
    note: object = "",
) -> Books:
    """Hold the books against each other after a sequence of runs that has come to its end.

    Args:
        site: The site whose request log was not cleared since its first run.
        edited: Leads that the test changed, archived or deleted itself.
        only: Look at the patches of these leads alone.
        doubles: How many PATCHes may have been written twice.
        note: Goes with every complaint, such as a seed.
    """
    books = read_books(site)
    if only is not None:
        books.entries[:] = [entry for entry in books.entries if entry.lead_id in only]
    complaints = list(_complaints(books, frozenset(edited)))
    twice = sum(entry.writes - 1 for entry in books.doubled)
    if twice > doubles:
        shown = [entry.patch_id for entry in books.doubled]
        complaints.append(f"{twice} PATCHes more than once, {doubles} allowed: {shown}")
    assert not complaints, f"{note} {len(complaints)} complaints: " + "; ".join(complaints[:20])
    return books


def read_books(site: Site) -> Books:
    """Return what the three books say, each PATCH with the patch that it belongs to."""
    log = site.pipedrive.requests("PATCH")
    entries = _entries(site)
    by_lead: dict[str, list[Entry]] = {}
    for entry in entries:
        by_lead.setdefault(entry.lead_id, []).append(entry)
    whole = [row for row in log if row["wrote"] or row["body"] is not None]  # a kill tears requests
    strays = [row for row in whole if not _attributed(row, by_lead.get(row["lead_id"], []))]
    return Books(entries, strays, site.pipedrive.leads())


def _entries(site: Site) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for row in _rows(site):
        body = json.loads(row["sent"] or row["body"])
        found = Entry(row["patch_id"], row["lead_id"], body, row["planned_at"].timestamp())
        entry = entries.setdefault(found.patch_id, found)
        if row["status"] is not None:
            is_first = row["outcome_id"] == row["patch_id"]
            (entry.rows if is_first else entry.settled).append(row)
    return list(entries.values())


def _rows(site: Site) -> list[Row]:
    try:
        return site.query(_PATCHES)
    except (duckdb.CatalogException, psycopg2.errors.UndefinedTable):
        return []  # killed before there were tables


def _attributed(send: Row, entries: list[Entry]) -> bool:
    before = [
        entry
        for entry in entries
        if entry.planned <= send["at"] + CLOCK_SLACK_SECONDS
        and _is_part_of(send["body"], entry.body)
    ]
    if before:
        before[-1].sends.append(send)
    return bool(before)


def _is_part_of(sent: Any, body: Mapping[str, Any]) -> bool:
    """Tell whether a PATCH is all of a patch, or what was left of it."""
    if not isinstance(sent, dict) or not sent:
        return wire(sent) == wire(body)
    return all(key in body and wire(sent[key]) == wire(body[key]) for key in sent)


def _complaints(books: Books, edited: frozenset[str]) -> Iterator[str]:
    for stray in books.strays:
        yield f"PATCH {stray['seq']} of lead {stray['lead_id']} belongs to no patch"
    for entry in books.entries:
        told = _told(entry, books, edited)
        if told:
            yield f"{entry.patch_id} of lead {entry.lead_id} {told}"
    for entry in _last_in_effect(books):
        lead = books.leads.get(entry.lead_id)
        if entry.lead_id not in edited and not _shown(entry.body, lead):
            yield f"{entry.patch_id} is {entry.status}, but its lead does not show {entry.body}"


def _told(entry: Entry, books: Books, edited: frozenset[str]) -> str | None:
    """Return what is wrong with what the tables tell of one patch."""
    if len(entry.rows) != 1:
        return f"has {len(entry.rows)} outcomes"
    told = [row for row in (*entry.rows, *entry.settled) if row["took"] is not None]
    if len(entry.settled) > 1 or len(told) > 1 or (entry.settled and not told):
        return f"has {len(told)} rows that say what took effect"
    theirs = entry.lead_id in edited
    gone = entry.lead_id not in books.leads
    wrong = {
        "applied": entry.writes == 0 and not gone,
        "confirmed": entry.writes == 0 and not theirs,
        "failed": entry.writes > 0 and MAYBE not in entry.reason,
        "ignored": entry.writes > 0 and MAYBE not in entry.reason,
        "not_found": entry.writes > 0 and not gone,
        "archived": entry.writes > 0 and not theirs,
        "rejected": bool(entry.sends),
        "conflict": bool(entry.sends) and not theirs,
    }.get(entry.status or "", entry.writes > 0)
    if not wrong:
        return None
    return f"is {entry.status} ({entry.reason}) with {entry.writes} writes"


def _last_in_effect(books: Books) -> list[Entry]:
    last = {entry.lead_id: entry for entry in books.entries if entry.writes}
    return [entry for entry in last.values() if entry.status in ("applied", "confirmed")]


def _shown(body: Mapping[str, Any], lead: Mapping[str, Any] | None) -> bool:
    return lead is not None and all(wire(lead.get(key)) == wire(body[key]) for key in body)
