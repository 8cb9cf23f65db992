"""Where a run writes: in a dataset that is its own, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest

from connector.errors import ConfigError, LeadSyncError, WarehouseError
from connector.warehouse import schema
from connector.warehouse.dataset import KNOWN_BY, KNOWN_OF_DLT
from connector.warehouse.schema import SYNC_LEASE, TABLES
from tests.support.cases import check_each
from tests.support.harness import Row, Site

DATASET = "pipedrive_leads"
ALIKE: dict[str, list[Row]] = {
    "leads": [{"id": "a", "title": "Theirs"}],
    "lead_patches": [{"patch_id": "a", "title": "Theirs"}],
    "plan_left_out": [{"left_out_id": "a", "title": "Theirs"}],
    "lead_outcomes": [{"outcome_id": "a", "title": "Theirs"}],
    "lead_field_changes": [{"change_id": "a", "title": "Theirs"}],
    "lead_fields": [{"key": "a", "name": "b", "type": "c"}],
    "lead_bases": [{"lead_id": "a", "base": "Theirs"}],
    "sync_runs": [{"run_id": "a", "title": "Theirs"}],
    "sync_account": [{"company_id": 1, "title": "Theirs"}],
    "sync_lease": [{"lease": "a", "title": "Theirs"}],
}
"""Rows of somebody else's table of the same name."""


def load_theirs(site: Site, table: str, rows: list[Row], dataset: str = DATASET) -> None:
    """Let another dlt pipeline keep a table in a dataset."""
    pipeline = dlt.pipeline(
        pipeline_name="theirs",
        pipelines_dir=str(site.folder / "theirs"),
        destination=dlt.destinations.duckdb(str(site.database)),
        dataset_name=dataset,
    )
    pipeline.run(rows, table_name=table)
    pipeline.deactivate()


def everything(site: Site) -> dict[str, Any]:
    """Return all that is in the warehouse, table by table, with its columns."""
    named = site.query(
        "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
    )
    names = [f'"{row["table_schema"]}"."{row["table_name"]}"' for row in named]
    schemas = site.query("SELECT schema_name FROM information_schema.schemata ORDER BY ALL")
    return {
        "schemas": schemas,
        **{name: (site.query(f"DESCRIBE {name}"), site.query(f"FROM {name}")) for name in names},
    }


def wish(site: Site) -> str:
    """Make a desired table of one lead."""
    lead = next(key for key, row in site.pipedrive.leads().items() if not row["is_archived"])
    site.desire_titles({lead: "New"})
    site.pipedrive.clear_requests()
    return lead


@contextmanager
def untouched(site: Site) -> Iterator[None]:
    """See to it that the warehouse stays as it is and no lead is read or written."""
    before = everything(site)
    site.pipedrive.clear_requests()
    yield
    assert everything(site) == before
    asked = {row["path"] for row in site.pipedrive.requests()}
    assert asked <= {"/api/v1/users/me"}


def refused(site: Site, *parts: str, **settings: Any) -> None:
    """Run, plan and check are refused with these words, and change nothing."""
    with untouched(site):
        for job in (site.run, site.plan):
            with pytest.raises(LeadSyncError) as caught:
                job(**settings)
            assert all(part in str(caught.value) for part in parts), str(caught.value)
            assert len(str(caught.value).splitlines()) == 1
        for command in ("check", "plan"):
            ended = site.command(command, **settings)
            assert ended.code == 1
            assert all(part in ended.told for part in parts), ended.told


@pytest.mark.parametrize("table", KNOWN_BY)
def test_a_table_of_another_pipeline_stays_as_it_is(site: Site, table: str) -> None:
    wish(site)
    load_theirs(site, table, ALIKE[table])
    refused(site, f"{DATASET}.{table}", "theirs", "dataset_name")


