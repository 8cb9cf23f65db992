"""The warehouse: the connection that a run holds, and how it reads and writes through it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigurationException
from dlt.common.destination.dataset import DBApiCursor
from dlt.common.exceptions import MissingDependencyException
from dlt.common.utils import uniq_id
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)
from dlt.destinations.impl.duckdb.configuration import NON_ATTACHABLE_LOCATIONS, DuckDbCredentials
from dlt.destinations.sql_client import SqlClientBase

from connector.configuration.origin import redact
from connector.configuration.providers import (
    WAREHOUSE,
    Section,
    ask,
    looked_in,
    own_configuration,
    variable,
)
from connector.errors import (
    BooksMissing,
    ConfigError,
    LeadSyncError,
    LockedError,
    WarehouseError,
)
from connector.pipedrive.escapes import escape
from connector.settings import WarehouseSettings
from connector.warehouse.destination import (
    DUCKDB,
    FindsFullNames,
    TypedDuckDb,
    is_desired_apart,
)
from connector.warehouse.holder import run_of, under_way
from connector.warehouse.load import BY_SQL, LOAD_ID, ROW_ID, create_tables
from connector.warehouse.schema import (
    LEAD_OUTCOMES,
    LEAD_PATCHES,
    SYNC_RUNS,
    TABLES,
    Table,
    TableRow,
)

log = logging.getLogger(__name__)
FETCH = 1000
INSERTED = 100
"""Rows of one statement: some warehouses allow 1,000 of them, some 2,000 values."""


@contextmanager
def open_warehouse(
    pipeline: dlt.Pipeline, settings: WarehouseSettings, *, may_make: bool = False
) -> Iterator[Warehouse]:
    """Opens the connection that a run holds from its first step to its last.

    Args:
        pipeline: What loads into it.
        settings: Where things are in it.
        may_make: Whether a DuckDB file that need not hold the desired table may be made.

    Raises:
        ConfigError: The destination's settings cannot be used.
        RunUnderWay: Another run has the DuckDB file open.
        LockedError: Another program has.
        WarehouseError: It cannot be opened.
    """
    with ExitStack() as stack:
        if isinstance(pipeline.destination, FindsFullNames):
            stack.enter_context(own_configuration())
        client = _opened(pipeline, settings, may_make=may_make)
        warehouse = Warehouse(pipeline, client, settings.desired_table)
        stack.callback(warehouse.close)
        yield warehouse


def _opened(
    pipeline: dlt.Pipeline, settings: WarehouseSettings, *, may_make: bool
) -> SqlClientBase[Any]:
    with opening(WAREHOUSE):
        client = pipeline.sql_client()
        if isinstance(pipeline.destination, TypedDuckDb):
            require_file(client.credentials, WAREHOUSE, settings, may_make=may_make)
        client.open_connection()
    return client


@contextmanager
def opening(section: Section) -> Iterator[None]:
    """Says on one line why a destination cannot be opened."""
    try:
        yield
    except LeadSyncError:
        raise
    except MissingDependencyException as error:
        raise _lacking(error.dependencies) from None
    except ImportError:
        raise _lacking([f"dlt[{ask(section, 'destination_type')}]"]) from None
    except ConfigFieldMissingException as error:
        missing = next(iter(error.fields))
        place = _where_to_put(section, missing)
        raise ConfigError(f"the {section[1]} lacks {missing}; {place}") from None
    except ConfigurationException as error:
        raise ConfigError(f"the destination cannot be used: {first_line(error)}") from None
    except Exception as error:  # each driver has errors of its own
        trouble = _opening_error(error)
        if ask(section, "destination_type") in (None, DUCKDB):
            raise trouble from None
        hint = f"start it, or mend credentials under [{'.'.join(section)}]"
        raise WarehouseError(f"{trouble}; {hint}") from None


def _lacking(packages: Iterable[str]) -> ConfigError:
    named = ", ".join(f"'{name}'" for name in packages)
    return ConfigError(f"the destination needs more: pip install {named}")


def require_file(
    credentials: DuckDbCredentials,
    section: Section,
    settings: WarehouseSettings,
    *,
    may_make: bool = False,
) -> None:
    """Refuses a DuckDB file that is not there: DuckDB would make an empty one.

    Args:
        credentials: What is configured.
        section: Where.
        settings: Which table it should hold.
        may_make: Whether one that need not hold the desired table may be made.

    Raises:
        ConfigError: None is configured, or the credentials are another destination's.
        BooksMissing: It is not there, and a run makes it.
        WarehouseError: It is not there.
    """
    path, configured = credentials.database, ask(section, "credentials", secret=True)
    name = ".".join(section)
    scheme = re.match(r"([a-z][a-z0-9+]*)://", configured) if isinstance(configured, str) else None
    if scheme and scheme[1] != DUCKDB:
        raise ConfigError(
            f"the {section[1]} is DuckDB, but its credentials begin with {scheme[0]}; set "
            f"destination_type under [{name}]"
        )
    if path in NON_ATTACHABLE_LOCATIONS or is_file(Path(path)):
        return
    shown = redact(str(Path(path).absolute()))
    if configured is None and ask((*section, "credentials"), "database") is None:
        place = _where_to_put(section, "credentials")
        raise ConfigError(f"no warehouse is configured, and {shown} is not there; {place}")
    is_made = section == WAREHOUSE and is_desired_apart()
    if is_made and Path(path).absolute().parent.is_dir():
        if not may_make:
            raise BooksMissing(f"the DuckDB file {shown} is not there yet; the first plan makes it")
        log.warning("the DuckDB file %s is made for the tables written", shown)
        return
    missing = "its folder" if is_made else f"the file with {settings.desired_table} in it"
    raise WarehouseError(
        f"there is no DuckDB file {shown}; mend credentials under [{name}], or make {missing}"
    )


def is_file(path: Path) -> bool:
    """Tells whether a file is there, as far as it may be looked at."""
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be looked into
        return False


def is_file_of(path: Path, client: SqlClientBase[Any]) -> bool:
    """Tells whether a path leads to the DuckDB file of a client, by whatever name."""
    if not isinstance(client.credentials, DuckDbCredentials):
        return False
    own = Path(client.credentials.database).absolute()
    try:
        return own == path.absolute() or own.samefile(path)
    except OSError:  # one of them is not there
        return False


def _where_to_put(section: Section, name: str) -> str:
    return (
        f"put {name} under [{'.'.join(section)}] in .dlt/secrets.toml, or set "
        f"{variable(section, name)}; looked in {looked_in()}"
    )


def matching(table: str, **wanted: str | None) -> tuple[str, list[str]]:
    """Returns a WHERE for the columns that are to have a value, and the values; None is any."""
    given = {name: value for name, value in wanted.items() if value is not None}
    conditions = " AND ".join(f"{table}.{name} = %s" for name in given)
    return f"WHERE {conditions}" if given else "", list(given.values())


@contextmanager
def _answered(done: str = "read") -> Iterator[None]:
    """Says on one line why a query has no answer; a generator's reader raises nothing into it."""
    try:
        yield
    except DatabaseException as error:
        raise WarehouseError(f"the warehouse cannot be {done}: {first_line(error)}") from None


