"""What a run reads from the warehouse: plain SQL over dlt's client, row by row.

The connection stays open for the whole run. On DuckDB it is the lock that keeps every other
program out, and the proof that outcomes can be written; dlt loads beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count, groupby
from typing import Any

import dlt
import orjson
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)
from dlt.destinations.sql_client import SqlClientBase

from connector.desired import Row
from connector.diff import Lead
from connector.errors import DesiredTableError, LockedError, WarehouseError
from connector.kinds import from_json
from connector.settings import WarehouseSettings
from connector.tables import SYNC_RUNS

FETCH = 1000
WRITTEN = ("leads", "lead_patches", "lead_outcomes", "sync_runs")
PATCH = ("patch_id", "plan_id", "lead_id", "body", "before", "digest")
MARKS = ("_lead", "_record", "_patch_id", "_plan_id", "_body", "_before", "_digest")


@dataclass(frozen=True)
class Patch:
    """A row of `lead_patches`."""

    patch_id: str
    plan_id: str
    lead_id: str
    body: dict[str, Any]
    before: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The rows that want something of one lead, beside the lead as it is.

    Attributes:
        lead_id: Lower case; None for a row that names no lead.
        rows: Its rows in the desired table; none where it left the table since it was planned.
        current: The lead as this run read it; None where Pipedrive has none.
        patches: What an earlier run planned for it and left without an outcome.
    """

    lead_id: str | None
    rows: Sequence[Row]
    current: Lead | None
    patches: Sequence[Patch] = ()


@contextmanager
def open_warehouse(pipeline: dlt.Pipeline, settings: WarehouseSettings) -> Iterator[Warehouse]:
    """Opens the connection that a run holds from its first step to its last.

    Raises:
        LockedError: Another program has the DuckDB file open.
        WarehouseError: It cannot be opened.
    """
    client = pipeline.sql_client()
    try:
        client.open_connection()
    except DestinationConnectionError as error:
        raise _opening_error(error) from None
    try:
        yield Warehouse(client, settings.desired_table)
    finally:
        client.close_connection()


def _opening_error(error: Exception) -> WarehouseError | LockedError:
    reason = str(error).partition("The actual reason given is: ")[2] or str(error)
    if "lock" in reason.lower():
        return LockedError(f"another program holds the warehouse: {reason.splitlines()[0]}")
    return WarehouseError(f"the warehouse cannot be opened: {reason.splitlines()[0]}")


