"""A desired table in, or over, databases that DuckDB opens beside its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connector.errors import ConfigError
from connector.settings import load_settings, load_warehouse_settings
from connector.warehouse.attached import attached_of, hide
from tests.support.harness import Ended, Site, bodies
from tests.support.scene import new_leads

PASSWORD = "hunter2x"
SETTING = "SOURCES__PIPEDRIVE_LEADS__ATTACHED"


@pytest.fixture
def lead(site: Site) -> str:
    """A lead whose wish is in a database of its own, beside a warehouse that has none."""
    [lead] = new_leads(site, 1)
    with duckdb.connect(str(marts(site))) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TABLE crm.lead_changes (lead_id VARCHAR, title VARCHAR)")
        connection.execute("INSERT INTO crm.lead_changes VALUES (?, 'Wanted')", [lead])
        connection.execute('CREATE SCHEMA "Sales Marts"')
        connection.execute('CREATE VIEW "Sales Marts"."Lead.Changes" AS FROM crm.lead_changes')
    duckdb.connect(str(site.database)).close()
    return lead


def marts(site: Site) -> Path:
    return site.folder / "marts.duckdb"


def one_line(ended: Ended) -> str:
    """Returns the one line of a run that was stopped, with no secret in it."""
    assert ended.code == 1, ended
    [line] = [line for line in ended.stderr.splitlines() if " INFO " not in line]
    assert "Traceback" not in ended.told
    assert PASSWORD not in ended.told
    return line


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Another program that writes to a file, for as long as the block takes."""
    code = f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.communicate("\n")


@pytest.mark.parametrize(
    "table", ["marts.crm.lead_changes", 'MARTS."Sales Marts"."Lead.Changes"', "over.lead_changes"]
)
def test_a_table_there_is_read_and_its_file_stays_as_it_is(
    site: Site, lead: str, table: str
) -> None:
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"ATTACH '{marts(site)}' AS marts (READ_ONLY)")
        connection.execute("CREATE SCHEMA over")
        connection.execute("CREATE VIEW over.lead_changes AS FROM marts.crm.lead_changes")
    before = marts(site).read_bytes()
    given = {"attached": {"marts": str(marts(site))}, "desired_table": table}
    checked = site.command("check", **given)
    assert checked.code == 0, checked.told
    assert f"ok attached: marts: file {marts(site)}, to read only" in checked.told
    assert f"ok table: {table}: 2 columns" in checked.told
    assert site.command("columns", **given).code == 0
    ended = site.command("run", **given)
    assert ended.code == 0, ended
    assert bodies(site.pipedrive)[lead] == [{"title": "Wanted"}]
    again = site.command("run", "--lead", lead, **given)
    assert (again.code, len(bodies(site.pipedrive)[lead])) == (0, 1)
    assert marts(site).read_bytes() == before
    assert not marts(site).with_suffix(".duckdb.wal").exists()
    assert site.statuses() == {"applied": 1}


def test_it_may_be_beside_desired_rows_that_are_apart(site: Site, lead: str) -> None:
    beside = site.folder / "beside.duckdb"
    with duckdb.connect(str(beside)) as connection:
        connection.execute(f"ATTACH '{marts(site)}' AS marts (READ_ONLY)")
        connection.execute("CREATE VIEW wanted AS FROM marts.crm.lead_changes")
    ended = site.command(
        "run",
        env={"DESTINATION__DESIRED__CREDENTIALS": f"duckdb:///{beside}"},
        attached={"marts": f"duckdb:///{marts(site)}"},
        desired_table="main.wanted",
    )
    assert ended.code == 0, ended
    assert site.pipedrive.lead(lead)["title"] == "Wanted"


@pytest.mark.parametrize("scheme", ["", "duckdb:", "file://"])
def test_the_file_of_the_books_is_refused_where_the_desired_rows_are_apart(
    site: Site, lead: str, scheme: str
) -> None:
    ended = site.command(
        "run",
        env={"DESTINATION__DESIRED__CREDENTIALS": f"duckdb:///{marts(site)}"},
        attached={"own": f"{scheme}{site.database}"},
    )
    assert "attached: own is the warehouse's own file" in one_line(ended), lead


