"""What of the mirror a run takes as known, as a condition on the mirror's rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.impl.duckdb.configuration import NON_ATTACHABLE_LOCATIONS, DuckDbCredentials
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.sql_client import SqlClientBase

from connector.configuration.origin import redact
from connector.configuration.providers import WAREHOUSE, ask, looked_in, own_configuration, variable
from connector.errors import (
    ConfigError,
    DesiredTableError,
    LeadSyncError,
    LockedError,
    WarehouseError,
)
from connector.planning.columns import CHANGES
from connector.planning.model import Comparison
from connector.settings import WarehouseSettings
from connector.warehouse.destination import DUCKDB, FindsFullNames, TypedDuckDb
from connector.warehouse.rows import MARK, by_lead, document_of, read_row, readers_for


@dataclass(frozen=True)
class MirrorFilter:
    """Which rows of the mirror say how a lead is.

    The list that every run reads shows a lead that has come back, so one that is not in it and
    was found gone or archived a while ago still is.

    Attributes:
        run_id: What this run has read is known; None for whatever was read last.
        period: What was found gone or archived in this time is known too; None for nothing. Its
            end keeps out what bears a time to come, from before a clock was set back.
        archived: Whether that holds for archived leads as well as for those that are gone.
    """

    run_id: str | None
    period: tuple[datetime, datetime] | None = None
    archived: bool = True

    def condition(self) -> tuple[str, list[Any]]:
        """Returns SQL on a row `m` of the mirror, and its arguments."""
        read = "m.read_by = coalesce(%s, m.read_by)"
        if self.period is None:
            return read, [self.run_id]
        out_of_list = "(m.gone_at IS NOT NULL OR m.is_archived)"
        which = out_of_list if self.archived else "m.gone_at IS NOT NULL"
        sql = f"({read} OR ({which} AND m.read_at BETWEEN %s AND %s))"
        return sql, [self.run_id, *self.period]


FETCH = 1000
WRITTEN = ("leads", "lead_patches", "lead_outcomes", "lead_fields", "sync_runs")


@contextmanager
def open_warehouse(pipeline: dlt.Pipeline, settings: WarehouseSettings) -> Iterator[Warehouse]:
    """Opens the connection that a run holds from its first step to its last.

    Raises:
        ConfigError: The destination's settings cannot be used.
        LockedError: Another program has the DuckDB file open.
        WarehouseError: It cannot be opened.
    """
    with ExitStack() as stack:
        if isinstance(pipeline.destination, FindsFullNames):
            stack.enter_context(own_configuration())
        client = _opened(pipeline, settings)
        stack.callback(client.close_connection)
        yield Warehouse(client, settings.desired_table)


def _opened(pipeline: dlt.Pipeline, settings: WarehouseSettings) -> SqlClientBase[Any]:
    try:
        client = pipeline.sql_client()
        if isinstance(pipeline.destination, TypedDuckDb):
            _require_file(client.credentials, settings)
        client.open_connection()
    except LeadSyncError:
        raise
    except MissingDependencyException as error:
        extras = ", ".join(f"'{name}'" for name in error.dependencies)
        raise ConfigError(f"the destination needs more: pip install {extras}") from None
    except ConfigFieldMissingException as error:
        missing = next(iter(error.fields))
        raise ConfigError(f"the warehouse lacks {missing}; {_where_to_put(missing)}") from None
    except ConfigurationException as error:
        raise ConfigError(f"the destination cannot be used: {first_line(error)}") from None
    except Exception as error:  # each driver has errors of its own
        raise _opening_error(error) from None
    return client


def _require_file(credentials: DuckDbCredentials, settings: WarehouseSettings) -> None:
    """Refuses a DuckDB file that is not there: DuckDB would make an empty one.

    Raises:
        ConfigError: None is configured, or the credentials are another destination's.
        WarehouseError: It is not there.
    """
    path, configured = credentials.database, ask(WAREHOUSE, "credentials", secret=True)
    scheme = re.match(r"([a-z][a-z0-9+]*)://", configured) if isinstance(configured, str) else None
    if scheme and scheme[1] != DUCKDB:
        raise ConfigError(
            f"the warehouse is DuckDB, but its credentials begin with {scheme[0]}; set "
            "destination_type under [destination.warehouse]"
        )
    if path in NON_ATTACHABLE_LOCATIONS or _is_file(Path(path)):
        return
    shown = redact(str(Path(path).absolute()))
    if configured is None and ask((*WAREHOUSE, "credentials"), "database") is None:
        raise ConfigError(
            f"no warehouse is configured, and {shown} is not there; {_where_to_put('credentials')}"
        )
    raise WarehouseError(
        f"there is no DuckDB file {shown}; mend credentials under [destination.warehouse], or make "
        f"the file with {settings.desired_table} in it"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be looked into
        return False


def _where_to_put(name: str) -> str:
    return (
        f"put {name} under [destination.warehouse] in .dlt/secrets.toml, or set "
        f"{variable(WAREHOUSE, name)}; looked in {looked_in()}"
    )


def matching(table: str, **wanted: str | None) -> tuple[str, list[str]]:
    """Returns a WHERE for the columns that are to have a value, and the values; None is any."""
    given = {name: value for name, value in wanted.items() if value is not None}
    conditions = " AND ".join(f"{table}.{name} = %s" for name in given)
    return f"WHERE {conditions}" if given else "", list(given.values())


@contextmanager
def _answered() -> Iterator[None]:
    """Says on one line why a query has no answer; a generator's reader raises nothing into it."""
    try:
        yield
    except DatabaseException as error:
        raise WarehouseError(f"the warehouse cannot be read: {first_line(error)}") from None


