"""Forgetting what runs have stored, once it is old and no later run needs it.

A run is forgotten first, by its row. What it planned, sent and changed goes when no row of a run
speaks of it any more: a kill in between leaves nothing that would be sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pendulum

from connector.warehouse.history import by_turn, count_unfinished, last_sent
from connector.warehouse.load import LOADS
from connector.warehouse.schema import (
    LEAD_FIELD_CHANGES,
    LEAD_OUTCOMES,
    LEAD_PATCHES,
    PLAN_LEFT_OUT,
    SYNC_RUNS,
    TableRow,
)
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse
from connector.warehouse.tried import TIDY, TRIED, tried_outcomes


def forgettable(warehouse: Warehouse, before: datetime) -> list[str]:
    """Returns the runs that ended before a moment, but for those that a later run needs.

    While a run's patches are unfinished, no run is forgotten.
    """
    if count_unfinished(warehouse, None):
        return []
    runs = list(
        warehouse.query(
            "SELECT run_id, plan_id, command, state, started_at, finished_at, desired_table, "
            "leads_listed, released "
            f"FROM {warehouse.table(SYNC_RUNS.name)} {by_turn()}, run_id"
        )
    )
    needed = {*_guarding(runs), *_since_the_last_list(runs), *_in_use(warehouse, before)}
    return [row["run_id"] for row in runs if row["run_id"] not in needed and _ended(row, before)]


def forget(warehouse: Warehouse, run_ids: Sequence[str], before: datetime) -> None:
    """Forgets runs, and what is older than a moment and of no run that is left.

    Args:
        warehouse: Where the books are.
        run_ids: The runs to forget.
        before: The moment.

    Raises:
        WarehouseError: It cannot be deleted.
    """
    runs = warehouse.table(SYNC_RUNS.name)
    for some, marks in in_statements(run_ids):
        warehouse.execute(f"DELETE FROM {runs} WHERE run_id IN ({marks})", *some)
    outcomes = warehouse.table(LEAD_OUTCOMES.name)
    doubtful = f"SELECT patch_id FROM {warehouse.doubtful_outcomes} u"
    of_no_run = (
        f"plan_id NOT IN (SELECT plan_id FROM {runs}) AND (patch_id IS NULL "
        f"OR patch_id NOT IN ({doubtful}))"
    )
    warehouse.execute(
        f"DELETE FROM {warehouse.table(LEAD_PATCHES.name)} WHERE planned_at < %s AND {of_no_run}",
        before,
    )
    warehouse.execute(
        f"DELETE FROM {warehouse.table(PLAN_LEFT_OUT.name)} WHERE planned_at < %s "
        f"AND plan_id NOT IN (SELECT plan_id FROM {runs})",
        before,
    )
    # What was refused or ignored counts until the lead took something later. So that later
    # outcome stays until the earlier ones are gone.
    tried = f"SELECT lead_id FROM {outcomes} WHERE {TRIED} AND NOT {TIDY}"
    warehouse.execute(
        f"DELETE FROM {outcomes} WHERE finished_at < %s AND {of_no_run} "
        f"AND run_id NOT IN (SELECT run_id FROM {runs}) "
        f"AND outcome_id NOT IN (SELECT outcome_id FROM {tried_outcomes(warehouse)} u) "
        f"AND (status NOT IN ('applied', 'confirmed') OR lead_id NOT IN ({tried}))",
        before,
    )
    warehouse.execute(
        f"DELETE FROM {warehouse.table(LEAD_FIELD_CHANGES.name)} WHERE changed_at < %s "
        f"AND patch_id NOT IN (SELECT patch_id FROM {outcomes} WHERE patch_id IS NOT NULL)",
        before,
    )


def trim_loads(warehouse: Warehouse, before: datetime) -> None:
    """Forgets which packages dlt has loaded before a moment; it needs that of its state alone.

    Raises:
        WarehouseError: It cannot be deleted.
    """
    pipeline, state = warehouse.pipeline, "_dlt_pipeline_state"
    if not pipeline.default_schema_name or not warehouse.column_names(state):
        return  # nothing was ever loaded
    warehouse.execute(
        f"DELETE FROM {warehouse.table(LOADS)} WHERE schema_name = %s AND inserted_at < %s "
        f"AND load_id NOT IN (SELECT _dlt_load_id FROM {warehouse.table(state)})",
        pipeline.default_schema_name,
        before,
    )


def _ended(run: TableRow, before: datetime) -> bool:
    is_over = run["state"] != "running" and run["finished_at"] is not None
    times = (run["started_at"], run["finished_at"])
    return is_over and max(map(pendulum.instance, times)) < before


def _guarding(runs: Sequence[TableRow]) -> Iterator[str]:
    """Yields the run of each table whose rows the next run's guard compares its own with.

    What has sent its plan is kept too, as it is no such run without that.
    """
    last = {*last_sent(runs, runs).values()}
    yield from (row["run_id"] for row in runs if row["plan_id"] in last)


def _since_the_last_list(runs: Sequence[TableRow]) -> Iterator[str]:
    """Yields the last run that read the whole list of leads, and all that came after it."""
    whole = [place for place, row in enumerate(runs) if row["leads_listed"] is not None]
    yield from (row["run_id"] for row in runs[whole[-1] if whole else len(runs) :])


def _in_use(warehouse: Warehouse, before: datetime) -> Iterator[str]:
    """Yields the runs of outcomes that are not old, or that do not tell yet what took effect."""
    sql = (
        f"SELECT run_id FROM {warehouse.table(LEAD_OUTCOMES.name)} WHERE finished_at >= %s "
        f"UNION ALL SELECT run_id FROM {warehouse.doubtful_outcomes} u"
    )
    return (row["run_id"] for row in warehouse.query(sql, before))
