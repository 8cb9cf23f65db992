from __future__ import annotations

from typing import Any

import pytest
import requests

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from tests.support.api import Api

STANDARD_KEYS = {
    "id", "title", "owner_id", "creator_id", "label_ids", "person_id", "organization_id",
    "source_name", "origin", "origin_id", "channel", "channel_id", "is_archived", "was_seen",
    "value", "expected_close_date", "next_activity_id", "add_time", "update_time", "visible_to",
    "cc_email",
}  # fmt: skip
FIELD_KEYS = {
    "id", "key", "name", "order_nr", "field_type", "add_time", "update_time",
    "last_updated_by_user_id", "created_by_user_id", "active_flag", "edit_flag",
    "index_visible_flag", "details_visible_flag", "add_visible_flag", "important_flag",
    "bulk_edit_allowed", "searchable_flag", "filtering_allowed", "sortable_flag", "options",
    "mandatory_flag",
}  # fmt: skip


def _ids(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


def _expected(pipedrive: LocalPipedrive, *, archived: bool = False) -> list[str]:
    return [k for k, lead in pipedrive.leads().items() if lead["is_archived"] is archived]


@pytest.mark.parametrize("path", ["leads", "leads/archived"])
def test_lists_show_oldest_first_and_split_by_archived(
    api: Api, pipedrive: LocalPipedrive, path: str
) -> None:
    for lead_id in list(pipedrive.leads())[5:9]:
        pipedrive.archive_lead(lead_id)
    expected = _expected(pipedrive, archived=path == "leads/archived")
    assert len(expected) >= 4
    answer = api.get(path)
    assert _ids(answer) == expected
    times = [row["add_time"] for row in answer.json()["data"]]
    assert times == sorted(times)
    assert all(row.keys() >= STANDARD_KEYS for row in answer.json()["data"])


@pytest.mark.parametrize("path", ["leads", "leadFields"])
@pytest.mark.parametrize("shape", ["nested", "flat"])
def test_pages_in_both_shapes_hold_every_row_once(
    api: Api, pipedrive: LocalPipedrive, shape: str, path: str
) -> None:
    pipedrive.settings(page_shape=shape)
    seen: list[object] = []
    more = True
    while more:
        body = api.get(path, limit=7, start=len(seen)).json()
        extra = body["additional_data"]
        paging = extra["pagination"] if shape == "nested" else extra
        assert (paging["start"], paging["limit"]) == (len(seen), 7)
        seen += [row["id"] for row in body["data"]]
        more = paging["more_items_in_collection"]
        expects_next = more and shape == "nested"
        assert paging.get("next_start") == (len(seen) if expects_next else None)
        assert ("next_start" in paging) is expects_next
    assert seen == [row["id"] for row in api.get(path, limit=500).json()["data"]]


def test_limit_is_100_by_default_and_500_at_most(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.reset(leads=600)
    assert len(_ids(api.get("leads"))) == 100
    answer = api.get("leads", limit=1000)
    assert len(_ids(answer)) == 500
    assert answer.json()["additional_data"]["pagination"]["limit"] == 500


@pytest.mark.parametrize(("form", "data"), [("list", []), ("null", None)])
def test_empty_page(api: Api, pipedrive: LocalPipedrive, form: str, data: object) -> None:
    pipedrive.settings(empty_page=form)
    body = api.get("leads", start=1000).json()
    assert body["data"] == data
    assert body["additional_data"]["pagination"]["more_items_in_collection"] is False


def test_updated_since_is_inclusive(api: Api, pipedrive: LocalPipedrive) -> None:
    first, second, third = _expected(pipedrive)[:3]
    pipedrive.set_lead(first, update_time="2026-10-01T09:59:59.999Z")
    pipedrive.set_lead(second, update_time="2026-10-01T10:00:00.000Z")
    pipedrive.set_lead(third, update_time="2026-10-01T10:00:00.500Z")
    assert _ids(api.get("leads", updated_since="2026-10-01T10:00:00Z")) == [second, third]
    assert _ids(api.get("leads", updated_since="2026-10-01T12:00:00.001+02:00")) == [third]
    assert _ids(api.get("leads", updated_since="2026-10-01T10:00:01Z")) == []


@pytest.mark.parametrize("key", ["owner_id", "person_id", "organization_id"])
def test_filters(api: Api, pipedrive: LocalPipedrive, key: str) -> None:
    leads = pipedrive.leads()
    wanted = next(leads[k][key] for k in _expected(pipedrive) if leads[k][key] is not None)
    expected = [k for k in _expected(pipedrive) if leads[k][key] == wanted]
    assert _ids(api.get("leads", **{key: wanted})) == expected
    assert _ids(api.get("leads", **{key: 1})) == []


def test_sort_by_several_names(api: Api, pipedrive: LocalPipedrive) -> None:
    leads = [pipedrive.lead(k) for k in _expected(pipedrive)]
    by_title = sorted(leads, key=lambda lead: lead["title"])
    expected = sorted(by_title, key=lambda lead: lead["owner_id"], reverse=True)
    assert _ids(api.get("leads", sort="owner_id DESC,title ASC")) == [x["id"] for x in expected]
    newest = sorted(leads, key=lambda lead: lead["update_time"], reverse=True)
    assert _ids(api.get("leads", sort="update_time DESC")) == [lead["id"] for lead in newest]
    assert len(_ids(api.get("leads", sort="expected_close_date"))) == len(leads)


@pytest.mark.parametrize(
    "params",
    [
        {"sort": "value DESC"},
        {"sort": "title UP"},
        {"limit": "0"},
        {"limit": "x"},
        {"start": "-1"},
        {"updated_since": "yesterday"},
        {"owner_id": "me"},
        {"filter_id": "1"},
    ],
)
def test_parameter_without_sense_is_refused(api: Api, params: dict[str, str]) -> None:
    assert api.get("leads", **params).status_code == 400


def test_lead_by_id_also_when_archived(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    assert api.get(f"leads/{lead['id'].upper()}").json()["data"] == lead
    pipedrive.archive_lead(lead["id"])
    assert api.get(f"leads/{lead['id']}").json()["data"]["is_archived"] is True


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "leads/{id}", 404),
        ("GET", "leads/{id}/flow", 404),
        ("GET", "lead", 404),
        ("GET", "leads/{id}/", 404),
        ("DELETE", "leads", 405),
        ("PATCH", "leads", 405),
        ("POST", "leads/{id}", 405),
        ("POST", "leads/search", 405),
        ("GET", "leads/{id}/followers", 404),
        ("GET", "leads/{id}/permittedUsers/1", 404),
        ("POST", "dealFields", 405),
        ("DELETE", "leads/not-a-uuid", 400),
        ("PATCH", "users/me", 405),
        ("GET", "leads/not-a-uuid", 400),
        ("PATCH", "leads/not-a-uuid", 400),
    ],
)
def test_wrong_urls_and_methods(
    api: Api, lead: dict[str, Any], method: str, path: str, status: int
) -> None:
    answer = api(method, path.format(id=lead["id"]), json={"title": "x"})
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["error"] != "requested lead not found"


