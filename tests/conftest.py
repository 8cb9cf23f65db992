"""One local Pipedrive for all tests of a worker, started over for each.

Tests that look at what one run has left are a group of xdist: they stay together on one worker,
so that the run is made once. Any other test goes to whichever worker is free.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, settings

from connector.configuration.providers import own_configuration
from connector.sandbox import LocalPipedrive
from connector.warehouse.load import create_tables
from connector.warehouse.schema import TABLES
from tests.support.eager import PROGRAM, read_increments
from tests.support.harness import NewSite, Site
from tests.support.postgres import (
    NOT_INSTALLED,
    Postgres,
    PostgresSite,
    binaries,
    on_postgres,
    serving_postgres,
)
from tests.support.slow import function_of, slow_tests
from tests.support.warehouse import Site as FileSite
from tests.support.warehouse import site_in

settings.register_profile(
    "core",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("core")

# What a shell starts in the background ignores Ctrl-C, and so would the commands of tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")  # of pipelines that tests make

# A machine's own zone is anywhere. East of UTC, a time taken for one in UTC lies ahead.
os.environ["TZ"] = "Asia/Kolkata"
time.tzset()

TOKEN = "7d41c06fb2e84a5c9f3e0d1b6a88425f0c9d7e13"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if function_of(item.nodeid) in slow_tests():
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def local_pipedrive() -> Iterator[LocalPipedrive]:
    with LocalPipedrive(limits=False, token=TOKEN) as pipedrive:
        yield pipedrive


@pytest.fixture(scope="session")
def new_site(local_pipedrive: LocalPipedrive, tmp_path_factory: pytest.TempPathFactory) -> NewSite:
    """Makes sites: each has an empty warehouse, and Pipedrive with its first 40 seeded leads."""

    def make() -> Site:
        folder: Path = tmp_path_factory.mktemp("site")
        local_pipedrive.reset()
        return Site(folder, local_pipedrive)

    return make


@pytest.fixture
def duckdb_site(new_site: NewSite) -> Site:
    return new_site()


@pytest.fixture
def site(duckdb_site: Site) -> Site:
    """The site of most tests; a module whose tests are for each warehouse has its own."""
    return duckdb_site


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip(NOT_INSTALLED)
    with serving_postgres() as server:
        yield server


@pytest.fixture
def postgres_site(duckdb_site: Site, postgres: Postgres) -> PostgresSite:
    """A site whose warehouse is an empty PostgreSQL database."""
    return on_postgres(duckdb_site, postgres)


@pytest.fixture(params=["duckdb", "postgres"])
def any_site(request: pytest.FixtureRequest) -> Site:
    """A site on each warehouse that the whole job is tested with."""
    site: Site = request.getfixturevalue(f"{request.param}_site")
    return site


@pytest.fixture(params=["all", "increments"])
def reading_site(
    any_site: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A site on each of them whose runs read all leads, and one whose runs read increments."""
    if request.param == "all":
        return any_site
    read_increments(monkeypatch)
    return replace(any_site, program=PROGRAM)


@pytest.fixture
def empty_site(tmp_path: Path) -> Iterator[FileSite]:
    """A DuckDB file where nothing has run yet."""
    (tmp_path / "site").mkdir()
    duckdb.connect(str(tmp_path / "site" / "warehouse.duckdb")).close()
    with site_in(tmp_path / "site") as made:
        yield made


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `file_site`, to be copied."""
    folder = tmp_path_factory.mktemp("created") / "site"
    folder.mkdir()
    with site_in(folder) as made, own_configuration():
        create_tables(made.pipeline, TABLES.values())
    return folder


@pytest.fixture
def file_site(created: Path, tmp_path: Path) -> Iterator[FileSite]:
    """A DuckDB file with the tables that a run writes, all empty."""
    folder = Path(shutil.copytree(created, tmp_path / "site"))
    with site_in(folder) as made:
        yield made
