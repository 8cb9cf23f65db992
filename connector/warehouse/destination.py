"""The warehouse as a dlt destination: whatever config names, with a mend for two of them.

dlt's fast way into DuckDB is JSONL, read with guessed types. A guess takes the JSON documents
of a column for one STRUCT, so that a body gets every key that any other body has, as null:
each would clear a field. Here the types are those of the table, and a document stays as it is.
What PostgreSQL needs is in `postgres.py`, which needs its driver.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.destination import Destination, DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.destination.reference import DestinationReference
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.exceptions import InvalidInMemoryDuckdbCredentials
from dlt.destinations.impl.duckdb.factory import duckdb as dlt_duckdb
from dlt.destinations.impl.postgres.factory import postgres as dlt_postgres

from connector.configuration.origin import has_bare_at
from connector.configuration.providers import (
    DESIRED,
    WAREHOUSE,
    Section,
    ask,
    own_configuration,
)
from connector.configuration.spelling import Names, nearest, refuse_misspelt
from connector.errors import ConfigError, WarehouseError
from connector.settings import WarehouseSettings
from connector.warehouse.steps import refuse_unusable_steps

if TYPE_CHECKING:
    from dlt.common.schema import Schema
    from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration
    from dlt.destinations.impl.postgres.postgres import PostgresClient

DUCKDB = "duckdb"
UNFIT = frozenset(
    {
        *("sqlalchemy", "ducklake", "filesystem", "destination", "dummy"),
        *("lance", "lancedb", "qdrant", "weaviate"),
    }
)
"""Destinations of dlt that speak no SQL, or that tell a reader nothing of a table's columns."""
MISREAD = (ValueError, TypeError, LookupError)
"""What dlt raises where a file of its own is cut short or empty."""
FIT = "duckdb, postgres, snowflake, bigquery, databricks, redshift or motherduck"


def make_pipeline(settings: WarehouseSettings) -> dlt.Pipeline:
    """Returns the pipeline to the destination named `warehouse`, DuckDB if not configured.

    Raises:
        ConfigError: There is no destination of the configured type, a name is misspelt, or what
            dlt's steps are told cannot be used.
        WarehouseError: The working folder cannot be used.
    """
    destination, folder = destination_of(WAREHOUSE), working_folder(settings)
    refuse_unusable_steps()
    try:
        _refuse_unnameable(folder)
        with own_configuration():
            pipeline = dlt.pipeline(
                pipeline_name=settings.pipeline_name,
                dataset_name=settings.dataset_name,
                destination=destination,
            )
    except OSError as error:
        raise unusable(folder, error) from None
    except (*MISREAD, AttributeError) as error:
        raise damaged(folder, error) from None
    # A request to stop is ours to answer: dlt would drop the load of outcomes for it.
    pipeline.runtime_config.intercept_signals = False
    return pipeline


def _refuse_unnameable(folder: Path) -> None:
    """Refuses folders whose names dlt cannot write into its state."""
    for place in (Path.cwd(), folder):
        try:
            str(place).encode()
        except UnicodeEncodeError:
            shown = os.fsencode(place).decode(errors="backslashreplace")
            raise WarehouseError(
                f"the folder {shown} has a name that is no UTF-8; rename it, or work in another"
            ) from None


def is_desired_apart() -> bool:
    """Tells whether the desired rows are configured to be elsewhere than the tables written."""
    named = (*DESIRED, "credentials")
    return (
        ask(DESIRED, "destination_type") is not None
        or ask(DESIRED, "credentials", secret=True) is not None
        or any(ask(named, name) is not None for name in ("database", "host"))
    )


def working_folder(settings: WarehouseSettings) -> Path:
    """Returns the folder in which dlt keeps this pipeline's state and packages."""
    return Path(get_dlt_pipelines_dir(), settings.pipeline_name)


def sweep(folder: Path) -> None:
    """Removes what a killed dlt left half written or half deleted, where it would trip over it.

    dlt writes a schema under a name without an ending first, and then renames it. It deletes
    an extracted package file by file once its normalized copy is complete. What a package
    lost with it, the next run settles from the plan. Packages that are loaded are of no use
    any more, and dlt keeps them for good.

    dlt normalizes a package with the stored schema, and stores that only after the package: a kill
    between the two would have it load a plan without the types of its tables, each body in pieces.
    """
    for file in (folder / "schemas").glob("*"):
        if not file.name.endswith(".schema.json"):
            file.unlink()
    for package in (folder / "normalize" / "extracted").glob("*"):
        copies = [folder / "load" / stage / package.name for stage in ("normalized", "loaded")]
        whole = (package / "schema.json").exists() and (package / "new_jobs").exists()
        if not whole or any(copy.exists() for copy in copies):
            _remove(package)
        else:
            _store_schema(package / "schema.json", folder / "schemas")
    for package in (folder / "load" / "loaded").glob("*"):
        _remove(package)
    _sweep_begun(folder)


