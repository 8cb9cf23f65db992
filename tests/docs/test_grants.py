"""The grants of the page on warehouses are enough, and each is needed, on a real PostgreSQL."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.support.harness import ROOT, bodies, lead_id
from tests.support.postgres import PASSWORD, PostgresSite

PAGE = (ROOT / "docs/warehouses.md").read_text()
LEAD = lead_id("documented")
ROLE, READER = "lead_sync_documented", "lead_sync_reader"


def grants(site: PostgresSite, role: str) -> list[str]:
    """Return the page's statements for another role and database."""
    [block] = re.findall(r"```sql\n(GRANT CONNECT.+?)```", PAGE, re.DOTALL)
    block = re.sub(r"^--.*\n", "", block, flags=re.MULTILINE)
    block = re.sub(r"\blead_sync\b", role, block)
    block = block.replace("DATABASE warehouse", f"DATABASE {site.name}")
    return [one.strip() for one in block.split(";") if one.strip()]


def make_role(site: PostgresSite, role: str) -> None:
    if not site.server.execute("postgres", "SELECT 1 AS n FROM pg_roles WHERE rolname = %s", role):
        site.server.execute("postgres", f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    site.query(f"REVOKE ALL ON DATABASE {site.name} FROM PUBLIC")


@pytest.fixture
def site(postgres_site: PostgresSite) -> PostgresSite:
    """One lead that is to have another title."""
    postgres_site.pipedrive.reset(leads=0)
    postgres_site.pipedrive.set_lead(LEAD, title="Old")
    postgres_site.desire_titles({LEAD: "New"})
    return postgres_site


def test_they_are_enough(site: PostgresSite) -> None:
    make_role(site, ROLE)
    for statement in grants(site, ROLE):
        site.query(statement)
    role = replace(site, user=ROLE)
    checked = role.command("check")
    assert checked.code == 0, checked.told
    assert role.command("run").code == 0
    assert bodies(site.pipedrive) == {LEAD: [{"title": "New"}]}


def test_to_read_desired_rows_needs_three_of_them(site: PostgresSite) -> None:
    make_role(site, READER)
    connect, _, _, use, read = grants(site, READER)
    for statement in (connect, use, read):
        site.query(statement)
    reader = replace(site, user=READER)
    books = f"duckdb:///{site.folder / 'books.duckdb'}"
    places = reader.environment()
    env = {
        "DESTINATION__DESIRED__DESTINATION_TYPE": "postgres",
        "DESTINATION__DESIRED__CREDENTIALS": places["DESTINATION__WAREHOUSE__CREDENTIALS"],
        "DESTINATION__WAREHOUSE__DESTINATION_TYPE": "duckdb",
        "DESTINATION__WAREHOUSE__CREDENTIALS": books,
    }
    ended = reader.command("run", env=env)
    assert ended.code == 0, ended.told
    assert bodies(site.pipedrive) == {LEAD: [{"title": "New"}]}