def test_what_a_killed_writer_left_beside_it_is_read_and_stays(site: Site, lead: str) -> None:
    """DuckDB keeps the last writes in a second file until it gets to move them."""
    code = (
        f"import duckdb, os; c = duckdb.connect({str(marts(site))!r}); "
        "c.execute(\"UPDATE crm.lead_changes SET title = 'Newest'\"); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    log = Path(f"{marts(site)}.wal")
    before = (marts(site).read_bytes(), log.read_bytes())
    given = {"attached": {"marts": str(marts(site))}, "desired_table": "marts.crm.lead_changes"}
    ended = site.command("run", **given)
    assert ended.code == 0, ended
    assert site.pipedrive.lead(lead)["title"] == "Newest"
    assert (marts(site).read_bytes(), log.read_bytes()) == before


def test_other_books_in_it_are_never_taken_for_the_own_ones(site: Site, lead: str) -> None:
    """An attached database with a dataset of the same name is another company's."""
    given = {"attached": {"marts": str(marts(site))}, "desired_table": "marts.crm.lead_changes"}
    with duckdb.connect(str(marts(site))) as connection:
        connection.execute("CREATE SCHEMA pipedrive_leads")
        connection.execute("CREATE TABLE pipedrive_leads.sync_account AS SELECT 77 AS company_id")
        connection.execute("CREATE TABLE pipedrive_leads.leads AS SELECT 'x' AS id")
    before = marts(site).read_bytes()
    for _ in range(2):
        ended = site.command("run", **given)
        assert ended.code == 0, ended
    assert len(bodies(site.pipedrive)[lead]) == 1
    assert marts(site).read_bytes() == before


def test_files_are_in_the_configuration_and_passwords_among_the_secrets(
    site: Site, lead: str
) -> None:
    assert lead
    folder = site.folder / ".dlt"
    folder.mkdir()
    section = "[sources.pipedrive_leads.attached]\n"
    (folder / "config.toml").write_text(f"{section}marts = '{marts(site)}'\n")
    ended = site.command("check", cwd=site.folder, desired_table="marts.crm.lead_changes")
    assert ended.code == 0, ended.told
    (folder / "config.toml").write_text(f"{section}m = 'postgresql://u:{PASSWORD}@localhost/d'\n")
    told = one_line(site.command("run", cwd=site.folder))
    assert "attached under [sources.pipedrive_leads] stands in config.toml" in told
    (folder / "config.toml").unlink()
    (folder / "secrets.toml").write_text(f"{section}m = 'postgresql://u:{PASSWORD}@localhost:1/d'")
    told = one_line(site.command("run", cwd=site.folder))
    assert "attached: m cannot be opened, a database by postgresql:…: " in told


@pytest.mark.parametrize(
    ("databases", "told"),
    [
        ({"a": "/no/such/marts.duckdb"}, "attached: a: there is no such file, file /no/such"),
        ({"a": "."}, "attached: a: there is no such file"),
        ({"a": "{junk}"}, "attached: a cannot be opened, file "),
        ({"warehouse": "{marts}"}, "attached: warehouse is the name of a database or schema"),
        ({"Pipedrive_Leads": "{marts}"}, "give another alias"),
        ({"pipedrive_leads_staging": "{marts}"}, "give another alias"),
        ({"main": "{marts}"}, "give another alias"),
        ({"temp": "{marts}"}, "give another alias"),
        ({"own": "{warehouse}"}, "attached: own is the warehouse's own file"),
        ({"own": "duckdb:///{link}"}, "leave it out"),
        ({"a b": "{marts}"}, "attached has 'a b', which is no plain name"),
        ({'a" (TYPE x); --': "{marts}"}, "which is no plain name"),
        ({"a": "{marts}", "A": "{junk}"}, "attached has a twice"),
        ({"a": 1}, "attached has no file or URL for a"),
        ({"a": "x\nhunter2x"}, "attached has no file or URL for a"),
        ("hunter2x", "attached is no table; write it like"),
        ('{"a": "hunter2x"', "attached is not valid JSON; mend it"),
        ({"a": "host=localhost password=hunter2x"}, "a file; mend it"),
        ({"a": "postgres:host=localhost port=1 password=hunter2x"}, "a cannot be opened"),
        ({"a": "postgresql://u:hunt%zzhunter2x/@localhost:1/d"}, "a cannot be opened"),
        ({"a": "md:share?motherduck_token=hunter2x"}, "a cannot be opened, a database by md:…"),
        ({"a": "nosuchtype:hunter2x"}, "a cannot be opened"),
    ],
)
def test_what_is_wrong_with_it_is_one_line_without_a_secret(
    site: Site, lead: str, databases: Any, told: str
) -> None:
    junk, link = site.folder / "junk", site.folder / "link.duckdb"
    junk.write_text("no database\n" * 1000)
    link.symlink_to(site.database)
    places = {"junk": junk, "link": link, "marts": marts(site), "warehouse": site.database}
    if isinstance(databases, dict):
        databases = {
            alias: value.format_map(places) if isinstance(value, str) else value
            for alias, value in databases.items()
        }
    given = {"attached": databases, "desired_table": "marts.crm.lead_changes"}
    assert told in one_line(site.command("run", **given))
    checked = site.command("check", **given)
    assert checked.code == 1
    assert told in checked.told
    assert PASSWORD not in checked.told
    assert not site.pipedrive.requests("PATCH"), lead


def test_a_file_that_another_program_holds_is_named(site: Site, lead: str) -> None:
    given = {"attached": {"marts": str(marts(site))}, "desired_table": "marts.crm.lead_changes"}
    with held(marts(site)):
        told = one_line(site.command("run", **given))
    assert f"attached: marts: another program holds file {marts(site)}; close it there" in told
    assert site.command("run", **given).code == 0
    assert site.pipedrive.lead(lead)["title"] == "Wanted"


def test_it_is_refused_where_the_desired_rows_are_in_no_duckdb(
    site: Site, postgres_site: Any
) -> None:
    ended = postgres_site.command("check", attached={"marts": str(marts(site))})
    assert ended.code == 1
    assert "attached is for desired rows in DuckDB, and they are elsewhere" in ended.told


def test_a_view_over_what_is_not_attached_says_so(site: Site, lead: str) -> None:
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"ATTACH '{marts(site)}' AS marts (READ_ONLY)")
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE VIEW crm.lead_changes AS FROM marts.crm.lead_changes")
    told = one_line(site.command("run"))
    assert "crm.lead_changes cannot be read: " in told, lead
    assert "if marts is a database of its own, name it under attached" in told
    told = one_line(site.command("run", desired_table="marts.crm.lead_changes"))
    assert "if marts is a database of its own, name it under attached" in told


