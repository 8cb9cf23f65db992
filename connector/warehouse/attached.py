"""Databases that DuckDB opens beside the desired table's own, to read only, while it is read.

What is configured may hold a password, and DuckDB's errors repeat it: of a database that is no file
no message shows more than its alias, and of an error no more than words that are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.sql_client import SqlClientBase

from connector.configuration.origin import redact
from connector.errors import ConfigError, LockedError
from connector.settings import WarehouseSettings
from connector.warehouse.store import is_file, is_file_of

TYPES: Final = {"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql"}
"""Types of the databases that a URL names, by its scheme; DuckDB finds out the rest itself."""
FILE: Final = re.compile(r"(?:(duckdb|sqlite):(?:///?(?=.))?|file:(?://(?=/))?)(.*)", re.IGNORECASE)
"""A file that is written as a URL: duckdb:////data/x and file:///data/x are /data/x."""
REASONS: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "Connection refused",
    "could not translate host name",
    "timeout expired",
    "Failed to download extension",
    "Unsupported access mode",
)
"""What DuckDB may say of a database that is no file, and a message may repeat."""


@dataclass(frozen=True)
class Attached:
    """One database that is to be opened.

    Attributes:
        alias: What it is called in SQL.
        file: The file; None where it is none.
        url: What names it instead, and may hold a password.
        type: Its type; empty where DuckDB finds it out.
    """

    alias: str
    file: Path | None
    url: str
    type: str

    def __repr__(self) -> str:
        return f"Attached({self.alias!r})"

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        if self.file is None:
            scheme = re.match(r"[a-z][a-z0-9]*(?=:)", self.url)
            return f"a database by {scheme[0]}:…" if scheme else "a database"
        path = str(self.file)
        return f"file {path}" if redact(path) == path and "=" not in path else "a file"


def attached_of(settings: WarehouseSettings) -> list[Attached]:
    """Returns the databases that are configured."""
    return [_parse(alias, value) for alias, value in settings.attached.items()]


@contextmanager
def attached(
    client: SqlClientBase[Any], books: SqlClientBase[Any] | None, settings: WarehouseSettings
) -> Iterator[None]:
    """Has the databases that are configured open beside another, to read only.

    Args:
        client: A connection to the database with the desired table.
        books: One to the tables that runs write, which no alias may name.
        settings: Which databases.

    Raises:
        ConfigError: One cannot be opened, or its alias is something else's name.
        LockedError: Another program has its file.
    """
    wanted, opened = attached_of(settings), list[str]()
    if not wanted:
        yield
        return
    if not isinstance(client, DuckDbSqlClient):
        raise ConfigError(
            "attached is for desired rows in DuckDB, and they are elsewhere; leave it out"
        )
    try:
        for one in wanted:
            _refuse(one, client, books, settings)
            _attach(one, client.native_connection)
            opened.append(one.alias)
        yield
    finally:
        for alias in opened:
            with suppress(duckdb.Error):  # the connection has failed, and says so itself
                client.native_connection.execute(f'DETACH "{alias}"')


def hide(text: str, settings: WarehouseSettings) -> str:
    """Hides what names the databases, and may hold a password, in a driver's text."""
    for one in attached_of(settings):
        text = text.replace(one.url, "…") if one.url else text
    return redact(text)


def _parse(alias: str, value: str) -> Attached:
    file = FILE.fullmatch(value)
    found = re.match(r"([a-z][a-z0-9+]+):(//)?", value, re.IGNORECASE)
    if found is not None and file is None:
        return Attached(alias, None, value, TYPES.get(found[1].lower(), "") if found[2] else "")
    kind, name = ((file[1] or "").lower(), file[2]) if file else ("", value)
    return Attached(alias, Path(name).expanduser().absolute(), "", kind)


def _refuse(
    one: Attached,
    client: DuckDbSqlClient,
    books: SqlClientBase[Any] | None,
    settings: WarehouseSettings,
) -> None:
    """Refuses a file that is not there or is open anyway, and an alias that is taken."""
    alias = one.alias.lower()
    if alias in _taken(client) | _own_schemas(settings.dataset_name):
        raise ConfigError(
            f"attached: {one.alias} is the name of a database or schema that is there already; "
            "give another alias"
        )
    if one.file is None:
        return
    if not is_file(one.file):
        raise ConfigError(f"attached: {one.alias}: there is no such file, {one.place}; mend it")
    if any(other is not None and is_file_of(one.file, other) for other in (client, books)):
        raise ConfigError(
            f"attached: {one.alias} is the warehouse's own {one.place}, which needs no alias; "
            "leave it out"
        )


def _own_schemas(dataset: str) -> set[str]:
    return {dataset.lower(), f"{dataset}_staging".lower()}


def _taken(client: DuckDbSqlClient) -> set[str]:
    """Returns the names that mean something in SQL already, in lower case."""
    found = client.native_connection.execute(
        "SELECT lower(database_name) FROM duckdb_databases() UNION "
        "SELECT lower(schema_name) FROM duckdb_schemas() WHERE database_name = current_database()"
    ).fetchall()
    return {name for [name] in found}


def _attach(one: Attached, connection: duckdb.DuckDBPyConnection) -> None:
    options = f"READ_ONLY, TYPE {one.type}" if one.type else "READ_ONLY"
    name = one.url if one.file is None else str(one.file)
    try:
        connection.execute(f'ATTACH ? AS "{one.alias}" ({options})', [name])
    except duckdb.Error as error:
        text = str(error)
        if one.file is not None and "Could not set lock" in text:
            raise LockedError(
                f"attached: {one.alias}: another program holds {one.place}; close it there"
            ) from None
        raise ConfigError(
            f"attached: {one.alias} cannot be opened, {one.place}: {_reason(one, error)}; mend it, "
            "or leave it out"
        ) from None


def _reason(one: Attached, error: duckdb.Error) -> str:
    text = str(error)
    if one.file is not None and one.place.startswith("file "):
        return text.splitlines()[0]
    known = next((reason for reason in REASONS if reason.lower() in text.lower()), None)
    return known or type(error).__name__
