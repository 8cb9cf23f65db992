"""Which table is named where the desired one is not there."""

from __future__ import annotations

from connector.warehouse.nearby import missing_table
from tests.support.cases import check_each

WANTED = "crm.lead_changes"
OWN = ("pipedrive_leads", "pipedrive_leads_staging")
CASES: list[tuple[str, list[tuple[str, str]], str]] = [
    (WANTED, [], "crm.lead_changes; create it, or set desired_table"),
    (WANTED, [("marts", "leads")], "it has marts.leads; create it"),
    (WANTED, [("main_crm", "lead_changes")], "but it has main_crm.lead_changes: dbt puts"),
    (WANTED, [("MAIN_CRM", "LEAD_CHANGES")], "but it has MAIN_CRM.LEAD_CHANGES: dbt puts"),
    (WANTED, [("crm", "lead_change")], "did you mean crm.lead_change?"),
    (WANTED, [("marts", "lead_changes")], "did you mean marts.lead_changes?"),
    (WANTED, [("marts", "lead_chnages")], "did you mean marts.lead_chnages?"),
    ("db.crm.lead_changes", [("dev_crm", "lead_changes")], "set desired_table to dev_crm.lead_ch"),
    ("lead_changes", [("main_crm", "lead_changes")], "did you mean main_crm.lead_changes?"),
]


def test_the_nearest_table_is_named() -> None:
    def check(case: tuple[str, list[tuple[str, str]], str]) -> None:
        wanted, tables, told = case
        text = missing_table(wanted, tables, OWN)
        assert text.startswith(f"the warehouse has no table {wanted}")
        assert told in text

    check_each(CASES, check)


def test_the_tables_that_runs_write_and_the_systems_are_not_named() -> None:
    schemas = ("pipedrive_leads", "Pipedrive_Leads_Staging", "information_schema")
    tables = [(schema, "lead_changes") for schema in schemas]
    text = missing_table(WANTED, tables, OWN)
    assert text == "the warehouse has no table crm.lead_changes; create it, or set desired_table"


def test_many_tables_are_not_listed() -> None:
    tables = [("marts", f"t{number}") for number in range(6)]
    assert "marts" not in missing_table(WANTED, tables, OWN)
