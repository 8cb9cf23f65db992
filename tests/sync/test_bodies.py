"""Which body is sent for which cell: the smallest one, in the types that Pipedrive takes.

Every row manages every field. Its lead says the same but for what the case names, so a body
with more in it than expected is as wrong as one with less.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.support.harness import Ended, NewSite, Row, Site, bodies, lead_id, wire
from tests.support.leads import (
    BARE_LEAD,
    CAMPAIGN,
    COLD,
    EXTERNAL_ID,
    FULL_LEAD,
    HOT,
    MOBILE,
    NOTES,
    SCORE,
    WARM,
    Case,
    put_leads,
)

pytestmark = pytest.mark.xdist_group("sync bodies")

COLUMNS = {
    "lead_id": "UUID",
    "title": "VARCHAR",
    "owner_id": "DOUBLE",
    "label_ids": "VARCHAR[]",
    "person_id": "BIGINT",
    "organization_id": "VARCHAR",
    "is_archived": "BOOLEAN",
    "value_amount": "DECIMAL(12, 2)",
    "value_currency": "VARCHAR",
    "expected_close_date": "DATE",
    "visible_to": "INTEGER",
    "was_seen": "BOOLEAN",
    "channel": "INTEGER",
    "channel_id": "VARCHAR",
    SCORE: "DECIMAL(18, 4)",
    NOTES: "VARCHAR",
    EXTERNAL_ID: "VARCHAR",
    MOBILE: "VARCHAR",
    CAMPAIGN: "VARCHAR",
    "updated_at": "TIMESTAMP",
    "_dlt_load_id": "VARCHAR",
}
BARE_ROW: Row = {
    "title": "Bare",
    "owner_id": 1001.0,
    "organization_id": "301",
    "is_archived": False,
    "visible_to": 3,
    "was_seen": False,
}
FULL_ROW: Row = {
    **BARE_ROW,
    "title": "Full",
    "label_ids": [COLD, HOT],
    "person_id": 1201,
    "value_amount": Decimal("100.00"),
    "value_currency": "eur",
    "expected_close_date": date(2026, 12, 31),
    "was_seen": True,
    "channel": 53,
    "channel_id": "Spring",
    SCORE: Decimal("7.5000"),
    NOTES: "Asked for a quote.",
    EXTERNAL_ID: "CRM-1",
    MOBILE: "+49 40 555 1",
    CAMPAIGN: "webinar",
}


def on_bare(column: str, value: Any, *expected: Any) -> Case:
    return Case(f"set {column} to {value!r}", BARE_LEAD, {column: value}, expected)


def on_full(column: str, value: Any, *expected: Any) -> Case:
    return Case(f"change {column} to {value!r}", FULL_LEAD, {column: value}, expected)


def null(column: str, *expected: Any) -> Case:
    return Case(f"NULL in {column}", FULL_LEAD, {column: None}, expected)


def money(amount: Any, currency: str = "EUR") -> Row:
    return {"value": {"amount": amount, "currency": currency}}


ALIKE = [
    Case("nothing set, nothing wanted", BARE_LEAD, {}),
    Case("everything set, the same wanted", FULL_LEAD, {}),
    on_bare("channel_id", ""),
    on_bare(NOTES, ""),
    on_bare(EXTERNAL_ID, ""),
]
SETS = [
    on_bare("title", "New", {"title": "New"}),
    on_bare("owner_id", 1004.0, {"owner_id": 1004}),
    on_bare("label_ids", [WARM], {"label_ids": [WARM]}),
    on_bare("person_id", 1300, {"person_id": 1300}),
    on_bare("organization_id", "412", {"organization_id": 412}),
    on_bare("is_archived", True, {"is_archived": True}),
    Case(
        "set a value",
        BARE_LEAD,
        {"value_amount": Decimal(100), "value_currency": "EUR"},
        (money(100),),
    ),
    on_bare("expected_close_date", date(2027, 1, 31), {"expected_close_date": "2027-01-31"}),
    on_bare("visible_to", 5, {"visible_to": "5"}),
    on_bare("was_seen", True, {"was_seen": True}),
    on_bare("channel", 55, {"channel": 55}),
    on_bare("channel_id", "Autumn", {"channel_id": "Autumn"}),
    on_bare(SCORE, Decimal("50.5000"), {SCORE: 50.5}),
    on_bare(SCORE, Decimal("0.0000"), {SCORE: 0}),
    on_bare(NOTES, "Called.\nNo answer – “later”", {NOTES: "Called.\nNo answer – “later”"}),
    on_bare(EXTERNAL_ID, "007", {EXTERNAL_ID: "007"}),
    on_bare(MOBILE, "+49 40 1", {MOBILE: "+49 40 1"}),
    on_bare(CAMPAIGN, "fair", {CAMPAIGN: "fair"}),
]
CHANGES = [
    on_full("title", "New", {"title": "New"}),
    on_full("owner_id", 1004.0, {"owner_id": 1004}),
    on_full("label_ids", [WARM, HOT], {"label_ids": sorted([WARM, HOT])}),
    on_full("label_ids", [], {"label_ids": []}),
    on_full("person_id", 1300, {"person_id": 1300}),
    on_full("organization_id", "412", {"organization_id": 412}),
    on_full("is_archived", True, {"is_archived": True}),
    on_full("value_amount", Decimal("50.50"), money(50.5)),
    on_full("value_amount", Decimal("0.00"), money(0)),
    on_full("value_amount", Decimal("-19.99"), money(-19.99)),
    on_full("value_currency", "usd", money(100, "USD")),
    on_full("expected_close_date", date(2027, 1, 31), {"expected_close_date": "2027-01-31"}),
    on_full("visible_to", 7, {"visible_to": "7"}),
    on_full("was_seen", False, {"was_seen": False}),
    on_full("channel", 55, {"channel": 55}),
    on_full("channel_id", "Autumn", {"channel_id": "Autumn"}),
    on_full(SCORE, Decimal("3.0000"), {SCORE: 3}),
    on_full(SCORE, Decimal("0.0000"), {SCORE: 0}),
    on_full(NOTES, "New", {NOTES: "New"}),
    on_full(EXTERNAL_ID, "CRM-2", {EXTERNAL_ID: "CRM-2"}),
    on_full(MOBILE, "+49 40 2", {MOBILE: "+49 40 2"}),
    on_full(CAMPAIGN, "fair", {CAMPAIGN: "fair"}),
    Case(
        "archive with other changes",
        FULL_LEAD,
        {"is_archived": True, "title": "Last word", "person_id": None},
        ({"is_archived": True, "title": "Last word", "person_id": None},),
    ),
]
CLEARS = [
    null("label_ids", {"label_ids": []}),
    null("person_id", {"person_id": None}),
    null("organization_id", {"organization_id": None}),
    null("value_amount", {"value": None}),
    Case(
        "NULL in both halves of a value",
        FULL_LEAD,
        {"value_amount": None, "value_currency": None},
        ({"value": None},),
    ),
    null("expected_close_date", {"expected_close_date": None}),
    null("channel", {"channel": None}),
    null("channel_id", {"channel_id": None}),
    null(SCORE, {SCORE: None}),
    null(NOTES, {NOTES: None}),
    null(EXTERNAL_ID, {EXTERNAL_ID: None}),
    null(MOBILE, {MOBILE: None}),
    null(CAMPAIGN, {CAMPAIGN: None}),
    on_full("channel_id", "", {"channel_id": None}),
    on_full(NOTES, "", {NOTES: None}),
    on_full(EXTERNAL_ID, "", {EXTERNAL_ID: None}),
]
LEFT_ALONE = [
    null("title"),
    null("owner_id"),
    null("is_archived"),
    null("visible_to"),
    null("was_seen"),
]
"""NULL in fields that Pipedrive cannot clear."""
HALVES = [null("value_currency")]
"""A currency cannot be cleared without its amount."""

SEVERAL_ROWS = Case(
    "the newest of several rows counts",
    FULL_LEAD,
    {"title": "Newest", "updated_at": datetime(2026, 3, 2)},
    ({"title": "Newest"},),
)
OLDER: Row = {"title": "Older", "updated_at": datetime(2026, 3, 1), "person_id": None}

CASES = [*ALIKE, *SETS, *CHANGES, *CLEARS, *LEFT_ALONE, *HALVES, SEVERAL_ROWS]


@dataclass(frozen=True)
class Seen:
    """Two runs of the command on one row a case, and what they left."""

    site: Site
    second: Ended
    sent: dict[str, list[Any]]
    sent_again: dict[str, list[Any]]
    runs: list[Row]
    leads: dict[str, Row]


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    put_leads(site.pipedrive, CASES)
    alike = {id(BARE_LEAD): BARE_ROW, id(FULL_LEAD): FULL_ROW}
    rows = [{**alike[id(case.lead)], **case.cells, "lead_id": case.lead_id} for case in CASES]
    older = {**FULL_ROW, **OLDER, "lead_id": SEVERAL_ROWS.lead_id}
    site.desire(COLUMNS, [*rows, older])
    first = site.command("run")
    assert first.code == 0, first.told
    sent = bodies(site.pipedrive)
    site.pipedrive.clear_requests()
    second = site.command("run")
    runs = site.query("SELECT * FROM pipedrive_leads.sync_runs ORDER BY started_at")
    sent_again, leads = bodies(site.pipedrive), site.pipedrive.leads()
    return Seen(site, second, sent, sent_again, runs, leads)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_smallest_body_is_sent(seen: Seen, case: Case) -> None:
    assert wire(seen.sent.get(case.lead_id, [])) == wire(list(case.expected))


def test_every_patch_is_taken(seen: Seen) -> None:
    changed = sum(bool(case.expected) for case in CASES)
    assert seen.runs[0]["applied"] == changed
    assert seen.runs[0]["unchanged"] == len(CASES) - changed


def test_nulls_that_cannot_clear_are_counted(seen: Seen) -> None:
    assert [run["kept_nulls"] for run in seen.runs] == [len(LEFT_ALONE)] * 2


def test_a_second_run_sends_nothing(seen: Seen) -> None:
    assert (seen.second.code, seen.sent_again) == (0, {})
    assert seen.runs[1]["unchanged"] == len(CASES)


def test_a_plan_keeps_the_digits_that_are_sent(seen: Seen) -> None:
    [row] = seen.site.query(
        "SELECT body FROM pipedrive_leads.lead_patches WHERE lead_id = ?",
        lead_id("change value_amount to Decimal('50.50')"),
    )
    assert row["body"].replace(" ", "") == '{"value":{"amount":50.5,"currency":"EUR"}}'


def test_what_a_body_does_not_name_stays(seen: Seen) -> None:
    lead = seen.leads[lead_id("archive with other changes")]
    wanted = {**FULL_LEAD, "is_archived": True, "title": "Last word", "person_id": None}
    assert {key: lead[key] for key in wanted} == wanted
