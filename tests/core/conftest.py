"""Property tests draw the same examples everywhere; a warehouse is a DuckDB file of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from hypothesis import HealthCheck, settings

from connector.configuration.providers import own_configuration
from connector.settings import WarehouseSettings, load_warehouse_settings
from connector.warehouse.destination import make_pipeline
from connector.warehouse.load import batches, create_tables, into
from connector.warehouse.schema import TABLES
from connector.warehouse.store import Warehouse, open_warehouse

settings.register_profile(
    "core",
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("core")

Row = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """A DuckDB file and the pipeline that loads into it."""

    pipeline: dlt.Pipeline
    settings: WarehouseSettings

    def load(self, table: str, rows: Iterable[Row]) -> None:
        """Load rows into one of the tables that a run writes."""
        self.pipeline.run(batches(into(table, list(rows))))

    def execute(self, *statements: str) -> None:
        """Run some statements on the file."""
        with self.pipeline.sql_client() as client:
            for statement in statements:
                client.execute_sql(statement)

    @contextmanager
    def opened(self) -> Iterator[Warehouse]:
        """Open the file as a run does."""
        with open_warehouse(self.pipeline, self.settings) as warehouse:
            yield warehouse


@contextmanager
def site_in(folder: Path) -> Iterator[Site]:
    """Makes a site whose every file is in a folder."""
    places = {
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DESTINATION__WAREHOUSE__DESTINATION_TYPE": "duckdb",
        "DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{folder / 'warehouse.duckdb'}",
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in places.items():
            environment.setenv(name, value)
        given = load_warehouse_settings()
        pipeline = make_pipeline(given)
        assert Path(pipeline.working_dir).is_relative_to(folder)
        yield Site(pipeline, given)
        pipeline.deactivate()


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
