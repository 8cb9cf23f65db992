"""Calls beside reading lists and patching: new leads, deleted ones, search and what is fixed."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from tests.support.api import Api

NEW: dict[str, Any] = {"title": "New lead", "organization_id": 301}
NOTES = CUSTOM_FIELDS["Notes"]


def _add(api: Api, **fields: Any) -> requests.Response:
    return api("POST", "leads", json={**NEW, **fields})


def test_a_lead_is_made_with_what_the_api_sets(api: Api, pipedrive: LocalPipedrive) -> None:
    answer = _add(api, origin_id="job-7", **{NOTES: "n"})
    made = answer.json()["data"]
    assert (answer.status_code, pipedrive.requests()[-1]["wrote"]) == (201, True)
    assert pipedrive.lead(made["id"]) == made
    assert {"title": made["title"], "organization_id": made["organization_id"]} == NEW
    assert (made["source_name"], made["origin"], made["origin_id"]) == ("API", "API", "job-7")
    assert (made["owner_id"], made["creator_id"], made["person_id"]) == (1001, 1001, None)
    assert made["update_time"] == made["add_time"]
    assert made[NOTES] == "n"
    assert api.get("leads", limit=500).json()["data"][-1] == made
    assert _add(api).json()["data"]["id"] != made["id"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"organization_id": 301}, "title"),
        ({"title": "  ", "organization_id": 301}, "title"),
        ({"title": "x" * 256, "organization_id": 301}, "title"),
        ({"title": "No contact"}, "person_id"),
        ({"title": "Nobody", "person_id": 77}, "person_id"),
        ({**NEW, "organization_id": 77}, "organization_id"),
        ({**NEW, "value": {"amount": 1}}, "value"),
        ({**NEW, "origin_id": 5}, "origin_id"),
        ({**NEW, "owner_id": None}, "owner_id"),
    ],
)
def test_a_lead_that_is_refused_is_not_made(
    api: Api, pipedrive: LocalPipedrive, body: dict[str, Any], named: str
) -> None:
    answer = api("POST", "leads", json=body)
    assert answer.status_code == 400
    assert f'"{named}"' in answer.json()["error_info"]
    assert len(pipedrive.leads()) == 40


def test_a_new_lead_is_not_archived_whatever_the_body_says(api: Api) -> None:
    assert _add(api, is_archived=True).json()["data"]["is_archived"] is False


@pytest.mark.parametrize("archived", [False, True])
def test_a_lead_is_deleted_once(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], archived: bool
) -> None:
    pipedrive.set_lead(lead["id"], is_archived=archived)
    answer = api("DELETE", f"leads/{lead['id']}")
    assert (answer.status_code, answer.json()["data"]) == (200, {"id": lead["id"]})
    assert api("DELETE", f"leads/{lead['id']}").status_code == 404
    assert lead["id"] not in pipedrive.leads()


def test_those_who_may_see_a_lead(api: Api, lead: dict[str, Any]) -> None:
    answer = api.get(f"leads/{lead['id']}/permittedUsers")
    assert answer.json()["data"] == [1001, 1004, 1010, 1017, 1023]
    assert api.get(f"leads/{'0' * 8}-0000-4000-8000-{'0' * 12}/permittedUsers").status_code == 404


def _found(api: Api, **params: str | int) -> list[str]:
    answer = api.get("leads/search", **params)
    assert answer.status_code == 200, answer.text
    return [row["item"]["id"] for row in answer.json()["data"]["items"]]


def test_search(api: Api, pipedrive: LocalPipedrive) -> None:
    first = _add(api, title="Zeppelin one").json()["data"]["id"]
    second = _add(api, person_id=1002, **{NOTES: "as ZEPPELIN"}).json()["data"]["id"]
    pipedrive.archive_lead(first)
    assert _found(api, term="zeppelin") == [first, second]
    assert _found(api, term="zeppelin", fields="title") == [first]
    assert _found(api, term="zeppelin", fields="custom_fields,notes") == [second]
    assert _found(api, term="zeppelin one", exact_match="true") == [first]
    assert _found(api, term="zeppelin", exact_match="true") == []
    assert _found(api, term="zeppelin", person_id=1002) == [second]
    page = api.get("leads/search", term="zeppelin", limit=1, include_fields="lead.was_seen").json()
    assert page["additional_data"]["pagination"]["next_start"] == 1
    [row] = page["data"]["items"]
    assert (row["item"]["is_archived"], row["item"]["was_seen"]) == (True, False)


@pytest.mark.parametrize("params", [{}, {"term": "x"}, {"term": "xx", "fields": "phone"}])
def test_search_without_sense_is_refused(api: Api, params: dict[str, str]) -> None:
    assert api.get("leads/search", **params).status_code == 400


def test_search_has_a_window_of_its_own(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, plan="ultimate")
    statuses = [api.get("leads/search", term="xx").status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert api.get("users/me").status_code == 200


def test_lead_sources_and_deal_fields(api: Api) -> None:
    sources = [row["name"] for row in api.get("leadSources").json()["data"]]
    assert (len(sources), sources[-1]) == (10, "API")
    rows = {row["key"]: row for row in api.get("dealFields", limit=500).json()["data"]}
    assert [option["id"] for option in rows["channel"]["options"]] == [52, 53, 54, 55, 56]
    leads = {row["key"]: row for row in api.get("leadFields", limit=500).json()["data"]}
    custom = {key for key, row in leads.items() if row["edit_flag"]}
    assert {key for key, row in rows.items() if row["edit_flag"]} == custom
    assert len(api.get("dealFields", limit=3).json()["data"]) == 3
