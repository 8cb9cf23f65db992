"""How rows go to dlt: each batch is bound to its table, and goes in one package with others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import dlt
from dlt.common.schema import Schema
from dlt.common.schema.typing import TColumnSchema
from dlt.common.utils import uniq_id
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from connector.errors import LeadSyncError, WarehouseError
from connector.pipedrive.errors import PipedriveError
from connector.warehouse import schema
from connector.warehouse.destination import MISREAD, TypedDuckDb, TypedPostgres
from connector.warehouse.encoding import encode, encode_line
from connector.warehouse.schema import TABLES, Table, TableHints

Marked = Any
"""A batch of rows with the table that they belong to."""
BATCH = 1000
"""Rows that go to dlt at once."""
LOAD_ID, ROW_ID = "_dlt_load_id", "_dlt_id"
"""The columns that dlt adds to every table, and fills."""
OWN_COLUMNS: dict[str, TColumnSchema] = {
    LOAD_ID: {"name": LOAD_ID, "data_type": "text", "nullable": False},
    ROW_ID: {
        "name": ROW_ID,
        "data_type": "text",
        "nullable": False,
        "unique": True,
        "row_key": True,
    },
}
LOADS = "_dlt_loads"
"""The table in which dlt notes each package that is loaded."""
BY_SQL = "lead_sync"
"""Stands for the package in rows that dlt has not made."""
PACKAGE = 10_000
"""Rows of a package, where they go through memory."""
PACKAGE_BYTES = 60_000_000
"""Size of a package's file at most, but for the last row: 25,000 leads of 1 kB.

DuckDB holds all of it in memory, and compresses what it has of a table's end anew after each.
"""
LOGGED_BYTES = 10_000_000
"""Size of a file from which on DuckDB is told to forget the log of it."""
LITTLE = "100MB"
"""Memory in which DuckDB loads a package of records of some kB each."""


class _OutOfMemory(WarehouseError):
    """DuckDB's memory was too little for what was to be loaded."""


def into(table: str, rows: list[schema.TableRow]) -> Iterator[Marked]:
    """Yields the rows as one batch for a table; nothing when there are none."""
    if rows:
        hints = dlt.mark.make_hints(table_name=table, **TABLES[table].hints)
        # A variant of its own: else a table gets the columns of those before it in the package.
        yield dlt.mark.with_hints([encode(row) for row in rows], hints, create_table_variant=True)


def batches(marked: Iterator[Marked]) -> DltResource:
    """Returns a resource of marked batches, of one table or of several in one package."""
    resource: DltResource = dlt.resource(marked, name="lead_sync", max_table_nesting=0)
    return resource


def load(pipeline: dlt.Pipeline, marked: Iterator[Marked]) -> None:
    """Loads batches of rows in one dlt package; without rows there is none.

    Raises:
        PipedriveError: The rows come from the API, and it failed.
        WarehouseError: They cannot be loaded.
    """
    first = next(marked, None)
    if first is not None:
        _run(pipeline, batches(chain([first], marked)))


def load_pages(
    pipeline: dlt.Pipeline,
    table: str,
    pages: Iterator[list[schema.TableRow]],
    permit: Callable[[], None],
) -> None:
    """Loads rows of one table, page by page, in packages of up to 60 MB.

    Into DuckDB and PostgreSQL they go as files: dlt takes 0.2 s for 1,000 rows that it is handed
    one by one.

    Args:
        pipeline: Where they go.
        table: The table.
        pages: Rows of it, some at a time.
        permit: Called before each package; raises where it may not be written.

    Raises:
        WarehouseError: They cannot be loaded.
    """
    load_package = _import_package
    if not isinstance(pipeline.destination, TypedDuckDb | TypedPostgres):
        load_package = _load_package
    rows = chain.from_iterable(pages)
    while load_package(pipeline, table, rows, permit):
        pass


def _load_package(
    pipeline: dlt.Pipeline,
    table: str,
    rows: Iterator[schema.TableRow],
    permit: Callable[[], None],
) -> bool:
    """Loads a package of the next rows; tells whether there were any."""
    some = list(islice(rows, PACKAGE))
    permit()
    load(pipeline, into(table, some))
    return bool(some)


