"""A DuckDB file of its own, with the tables that a run writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import pendulum
import pytest

from connector.settings import WarehouseSettings, load_warehouse_settings
from connector.warehouse.destination import make_pipeline
from connector.warehouse.load import batches, into
from connector.warehouse.rows import digest
from connector.warehouse.store import Warehouse, open_warehouse
from tests.support.account import LEAD_ID

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN, EARLIER = "20260102-000000-bbbbbb", "20260101-120000-cccccc"
PLAN = "20260101-000000-aaaaaa"
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


def patch_row(number: int, body: Row, before: Row | None = None, plan_id: str = PLAN) -> Row:
    """A row of `lead_patches`."""
    return {
        "patch_id": f"{plan_id}-{number:08d}-1",
        "plan_id": plan_id,
        "lead_id": LEAD_ID,
        "body": body,
        "before": body if before is None else before,
        "digest": digest(body),
        "planned_at": pendulum.now("UTC"),
    }


def lead_id(number: int) -> str:
    """A lead's id by a number."""
    return f"{number:08x}-0e10-11eb-879b-05d71fb426ec"


def a_run(
    plan_id: str = PLAN, state: str = "failed", command: str = "run", released: bool | None = True
) -> Row:
    """A row of `sync_runs`."""
    told = {"command": command, "state": state, "released": released}
    return {"run_id": plan_id, "plan_id": plan_id, **told}


def outcome(patch: Row, status: str) -> Row:
    """A row of `lead_outcomes`."""
    known = {name: patch[name] for name in ("patch_id", "plan_id", "lead_id")}
    return {**known, "outcome_id": patch["patch_id"], "run_id": RUN, "status": status}


def desire(site: Site, *statements: str, columns: str = "lead_id VARCHAR, title VARCHAR") -> None:
    """Make the desired table with some rows."""
    made = ("CREATE SCHEMA crm", f"CREATE TABLE crm.lead_changes ({columns})")
    site.execute(*made, *(f"INSERT INTO crm.lead_changes VALUES {one}" for one in statements))