@pytest.mark.parametrize("dataset", [DATASET, f"{DATASET}_staging"])
def test_a_table_that_nobody_recorded_stays_as_it_is(site: Site, dataset: str) -> None:
    wish(site)
    columns = ", ".join(f'"{name}" VARCHAR' for name in schema.LEADS.columns)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"CREATE SCHEMA {dataset}")
        connection.execute(f"CREATE TABLE {dataset}.leads ({columns})")
        connection.execute(f"INSERT INTO {dataset}.leads (id) VALUES ('mine')")
    refused(site, f"{dataset}.leads", "not a table that lead-sync made", "dataset_name")


@pytest.mark.parametrize("dataset", [DATASET, f"{DATASET}_staging"])
@pytest.mark.parametrize("table", KNOWN_OF_DLT)
def test_a_table_that_dlt_did_not_make_stays_as_it_is(site: Site, table: str, dataset: str) -> None:
    wish(site)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"CREATE SCHEMA {dataset}")
        connection.execute(f"CREATE TABLE {dataset}.{table} (x INTEGER)")
    refused(site, f"{dataset}.{table}", f"it lacks {min(KNOWN_OF_DLT[table])}", "dataset_name")


def test_a_lease_that_we_did_not_make_stays_as_it_is(site: Site) -> None:
    wish(site)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"CREATE SCHEMA {DATASET}")
        connection.execute(
            f"CREATE TABLE {DATASET}.sync_lease AS SELECT 'run' AS lease, 1 AS holder"
        )
    refused(site, f"{DATASET}.sync_lease", "not a table that lead-sync made", "dataset_name")


def test_a_dataset_with_nothing_but_our_lease_is_ours(site: Site) -> None:
    """As a first run leaves it that was killed before it had made the other tables."""
    wish(site)
    assert site.plan().planned == 1
    with duckdb.connect(str(site.database)) as connection:
        for table in site.query(
            "SELECT table_name AS name FROM information_schema.tables "
            "WHERE table_schema = 'pipedrive_leads' AND table_name <> 'sync_lease' "
        ):
            connection.execute(f'DROP TABLE {DATASET}."{table["name"]}"')
    assert site.run().statuses["applied"] == 1


def test_the_dataset_through_which_dlt_merges_is_looked_at_as_well(site: Site) -> None:
    wish(site)
    load_theirs(site, "leads", ALIKE["leads"], f"{DATASET}_staging")
    refused(site, f"{DATASET}_staging.leads", "theirs")


def test_a_pipeline_that_came_later_is_seen(site: Site) -> None:
    wish(site)
    assert site.plan().planned == 1
    load_theirs(site, "sync_runs", ALIKE["sync_runs"])
    refused(site, f"{DATASET}.sync_runs", "theirs")


def test_tables_of_other_names_do_not_matter(site: Site) -> None:
    wish(site)
    load_theirs(site, "deals", ALIKE["leads"])
    assert site.run().statuses["applied"] == 1
    assert site.query(f"SELECT id, title FROM {DATASET}.deals") == ALIKE["leads"]


@pytest.mark.parametrize("kind", ["VIEW", "TABLE"])
def test_the_name_of_the_earlier_view_may_be_taken(site: Site, kind: str) -> None:
    wish(site)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"CREATE SCHEMA {DATASET}")
        connection.execute(f"CREATE {kind} {DATASET}.lead_field_changes AS SELECT 1 AS mine")
    refused(site, f"{DATASET}.lead_field_changes", "dataset_name")


def test_a_view_in_the_place_of_a_table_of_ours_is_refused(site: Site) -> None:
    wish(site)
    assert site.plan().planned == 1
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"ALTER TABLE {DATASET}.leads RENAME TO leads_kept")
        connection.execute(f"CREATE VIEW {DATASET}.leads AS FROM {DATASET}.leads_kept")
    refused(site, f"{DATASET}.leads is a view", "dataset_name")


WRITTEN = [
    f"{DATASET}.leads",
    f"{DATASET.upper()}.Lead_Outcomes",
    f"warehouse.{DATASET}.leads",
    f"{DATASET}.lead_field_changes",
    f"{DATASET}_staging.leads",
    f"{DATASET}._dlt_loads",
    "leads",
    "warehouse.sync_runs",
]


