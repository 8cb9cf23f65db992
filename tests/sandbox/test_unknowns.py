"""Each reading of what Pipedrive's documentation leaves open can be played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from connector.sandbox.directory import LABELS
from connector.sandbox.settings import CHOICES
from tests.support.api import Api

NOTES, COST = CUSTOM_FIELDS["Notes"], CUSTOM_FIELDS["Deal cost"]
SCORE = CUSTOM_FIELDS["Lead score"]
Body = dict[str, Any]
BEFORE: Body = {
    "title": "As it was",
    "owner_id": 1004,
    "visible_to": "3",
    "label_ids": [LABELS[0]["id"]],
    "person_id": 1001,
    "organization_id": 301,
    NOTES: "A note",
}
IN_DOUBT: Mapping[str, tuple[Body, Body]] = {
    "title_null": ({"title": None}, {"title": None}),
    "title_empty": ({"title": ""}, {"title": ""}),
    "owner_null": ({"owner_id": None}, {}),
    "visible_null": ({"visible_to": None}, {}),
    "labels_null": ({"label_ids": None}, {"label_ids": []}),
    "labels_empty": ({"label_ids": []}, {"label_ids": []}),
    "contact_null": (
        {"person_id": None, "organization_id": None},
        {"person_id": None, "organization_id": None},
    ),
    "custom_null": ({NOTES: None}, {NOTES: None}),
    "visible_beyond_plan": ({"visible_to": "7"}, {"visible_to": "7"}),
    "negative_amount": (
        {"value": {"amount": -1, "currency": "EUR"}},
        {"value": {"amount": -1, "currency": "EUR"}},
    ),
}
"""For each setting a body in doubt, and what a lead shows where it is taken."""


@pytest.mark.parametrize(
    ("setting", "choice"),
    [(setting, choice) for setting in IN_DOUBT for choice in CHOICES[setting]],
)
def test_a_value_in_doubt(
    api: Api, pipedrive: LocalPipedrive, lead: Body, setting: str, choice: str
) -> None:
    body, taken = IN_DOUBT[setting]
    pipedrive.set_lead(lead["id"], **BEFORE)
    pipedrive.settings(**{setting: choice})
    answer = api.patch(lead["id"], {**body, "channel_id": "Beside"})
    stored = pipedrive.lead(lead["id"])
    seen = {key: stored.get(key) for key in body}
    assert answer.status_code == (400 if choice == "refuse" else 200)
    assert (stored["channel_id"] == "Beside") is (choice != "refuse")
    assert seen == (taken if choice == "take" else {key: stored_before(lead, key) for key in body})


def stored_before(lead: Body, key: str) -> Any:
    return BEFORE.get(key, lead.get(key))


def test_every_reading_of_a_value_in_doubt_is_played() -> None:
    readings = {name for name, choices in CHOICES.items() if {"take", "refuse"} <= {*choices}}
    assert readings - {"empty_body"} == IN_DOUBT.keys() - {"owner_null", "visible_null"}


def test_a_level_within_the_plan_is_never_in_doubt(
    api: Api, pipedrive: LocalPipedrive, lead: Body
) -> None:
    pipedrive.settings(visible_beyond_plan="refuse", plan="premium")
    assert api.patch(lead["id"], {"visible_to": "7"}).status_code == 200


@pytest.mark.parametrize(("choice", "status"), [("refuse", 400), ("take", 200)])
def test_an_empty_body(
    api: Api, pipedrive: LocalPipedrive, lead: Body, choice: str, status: int
) -> None:
    pipedrive.settings(empty_body=choice)
    assert api.patch(lead["id"], {}).status_code == status


@pytest.mark.parametrize(
    ("setting", "choice", "body", "shown"),
    [
        ("text_tidied", "keep", {"title": " T ", NOTES: " n "}, {"title": " T ", NOTES: " n "}),
        ("text_tidied", "trim", {"title": " T ", NOTES: " n "}, {"title": "T", NOTES: "n"}),
        ("text_tidied", "trim", {"channel_id": " c"}, {"channel_id": "c"}),
        ("amount_tidied", "keep", {COST: 1.005}, {COST: 1.005}),
        ("amount_tidied", "round", {COST: 1.239}, {COST: 1.24}),
        ("amount_tidied", "round", {SCORE: 1.239}, {SCORE: 1.239}),
        (
            "amount_tidied",
            "round",
            {"value": {"amount": 2.999, "currency": "EUR"}},
            {"value": {"amount": 3.0, "currency": "EUR"}},
        ),
        ("long_decimals", "round", {SCORE: 0.12345678901234567}, {SCORE: 0.1234567890123457}),
        ("long_decimals", "round", {SCORE: 1e-17}, {SCORE: 0.0}),
        ("empty_text", "keep", {"channel_id": ""}, {"channel_id": ""}),
        ("empty_text", "clear", {"channel_id": ""}, {"channel_id": None}),
    ],
)
def test_what_is_kept_tidied(
    api: Api, pipedrive: LocalPipedrive, lead: Body, setting: str, choice: str, body: Body,
    shown: Body,
) -> None:  # fmt: skip
    pipedrive.settings(**{setting: choice})
    answer = api.patch(lead["id"], body).json()["data"]
    assert {key: answer[key] for key in body} == shown
    assert {key: pipedrive.lead(lead["id"])[key] for key in body} == shown


@pytest.mark.parametrize(
    ("choice", "quiet"),
    [("none", set()), ("seen_and_labels", {"was_seen", "label_ids"}), ("custom", {NOTES})],
)
def test_changes_that_leave_update_time(
    api: Api, pipedrive: LocalPipedrive, lead: Body, choice: str, quiet: set[str]
) -> None:
    pipedrive.settings(quiet_keys=choice)
    changes: Body = {
        "title": "New",
        "was_seen": not lead["was_seen"],
        "label_ids": [LABELS[2]["id"], LABELS[3]["id"]],
        NOTES: "New",
    }
    for key, value in changes.items():
        before = pipedrive.lead(lead["id"])["update_time"]
        after = api.patch(lead["id"], {key: value}).json()["data"]
        assert after[key] == value
        assert (after["update_time"] == before) is (key in quiet)


@pytest.mark.parametrize(("choice", "status"), [("shown", 200), ("missing", 404)])
def test_an_archived_lead_by_id(
    api: Api, pipedrive: LocalPipedrive, lead: Body, choice: str, status: int
) -> None:
    pipedrive.settings(archived_by_id=choice)
    pipedrive.archive_lead(lead["id"])
    assert api.get(f"leads/{lead['id']}").status_code == status
    archived = api.get("leads/archived", limit=500).json()["data"]
    assert lead["id"] in {row["id"] for row in archived}


@pytest.mark.parametrize(
    ("choice", "alone", "beside"),
    [("alone", 200, 403), ("with_others", 200, 200), ("never", 403, 403)],
)
def test_what_brings_an_archived_lead_back(
    api: Api, pipedrive: LocalPipedrive, lead: Body, choice: str, alone: int, beside: int
) -> None:
    pipedrive.settings(unarchive=choice)
    for body, status in (({}, alone), ({"title": "Back"}, beside)):
        pipedrive.archive_lead(lead["id"])
        answer = api.patch(lead["id"], {"is_archived": False, **body})
        assert answer.status_code == status
        assert pipedrive.lead(lead["id"])["is_archived"] is (status != 200)


def test_texts_that_are_not_the_documented_ones(
    api: Api, pipedrive: LocalPipedrive, lead: Body
) -> None:
    pipedrive.settings(not_found_text="other", archived_text="plain")
    pipedrive.archive_lead(lead["id"])
    archived = api.patch(lead["id"], {"title": "x"})
    assert archived.status_code == 403
    assert "archived" not in archived.text.lower()
    pipedrive.delete_lead(lead["id"])
    gone = api.get(f"leads/{lead['id']}")
    assert (gone.status_code, gone.json()["success"]) == (404, False)
    assert "lead" not in gone.text.lower()


@pytest.mark.parametrize(
    ("body", "content_type", "starts"),
    [("json", "application/json", "{"), ("html", "text/html", "<"), ("empty", "text/html", "")],
)
def test_what_a_429_says(
    api: Api, pipedrive: LocalPipedrive, body: str, content_type: str, starts: str
) -> None:
    pipedrive.settings(limits=True, daily_budget=0, limit_body=body)
    answer = api.get("leads")
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith(content_type)
    assert answer.text[:1] == starts


def test_source_deal_id_is_shown_where_it_is_asked_for(
    api: Api, pipedrive: LocalPipedrive, lead: Body
) -> None:
    assert "source_deal_id" not in api.get(f"leads/{lead['id']}").json()["data"]
    pipedrive.settings(source_deal_id=True)
    assert api.get(f"leads/{lead['id']}").json()["data"]["source_deal_id"] is None


def test_a_company_of_hundreds_of_users(api: Api, pipedrive: LocalPipedrive, lead: Body) -> None:
    """One call gives them all: GET /users is not paged (documented)."""
    pipedrive.reset(users=700)
    answer = api.get("users", start=3, limit=2).json()
    assert (len(answer["data"]), "additional_data" in answer) == (700, False)
    assert len({user["id"] for user in answer["data"]}) == 700
    assert len({user["email"] for user in answer["data"]}) == 700
    last = answer["data"][-1]["id"]
    assert api.patch(lead["id"], {"owner_id": last}).json()["data"]["owner_id"] == last
    assert api.patch(lead["id"], {"owner_id": last + 1}).status_code == 400
    pipedrive.reset()
    assert len(api.get("users").json()["data"]) == 6
    with pytest.raises(ValueError, match="users must be a number of at least 6"):
        pipedrive.settings(users=5)
