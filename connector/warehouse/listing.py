"""The list of leads, as far as earlier runs have come with it."""

from __future__ import annotations

from connector.warehouse.store import Warehouse


def least_listed(warehouse: Warehouse) -> int:
    """Returns how many leads the list has at least, by the last runs that read it.

    The last run that read all of it counts, and each that was stopped on its way since.
    """
    runs, leads = warehouse.table("sync_runs"), warehouse.table("leads")
    whole = "command IN ('run', 'plan') AND desired_table IS NOT NULL"
    last = list(
        warehouse.query(
            f"SELECT run_id, started_at FROM {runs} WHERE {whole} ORDER BY started_at DESC LIMIT 1"
        )
    )
    since, args, seen = "", [], 0
    for row in last:
        since, args = "AND started_at > %s", [row["started_at"]]
        sql = (
            f"SELECT count(*) AS n FROM {leads} WHERE read_by = %s AND gone_at IS NULL "
            "AND NOT coalesce(is_archived, false)"
        )
        seen = next(int(found["n"]) for found in warehouse.query(sql, row["run_id"]))
    sql = (
        f"SELECT max(leads_read) AS n FROM {runs} WHERE command IN ('run', 'plan') "
        f"AND desired_table IS NULL AND state = 'stopped' {since}"
    )
    stopped = next(found["n"] for found in warehouse.query(sql, *args))
    return max(seen, 0 if stopped is None else int(stopped) + 1)
