"""The other ways to say what is wanted: `changes`, a struct, and columns of unusual types."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector.errors import DesiredTableError
from connector.sandbox import CUSTOM_FIELDS
from connector.sync.summary import Summary
from tests.support.harness import NewSite, Site, bodies, lead_id, wire
from tests.support.leads import COLD, FULL_LEAD, HOT, NOTES, SCORE, WARM, Case, put_leads

pytestmark = pytest.mark.xdist_group("sync columns")

MANAGER = CUSTOM_FIELDS["Account manager"]
BRUNO = "bruno.keller@example.com"


@dataclass(frozen=True)
class Seen:
    """One run on one row a case, and the bodies that it sent."""

    summary: Summary
    sent: dict[str, list[Any]]


def seen_after(site: Site, types: dict[str, str], cases: list[Case], **settings: Any) -> Seen:
    put_leads(site.pipedrive, cases)
    rows = [{**case.cells, "lead_id": case.lead_id} for case in cases]
    site.desire(types, rows, settings.get("desired_table", "crm.lead_changes"))
    summary = site.run(**settings)
    return Seen(summary, bodies(site.pipedrive))


def sparse(changes: str | None, *expected: Any, title: str = "Full") -> Case:
    cells = {"title": title, "changes": changes}
    return Case(f"{title}: changes {changes}", FULL_LEAD, cells, expected)


def money(amount: Any, currency: str = "EUR") -> dict[str, Any]:
    return {"value": {"amount": amount, "currency": currency}}


CHANGES = [
    sparse(None),
    sparse("{}"),
    sparse('{"title": null, "owner_id": null, "was_seen": null, "visible_to": null}'),
    sparse('{"title": "New"}', {"title": "New"}),
    sparse('{"title": "From changes"}', {"title": "From changes"}, title="From the column"),
    sparse('{"title": "Full"}', title="From the column"),
    sparse('{"was_seen": false}', {"title": "Both", "was_seen": False}, title="Both"),
    sparse('{"owner_id": "1004"}', {"owner_id": 1004}),
    sparse('{"person_id": null}', {"person_id": None}),
    sparse('{"label_ids": null}', {"label_ids": []}),
    sparse(json.dumps({"label_ids": [HOT, COLD]})),
    sparse(json.dumps({"label_ids": [WARM]}), {"label_ids": [WARM]}),
    sparse('{"value": null}', {"value": None}),
    sparse('{"value": {"amount": 50.50}}', money(50.5)),
    sparse('{"value": {"currency": "USD"}}', money(100, "USD")),
    sparse('{"value_amount": 0}', money(0)),
    sparse('{"value_amount": 100.0, "value_currency": "EUR"}'),
    sparse('{"expected_close_date": "2027-02-28"}', {"expected_close_date": "2027-02-28"}),
    sparse('{"Lead score": 0}', {SCORE: 0}),
    sparse('{"lead_score": 8.25}', {SCORE: 8.25}),
    sparse('{"lead_score": null}', {SCORE: None}),
    sparse(json.dumps({SCORE: 7.5})),
    sparse('{"Notes": ""}', {NOTES: None}),
    sparse('{"Notes": "Łódź ✓"}', {NOTES: "Łódź ✓"}),
]


@pytest.fixture(scope="module")
def sparsely(new_site: NewSite) -> Seen:
    types = {"lead_id": "VARCHAR", "title": "VARCHAR", "changes": "JSON"}
    return seen_after(new_site(), types, CHANGES)


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case.name)
def test_changes_are_a_merge_patch(sparsely: Seen, case: Case) -> None:
    assert wire(sparsely.sent.get(case.lead_id, [])) == wire(list(case.expected))


def test_every_change_is_taken(sparsely: Seen) -> None:
    changed = sum(bool(case.expected) for case in CHANGES)
    assert sparsely.summary.statuses["applied"] == changed
    assert sparsely.summary.unchanged == len(CHANGES) - changed


def test_changes_may_give_by_email_what_a_column_gives_by_id(site: Site) -> None:
    types = {"lead_id": "VARCHAR", "account_manager": "BIGINT", "changes": "VARCHAR"}
    changes = json.dumps({"account_manager": BRUNO})
    case = Case("by e-mail", FULL_LEAD, {"account_manager": 1001, "changes": changes}, ())
    assert seen_after(site, types, [case]).sent == {case.lead_id: [{MANAGER: 1004}]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ('{"lead_score": NaN}', "lead_score 'nan' is not a finite number"),
        ('{"lead_score": -Infinity}', "lead_score '-inf' is not a finite number"),
        (r'{"Notes": "\ud83d"}', "has half an emoji in it; mend the text"),
    ],
)
def test_a_field_that_one_row_alone_names_is_known_though_its_value_is_no_json(
    site: Site, changes: str, reason: str
) -> None:
    row = {"lead_id": next(iter(site.pipedrive.leads())), "changes": changes}
    site.desire({"lead_id": "VARCHAR", "changes": "VARCHAR"}, [row])
    site.run()
    [outcome] = site.outcomes()
    assert (outcome["status"], reason in outcome["reason"]) == ("rejected", True), outcome["reason"]


NIGHT_IN_LONDON = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
AS_IT_IS: dict[str, Any] = {
    "value": {"amount": Decimal("100.00"), "currency": "EUR"},
    "closes": datetime(2026, 12, 30, 23, 30, tzinfo=UTC),
    "label_ids": json.dumps([COLD, HOT]),
    "person_id": "1201",
    "owner_id": Decimal("1001.00"),
    "visible_to": "3",
    "was_seen": 1,
    "is_archived": "false",
    "channel": 53.0,
    "Lead score": "7.50",
}
TYPES = {
    "lead_id": "VARCHAR",
    "value": "STRUCT(amount DECIMAL(12, 2), currency VARCHAR)",
    "closes": "TIMESTAMPTZ",
    "label_ids": "VARCHAR",
    "person_id": "VARCHAR",
    "owner_id": "DECIMAL(18, 2)",
    "visible_to": "VARCHAR",
    "was_seen": "INTEGER",
    "is_archived": "VARCHAR",
    "channel": "DOUBLE",
    "Lead score": "VARCHAR",
}


def typed(column: str, value: Any, *expected: Any) -> Case:
    cells = {**AS_IT_IS, column: value}
    return Case(f"{TYPES[column]} {column} {value!r}", FULL_LEAD, cells, expected)


def struct(amount: str | None, currency: str | None) -> dict[str, Any]:
    return {"amount": None if amount is None else Decimal(amount), "currency": currency}


UNUSUAL = [
    Case("all alike", FULL_LEAD, AS_IT_IS),
    typed("value", struct("50.50", "EUR"), money(50.5)),
    typed("value", struct("0.00", "EUR"), money(0)),
    typed("value", struct("5.00", None), money(5)),
    typed("value", struct("100.00", "usd"), money(100, "USD")),
    typed("value", struct(None, None), {"value": None}),
    typed("value", None, {"value": None}),
    typed("closes", NIGHT_IN_LONDON, {"expected_close_date": "2027-01-01"}),
    typed("label_ids", "[]", {"label_ids": []}),
    typed("label_ids", WARM, {"label_ids": [WARM]}),
    typed("person_id", " 1300 ", {"person_id": 1300}),
    typed("owner_id", Decimal("1004.00"), {"owner_id": 1004}),
    typed("visible_to", "7", {"visible_to": "7"}),
    typed("was_seen", 0, {"was_seen": False}),
    typed("is_archived", "TRUE", {"is_archived": True}),
    typed("channel", 54.0, {"channel": 54}),
    typed("Lead score", "0", {SCORE: 0}),
    typed("Lead score", "12.50", {SCORE: 12.5}),
]


@pytest.fixture(scope="module")
def unusually(new_site: NewSite) -> Seen:
    settings = {
        "desired_table": "mart.leads",
        "columns": {"closes": "expected_close_date"},
        "timezone": "Asia/Tokyo",
    }
    return seen_after(new_site(), TYPES, UNUSUAL, **settings)


@pytest.mark.parametrize("case", UNUSUAL, ids=lambda case: case.name)
def test_values_go_out_in_the_fields_type(unusually: Seen, case: Case) -> None:
    assert wire(unusually.sent.get(case.lead_id, [])) == wire(list(case.expected))


def test_every_value_is_taken(unusually: Seen) -> None:
    assert unusually.summary.statuses["applied"] == len(UNUSUAL) - 1
    assert unusually.summary.unchanged == 1


@pytest.mark.parametrize("name", ["owner_email", "labels", "channel"])
def test_a_column_that_could_be_of_two_fields_stops_the_run(site: Site, name: str) -> None:
    """Though nothing else in the table needs the account's own fields."""
    [lead] = put_one_lead(site)
    key = "a1" * 20
    definition = {"key": key, "name": name.replace("_", " ").capitalize(), "field_type": "varchar"}
    answer = {"success": True, "data": [definition]}
    site.pipedrive.fault("status", status=200, route="leadFields", body=answer, times=100)
    site.desire({"lead_id": "VARCHAR", name: "VARCHAR"}, [{"lead_id": lead, name: "Mine"}])
    with pytest.raises(DesiredTableError, match=f"could be the lead's own {name} or {key}"):
        site.run()
    asked = {
        (row["method"], row["path"].removeprefix("/api/v1")) for row in site.pipedrive.requests()
    }
    names = ("/users/me", "/leadFields", "/users", "/leadLabels")
    assert asked <= {("GET", name) for name in names}
    checked = site.command("check")
    assert (checked.code, f"could be the lead's own {name}" in checked.told) == (1, True)
    summary = site.run(columns={name: key})
    assert (summary.exit_code, bodies(site.pipedrive)) == (3, {lead: [{key: "Mine"}]})


