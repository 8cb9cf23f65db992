"""What a run reads from the warehouse: plain SQL over dlt's client, row by row.

The connection stays open for the whole run. On DuckDB it is the lock that keeps every other
program out, and the proof that outcomes can be written; dlt loads beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)
from dlt.destinations.sql_client import SqlClientBase

from connector.columns import CHANGES
from connector.errors import ConfigError, DesiredTableError, LockedError, WarehouseError
from connector.known import Known
from connector.rows import (
    MARK,
    Comparison,
    Patch,
    by_lead,
    document_of,
    patch_of,
    read_row,
    readers_for,
)
from connector.settings import WarehouseSettings
from connector.tables import SYNC_RUNS, Row

FETCH = 1000
WRITTEN = ("leads", "lead_patches", "lead_outcomes", "sync_runs")


@contextmanager
def open_warehouse(pipeline: dlt.Pipeline, settings: WarehouseSettings) -> Iterator[Warehouse]:
    """Opens the connection that a run holds from its first step to its last.

    Raises:
        ConfigError: The destination's settings cannot be used.
        LockedError: Another program has the DuckDB file open.
        WarehouseError: It cannot be opened.
    """
    try:
        client = pipeline.sql_client()
        client.open_connection()
    except ConfigurationException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"the destination cannot be used: {reason}") from None
    except DestinationConnectionError as error:
        raise _opening_error(error) from None
    try:
        yield Warehouse(client, settings.desired_table)
    finally:
        client.close_connection()


def _opening_error(error: Exception) -> WarehouseError | LockedError:
    reason = str(error).partition("The actual reason given is: ")[2] or str(error)
    if "Could not set lock" in reason:
        return LockedError(
            f"another program holds the warehouse: {reason.splitlines()[0]}; close it there"
        )
    return WarehouseError(f"the warehouse cannot be opened: {reason.splitlines()[0]}")


class Warehouse:
    """The questions a run asks of its tables."""

    def __init__(self, client: SqlClientBase[Any], desired_table: str) -> None:
        self._client = client
        self._table = desired_table
        self._lead_id = "lower(trim(CAST(d.lead_id AS VARCHAR)))"
        self._qualified = client.make_qualified_table_name
        self._leads, self._runs = self._qualified("leads"), self._qualified("sync_runs")
        self._outcomes = self._qualified("lead_outcomes")
        self._unfinished = (
            f"(SELECT p.* FROM {self._qualified('lead_patches')} p "
            f"LEFT JOIN {self._outcomes} o ON o.patch_id = p.patch_id "
            f"WHERE o.patch_id IS NULL AND p.plan_id IN (SELECT plan_id FROM {self._runs} "
            "WHERE state IN ('running', 'failed') AND command <> 'plan'))"
        )

    def columns(self) -> dict[str, str]:
        """Returns the desired table's columns, in lower case, with their types.

        Raises:
            DesiredTableError: There is no such table.
            WarehouseError: It cannot be read.
        """
        try:
            with self._client.execute_query(f"SELECT * FROM {self._table} WHERE 1 = 0") as cursor:
                found = cursor.description or ()
                return {column[0].lower(): str(column[1]) for column in found}
        except DatabaseUndefinedRelation:
            raise DesiredTableError(
                f"the warehouse has no table {self._table}; create it, or set desired_table"
            ) from None
        except DatabaseException as error:
            raise WarehouseError(f"{self._table} cannot be read: {error}") from None

    def changed_names(self) -> set[str]:
        """Returns every key that the `changes` of some row holds."""
        names: set[str] = set()
        for row in self._query(f"SELECT {CHANGES} FROM {self._table} WHERE {CHANGES} IS NOT NULL"):
            try:
                document = document_of(row[CHANGES])
            except ValueError:
                continue  # a row's trouble, told when the row is read
            names.update(document if isinstance(document, dict) else ())
        return names

    def missing_tables(self) -> list[str]:
        """Returns which of the tables that a run writes do not exist yet."""
        return [name for name in WRITTEN if not self._exists(name)]

    def count_desired(self, lead: str | None) -> int:
        """Returns how many rows the desired table has, or has of one lead."""
        where, args = self._only(lead)
        [row] = self._query(f"SELECT count(*) AS n FROM {self._table} d {where}", *args)
        return int(row["n"])

    def unknown(self, known: Known, lead: str | None) -> Iterator[str]:
        """Yields the leads that matter to this run and are not known.

        One with a patch that an interrupted run left is known when this run has read it.
        """
        where, args = self._only(lead)
        is_known, known_args = known.condition()
        rows = self._query(
            "SELECT DISTINCT w.lead_id FROM ("
            f"SELECT {self._lead_id} AS lead_id, 0 AS left_over FROM {self._table} d {where} "
            f"UNION ALL SELECT u.lead_id, 1 FROM {self._unfinished} u {self._only_of('u', lead)}"
            f") w LEFT JOIN {self._leads} m ON m.id = w.lead_id AND {is_known} "
            "WHERE w.lead_id IS NOT NULL "
            "AND (m.id IS NULL OR (w.left_over = 1 AND m.read_by <> %s))",
            *args,
            *args,
            *known_args,
            known.run_id,
        )
        return (row["lead_id"] for row in rows)

    def mirrored(self, lead_id: str) -> tuple[dict[str, Any], datetime | None] | None:
        """Returns a lead as it was last read, in any run, and since when it is known as gone."""
        sql = f"SELECT record, gone_at FROM {self._leads} WHERE id = %s"
        rows = self._query(sql, lead_id)
        return next(((document_of(row["record"]), row["gone_at"]) for row in rows), None)

    def interrupted(self, run_id: str, lead: str | None) -> Iterator[Comparison]:
        """Yields the leads that an earlier run planned and left without an outcome."""
        args = [lead] if lead else []
        return self._compare(
            f"SELECT d.*, u.lead_id AS {MARK}lead, m.record AS {MARK}record, "
            f"u.patch_id AS {MARK}patch_id, u.plan_id AS {MARK}plan_id, u.body AS {MARK}body, "
            f"u.before AS {MARK}before, u.digest AS {MARK}digest "
            f"FROM {self._unfinished} u "
            f"LEFT JOIN {self._table} d ON {self._lead_id} = u.lead_id "
            f"LEFT JOIN {self._leads} m ON m.id = u.lead_id AND m.read_by = %s "
            f"AND m.gone_at IS NULL {self._only_of('u', lead)} "
            "ORDER BY u.lead_id, u.patch_id",
            run_id,
            *args,
        )

    def compared(self, known: Known, lead: str | None) -> Iterator[Comparison]:
        """Yields every lead of the desired table; those that failed before come last.

        Args:
            known: What of the mirror to compare with.
            lead: Only this lead.
        """
        return self._compared(known, lead, "1 = 1")

    def compared_anew(self, known: Known, lead: str | None) -> Iterator[Comparison]:
        """Yields the same, but for the leads with a patch that is still to be sent."""
        unfinished = f"SELECT u.lead_id FROM {self._unfinished} u"
        is_new = f"({self._lead_id} IS NULL OR {self._lead_id} NOT IN ({unfinished}))"
        return self._compared(known, lead, is_new)

    def _compared(self, known: Known, lead: str | None, which: str) -> Iterator[Comparison]:
        where, args = self._only(lead)
        is_known, known_args = known.condition()
        return self._compare(
            f"SELECT d.*, {self._lead_id} AS {MARK}lead, m.record AS {MARK}record "
            f"FROM (SELECT * FROM {self._table} d {where}) d "
            f"LEFT JOIN {self._leads} m ON m.id = {self._lead_id} "
            f"AND {is_known} AND m.gone_at IS NULL "
            f"LEFT JOIN (SELECT DISTINCT lead_id FROM {self._outcomes} "
            f"WHERE status IN ('failed', 'ignored')) f ON f.lead_id = {self._lead_id} "
            f"WHERE {which} "
            f"ORDER BY CASE WHEN f.lead_id IS NULL THEN 0 ELSE 1 END, {self._lead_id}",
            *args,
            *known_args,
        )

    def unfinished(self, lead: str | None) -> Iterator[Patch]:
        """Yields released patches without an outcome, in the order in which to send them."""
        last: str | None = ""
        while last is not None:
            sql = (
                f"SELECT * FROM (SELECT * FROM {self._unfinished} u {self._only_of('u', lead)}) p "
                f"WHERE p.patch_id > %s ORDER BY p.patch_id LIMIT {FETCH}"
            )
            page = [patch_of(row) for row in self._query(sql, *([lead] if lead else []), last)]
            yield from page
            last = page[-1].patch_id if len(page) == FETCH else None

    def count_unfinished(self, lead: str | None) -> int:
        """Returns how many leads have released patches without an outcome."""
        which = self._only_of("u", lead)
        sql = f"SELECT count(DISTINCT u.lead_id) AS n FROM {self._unfinished} u {which}"
        [row] = self._query(sql, *([lead] if lead else []))
        return int(row["n"])

    def planned(self, plan_id: str) -> Iterator[tuple[Patch, str]]:
        """Yields a plan's patches with their leads' titles."""
        rows = self._query(
            f"SELECT p.*, m.title AS {MARK}title FROM {self._qualified('lead_patches')} p "
            f"LEFT JOIN {self._leads} m ON m.id = p.lead_id "
            "WHERE p.plan_id = %s ORDER BY p.patch_id",
            plan_id,
        )
        return ((patch_of(row), row[f"{MARK}title"] or "") for row in rows)

    def runs(self, run_id: str | None = None, limit: int = 20) -> list[Row]:
        """Returns the latest runs, newest first, or one run."""
        if not self._exists("sync_runs"):
            return []
        where, args = ("WHERE run_id = %s", [run_id]) if run_id else ("", [])
        sql = f"SELECT {', '.join(SYNC_RUNS)} FROM {self._runs} {where} "
        return list(self._query(f"{sql} ORDER BY started_at DESC LIMIT {limit}", *args))

    def misses(self, run_id: str) -> list[Row]:
        """Returns a run's outcomes that are neither applied nor confirmed."""
        sql = (
            f"SELECT lead_id, status, reason FROM {self._outcomes} WHERE run_id = %s "
            "AND status NOT IN ('applied', 'confirmed') ORDER BY outcome_id"
        )
        return list(self._query(sql, run_id))

    def interrupted_runs(self) -> list[Row]:
        """Returns the runs that never came to their end."""
        if not self._exists("sync_runs"):
            return []
        sql = f"SELECT {', '.join(SYNC_RUNS)} FROM {self._runs} WHERE state = 'running'"
        return list(self._query(sql))

    def _only(self, lead: str | None) -> tuple[str, list[str]]:
        return (f"WHERE {self._lead_id} = %s", [lead]) if lead else ("", [])

    def _only_of(self, table: str, lead: str | None) -> str:
        return f"WHERE {table}.lead_id = %s" if lead else ""

    def _exists(self, name: str) -> bool:
        try:
            list(self._query(f"SELECT 1 AS n FROM {self._qualified(name)} WHERE 1 = 0"))
        except DatabaseUndefinedRelation:
            return False
        return True

    def _query(self, sql: str, *args: Any) -> Iterator[dict[str, Any]]:
        with self._client.execute_query(sql, *args) as cursor:
            names = [column[0].lower() for column in cursor.description or ()]
            for rows in cursor.iter_fetch(FETCH):
                yield from (dict(zip(names, row, strict=True)) for row in rows)

    def _compare(self, sql: str, *args: Any) -> Iterator[Comparison]:
        """Runs a query of the desired table's columns and marked ones, ordered by lead."""
        with self._client.execute_query(sql, *args) as cursor:
            readers = readers_for(cursor.description or ())
            rows = (row for rows in iter(lambda: cursor.fetchmany(FETCH), []) for row in rows)
            yield from by_lead(read_row(row, readers) for row in rows)
