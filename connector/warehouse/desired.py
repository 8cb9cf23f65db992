"""The desired table, wherever it is: one statement reads it, and nothing but SELECT is needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dlt.common.destination.client import DestinationClientDwhConfiguration
from dlt.common.schema import Schema
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.destinations.sql_client import SqlClientBase

from connector.configuration.providers import DESIRED, own_configuration
from connector.configuration.readers import table_parts
from connector.errors import ConfigError, DesiredTableError, WarehouseError
from connector.planning.columns import CHANGES, LEAD_ID, UPDATED_AT
from connector.planning.model import Row
from connector.records.cells import from_json
from connector.settings import WarehouseSettings
from connector.warehouse.attached import attached, hide
from connector.warehouse.destination import destination_of, is_desired_apart
from connector.warehouse.nearby import missing_table
from connector.warehouse.rows import Reader, document_of, read_row, readers_for
from connector.warehouse.scratch import Cells
from connector.warehouse.store import (
    Warehouse,
    bound,
    client_place,
    fetched,
    first_line,
    is_file_of,
    opening,
    require_file,
)

OBJECT_CODES = frozenset({"114", "3802", "4000", "9"})
"""PostgreSQL's json and jsonb, Redshift's SUPER, Snowflake's OBJECT."""


@dataclass(frozen=True)
class Head:
    """What the desired table's columns are.

    Attributes:
        columns: Their names, in lower case, with their types.
        readers: How the cells of a row are to be read, in order.
        spelled: Their names as the warehouse spells them.
    """

    columns: Mapping[str, str]
    readers: Sequence[tuple[str, Reader]]
    spelled: Mapping[str, str]

    @property
    def has_struct(self) -> bool:
        """Whether `changes` has the same keys in every row, which would clear fields."""
        return self.columns.get(CHANGES, "").startswith("STRUCT")

    @property
    def objects(self) -> frozenset[str]:
        """The columns whose values are objects."""
        return frozenset(name for name, kind in self.columns.items() if _is_object(kind))

    def read(self, cells: Cells) -> Row:
        """Returns a row by the names of its columns."""
        return read_row(cells, self.readers)


class DesiredTable:
    """The table with the desired leads.

    Args:
        client: A connection to where it is.
        settings: Which table it is.
        own: The schema of the tables that runs write, where it is in the same place.

    Attributes:
        place: Where it is, if it is elsewhere than those tables; empty if not.
    """

    def __init__(
        self, client: SqlClientBase[Any], settings: WarehouseSettings, own: str = ""
    ) -> None:
        self._client = client
        self._settings = settings
        self.name = settings.desired_table
        self.place = "" if own else client_place(client)

    def head(self) -> Head:
        """Returns what its columns are.

        Raises:
            DesiredTableError: There is no such table, or two names differ by case alone.
            WarehouseError: It cannot be read.
        """
        with self._told(), self._client.execute_query(self._select("1 = 0")) as cursor:
            return _head_of(cursor.description)

    def sample(self, most: int) -> list[Row]:
        """Returns some rows, as they are.

        Raises:
            WarehouseError: It cannot be read.
        """
        with self._told(), self._client.execute_query(self._select(None)) as cursor:
            head = _head_of(cursor.description)
            return [head.read(tuple(row)) for row in islice(fetched(cursor), most)]

    def changed_names(self, head: Head) -> set[str]:
        """Returns every key that the `changes` of some row holds."""
        names: set[str] = set()
        if CHANGES not in head.columns or head.has_struct:
            return names
        column = self._escaped(head, CHANGES)
        sql = f"SELECT {column} FROM {self.name} WHERE {column} IS NOT NULL"
        with self._told(), self._client.execute_query(sql) as cursor:
            for [value] in fetched(cursor):
                names |= _keys_of(value)
        return names

    def rows(
        self, head: Head, lead: str | None, *, with_time: bool, names: set[str]
    ) -> Iterator[tuple[str | None, Cells, Cells]]:
        """Yields of each row its lead, its cells, and those of them that say what is wanted.

        Args:
            head: What its columns are.
            lead: Only the rows of this lead.
            with_time: Whether `updated_at` says something of it, too.
            names: Gets every key that `changes` of some row holds.

        Raises:
            DesiredTableError: There is no such table.
            WarehouseError: It cannot be read, or its columns are no longer those.
        """
        columns = list(head.columns)
        if LEAD_ID not in columns:
            return  # told when the columns are mapped
        key_of_row = f"lower(trim(CAST({self._escaped(head, LEAD_ID)} AS VARCHAR)))"
        sql = self._select(None if lead is None else f"{key_of_row} = %s")
        args = () if lead is None else (bound(lead),)
        with self._told(), self._client.execute_query(sql, *args) as cursor:
            self._confirm(head, cursor.description)
            key = columns.index(LEAD_ID)
            changes = columns.index(CHANGES) if CHANGES in columns else None
            time = None if with_time or UPDATED_AT not in columns else columns.index(UPDATED_AT)
            for row in fetched(cursor):
                if changes is not None and row[changes] is not None:
                    names |= _keys_of(row[changes])
                cells = tuple(row)
                wish = cells if time is None else cells[:time] + cells[time + 1 :]
                yield _lead_of(cells[key]), cells, wish

    def _confirm(self, head: Head, description: Sequence[Sequence[Any]] | None) -> None:
        """Raises where the table was made anew since: cells would come under other names."""
        found = _head_of(description).columns
        if list(found.items()) != list(head.columns.items()):
            raise WarehouseError(
                f"{self.name} got other columns while it was read; run again once it is built"
            )

    def _escaped(self, head: Head, column: str) -> str:
        return self._client.escape_column_name(head.spelled[column], casefold=False)

    def _select(self, condition: str | None) -> str:
        where = f" WHERE {condition}" if condition else ""
        return f"SELECT * FROM {self.name}{where}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DatabaseUndefinedRelation as error:
            tables = _tables_of(self._client)
            if _is_among(self.name, tables):  # what is not there is something that it reads
                raise self._unreadable(error) from None
            own = (self._client.dataset_name, self._client.staging_dataset_name)
            wrong = missing_table(self.name, tables, map(str, own))
            raise DesiredTableError(wrong + self._unattached(error)) from None
        except DatabaseException as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> WarehouseError:
        reason = hide(first_line(error), self._settings)
        return WarehouseError(f"{self.name} cannot be read: {reason}{self._unattached(error)}")

    def _unattached(self, error: Exception) -> str:
        """Says how to name a database that DuckDB does not know, where that is what it lacks."""
        found = re.search(r'(?:Catalog "|schema "(?=\w+\.))(\w+).*?" does not exist', str(error))
        if found is None or found[1].lower() in map(str.lower, self._settings.attached):
            return ""
        return f"; if {found[1]} is a database of its own, name it under attached"