def test_a_table_that_is_not_there_is_told_with_those_near_it(site: Site, lead: str) -> None:
    given = {"attached": {"marts": str(marts(site))}, "desired_table": "marts.crm.lead_change"}
    told = one_line(site.command("run", **given))
    assert "no table marts.crm.lead_change; did you mean marts.crm.lead_changes" in told, lead


def test_an_error_while_it_is_read_does_not_repeat_it() -> None:
    url = f"postgres:host=localhost user=ada password='{PASSWORD} and more'"
    settings = load_warehouse_settings(attached={"m": url})
    text = hide(f'IO Error: unable to connect to Postgres at "{url}": Connection refused', settings)
    assert text == 'IO Error: unable to connect to Postgres at "…": Connection refused'


@pytest.mark.parametrize(
    ("value", "file", "kind"),
    [
        ("/data/x.duckdb", "/data/x.duckdb", ""),
        ("x.duckdb", "{here}/x.duckdb", ""),
        ("duckdb:////data/x", "/data/x", "duckdb"),
        ("duckdb:///x", "{here}/x", "duckdb"),
        ("DuckDB:/data/x", "/data/x", "duckdb"),
        ("sqlite:////data/x", "/data/x", "sqlite"),
        ("sqlite:x", "{here}/x", "sqlite"),
        ("file:///data/x", "/data/x", ""),
        ("file:/data/x", "/data/x", ""),
        ("postgresql://h/d", None, "postgres"),
        ("postgres:dbname=d", None, ""),
        ("mysql://h/d", None, "mysql"),
        ("md:share", None, ""),
        ("s3://bucket/x.duckdb", None, ""),
    ],
)
def test_a_file_is_known_however_it_is_written(value: str, file: str | None, kind: str) -> None:
    [found] = attached_of(load_warehouse_settings(attached={"a": value}))
    wanted = None if file is None else file.format(here=Path.cwd())
    assert (found.file and str(found.file), found.type) == (wanted, kind)


def test_no_repr_holds_it() -> None:
    given: Any = {"attached": {"m": f"postgresql://u:{PASSWORD}@localhost/d"}}
    assert PASSWORD not in repr(load_warehouse_settings(**given))
    assert PASSWORD not in repr(attached_of(load_warehouse_settings(**given)))
    assert PASSWORD not in repr(
        load_settings(base_url="https://a.pipedrive.com", api_token="t", **given)
    )
    with pytest.raises(ConfigError) as told:
        load_warehouse_settings(attached=[f"postgresql://u:{PASSWORD}@localhost/d"])
    assert PASSWORD not in str(told.value)


def test_a_driver_that_fails_amid_the_rows_does_not_repeat_it(site: Site) -> None:
    """A connection that is lost is opened anew by its URL, and DuckDB tells that."""
    with duckdb.connect(str(site.database)) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute(
            "CREATE VIEW crm.lead_changes AS SELECT i::VARCHAR AS lead_id, CASE WHEN i = 40000 "
            f"THEN error('unable to connect to ada:{PASSWORD}@localhost') "
            "ELSE repeat('T', 4000) END AS title FROM range(50000) t(i)"
        )
    for name in ("run", "check", "columns"):
        ended = site.command(name)
        assert PASSWORD not in ended.told, name
        assert "unexpected" not in ended.told, name
    assert "crm.lead_changes cannot be read: " in one_line(site.command("run"))
