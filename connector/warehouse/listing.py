"""The list of leads, as far as earlier runs have come with it."""

from __future__ import annotations

from connector.warehouse.store import Warehouse


def least_listed(warehouse: Warehouse) -> int:
    """Returns how many leads the list has at least, by the last runs that read it.

    The last run that read all of it counts, and each that was stopped on its way since.
    """
    runs = warehouse.table("sync_runs")
    last = list(
        warehouse.query(
            f"SELECT leads_listed, started_at FROM {runs} WHERE leads_listed IS NOT NULL "
            "ORDER BY started_at DESC LIMIT 1"
        )
    )
    since, args, seen = "", [], 0
    for row in last:
        since, args, seen = "AND started_at > %s", [row["started_at"]], int(row["leads_listed"])
    sql = (
        f"SELECT max(leads_read) AS n FROM {runs} WHERE command IN ('run', 'plan') "
        f"AND leads_listed IS NULL AND desired_table IS NULL AND state = 'stopped' {since}"
    )
    stopped = next(found["n"] for found in warehouse.query(sql, *args))
    return max(seen, 0 if stopped is None else int(stopped) + 1)