@contextmanager
def open_desired(
    warehouse: Warehouse | None, settings: WarehouseSettings
) -> Iterator[DesiredTable]:
    """Yields the desired table, where the books are or in a destination of its own.

    Args:
        warehouse: The books; None where the first plan makes them.
        settings: Where the table is.

    Raises:
        ConfigError: That destination's settings cannot be used.
        LockedError: Another program has its file.
        WarehouseError: It cannot be opened.
    """
    with ExitStack() as stack:
        client, own = _opened(warehouse, settings, stack)
        books = None if warehouse is None else warehouse.client
        stack.enter_context(attached(client, books, settings))
        yield DesiredTable(client, settings, own)


def _opened(
    warehouse: Warehouse | None, settings: WarehouseSettings, stack: ExitStack
) -> tuple[SqlClientBase[Any], str]:
    """Returns a connection to where the table is, and the schema of the books if it is theirs."""
    if warehouse is not None and not is_desired_apart():
        return warehouse.client, settings.dataset_name
    with own_configuration(), opening(DESIRED):
        client = _client(settings)
    if warehouse is not None and _have_one_file(client, warehouse.client):
        return warehouse.client, settings.dataset_name
    with opening(DESIRED):
        client.open_connection()
    stack.callback(client.close_connection)
    return client, ""


def _client(settings: WarehouseSettings) -> SqlClientBase[Any]:
    """Returns a client of the destination that has the desired rows, and only reads there."""
    destination = destination_of(DESIRED)
    configuration = destination.spec()
    if isinstance(configuration, DestinationClientDwhConfiguration):
        configuration._bind_dataset_name(settings.dataset_name)
    client = destination.client(Schema("desired"), configuration)
    if not isinstance(client, SqlJobClientBase):
        raise ConfigError(
            f"destination_type {destination.destination_type} under [destination.desired] speaks "
            "no SQL; name one that does"
        )
    made: SqlClientBase[Any] = client.sql_client
    if isinstance(made.credentials, DuckDbCredentials):
        require_file(made.credentials, DESIRED, settings)
        made.credentials.read_only = True
    return made


def _have_one_file(one: SqlClientBase[Any], other: SqlClientBase[Any]) -> bool:
    """Tells whether both are one DuckDB file, which a process can open in one way only."""
    is_duckdb = isinstance(one.credentials, DuckDbCredentials)
    return is_duckdb and is_file_of(Path(one.credentials.database), other)


def _tables_of(client: SqlClientBase[Any]) -> list[tuple[str, str]]:
    """Returns every table and view by schema and name; none where that cannot be asked."""
    sql = "SELECT table_schema, table_name FROM information_schema.tables"
    if isinstance(client, DuckDbSqlClient):
        sql = (
            "SELECT CASE WHEN table_catalog = current_database() THEN table_schema "
            "ELSE table_catalog || '.' || table_schema END, table_name "
            "FROM information_schema.tables"
        )
    with suppress(Exception):  # it is a hint, and some warehouses have no such view
        return [(str(schema), str(name)) for schema, name in client.execute_sql(sql) or ()]
    return []


def _is_among(name: str, tables: Iterable[tuple[str, str]]) -> bool:
    wanted = ".".join(table_parts(name)).lower()
    return any(f"{schema}.{table}".lower() == wanted for schema, table in tables)


def _head_of(description: Sequence[Sequence[Any]] | None) -> Head:
    found = description or ()
    spelled: dict[str, str] = {}
    for name, *_ in found:
        if (other := spelled.setdefault(name.lower(), name)) != name:
            raise DesiredTableError(
                f"the desired table has the columns {other!r} and {name!r}, which lead-sync does "
                "not tell apart; rename one of them, or name a view without it as desired_table"
            )
    types = {column[0].lower(): str(column[1]) for column in found}
    return Head(types, readers_for(found), spelled)


def _is_object(kind: str) -> bool:
    """Tells whether a type is of objects: some drivers have words for types, others numbers."""
    return kind in OBJECT_CODES or kind.upper().startswith(("STRUCT", "JSON", "MAP", "RECORD"))


def _keys_of(changes: Any) -> set[str]:
    for read in (document_of, from_json):  # the second reads the row; it takes NaN, for one
        with suppress(ValueError):
            document = read(changes)
            return set(document) if isinstance(document, dict) else set()
    return set()  # a row's trouble, told when the row is read


def _lead_of(value: Any) -> str | None:
    """Returns whose row it is, spelled as the mirror spells it."""
    return None if value is None else str(value).strip(" ").lower()