def _place(client: SqlClientBase[Any]) -> str:
    """Returns where the tables are, without a password."""
    credentials = client.credentials
    if isinstance(credentials, DuckDbCredentials):
        return f"file {redact(str(Path(credentials.database).absolute()))}"
    return f"at {redact(str(credentials))}"


def first_line(error: Exception) -> str:
    """Returns the first line of an error that says something."""
    return next((line for line in str(error).splitlines() if line.strip()), repr(error))


def _opening_error(error: Exception) -> WarehouseError | LockedError:
    reason = str(error).partition("The actual reason given is: ")[2] or str(error)
    first_line = redact(next(iter(reason.strip().splitlines()), type(error).__name__))
    if "Could not set lock" in reason:
        return LockedError(f"another program holds the warehouse: {first_line}; close it there")
    return WarehouseError(f"the warehouse cannot be opened: {first_line}")


class Warehouse:
    """The questions a run asks of its tables."""

    def __init__(self, client: SqlClientBase[Any], desired_table: str) -> None:
        self._client = client
        self.desired_table = desired_table
        self.place = _place(client)
        self._lead_id = "lower(trim(CAST(d.lead_id AS VARCHAR)))"
        self.table = client.make_qualified_table_name
        self.leads_table, self.runs_table = self.table("leads"), self.table("sync_runs")
        self.outcomes_table = self.table("lead_outcomes")
        self.unfinished_patches = (
            f"(SELECT p.* FROM {self.table('lead_patches')} p "
            f"LEFT JOIN {self.outcomes_table} o ON o.patch_id = p.patch_id "
            f"WHERE o.patch_id IS NULL AND p.plan_id IN (SELECT plan_id FROM {self.runs_table} "
            "WHERE state IN ('running', 'failed') AND command <> 'plan'))"
        )

    def columns(self) -> dict[str, str]:
        """Returns the desired table's columns, in lower case, with their types.

        Raises:
            DesiredTableError: There is no such table.
            WarehouseError: It cannot be read.
        """
        try:
            with self._client.execute_query(
                f"SELECT * FROM {self.desired_table} WHERE 1 = 0"
            ) as cursor:
                found = cursor.description or ()
                return {column[0].lower(): str(column[1]) for column in found}
        except DatabaseUndefinedRelation:
            raise DesiredTableError(
                f"the warehouse has no table {self.desired_table}; create it, or set desired_table"
            ) from None
        except DatabaseException as error:
            raise WarehouseError(f"{self.desired_table} cannot be read: {error}") from None

    def changed_names(self) -> set[str]:
        """Returns every key that the `changes` of some row holds."""
        names: set[str] = set()
        for row in self.query(
            f"SELECT {CHANGES} FROM {self.desired_table} WHERE {CHANGES} IS NOT NULL"
        ):
            try:
                document = document_of(row[CHANGES])
            except ValueError:
                continue  # a row's trouble, told when the row is read
            names.update(document if isinstance(document, dict) else ())
        return names

    def missing_tables(self) -> list[str]:
        """Returns which of the tables that a run writes do not exist yet."""
        return [name for name in WRITTEN if not self.exists(name)]

    def incomplete_tables(self, wanted: Mapping[str, Collection[str]]) -> list[str]:
        """Returns which tables lack a column, as those of an older version do.

        Args:
            wanted: The columns of each table.
        """
        return [
            name
            for name, columns in wanted.items()
            if self.exists(name) and not self.columns_of(name).issuperset(columns)
        ]

    def columns_of(self, name: str) -> frozenset[str]:
        """Returns the columns of a table that a run writes, in lower case."""
        sql = f"SELECT * FROM {self.table(name)} WHERE 1 = 0"
        with _answered(), self._client.execute_query(sql) as cursor:
            return frozenset(column[0].lower() for column in cursor.description or ())

    def count_desired(self, lead: str | None) -> int:
        """Returns how many rows the desired table has, or has of one lead."""
        where, args = self._only(lead)
        [row] = self.query(f"SELECT count(*) AS n FROM {self.desired_table} d {where}", *args)
        return int(row["n"])

    def unknown(self, known: MirrorFilter, lead: str | None) -> Iterator[str]:
        """Yields the leads that matter to this run and are not known.

        One with a patch that an interrupted run left is known when this run has read it.
        """
        where, args = self._only(lead)
        which, _ = matching("u", lead_id=lead)
        is_known, known_args = known.condition()
        rows = self.query(
            "SELECT DISTINCT w.lead_id FROM ("
            f"SELECT {self._lead_id} AS lead_id, 0 AS left_over "
            f"FROM {self.desired_table} d {where} "
            f"UNION ALL SELECT u.lead_id, 1 FROM {self.unfinished_patches} u {which}"
            f") w LEFT JOIN {self.leads_table} m ON m.id = w.lead_id AND {is_known} "
            "WHERE w.lead_id IS NOT NULL "
            "AND (m.id IS NULL OR (w.left_over = 1 AND m.read_by <> %s))",
            *args,
            *args,
            *known_args,
            known.run_id,
        )
        return (row["lead_id"] for row in rows)

    def interrupted(
        self, run_id: str, lead: str | None, *, with_written: bool = False
    ) -> Iterator[Comparison]:
        """Yields the leads that an earlier run planned and left without an outcome."""
        which, args = matching("u", lead_id=lead)
        written, join = self._written("u.lead_id", with_written)
        return self.compare(
            f"SELECT d.*, u.lead_id AS {MARK}lead, m.record AS {MARK}record, {written} "
            f"u.patch_id AS {MARK}patch_id, u.plan_id AS {MARK}plan_id, u.body AS {MARK}body, "
            f"u.before AS {MARK}before, u.digest AS {MARK}digest "
            f"FROM {self.unfinished_patches} u "
            f"LEFT JOIN {self.desired_table} d ON {self._lead_id} = u.lead_id "
            f"LEFT JOIN {self.leads_table} m ON m.id = u.lead_id AND m.read_by = %s "
            f"AND m.gone_at IS NULL {join} {which} "
            "ORDER BY u.lead_id, u.patch_id",
            run_id,
            *args,
        )

    def compared(
        self, known: MirrorFilter, lead: str | None, *, with_written: bool = False
    ) -> Iterator[Comparison]:
        """Yields every lead of the desired table; those that failed before come last.

        Args:
            known: What of the mirror to compare with.
            lead: Only this lead.
            with_written: Whether it matters what was last written of each field.
        """
        return self._compared(known, lead, "1 = 1", with_written)

    def compared_anew(
        self, known: MirrorFilter, lead: str | None, *, with_written: bool = False
    ) -> Iterator[Comparison]:
        """Yields the same, but for leads with a patch still to be sent, or kept from an edit."""
        settled = (
            f"SELECT u.lead_id FROM {self.unfinished_patches} u UNION ALL "
            f"SELECT lead_id FROM {self.outcomes_table} WHERE run_id = %s AND status = 'conflict'"
        )
        is_new = f"({self._lead_id} IS NULL OR {self._lead_id} NOT IN ({settled}))"
        return self._compared(known, lead, is_new, with_written, known.run_id)

    def _compared(
        self,
        known: MirrorFilter,
        lead: str | None,
        which: str,
        with_written: bool,
        *of_which: str | None,
    ) -> Iterator[Comparison]:
        where, args = self._only(lead)
        written, join = self._written(self._lead_id, with_written)
        is_known, known_args = known.condition()
        return self.compare(
            f"SELECT d.*, {written} {self._lead_id} AS {MARK}lead, m.record AS {MARK}record "
            f"FROM (SELECT * FROM {self.desired_table} d {where}) d "
            f"LEFT JOIN {self.leads_table} m ON m.id = {self._lead_id} "
            f"AND {is_known} AND m.gone_at IS NULL "
            f"LEFT JOIN (SELECT DISTINCT lead_id FROM {self.outcomes_table} "
            f"WHERE status IN ('failed', 'ignored')) f ON f.lead_id = {self._lead_id} "
            f"{join} WHERE {which} "
            f"ORDER BY CASE WHEN f.lead_id IS NULL THEN 0 ELSE 1 END, {self._lead_id}",
            *args,
            *known_args,
            *of_which,
        )

    def _written(self, lead_id: str, wanted: bool) -> tuple[str, str]:
        """Returns a column with all bodies written to a lead, oldest first, and its join.

        A planned patch that met an edit was not written: its lead had `before` until then.
        """
        if not wanted:
            return "", ""
        return (
            f"w.written AS {MARK}written,",
            "LEFT JOIN (SELECT lead_id, string_agg("
            "CAST(CASE WHEN status = 'conflict' THEN before ELSE body END AS VARCHAR), chr(10) "
            f"ORDER BY finished_at, outcome_id) AS written FROM {self.outcomes_table} "
            "WHERE patch_id IS NOT NULL AND status IN ('applied', 'confirmed', 'conflict') "
            f"GROUP BY lead_id) w ON w.lead_id = {lead_id}",
        )

    def _only(self, lead: str | None) -> tuple[str, list[str]]:
        return (f"WHERE {self._lead_id} = %s", [lead]) if lead else ("", [])

    def exists(self, name: str) -> bool:
        """Tells whether a table that a run writes is there."""
        sql = f"SELECT 1 AS n FROM {self.table(name)} WHERE 1 = 0"
        try:
            with self._client.execute_query(sql):
                return True
        except DatabaseUndefinedRelation:
            return False

    @property
    def client(self) -> SqlClientBase[Any]:
        """The connection to it."""
        return self._client

    @property
    def is_duckdb(self) -> bool:
        """Whether it speaks DuckDB's SQL."""
        return isinstance(self._client, DuckDbSqlClient)

    def execute(self, sql: str) -> None:
        """Runs a statement that returns nothing."""
        self._client.execute_sql(sql)

    def query(self, sql: str, *args: Any) -> Iterator[dict[str, Any]]:
        """Yields the rows of a query by the names of their columns, in lower case.

        Raises:
            WarehouseError: It cannot be answered, such as when somebody has dropped a table.
        """
        with _answered(), self._client.execute_query(sql, *args) as cursor:
            names = [column[0].lower() for column in cursor.description or ()]
            for rows in cursor.iter_fetch(FETCH):
                yield from (dict(zip(names, row, strict=True)) for row in rows)

    def compare(self, sql: str, *args: Any) -> Iterator[Comparison]:
        """Yields what a query of desired and marked columns finds, ordered by lead.

        Raises:
            WarehouseError: It cannot be answered.
        """
        with _answered(), self._client.execute_query(sql, *args) as cursor:
            readers = readers_for(cursor.description or ())
            rows = (row for rows in iter(lambda: cursor.fetchmany(FETCH), []) for row in rows)
            yield from by_lead(read_row(row, readers) for row in rows)
