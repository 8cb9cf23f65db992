from __future__ import annotations

from typing import Any

import pytest

from connector.sandbox import LocalPipedrive
from connector.sandbox.directory import LABELS
from tests.support.api import Api

LABEL_A, LABEL_B = LABELS[0]["id"], LABELS[1]["id"]


UNKNOWN_UUID = "00000000-0000-4000-8000-000000000000"


ACCEPTED: list[tuple[str, object]] = [
    ("title", "Größe 報告"),
    ("owner_id", 1038),
    ("label_ids", [LABEL_A, LABEL_B]),
    ("label_ids", []),
    ("person_id", 1077),
    ("title", "t" * 255),
    ("person_id", None),
    ("organization_id", None),
    ("value", {"amount": 50.5, "currency": "EUR"}),
    ("value", {"amount": 0, "currency": "SEK"}),
    ("value", None),
    ("expected_close_date", "2028-02-29"),
    ("expected_close_date", None),
    ("visible_to", "7"),
    ("was_seen", False),
    ("was_seen", True),
    ("channel", 52),
    ("channel", None),
    ("channel_id", "Jun23 Billboards"),
    ("channel_id", ""),
    ("channel_id", None),
]


REFUSED: list[tuple[str, object]] = [
    ("title", None),
    ("title", ""),
    ("title", "  "),
    ("title", 5),
    ("title", "t" * 256),
    ("owner_id", "1001"),
    ("owner_id", True),
    ("owner_id", 1001.0),
    ("owner_id", None),
    ("owner_id", 999),
    ("label_ids", None),
    ("label_ids", LABEL_A),
    ("label_ids", ["Hot"]),
    ("label_ids", [UNKNOWN_UUID]),
    ("label_ids", [1]),
    ("person_id", "1077"),
    ("person_id", 77),
    ("organization_id", 77),
    ("person_id", True),
    ("organization_id", 1.5),
    ("is_archived", None),
    ("is_archived", "true"),
    ("is_archived", 1),
    ("value", 100),
    ("value", {"amount": 1}),
    ("value", {"currency": "EUR"}),
    ("value", {"amount": "1", "currency": "EUR"}),
    ("value", {"amount": True, "currency": "EUR"}),
    ("value", {"amount": None, "currency": "EUR"}),
    ("value", {"amount": 1, "currency": None}),
    ("value", {"amount": 1, "currency": "euro"}),
    ("value", {"amount": 1, "currency": "ZZZ"}),
    ("expected_close_date", "2027-02-29"),
    ("expected_close_date", "29.02.2028"),
    ("expected_close_date", "2028-02-29T00:00:00Z"),
    ("expected_close_date", 20280229),
    ("visible_to", 3),
    ("visible_to", "2"),
    ("visible_to", None),
    ("was_seen", "yes"),
    ("was_seen", None),
    ("channel", "52"),
    ("channel", 9999),
    ("channel_id", 5),
]


@pytest.mark.parametrize(("key", "value"), ACCEPTED)
def test_standard_value_is_stored(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], key: str, value: object
) -> None:
    answer = api.patch(lead["id"], {key: value})
    assert answer.status_code == 200, answer.text
    stored = pipedrive.lead(lead["id"])
    assert answer.json() == {"success": True, "data": stored}
    assert stored[key] == value
    assert type(stored[key]) is type(value)
    assert stored["update_time"] > lead["update_time"]
    rest = {key, "update_time"}
    assert {k: stored[k] for k in stored.keys() - rest} == {k: lead[k] for k in lead.keys() - rest}


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_standard_value_is_refused(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], key: str, value: object
) -> None:
    answer = api.patch(lead["id"], {"was_seen": not lead["was_seen"], key: value})
    assert answer.status_code == 400
    body = answer.json()
    assert body["error"] == "provided dataset is not valid"
    assert f'"{key}"' in body["error_info"]
    assert (body["success"], body["data"], body["additional_data"]) == (False, None, None)
    assert pipedrive.lead(lead["id"]) == lead
    assert pipedrive.requests()[-1]["wrote"] is False


