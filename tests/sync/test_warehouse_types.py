"""Every type of a DuckDB column reaches the wire exactly, or its row is rejected."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from connector import LeadSyncError
from connector.sandbox import CUSTOM_FIELDS
from tests.support.harness import Site

# column → (DuckDB expression, wire key, exactly what the body holds)
EXACT: dict[str, tuple[str, str, Any]] = {
    "title": ("'Fleet'::ENUM('Fleet', 'Renewal')", "title", "Fleet"),
    "was_seen": ("true", "was_seen", True),
    "organization_id": ("407::HUGEINT", "organization_id", 407),
    "person_id": ("1003.0::DOUBLE", "person_id", 1003),
    "visible_to": ("7::UTINYINT", "visible_to", "7"),
    "value": (
        "MAP {'amount': '50.50', 'currency': 'eur'}",
        "value",
        {"amount": 50.5, "currency": "EUR"},
    ),
    "expected_close_date": (
        "TIMESTAMPTZ '2026-12-31 23:30:00+00'",
        "expected_close_date",
        "2027-01-01",
    ),
    "labels": ("to_json(['Hot'])", "label_ids", ["014eb6c2-c885-5991-b36b-0d279a82044a"]),
    "lead_score": ("50.1::FLOAT", "Lead score", 50.1),
    "win_probability": ("0.10::DECIMAL(4, 2)", "Win probability", 0.1),
    "seats_wanted": ("'12'::JSON", "Seats wanted", 12),
    "tier": ("'gold'", "Tier", 190),
    "products": ("['Core', '233']", "Products", "231,233"),
    "deal_cost": ("{'amount': 1200.50::DECIMAL(18, 4), 'currency': 'SEK'}", "Deal cost", 1200.5),
    "account_manager": ("'ADA.LIND@example.com'", "Account manager", 1001),
    "partner": ("'311'", "Partner", 311),
    "decision_maker": ("1092::BIGINT", "Decision maker", 1092),
    "next_call": ("TIMESTAMP '2027-02-03 10:00:00'", "Next call", "2027-02-03"),
    "call_at": ("TIME '09:30:00'", "Call at", "09:30:00"),
    "contract_period": (
        "{'from': DATE '2027-01-01', 'until': DATE '2027-12-31'}",
        "Contract period",
        "2027-01-01",
    ),
    "callback_window": ("'08:15'", "Callback window", "08:15:00"),
    "hq_address": ("to_json('Kungsgatan 1, Stockholm')", "HQ address", "Kungsgatan 1, Stockholm"),
    "notes": ("'zwölf 🚚'", "Notes", "zwölf 🚚"),
    "external_id": (
        "'0191A0B2-0000-7000-8000-000000000001'::UUID",
        "External id",
        "0191a0b2-0000-7000-8000-000000000001",
    ),
    "segment": ("0", "Segment", "0"),
    "mobile": ("460701234567::HUGEINT", "Mobile", "460701234567"),
}
COMPANIONS = {"Deal cost_currency": "SEK", "Contract period_until": "2027-12-31"}

# a column's expression that cannot be sent → what its outcome tells
REFUSED = {
    "'NaN'::DOUBLE AS lead_score": ("lead_score 'nan'", "not a finite number"),
    "'-inf'::FLOAT AS lead_score": ("lead_score '-inf'", "not a finite number"),
    "1e20 AS lead_score": ("lead_score", "more digits"),
    "123456789012345678.91::DECIMAL(38, 2) AS value_amount": ("value_amount", "round it"),
    "0.00000000000000001::DECIMAL(38, 17) AS lead_score": ("lead_score", "16 decimals"),
    "'abc'::BLOB AS title": ("title", "is not text"),
    "'infinity'::TIMESTAMP AS expected_close_date": ("expected_close_date", "infinite"),
    "TIMESTAMPTZ '9999-12-31 23:59:59+00' AS expected_close_date": (
        "expected_close_date",
        "infinite",
    ),
    "[1, 2] AS person_id": ("person_id", "is not an id"),
    "{'a': 1} AS value": ("value", "other keys than amount and currency"),
    "1.5 AS owner_id": ("owner_id '1.5'", "whole number"),
    "'2026-13-01' AS expected_close_date": ("expected_close_date '2026-13-01'", "write it like"),
    "TIMETZ '09:30:00+02:00' AS call_at": ("call_at", "time with a zone"),
    "'09:30+02:00' AS call_at": ("call_at '09:30+02:00'", "time with a zone"),
}


def make_table(site: Site, sql: str) -> None:
    with duckdb.connect(str(site.database)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
        connection.execute(f"CREATE OR REPLACE TABLE crm.lead_changes AS {sql}")


def test_every_type_goes_out_exactly(site: Site) -> None:
    lead = "11111111-2222-4333-8444-555555555555"
    site.pipedrive.set_lead(lead, title="As it is", person_id=1, organization_id=1)
    cells = ", ".join(f"{expression} AS {column}" for column, (expression, _, _) in EXACT.items())
    make_table(site, f"SELECT '{lead}'::UUID AS lead_id, {cells}")
    assert site.run(timezone="Europe/Stockholm").statuses["applied"] == 1
    [sent] = [one["body"] for one in site.pipedrive.requests("PATCH")]
    wanted = {key: value for _, key, value in EXACT.values()} | COMPANIONS
    assert sent == {wire_key(name): value for name, value in wanted.items()}
    assert {key: type(value) for key, value in sent.items()} == {
        wire_key(name): type(value) for name, value in wanted.items()
    }
    assert site.run(timezone="Europe/Stockholm").unchanged == 1


def wire_key(name: str) -> str:
    base, _, suffix = name.partition("_")
    if base not in CUSTOM_FIELDS:
        return name
    return f"{CUSTOM_FIELDS[base]}_{suffix}" if suffix else CUSTOM_FIELDS[base]


def test_a_null_of_a_struct_clears_both_ends(site: Site) -> None:
    lead, period = "11111111-2222-4333-8444-555555555555", wire_key("Contract period")
    ends = {period: "2026-01-01", f"{period}_until": "2026-03-31"}
    site.pipedrive.set_lead(lead, title="T", person_id=1, **ends)
    cell = 'NULL::STRUCT("from" DATE, until DATE)'
    make_table(site, f"SELECT '{lead}' AS lead_id, {cell} AS contract_period")
    assert site.run().statuses["applied"] == 1
    [sent] = [one["body"] for one in site.pipedrive.requests("PATCH")]
    assert sent == dict.fromkeys(ends)


@pytest.mark.parametrize(("cell", "told"), REFUSED.items())
def test_what_cannot_be_sent_is_rejected(site: Site, cell: str, told: tuple[str, ...]) -> None:
    lead = next(iter(site.pipedrive.leads()))
    make_table(site, f"SELECT '{lead}' AS lead_id, {cell}")
    assert site.run(timezone="Europe/Stockholm").statuses["rejected"] == 1
    [outcome] = site.outcomes()
    assert all(part in outcome["reason"] for part in told), outcome["reason"]
    assert site.pipedrive.requests("PATCH") == []


def test_changes_as_a_struct_stop_the_run(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    make_table(site, f"SELECT '{lead}' AS lead_id, {{'title': 'A', 'value': NULL}} AS changes")
    with pytest.raises(LeadSyncError, match="make it JSON"):
        site.run()
