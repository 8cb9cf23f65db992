"""Every request and answer of a full session, held against Pipedrive's published description.

The session is the job on a table that manages every type, and a call to each endpoint that the
connector and the description share. What the description is known to get wrong is in `DEFECTS`,
each by its name; nothing else is let pass, and a defect that no longer shows is a failure too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import AccountError, Refused
from connector.pipedrive.usage import Usage
from connector.records.leads import LEADS
from connector.sandbox import LocalPipedrive
from connector.sandbox.settings import CHOICES
from tests.contract.account import Body
from tests.contract.calls import Calls
from tests.contract.description import (
    PREFIX,
    Complaint,
    Description,
    Exchange,
    read_shapes,
)
from tests.contract.exchanges import recorded
from tests.support.everything import CASES, COLUMNS, DIFFERENT, SAME, put_leads
from tests.support.harness import NewSite, lead_id

pytestmark = pytest.mark.xdist_group("contract openapi")

GONE = lead_id("deleted")
ARCHIVED = lead_id("archived")
CUSTOM_KEY = re.compile(r"[0-9a-f]{40}(_[a-z0-9_]+)?")
PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
OF_FIELDS = frozenset({"GET /leadFields 200", "GET /dealFields 200"})
Excuse = Callable[[Complaint], bool]


def is_custom(one: Complaint) -> bool:
    key = one.at.rpartition(".")[2]
    return one.what == "unknown key" and bool(CUSTOM_KEY.fullmatch(key))


def is_plain_time(one: Complaint) -> bool:
    named = one.at in {"data.add_time", "data.update_time"} and one.call in OF_FIELDS
    return named and one.what == "format" and bool(PLAIN_TIME.fullmatch(one.value))


DEFECTS: Mapping[str, Excuse] = {
    "custom fields have no keys in the schema of a lead (its text promises them)": is_custom,
    "pages show their marker flat; the examples nest it under `pagination`": lambda one: (
        (one.at, one.what) == ("additional_data.pagination", "unknown key")
        and set(one.value) <= {"start", "limit", "more_items_in_collection", "next_start"}
    ),
    "a flat page says nothing of an empty page's null": lambda one: (
        (one.at, one.what, one.value) == ("data", "type", None)
        and one.call in {"GET /leads 200", "GET /leads/archived 200"}
    ),
    "a lead's calls have no error but 404": lambda one: (
        one.what == "unknown status" and one.value in {400, 403} and "/leads/{id}" in one.call
    ),
    "401 is described for /users/me alone": lambda one: (
        (one.call, one.what, one.value) == ("GET /leads", "unknown status", 401)
    ),
    "the text of 401 is shown without its `error_info`": lambda one: (
        (one.call, one.at, one.what) == ("GET /users/me 401", "error_info", "unknown key")
    ),
    "GET /users is not in this slice of the description": lambda one: (
        (one.call, one.what) == ("GET /users", "unknown call")
    ),
    "a field's type has two lists, of which one alone names these": lambda one: (
        (one.at, one.what) == ("data.field_type", "enum")
        and one.value in {"boolean", "stage", "status"}
    ),
    "a found lead's value is declared as a whole number": lambda one: (
        (one.call, one.at, one.what) == ("GET /leads/search 200", "data.items.item.value", "type")
        and isinstance(one.value, float)
    ),
    "a field's times are declared as ISO 8601; the examples have no T": is_plain_time,
    "`is_admin` of a user is only in the guide on getting user data": lambda one: (
        (one.call, one.at, one.what) == ("GET /users/me 200", "data.is_admin", "unknown key")
    ),
}
CALLS: Mapping[tuple[str, str | None], tuple[int, ...]] = {
    ("GET", "/leads"): (200, 401),
    ("GET", "/leads/archived"): (200,),
    ("GET", "/leads/{id}"): (200, 404),
    ("PATCH", "/leads/{id}"): (200, 400, 403, 404),
    ("POST", "/leads"): (201,),
    ("DELETE", "/leads/{id}"): (200, 404),
    ("GET", "/leads/{id}/permittedUsers"): (200,),
    ("GET", "/leads/search"): (200,),
    ("GET", "/leadSources"): (200,),
    ("GET", "/dealFields"): (200,),
    ("GET", "/leadFields"): (200,),
    ("GET", "/leadLabels"): (200,),
    ("GET", "/users/me"): (200, 401),
    ("GET", None): (200,),
}
"""The calls of the session and their statuses; None is what the description has not."""
TOO_LAX: Mapping[str, Body] = {"a title may be null": {"title": None}}
"""What the description takes and what no client may count on."""
IN_NO_EXAMPLE = "source_deal_id"
"""A key that the schema of a lead has, and no example of an answer."""


@pytest.fixture(scope="module")
def description() -> Description:
    return Description(read_shapes("v1"))


@pytest.fixture(scope="module")
def exchanges(new_site: NewSite) -> list[Exchange]:
    """What goes over the wire in a full session."""
    site = new_site()
    pipedrive = site.pipedrive
    pipedrive.reset(leads=0)
    put_leads(pipedrive)
    pipedrive.set_lead(ARCHIVED, is_archived=True)
    missing = [{**SAME.cells, "lead_id": one} for one in (GONE, ARCHIVED)]
    site.desire(COLUMNS, [case.cells for case in CASES] + missing)
    with recorded() as found:
        statuses = site.run().statuses
        assert (statuses["applied"], statuses["not_found"], statuses["archived"]) == (4, 1, 1)
        for page_shape in CHOICES["page_shape"]:
            pipedrive.settings(page_shape=page_shape)
            call_everything(pipedrive)
        for empty_page in CHOICES["empty_page"]:
            pipedrive.reset(leads=0, empty_page=empty_page)
            call_an_empty_account(pipedrive)
    return found


def call_everything(pipedrive: LocalPipedrive) -> None:
    """Make each call that the connector can make, those that are refused as well."""
    client = Pipedrive(pipedrive.base_url, ApiToken(pipedrive.api_token))
    for pages in (client.pages(LEADS), client.archived_pages(LEADS)):
        assert sum(map(len, pages))
    assert all([client.definitions(LEADS), client.labels(), client.users(), client.me()])
    assert client.get(LEADS, SAME.lead_id)
    usage = Usage(client.usage)
    assert client.patch(LEADS, SAME.lead_id, {"title": "Described"}, usage)
    late = {"title": "Too late"}
    for lead, body in ((GONE, late), (ARCHIVED, late), (SAME.lead_id, {"owner_id": 1})):
        with pytest.raises(Refused):
            client.patch(LEADS, lead, body, usage)
    call_what_the_tests_call(Calls(pipedrive.base_url, ApiToken(pipedrive.api_token)))
    stranger = Pipedrive(pipedrive.base_url, ApiToken("not-the-token"))
    for call in (stranger.me, lambda: next(stranger.pages(LEADS))):
        with pytest.raises(AccountError):
            call()


def call_what_the_tests_call(calls: Calls) -> None:
    """Make the calls that the connector has no use for, but `make test-live` has."""
    body = {"title": "Described", "organization_id": 301, "origin_id": "described"}
    made = calls("POST", "leads", body).data["id"]
    assert calls("GET", f"leads/{made}/permittedUsers").data
    assert calls("GET", "leads/search", term="Described", limit=1).data["items"]
    assert calls("GET", "leadSources").data
    assert calls("GET", "dealFields", limit=500).data
    assert [calls("DELETE", f"leads/{made}").status for _ in range(2)] == [200, 404]


def call_an_empty_account(pipedrive: LocalPipedrive) -> None:
    client = Pipedrive(pipedrive.base_url, ApiToken(pipedrive.api_token))
    assert [list(client.pages(LEADS)), list(client.archived_pages(LEADS))] == [[[]], [[]]]


def test_the_session_has_every_call(exchanges: list[Exchange], description: Description) -> None:
    made = {(one.method, description.path_of(one.path), one.status) for one in exchanges}
    assert made == {(*call, status) for call, statuses in CALLS.items() for status in statuses}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_exchange_is_as_described(
    exchanges: list[Exchange], description: Description, method: str, path: str | None
) -> None:
    alike = [one for one in exchanges if one.method == method]
    alike = [one for one in alike if description.path_of(one.path) == path]
    wrong = [one for one in complaints_of(alike, description) if not any(excuses_of(one))]
    assert alike
    assert {f"{one.call} · {one.at} · {one.what}: {one.value!r:.80}" for one in wrong} == set()


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_still_shows(
    exchanges: list[Exchange], description: Description, name: str
) -> None:
    assert any(map(DEFECTS[name], complaints_of(exchanges, description)))


def complaints_of(exchanges: list[Exchange], description: Description) -> Iterator[Complaint]:
    for exchange in exchanges:
        yield from description.complaints(exchange)


def excuses_of(complaint: Complaint) -> Iterator[bool]:
    return (excuse(complaint) for excuse in DEFECTS.values())


@pytest.mark.parametrize(("name", "body"), TOO_LAX.items())
def test_the_job_sends_nothing_that_the_description_should_not_take(
    exchanges: list[Exchange], description: Description, name: str, body: Body
) -> None:
    path = f"{PREFIX}/leads/{GONE}"
    taken = Exchange("PATCH", path, {}, body, 404, exchanges[0].answer)
    assert [one for one in description.complaints(taken) if "body" in one.call] == []
    sent = [one.body for one in exchanges if one.method == "PATCH"]
    assert len(sent) >= len(DIFFERENT)
    assert not [one for one in sent if body.items() <= one.items()]


def test_every_lead_is_whole(exchanges: list[Exchange], description: Description) -> None:
    """A PATCH returns the whole lead (documented), as a list does."""
    leads = [lead for one in exchanges for lead in leads_of(one)]
    assert len(leads) > len(CASES)
    for lead in leads:
        assert description.lead_keys() - lead.keys() <= {IN_NO_EXAMPLE}


def leads_of(exchange: Exchange) -> list[dict[str, Any]]:
    """Return the leads in an answer to a call that shows them whole."""
    data = exchange.answer.get("data")
    partial = exchange.method == "DELETE" or exchange.path.endswith(("/permittedUsers", "/search"))
    if "/leads" not in exchange.path or partial or not data:
        return []
    return data if isinstance(data, list) else [data]


BROKEN: Mapping[str, tuple[str, Any]] = {
    "a visibility as a number": ("body", {"visible_to": 3}),
    "an owner as text": ("body", {"owner_id": "1001"}),
    "a value without its currency": ("body", {"value": {"amount": 1}}),
    "an amount as text": ("body", {"value": {"amount": "1", "currency": "EUR"}}),
    "a label by its name": ("body", {"label_ids": ["Hot"]}),
    "labels of null": ("body", {"label_ids": None}),
    "a date with a time": ("body", {"expected_close_date": "2026-12-31T00:00:00"}),
    "a read-only key": ("body", {"creator_id": 1}),
    "a misspelled key": ("body", {"organisation_id": 1}),
    "an answer with an id of another kind": ("answer", {"data": {"id": 1}}),
    "an answer with a lead's title of null": ("answer", {"data": {"title": None}}),
    "an answer with an unknown key": ("answer", {"data": {"label": "Hot"}}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_as_described_is_found(description: Description, name: str) -> None:
    part, document = BROKEN[name]
    parts: dict[str, Any] = {"body": {"title": "Fine"}, "answer": {"success": True}}
    broken = {**parts, part: document}
    path = f"{PREFIX}/leads/{GONE}"
    found = description.complaints(Exchange("PATCH", path, {}, status=200, **broken))
    assert [one for one in found if not any(excuses_of(one))]


@pytest.mark.parametrize(
    ("version", "writes"),
    [
        (
            "v1",
            {("post", "/leads"), ("patch", "/leads/{id}"), ("delete", "/leads/{id}")},
        ),
        ("v2", {("post", "/leads/{id}/convert/deal")}),
    ],
)
def test_a_lead_is_changed_by_nothing_but_a_patch(
    version: str, writes: set[tuple[str, str]]
) -> None:
    """Neither version has a PUT or a call for many leads; v2 has no update at all."""
    paths = read_shapes(version)["paths"]
    leads = {path: calls for path, calls in paths.items() if path.startswith("/leads")}
    found = {(method, path) for path, calls in leads.items() for method in calls}
    assert {call for call in found if call[0] != "get"} == writes
