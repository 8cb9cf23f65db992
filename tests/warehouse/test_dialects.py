"""The statements that we write ourselves, in the dialects of warehouses that no test runs on.

`LEAD_SYNC_SNAPSHOTS=write` writes the files beside this one anew; read the diff.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import dlt
import pytest
import sqlglot
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from connector.errors import WarehouseError
from connector.warehouse import (
    bases,
    history,
    journal,
    lease,
    listing,
    migration,
    noted,
    retention,
    torn,
    trial,
)
from connector.warehouse.record import RunRecord
from connector.warehouse.schema import SYNC_LEASE, SYNC_RUNS
from connector.warehouse.store import Warehouse

FOLDER = Path(__file__).parent / "dialects"
DIALECTS = ("snowflake", "bigquery", "databricks", "redshift", "motherduck")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Recorder(SqlClientBase[Any]):
    """Takes down statements, and answers as an empty warehouse does."""

    dbapi: ClassVar[Any] = None
    credentials = "nowhere"

    def __init__(self, capabilities: DestinationCapabilitiesContext) -> None:
        super().__init__("db", "pipedrive_leads", "pipedrive_leads_staging", capabilities)
        self.said: dict[str, None] = {}

    def open_connection(self) -> None: ...

    def close_connection(self) -> None: ...

    @property
    def native_connection(self) -> Any:
        return None

    def begin_transaction(self) -> Any:
        return nullcontext()

    def has_dataset(self) -> bool:
        return True

    def execute_sql(self, sql: Any, *args: Any, **_: Any) -> Any:
        self.said[re.sub("lead_sync_trial_[0-9a-z]+", "lead_sync_trial", str(sql), flags=re.I)] = (
            None
        )
        return [[NOW]] if "CURRENT_TIMESTAMP" in sql else []

    @contextmanager
    def execute_query(self, query: Any, *args: Any, **_: Any) -> Iterator[Any]:
        self.execute_sql(query, *args)
        rows = (
            [[(0,)]] if re.search(r"(count|max)\(\S+\) AS n FROM \S+( u)?( WHERE|$)", query) else []
        )
        rows = rows or ([[(0,)]] if query.startswith("SELECT count(") else [])
        yield SimpleNamespace(
            description=[("n", "x")],
            fetchall=lambda: [],
            fetchmany=lambda _size: rows.pop() if rows else [],
        )

    @staticmethod
    def is_dbapi_exception(ex: Exception) -> bool:
        return not ex

    @staticmethod
    def _make_database_exception(ex: Exception) -> Exception:
        return ex


def statements(destination: str) -> list[str]:
    """Return what a run says to a warehouse, each statement once."""
    capabilities = getattr(dlt.destinations, destination)()._raw_capabilities()
    client = Recorder(capabilities)
    pipeline: Any = SimpleNamespace(
        destination_client=lambda: SimpleNamespace(capabilities=capabilities),
        default_schema_name="pipedrive_leads",
    )
    warehouse = Warehouse(pipeline, client, "crm.lead_changes")
    with suppress(WarehouseError):  # nobody gets the turn
        lease.take(warehouse, "run", 60)
    lease.end(client, "run")
    lease.refuse_held(client)
    row = RunRecord("run", "plan", "run", started_at=NOW).as_row()
    warehouse.put(SYNC_RUNS, row)
    warehouse.update(SYNC_RUNS, "run", row)
    say_history(warehouse)
    retention.forgettable(warehouse, NOW)
    retention.forget(warehouse, ["run"], NOW)
    retention.trim_loads(warehouse, NOW)
    migration.fill_in_old(warehouse)
    migration.drop_view(warehouse)
    list(migration.past_changes(warehouse))
    bases.has_bases(warehouse)
    list(bases.all_bases(warehouse))
    bases.bases_of(warehouse, ["lead"])
    list(bases.past_bases(warehouse))
    bases.bases_of_later(warehouse, "run")
    torn.torn_loads(warehouse, NOW)
    list(torn.loaded_outcomes(warehouse, "1"))
    torn.rewritten_rows(warehouse, [{"patch_id": "patch"}])
    torn.note_loaded(warehouse, "1")
    trial.try_writing(warehouse)
    return [lease._creation(warehouse), *client.said]


def say_history(warehouse: Warehouse) -> None:
    list(history.planned(warehouse, "plan"))
    history.runs(warehouse, "run")
    history.runs_of_plan(warehouse, "plan")
    history.owners(warehouse)
    history.note_options_as_text(warehouse, as_text=True)
    history.take_over(warehouse, "run", NOW)
    history.note_taken_over(warehouse, "run")
    history.next_turn(warehouse)
    history.taken_over_by(warehouse, "run")
    history.last_desired_rows(warehouse, "crm.lead_changes", "plan")
    history.last_refresh(warehouse, "run")
    list(history.mirror(warehouse, history.EVERYTHING))
    listing.least_listed(warehouse)
    listing.doubt_unlisted(warehouse, ["lead", "other"])
    listing.maybe_archived(warehouse, ["lead", "other"])
    journal.misses(warehouse, "run")
    journal.left_out(warehouse, "plan")
    history.mirrored(warehouse, "lead")
    list(history.unfinished(warehouse, "lead", "plan"))
    history.count_unfinished(warehouse, None)
    history.unfinished_plans(warehouse, None, None)
    list(history.taken(warehouse, "run", None))
    history.taken_keys(warehouse, "run")
    history.pending_lead_ids(warehouse)
    history.open_lead_ids(warehouse, "plan")
    history.sender(warehouse, "run")
    noted.field_names(warehouse)


@pytest.mark.parametrize("destination", DIALECTS)
def test_each_statement_is_the_dialects_own(destination: str) -> None:
    said = statements(destination)
    dialect = "duckdb" if destination == "motherduck" else destination
    for sql in said:
        [tree] = sqlglot.parse(sql.replace("%s", "?"), dialect=dialect)
        assert tree is not None, sql
        assert "VARCHAR" not in sql or sql.startswith("CREATE TABLE"), f"BigQuery has none: {sql}"
        assert not isinstance(tree, exp.Command), f"only taken for words: {sql}"
        if isinstance(tree, exp.Update | exp.Delete):
            assert tree.args.get("where"), f"BigQuery wants a WHERE: {sql}"
    assert f"CREATE TABLE {named(destination, SYNC_LEASE.name)} (" in said[0]
    told = "".join(f"{sql};\n" for sql in said)
    file = FOLDER / f"{destination}.sql"
    if os.environ.get("LEAD_SYNC_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(told)
    assert told == file.read_text()


def named(destination: str, table: str) -> str:
    capabilities = getattr(dlt.destinations, destination)()._raw_capabilities()
    return Recorder(capabilities).make_qualified_table_name(table)