def _import_package(
    pipeline: dlt.Pipeline,
    table: str,
    rows: Iterator[schema.TableRow],
    permit: Callable[[], None],
) -> bool:
    """Loads the next rows as a file that dlt passes on as it is; tells whether there were any."""
    place = Path(pipeline.working_dir, f"{table}.jsonl")
    with place.open("wb") as file:
        count = write_lines(file, rows)
    if count:
        permit()
        hints: TableHints = {**TABLES[table].hints}
        hints["columns"] = hints["columns"] | OWN_COLUMNS
        made = dlt.mark.make_hints(table_name=table, **hints)
        marked = dlt.mark.with_file_import(str(place), "jsonl", count, hints=made)
        resource = batches(iter([marked]))
        if isinstance(pipeline.destination, TypedDuckDb):
            _run_within_little(pipeline, resource, place.stat().st_size)
        else:
            _run(pipeline, resource)
    place.unlink()
    return count > 0


def write_lines(file: BinaryIO, rows: Iterator[schema.TableRow]) -> int:
    """Writes the next rows as lines of JSON, no more than a package; returns how many."""
    count = size = 0
    for row in rows:
        count += 1
        size += file.write(encode_line(row | {LOAD_ID: BY_SQL, ROW_ID: uniq_id(10)}))
        if size >= PACKAGE_BYTES:
            break
    return count


def _run_within_little(pipeline: dlt.Pipeline, resource: DltResource, size: int) -> None:
    """Loads a package within little memory; with all there is where its records are too large."""
    with pipeline.sql_client() as client:
        try:
            with _little_memory(client):
                _run(pipeline, resource)
                if size >= LOGGED_BYTES:  # else DuckDB holds the log of all packages in memory
                    _checkpoint(client)
        except _OutOfMemory:
            _run(pipeline, None)


def _checkpoint(client: SqlClientBase[Any]) -> None:
    with suppress(DatabaseException):
        client.execute_sql("CHECKPOINT")


@contextmanager
def _little_memory(client: SqlClientBase[Any]) -> Iterator[None]:
    """Bounds what DuckDB holds meanwhile: it keeps all that it may. A bound of the user's stays."""
    sql = "SELECT current_setting('memory_limit'), current_setting('threads')"
    [(memory, threads)] = client.execute_sql(sql) or ()
    if not str(memory).endswith(("GiB", "TiB")):
        yield
        return
    try:
        with suppress(DatabaseException):  # it holds more already
            client.execute_sql(f"SET memory_limit = '{LITTLE}'")
            client.execute_sql("SET threads = 1")
        yield
    finally:
        client.execute_sql(f"SET memory_limit = '{memory}'")
        client.execute_sql(f"SET threads = {threads}")


def load_pending(pipeline: dlt.Pipeline) -> None:
    """Loads what an earlier run left in dlt's folder.

    Raises:
        WarehouseError: It cannot be loaded.
    """
    try:
        _run(pipeline, None)
    except (*MISREAD, OSError) as error:
        raise WarehouseError(f"{type(error).__name__}: {error}") from None


def create_tables(pipeline: dlt.Pipeline, tables: Collection[Table]) -> None:
    """Creates tables that a run writes, and adds the columns that older ones lack.

    dlt makes the statements; no package is needed for it. The pipeline's own schema stays as it
    is: it learns of the tables with the first rows.
    """
    client = pipeline.destination_client()
    made = client.schema.clone()
    for table in tables:
        resource = dlt.resource([], name=table.name, max_table_nesting=0, **table.hints)
        declared = resource.compute_table_schema()
        declared["columns"] |= OWN_COLUMNS
        made.update_table(declared)
    client.schema = Schema.from_dict(made.to_dict())  # type: ignore[arg-type]
    with client:
        client.initialize_storage()
        names = [*(table.name for table in tables), *made.dlt_table_names()]
        # What was dropped is made anew, though dlt has noted that it was there.
        client.update_stored_schema(names, force=True)


def _run(pipeline: dlt.Pipeline, resource: DltResource | None) -> None:
    try:
        pipeline.run(resource)
    except PipelineStepFailed as error:
        _raise_cause(error)


def _raise_cause(error: PipelineStepFailed) -> NoReturn:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PipedriveError | LeadSyncError):
            raise cause from None
        last, cause = cause, cause.__cause__ or cause.__context__
    name = type(last).__name__
    first_line = next((line for line in str(last).splitlines() if line.strip()), repr(last))
    kind = _OutOfMemory if name == "OutOfMemoryException" else WarehouseError
    raise kind(f"the {error.step} step of a load failed: {name}: {first_line}") from error
