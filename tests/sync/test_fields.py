"""Every field of an account, told before there is a table."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS
from connector.sandbox.directory import LABELS
from tests.support.cases import check_each
from tests.support.harness import Row, Site

pytestmark = pytest.mark.xdist_group("sync fields")

HEX_A, HEX_B = "a1" * 20, "b2" * 20


def fields_of(site: Site, **settings: Any) -> dict[str | None, Row]:
    """Returns what `lead-sync fields` says of each column."""
    told = site.command("fields", "--output", "json", desired_table=None, **settings)
    assert (told.code, told.stderr) == (0, "")
    return {one["column"]: one for one in json.loads(told.stdout)}


def answer_with(site: Site, *definitions: Row) -> None:
    answer = {"success": True, "data": list(definitions)}
    site.pipedrive.fault("status", status=200, route="leadFields", body=answer, times=100)


def test_neither_a_warehouse_nor_a_table_is_needed(site: Site) -> None:
    found = fields_of(site)
    assert not site.database.exists()
    assert not site.data_dir.exists()
    assert set(CUSTOM_FIELDS) <= {one["field"] for one in found.values()}
    asked = {row["path"].removeprefix("/api/v1") for row in site.pipedrive.requests()}
    assert asked == {"/leadFields", "/leadLabels", "/users"}


def test_each_column_has_its_type_its_options_and_what_clears_it(site: Site) -> None:
    found = fields_of(site)
    assert found["title"]["required"]
    assert (found["title"]["clearable"], found["title"]["cleared_by"]) == (False, [])
    assert found["tier"]["options"] == {"190": "Gold", "191": "Silver", "192": "Bronze"}
    assert found["tier"]["type"] == "enum"
    assert found["channel"]["options"]["52"] == "Billboard"
    assert found["owner_email"]["options"]["1001"] == "ada.lind@example.com"
    assert found["owner_email"]["people"]["1001"] == "Ada Lind"
    assert set(found["labels"]["options"].values()) >= {"Hot", "Warm", "Cold"}
    assert found["labels"]["cleared_by"] == ["NULL", "[]"]
    assert found["notes"]["cleared_by"] == ["NULL", "''"]
    assert found["products"]["cleared_by"] == ["NULL", "''", "[]"]
    assert found["deal_cost_currency"]["part"] == "currency"
    assert found["deal_cost_currency"]["cleared_by"] == []
    assert "Premium and Ultimate" in found["visible_to"]["notes"][0]
    assert found[None]["notes"] == ["read-only in Pipedrive"]


def test_what_it_says_clears_a_field_does(site: Site) -> None:
    """The table wants each field cleared in the way that is told; none is refused."""
    found = fields_of(site)
    lead = next(iter(site.pipedrive.leads()))
    full = {"notes": "x", "products": "231", "labels": [LABELS[0]["id"]]}
    site.pipedrive.set_lead(lead, **{found[name]["key"]: value for name, value in full.items()})
    values = {"NULL": None, "''": "", "[]": "[]"}

    def check(column: str) -> None:
        for told in found[column]["cleared_by"]:
            row = {"lead_id": lead, column: values[told], "title": None}
            site.desire(dict.fromkeys(row, "VARCHAR"), [row])
            planned = site.command("plan", "--output", "json", "--max-clears", "off")
            document = json.loads(planned.stdout)
            assert document["settled"] == []
            [patch] = document["patches"]
            assert patch["body"][found[column]["key"]] in (None, [])

    check_each(full, check)


def test_the_rules_of_the_settings_hold(site: Site) -> None:
    found = fields_of(site, on_null={"notes": "keep", "tier": "reject"}, columns={"points": "tier"})
    rules = {name: one["on_null"] for name, one in found.items()}
    assert (rules["notes"], rules["points"], rules["lead_score"]) == ("keep", "reject", "clear")
    assert "tier" not in found


def test_a_name_that_means_something_else_is_not_offered(site: Site) -> None:
    answer_with(
        site,
        {"key": HEX_A, "name": "Labels", "field_type": "varchar", "mandatory_flag": True},
        {"key": HEX_B, "name": "Picture", "field_type": "picture"},
        {"key": "c3" * 20, "name": "Old", "field_type": "text", "active_flag": False},
    )
    found = fields_of(site)
    assert found["label_ids"]["field"] == "Labels"
    assert (found[HEX_A]["field"], found[HEX_A]["required"]) == ("Labels", True)
    assert "goes by its key" in found[HEX_A]["notes"][0]
    assert found[None]["notes"] == ["lead-sync writes no field of the type picture"]
    assert "c3" * 20 not in json.dumps(list(found.values()))


def test_people_read_a_table(site: Site) -> None:
    told = site.command("fields", desired_table=None)
    assert told.code == 0
    assert not re.search("[0-9a-f]{40}", told.stdout)
    rows = {line.split("  ")[0].strip(): line for line in told.stdout.splitlines()}
    assert "never; required" in rows["title"]
    assert "as for owner_email" in told.told
    assert "ada.lind@example.com (Ada Lind) [1001]" in told.told
    assert "Not for the table: Source (read-only in Pipedrive)" in told.told


def test_pages_and_spreadsheets_have_every_column(site: Site) -> None:
    answer_with(
        site,
        {
            "key": HEX_A,
            "name": "=HYPERLINK(1)|x\n",
            "field_type": "enum",
            "options": [{"id": 1, "label": "@a<b>"}],
        },
    )
    rows = list(csv.DictReader(io.StringIO(site.command("fields", "--output", "csv").stdout)))
    [mine] = [row for row in rows if row["column"] == "hyperlink_1_x"]
    assert (mine["field"], mine["options"]) == ("'=HYPERLINK(1)|x\\n", "'@a<b> [1]")
    page = site.command("fields", "--output", "markdown").stdout.splitlines()
    assert len(page) == len(rows) + 2
    [line] = [line for line in page if "HYPERLINK" in line]
    assert r"=HYPERLINK(1)\|x\\n" in line
    assert r"@a\<b\>" in line


def test_what_is_missing_is_told(site: Site) -> None:
    told = site.command("fields", api_token=None)
    assert told.code == 1
    assert told.stderr.startswith("error: missing setting api_token")
    wrong = site.command("fields", api_token="wrong")
    assert (wrong.code, wrong.stdout, wrong.stderr.count("\n")) == (1, "", 1)
