"""PostgreSQL as dlt's destination, with values read so that none of them is lost or ends a run.

Its driver reads the numbers of JSON documents through floats. What Python has no value for, such
as a year before Christ, ends the reading of a table. Here a document comes as its text, and so
does what Python has no value for: it costs its row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psycopg2
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import HasFollowupJobs, LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema import Schema
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.insert_job_client import InsertValuesLoadJob
from dlt.destinations.sql_client import raise_database_error
from dlt.destinations.typing import DBTransaction
from psycopg2 import errors, extensions

from connector.warehouse.schema import SYNC_LEASE

Cast = Callable[[str | None, Any], Any]


def _as_text(value: str | None, _cursor: Any) -> str | None:
    return value


def _without_padding(value: str | None, _cursor: Any) -> str | None:
    """The blanks that fill a `char(n)` up are no part of its value."""
    return None if value is None else value.rstrip(" ")


def _or_text(cast: Cast) -> Cast:
    """Returns a cast that gives the text of what Python has no value for."""

    def read(value: str | None, cursor: Any) -> Any:
        try:
            return cast(value, cursor)
        except (ValueError, OverflowError, psycopg2.DataError):
            return value

    return read


CASTS: Mapping[tuple[int, int], Cast] = {
    (114, 199): _as_text,  # json
    (3802, 3807): _as_text,  # jsonb
    (1042, 1014): _without_padding,  # char(n)
    (2950, 2951): _as_text,  # uuid
    (1082, 1182): _or_text(extensions.PYDATE),
    (1114, 1115): _or_text(extensions.PYDATETIME),
    (1184, 1185): _or_text(extensions.PYDATETIMETZ),
    (1083, 1183): _as_text,  # a time of the day: 24:00 would be read as 00:00
    (1266, 1270): _as_text,
    (1186, 1187): _or_text(extensions.PYINTERVAL),
    (3912, 3913): _as_text,  # ranges of dates and times
    (3908, 3909): _as_text,
    (3910, 3911): _as_text,
}
"""How values of a type are read, by the numbers that PostgreSQL has for it and for its arrays."""

SESSION: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "extra_float_digits": "3",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
}
"""What a role, a database or a server may have otherwise: text that cannot be read or written,
numbers cut short on their way, and connections closed while a run sends."""

SET_SESSION = (
    "SELECT set_config(name, CASE name "
    + " ".join(f"WHEN '{name}' THEN '{value}'" for name, value in SESSION.items())
    + " END, false) FROM pg_catalog.pg_settings WHERE name IN ("
    + ", ".join(f"'{name}'" for name in SESSION)
    + ")"
)
"""An older server lacks some of them."""

ENUM_ARRAYS = "SELECT typarray FROM pg_catalog.pg_type WHERE typtype = 'e'"


IDLE = "30s"
"""A machine that sleeps within a load keeps the turn from nobody for longer than that."""


class TypedSqlClient(Psycopg2SqlClient):
    """Reads every value by a cast of its own connection: others of the process keep theirs.

    Attributes:
        holder: The run whose loads it makes; None where nobody's turn matters.
        lease: The table that has whose turn it is.
    """

    holder: str | None = None
    lease: str = ""

    @contextmanager
    def begin_transaction(self) -> Iterator[DBTransaction]:
        """Begins a transaction, in which nobody else gets the turn; its run may renew it.

        A machine may sleep within a load. What it writes when it wakes up would come before the
        rows of whoever has the turn by then, and keep these out.

        Raises:
            DatabaseTerminalException: It is not the turn of the run that loads any more.
        """
        with super().begin_transaction() as made:
            if self.holder is not None:
                self.execute_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE}'")
                held = f"SELECT 1 FROM {self.lease} WHERE holder = %s FOR KEY SHARE"
                if not self.execute_sql(held, self.holder):
                    lost = f"it is not the turn of run {self.holder} any more"
                    raise DatabaseTerminalException(ValueError(lost))
            yield made

    @contextmanager
    def taking_turn(self, free: str, *args: Any) -> Iterator[None]:
        """Lets a free turn be taken once no load by it is under way any more.

        Args:
            free: Which turn is free, as SQL.
            args: The values in it.
        """
        with super().begin_transaction():
            self.execute_sql(f"SELECT 1 FROM {self.lease} WHERE {free} FOR UPDATE", *args)
            yield

    def truncate_tables(self, *tables: str) -> None:
        """Empties tables of a load, as long as it is the run's turn."""
        with self.begin_transaction():
            super().truncate_tables(*tables)

    @raise_database_error
    def copy(self, table: str, columns: Sequence[str], rows: Iterator[bytes]) -> None:
        """Copies rows into a table, as long as it is the run's turn.

        Args:
            table: Its whole name.
            columns: Their names, in the order of the cells.
            rows: As COPY takes them.

        Raises:
            DatabaseException: They cannot be copied.
        """
        names = ", ".join(map(self.escape_column_name, columns))
        with self.begin_transaction(), self.native_connection.cursor() as cursor:
            cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN", _Readable(rows))

    def _reset_connection(self) -> None:
        """Makes a new connection, or one after an error, as every run expects it.

        The encoding is set first, as the driver keeps a name of its own for it.
        """
        super()._reset_connection()
        self._conn.set_client_encoding(SESSION["client_encoding"])
        with self._conn.cursor() as cursor:
            cursor.execute(SET_SESSION)

    def open_connection(self) -> Any:
        """Opens a connection."""
        connection = super().open_connection()
        for (kind, array), cast in CASTS.items():
            one = extensions.new_type((kind,), f"lead_sync_{kind}", cast)
            extensions.register_type(one, connection)
            many = extensions.new_array_type((array,), f"lead_sync_{array}", one)
            extensions.register_type(many, connection)
        with connection.cursor() as cursor:
            cursor.execute(ENUM_ARRAYS)
            if arrays := tuple(array for (array,) in cursor.fetchall()):
                many = extensions.new_array_type(arrays, "lead_sync_enums", extensions.UNICODE)
                extensions.register_type(many, connection)
        return connection


