"""What runs have come to, counted over all of their outcomes, with samples to look at."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Generic, TypeVar

import pendulum

from connector.planning.model import DONE, ChangeKind, kind_of_change
from connector.records.fields import Field, fields_of
from connector.warehouse import history, noted
from connector.warehouse.rows import document_of, is_settling
from connector.warehouse.schema import LEAD_OUTCOMES, TableRow
from connector.warehouse.store import Warehouse

MOST_ROWS = 1000
"""Rows of each list; of more, so many are drawn at random."""
SLOWEST = 10
LATEST = "latest"
Drawn = TypeVar("Drawn")


class Sample(Generic[Drawn]):
    """Keeps some of any number of things, each with the same chance, and always the same ones."""

    def __init__(self, most: int = MOST_ROWS) -> None:
        self.total = 0
        self._most, self._random = most, random.Random(1)
        self._kept: list[tuple[int, Drawn]] = []

    @property
    def rows(self) -> list[Drawn]:
        """What is kept, in the order in which it came."""
        return [row for _, row in sorted(self._kept, key=lambda one: one[0])]

    def add(self, row: Drawn) -> None:
        """Takes one more into account."""
        self.total += 1
        if len(self._kept) < self._most:
            self._kept.append((self.total, row))
        elif (place := self._random.randrange(self.total)) < self._most:
            self._kept[place] = (self.total, row)


@dataclass(frozen=True)
class FieldChange:
    """A field that a run has changed, in the words of its users."""

    changed_at: datetime
    run_id: str
    lead_id: str
    title: str
    field: str
    kind: ChangeKind
    old: str
    new: str


@dataclass(frozen=True)
class Miss:
    """An outcome that left a lead otherwise than wanted, field by field.

    Attributes:
        words: Why, and what the API said.
        values: For each field what was there, what is there and what was wanted.
    """

    finished_at: datetime
    run_id: str
    lead_id: str
    title: str
    status: str
    words: str
    http_status: int | None
    values: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Send:
    """How long one patch took, from the first try to the last answer."""

    seconds: float
    run_id: str
    lead_id: str
    title: str
    status: str
    attempts: int
    waited_seconds: float


@dataclass(frozen=True)
class Phases:
    """How long the parts of a run took; what is not known is 0."""

    run_id: str
    reading: float
    sending: float
    recording: float


@dataclass
class Figures:
    """All that a report tells.

    Attributes:
        runs: The rows of `sync_runs`, newest first.
        statuses: How many outcomes there are of each status.
        kinds: By field how many values were set, changed and cleared.
        tokens: Spent by day, in UTC.
        day_budget: Tokens of the company's day; None where no answer told of it.
    """

    runs: list[TableRow]
    company: str
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Counter[ChangeKind]] = field(default_factory=lambda: defaultdict(Counter))
    tokens: dict[date, int] = field(default_factory=dict)
    day_budget: int | None = None
    phases: list[Phases] = field(default_factory=list)
    changes: Sample[FieldChange] = field(default_factory=Sample)
    cleared: Sample[FieldChange] = field(default_factory=Sample)
    misses: Sample[Miss] = field(default_factory=Sample)
    slowest: list[Send] = field(default_factory=list)


def figures_of(warehouse: Warehouse, run_id: str | None, since: datetime) -> Figures:
    """Counts what some runs have come to.

    Args:
        warehouse: Where it is written.
        run_id: The only run, or `latest`; None for all since then.
        since: When the first of them began.
    """
    every = history.every_run(warehouse)[::-1]
    if run_id == LATEST:
        runs = every[:1]
    elif run_id is not None:
        runs = [row for row in every if row["run_id"] == run_id]
    else:
        runs = [row for row in every if row["started_at"] >= since]
    owners = history.owners(warehouse)
    company = ", ".join(f"{domain or ''} ({number})".strip() for number, domain in owners)
    found = Figures(runs, company)
    if not runs:
        return found
    sent: dict[str, datetime] = {}
    fields = noted.known_fields(warehouse)
    for row in _outcomes(warehouse, runs):
        _count_changes(found, row, fields)
        _count_end(found, row, fields)
        if row["sent_at"] is not None and row["settled_by"] is None:
            last = sent.get(row["run_id"], row["finished_at"])
            sent[row["run_id"]] = max(last, row["finished_at"])
    found.tokens = _by_day(runs)
    found.day_budget = next((row["day_budget"] for row in runs if row["day_budget"]), None)
    found.phases = [_phases(row, sent.get(row["run_id"])) for row in runs if row["finished_at"]]
    return found


def _outcomes(warehouse: Warehouse, runs: Sequence[TableRow]) -> Iterator[TableRow]:
    """Yields what some runs have sent, and what they found out of earlier ones.

    One that was settled since ends as that row says, whichever run has found it.
    """
    ids = {row["run_id"] for row in runs}
    first = min(row["started_at"] for row in runs)
    sql = (
        f"SELECT o.*, m.title FROM {warehouse.table('lead_outcomes')} o "
        f"LEFT JOIN {warehouse.table('leads')} m ON m.id = o.lead_id "
        "WHERE o.finished_at >= %s"
    )
    # An older version's table lacks some columns.
    settled = {}
    if "settled_by" in warehouse.column_names(LEAD_OUTCOMES.name):
        found = warehouse.query(f"{sql} AND o.settled_by IS NOT NULL", first)
        settled = {row["patch_id"]: row for row in found if is_settling(row)}
    for row in warehouse.query(f"{sql} ORDER BY o.outcome_id", first):
        known = {name: row.get(name) for name in (*LEAD_OUTCOMES.columns, "title")}
        if ids & {known["run_id"], known["settled_by"]}:
            yield {**known, "end": settled.get(row["patch_id"], known)}


def _count_changes(found: Figures, row: TableRow, fields: Mapping[str, Field]) -> None:
    known = _documents(row)
    for one in fields_of(document_of(row["took"]) or (), fields):
        change = _change(row, one, known)
        if change.old != change.new:
            found.kinds[change.field][change.kind] += 1
            found.changes.add(change)
            if change.kind == "cleared":
                found.cleared.add(change)


def _count_end(found: Figures, row: TableRow, fields: Mapping[str, Field]) -> None:
    if is_settling(row):
        return
    end = row["end"]
    found.statuses[end["status"]] += 1
    if end["status"] not in DONE:
        known = _documents(end)
        found.misses.add(_miss(end, fields_of(known["body"], fields), known))
    if row["sent_at"] is not None and row["settled_by"] is None:
        found.slowest = sorted(
            [*found.slowest, _send(row)], key=lambda one: one.seconds, reverse=True
        )[:SLOWEST]


def _documents(row: TableRow) -> Mapping[str, Any]:
    return {name: document_of(row[name]) or {} for name in ("body", "before", "after")}


def _change(row: TableRow, one: Field, known: Mapping[str, Any]) -> FieldChange:
    before, body = known["before"], known["body"]
    kind = kind_of_change(one, before, body)
    changed_at = row["sent_at"] or row["finished_at"]
    names = (changed_at, row["run_id"], row["lead_id"], row["title"] or "")
    # A body has only the one of two keys that differs.
    now = body if kind == "cleared" else {**before, **body}
    return FieldChange(*names, one.name, kind, one.show(before), one.show(now))


def _miss(row: TableRow, of_body: Iterable[Field], known: Mapping[str, Any]) -> Miss:
    said = [row["reason"], row["error"], row["error_info"]]
    words = dict.fromkeys(str(one) for one in said if one)
    values = [
        (one.name, one.show(known["after"] or known["before"]), one.show(known["body"]))
        for one in of_body
    ]
    names = (row["finished_at"], row["run_id"], row["lead_id"] or "", row["title"] or "")
    return Miss(*names, row["status"], " – ".join(words), row["http_status"], values)


def _send(row: TableRow) -> Send:
    seconds = (row["finished_at"] - row["sent_at"]).total_seconds()
    names = (row["run_id"], row["lead_id"], row["title"] or "", row["status"])
    return Send(seconds, *names, row["attempts"] or 0, row["waited_seconds"] or 0.0)


def _by_day(runs: Iterable[TableRow]) -> dict[date, int]:
    """Returns the tokens of each day, from the first on which there was a run to the last."""
    spent: Counter[date] = Counter()
    for row in runs:
        day = pendulum.instance(row["started_at"]).in_timezone("UTC").date()
        spent[day] += row["tokens"] or 0
    first, last = min(spent), max(spent)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return {day: spent[day] for day in days}


def _phases(row: TableRow, sent: datetime | None) -> Phases:
    began, ended, sends = row["started_at"], row["finished_at"], row["sends_from"]
    if sends is None:
        return Phases(row["run_id"], _seconds(began, ended), 0.0, 0.0)
    last = sent or sends
    spans = (_seconds(began, sends), _seconds(sends, last), _seconds(last, ended))
    return Phases(row["run_id"], *spans)


def _seconds(begin: datetime, end: datetime) -> float:
    return max((end - begin).total_seconds(), 0.0)