def test_a_table_that_a_run_writes_cannot_be_the_desired_one(site: Site) -> None:
    wish(site)
    assert site.plan().planned == 1
    check_each(WRITTEN, lambda name: refused(site, "desired_table", name, desired_table=name))


def test_a_table_of_the_same_name_elsewhere_can_be_the_desired_one(site: Site) -> None:
    lead = wish(site)
    rows = [{"lead_id": lead, "title": "New"}]
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR"}, rows, table="crm.leads")
    assert site.plan(desired_table="crm.leads").planned == 1
    assert site.plan(desired_table="warehouse.crm.leads").planned == 1


def test_a_dataset_name_that_dlt_would_rewrite_is_refused(site: Site) -> None:
    wish(site)

    def check(name: str) -> None:
        refused(site, f"dataset_name '{name}' would be written as", dataset_name=name)

    check_each(["Pipedrive_Leads", "pipedrive-leads", "2leads", "a b"], check)


def test_a_dataset_name_that_the_warehouse_keeps_for_itself_is_refused(site: Site) -> None:
    wish(site)

    def check(name: str) -> None:
        refused(site, f"dataset_name '{name}' is the warehouse's own", dataset_name=name)

    check_each(["information_schema", "pg_catalog", "pg_temp", "system", "temp"], check)


@pytest.mark.parametrize("spelled", ["Pipedrive_Leads", "PIPEDRIVE_LEADS_STAGING"])
def test_a_dataset_in_another_case_is_refused(site: Site, spelled: str) -> None:
    wish(site)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f'CREATE SCHEMA "{spelled}"')
    refused(site, spelled, "dataset_name")


def at(folder: Path, name: str) -> Mapping[str, str]:
    return {"DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{folder / name}"}


@dataclass(frozen=True)
class NamedSite(Site):
    """A site whose DuckDB file has a name of the test's own."""

    stem: str = field(default="warehouse")

    @property
    def database(self) -> Path:
        return self.folder / f"{self.stem}.duckdb"


@pytest.mark.parametrize("has_schema", [True, False])
@pytest.mark.parametrize("stem", [DATASET, DATASET.upper(), f"{DATASET}_staging", f"{DATASET}.v2"])
def test_a_file_with_the_name_of_the_dataset_is_refused(
    site: Site, stem: str, has_schema: bool
) -> None:
    named = NamedSite(site.folder, site.pipedrive, stem)
    wish(named)
    if has_schema:
        with duckdb.connect(str(named.database)) as connection:
            connection.execute(f"CREATE SCHEMA {DATASET}")
    refused(named, f"{stem}.duckdb", "rename the file")


OLD = {
    "leads": {"read_by"},
    "lead_patches": {"digest"},
    "lead_outcomes": {"waited_seconds", "settled_by", "took"},
    "sync_runs": {
        *("desired_table", "reverts", "tripped", "overridden", "released", "lead"),
        *("narrowed_by", "sends_from", "sends_plans", "sends_until", "sends_at"),
        *("taken_over_by", "turn"),
    },
}
"""What the tables of the first version lacked."""


def test_each_table_has_its_own_columns_alone(any_site: Site) -> None:
    """Though several are loaded at once: dlt would give each those of the tables before it."""
    wish(any_site)
    assert any_site.run(on_conflict="crm").statuses["applied"] == 1
    for name, table in TABLES.items():
        [row, *_] = any_site.query(f"SELECT * FROM {DATASET}.{name}") or [{}]
        assert not row or {*row} == {*table.columns, "_dlt_load_id", "_dlt_id"}, name


def load_as_the_first_version_did(site: Site) -> None:
    pipeline = dlt.pipeline(
        pipeline_name=DATASET,
        pipelines_dir=str(site.folder / "old"),
        destination=dlt.destinations.duckdb(str(site.database)),
        dataset_name=DATASET,
    )
    made = []
    for name, lacking in OLD.items():
        hints = TABLES[name].hints
        hints["columns"] = {
            column: kind for column, kind in hints["columns"].items() if column not in lacking
        }
        hints["write_disposition"] = "merge"
        marker = [dlt.mark.materialize_table_schema()]
        made.append(dlt.resource(marker, name=name, max_table_nesting=0, **hints))
    pipeline.run(made)
    pipeline.deactivate()


