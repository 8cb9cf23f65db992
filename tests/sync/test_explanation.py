"""`columns` and `check` show the whole table, with all that is wrong at once."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.harness import Row, Site, bodies

pytestmark = pytest.mark.xdist_group("sync explanation")

TYPES = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "value_curency": "VARCHAR",
    "label": "VARCHAR[]",
    "owner": "VARCHAR",
    "account_manager": "VARCHAR",
    "led_score": "DOUBLE",
    "creator_id": "INTEGER",
    "updated_at": "TIMESTAMP",
}


def wishes(site: Site) -> list[Row]:
    leads = list(site.pipedrive.leads())[:3]
    return [
        {
            "lead_id": lead,
            "title": "New",
            "value_curency": "EUR",
            "label": ["Hot"],
            "owner": "ada.lind@example.com",
            "account_manager": "Ada Lind",
            "led_score": 5,
        }
        for lead in leads
    ]


def test_columns_shows_all_problems_at_once(site: Site) -> None:
    site.desire(TYPES, wishes(site))
    told = site.command("columns")
    assert (told.code, told.stderr) == (1, "")
    for column, nearest in (
        ("value_curency", "value_currency (Value)"),
        ("label", "labels (Labels)"),
        ("owner", "owner_email (Owner)"),
        ("led_score", "lead_score (Lead score)"),
    ):
        wanted = f"column '{column}' maps to no field that can be written; did you mean {nearest}?"
        assert wanted in told.told
    assert "column 'creator_id' is read-only in Pipedrive" in told.told
    assert re.search(r"^ ?title +Title", told.stdout, re.MULTILINE)
    assert (
        "account_manager: 3 of 3 rows looked at cannot be sent: account_manager 'Ada Lind' is no "
        "e-mail address; did you mean ada.lind@example.com (Ada Lind)?"
    ) in told.told
    assert not re.search("[0-9a-f]{40}", told.stdout)
    assert bodies(site.pipedrive) == {}


def test_machines_get_the_same(site: Site) -> None:
    site.desire(TYPES, wishes(site))
    told = site.command("columns", "--output", "json")
    assert told.code == 1
    entries = json.loads(told.stdout)
    assert [one["column"] for one in entries if "key" in one] == ["title", "account_manager"]
    assert {one["column"]: one["nearest"] for one in entries if "problem" in one} == {
        "value_curency": "value_currency",
        "label": "labels",
        "owner": "owner_email",
        "led_score": "lead_score",
        "creator_id": None,
    }
    [manager] = [one for one in entries if one["column"] == "account_manager"]
    assert manager["doubt"].startswith("3 of 3 rows looked at")


def test_check_tells_them_as_well(site: Site) -> None:
    site.desire(TYPES, wishes(site))
    told = site.command("check")
    assert told.code == 1
    problems = [line for line in told.stdout.splitlines() if line.startswith("problem")]
    assert len(problems) == 5
    assert any("did you mean owner_email (Owner)?" in line for line in problems)


def test_a_run_tells_all_in_its_error_and_sends_nothing(site: Site) -> None:
    site.desire(TYPES, wishes(site))
    told = site.command("run")
    assert (told.code, told.stderr.count("error:")) == (1, 1)
    for name in ("value_curency", "label", "owner", "led_score", "creator_id"):
        assert f"column '{name}'" in told.told
    assert bodies(site.pipedrive) == {}


@pytest.mark.parametrize("command", ["columns", "check"])
def test_a_table_that_manages_nothing_is_a_problem(site: Site, command: str) -> None:
    site.desire({"lead_id": "VARCHAR", "updated_at": "TIMESTAMP"}, [])
    told = site.command(command)
    assert told.code == 1
    wrong = "problem the table manages nothing: it has no column but lead_id, updated_at; add a"
    assert wrong in told.told.replace("columns: ", "")


def test_a_table_of_changes_alone_manages_something(site: Site) -> None:
    site.desire({"lead_id": "VARCHAR", "changes": "JSON"}, [])
    assert site.command("columns").code == 0
    told = site.command("check")
    assert told.code == 0
    assert "manages what `changes` names" in told.stdout


def test_values_that_cannot_be_sent_are_no_problem_of_the_table(site: Site) -> None:
    """Each of these rows gets its outcome; the others are brought to what they want."""
    rows = [
        row | {"tier": tier}
        for row, tier in zip(wishes(site), ["Goldd", "Gold", None], strict=True)
    ]
    site.desire({"lead_id": "VARCHAR", "tier": "VARCHAR"}, rows)
    told = site.command("columns")
    assert told.code == 0
    assert "tier: 1 of 3 rows looked at cannot be sent: tier 'Goldd' is no option" in told.told


def test_a_struct_of_changes_and_a_bad_rule_are_told_beside_the_rest(site: Site) -> None:
    site.desire(
        {"lead_id": "VARCHAR", "changes": "STRUCT(title VARCHAR)", "titel": "VARCHAR"},
        [{"lead_id": "x"}],
    )
    told = site.command("columns", on_null={"nothing": "keep"})
    assert told.code == 1
    assert "did you mean title (Title)?" in told.told
    assert "the column changes is a STRUCT" in told.told
    assert "on_null names 'nothing', which is no field" in told.told


def test_only_some_rows_are_read(site: Site) -> None:
    [row, *_] = wishes(site)
    site.desire({"lead_id": "VARCHAR", "tier": "VARCHAR"}, [row | {"tier": "Bad"}] * 300)
    assert "tier: 200 of 200 rows looked at" in site.command("columns").told


@pytest.mark.parametrize("command", ["columns", "check", "run"])
def test_a_table_that_dbt_built_elsewhere_is_named(site: Site, command: str) -> None:
    site.desire({"lead_id": "VARCHAR"}, [], table="main_crm.lead_changes")
    told = site.command(command)
    assert told.code == 1
    wanted = (
        "the warehouse has no table crm.lead_changes, but it has main_crm.lead_changes: dbt puts "
        "the target's schema in front of a model's own; set desired_table to main_crm.lead_changes"
    )
    assert wanted in told.told


def test_check_names_the_places(site: Site) -> None:
    site.desire(TYPES, wishes(site))
    told = site.command("check").told
    assert f"file {site.database}; working folder {site.data_dir}" in told
    assert re.search(r"table crm\.lead_changes; looked in the environment, .*secrets\.toml", told)


def test_check_names_the_places_where_the_warehouse_does_not_open(site: Site) -> None:
    site.database.write_text("no database")
    told = site.command("check")
    assert told.code == 1
    [line] = [line for line in told.stdout.splitlines() if line.startswith("problem")]
    assert str(site.database) in line
    assert f"working folder {site.data_dir}" in line


def test_check_says_where_it_has_looked(site: Site) -> None:
    told = site.command("check", workers="many")
    assert told.code == 1
    assert "problem config: workers 'many'" in told.told
    assert "looked in the environment, " in told.told


def test_the_leads_ids_under_another_name_are_found(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire({"id": "VARCHAR", "title": "VARCHAR"}, [{"id": lead, "title": "x"}])
    told = site.command("columns")
    assert (told.code, told.stderr) == (1, "")
    assert "the desired table has no column lead_id; rename id to lead_id" in told.told


@pytest.mark.parametrize("command", ["columns", "check"])
def test_a_view_that_cannot_be_read_is_a_problem(site: Site, command: str) -> None:
    site.query("CREATE SCHEMA crm")
    site.query("CREATE VIEW crm.lead_changes AS SELECT 'x' AS lead_id, error('boom') AS title")
    told = site.command(command)
    assert told.code == 1
    assert re.search("crm.lead_changes cannot be read: .*boom; mend", told.told)


def test_a_strangers_column_name_acts_on_no_screen(site: Site) -> None:
    site.desire({"lead_id": "VARCHAR", "a\x1b[2Jb": "VARCHAR"}, [])
    told = site.command("columns")
    assert told.code == 1
    assert "\x1b" not in told.stdout
