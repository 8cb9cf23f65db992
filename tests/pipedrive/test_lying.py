"""Answers that are about something else, in another shape, or without end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.documents import DEEPEST
from connector.pipedrive.errors import (
    AccountError,
    InDoubt,
    LeadNotFound,
    PipedriveError,
    Refused,
    TooManyPages,
)
from connector.pipedrive.usage import Usage
from connector.records.leads import LEADS
from tests.support.recorder import TOKEN, Recorder

LEAD = "adf21080-0e10-11eb-879b-05d71fb426ec"
OTHER = "0a1b2c3d-0e10-11eb-879b-05d71fb426ec"
LISTS: list[Callable[[Pipedrive], list[Any]]] = [
    lambda client: [lead for page in client.pages(LEADS) for lead in page],
    lambda client: [lead for page in client.archived_pages(LEADS) for lead in page],
    lambda client: client.definitions(LEADS),
    Pipedrive.labels,
    Pipedrive.users,
]
Call = Callable[[Pipedrive], Any]


def read(client: Pipedrive) -> Any:
    return client.get(LEADS, LEAD)


def patch(client: Pipedrive) -> Any:
    return client.patch(LEADS, LEAD, {"title": "T"}, Usage())


@pytest.fixture
def client(recorder: Recorder) -> Pipedrive:
    """A client of the recorder, which has had an answer."""
    made = Pipedrive(recorder.base_url, ApiToken(TOKEN), attempts=2)
    made.me()
    recorder.arrived.clear()
    return made


def answer(recorder: Recorder, data: Any, status: int = 200, **more: Any) -> None:
    envelope = {"success": status == 200, "data": data, **more}
    recorder.status, recorder.body = status, json.dumps(envelope).encode()


@pytest.mark.parametrize("call", [read, patch])
@pytest.mark.parametrize("lead_id", [OTHER, 7, [LEAD], {"id": LEAD}, f"{LEAD} "], ids=str)
def test_an_answer_about_another_lead_proves_nothing(
    recorder: Recorder, client: Pipedrive, call: Call, lead_id: Any
) -> None:
    answer(recorder, {"id": lead_id, "title": "T"})
    with pytest.raises(InDoubt, match="another lead"):
        call(client)


@pytest.mark.parametrize("call", [read, patch])
def test_an_id_in_upper_case_is_the_same_lead(
    recorder: Recorder, client: Pipedrive, call: Call
) -> None:
    answer(recorder, {"id": LEAD.upper()})
    assert call(client) == {"id": LEAD.upper()}


@pytest.mark.parametrize("call", LISTS)
def test_a_list_that_is_an_object_is_another_api(
    recorder: Recorder, client: Pipedrive, call: Call
) -> None:
    answer(recorder, {"items": [{"id": LEAD}]})
    with pytest.raises(AccountError, match=r"no list.*changed.*GET /api/v1/"):
        call(client)
    assert len(recorder.arrived) == 1


@pytest.mark.parametrize("call", LISTS)
def test_a_bad_row_does_not_hide_the_others(
    recorder: Recorder, client: Pipedrive, call: Call
) -> None:
    deep: Any = "deep"
    for _ in range(DEEPEST + 1):
        deep = [deep]
    answer(recorder, [None, 3, {"id": OTHER, "key": "k", "field": deep}, {"id": LEAD}, "x"])
    assert call(client) == [{"id": LEAD}]


@pytest.mark.parametrize(
    ("call", "expected"), [(read, Refused), (patch, InDoubt)], ids=["read", "patch"]
)
def test_a_lead_that_is_nested_too_deep_is_its_own_trouble(
    recorder: Recorder, client: Pipedrive, call: Call, expected: type[PipedriveError]
) -> None:
    recorder.body = b'{"success": true, "data": {"id": "%s", "k": %s}}' % (
        LEAD.encode(),
        b"[" * 3000 + b"]" * 3000,
    )
    with pytest.raises(expected, match=f"more than {DEEPEST} deep"):
        call(client)
    assert len(recorder.arrived) == 1


def test_all_users_come_with_one_call(recorder: Recorder, client: Pipedrive) -> None:
    users = [{"id": number, "email": f"u{number}@example.org"} for number in range(600)]
    answer(recorder, users)
    assert client.users() == users
    assert [one.path for one in recorder.arrived] == ["/api/v1/users"]


def test_a_404_of_any_text_is_the_leads_once_the_url_is_proven(
    recorder: Recorder, client: Pipedrive
) -> None:
    answer(recorder, None, 404, error="It went away")
    with pytest.raises(LeadNotFound):
        read(client)
    with pytest.raises(Refused) as refused:
        patch(client)
    assert not isinstance(refused.value, LeadNotFound)
    with pytest.raises(AccountError, match="check base_url"):
        client.users()


def test_before_that_it_is_a_wrong_url(recorder: Recorder) -> None:
    answer(recorder, None, 404, error="It went away")
    with pytest.raises(AccountError, match="check base_url"):
        read(Pipedrive(recorder.base_url, ApiToken(TOKEN), attempts=1))


def test_an_error_names_call_path_and_tries(recorder: Recorder, client: Pipedrive) -> None:
    answer(recorder, None, 502, error="Bad gateway")
    recorder.headers = {"retry-after": "0"}
    with pytest.raises(InDoubt) as twice:
        list(client.pages(LEADS))
    assert str(twice.value) == "502 Bad gateway (GET /api/v1/leads, 2 tries)"
    with pytest.raises(InDoubt) as once:
        patch(client)
    assert str(once.value) == f"502 Bad gateway (PATCH /api/v1/leads/{LEAD})"


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"id": 1}]}',
        b'{"success": 1, "data": [{"id": 1}]}',
        b'{"success": "true", "data": []}',
        b"[]",
        b"",
    ],
)
@pytest.mark.parametrize("call", LISTS)
def test_an_answer_without_success_is_none(
    recorder: Recorder, client: Pipedrive, call: Call, body: bytes
) -> None:
    recorder.body = body
    recorder.headers = {"retry-after": "0"}
    with pytest.raises(InDoubt, match="2 tries"):
        call(client)


class Endless(Recorder):
    """Pages of the list that go on for ever, no two alike."""

    def answer(self, request: Any) -> None:
        number = len(self.arrived)
        marker = {"more_items_in_collection": True, "next_start": number + 1}
        envelope = {"success": True, "additional_data": {"pagination": marker}}
        self.body = json.dumps({**envelope, "data": self.rows(number)}).encode()
        super().answer(request)

    def rows(self, number: int) -> list[Any]:
        return [{"id": f"{number:08x}-0e10-11eb-879b-05d71fb426ec"}]


def test_a_list_without_end_costs_no_more_than_allowed(recorder: Recorder) -> None:
    recorder.__class__ = Endless
    pages = Pipedrive(recorder.base_url, ApiToken(TOKEN)).pages(LEADS, lambda _rows: 7)
    with pytest.raises(TooManyPages, match="GET /api/v1/leads goes on after 7 pages"):
        list(pages)
    assert len(recorder.arrived) == 7


class Circling(Endless):
    """Three pages that come again and again, though the marker advances."""

    def rows(self, number: int) -> list[Any]:
        return [{"id": f"page {number % 3}"}]


def test_pages_that_come_again_end_the_list(recorder: Recorder) -> None:
    recorder.__class__ = Circling
    with pytest.raises(AccountError, match="GET /api/v1/leads brings the same page again"):
        list(Pipedrive(recorder.base_url, ApiToken(TOKEN)).pages(LEADS))
    assert len(recorder.arrived) == 4


def test_definitions_without_end_are_bounded(recorder: Recorder) -> None:
    recorder.__class__ = Endless
    with pytest.raises(TooManyPages, match="leadFields"):
        Pipedrive(recorder.base_url, ApiToken(TOKEN)).definitions(LEADS)
    assert len(recorder.arrived) == 20