def client_place(client: SqlClientBase[Any]) -> str:
    """Returns where the tables are, without a password."""
    credentials = client.credentials
    if isinstance(credentials, DuckDbCredentials):
        return f"file {redact(str(Path(credentials.database).absolute()))}"
    return f"at {redact(str(credentials))}"


def place_of(pipeline: dlt.Pipeline) -> str:
    """Returns where the warehouse is by its settings; empty where they do not tell."""
    with own_configuration(), suppress(Exception):  # what is wrong with them, opening tells
        return client_place(pipeline.sql_client())
    return ""


def first_line(error: Exception) -> str:
    """Returns the first line of an error that says something."""
    return next((line for line in str(error).splitlines() if line.strip()), repr(error))


def _opening_error(error: Exception) -> WarehouseError | LockedError:
    reason = str(error).partition("The actual reason given is: ")[2] or str(error)
    first_line = redact(next(iter(reason.strip().splitlines()), type(error).__name__))
    if "Could not set lock" in reason:
        pid = re.search(r"\(PID (\d+)\)", reason)
        if run := run_of(int(pid[1])) if pid else None:
            return under_way(run)
        return LockedError(f"another program holds the warehouse: {first_line}; close it there")
    return WarehouseError(f"the warehouse cannot be opened: {first_line}")