@pytest.mark.parametrize(
    "key", ["id", "creator_id", "source_name", "add_time", "update_time", "cc_email", "f" * 40]
)
def test_read_only_and_unknown_keys_in_both_readings(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], key: str
) -> None:
    answer = api.patch(lead["id"], {"title": "New", key: "x"})
    assert answer.status_code == 200
    assert answer.json()["data"]["title"] == "New"
    assert answer.json()["data"].get(key) != "x"
    pipedrive.settings(unknown_keys="refuse")
    refused = api.patch(lead["id"], {"title": "Newer", key: "x"})
    assert refused.status_code == 400
    assert f'"{key}"' in refused.json()["error_info"]
    assert pipedrive.lead(lead["id"])["title"] == "New"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"person_id": None, "organization_id": None}, None),
        ({"person_id": None}, "organization_id"),
    ],
)
def test_a_lead_keeps_a_person_or_an_organization(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], first: dict[str, Any],
    second: str | None,
) -> None:  # fmt: skip
    answer = api.patch(lead["id"], first)
    if second:
        assert answer.status_code == 200
        answer = api.patch(lead["id"], {second: None})
    assert answer.status_code == 400
    stored = pipedrive.lead(lead["id"])
    assert stored["person_id"] or stored["organization_id"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"title": NaN}'])
def test_body_that_is_no_filled_object_is_refused(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], raw: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = api("PATCH", f"leads/{lead['id']}", data=raw, headers=headers)
    assert answer.status_code == 400
    assert pipedrive.lead(lead["id"]) == lead


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_content_type(api: Api, lead: dict[str, Any], content_type: str, status: int) -> None:
    headers = {"content-type": content_type}
    answer = api("PATCH", f"leads/{lead['id']}", data=b'{"title":"x"}', headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("status", [403, 400, 409, 422])
@pytest.mark.parametrize(
    "body", [{"title": "x"}, {"title": "x", "is_archived": False}, {"is_archived": True},
             {"is_archived": 0}],
)  # fmt: skip
def test_archived_lead_takes_nothing_but_unarchiving(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], body: dict[str, Any], status: int
) -> None:
    pipedrive.settings(archived_status=status)
    pipedrive.archive_lead(lead["id"])
    answer = api.patch(lead["id"], body)
    assert (answer.status_code, answer.json()["code"]) == (status, "ERR_LEAD_ARCHIVED")
    assert pipedrive.lead(lead["id"])["is_archived"] is True
    assert api.patch(lead["id"], {"is_archived": False}).json()["data"]["is_archived"] is False
    assert api.patch(lead["id"], {"title": "x"}).json()["data"]["title"] == "x"


def test_lead_that_is_gone(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.delete_lead(lead["id"])
    for answer in (api.patch(lead["id"], {"title": "x"}), api.get(f"leads/{lead['id']}")):
        assert answer.status_code == 404
        assert answer.json() == {
            "success": False,
            "error": "requested lead not found",
            "error_info": "Object was not found.",
            "data": None,
            "additional_data": None,
        }


@pytest.mark.parametrize("bumps", [True, False])
def test_patch_that_changes_nothing(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], bumps: bool
) -> None:
    pipedrive.settings(noop_bumps=bumps)
    made = api.patch(lead["id"], {"title": lead["title"]}).json()["data"]
    assert (made["update_time"] > lead["update_time"]) is bumps


def test_update_time_always_moves_on(api: Api, lead: dict[str, Any]) -> None:
    times = [
        api.patch(lead["id"], {"title": f"t{n}"}).json()["data"]["update_time"] for n in range(20)
    ]
    assert times == sorted(set(times))
    assert all(len(time) == 24 and time.endswith("Z") for time in times)