class Warehouse:
    """The questions a run asks of its tables."""

    def __init__(self, client: SqlClientBase[Any], desired_table: str) -> None:
        self._client = client
        self._table = desired_table
        self._lead_id = "lower(trim(CAST(d.lead_id AS VARCHAR)))"
        self._qualified = client.make_qualified_table_name
        self._leads, self._runs = self._qualified("leads"), self._qualified("sync_runs")
        self._unfinished = (
            "(SELECT p.* FROM {patches} p LEFT JOIN {outcomes} o ON o.patch_id = p.patch_id "
            "WHERE o.patch_id IS NULL AND p.plan_id IN (SELECT plan_id FROM {runs} "
            "WHERE state IN ('running', 'failed') AND command <> 'plan'))"
        ).format(
            patches=self._qualified("lead_patches"),
            outcomes=self._qualified("lead_outcomes"),
            runs=self._runs,
        )

    def columns(self) -> list[str]:
        """Returns the desired table's column names.

        Raises:
            DesiredTableError: There is no such table.
        """
        try:
            with self._client.execute_query(f"SELECT * FROM {self._table} WHERE 1 = 0") as cursor:
                return [column[0].lower() for column in cursor.description or ()]
        except DatabaseUndefinedRelation:
            raise DesiredTableError(
                f"the warehouse has no table {self._table}; create it, or set desired_table"
            ) from None
        except DatabaseException as error:
            raise WarehouseError(f"{self._table} cannot be read: {error}") from None

    def missing_tables(self) -> list[str]:
        """Returns which of the tables that a run writes do not exist yet."""
        return [name for name in WRITTEN if not self._exists(name)]

    def _exists(self, name: str) -> bool:
        try:
            list(self._query(f"SELECT 1 FROM {self._qualified(name)} WHERE 1 = 0"))
        except DatabaseUndefinedRelation:
            return False
        return True

    def count_desired(self, lead: str | None) -> int:
        """Returns how many rows the desired table has, or has of one lead."""
        where, args = self._only(lead)
        [row] = self._query(f"SELECT count(*) AS n FROM {self._table} d {where}", *args)
        return int(row["n"])

    def unknown(self, read_since: datetime, lead: str | None) -> Iterator[str]:
        """Yields the leads that matter to this run and that it has not read yet."""
        where, args = self._only(lead)
        wanted = f"SELECT {self._lead_id} AS lead_id FROM {self._table} d {where}"
        yield from (
            row["lead_id"]
            for row in self._query(
                f"SELECT DISTINCT w.lead_id FROM ({wanted} UNION ALL "
                f"SELECT lead_id FROM {self._unfinished} u) w "
                f"LEFT JOIN {self._leads} m ON m.id = w.lead_id AND m.read_at >= %s "
                "WHERE m.id IS NULL AND w.lead_id IS NOT NULL",
                *args,
                read_since,
            )
        )

    def mirrored(self, lead_id: str) -> dict[str, Any] | None:
        """Returns a lead as it was last read, in this run or an earlier one."""
        sql = f"SELECT record FROM {self._leads} WHERE id = %s"
        return next((_json(row["record"]) for row in self._query(sql, lead_id)), None)

    def interrupted(self, read_since: datetime) -> Iterator[Comparison]:
        """Yields the leads that an earlier run planned and left without an outcome."""
        rows = self._query(
            "SELECT d.*, u.lead_id AS _lead, m.record AS _record, u.patch_id AS _patch_id, "
            "u.plan_id AS _plan_id, u.body AS _body, u.before AS _before, u.digest AS _digest "
            f"FROM {self._unfinished} u "
            f"LEFT JOIN {self._table} d ON {self._lead_id} = u.lead_id "
            f"LEFT JOIN {self._leads} m ON m.id = u.lead_id AND m.read_at >= %s "
            "AND m.gone_at IS NULL ORDER BY u.lead_id, u.patch_id",
            read_since,
        )
        return _by_lead(rows)

    def compared(self, read_since: datetime, lead: str | None) -> Iterator[Comparison]:
        """Yields every lead of the desired table that has no unfinished patch."""
        where, args = self._only(lead)
        rows = self._query(
            f"SELECT d.*, {self._lead_id} AS _lead, m.record AS _record "
            f"FROM (SELECT * FROM {self._table} d {where}) d "
            f"LEFT JOIN {self._leads} m ON m.id = {self._lead_id} AND m.read_at >= %s "
            "AND m.gone_at IS NULL "
            f"WHERE {self._lead_id} IS NULL "
            f"OR {self._lead_id} NOT IN (SELECT lead_id FROM {self._unfinished} u) "
            f"ORDER BY {self._lead_id}",
            *args,
            read_since,
        )
        return _by_lead(rows)

    def unfinished(self) -> Iterator[Patch]:
        """Yields released patches without an outcome, in the order in which to send them."""
        last = ""
        while True:
            sql = (
                f"SELECT * FROM {self._unfinished} p WHERE p.patch_id > %s "
                f"ORDER BY p.patch_id LIMIT {FETCH}"
            )
            page = [_patch(row) for row in self._query(sql, last)]
            yield from page
            if len(page) < FETCH:
                return
            last = page[-1].patch_id

    def count_unfinished(self) -> int:
        """Returns how many released patches have no outcome."""
        [row] = self._query(f"SELECT count(*) AS n FROM {self._unfinished} u")
        return int(row["n"])

    def planned(self, plan_id: str) -> Iterator[tuple[Patch, str]]:
        """Yields a plan's patches with their leads' titles."""
        patches = self._qualified("lead_patches")
        rows = self._query(
            f"SELECT p.*, m.title AS _title FROM {patches} p "
            f"LEFT JOIN {self._leads} m ON m.id = p.lead_id "
            "WHERE p.plan_id = %s ORDER BY p.patch_id",
            plan_id,
        )
        return ((_patch(row), row["_title"] or "") for row in rows)

    def runs(self, run_id: str | None = None, limit: int = 20) -> list[Row]:
        """Returns the latest runs, newest first, or one run."""
        where, args = ("WHERE run_id = %s", [run_id]) if run_id else ("", [])
        sql = f"SELECT * FROM {self._runs} {where} ORDER BY started_at DESC LIMIT {limit}"
        return list(self._query(sql, *args))

    def interrupted_runs(self) -> list[Row]:
        """Returns the runs that never came to their end."""
        if "sync_runs" in self.missing_tables():
            return []
        names = ", ".join(SYNC_RUNS)
        return list(self._query(f"SELECT {names} FROM {self._runs} WHERE state = 'running'"))

    def _only(self, lead: str | None) -> tuple[str, list[str]]:
        return (f"WHERE {self._lead_id} = %s", [lead.strip().lower()]) if lead else ("", [])

    def _query(self, sql: str, *args: Any) -> Iterator[dict[str, Any]]:
        with self._client.execute_query(sql, *args) as cursor:
            names = [column[0].lower() for column in cursor.description or ()]
            for rows in cursor.iter_fetch(FETCH):
                yield from (dict(zip(names, row, strict=True)) for row in rows)


def _by_lead(rows: Iterator[dict[str, Any]]) -> Iterator[Comparison]:
    alone = count()

    def key(row: Mapping[str, Any]) -> Any:
        return next(alone) if row["_lead"] is None else row["_lead"]

    for _, group in groupby(rows, key):
        found = list(group)
        first = found[0]
        patches = {row["_patch_id"]: _joined_patch(row) for row in found if "_patch_id" in row}
        yield Comparison(
            first["_lead"],
            # Each patch brings every desired row of its lead, or one of NULLs where there is none.
            [_desired(row) for row in found if _same_patch(row, first) and _is_desired(row)],
            _json(first["_record"]),
            list(patches.values()),
        )


def _same_patch(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(row.get("_patch_id") == other.get("_patch_id"))


def _is_desired(row: Mapping[str, Any]) -> bool:
    return (row["lead_id"] is None) == (row["_lead"] is None)


def _desired(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if name not in MARKS}


def _joined_patch(row: Mapping[str, Any]) -> Patch:
    return _patch({name: row["_lead" if name == "lead_id" else f"_{name}"] for name in PATCH})


def _patch(row: Mapping[str, Any]) -> Patch:
    body = _json(row["body"])
    if digest(body) != row["digest"]:
        raise WarehouseError(
            f"the warehouse does not give back the body of patch {row['patch_id']} as it was "
            "planned; nothing of this plan may be sent"
        )
    before = _json(row["before"])
    return Patch(row["patch_id"], row["plan_id"], row["lead_id"], body, before)


def digest(body: Mapping[str, Any]) -> str:
    """Returns what tells a body from one that its way through the warehouse has changed."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _json(value: Any) -> Any:
    return from_json(value) if isinstance(value, str) else value
