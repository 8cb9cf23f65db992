"""The questions that a run asks of a real DuckDB file, loaded by a real dlt pipeline."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector.errors import WarehouseError
from connector.warehouse import history
from connector.warehouse.destination import drop_packages, make_pipeline, sweep
from connector.warehouse.load import batches, into, load_pending
from connector.warehouse.migration import fill_in_old
from connector.warehouse.schema import LEAD_FIELDS, SYNC_RUNS, TABLES, FieldRow, lead_row
from connector.warehouse.store import FETCH, Warehouse
from tests.support.account import SCORE
from tests.support.warehouse import (
    NOW,
    RUN,
    Row,
    Site,
    a_run,
    lead_id,
    outcome,
    patch_row,
)


def test_before_the_first_run_there_are_no_tables(empty_site: Site) -> None:
    with empty_site.opened() as warehouse:
        assert not warehouse.are_tables_complete()
        assert history.runs(warehouse) == []


def test_empty_tables_have_every_column_and_no_row(site: Site) -> None:
    with site.opened() as warehouse:
        assert warehouse.are_tables_complete()
        assert list(history.unfinished(warehouse, None)) == []
        assert history.count_unfinished(warehouse, None) == 0
    with site.pipeline.sql_client() as client:
        for name, table in TABLES.items():
            with client.execute_query(f"SELECT * FROM pipedrive_leads.{name}") as cursor:
                found = {column[0] for column in cursor.description or ()}
                assert found == {*table.columns, "_dlt_load_id", "_dlt_id"}
                assert cursor.fetchall() == []


def test_unfinished_patches_come_in_order_beyond_one_page(site: Site) -> None:
    total = 2 * FETCH + 7
    rows = [patch_row(number, {"title": str(number)}) for number in range(total)]
    site.load("sync_runs", [a_run()])
    site.load("lead_patches", rows[::-1])
    with site.opened() as warehouse:
        found = [patch.patch_id for patch in history.unfinished(warehouse, None)]
        assert history.count_unfinished(warehouse, None) == 1
    assert found == sorted(found) == [row["patch_id"] for row in rows]


def test_a_package_keeps_its_types_when_a_kill_left_the_stored_schema_behind(site: Site) -> None:
    """dlt commits a package first, then the schema that it normalizes every package with."""
    site.load("sync_runs", [a_run()])
    folder = Path(site.pipeline.working_dir)
    [stored] = (folder / "schemas").glob("*.schema.json")
    before = stored.read_bytes()
    body = {"title": "T", "value": None}
    site.pipeline.extract(batches(into("lead_patches", [patch_row(1, body)])))
    stored.write_bytes(before)
    sweep(folder)
    load_pending(make_pipeline(site.settings))
    site.pipeline.activate()
    with site.pipeline.sql_client() as client:
        [[found]] = client.execute_sql("SELECT body FROM pipedrive_leads.lead_patches") or []
    assert json.loads(found) == body


@pytest.mark.parametrize("remove", [sweep, drop_packages])
def test_a_file_that_a_killed_dlt_had_not_renamed_yet_is_no_obstacle(
    tmp_path: Path, remove: Callable[[Path], None]
) -> None:
    (tmp_path / "normalize" / "5fd05714b1223e95" / "begun").mkdir(parents=True)
    places = ["normalize/extracted", "load/new", "load/normalized", "load/loaded"]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "5fd05714b1223e95").touch()
    remove(tmp_path)
    removed = {place for place in places if not [*(tmp_path / place).iterdir()]}
    assert removed == {*(places if remove is sweep else places[:3])}
    begun = (tmp_path / "normalize" / "5fd05714b1223e95").exists()
    assert begun == (remove is drop_packages)


@pytest.mark.parametrize("state", ["running", "done", "stopped", "failed"])
@pytest.mark.parametrize("command", ["plan", "run", "apply"])
def test_only_what_a_run_released_is_unfinished(site: Site, state: str, command: str) -> None:
    site.load("sync_runs", [a_run("yes", state, command), a_run("no", state, command, False)])
    site.load("lead_patches", [patch_row(1, {}, plan_id=plan) for plan in ("yes", "no")])
    with site.opened() as warehouse:
        found = [patch.plan_id for patch in history.unfinished(warehouse, None)]
    assert found == ["yes"] * (state in ("running", "failed"))


TRIPPED = [{"guard": "max_clears"}]
OLD_RUNS: list[tuple[Row, bool]] = [
    ({"command": "run", "state": "running"}, True),
    ({"command": "run", "state": "failed"}, True),
    ({"command": "run", "state": "done"}, True),
    ({"command": "run", "state": "done", "tripped": []}, True),
    ({"command": "run", "state": "stopped"}, True),
    ({"command": "run", "state": "stopped", "tripped": TRIPPED}, False),
    ({"command": "apply", "state": "failed"}, True),
    ({"command": "apply", "state": "stopped", "tripped": TRIPPED}, False),
    ({"command": "revert", "state": "failed"}, True),
    ({"command": "plan", "state": "failed"}, False),
    ({"command": "plan", "state": "done", "tripped": TRIPPED}, False),
    ({"command": "plan", "state": "running"}, False),
]


def test_runs_of_the_first_version_keep_what_they_released(site: Site) -> None:
    """Their table had no such column; once it is there, it says what was inferred before."""
    rows = [
        {**a_run(f"run{number}", released=None), **told}
        for number, (told, _) in enumerate(OLD_RUNS)
    ]
    site.load("sync_runs", [{"tripped": None, **row} for row in rows])
    site.execute("ALTER TABLE pipedrive_leads.sync_runs DROP COLUMN released")
    with site.opened() as warehouse:
        assert not warehouse.are_tables_complete()
        warehouse.create_tables()
        assert warehouse.are_tables_complete()
        for _ in range(2):
            fill_in_old(warehouse)
        found = {row["run_id"]: row["released"] for row in history.runs(warehouse)}
    assert found == {f"run{number}": told for number, (_, told) in enumerate(OLD_RUNS)}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("runs", [0, 1])
def test_a_table_that_was_dropped_is_made_anew_unless_it_says_what_was_sent(
    site: Site, table: str, runs: int
) -> None:
    site.load("sync_runs", [a_run()] * runs)
    site.execute(f"DROP TABLE pipedrive_leads.{table}")
    with site.opened() as warehouse:
        assert not warehouse.are_tables_complete()
        warehouse.create_tables()
        is_kept = runs and table in ("lead_patches", "lead_outcomes")
        assert warehouse.are_tables_complete() == (not is_kept)
        assert bool(warehouse.column_names(table)) == (not is_kept)
        rows = list(warehouse.query("SELECT run_id FROM pipedrive_leads.sync_runs"))
    assert len(rows) == (0 if table == "sync_runs" else runs)


def test_a_patch_with_an_outcome_is_finished(site: Site) -> None:
    rows = [{**patch_row(n, {"title": str(n)}), "lead_id": lead_id(n)} for n in range(3)]
    site.load("sync_runs", [a_run()])
    site.load("lead_patches", rows)
    site.load("lead_outcomes", [outcome(rows[1], "failed")])
    with site.opened() as warehouse:
        assert [one.lead_id for one in history.unfinished(warehouse, None)] == [
            lead_id(0),
            lead_id(2),
        ]
        assert [one.lead_id for one in history.unfinished(warehouse, lead_id(2))] == [lead_id(2)]
        assert history.count_unfinished(warehouse, None) == 2


def record_of(warehouse: Warehouse, number: int) -> Any:
    found = history.mirrored(warehouse, lead_id(number))
    return found and found[0]


AMOUNTS = [0, 0.1, -5, 50.5, 1e-300, 1e28, 2**63, 0.1234567890123456, 12345678901234.5]


def test_the_mirror_takes_any_amount(site: Site) -> None:
    leads = [
        {"id": lead_id(place), "value": {"amount": amount, "currency": "EUR"}}
        for place, amount in enumerate(AMOUNTS)
    ]
    site.load("leads", [lead_row(lead, NOW, RUN) for lead in leads])
    with site.opened() as warehouse:
        assert [record_of(warehouse, place) for place in range(len(leads))] == leads


def test_the_mirror_takes_any_title(site: Site) -> None:
    signs = [chr(code) for code in (7, 0x2028, 0xE000, *range(0xF020, 0xF040), 0xF8FF, 0x1F642)]
    leads = [
        {"id": lead_id(place), "title": f"{sign}2026-12-31", SCORE: sign}
        for place, sign in enumerate(signs)
    ]
    site.load("leads", [lead_row(lead, NOW, RUN) for lead in leads])
    with site.opened() as warehouse:
        assert [record_of(warehouse, place) for place in range(len(leads))] == leads


def test_reading_a_lead_anew_replaces_its_row(site: Site) -> None:
    for title in ("old", "new"):
        site.load("leads", [lead_row({"id": lead_id(1), "title": title}, NOW, RUN)])
    with site.opened() as warehouse:
        assert record_of(warehouse, 1) == {"id": lead_id(1), "title": "new"}


def names_of(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [row["run_id"] for row in rows]


def test_runs_come_newest_first(site: Site) -> None:
    runs = [
        {**a_run(plan_id=f"run{hour}", state="running"), "started_at": NOW.replace(hour=hour)}
        for hour in range(4)
    ]
    site.load("sync_runs", runs)
    site.load("sync_runs", [{**runs[3], "state": "done"}])
    with site.opened() as warehouse:
        assert names_of(history.runs(warehouse)) == ["run3", "run2", "run1", "run0"]
        assert names_of(history.runs(warehouse, limit=2)) == ["run3", "run2"]
        assert names_of(history.runs(warehouse, "run1")) == ["run1"]
        history.take_over(warehouse, RUN, NOW)
        states = {row["run_id"]: row["state"] for row in history.runs(warehouse)}
    assert states == {**dict.fromkeys(("run0", "run1", "run2"), "failed"), "run3": "done"}


def test_streams_are_read_side_by_side_beside_other_queries(site: Site) -> None:
    ids = [lead_id(number) for number in range(2 * FETCH + 7)]
    site.load("leads", [lead_row({"id": one, "title": one}, NOW, RUN) for one in ids])
    sql = "SELECT id, title FROM pipedrive_leads.leads ORDER BY id"
    with site.opened() as warehouse:
        pairs = zip(warehouse.stream(sql), warehouse.stream(f"{sql} DESC"), strict=True)
        for number, (up, down) in enumerate(pairs):
            assert (up["id"], down["id"]) == (ids[number], ids[-1 - number])
            if number % FETCH == 0:
                assert history.count_active(warehouse) == len(ids)
                warehouse.put(SYNC_RUNS, {**dict.fromkeys(SYNC_RUNS.columns), "run_id": "r"})
        assert names_of(history.runs(warehouse)) == ["r"]


def test_a_stream_that_is_left_open_locks_nobody_out(site: Site, tmp_path: Path) -> None:
    site.load("leads", [lead_row({"id": lead_id(n)}, NOW, RUN) for n in range(2 * FETCH)])
    with site.opened() as warehouse:
        kept = warehouse.stream("SELECT id FROM pipedrive_leads.leads ORDER BY id")
        next(kept)
    other = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('CREATE TABLE t (a INTEGER)')"
    file = tmp_path / "site" / "warehouse.duckdb"
    subprocess.run([sys.executable, "-c", other, str(file)], check=True, timeout=60)
    kept.close()


def test_a_row_is_put_over_the_one_with_its_key(site: Site) -> None:
    nothing: Row = dict.fromkeys(SYNC_RUNS.columns)
    begun = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    odd = 'it\'s 100 % "odd" ? %s \\ \n 🙂'
    with site.opened() as warehouse:
        for number in range(3):
            row = {**nothing, "run_id": "r", "tokens": number, "message": odd, "started_at": begun}
            warehouse.put(SYNC_RUNS, {**row, "released": number == 1})
        warehouse.put(SYNC_RUNS, {**nothing, "run_id": "other"})
        found = {row["run_id"]: row for row in history.runs(warehouse)}
    assert found.keys() == {"r", "other"}
    row = found["r"]
    assert (row["tokens"], row["message"], row["started_at"]) == (2, odd, begun)
    assert (row["released"], row["finished_at"], found["other"]["message"]) == (False, None, None)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_any_number_of_rows_is_inserted(site: Site, count: int) -> None:
    rows = [vars(FieldRow(f"k{number}", "n", "t")) for number in range(count)]
    with site.opened() as warehouse:
        warehouse.insert(LEAD_FIELDS, rows)
        found = list(warehouse.query("SELECT key, name, type FROM pipedrive_leads.lead_fields"))
        [ids] = warehouse.query(
            "SELECT count(DISTINCT _dlt_id) AS n FROM pipedrive_leads.lead_fields"
        )
    assert sorted(row["key"] for row in found) == sorted(row["key"] for row in rows)
    assert ids["n"] == count


def test_dlt_loads_over_rows_that_came_by_plain_sql(site: Site) -> None:
    nothing: Row = dict.fromkeys(SYNC_RUNS.columns)
    with site.opened() as warehouse:
        warehouse.put(SYNC_RUNS, {**nothing, "run_id": "r", "state": "running"})
        site.load("sync_runs", [{**nothing, "run_id": "r", "state": "stopped", "tripped": TRIPPED}])
        [row] = history.runs(warehouse)
        assert (row["state"], row["tripped"]) == ("stopped", TRIPPED)
        warehouse.put(SYNC_RUNS, {**nothing, "run_id": "r", "state": "done"})
        [row] = history.runs(warehouse)
    assert (row["state"], row["tripped"]) == ("done", None)


def test_a_file_that_is_no_database(empty_site: Site, tmp_path: Path) -> None:
    (tmp_path / "site" / "warehouse.duckdb").write_text("no database")
    with pytest.raises(WarehouseError, match="cannot be opened"), empty_site.opened():
        pass