@pytest.mark.parametrize(
    ("name", "spelled"), [("owner_email", "Owner email"), ("channel", "chan-nel")]
)
def test_config_may_spell_the_name_of_such_a_column_otherwise(
    site: Site, name: str, spelled: str
) -> None:
    [lead] = put_one_lead(site)
    key = "a1" * 20
    definition = {"key": key, "name": spelled, "field_type": "varchar"}
    answer = {"success": True, "data": [definition]}
    site.pipedrive.fault("status", status=200, route="leadFields", body=answer, times=100)
    site.desire({"lead_id": "VARCHAR", name: "VARCHAR"}, [{"lead_id": lead, name: BRUNO}])
    site.run(columns={spelled: key})
    assert bodies(site.pipedrive) == {lead: [{key: BRUNO}]}
    with pytest.raises(DesiredTableError, match=f"could be the lead's own {name} or {key}"):
        site.run(columns={spelled: name.upper()})


@pytest.mark.parametrize(
    ("column", "target", "called", "value", "sent"),
    [
        ("my_labels", "labels", "My Labels", ["Hot"], {"label_ids": [HOT]}),
        ("account_owner", "owner_email", "Account owner", BRUNO, {"owner_id": 1004}),
        ("am", "Account manager", "AM", BRUNO, {MANAGER: 1004}),
    ],
)
def test_changes_may_spell_a_mapped_name_otherwise(
    site: Site, column: str, target: str, called: str, value: Any, sent: dict[str, Any]
) -> None:
    """What is asked of the account goes by the field that is meant, as labels and users do."""
    [lead] = put_one_lead(site)
    changes = json.dumps({called: value})
    site.desire(
        {"lead_id": "VARCHAR", "changes": "VARCHAR"}, [{"lead_id": lead, "changes": changes}]
    )
    assert site.run(columns={column: target}).exit_code == 0
    assert bodies(site.pipedrive) == {lead: [sent]}


def test_check_finds_a_name_of_two_fields_that_a_run_does_not_look_for(site: Site) -> None:
    [lead] = put_one_lead(site)
    definition = {"key": "a1" * 20, "name": "Title", "field_type": "varchar"}
    answer = {"success": True, "data": [definition]}
    site.pipedrive.fault("status", status=200, route="leadFields", body=answer, times=100)
    site.desire_titles({lead: "One"})
    assert site.run().exit_code == 0
    checked = site.command("check")
    assert checked.code == 1
    assert "column 'title' could be the lead's own title or a1a1" in checked.told


def put_one_lead(site: Site) -> list[str]:
    site.pipedrive.reset(leads=0)
    lead = lead_id("one")
    site.pipedrive.set_lead(lead, title="One", organization_id=301)
    return [lead]