class Warehouse:
    """The desired table, and the tables that a run writes.

    Attributes:
        unfinished_patches: SQL for patches without an outcome, released by a run that was cut off.
            One that came to its end has left none; its outcomes may have been cleared out since.
        doubtful_outcomes: SQL for outcomes of patches that do not tell yet what took effect.
        permit: Called before each write; raises where it is not this run's turn any more.
    """

    def __init__(
        self, pipeline: dlt.Pipeline, client: SqlClientBase[Any], desired_table: str
    ) -> None:
        self.pipeline = pipeline
        self.permit: Callable[[], None] = lambda: None
        self._client = client
        self._streaming: list[SqlClientBase[Any]] = []
        self.desired_table = desired_table
        self.place = client_place(client)
        self.table = client.make_qualified_table_name
        self.unfinished_patches = (
            f"(SELECT p.* FROM {self.table('lead_patches')} p "
            f"LEFT JOIN {self.table('lead_outcomes')} o ON o.patch_id = p.patch_id "
            "WHERE o.patch_id IS NULL "
            f"AND p.plan_id IN (SELECT plan_id FROM {self.table('sync_runs')} "
            "WHERE released AND state IN ('running', 'failed')))"
        )
        settled = (
            f"SELECT patch_id FROM {self.table('lead_outcomes')} "
            "WHERE patch_id IS NOT NULL AND took IS NOT NULL"
        )
        self.doubtful_outcomes = (
            f"(SELECT * FROM {self.table('lead_outcomes')} "
            f"WHERE patch_id IS NOT NULL AND took IS NULL AND patch_id NOT IN ({settled}))"
        )

    def are_tables_complete(self) -> bool:
        """Tells whether each table that a run writes is there with each of its columns."""
        return all(
            table.columns.keys() <= self.column_names(table.name) for table in TABLES.values()
        )

    def create_tables(self) -> None:
        """Creates what is missing of the tables that a run writes.

        Plans and outcomes that somebody has dropped are not replaced by empty tables: all that
        was sent would be taken for unsent.

        Raises:
            WarehouseError: It cannot be created.
        """
        self.permit()
        runs = self.table(SYNC_RUNS.name)
        in_use = self.column_names(SYNC_RUNS.name) and any(
            self.query(f"SELECT 1 AS n FROM {runs} LIMIT 1")
        )
        kept = {table.name for table in (LEAD_PATCHES, LEAD_OUTCOMES) if in_use}
        creatable = [
            table
            for table in TABLES.values()
            if table.name not in kept or self.column_names(table.name)
        ]
        with _answered("written"):
            create_tables(self.pipeline, creatable)

    def column_names(self, name: str) -> set[str]:
        """Returns the columns of a table that a run writes; none where there is no such table."""
        try:
            with self._client.execute_query(
                f"SELECT * FROM {self.table(name)} WHERE 1 = 0"
            ) as cursor:
                return {column[0].lower() for column in cursor.description or ()}
        except DatabaseUndefinedRelation:
            return set()

    @property
    def client(self) -> SqlClientBase[Any]:
        """The connection to it."""
        return self._client

    def execute(self, sql: str, *args: Any) -> None:
        """Runs a statement that returns nothing.

        Raises:
            WarehouseError: It cannot be done.
        """
        self.permit()
        with _answered("written"):
            self._client.execute_sql(sql, *map(bound, args))

    def insert(self, table: Table, rows: Sequence[TableRow]) -> None:
        """Adds rows without documents, by plain SQL.

        Raises:
            WarehouseError: They cannot be written.
        """
        names = [*table.columns, LOAD_ID, ROW_ID]
        columns = ", ".join(map(self._client.escape_column_name, names))
        for start in range(0, len(rows), INSERTED):
            some = [
                {**row, LOAD_ID: BY_SQL, ROW_ID: uniq_id(10)} for row in rows[start:][:INSERTED]
            ]
            values = [[row[name] for name in names] for row in some]
            marks = ", ".join(f"({', '.join(map(_mark, each))})" for each in values)
            given = [value for each in values for value in each if value is not None]
            self.execute(f"INSERT INTO {self.table(table.name)} ({columns}) VALUES {marks}", *given)

    def put(self, table: Table, row: TableRow) -> None:
        """Writes one row without documents over the one with its key, or adds it.

        Raises:
            WarehouseError: It cannot be written.
        """
        escape, key = self._client.escape_column_name, row[table.key]
        name, where = self.table(table.name), f"WHERE {escape(table.key)} = %s"
        if not list(self.query(f"SELECT 1 AS n FROM {name} {where}", key)):
            self.insert(table, [row])
            return
        values = {column: row[column] for column in table.columns if column != table.key}
        self.update(table, key, values)

    def update(self, table: Table, key: str, values: TableRow) -> None:
        """Writes some columns of the row with a key; none of them may hold a document.

        Args:
            table: The table.
            key: The row's key.
            values: The columns to write, by name.

        Raises:
            WarehouseError: They cannot be written.
        """
        escape, name = self._client.escape_column_name, self.table(table.name)
        settings = ", ".join(f"{escape(column)} = {_mark(values[column])}" for column in values)
        given = [value for value in values.values() if value is not None]
        sql = f"UPDATE {name} SET {settings} WHERE {escape(table.key)} = %s"
        self.execute(sql, *given, key)

    def query(self, sql: str, *args: Any) -> Iterator[dict[str, Any]]:
        """Yields the rows of a query by the names of their columns, in lower case.

        Raises:
            WarehouseError: It cannot be answered, such as when somebody has dropped a table.
        """
        with _answered(), self._client.execute_query(sql, *map(bound, args)) as cursor:
            yield from _named(cursor)

    def stream(self, sql: str, *args: Any) -> Generator[dict[str, Any], None, None]:
        """Yields the same on a connection of its own, so that other queries may be made meanwhile.

        Raises:
            WarehouseError: It cannot be answered.
        """
        client = _twin(self._client)
        try:
            client.open_connection()
        except DestinationConnectionError as error:
            raise _opening_error(error) from None
        self._streaming.append(client)
        with _answered():
            try:
                with client.execute_query(sql, *map(bound, args)) as cursor:
                    yield from _named(cursor)
            finally:
                client.close_connection()
                self._streaming.remove(client)

    def close(self) -> None:
        """Closes the connection, and those of streams that nobody has read to their end.

        One that an error's traceback keeps alive would lock out other programs with it.
        """
        for client in (*self._streaming, self._client):
            client.close_connection()


