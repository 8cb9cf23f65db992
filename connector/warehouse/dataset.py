"""Whether a dataset is ours to write to; found out by reading alone, before anything is written.

dlt merges into whatever table bears the name. So every table that bears the name of one of
ours must be one that we made: it has the columns by which we know it, and dlt's own record in
that dataset says that a schema with our mirror holds it, and no other schema does. The lease, which
is made by plain SQL, is in no schema of dlt's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dlt
import orjson
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.exceptions import MissingDependencyException
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.sql_client import SqlClientBase

from connector.configuration.providers import WAREHOUSE, ask
from connector.configuration.readers import table_parts
from connector.errors import ConfigError, WarehouseError
from connector.settings import WarehouseSettings
from connector.warehouse.destination import TypedPostgres, is_desired_apart
from connector.warehouse.lease import refuse_held
from connector.warehouse.schema import LEAD_FIELD_CHANGES, SYNC_LEASE
from connector.warehouse.store import Warehouse, first_line, kinds_of, open_warehouse

Client = SqlClientBase[Any]
KNOWN_BY: dict[str, frozenset[str]] = {
    "leads": frozenset({"id", "custom_fields", "record", "read_at", "gone_at"}),
    "lead_patches": frozenset({"patch_id", "plan_id", "lead_id", "body", "before", "planned_at"}),
    "plan_left_out": frozenset({"left_out_id", "plan_id", "lead_id", "status", "reason"}),
    "lead_outcomes": frozenset({"outcome_id", "run_id", "patch_id", "lead_id", "status", "after"}),
    "lead_field_changes": frozenset({"change_id", "changed_at", "run_id", "lead_id", "field"}),
    "lead_fields": frozenset({"key", "name", "type"}),
    "lead_bases": frozenset({"lead_id", "base"}),
    "sync_runs": frozenset({"run_id", "plan_id", "command", "started_at", "state"}),
    "sync_account": frozenset({"company_id", "company_domain", "noted_at"}),
    "sync_lease": frozenset({"lease", "holder", "boot", "namespace", "pid_started", "until"}),
}
"""Columns that a table had in every version; what a later version adds is added to it."""
KNOWN_OF_DLT: dict[str, frozenset[str]] = {
    "_dlt_version": frozenset({"version_hash", "schema_name", "schema", "inserted_at"}),
    "_dlt_loads": frozenset({"load_id", "schema_name", "status", "inserted_at"}),
    "_dlt_pipeline_state": frozenset({"version", "pipeline_name", "state", "created_at"}),
}
"""Columns of the tables that all of dlt's pipelines of a dataset share, in every version of dlt."""
VIEW = LEAD_FIELD_CHANGES.name
"""Earlier versions had a view of this name, in DuckDB."""
VIEW_COLUMNS = frozenset({"changed_at", "run_id", "lead_id", "field", "old", "new", "key"})
MIRROR = "leads"
ELSEWHERE = "set dataset_name to a name of its own"
RESERVED = frozenset({"information_schema", "system", "temp"})
"""Schemas that a warehouse keeps for itself, beside those that begin with `pg_`."""


@contextmanager
def open_dataset(
    pipeline: dlt.Pipeline, settings: WarehouseSettings, *, may_make: bool = False
) -> Iterator[Warehouse]:
    """Opens the warehouse where its dataset is ours or new.

    Args:
        pipeline: What loads into it.
        settings: Where things are in it.
        may_make: Whether a DuckDB file that need not hold the desired table may be made.

    Raises:
        ConfigError: The dataset's or the desired table's name cannot be used.
        WarehouseError: A table of one of our names is not ours, or cannot hold every text.
        RunUnderWay: A run has its turn on it, and has not made all of its tables yet.
        LeadSyncError: The warehouse cannot be opened.
    """
    with suppress(ConfigurationException, MissingDependencyException):  # opening tells it
        check_names(_client(pipeline), settings)
    with open_warehouse(pipeline, settings, may_make=may_make) as warehouse:
        try:
            if isinstance(pipeline.destination, TypedPostgres):
                _check_encoding(warehouse.client)
            check_tables(warehouse.client)
        except WarehouseError:
            refuse_held(warehouse.client)
            raise
        except DatabaseException as error:
            raise WarehouseError(
                f"dataset {settings.dataset_name} cannot be examined: {first_line(error)}"
            ) from None
        yield warehouse