class _Readable:
    """Rows as the file that the driver reads from."""

    def __init__(self, rows: Iterator[bytes]) -> None:
        self._rows = rows

    def read(self, _size: int) -> bytes:
        return next(self._rows, b"")


@contextmanager
def _loaded_once() -> Iterator[None]:
    """Takes a file whose rows are there for loaded.

    They come in one transaction. dlt loads the file again where a kill, or a connection that is
    cut, keeps it from hearing of that.
    """
    try:
        yield
    except DatabaseTerminalException as error:
        if not isinstance(error.dbapi_exception, errors.UniqueViolation):
            raise


class InsertJob(InsertValuesLoadJob):
    """Inserts a file's rows into their table, unless they are there."""

    def run(self) -> None:
        """Loads the file."""
        with _loaded_once():
            super().run()


class CopyJob(RunnableLoadJob, HasFollowupJobs):
    """Copies a JSONL file into its table; a key that a line lacks is NULL."""

    def run(self) -> None:
        """Loads the file."""
        client: Any = self._job_client
        columns = self._load_table["columns"]
        are_documents = [column["data_type"] == "json" for column in columns.values()]
        with Path(self._file_path).open("rb") as lines:
            documents = map(orjson.loads, lines)
            rows = ([document.get(name) for name in columns] for document in documents)
            copied = (copied_row(row, are_documents) for row in rows)
            table = client.sql_client.make_qualified_table_name(self.load_table_name)
            with _loaded_once():
                client.sql_client.copy(table, list(columns), copied)


def copied_row(row: Sequence[Any], are_documents: Sequence[bool]) -> bytes:
    """Returns a row as COPY reads it.

    Args:
        row: Its cells, of JSON's types.
        are_documents: Of each cell, whether its column holds JSON.
    """
    return "\t".join(map(_copied, row, are_documents)).encode() + b"\n"


def _copied(value: Any, is_document: bool) -> str:
    if value is None:
        return r"\N"
    text = orjson.dumps(value).decode() if is_document else str(value)
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    return escaped.replace("\r", r"\r").replace("\t", r"\t")


class TypedPostgresClient(PostgresClient):
    """Reads and loads with a `TypedSqlClient`, and every JSONL file with a `CopyJob`."""

    sql_client: TypedSqlClient

    def __init__(
        self,
        schema: Schema,
        config: PostgresClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        made = self.sql_client
        self.sql_client = TypedSqlClient(
            str(made.dataset_name),
            str(made.staging_dataset_name),
            made.credentials,
            made.capabilities,
        )
        self.sql_client.lease = self.sql_client.make_qualified_table_name(SYNC_LEASE.name)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Returns the job that loads one file."""
        if Path(file_path).suffix == ".jsonl":
            return CopyJob(file_path)
        job = super().create_load_job(table, file_path, load_id, restore)
        return InsertJob(file_path) if isinstance(job, InsertValuesLoadJob) else job