def kinds_of(client: SqlClientBase[Any]) -> dict[str, str]:
    """Returns what each table of the dataset is, where the warehouse tells it in this way."""
    sql = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = %s"
    try:
        rows = client.execute_sql(sql, client.dataset_name) or ()
    except DatabaseException:
        return {}
    return {str(name).lower(): str(kind).upper() for name, kind in rows}


def _twin(client: SqlClientBase[Any]) -> SqlClientBase[Any]:
    """Returns a client that opens a connection of its own, with the settings of another one.

    Asked for at the pipeline, a client has all of its settings resolved anew, which takes longer
    than most queries. dlt's clients cannot be copied by `copy`.
    """
    twin: SqlClientBase[Any] = object.__new__(type(client))
    vars(twin).update(vars(client))
    return twin


@contextmanager
def connected(client: SqlClientBase[Any]) -> Iterator[SqlClientBase[Any]]:
    """Yields a client with a connection of its own, as for another thread."""
    own = _twin(client)
    own.open_connection()
    try:
        yield own
    finally:
        own.close_connection()


def fetched(cursor: DBApiCursor) -> Iterator[Sequence[Any]]:
    """Yields the rows of an answer; no more of them than some are held at a time."""
    return (row for rows in iter(lambda: cursor.fetchmany(FETCH), []) for row in rows)


def _named(cursor: DBApiCursor) -> Iterator[dict[str, Any]]:
    names = [column[0].lower() for column in cursor.description or ()]
    return (dict(zip(names, row, strict=True)) for row in fetched(cursor))


def _mark(value: Any) -> str:
    """Some drivers cannot bind a NULL without its type."""
    return "NULL" if value is None else "%s"


def bound(value: Any) -> Any:
    """Returns what every driver can bind, and every warehouse hold.

    Some know no kind of datetime but Python's own; none takes both NUL and half an emoji.
    """
    if isinstance(value, str):
        return escape(value)
    if not isinstance(value, datetime):
        return value
    moment = value.astimezone(UTC)
    return datetime.combine(moment.date(), moment.time(), UTC)
