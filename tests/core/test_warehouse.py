"""The questions that a run asks of a real DuckDB file, loaded by a real dlt pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import DesiredTableError, WarehouseError
from connector.warehouse import history, schema
from connector.warehouse.schema import gone_row, lead_row
from connector.warehouse.store import FETCH, WRITTEN, MirrorFilter, Warehouse
from tests.core.account import SCORE
from tests.core.conftest import Row, Site
from tests.core.test_bodies import PLAN, patch_row

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN, EARLIER = "20260102-000000-bbbbbb", "20260101-120000-cccccc"
READ = MirrorFilter(RUN)
COLUMNS_WRITTEN = {
    "leads": schema.LEADS,
    "lead_patches": schema.LEAD_PATCHES,
    "lead_outcomes": schema.LEAD_OUTCOMES,
    "sync_runs": schema.SYNC_RUNS,
}


def lead_id(number: int) -> str:
    return f"{number:08x}-0e10-11eb-879b-05d71fb426ec"


def a_run(plan_id: str = PLAN, state: str = "failed", command: str = "run") -> Row:
    return {"run_id": plan_id, "plan_id": plan_id, "command": command, "state": state}


def outcome(patch: Row, status: str) -> Row:
    known = {name: patch[name] for name in ("patch_id", "plan_id", "lead_id")}
    return {**known, "outcome_id": patch["patch_id"], "run_id": RUN, "status": status}


def desire(site: Site, *statements: str, columns: str = "lead_id VARCHAR, title VARCHAR") -> None:
    made = ("CREATE SCHEMA crm", f"CREATE TABLE crm.lead_changes ({columns})")
    site.execute(*made, *(f"INSERT INTO crm.lead_changes VALUES {one}" for one in statements))


def test_before_the_first_run_there_are_no_tables(empty_site: Site) -> None:
    with empty_site.opened() as warehouse:
        assert warehouse.missing_tables() == list(WRITTEN)
        assert history.runs(warehouse) == history.interrupted_runs(warehouse) == []


def test_empty_tables_have_every_column_and_no_row(site: Site) -> None:
    with site.opened() as warehouse:
        assert warehouse.missing_tables() == []
        assert list(history.unfinished(warehouse, None)) == []
        assert history.count_unfinished(warehouse, None) == 0
    with site.pipeline.sql_client() as client:
        for name, columns in COLUMNS_WRITTEN.items():
            with client.execute_query(f"SELECT * FROM pipedrive_leads.{name}") as cursor:
                found = {column[0] for column in cursor.description or ()}
                assert found >= columns.keys()
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


RELEASED = {
    ("running", "run"): True,
    ("failed", "run"): True,
    ("failed", "apply"): True,
    ("done", "run"): False,
    ("stopped", "run"): False,
    ("failed", "plan"): False,
    ("running", "plan"): False,
}


def test_only_what_a_run_released_is_unfinished(site: Site) -> None:
    runs = [a_run(f"{state}-{command}", state, command) for state, command in RELEASED]
    site.load("sync_runs", runs)
    site.load("lead_patches", [patch_row(1, {}, plan_id=run["plan_id"]) for run in runs])
    with site.opened() as warehouse:
        found = {patch.plan_id for patch in history.unfinished(warehouse, None)}
    assert found == {"-".join(key) for key, released in RELEASED.items() if released}


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


def test_every_row_without_a_lead_id_is_compared_alone(site: Site) -> None:
    desire(site, "(NULL, 'a'), (NULL, 'b'), (NULL, 'a')")
    with site.opened() as warehouse:
        found = list(warehouse.compared(READ, None))
    assert [one.lead_id for one in found] == [None] * 3
    assert sorted(row["title"] for one in found for row in one.rows) == ["a", "a", "b"]


def test_rows_of_one_lead_are_compared_together_whatever_their_spelling(site: Site) -> None:
    one, two = lead_id(1), lead_id(2)
    desire(site, f"('{one}', 'a'), ('{two}', 'b'), (' {one.upper()} ', 'c'), ('x', 'd')")
    site.load("leads", [lead_row({"id": one, "title": "T"}, NOW, RUN)])
    with site.opened() as warehouse:
        found = {one.lead_id: one for one in warehouse.compared(READ, None)}
    assert found.keys() == {one, two, "x"}
    assert sorted(row["title"] for row in found[one].rows) == ["a", "c"]
    assert found[one].current == {"id": one, "title": "T"}
    assert found[two].current is None


def test_a_lead_is_compared_as_this_run_has_read_it(site: Site) -> None:
    ids = [lead_id(number) for number in range(4)]
    desire(site, *(f"('{one}', 'a')" for one in ids))
    site.load(
        "leads",
        [
            lead_row({"id": ids[0]}, NOW, RUN),
            lead_row({"id": ids[1]}, NOW, EARLIER),
            gone_row({"id": ids[2]}, NOW, RUN),
        ],
    )
    with site.opened() as warehouse:
        found = {one.lead_id: one.current for one in warehouse.compared(READ, None)}
        assert set(warehouse.unknown(READ, None)) == {ids[1], ids[3]}
        assert set(warehouse.unknown(READ, ids[3])) == {ids[3]}
        assert history.mirrored(warehouse, ids[0]) == ({"id": ids[0]}, None)
        assert history.mirrored(warehouse, ids[2]) == ({"id": ids[2]}, NOW)
        assert history.mirrored(warehouse, ids[3]) is None
    assert found == {ids[0]: {"id": ids[0]}, ids[1]: None, ids[2]: None, ids[3]: None}


HOUR = timedelta(hours=1)
LATELY = (NOW - 24 * HOUR, NOW)
AGES = {"at first": NOW - 24 * HOUR, "too long ago": NOW - 25 * HOUR, "to come": NOW + HOUR}


def test_what_was_found_gone_or_archived_lately_is_known(site: Site) -> None:
    ids = {name: lead_id(number) for number, name in enumerate(("gone", "archived", "active"))}
    desire(site, *(f"('{one}', 'a')" for one in ids.values()))
    archived = {"id": ids["archived"], "is_archived": True}
    active = {"id": ids["active"], "is_archived": False}
    site.load(
        "leads",
        [
            gone_row({"id": ids["gone"]}, NOW, EARLIER),
            lead_row(archived, NOW, EARLIER),
            lead_row(active, NOW, EARLIER),
        ],
    )
    with site.opened() as warehouse:
        both, gone = MirrorFilter(RUN, LATELY), MirrorFilter(RUN, LATELY, archived=False)
        assert set(warehouse.unknown(READ, None)) == set(ids.values())
        assert set(warehouse.unknown(both, None)) == {ids["active"]}
        assert set(warehouse.unknown(gone, None)) == {ids["archived"], ids["active"]}
        found = {one.lead_id: one.current for one in warehouse.compared(both, None)}
        assert found == {ids["gone"]: None, ids["archived"]: archived, ids["active"]: None}
        assert all(one.current is None for one in warehouse.compared_anew(gone, None))


def test_only_what_was_found_in_the_period_is_known(site: Site) -> None:
    ids = {age: lead_id(number) for number, age in enumerate(AGES)}
    desire(site, *(f"('{one}', 'a')" for one in ids.values()))
    site.load("leads", [gone_row({"id": ids[age]}, AGES[age], EARLIER) for age in AGES])
    with site.opened() as warehouse:
        unknown = set(warehouse.unknown(MirrorFilter(RUN, LATELY), None))
    assert unknown == {ids["too long ago"], ids["to come"]}


def test_a_lead_with_an_unfinished_patch_is_known_when_this_run_has_read_it(site: Site) -> None:
    ids = [lead_id(number) for number in range(3)]
    desire(site, *(f"('{one}', 'a')" for one in ids))
    site.load("sync_runs", [a_run()])
    patches = [{**patch_row(n, {"title": "a"}), "lead_id": ids[n]} for n in range(2)]
    site.load("lead_patches", patches)
    read_by = (EARLIER, RUN, EARLIER)
    rows = [gone_row({"id": one}, NOW, run) for one, run in zip(ids, read_by, strict=True)]
    site.load("leads", rows)
    with site.opened() as warehouse:
        assert list(warehouse.unknown(MirrorFilter(RUN, LATELY), None)) == [ids[0]]
        assert list(warehouse.unknown(MirrorFilter(RUN, LATELY), ids[0])) == [ids[0]]


def test_leads_that_failed_before_come_last(site: Site) -> None:
    ids = [lead_id(number) for number in range(3)]
    desire(site, *(f"('{one}', 'a')" for one in ids))
    failed = {**patch_row(1, {"title": "T"}), "lead_id": ids[0]}
    site.load(
        "lead_outcomes",
        [outcome(failed, "failed"), {**outcome(failed, "failed"), "outcome_id": "b"}],
    )
    with site.opened() as warehouse:
        assert [one.lead_id for one in warehouse.compared(READ, None)] == [ids[1], ids[2], ids[0]]


def test_only_one_lead(site: Site) -> None:
    desire(site, *(f"('{lead_id(number)}', 'a')" for number in range(3)))
    with site.opened() as warehouse:
        assert [one.lead_id for one in warehouse.compared(READ, lead_id(1))] == [lead_id(1)]
        assert warehouse.count_desired(lead_id(1)) == 1
        assert warehouse.count_desired(None) == 3


def test_what_was_interrupted_comes_with_its_rows_and_its_lead(site: Site) -> None:
    ids = [lead_id(number) for number in range(3)]
    desire(site, f"('{ids[0]}', 'a'), ('{ids[0]}', 'b'), ('{ids[1]}', 'c')")
    patches = [
        {**patch_row(1, {"is_archived": False}), "lead_id": ids[0]},
        {**patch_row(2, {"title": "a"}), "lead_id": ids[0]},
        {**patch_row(3, {"title": "z"}), "lead_id": ids[2]},
    ]
    site.load("sync_runs", [a_run()])
    site.load("lead_patches", patches)
    site.load("leads", [lead_row({"id": ids[0], "title": "T"}, NOW, RUN)])
    with site.opened() as warehouse:
        first, gone = warehouse.interrupted(RUN, None)
        assert [one.lead_id for one in warehouse.compared_anew(READ, None)] == [ids[1]]
    assert [patch.body for patch in first.patches] == [{"is_archived": False}, {"title": "a"}]
    assert sorted(row["title"] for row in first.rows) == ["a", "b"]
    assert first.current == {"id": ids[0], "title": "T"}
    assert (gone.lead_id, gone.rows, gone.current) == (ids[2], [], None)


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
        assert sorted(names_of(history.interrupted_runs(warehouse))) == ["run0", "run1", "run2"]


def test_the_desired_tables_columns(site: Site) -> None:
    desire(site, columns='lead_id UUID, "Lead Score" DECIMAL(9, 2), "4a" INTEGER')
    with site.opened() as warehouse:
        assert list(warehouse.columns()) == ["lead_id", "lead score", "4a"]


def test_a_desired_table_that_is_not_there(site: Site) -> None:
    with site.opened() as warehouse, pytest.raises(DesiredTableError, match=r"crm\.lead_changes"):
        warehouse.columns()


def test_values_come_as_the_core_expects_them(site: Site) -> None:
    columns = "lead_id VARCHAR, day DATE, price DECIMAL(9, 2), tags VARCHAR[], more JSON"
    values = "(NULL, DATE '2026-12-31', 50.50, ['a'], '{\"b\": null}')"
    desire(site, values, columns=columns)
    with site.opened() as warehouse:
        [found] = warehouse.compared(READ, None)
    [row] = found.rows
    assert str(row["day"]) == "2026-12-31"
    assert str(row["price"]) == "50.50"
    assert row["tags"] == ["a"]
    assert row["more"] in ({"b": None}, '{"b": null}')


def test_a_file_that_is_no_database(empty_site: Site, tmp_path: Path) -> None:
    (tmp_path / "site" / "warehouse.duckdb").write_text("no database")
    with pytest.raises(WarehouseError, match="cannot be opened"), empty_site.opened():
        pass