def test_both_prefixes_and_no_other(pipedrive: LocalPipedrive) -> None:
    statuses = [
        requests.get(
            f"{pipedrive.base_url}{prefix}/users/me",
            headers={"x-api-token": pipedrive.api_token},
            timeout=5,
        ).status_code
        for prefix in ("/api/v1", "/v1", "/api/v2", "")
    ]
    assert statuses == [200, 200, 404, 404]


@pytest.mark.parametrize("headers", [{"x-api-token": "wrong"}, {"x-api-token": ""}])
def test_token_in_the_header_only(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = api(
        "PATCH",
        f"leads/{lead['id']}",
        json={"title": "x"},
        params={"api_token": pipedrive.api_token},
        headers=headers,
    )
    assert answer.status_code == 401
    assert answer.json() == {
        "success": False,
        "error": "unauthorized access",
        "errorCode": 401,
        "error_info": "Please check developers.pipedrive.com",
    }
    assert pipedrive.lead(lead["id"]) == lead


def test_fields_of_every_type_with_all_their_keys(api: Api) -> None:
    rows = api.get("leadFields", limit=500).json()["data"]
    assert all(row.keys() == FIELD_KEYS for row in rows)
    custom = {row["name"]: row for row in rows if row["edit_flag"]}
    assert {name: row["key"] for name, row in custom.items()} == CUSTOM_FIELDS
    assert {row["field_type"] for row in custom.values()} == {
        "varchar", "varchar_auto", "phone", "text", "double", "monetary", "enum", "set", "user",
        "org", "people", "date", "daterange", "timerange", "time", "address",
    }  # fmt: skip
    assert [option["label"] for option in custom["Tier"]["options"]] == ["Gold", "Silver", "Bronze"]
    assert {"title", "owner_id", "channel"} <= {row["key"] for row in rows if not row["edit_flag"]}


def test_labels_and_users(api: Api) -> None:
    labels = api.get("leadLabels").json()["data"]
    assert {"Hot", "Warm", "Cold"} < {label["name"] for label in labels}
    users = api.get("users").json()["data"]
    assert len(users) == 6
    assert [user["active_flag"] for user in users].count(False) == 1
    me = api.get("users/me").json()["data"]
    assert (me["id"], me["company_domain"]) == (users[0]["id"], "sandbox")


def test_other_readings_of_custom_fields(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    tier, manager, text = (CUSTOM_FIELDS[n] for n in ("Tier", "Account manager", "External id"))
    pipedrive.set_lead(lead["id"], **{tier: "190", manager: 1004, text: None})
    plain = api.get(f"leads/{lead['id']}").json()["data"]
    assert (plain[tier], plain[manager], text in plain) == ("190", 1004, False)
    pipedrive.settings(cleared="null", enum_form="int", reference_form="object_value")
    shown = api.get(f"leads/{lead['id']}").json()["data"]
    assert (shown[tier], shown[manager]["value"], shown[text]) == (190, 1004, None)
    pipedrive.settings(reference_form="object_id")
    listed = {row["id"]: row for row in api.get("leads").json()["data"]}[lead["id"]]
    assert listed[manager]["id"] == 1004
    assert api.patch(lead["id"], {"title": "x"}).json()["data"][tier] == 190
    assert pipedrive.lead(lead["id"])[tier] == "190"
