"""What Pipedrive refused, or answered without taking it as it was sent, and what still counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from connector.planning.model import TIDIED, Tried
from connector.warehouse.rows import tried_of
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse

TRIED = (
    "patch_id IS NOT NULL AND took IS NOT NULL AND (status = 'ignored' OR "
    "(status IN ('failed', 'archived') AND http_status >= 400 AND http_status < 500))"
)
"""SQL for an outcome of what was refused, or answered without being taken as it was sent."""
TIDY = f"substr(coalesce(reason, ''), 1, {len(TIDIED)}) = '{TIDIED}'"
"""SQL for one that was taken, but trimmed or rounded."""


_LATER = (
    "CASE WHEN l.turn IS NULL OR t.turn IS NULL THEN l.outcome_id > t.outcome_id "
    "WHEN l.turn = t.turn THEN l.finished_at > t.finished_at ELSE l.turn > t.turn END"
)
"""SQL for that an outcome was written after another one.

The turn of its run says it, as the clock that made its id may have been ahead. The id says it
where a run is forgotten: any run may be the first to go, as some are needed for longer.
"""


def tried_outcomes(warehouse: Warehouse) -> str:
    """Returns SQL for outcomes of what was tried, that no later patch of the lead makes void.

    Of what was tidied only one that was tidied in the same fields does.
    """
    outcomes = (
        f"(SELECT o.*, r.turn FROM {warehouse.table('lead_outcomes')} o "
        f"LEFT JOIN {warehouse.table('sync_runs')} r "
        "ON r.run_id = coalesce(o.settled_by, o.run_id))"
    )
    tried = f"SELECT * FROM {outcomes} t WHERE {TRIED}"
    # Two halves: an OR beside NOT EXISTS would have PostgreSQL read the table for each row.
    return (
        f"({tried} AND {TIDY} AND NOT EXISTS (SELECT 1 FROM {outcomes} l "
        f"WHERE l.lead_id = t.lead_id AND l.reason = t.reason AND {_LATER}) "
        f"UNION ALL {tried} AND NOT {TIDY} AND NOT EXISTS "
        f"(SELECT 1 FROM {outcomes} l WHERE l.lead_id = t.lead_id "
        f"AND l.status IN ('applied', 'confirmed') AND {_LATER}))"
    )


def tried_before(warehouse: Warehouse, lead_ids: Collection[str]) -> Mapping[str, list[Tried]]:
    """Returns what was refused, or answered without being taken, of some leads."""
    found: dict[str, list[Tried]] = {}
    for some, marks in in_statements(lead_ids):
        sql = (
            "SELECT lead_id, status, body, after, lead_updated, error, reason "
            f"FROM {tried_outcomes(warehouse)} u WHERE lead_id IN ({marks}) "
            "ORDER BY coalesce(turn, 0), finished_at, outcome_id"
        )
        for row in warehouse.query(sql, *some):
            found.setdefault(row["lead_id"], []).append(tried_of(row))
    return found