def test_the_tables_of_an_older_version_are_taken_over(site: Site) -> None:
    wish(site)
    load_as_the_first_version_did(site)
    assert site.run().statuses["applied"] == 1
    for name, lacking in OLD.items():
        found = {row["column_name"] for row in site.query(f"DESCRIBE {DATASET}.{name}")}
        assert found >= lacking
    assert site.run().unchanged == 1


def test_a_plan_of_an_older_version_is_refused_by_a_line(site: Site) -> None:
    wish(site)
    load_as_the_first_version_did(site)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(
            f"INSERT INTO {DATASET}.lead_patches (patch_id, plan_id, lead_id, body, before, "
            "_dlt_load_id, _dlt_id) VALUES ('p-1', 'p', 'x', '{}', '{}', '1', 'a')"
        )
    ended = site.command("apply", "p")
    assert (ended.code, len(ended.stderr.splitlines())) == (1, 1), ended.told


def test_a_column_that_somebody_dropped_comes_back(site: Site) -> None:
    wish(site)
    assert site.plan().planned == 1
    with duckdb.connect(str(site.database)) as connection:
        for name, lacking in OLD.items():
            for column in lacking:
                connection.execute(f"ALTER TABLE {DATASET}.{name} DROP COLUMN {column}")
    assert site.run().statuses["applied"] == 1
    assert site.run().unchanged == 1


def test_a_dataset_of_ours_may_be_written_under_another_pipeline_name(site: Site) -> None:
    wish(site)
    assert site.run().statuses["applied"] == 1
    assert site.run(pipeline_name="moved").unchanged == 1
    assert site.run().unchanged == 1


def test_every_table_is_known_by_columns_that_it_has() -> None:
    tables = {**TABLES, SYNC_LEASE.name: SYNC_LEASE}
    assert KNOWN_BY.keys() == tables.keys()
    for name, columns in KNOWN_BY.items():
        assert columns <= tables[name].columns.keys() - OLD.get(name, set())


PLACES = {
    "another dataset": {"dataset_name": "other_leads"},
    "another file": {"credentials": "other.duckdb"},
}


def leave_a_package(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the outcomes of a run in dlt's folder, as a kill or a full disk would."""
    wish(site)
    assert site.plan().planned == 1

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("connector.warehouse.destination.TypedCopyJob.run", fail)
        with pytest.raises(WarehouseError):
            site.run()
    assert list((site.data_dir / "pipelines" / DATASET / "load" / "normalized").iterdir())


@pytest.mark.parametrize("name", PLACES)
def test_a_package_is_loaded_only_where_it_belongs(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    leave_a_package(site, monkeypatch)
    settings = dict(PLACES[name])
    elsewhere = site
    if other := settings.pop("credentials", None):
        elsewhere = NamedSite(site.folder, site.pipedrive, Path(other).stem)
        wish(elsewhere)
    with untouched(site), pytest.raises(WarehouseError) as caught:
        elsewhere.run(**settings)
    told = str(caught.value)
    assert f"dataset {DATASET} at {site.database}" in told
    assert f"dataset {settings.get('dataset_name', DATASET)} at {elsewhere.database}" in told
    assert "pipeline_name" in told
    assert elsewhere.run(pipeline_name="its_own", **settings).statuses["applied"] == 1
    assert site.run().exit_code == 0
    states = [row["state"] for row in site.runs()]
    assert "running" not in states


def test_a_folder_without_packages_may_serve_another_dataset(site: Site) -> None:
    wish(site)
    assert site.run().statuses["applied"] == 1
    assert site.run(dataset_name="other_leads").unchanged == 1
    assert site.run().unchanged == 1


def test_an_unnamed_schema_is_told_before_the_file_is_opened(site: Site) -> None:
    with pytest.raises(ConfigError, match="dataset_name"):
        site.run(dataset_name="A B")
    assert not site.database.exists()