def _sweep_begun(folder: Path) -> None:
    """Removes packages that dlt had only begun to write; it begins them anew."""
    for begun in (folder / "normalize").glob("*"):
        if begun.name not in (".version", "extracted"):
            _remove(begun)
    for place in ("load/new", "load/normalized"):
        for file in (folder / place).glob("*"):
            if not file.is_dir():
                file.unlink()


def _remove(package: Path) -> None:
    """Removes a package, or a file beside the packages that a killed dlt had not renamed yet."""
    if package.is_dir():
        shutil.rmtree(package)
    else:
        package.unlink()


def drop_packages(folder: Path) -> None:
    """Removes what is not loaded yet."""
    for place in ("normalize/extracted", "load/new", "load/normalized"):
        for package in (folder / place).glob("*"):
            _remove(package)


def _store_schema(of_package: Path, schemas: Path) -> None:
    """Stores the schema of a package, unless a later one is stored.

    A damaged one stays as it is: `make_pipeline` says so.
    """
    with suppress(ValueError, LookupError, TypeError):
        made = json.loads(of_package.read_bytes())
        stored = schemas / f"{made['name']}.schema.json"
        if stored.exists() and json.loads(stored.read_bytes())["version"] >= made["version"]:
            return
        beside = schemas / made["name"]
        shutil.copy(of_package, beside)
        beside.replace(stored)


def destination_of(section: Section) -> Destination[Any, Any]:
    """Returns the destination of the configured type, which finds its settings by full names.

    Raises:
        ConfigError: There is no fit destination of that type, a name is misspelt, or a password
            is written so that a driver takes its end for the host.
    """
    kind = ask(section, "destination_type")
    named = DUCKDB if kind is None else kind
    if not isinstance(named, str) or not named.strip():
        raise ConfigError(f"destination_type {named!r} is no text; write it like {DUCKDB}")
    try:
        found = DestinationReference.ensure_factory(DestinationReference.find(named.strip()))
    except UnknownDestinationModule:
        raise ConfigError(
            f"destination_type {named!r} is no destination; the nearest is "
            f"{nearest(named, dlt.destinations.__all__)}"
        ) from None
    if found.__name__ in UNFIT:
        raise ConfigError(
            f"destination_type {named!r} under [{'.'.join(section)}] is no SQL warehouse that "
            f"lead-sync can read and write; use {FIT}"
        )
    factory = TYPED.get(found) or _finding_full_names(found)
    made: Destination[Any, Any] = factory(destination_name=section[1])
    refuse_misspelt(_names(made, section))
    _refuse_bare_at(section)
    return made


def _refuse_bare_at(section: Section) -> None:
    url = ask(section, "credentials", secret=True)
    if isinstance(url, str) and has_bare_at(url):
        raise ConfigError(
            f"credentials under [{'.'.join(section)}] has more than one @ before the host; "
            "write the @ of a password as %40"
        )


def _finding_full_names(factory: type[Destination[Any, Any]]) -> type[Destination[Any, Any]]:
    return type(factory.__name__, (FindsFullNames, factory), {"__module__": factory.__module__})


def _names(destination: Destination[Any, Any], section: Section) -> Names:
    """Returns the names that the destination's section may hold."""
    spec = destination.spec
    known = {*spec.get_resolvable_fields(), "destination_type", "destination_name"}
    inner: dict[str, Any] = getattr(spec.credentials_type(), "get_resolvable_fields", dict)()
    return Names(section, known, {"credentials": inner.keys() - known}, is_whole=False)


class FindsFullNames(Destination[Any, Any]):
    """A destination whose settings are found by their full names alone, whoever asks."""

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        """Returns the destination's settings."""
        with own_configuration():
            return super().configuration(initial_config, accept_partial)


class TypedDuckDb(FindsFullNames, dlt_duckdb):
    """dlt's DuckDB, loading JSONL with the table's own types."""

    _partial: DuckDbClientConfiguration | None = None

    def configuration(
        self, initial_config: DuckDbClientConfiguration, accept_partial: bool = False
    ) -> DuckDbClientConfiguration:
        """Returns the destination's settings.

        What dlt asks for a dozen times a load, only to know what DuckDB can do, is found out
        once: it took a fifth of a run's time.

        Raises:
            ConfigError: The database would be in memory.
        """
        if accept_partial and self._partial:
            return self._partial
        found: DuckDbClientConfiguration
        try:
            found = super().configuration(initial_config, accept_partial)
        except InvalidInMemoryDuckdbCredentials:
            raise ConfigError(
                f"credentials under [destination.{self.destination_name}] name a database in "
                "memory, which ends with the command; name a file"
            ) from None
        self._partial = found if accept_partial else self._partial
        return found

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.preferred_loader_file_format = "jsonl"
        return capabilities

    @property
    def client_class(self) -> type[DuckDbClient]:
        """The client that makes the load jobs."""
        return TypedDuckDbClient


