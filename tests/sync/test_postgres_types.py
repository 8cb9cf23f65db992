"""Every type of a PostgreSQL column reaches the wire exactly, or costs its row alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS
from tests.support.harness import Site, bodies, lead_id
from tests.support.leads import COLD, HOT
from tests.support.postgres import PostgresSite

# column → (PostgreSQL expression, wire key, exactly what the body holds)
EXACT: dict[str, tuple[str, str, Any]] = {
    "title": ("'Fleet  '::char(20)", "title", "Fleet"),
    "was_seen": ("true", "was_seen", True),
    "organization_id": ("407::numeric(20, 3)", "organization_id", 407),
    "person_id": ("1003::float8", "person_id", 1003),
    "visible_to": ("7::smallint", "visible_to", "7"),
    "value": (
        '\'{"amount": 50.50, "currency": "eur"}\'::jsonb',
        "value",
        {"amount": 50.5, "currency": "EUR"},
    ),
    "expected_close_date": (
        "'2026-12-31 23:30:00+00'::timestamptz",
        "expected_close_date",
        "2027-01-01",
    ),
    "label_ids": (f"ARRAY['{HOT}', '{COLD}']::uuid[]", "label_ids", [HOT, COLD]),
    "lead_score": ("50.1::real", "Lead score", 50.1),
    "win_probability": ("0.1000::numeric", "Win probability", 0.1),
    "seats_wanted": ("'12'::json", "Seats wanted", 12),
    "tier": ("'gold'::crm.tier", "Tier", 190),
    "products": ("ARRAY['Core', '233']::crm.product[]", "Products", "231,233"),
    "next_call": ("'2027-02-03'::date", "Next call", "2027-02-03"),
    "call_at": ("'09:30:00'::time", "Call at", "09:30:00"),
    "notes": ("'zwölf 🚚'::text", "Notes", "zwölf 🚚"),
    "external_id": (
        "'0191A0B2-0000-7000-8000-000000000001'::uuid",
        "External id",
        "0191a0b2-0000-7000-8000-000000000001",
    ),
    "mobile": ("460701234567::bigint", "Mobile", "460701234567"),
}

# a column, its type, a value that cannot be sent → what its outcome tells
REFUSED: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("expected_close_date", "date", "infinity"): ("infinite", "NULL for none"),
    ("expected_close_date", "date", "0044-03-15 BC"): ("0044-03-15 BC", "years 1 to 9999"),
    ("expected_close_date", "date", "12026-01-01"): ("12026-01-01", "years 1 to 9999"),
    ("expected_close_date", "timestamp", "-infinity"): ("infinite",),
    ("expected_close_date", "timestamp", "0044-03-15 12:00 BC"): ("BC", "years 1 to 9999"),
    ("expected_close_date", "timestamptz", "infinity"): ("infinite",),
    ("expected_close_date", "timestamptz", "0044-03-15 12:00+00 BC"): ("years 1 to 9999",),
    ("expected_close_date", "timestamptz", "12026-01-01 12:00+00"): ("years 1 to 9999",),
    ("expected_close_date", "date[]", "{0044-03-15 BC}"): ("expected_close_date",),
    ("expected_close_date", "daterange", "[2027-01-01,2027-02-01)"): ("expected_close_date",),
    ("lead_score", "numeric", "NaN"): ("lead_score", "not a finite number"),
    ("lead_score", "numeric", "-Infinity"): ("lead_score", "not a finite number"),
    ("lead_score", "float8", "Infinity"): ("lead_score", "not a finite number"),
    ("lead_score", "real", "NaN"): ("lead_score", "not a finite number"),
    ("lead_score", "money", "1234.50"): ("lead_score", "money", "cast it to numeric"),
    ("lead_score", "jsonb", "12345678901234567.25"): ("lead_score", "12345678901234567.25"),
    ("lead_score", "interval", "1 day"): ("lead_score",),
    ("call_at", "time", "24:00:00"): ("call_at", "24:00:00"),
    ("call_at", "interval", "178000000 years"): ("call_at",),
    ("title", "bytea", "abc"): ("title", "is not text"),
    ("title", "jsonb", '{"a": 1}'): ("title", "is not text"),
    ("person_id", "int[]", "{1,2}"): ("person_id", "is not an id"),
    ("value", "json", '{"amount": 1, "amount": 2}'): ("names 'amount' twice",),
    ("changes", "jsonb", '{"lead_score": 12345678901234567.25}'): ("12345678901234567.25",),
    ("changes", "json", '{"title": "a", "title": "b"}'): ("names 'title' twice",),
}


def wire_key(name: str) -> str:
    return CUSTOM_FIELDS.get(name, name)


@pytest.fixture
def site(postgres_site: PostgresSite) -> Site:
    return postgres_site


def test_every_type_goes_out_exactly(site: Site) -> None:
    lead = lead_id("types")
    site.pipedrive.set_lead(lead, title="As it is", person_id=1, organization_id=1)
    cells = ", ".join(f"{expression} AS {column}" for column, (expression, _, _) in EXACT.items())
    site.query("CREATE SCHEMA crm")
    site.query("CREATE TYPE crm.tier AS ENUM ('gold')")
    site.query("CREATE TYPE crm.product AS ENUM ('Core', '233')")
    site.query(f"CREATE TABLE crm.lead_changes AS SELECT '{lead}'::char(40) AS lead_id, {cells}")
    assert site.run(timezone="Europe/Stockholm").statuses["applied"] == 1, site.outcomes()
    wanted = {wire_key(key): value for _, key, value in EXACT.values()}
    [sent] = bodies(site.pipedrive)[lead]
    assert sent == wanted
    kinds = {key: type(value) for key, value in wanted.items()}
    assert {key: type(value) for key, value in sent.items()} == kinds
    assert site.run(timezone="Europe/Stockholm").unchanged == 1


def test_what_cannot_be_sent_costs_its_row_alone(site: Site) -> None:
    """A table for each column and type, of rows that cannot be sent and one that can."""
    good = lead_id("good")
    site.pipedrive.set_lead(good, was_seen=False)
    leads = {lead_id(str(case)): (case, told) for case, told in REFUSED.items()}
    for lead in leads:
        site.pipedrive.set_lead(lead, title="Old")
    reasons: dict[str, str] = {}
    for number, kinds in enumerate(grouped(list(REFUSED))):
        columns = {"lead_id": "TEXT", "was_seen": "BOOLEAN", **dict(kinds)}
        rows = [
            {"lead_id": lead, column: value}
            for lead, ((column, kind, value), _) in leads.items()
            if (column, kind) in kinds
        ]
        site.desire(columns, [*rows, {"lead_id": good, "was_seen": number % 2 == 0}])
        done = site.run(on_null="keep", timezone="Europe/Stockholm")
        found = site.outcomes(done.run_id)
        not_rejected = [row["body"] for row in found if row["status"] != "rejected"]
        assert not_rejected == [json.dumps({"was_seen": number % 2 == 0})]
        assert done.statuses["applied"] == 1
        reasons |= {row["lead_id"]: row["reason"] for row in found if row["reason"]}
    for lead, (case, told) in leads.items():
        assert all(part in reasons[lead] for part in told), (case, reasons[lead])
    assert set(bodies(site.pipedrive)) == {good}


TWINS = {
    '"lead_id", "title", "Title"': ("title", "Title"),
    '"Title", "title", "lead_id"': ("Title", "title"),
    '"lead_id", "title", "LEAD_ID"': ("lead_id", "LEAD_ID"),
    '"lead_id", "title", "updated_at", "Updated_at"': ("updated_at", "Updated_at"),
}


@pytest.mark.parametrize(("names", "twins"), TWINS.items(), ids=TWINS)
def test_columns_that_differ_by_case_alone_stop_the_run(
    site: Site, names: str, twins: tuple[str, str]
) -> None:
    lead = lead_id("twins")
    site.pipedrive.set_lead(lead, title="As it is")
    site.query("CREATE SCHEMA crm")
    columns = ", ".join(f"{name} text" for name in names.split(", "))
    site.query(f"CREATE TABLE crm.lead_changes ({columns})")
    site.query(f"INSERT INTO crm.lead_changes (lead_id, title) VALUES ('{lead}', 'New')")
    one, other = twins
    told = f"has the columns {one!r} and {other!r}, which lead-sync does not tell apart; rename one"
    for command in ("run", "check", "columns"):
        ended = site.command(command)
        assert (ended.code, told in ended.told) == (1, True), ended.told
    assert site.pipedrive.requests("PATCH") == []


def grouped(cases: list[tuple[str, str, str]]) -> list[set[tuple[str, str]]]:
    """Return the columns and types of a few tables in which each column has one type."""
    left = list(dict.fromkeys((column, kind) for column, kind, _ in cases))
    tables: list[set[tuple[str, str]]] = []
    while left:
        table = dict(reversed(left))
        tables.append(set(table.items()))
        left = [one for one in left if one not in tables[-1]]
    return tables