def _client(pipeline: dlt.Pipeline) -> Client:
    try:
        return pipeline.sql_client()
    except ConfigurationException:
        raise
    except (ValueError, TypeError) as error:
        name = "staging_dataset_name_layout"
        if ask(WAREHOUSE, name) is None:
            raise
        raise ConfigError(
            f"{name} under [{'.'.join(WAREHOUSE)}] cannot be used: {first_line(error)}; write it "
            "like %s_staging"
        ) from None


def _check_encoding(client: Client) -> None:
    """Refuses a database that would keep out an outcome, as soon as a title has an emoji."""
    encoding = client.native_connection.get_parameter_status("server_encoding")
    if encoding not in ("UTF8", "SQL_ASCII"):
        raise WarehouseError(
            f"the database is encoded in {encoding}, which cannot hold every text; "
            "make one with ENCODING 'UTF8'"
        )


def check_names(client: Client, settings: WarehouseSettings) -> None:
    """Refuses names under which a run would write elsewhere than it reads.

    Raises:
        ConfigError: A name cannot be used; the message says why, and what to set.
    """
    name, written = settings.dataset_name, client.dataset_name
    if name != written:
        raise ConfigError(f"dataset_name {name!r} would be written as {written!r}; set it to that")
    if name.lower() in RESERVED or name.lower().startswith("pg_"):
        raise ConfigError(f"dataset_name {name!r} is the warehouse's own; {ELSEWHERE}")
    datasets = [name.lower(), str(client.staging_dataset_name).lower()]
    catalog = _catalog(client)
    if catalog in datasets:
        raise ConfigError(
            f"the DuckDB file {client.credentials.database} and the dataset {catalog} "
            f"have one name, which DuckDB cannot tell apart; rename the file, or {ELSEWHERE}"
        )
    if is_desired_apart():
        return
    *places, table = [part.lower() for part in table_parts(settings.desired_table)]
    is_ours = table in KNOWN_BY or table.startswith("_dlt_")
    elsewhere = len(places) == 2 and catalog is not None and places[0] != catalog
    is_here = not places or places[-1] in datasets or places == [catalog]
    if is_ours and is_here and not elsewhere:
        raise ConfigError(
            f"desired_table {settings.desired_table!r} names a table that lead-sync writes; "
            "name the table with the desired leads, with its schema"
        )


def check_tables(client: Client) -> None:
    """Refuses a dataset, or the one beside it through which dlt merges, that holds other tables.

    Raises:
        WarehouseError: It does; the message names the table and the way out.
        DatabaseException: The dataset cannot be read.
    """
    _check_spelling(client, str(client.dataset_name))
    _check_spelling(client, str(client.staging_dataset_name))
    _check_dataset(client)
    with client.with_staging_dataset():
        _check_dataset(client)


