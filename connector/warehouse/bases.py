"""What both sides last agreed on of each lead, as it is kept, and as outcomes of before tell it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from connector.planning.bases import moved_by
from connector.planning.model import DONE
from connector.warehouse.history import read_runs
from connector.warehouse.load import BATCH
from connector.warehouse.rows import KEPT, document_of
from connector.warehouse.schema import LEAD_BASES, BaseRow, TableRow
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse


def has_bases(warehouse: Warehouse) -> bool:
    """Tells whether something is kept of what both sides agreed on."""
    table = warehouse.table(LEAD_BASES.name)
    return bool(warehouse.column_names(LEAD_BASES.name)) and any(
        warehouse.query(f"SELECT 1 AS n FROM {table} LIMIT 1")
    )


def bases_of(warehouse: Warehouse, lead_ids: Collection[str]) -> dict[str, Mapping[str, Any]]:
    """Returns what was last agreed on of some leads, for those of which anything was."""
    found: dict[str, Mapping[str, Any]] = {}
    for some, marks in in_statements(lead_ids):
        table = warehouse.table(LEAD_BASES.name)
        sql = f"SELECT lead_id, base FROM {table} WHERE lead_id IN ({marks})"
        for row in warehouse.query(sql, *some):
            found[row["lead_id"]] = document_of(row["base"])
    return found


def all_bases(warehouse: Warehouse) -> Iterator[tuple[str, Any]]:
    """Yields what was last agreed on of each lead."""
    rows = warehouse.stream(f"SELECT lead_id, base FROM {warehouse.table(LEAD_BASES.name)}")
    return ((row["lead_id"], document_of(row["base"])) for row in rows)


def bases_of_later(warehouse: Warehouse, run_id: str) -> list[TableRow]:
    """Returns what is agreed on of each lead that a run after this one was told to look at alone.

    Args:
        warehouse: Where it is kept.
        run_id: The run before.
    """
    found = read_runs(warehouse, "WHERE run_id = %s", run_id)
    if not found or not has_bases(warehouse):
        return []
    later = read_runs(warehouse, "WHERE lead IS NOT NULL AND turn > %s", found[0]["turn"])
    bases = bases_of(warehouse, {run["lead"] for run in later})
    return [vars(BaseRow(lead_id, dict(base))) for lead_id, base in bases.items()]


def moved_bases(warehouse: Warehouse, outcomes: Sequence[TableRow]) -> list[TableRow]:
    """Returns what is agreed on of leads as rows of outcomes move it.

    Args:
        warehouse: Where it is kept.
        outcomes: The rows, lead by lead, each lead's in the order of sending.
    """
    return [*_base_rows(outcomes, bases_of(warehouse, {row["lead_id"] for row in outcomes}))]


def past_bases(warehouse: Warehouse) -> Iterator[list[TableRow]]:
    """Yields what was agreed on as far as outcomes tell it, of runs that did not keep it.

    That is what was written and taken last: that both sides were found to be equal since was
    not written down, so that such a field is taken for edited rather than overwritten.
    What counts is the turn of the run that wrote an outcome, as its clock may have been ahead.
    Runs that are forgotten, or of before there were turns, come before all that have one.
    """
    sql = (
        "SELECT o.lead_id, o.status, o.took, o.body, o.before, o.after "
        f"FROM {warehouse.table('lead_outcomes')} o LEFT JOIN {warehouse.table('sync_runs')} r "
        "ON r.run_id = coalesce(o.settled_by, o.run_id) "
        "WHERE (o.patch_id IS NOT NULL OR o.outcome_id LIKE %s) AND o.lead_id IS NOT NULL "
        "ORDER BY o.lead_id, coalesce(r.turn, 0), o.finished_at, o.outcome_id"
    )
    rows = _base_rows(warehouse.stream(sql, f"%{KEPT}"), {})
    while batch := list(islice(rows, BATCH)):
        yield batch


def _base_rows(
    outcomes: Iterable[TableRow], were: Mapping[str, Mapping[str, Any]]
) -> Iterator[TableRow]:
    """Yields what is agreed on of each lead of outcomes, which come lead by lead."""
    for lead_id, of_lead in groupby(outcomes, lambda row: row["lead_id"]):
        if base := _moved(were.get(lead_id, {}), of_lead):
            yield vars(BaseRow(lead_id, base))


def _moved(base: Mapping[str, Any], outcomes: Iterable[TableRow]) -> dict[str, Any]:
    """Returns what is agreed on of a lead, moved by one outcome after the other."""
    moved = dict(base)
    for row in outcomes:
        body, before, shown = (document_of(row[name]) or {} for name in ("body", "before", "after"))
        took = document_of(row["took"])
        if took is None:  # the first version did not say it
            took = body.keys() if row["status"] in DONE else ()
        moved = moved_by(moved, row["status"], took, body=body, before=before, shown=shown)
    return moved
