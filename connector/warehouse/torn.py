"""Loads of outcomes that were cut off: dlt merges table after table, and notes the load last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby, islice

import pendulum

from connector.warehouse.load import BATCH, BY_SQL, LOAD_ID, LOADS
from connector.warehouse.rows import KEPT, document_of, patch_of, rewritten_row
from connector.warehouse.schema import TableRow
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse


def torn_loads(warehouse: Warehouse, since: datetime) -> list[str]:
    """Returns the loads of outcomes whose other tables may lack what belongs to them.

    Args:
        warehouse: Where they are.
        since: What is older dlt may have noted, and forgotten since.
    """
    found = warehouse.query(
        f"SELECT DISTINCT o.{LOAD_ID} AS load_id FROM {warehouse.table('lead_outcomes')} o "
        f"WHERE o.{LOAD_ID} > %s AND o.{LOAD_ID} <> %s "
        f"AND o.{LOAD_ID} NOT IN (SELECT load_id FROM {warehouse.table(LOADS)}) "
        "AND coalesce(o.settled_by, o.run_id) IN "
        f"(SELECT run_id FROM {warehouse.table('sync_runs')} "
        "WHERE state IN ('running', 'failed') AND taken_over_by IS NULL)",
        f"{since.timestamp():.6f}",
        BY_SQL,
    )
    return sorted(row["load_id"] for row in found)


def loaded_outcomes(warehouse: Warehouse, load_id: str) -> Iterator[list[TableRow]]:
    """Yields the outcomes of a load, lead by lead, some of them at a time.

    Those of what was never planned move nothing.
    """
    rows = warehouse.stream(
        f"SELECT * FROM {warehouse.table('lead_outcomes')} "
        f"WHERE {LOAD_ID} = %s AND (patch_id IS NOT NULL OR outcome_id LIKE %s) "
        "ORDER BY lead_id, outcome_id",
        load_id,
        f"%{KEPT}",
    )
    leads = groupby(rows, lambda row: row["lead_id"])
    while batch := [row for _, of_lead in islice(leads, BATCH) for row in of_lead]:
        yield batch


def rewritten_rows(warehouse: Warehouse, outcomes: Sequence[TableRow]) -> list[TableRow]:
    """Returns the rows of patches that were sent otherwise than `lead_patches` has them."""
    sent = {row["patch_id"]: row for row in outcomes if row["patch_id"]}
    rows: list[TableRow] = []
    for some, marks in in_statements(sent):
        sql = f"SELECT * FROM {warehouse.table('lead_patches')} WHERE patch_id IN ({marks})"
        for planned in map(patch_of, warehouse.query(sql, *some)):
            body, before = (document_of(sent[planned.patch_id][one]) for one in ("body", "before"))
            if planned.intact and (planned.body, planned.before) != (body, before):
                rows.append(rewritten_row(replace(planned, body=body, before=before)))
    return rows


def note_loaded(warehouse: Warehouse, load_id: str) -> None:
    """Notes that all of a load is there, as dlt does at its end."""
    warehouse.execute(
        f"INSERT INTO {warehouse.table(LOADS)} (load_id, schema_name, status, inserted_at) "
        "VALUES (%s, %s, 0, %s)",
        load_id,
        warehouse.pipeline.default_schema_name,
        pendulum.now("UTC"),
    )
