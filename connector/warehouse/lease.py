"""Whose turn it is on a dataset: one row, which every machine that can write there sees.

It is taken by an UPDATE that only a free row lets through, so that of two runs one gets it. Whether
it has run out is judged by the warehouse's clock alone: those of two machines may differ.

The table is made by plain SQL, with a primary key, before any other: dlt's tables have none, and
two runs that make the first row at once would have a turn each.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any

import pendulum
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from connector.errors import RunUnderWay, WarehouseError
from connector.warehouse.holder import Process, this_process, told, under_way
from connector.warehouse.schema import SYNC_LEASE, LeaseRow
from connector.warehouse.store import Warehouse, bound, first_line

Client = SqlClientBase[Any]
ONLY = "run"
"""The key of the only row."""
TRIES = 5
"""How often a row that changes hands just now is looked at again."""


def take(warehouse: Warehouse, holder: str, seconds: float) -> None:
    """Takes the turn for so long; a turn that ran out, or whose process is gone, is free.

    Args:
        warehouse: Whose turn.
        holder: The run.
        seconds: How long, unless it is renewed.

    Raises:
        RunUnderWay: It is another run's turn.
        WarehouseError: The table cannot be made or written.
    """
    trouble = "it changes hands all the time"
    for _ in range(TRIES):
        try:
            _make(warehouse)
            _take_free(warehouse.client, holder, seconds)
            found = read(warehouse.client)
        except DatabaseException as error:  # such as another run's that has written just now
            trouble = first_line(error)
            continue
        if found and found.holder == holder:
            return
        if found and found.holder:
            raise _taken_by(found)
    raise WarehouseError(f"the turn cannot be taken in {SYNC_LEASE.name}: {trouble}")


def renew(client: Client, holder: str, seconds: float) -> bool:
    """Makes the turn last for so long from now; returns whether it is still the holder's.

    Args:
        client: A connection to the books.
        holder: The run that has the turn.
        seconds: For how long.

    Raises:
        DatabaseException: The warehouse does not answer.
    """
    _prolong(client, holder, seconds)
    found = read(client)
    return found is not None and found.holder == holder


def end(client: Client, holder: str) -> None:
    """Ends the turn, if it is still the holder's.

    Raises:
        DatabaseException: The warehouse does not answer.
    """
    _update(client, {"holder": None, "until": None}, "holder = %s", holder)


def refuse_held(client: Client) -> None:
    """Refuses a dataset on which a run has its turn, such as one that is making its tables.

    Raises:
        RunUnderWay: Another run has it.
    """
    if found := held(client):
        raise _taken_by(found)


def held(client: Client) -> LeaseRow | None:
    """Returns the turn that a run has now; None for nobody, or where that cannot be told."""
    with suppress(DatabaseException):
        sql = f"holder IS NOT NULL AND {_until(client)} > CURRENT_TIMESTAMP"
        found = read(client, sql)
        if found and not process_of(found).is_gone:
            return found
    return None


def read(client: Client, which: str = "1 = 1") -> LeaseRow | None:
    """Returns the row; None where there is none, or none that fits.

    Raises:
        DatabaseException: It cannot be read.
    """
    names = ", ".join(map(client.escape_column_name, SYNC_LEASE.columns))
    sql = f"SELECT {names} FROM {_table(client)} WHERE {which}"
    try:
        with client.execute_query(sql) as cursor:
            found = cursor.fetchall()
    except DatabaseUndefinedRelation:
        return None
    return next((LeaseRow(*row) for row in found), None)


def process_of(row: LeaseRow) -> Process:
    """Returns the process that has the turn."""
    return Process(row.host or "", row.boot, row.namespace, row.pid or 0, row.pid_started)


def _taken_by(row: LeaseRow) -> RunUnderWay:
    since = pendulum.instance(row.since or datetime.min).in_timezone("UTC")
    return under_way(f"{told(process_of(row), since)}, run {row.holder}")


def _take_free(client: Client, holder: str, seconds: float) -> None:
    found = read(client)
    gone = found.holder if found and found.holder and process_of(found).is_gone else ""
    here = this_process()
    taken = {
        "holder": holder,
        "host": here.host,
        "boot": here.boot,
        "namespace": here.namespace,
        "pid": here.pid,
        "pid_started": here.started,
        "since": _in(client, 0),
        "until": _in(client, seconds),
    }
    free = f"(holder IS NULL OR {_until(client)} <= CURRENT_TIMESTAMP OR holder = %s)"
    taking_turn = getattr(client, "taking_turn", None)
    with taking_turn(free, gone) if taking_turn else nullcontext():
        _update(client, taken, free, gone)
    if taking_turn:  # it may have waited for a load
        _prolong(client, holder, seconds)


def _prolong(client: Client, holder: str, seconds: float) -> None:
    _update(client, {"until": _in(client, seconds)}, "holder = %s", holder)


def _update(client: Client, values: dict[str, Any], which: str, *args: Any) -> None:
    names = client.escape_column_name
    marks = ", ".join(
        f"{names(column)} = {'NULL' if value is None else '%s'}" for column, value in values.items()
    )
    given = [bound(value) for value in values.values() if value is not None]
    sql = f"UPDATE {_table(client)} SET {marks} WHERE {which}"
    client.execute_sql(sql, *given, *args)


def now_of(client: Client) -> datetime:
    """Returns the warehouse's time, in UTC where it tells no zone."""
    [[now]] = client.execute_sql("SELECT CURRENT_TIMESTAMP") or ()
    moment: datetime = pendulum.instance(now)
    return moment


def _in(client: Client, seconds: float) -> datetime:
    """Returns the moment in so many seconds, by the warehouse's clock."""
    return now_of(client) + timedelta(seconds=seconds)


def _make(warehouse: Warehouse) -> None:
    """Creates what is missing of the schema, the table and its row.

    Another run may create the same at the same time; whoever comes second finds it there.
    """
    client = warehouse.client
    if read(client) is not None:
        return
    if not warehouse.column_names(SYNC_LEASE.name):
        with suppress(DatabaseException):
            if not client.has_dataset():
                client.create_dataset()
        try:
            client.execute_sql(_creation(warehouse))
        except DatabaseException:
            if not warehouse.column_names(SYNC_LEASE.name):
                raise
    try:
        client.execute_sql(f"INSERT INTO {_table(client)} (lease) VALUES (%s)", ONLY)
    except DatabaseException:
        if read(client) is None:
            raise


def _creation(warehouse: Warehouse) -> str:
    """Returns the statement that creates the table, with the warehouse's own types."""
    made = warehouse.pipeline.destination_client()
    mapper, names = made.capabilities.get_type_mapper(), made.capabilities.escape_identifier
    # BigQuery keeps no key, and refuses to be asked for one.
    key = " NOT NULL" + (" PRIMARY KEY" if made.capabilities.sqlglot_dialect != "bigquery" else "")
    columns = ", ".join(
        f"{names(name)} {mapper.to_destination_type(column, {'name': SYNC_LEASE.name})}"
        + (key if name == SYNC_LEASE.key else "")
        for name, column in SYNC_LEASE.columns.items()
    )
    return f"CREATE TABLE {_table(warehouse.client)} ({columns})"


def _table(client: Client) -> str:
    return client.make_qualified_table_name(SYNC_LEASE.name)


def _until(client: Client) -> str:
    return client.escape_column_name("until")
