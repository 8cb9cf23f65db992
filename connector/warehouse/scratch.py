"""What a run has read and is to compare: a file in the working folder, beside the warehouse.

The desired rows may be in one warehouse and the books in another, and neither has to join or to
sort. SQLite takes a row in a microsecond, holds next to nothing in memory, and orders ids by their
bytes whatever a warehouse's collation is. The file is a cache: a run begins with an empty one.

A second file remembers from run to run which row was found to agree with which record. Deciding
looks at nothing else, so the two need no second look while both are the same and nothing changed
that they were judged by. Lost, it costs time and nothing more.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import orjson

from connector.errors import WarehouseError
from connector.pipedrive.escapes import escape
from connector.planning.model import Agreement, Lead

NAME, MEMORY_NAME = "scratch.sqlite", "agreed.sqlite"
CACHE_KIB = 16_384
"""Memory that SQLite may take for pages; what is beyond it is read from the file."""
PAGE = 16_384
"""Bytes of a page of the file: a record of a lead fits into one with others."""
SOME = 500
"""Ids in one statement; SQLite takes 999 values at least."""
TABLES = """
CREATE TABLE wanted (position INTEGER PRIMARY KEY, lead_id TEXT, digest BLOB, cells BLOB);
CREATE TABLE mirror (
    lead_id TEXT PRIMARY KEY, digest TEXT, is_listed INT, is_known INT
) WITHOUT ROWID;
CREATE TABLE seen (
    lead_id TEXT PRIMARY KEY, updated TEXT, digest TEXT, record INT, is_gone INT
) WITHOUT ROWID;
CREATE TABLE records (position INTEGER PRIMARY KEY, record BLOB);
CREATE TABLE marked (kind TEXT, lead_id TEXT, PRIMARY KEY (kind, lead_id)) WITHOUT ROWID;
CREATE TABLE same (lead_id TEXT PRIMARY KEY, kept_nulls INT) WITHOUT ROWID;
CREATE TABLE bases (lead_id TEXT PRIMARY KEY, digest BLOB) WITHOUT ROWID;
CREATE TABLE agreed (
    lead_id TEXT PRIMARY KEY, wanted BLOB, lead TEXT, base BLOB, kept_nulls INT
) WITHOUT ROWID;
"""
MEMORY = """
CREATE TABLE IF NOT EXISTS memory.agreed (
    lead_id TEXT PRIMARY KEY, wanted BLOB, lead TEXT, base BLOB, kept_nulls INT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memory.judged_by (context TEXT);
"""
DAMAGED = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises over a damaged file; it cannot always spell what it found there."""
LEAD_DIGEST = "CASE WHEN s.lead_id IS NULL THEN m.digest ELSE s.digest END"
"""The digest of a lead's record: as this run has read it, or else as the books have it."""
BESIDE = (
    "LEFT JOIN seen s ON s.lead_id = w.lead_id "
    "LEFT JOIN mirror m ON m.lead_id = w.lead_id AND m.is_known "
    "LEFT JOIN bases b ON b.lead_id = w.lead_id"
)
Cells = tuple[Any, ...]


@dataclass(frozen=True)
class Wanted:
    """What the desired table wants of one lead.

    Attributes:
        lead_id: As the mirror spells it; None for a row that names none.
        rows: The cells of its rows.
        agreement: What to remember where they are found to agree; None for nothing.
    """

    lead_id: str | None
    rows: Sequence[Cells]
    agreement: Agreement | None = None


def digest_of(record: Lead) -> str:
    """Returns what tells a lead's record from another one, whatever the order of its keys."""
    return _digest(_encoded(record)).hex()


def _encoded(record: Lead) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # half a surrogate, or a number beyond 64 bits
        return json.dumps(escape(record), sort_keys=True).encode()


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


@contextmanager
def open_scratch(folder: Path) -> Iterator[Scratch]:
    """Opens an empty scratch file in a folder that is there, and removes it at the end.

    Raises:
        WarehouseError: It cannot be written.
    """
    place = folder / NAME
    try:
        place.unlink(missing_ok=True)
        connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
        # It is thrown away after a kill, so nothing of it has to outlive one.
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.executescript(TABLES)
    except (OSError, sqlite3.Error) as error:
        raise WarehouseError(f"the scratch file {place} cannot be made: {error}") from None
    try:
        yield Scratch(connection)
    finally:
        connection.close()
        place.unlink(missing_ok=True)


class Scratch:
    """One run's scratch file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._memory: Path | None = None
        self._records = 0

    def _query(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, args)

    # What is wanted

    def want(self, rows: Iterable[tuple[str | None, Cells, Cells]]) -> int:
        """Keeps the rows of the desired table; returns how many there are.

        Args:
            rows: Of each the lead, all cells, and those that say what is wanted.
        """

        def packed() -> Iterator[tuple[str | None, bytes, bytes]]:
            for lead_id, cells, wish in rows:
                packed = _packed(cells)
                said = packed if wish is cells else _packed(wish)
                yield lead_id, _digest(said), packed

        with self._writing():
            self._connection.executemany(
                "INSERT INTO wanted (lead_id, digest, cells) VALUES (?, ?, ?)", packed()
            )
            self._query("CREATE INDEX wanted_lead ON wanted (lead_id, digest)")
            self._query(
                "INSERT INTO marked SELECT 'several', lead_id FROM wanted "
                "WHERE lead_id IS NOT NULL GROUP BY lead_id HAVING count(*) > 1"
            )
        return self.count("wanted")

    def named(self) -> Iterator[str]:
        """Yields each id that the desired table has, once; it may be no id of a lead."""
        found = self._query("SELECT DISTINCT lead_id FROM wanted WHERE lead_id IS NOT NULL")
        return (lead_id for [lead_id] in found)

    def rows_of(self, lead_ids: Collection[str]) -> dict[str, list[Cells]]:
        """Returns the rows of some leads, for those that have any."""
        found: dict[str, list[Cells]] = {}
        for some, marks in _some(lead_ids):
            sql = f"SELECT lead_id, cells FROM wanted WHERE lead_id IN ({marks}) ORDER BY position"
            for lead_id, cells in self._query(sql, *some):
                found.setdefault(lead_id, []).append(_cells(cells))
        return found

    # What is there

    def note_mirror(self, leads: Iterable[tuple[str, str | None, bool, bool]]) -> None:
        """Keeps what the books have of each lead.

        Args:
            leads: Its id, its record's digest, whether the list would show it, and whether it is
                taken to be so still.
        """
        with self._writing():
            self._connection.executemany("INSERT INTO mirror VALUES (?, ?, ?, ?)", leads)

    def see(self, leads: Iterable[Lead]) -> list[tuple[Lead, str]]:
        """Keeps some leads as this run has read them.

        Where rows shift while pages are walked, a lead comes twice: the newer copy counts.

        Returns:
            Those that the books have otherwise, each with the digest of its record.
        """
        return self._see(leads, with_known=True)

    def see_all(self, leads: Iterable[Lead]) -> list[tuple[Lead, str]]:
        """Does what `see` does, of a page of all leads: a record that the books have stays there.

        Few of them are looked at again, and to write all of them takes longer than that.
        """
        return self._see(leads, with_known=False)

    def _see(self, leads: Iterable[Lead], *, with_known: bool) -> list[tuple[Lead, str]]:
        page: dict[str, tuple[str, Lead]] = {}
        for lead in leads:
            lead_id, updated = str(lead["id"]).lower(), str(lead.get("update_time") or "")
            if lead_id not in page or updated >= page[lead_id][0]:
                page[lead_id] = (updated, lead)
        before = self._by_id("seen", "updated", page)
        known = self._by_id("mirror", "digest", page)
        changed, rows, records = [], [], []
        for lead_id, (updated, lead) in page.items():
            if updated < before.get(lead_id, ""):
                continue
            record = _encoded(lead)
            digest, position = _digest(record).hex(), None
            is_new = lead_id in before or known.get(lead_id) != digest
            if is_new or with_known:
                self._records += 1
                position = self._records
                records.append((position, record))
            rows.append((lead_id, updated, digest, position))
            changed += [(lead, digest)] if is_new else []
        with self._writing():
            self._connection.executemany("INSERT INTO records VALUES (?, ?)", records)
            self._connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, 0)", rows)
        return changed

    def confirm(self, leads: Iterable[Lead]) -> None:
        """Counts as read which of some leads are as the run takes them to be, and no other.

        A lead that comes twice is so where both of its copies are.
        """
        listed = [(str(lead["id"]).lower(), digest_of(lead)) for lead in leads]
        ids = [lead_id for lead_id, _ in listed]
        taken = self._by_id("mirror", "digest", ids) | self._by_id("seen", "digest", ids)
        self.mark("other", (lead_id for lead_id, digest in listed if taken.get(lead_id) != digest))
        other = self.marked("other", ids)
        with self._writing():
            self._connection.executemany(
                "DELETE FROM seen WHERE lead_id = ?", ((lead_id,) for lead_id in other)
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO seen VALUES (?, '', ?, NULL, 0)",
                (found for found in listed if found[0] not in other),
            )

    def _by_id(self, table: str, column: str, lead_ids: Collection[str]) -> dict[str, Any]:
        """Returns a column of some leads' rows."""
        found: dict[str, Any] = {}
        for some, marks in _some(lead_ids):
            sql = f"SELECT lead_id, {column} FROM {table} WHERE lead_id IN ({marks})"
            found.update(self._query(sql, *some))
        return found

    def see_gone(self, lead_ids: Iterable[str]) -> None:
        """Keeps which leads this run has found gone."""
        gone = ((lead_id,) for lead_id in lead_ids)
        with self._writing():
            self._connection.executemany(
                "INSERT OR REPLACE INTO seen VALUES (?, '', NULL, NULL, 1)", gone
            )

    def count(self, table: str) -> int:
        """Returns how many rows a table has."""
        return int(self._query(f"SELECT count(*) FROM {table}").fetchone()[0])

    def seen(self, lead_ids: Collection[str]) -> dict[str, Lead | None]:
        """Returns some of the leads as this run has read them; None for one that is gone.

        One that is as the books have it is {}: its record is there.
        """
        found: dict[str, Lead | None] = {}
        for some, marks in _some(lead_ids):
            sql = (
                "SELECT s.lead_id, r.record, s.is_gone FROM seen s "
                f"LEFT JOIN records r ON r.position = s.record WHERE s.lead_id IN ({marks})"
            )
            for lead_id, record, is_gone in self._query(sql, *some):
                found[lead_id] = None if is_gone else orjson.loads(record or b"{}")
        return found

    def taken_as_known(self, lead_ids: Collection[str]) -> set[str]:
        """Returns which of some leads are taken to be as the books have them, unread."""
        found: set[str] = set()
        for some, marks in _some(lead_ids):
            sql = f"SELECT lead_id FROM mirror WHERE is_known AND lead_id IN ({marks})"
            found.update(lead_id for [lead_id] in self._query(sql, *some))
        return found

    # What is to be done

    def mark(self, kind: str, lead_ids: Iterable[str | None]) -> None:
        """Notes leads of some kind: `left`, `passed`, `failed`, `unreadable` or `other`."""
        rows = ((kind, lead_id) for lead_id in lead_ids if lead_id is not None)
        with self._writing():
            self._connection.executemany("INSERT OR IGNORE INTO marked VALUES (?, ?)", rows)

    def marked(self, kind: str, lead_ids: Collection[str]) -> set[str]:
        """Returns which of some leads are noted as of some kind."""
        found: set[str] = set()
        for some, marks in _some(lead_ids):
            sql = f"SELECT lead_id FROM marked WHERE kind = ? AND lead_id IN ({marks})"
            found.update(lead_id for [lead_id] in self._query(sql, kind, *some))
        return found

    def unknown(self) -> list[str]:
        """Returns the leads that matter and are not known.

        One that is `left` over is known when this run has read it.
        """
        sql = (
            "SELECT w.lead_id FROM wanted w WHERE w.lead_id IS NOT NULL "
            "AND w.lead_id NOT IN (SELECT lead_id FROM seen) "
            "AND w.lead_id NOT IN (SELECT lead_id FROM mirror WHERE is_known) "
            "UNION SELECT lead_id FROM marked WHERE kind = 'left' "
            "AND lead_id NOT IN (SELECT lead_id FROM seen)"
        )
        return [lead_id for [lead_id] in self._query(sql)]

    def unlisted(self) -> list[str]:
        """Returns the leads that the list showed to an earlier run and not to this one."""
        sql = (
            "SELECT lead_id FROM mirror WHERE is_listed AND digest IS NOT NULL "
            "AND lead_id NOT IN (SELECT lead_id FROM seen)"
        )
        return [lead_id for [lead_id] in self._query(sql)]

    def note_bases(self, bases: Iterable[tuple[str, Any]]) -> None:
        """Keeps what was last agreed on of each lead, by its digest."""
        rows = ((lead_id, _digest(orjson.dumps(base))) for lead_id, base in bases)
        with self._writing():
            self._connection.executemany("INSERT INTO bases VALUES (?, ?)", rows)

    def set_aside_same(self) -> tuple[int, int]:
        """Sets the leads aside that agree with their row, as an earlier run found.

        Returns:
            How many they are, and how many of their NULLs leave something alone.
        """
        agreed = "memory.agreed" if self._memory else "main.agreed"
        with self._writing():
            self._query(
                "INSERT INTO same SELECT w.lead_id, a.kept_nulls FROM wanted w "
                f"JOIN {agreed} a ON a.lead_id = w.lead_id AND a.wanted = w.digest {BESIDE} "
                f"WHERE a.lead = {LEAD_DIGEST} AND a.base IS b.digest AND w.lead_id NOT IN "
                "(SELECT lead_id FROM marked WHERE kind <> 'left') ORDER BY w.lead_id"
            )
        leads, kept_nulls = self._query("SELECT count(*), sum(kept_nulls) FROM same").fetchone()
        return int(leads), int(kept_nulls or 0)

    def compared(self) -> Iterator[Wanted]:
        """Yields every other lead that is wanted, but for those to pass by; failed ones last."""
        failed = "w.lead_id IN (SELECT lead_id FROM marked WHERE kind = 'failed')"
        for which in (f"(w.lead_id IS NULL OR NOT {failed})", failed):
            by_lead = groupby(enumerate(self._query(self._comparison(which))), _lead_of)
            for lead_id, group in by_lead:
                yield _wanted_of(lead_id, [row for _, row in group])

    def _comparison(self, which: str) -> str:
        return (
            f"SELECT w.lead_id, w.cells, w.digest, {LEAD_DIGEST}, b.digest FROM wanted w {BESIDE} "
            "LEFT JOIN same x ON x.lead_id = w.lead_id "
            "LEFT JOIN marked p ON p.kind = 'passed' AND p.lead_id = w.lead_id "
            f"WHERE x.lead_id IS NULL AND p.lead_id IS NULL AND {which} "
            "ORDER BY w.lead_id IS NULL, w.lead_id, w.position"
        )

    # What agreed before

    def remember_in(self, folder: Path, context: str) -> None:
        """Makes what agreed in earlier runs known to this one, where it was judged alike.

        Args:
            folder: Where it is kept.
            context: Tells all that it is judged by from anything else.
        """
        place = folder / MEMORY_NAME
        with suppress(*DAMAGED):  # where there is none, all is judged anew
            try:
                self._attach(place, context)
            except DAMAGED:  # cut off by a loss of power, or by anything else
                self._drop_memory(place)
                self._attach(place, context)
            self._memory = place

    def _attach(self, place: Path, context: str) -> None:
        self._query("ATTACH ? AS memory", str(place))
        self._connection.executescript(MEMORY)
        # Now, not while it is used: a statement that fails halfway spoils the scratch file, which
        # has no journal.
        if self._query("PRAGMA memory.quick_check(1)").fetchall() != [("ok",)]:
            raise sqlite3.DatabaseError(f"{place} is damaged")
        self._query("SELECT lead_id, wanted, lead, base, kept_nulls FROM memory.agreed LIMIT 0")
        with self._writing():
            if self._query("SELECT context FROM memory.judged_by").fetchall() != [(context,)]:
                self._query("DELETE FROM memory.agreed")
                self._query("DELETE FROM memory.judged_by")
                self._query("INSERT INTO memory.judged_by VALUES (?)", context)

    def remember(self, found: Iterable[tuple[Agreement, int]]) -> None:
        """Keeps what agrees, with the NULLs that leave something alone, until `keep_memory`."""
        rows = (
            (one.lead_id, one.wanted, one.lead, one.base, kept_nulls) for one, kept_nulls in found
        )
        with self._writing():
            self._connection.executemany(
                "INSERT OR REPLACE INTO agreed VALUES (?, ?, ?, ?, ?)", rows
            )

    def keep_memory(self) -> None:
        """Keeps what was found to agree for later runs, all of it at once."""
        if self._memory is None:
            return
        try:
            self._query("INSERT OR REPLACE INTO memory.agreed SELECT * FROM main.agreed")
        except DAMAGED:  # the disk is full, or the file is another user's
            self._drop_memory(self._memory)

    def _drop_memory(self, place: Path) -> None:
        self._memory = None
        with suppress(*DAMAGED):
            self._query("DETACH memory")
        with suppress(OSError):
            place.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._query("BEGIN")
        try:
            yield
        except BaseException:
            self._query("ROLLBACK")
            raise
        self._query("COMMIT")


def _some(lead_ids: Collection[str]) -> Iterator[tuple[list[str], str]]:
    """Yields as many ids as a statement takes, with the marks for them."""
    waiting = iter(lead_ids)
    while some := list(islice(waiting, SOME)):
        yield some, ", ".join("?" * len(some))


def _lead_of(numbered: tuple[int, Sequence[Any]]) -> Any:
    """Returns what rows of one lead have in common; a row without a lead stands alone."""
    number, row = numbered
    return number if row[0] is None else row[0]


def _wanted_of(lead_id: Any, rows: Sequence[Sequence[Any]]) -> Wanted:
    _, cells, wanted, lead, base = rows[0]
    if not isinstance(lead_id, str):
        return Wanted(None, [_cells(cells)])
    alone = len(rows) == 1 and lead is not None
    agreement = Agreement(lead_id, wanted, lead, base) if alone else None
    return Wanted(lead_id, [_cells(row[1]) for row in rows], agreement=agreement)


def _packed(cells: Cells) -> bytes:
    try:
        return pickle.dumps(cells)
    except TypeError:  # a driver's own kind of bytes
        return pickle.dumps(
            tuple(bytes(cell) if isinstance(cell, memoryview) else cell for cell in cells)
        )


def _cells(packed: bytes) -> Cells:
    cells: Cells = pickle.loads(packed)  # noqa: S301 - this process has packed it
    return cells
