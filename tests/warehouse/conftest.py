"""Sites of a test: with the tables that a run writes, and without."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from connector.configuration.providers import own_configuration
from connector.warehouse.load import create_tables
from connector.warehouse.schema import TABLES
from tests.support.warehouse import Site, site_in


@pytest.fixture
def empty_site(tmp_path: Path) -> Iterator[Site]:
    """A site where nothing has run yet."""
    (tmp_path / "site").mkdir()
    duckdb.connect(str(tmp_path / "site" / "warehouse.duckdb")).close()
    with site_in(tmp_path / "site") as made:
        yield made


@pytest.fixture(scope="session")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a site with the tables that a run writes, all empty."""
    folder = tmp_path_factory.mktemp("created") / "site"
    folder.mkdir()
    with site_in(folder) as made, own_configuration():
        create_tables(made.pipeline, TABLES.values())
    return folder


@pytest.fixture
def site(created: Path, tmp_path: Path) -> Iterator[Site]:
    """A site with the tables that a run writes, all empty."""
    folder = Path(shutil.copytree(created, tmp_path / "site"))
    with site_in(folder) as made:
        yield made