class TypedDuckDbClient(DuckDbClient):
    """Loads every JSONL file with a `TypedCopyJob`."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        """Returns the job that loads one file."""
        job = super().create_load_job(table, file_path, load_id, restore)
        if not isinstance(job, DuckDbCopyJob) or ".jsonl" not in file_path:
            return job
        return RestoredCopyJob(file_path) if restore else TypedCopyJob(file_path)


class TypedCopyJob(DuckDbCopyJob):
    """Copies a JSONL file into its table; a key that a line lacks is NULL."""

    def run(self) -> None:
        """Loads the file."""
        self._job_client.sql_client.execute_sql(
            f"INSERT INTO {self._table_name} BY NAME {self._rows}"
        )

    @property
    def _table_name(self) -> str:
        client = self._job_client.sql_client
        return str(client.make_qualified_table_name(self.load_table_name))

    @property
    def _rows(self) -> str:
        """SQL for the rows to load: those of the file, of the table's types."""
        client, table = self._job_client, self._load_table
        literal = client.capabilities.escape_literal
        types = ", ".join(
            f"{literal(name)}: {literal(client.type_mapper.to_destination_type(column, table))}"
            for name, column in table["columns"].items()
        )
        file = literal(self._file_path)
        lines = f"read_json({file}, format = 'newline_delimited', columns = {{{types}}})"
        return f"SELECT * FROM {lines}"


class RestoredCopyJob(TypedCopyJob):
    """Copies a file that a killed run may have copied without dlt hearing of it."""

    @property
    def _rows(self) -> str:
        """SQL for those of the file that are not there."""
        return f"{super()._rows} WHERE _dlt_id NOT IN (SELECT _dlt_id FROM {self._table_name})"


class TypedPostgres(FindsFullNames, dlt_postgres):
    """dlt's PostgreSQL, with values read exactly, and files loaded by COPY.

    Its name is dlt's, as dlt's state has it.

    Attributes:
        holder: The run that alone may load; None where nobody's turn matters.
    """

    holder: str | None = None

    __module__, __qualname__ = dlt_postgres.__module__, dlt_postgres.__qualname__

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.supports_transactions = True  # dlt leaves it open, and merges without one
        formats = capabilities.supported_loader_file_formats
        capabilities.supported_loader_file_formats = [*formats, "jsonl"]
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        """The client that reads them."""
        from connector.warehouse.postgres import TypedPostgresClient  # noqa: PLC0415

        return TypedPostgresClient

    def client(
        self, schema: Schema, initial_config: PostgresClientConfiguration | None = None
    ) -> PostgresClient:
        """Returns the client that makes the load jobs."""
        made: Any = super().client(schema, initial_config)
        made.sql_client.holder = self.holder
        found: PostgresClient = made
        return found


TYPED: Mapping[Any, type[Destination[Any, Any]]] = {
    dlt_duckdb: TypedDuckDb,
    dlt_postgres: TypedPostgres,
}


def load_for(destination: object, holder: str | None) -> None:
    """Sees to it that nothing is loaded when it is another run's turn, where that can be done.

    DuckDB lets no other process into its file; of other warehouses only PostgreSQL is known to
    lock the row that has the turn.

    Args:
        destination: Where rows are loaded.
        holder: The run whose turn it is; None once that is over.
    """
    if isinstance(destination, TypedPostgres):
        destination.holder = holder


def has_pending(pipeline: dlt.Pipeline) -> bool:
    """Tells whether an earlier run left something to be loaded.

    Raises:
        WarehouseError: That cannot be read.
    """
    try:
        return pipeline.has_pending_data
    except MISREAD as error:
        raise damaged(Path(pipeline.working_dir), error) from None


def damaged(working_dir: Path, error: Exception) -> WarehouseError:
    """Returns what to say of a working folder of which dlt cannot read a file."""
    return WarehouseError(
        f"dlt's state in the working folder {working_dir} is damaged ({type(error).__name__}: "
        f"{error}); remove that folder, and the next run makes it anew from the warehouse"
    )


def unusable(working_dir: Path, error: Exception) -> WarehouseError:
    """Returns what to say of a working folder that cannot be read or written."""
    reason = getattr(error, "strerror", None) or error
    return WarehouseError(
        f"the working folder {working_dir} cannot be used: {reason}; make it yours, or name "
        "another with DLT_DATA_DIR"
    )
