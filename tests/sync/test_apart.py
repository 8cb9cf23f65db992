"""Desired rows in one file and the books in another."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.support.harness import Ended, Site, bodies
from tests.support.scene import desire, new_leads


@pytest.fixture
def apart(site: Site) -> dict[str, str]:
    """Settings by which the desired rows are elsewhere than the books; one lead differs."""
    [lead] = new_leads(site, 1)
    desire(site, [lead])
    marts = site.folder / "marts.duckdb"
    site.database.rename(marts)
    return {"DESTINATION__DESIRED__CREDENTIALS": f"duckdb:///{marts}"}


def tables(file: Path) -> list[str]:
    with duckdb.connect(str(file), read_only=True) as connection:
        rows = connection.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
        ).fetchall()
        return sorted(name for [name] in rows)


def test_a_run_makes_the_books_and_leaves_the_marts_as_they_are(
    site: Site, apart: dict[str, str]
) -> None:
    before = (site.folder / "marts.duckdb").read_bytes()
    ended = site.command("run", env=apart)
    assert ended.code == 0, ended
    assert f"the DuckDB file {site.database} is made for the tables written" in ended.told
    assert len(bodies(site.pipedrive)) == 1
    assert (site.folder / "marts.duckdb").read_bytes() == before
    assert "pipedrive_leads.lead_outcomes" in tables(site.database)
    assert "crm.lead_changes" not in tables(site.database)
    again = site.command("run", env=apart)
    assert again.code == 0, again
    assert len(bodies(site.pipedrive)) == 1


def test_the_marts_may_be_open_in_a_program_that_reads(site: Site, apart: dict[str, str]) -> None:
    with duckdb.connect(str(site.folder / "marts.duckdb"), read_only=True):
        assert site.command("run", env=apart).code == 0


def test_both_may_be_named_as_one_file(site: Site, apart: dict[str, str]) -> None:
    (site.folder / "marts.duckdb").rename(site.database)
    env = {"DESTINATION__DESIRED__CREDENTIALS": f"duckdb:///{site.database}"}
    assert apart
    assert site.command("run", env=env).code == 0


def test_check_and_columns_need_no_books_and_make_none(site: Site, apart: dict[str, str]) -> None:
    """The first plan makes them; until then all the rest can be looked at."""
    checked: Ended = site.command("check", env=apart)
    assert checked.code == 0, checked.told
    assert f"file {site.database} is not there yet; the first plan makes it" in checked.told
    assert f"ok table: crm.lead_changes: 2 columns, file {site.folder}/marts.duckdb" in checked.told
    assert "ok columns: manages title" in checked.told
    shown = site.command("columns", env=apart)
    assert shown.code == 0, shown.told
    told = site.command("runs", env=apart)
    assert (told.code, "the first plan makes it" in told.stderr) == (1, True)
    assert not site.database.exists()


def test_a_table_that_cannot_be_read_is_not_the_books_trouble(
    site: Site, apart: dict[str, str]
) -> None:
    with duckdb.connect(str(site.folder / "marts.duckdb")) as marts:
        marts.execute("CREATE OR REPLACE VIEW crm.broken AS FROM crm.lead_changes")
        marts.execute("DROP TABLE crm.lead_changes")
    ended = site.command("check", env=apart, desired_table="crm.broken")
    assert ended.code == 1
    assert "problem table: " in ended.told
    assert "problem warehouse" not in ended.told


def test_books_in_a_folder_that_is_not_there_are_a_problem(
    site: Site, apart: dict[str, str]
) -> None:
    books = f"duckdb:///{site.folder}/none/books.duckdb"
    ended = site.command("check", env={**apart, "DESTINATION__WAREHOUSE__CREDENTIALS": books})
    assert ended.code == 1
    assert "or make its folder" in ended.told


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DESTINATION__DESIRED__CREDENTIALS", "duckdb:////no/such/marts.duckdb", "marts.duckdb"),
        ("DESTINATION__DESIRED__DESTINATION_TYPE", "duckdbb", "nearest"),
        ("DESTINATION__DESIRED__DESTINATION_TYPE", "filesystem", "[destination.desired]"),
        ("SOURCES__PIPEDRIVE_LEADS__DESIRED_TABLE", "crm.missing", "no table crm.missing"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(
    site: Site, apart: dict[str, str], name: str, value: str, told: str
) -> None:
    ended = site.command("run", env={**apart, name: value})
    assert ended.code == 1
    assert told in ended.told
    assert "Traceback" not in ended.told
    assert not site.pipedrive.requests("PATCH")


@pytest.mark.parametrize("only", [[], ["--lead"]])
def test_names_may_be_quoted_and_in_any_case(site: Site, only: list[str]) -> None:
    [lead] = new_leads(site, 1)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute('CREATE SCHEMA "Sales Marts"')
        connection.execute(
            'CREATE TABLE "Sales Marts"."Lead.Changes" ("LEAD_ID" VARCHAR, "Title" VARCHAR, '
            '"Changes" JSON)'
        )
        connection.execute(
            'INSERT INTO "Sales Marts"."Lead.Changes" VALUES (?, ?, ?)',
            [lead, "Wanted", '{"expected_close_date": "2026-12-31"}'],
        )
    table = '"Sales Marts"."Lead.Changes"'
    ended = site.command("run", *only, *([lead] if only else []), desired_table=table)
    assert ended.code == 0, ended
    assert bodies(site.pipedrive)[lead] == [
        {"title": "Wanted", "expected_close_date": "2026-12-31"}
    ]
    assert site.command("columns", desired_table=table).code == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_view_over_files_is_a_table_like_any_other(site: Site, kind: str) -> None:
    leads = new_leads(site, 2)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute("CREATE SCHEMA crm")
        for lead in leads:
            connection.execute(
                "COPY (SELECT ? AS lead_id, 'Wanted' AS title, 50.50::DECIMAL(18, 4) AS "
                "value_amount, 'EUR' AS value_currency, DATE '2026-12-31' AS expected_close_date) "
                f"TO '{site.folder}/{lead}.{kind}'",
                [lead],
            )
        files = f"{site.folder}/*.{kind}"
        connection.execute(f"CREATE VIEW crm.lead_changes AS FROM read_{kind}('{files}')")
    assert site.command("run").code == 0
    wish = {
        "title": "Wanted",
        "value": {"amount": 50.5, "currency": "EUR"},
        "expected_close_date": "2026-12-31",
    }
    assert bodies(site.pipedrive) == {lead: [wish] for lead in leads}
    assert site.command("run").code == 0
    assert len(site.pipedrive.requests("PATCH")) == 2


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_view_whose_files_are_gone_is_no_missing_table(site: Site, kind: str) -> None:
    [lead] = new_leads(site, 1)
    file = site.folder / f"rows.{kind}"
    with duckdb.connect(str(site.database)) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute(f"COPY (SELECT '{lead}' AS lead_id, 'T' AS title) TO '{file}'")
        connection.execute(f"CREATE VIEW crm.lead_changes AS FROM read_{kind}('{file}')")
    file.unlink()
    ended = site.command("run")
    assert ended.code == 1
    assert "crm.lead_changes cannot be read: IO Error: No files found" in ended.told
    assert "has no table" not in ended.told
