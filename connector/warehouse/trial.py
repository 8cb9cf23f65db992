"""Trying what a run needs of warehouse and working folder; at most an empty schema is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from dlt.common.utils import uniq_id
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from connector.errors import WarehouseError
from connector.warehouse.destination import unusable
from connector.warehouse.schema import SYNC_LEASE, TABLES, Table
from connector.warehouse.store import Warehouse, first_line

Client = SqlClientBase[Any]


class _Undo(Exception):
    """Ends a transaction whose work is not kept."""


def try_writing(warehouse: Warehouse) -> None:
    """Does what a run does in its dataset and in the one through which dlt merges.

    A table is created, written and dropped; those that are there are written without a row.

    Raises:
        WarehouseError: Something of it may not be done.
    """
    client = warehouse.client
    mapper = warehouse.pipeline.destination_client().capabilities.get_type_mapper()
    text = mapper.to_destination_type({"name": "id", "data_type": "text"}, {"name": "trial"})
    for dataset in (nullcontext(), client.with_staging_dataset()):
        with dataset:
            try:
                _try_dataset(warehouse, text)
            except DatabaseException as error:
                raise WarehouseError(
                    f"dataset {client.dataset_name} cannot be written: {first_line(error)}; "
                    "grant it as the README says"
                ) from None


def try_folder(folder: Path) -> None:
    """Makes a file without a name in a working folder, and beside it, where a run has its lock.

    Raises:
        WarehouseError: It may not be made.
    """
    for place in (folder.parent, folder):
        try:
            with TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise unusable(folder, error) from None


def _try_dataset(warehouse: Warehouse, text: str) -> None:
    client = warehouse.client
    tables = [one for one in (*TABLES.values(), SYNC_LEASE) if warehouse.column_names(one.name)]
    is_there = client.has_dataset()
    with _undone(client):
        if not is_there:
            client.create_dataset()
        _try_table(client, text)
        for table in tables:
            _try_rows(client, table)


@contextmanager
def _undone(client: Client) -> Iterator[None]:
    """Takes back what is done, even after a kill, where the warehouse can take back a table."""
    if not client.capabilities.supports_ddl_transactions:
        yield
        return
    with suppress(_Undo), client.begin_transaction():
        yield
        raise _Undo


def _try_table(client: Client, text: str) -> None:
    name = client.make_qualified_table_name(f"lead_sync_trial_{uniq_id(6).lower()}")
    column = client.escape_column_name("id")
    client.execute_sql(f"CREATE TABLE {name} ({column} {text})")
    try:
        client.execute_sql(f"INSERT INTO {name} ({column}) VALUES (%s)", "a")
        client.execute_sql(f"UPDATE {name} SET {column} = %s WHERE {column} = %s", "b", "a")
        client.execute_sql(f"DELETE FROM {name} WHERE {column} = %s", "b")
    finally:
        client.execute_sql(f"DROP TABLE {name}")


def _try_rows(client: Client, table: Table) -> None:
    name, key = client.make_qualified_table_name(table.name), client.escape_column_name(table.key)
    client.execute_sql(f"INSERT INTO {name} SELECT * FROM {name} WHERE 1 = 0")
    client.execute_sql(f"UPDATE {name} SET {key} = {key} WHERE 1 = 0")
    client.execute_sql(f"DELETE FROM {name} WHERE 1 = 0")