def _check_dataset(client: Client) -> None:
    _check_tables_of_dlt(client)
    kinds = kinds_of(client)
    has_view = kinds.get(VIEW) == "VIEW"
    tables = KNOWN_BY.keys() - {VIEW} if has_view else KNOWN_BY.keys()
    found = {name: columns for name in tables if (columns := _columns(client, name)) is not None}
    if has_view:
        _check_view(client, found.keys())
    if not found:
        return
    schemas = _schemas(client)
    ours = {name for name, recorded in schemas.items() if _is_ours(recorded.get(MIRROR), MIRROR)}
    for table, columns in found.items():
        owners = {name for name, recorded in schemas.items() if table in recorded}
        shown = f"{client.dataset_name}.{table}"
        if kinds.get(table) == "VIEW":
            raise WarehouseError(f"{shown} is a view, and lead-sync writes a table; {ELSEWHERE}")
        if others := owners - ours:
            names = ", ".join(sorted(others))
            raise WarehouseError(
                f"{shown} is a table of the dlt pipeline with the schema {names}, "
                f"which a run would overwrite; {ELSEWHERE}"
            )
        if not (owners or table == SYNC_LEASE.name) or not columns >= KNOWN_BY[table]:
            raise WarehouseError(
                f"{shown} is not a table that lead-sync made, and a run would overwrite it; "
                f"{ELSEWHERE}"
            )


def _check_tables_of_dlt(client: Client) -> None:
    for table, known in KNOWN_OF_DLT.items():
        columns = _columns(client, table)
        if columns is not None and not columns >= known:
            raise WarehouseError(
                f"{client.dataset_name}.{table} is not the table that dlt makes (it lacks "
                f"{min(known - columns)}), and dlt would write to it; {ELSEWHERE}"
            )


def _check_view(client: Client, ours: Collection[str]) -> None:
    """A run drops the view of an earlier version, so it must be the one that a run made."""
    columns: frozenset[str] | None = VIEW_COLUMNS
    with suppress(DatabaseException):  # a view of a column that somebody has dropped
        columns = _columns(client, VIEW)
    if not (columns or set()) >= VIEW_COLUMNS or not {*ours} >= {"lead_outcomes", "lead_fields"}:
        raise WarehouseError(
            f"{client.dataset_name}.{VIEW} is not the view that lead-sync made, "
            f"and a run would replace it; {ELSEWHERE}"
        )


def _check_spelling(client: Client, dataset: str) -> None:
    """DuckDB takes names in any case for one, and dlt does not."""
    if not isinstance(client, DuckDbSqlClient):
        return
    sql = (
        "SELECT schema_name FROM information_schema.schemata "
        "WHERE lower(schema_name) = lower(%s) AND schema_name <> %s "
        "AND catalog_name = current_database()"
    )
    for [name] in client.execute_sql(sql, dataset, dataset) or ():
        raise WarehouseError(
            f"the warehouse spells the dataset {dataset} {name}, and DuckDB takes them for one; "
            f"rename that schema, or {ELSEWHERE}"
        )


def _catalog(client: Client) -> str | None:
    """Returns the name by which DuckDB knows its file."""
    if not isinstance(client, DuckDbSqlClient):
        return None
    return Path(str(client.credentials.database)).name.lstrip(".").partition(".")[0].lower()


def _columns(client: Client, table: str) -> frozenset[str] | None:
    """Returns the names of a table's columns in lower case; None where there is no such table."""
    sql = f"SELECT * FROM {client.make_qualified_table_name(table)} WHERE 1 = 0"
    try:
        with client.execute_query(sql) as cursor:
            return frozenset(column[0].lower() for column in cursor.description or ())
    except DatabaseUndefinedRelation:
        return None


def _schemas(client: Client) -> Mapping[str, Mapping[str, Any]]:
    """Returns the tables of each dlt schema, by all that dlt has recorded in the dataset.

    The newest record of our own schema lacks the tables that were made without a package.
    """
    sql = f"SELECT * FROM {client.make_qualified_table_name('_dlt_version')}"
    try:
        with client.execute_query(sql) as cursor:
            names = [column[0].lower() for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except DatabaseUndefinedRelation:
        return {}
    schemas: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["inserted_at"]):
        schemas.setdefault(row["schema_name"], {}).update(orjson.loads(row["schema"])["tables"])
    return schemas


def _is_ours(table: Mapping[str, Any] | None, name: str) -> bool:
    return table is not None and KNOWN_BY[name] <= set(table.get("columns", ()))
