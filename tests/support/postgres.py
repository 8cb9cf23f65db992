"""A real PostgreSQL on loopback for the tests, and sites whose warehouse is a database of it.

It is started from the distribution's binaries once a worker, in a folder of its own, and it sorts
text as people do rather than by the codes of characters: nothing may depend on that.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import new_type

from tests.support.harness import DESIRED, Row, Site, wait_until

OWNER, PASSWORD = "lead_sync_owner", "un-guessed"
NOT_INSTALLED = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
TYPES = {"DOUBLE": "DOUBLE PRECISION"}
"""What DuckDB calls otherwise."""
AS_TEXT = new_type((114, 3802), "JSON_TEXT", lambda value, _: value)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "timezone": "Asia/Kolkata",
}
"""Quick, small, and in a zone that shows where a time is read without its own."""


def binaries() -> Path | None:
    """Return where PostgreSQL's programs are; None where they are not installed.

    Nor are they of use to root where the package's user is missing.
    """
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = [str(found[-1])] if found else [shutil.which("initdb")]
    return next((Path(name).parent for name in named if name), None)


@dataclass(frozen=True)
class Postgres:
    """A server that runs."""

    port: int

    def url(self, database: str, user: str = OWNER, password: str = PASSWORD) -> str:
        """Return the address of a database, as dlt takes it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, sql: str, *values: Any, user: str = OWNER) -> list[Row]:
        """Run statements and return the rows of the last one; JSON comes as text."""
        connection = psycopg2.connect(self.url(database, user))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                psycopg2.extensions.register_type(AS_TEXT, cursor)
                cursor.execute(sql, values or None)
                names = [column[0] for column in cursor.description or ()]
                rows = cursor.fetchall() if names else []
                return [dict(zip(names, row, strict=True)) for row in rows]
        finally:
            connection.close()


@contextmanager
def serving_postgres() -> Iterator[Postgres]:
    """Start a server on a port of its own, and stop it at the end.

    PostgreSQL refuses to run as root: it gets the user that its package made then.
    """
    home = binaries()
    assert home is not None, NOT_INSTALLED
    folder = Path(tempfile.mkdtemp(prefix="lead-sync-pg-"))
    rights: dict[str, Any] = {}
    if os.geteuid() == 0:
        rights = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if rights:
        shutil.chown(secret, "postgres")
    data, port = folder / "data", _free_port()
    given: dict[str, Any] = {"cwd": folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}, **rights}
    made = subprocess.run(
        [
            *(str(home / "initdb"), "-D", str(data), "-U", OWNER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--no-sync", "--encoding", "UTF8"),
            *("--locale-provider", "icu", "--icu-locale", "en-US", "--locale", "C.UTF-8"),
        ],
        capture_output=True,
        text=True,
        check=False,
        **given,
    )
    assert made.returncode == 0, made.stderr
    options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
    call = [str(home / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), *options]
    log = (folder / "log").open("wb")
    server = subprocess.Popen(call, stdout=log, stderr=log, **given)
    try:
        wait_until(lambda: _answers(server, Postgres(port)), "PostgreSQL does not start")
        yield Postgres(port)
    finally:
        server.send_signal(signal.SIGINT)  # it ends every connection
        server.wait(60)
        log.close()
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _answers(server: subprocess.Popen[bytes], postgres: Postgres) -> bool:
    assert server.poll() is None, "PostgreSQL has ended"
    try:
        postgres.execute("postgres", "SELECT 1")
    except psycopg2.OperationalError:
        return False
    return True


_NUMBER = itertools.count(1)


@dataclass(frozen=True)
class PostgresSite(Site):
    """A site whose warehouse is a database of its own."""

    server: Postgres
    name: str
    user: str = OWNER
    password: str = PASSWORD

    def desire(self, columns: Mapping[str, str], rows: Iterable[Row], table: str = DESIRED) -> None:
        """Make the desired table anew: names and types of its columns, and rows by name."""
        shown = ", ".join(f'"{name}" {TYPES.get(kind, kind)}' for name, kind in columns.items())
        self.query(f"CREATE SCHEMA IF NOT EXISTS {table.partition('.')[0]}")
        self.query(f"DROP TABLE IF EXISTS {table}")
        self.query(f"CREATE TABLE {table} ({shown})")
        for row in rows:
            values = [row.get(name) for name in columns]
            marks = ", ".join("?" for _ in columns)
            self.query(f"INSERT INTO {table} VALUES ({marks})", *values)

    def query(self, sql: str, *values: Any) -> list[Row]:
        """Return the rows of a query on the warehouse, with `?` for each value."""
        return self.server.execute(self.name, sql.replace("?", "%s") if values else sql, *values)

    def _places(self) -> dict[str, str]:
        return {
            **super()._places(),
            "DESTINATION__WAREHOUSE__DESTINATION_TYPE": "postgres",
            "DESTINATION__WAREHOUSE__CREDENTIALS": self.server.url(
                self.name, self.user, self.password
            ),
        }


def on_postgres(site: Site, server: Postgres) -> PostgresSite:
    """Return a site whose warehouse is an empty database, in place of its file."""
    return PostgresSite(site.folder, site.pipedrive, server, new_database(server))


def new_database(server: Postgres) -> str:
    """Make an empty database and return its name."""
    name = f"site_{next(_NUMBER)}"
    server.execute("postgres", f"CREATE DATABASE {name}")
    return name
