"""What a rehearsal reads from the books, and the books of its own that it fills with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

import orjson
import pendulum

from connector.warehouse import history
from connector.warehouse.schema import (
    LEAD_PATCHES,
    SYNC_ACCOUNT,
    SYNC_RUNS,
    AccountRow,
    Table,
    TableRow,
)
from connector.warehouse.store import Warehouse


def open_patches(books: Warehouse, plan_id: str) -> list[TableRow]:
    """Returns the rows of a plan's patches that have no outcome, in the order of sending."""
    rows = books.query(
        f"SELECT p.* FROM {books.table('lead_patches')} p "
        f"LEFT JOIN {books.table('lead_outcomes')} o ON o.patch_id = p.patch_id "
        "WHERE p.plan_id = %s AND o.patch_id IS NULL ORDER BY p.patch_id",
        plan_id,
    )
    return [{name: row.get(name) for name in LEAD_PATCHES.columns} for row in rows]


def records(books: Warehouse) -> Iterator[tuple[bytes, datetime]]:
    """Yields each lead of the mirror that exists, as JSON on one line, and when it was read."""
    sql = f"SELECT record, read_at FROM {books.table('leads')} WHERE gone_at IS NULL"
    for row in books.query(sql):
        text = _text(row["record"])
        # A line break can only stand between two tokens; some warehouses lay documents out.
        yield text.replace("\n", " ").encode(), row["read_at"]


def put_plan(books: Warehouse, runs: Sequence[TableRow], patches: Sequence[TableRow]) -> None:
    """Writes a plan, and the runs that a run of it looks back on, into books that have none.

    Args:
        books: Where they go.
        runs: Rows of `sync_runs`.
        patches: Rows of `lead_patches`.
    """
    _put(books, SYNC_RUNS, runs)
    _put(books, LEAD_PATCHES, patches)


def put_company(books: Warehouse, company_id: int, *, options_as_text: bool | None) -> None:
    """Writes whose the books are.

    Args:
        books: Where it goes.
        company_id: The company.
        options_as_text: Whether its option ids are text; None where it is not known.
    """
    row = AccountRow(company_id, None, options_as_text, pendulum.now("UTC"))
    _put(books, SYNC_ACCOUNT, [vars(row)])


def outcomes(books: Warehouse) -> Iterator[dict[str, Any]]:
    """Yields every outcome of books that one run has written."""
    sql = (
        "SELECT o.lead_id, o.status, o.reason, o.before, o.took, m.title "
        f"FROM {books.table('lead_outcomes')} o "
        f"LEFT JOIN {books.table('leads')} m ON m.id = o.lead_id ORDER BY o.outcome_id"
    )
    return books.query(sql)


def looked_back_on(books: Warehouse, plan_id: str) -> list[TableRow]:
    """Returns the runs of a plan, and those that a run of it is held against."""
    rows = history.every_run(books)
    earlier = takewhile(lambda row: row["run_id"] != plan_id, rows)
    plans = {plan_id, *history.last_sent(earlier, rows).values()}
    most = max(rows, key=lambda row: row["leads_read"] or 0, default=None)
    theirs = [row for row in rows if row["plan_id"] in plans]
    found = [*theirs, *([most] if most else [])]
    return list({row["run_id"]: row for row in found}.values())


def _put(books: Warehouse, table: Table, rows: Sequence[TableRow]) -> None:
    documents = {name for name, column in table.columns.items() if column["data_type"] == "json"}
    books.insert(
        table,
        [
            {
                name: _text(value) if name in documents and value is not None else value
                for name, value in row.items()
            }
            for row in rows
        ],
    )


def _text(document: Any) -> str:
    """Returns a document as the text that it is, or is stored as."""
    return document if isinstance(document, str) else orjson.dumps(document).decode()
