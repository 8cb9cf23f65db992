"""The list of leads, as far as earlier runs have come with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connector.warehouse.history import by_turn
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse


def least_listed(warehouse: Warehouse) -> int:
    """Returns how many leads the list has at least, by the last runs that read it.

    The last run that read all of it counts, and each that was stopped on its way since.
    """
    runs = warehouse.table("sync_runs")
    last = list(
        warehouse.query(
            "SELECT leads_listed, coalesce(turn, 0) AS turn, started_at "
            f"FROM {runs} WHERE leads_listed IS NOT NULL {by_turn(newest=True)} LIMIT 1"
        )
    )
    since, args, seen = "", list[Any](), 0
    for row in last:
        since = "AND (coalesce(turn, 0) > %s OR (coalesce(turn, 0) = %s AND started_at > %s))"
        args = [row["turn"], row["turn"], row["started_at"]]
        seen = int(row["leads_listed"])
    sql = (
        f"SELECT max(leads_read) AS n FROM {runs} WHERE command IN ('run', 'plan') "
        f"AND leads_listed IS NULL AND desired_table IS NULL AND state = 'stopped' {since}"
    )
    stopped = next(found["n"] for found in warehouse.query(sql, *args))
    return max(seen, 0 if stopped is None else int(stopped) + 1)


def doubt_unlisted(warehouse: Warehouse, lead_ids: Iterable[str]) -> None:
    """Notes which leads the list does not show any more: none of them is known without a look.

    They may be gone, archived, or skipped as others left the list meanwhile.
    """
    for some, marks in in_statements(lead_ids):
        sql = f"UPDATE {warehouse.table('leads')} SET digest = NULL WHERE id IN ({marks})"
        warehouse.execute(sql, *some)


def maybe_archived(warehouse: Warehouse, lead_ids: Iterable[str]) -> set[str]:
    """Returns those of some leads that were archived when last read, or may have got a PATCH since.

    That a write which may be in effect was lost is not to be told of a lead that is only hidden.

    Args:
        warehouse: Where the mirror is, and the patches.
        lead_ids: Leads that neither the list nor a call for each shows.
    """
    found: set[str] = set()
    leads, open_patches = warehouse.table("leads"), warehouse.unfinished_patches
    for some, marks in in_statements(lead_ids):
        sql = f"SELECT id FROM {leads} WHERE id IN ({marks}) AND gone_at IS NULL AND is_archived"
        found.update(row["id"] for row in warehouse.query(sql, *some))
        for patches in (open_patches, warehouse.doubtful_outcomes):
            sql = f"SELECT u.lead_id FROM {patches} u WHERE u.lead_id IN ({marks})"
            found.update(row["lead_id"] for row in warehouse.query(sql, *some))
    return found
