"""What datasets of earlier versions lack, filled in where it is certain."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice

import orjson

from connector.planning.model import DONE
from connector.warehouse.load import BATCH, Marked, into
from connector.warehouse.noted import field_names
from connector.warehouse.rows import change_rows, document_of
from connector.warehouse.schema import LEAD_FIELD_CHANGES, SYNC_RUNS
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse, kinds_of

log = logging.getLogger(__name__)
FIRST_VERSION = "0.1.0"


def fill_in_old(warehouse: Warehouse) -> None:
    """Fills in what the tables of the first version had no columns for."""
    _fill_in_released(warehouse)
    _fill_in_took(warehouse)


def drop_view(warehouse: Warehouse) -> None:
    """Drops the view that told the changed fields in earlier versions; a table tells them now."""
    if kinds_of(warehouse.client).get(LEAD_FIELD_CHANGES.name) == "VIEW":
        warehouse.execute(f"DROP VIEW {warehouse.table(LEAD_FIELD_CHANGES.name)}")


def past_changes(warehouse: Warehouse) -> Iterator[Marked]:
    """Yields the changed fields of all outcomes, where there is no row of one.

    Rows of one package come to stand in their table at once, so that none is missing after a kill.
    """
    changes = warehouse.table(LEAD_FIELD_CHANGES.name)
    if any(warehouse.query(f"SELECT 1 AS n FROM {changes} LIMIT 1")):
        return
    outcomes = warehouse.stream(
        f"SELECT * FROM {warehouse.table('lead_outcomes')} "
        "WHERE patch_id IS NOT NULL AND took IS NOT NULL"
    )
    names = field_names(warehouse)
    rows = (change for outcome in outcomes for change in change_rows(outcome, names))
    count = 0
    while batch := list(islice(rows, BATCH)):
        count += len(batch)
        yield from into(LEAD_FIELD_CHANGES.name, batch)
    if count:
        log.info("noted %d changed fields of outcomes of an earlier version", count)


def _fill_in_released(warehouse: Warehouse) -> None:
    """Runs released the plan that they sent, from their start on, unless a guard stopped them.

    When one began to send is not known, so it may have been at once.
    """
    runs = warehouse.query(
        "SELECT run_id, command, state, tripped, started_at "
        f"FROM {warehouse.table(SYNC_RUNS.name)} WHERE released IS NULL"
    )
    for row in list(runs):
        was_stopped = row["state"] == "stopped" and bool(document_of(row["tripped"]))
        released = row["command"] != "plan" and not was_stopped
        noted = {"released": released, "sends_from": row["started_at"]}
        warehouse.update(SYNC_RUNS, row["run_id"], noted)


def _fill_in_took(warehouse: Warehouse) -> None:
    """Says of each outcome what took effect; what is not certain, the next run settles."""
    by_took: dict[str, list[str]] = {}
    for outcome_id, took in _certain(warehouse):
        by_took.setdefault(orjson.dumps(took).decode(), []).append(outcome_id)
    for document, outcome_ids in by_took.items():
        for some, marks in in_statements(outcome_ids):
            warehouse.execute(
                f"UPDATE {warehouse.table('lead_outcomes')} SET took = %s "
                f"WHERE outcome_id IN ({marks})",
                document,
                *some,
            )
    if by_took:
        count = sum(map(len, by_took.values()))
        log.info("noted what took effect for %d outcomes of version %s", count, FIRST_VERSION)


def _certain(warehouse: Warehouse) -> Iterator[tuple[str, list[str]]]:
    """Yields the outcomes of which it is certain what took effect, and the keys of that.

    A send without an answer may have taken effect. Only a lead's last one can still be judged by
    the lead as it is, also where a killed run has filled in the others. Only the clock tells which
    one that is: runs of that version noted no turn.
    """
    outcomes, runs = warehouse.table("lead_outcomes"), warehouse.table("sync_runs")
    of_version = f"settled_by IS NULL AND run_id IN (SELECT run_id FROM {runs} WHERE version = %s)"
    rows = warehouse.query(
        f"SELECT *, EXISTS (SELECT 1 FROM {outcomes} AS later WHERE later.lead_id = one.lead_id "
        "AND (later.finished_at > one.finished_at OR (later.finished_at = one.finished_at "
        f"AND later.outcome_id > one.outcome_id)) AND {of_version}) AS has_later "
        f"FROM {outcomes} AS one WHERE took IS NULL AND {of_version}",
        FIRST_VERSION,
        FIRST_VERSION,
    )
    for row in rows:
        if row["patch_id"] is None:
            yield row["outcome_id"], []
        elif row["status"] in DONE:
            is_ours = not str(row["reason"] or "").startswith("already so")
            yield row["outcome_id"], [*document_of(row["body"])] if is_ours else []
        elif row["has_later"] or row["sent_at"] is None:
            yield row["outcome_id"], []
