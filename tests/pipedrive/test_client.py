"""The client against a local Pipedrive in a process of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest

from connector.pipedrive import bounded
from connector.pipedrive.auth import ApiToken
from connector.pipedrive.budget import Budget
from connector.pipedrive.client import LARGEST_ANSWER_BYTES, Pipedrive
from connector.pipedrive.errors import (
    AccountError,
    BudgetSpent,
    InDoubt,
    Interrupted,
    LeadArchived,
    LeadNotFound,
    PipedriveError,
    RateLimited,
    Refused,
    Unreached,
)
from connector.pipedrive.usage import Usage
from connector.records.leads import LEADS
from connector.sandbox import LocalPipedrive
from tests.support.recorder import ME, TOKEN, Recorder

NOBODY = "00000000-0000-4000-8000-000000000000"
Lead = dict[str, Any]


def impatient(base_url: str, **given: Any) -> Pipedrive:
    """A client that calls once and does not wait long."""
    return Pipedrive(base_url, ApiToken(TOKEN), **{"attempts": 1, "timeout_seconds": 0.3, **given})


@pytest.fixture(scope="module")
def other() -> Iterator[LocalPipedrive]:
    """Another host, which accepts the same token."""
    with LocalPipedrive(leads=1, limits=False, token=TOKEN) as pipedrive:
        yield pipedrive


@pytest.mark.parametrize("page_shape", ["nested", "flat"])
def test_all_pages_are_read_in_order(
    pipedrive: LocalPipedrive, client: Pipedrive, page_shape: str
) -> None:
    pipedrive.reset(leads=1200, page_shape=page_shape)
    kept = [key for key, lead in pipedrive.leads().items() if not lead["is_archived"]]
    assert [lead["id"] for lead in chain.from_iterable(client.pages(LEADS))] == kept
    assert len(pipedrive.requests("GET")) == 3


def test_archived_leads_are_a_list_of_their_own(
    pipedrive: LocalPipedrive, client: Pipedrive, lead: Lead
) -> None:
    pipedrive.archive_lead(lead["id"])
    archived = [key for key, one in pipedrive.leads().items() if one["is_archived"]]
    assert [one["id"] for one in chain.from_iterable(client.archived_pages(LEADS))] == archived


@pytest.mark.parametrize("empty_page", ["list", "null"])
def test_an_account_without_leads(
    pipedrive: LocalPipedrive, client: Pipedrive, empty_page: str
) -> None:
    pipedrive.reset(leads=0, empty_page=empty_page)
    assert list(client.pages(LEADS)) == [[]]


def test_a_page_that_brought_nothing_is_asked_for_again(
    pipedrive: LocalPipedrive, client: Pipedrive
) -> None:
    pipedrive.fault("status", method="GET", status=503, retry_after=0)
    pipedrive.fault("truncated", method="GET")
    assert list(chain.from_iterable(client.pages(LEADS)))
    assert [one["fault"] for one in pipedrive.requests()] == ["status", "truncated", None]


def test_single_records(pipedrive: LocalPipedrive, client: Pipedrive, lead: Lead) -> None:
    pipedrive.archive_lead(lead["id"])
    assert client.get(LEADS, lead["id"])["is_archived"] is True
    assert client.me()["company_domain"]
    assert "Lead score" in [field["name"] for field in client.definitions(LEADS)]


def test_a_patch_returns_the_whole_lead(
    pipedrive: LocalPipedrive, client: Pipedrive, lead: Lead
) -> None:
    body = {"title": "Ünïcode “日本” 🙂", "value": {"amount": 50.5, "currency": "EUR"}}
    answered = client.patch(LEADS, lead["id"], {**body, "expected_close_date": None}, Usage())
    [request] = pipedrive.requests("PATCH")
    assert request["body"] == {**body, "expected_close_date": None}
    assert answered.keys() >= lead.keys()
    assert answered["title"] == body["title"]
    assert answered["expected_close_date"] is None


@dataclass(frozen=True)
class Trouble:
    """A fault that one PATCH meets, and the error that it is to the caller."""

    kind: str
    expected: type[PipedriveError]
    options: dict[str, Any] = field(default_factory=dict)
    cost: int = 10


TROUBLES = [
    Trouble("reset_before", InDoubt),
    Trouble("reset_after", InDoubt),
    Trouble("hang", InDoubt, {"seconds": 1.0}),
    Trouble("truncated", InDoubt),
    Trouble("truncated", InDoubt, {"close": True}),
    Trouble("null_data", InDoubt),
    Trouble("status", InDoubt, {"status": 500}),
    Trouble("status", InDoubt, {"status": 200, "html": True}),
    Trouble("status", InDoubt, {"status": 200, "body": {"success": False}}),
    Trouble("status", InDoubt, {"status": 200, "body": {"success": True, "data": {}}}),
    Trouble("status", InDoubt, {"status": 200, "body": {"success": True, "data": [{"id": 1}]}}),
    Trouble("status", Refused, {"status": 400}),
    Trouble("status", AccountError, {"status": 401}),
    Trouble("html403", AccountError),
    Trouble("status", RateLimited, {"status": 429}, cost=0),
    Trouble("status", BudgetSpent, {"status": 429, "retry_after": 3600}, cost=0),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: f"{one.kind}-{one.options}")
def test_a_patch_in_trouble_is_sent_once_and_counted(
    pipedrive: LocalPipedrive, lead: Lead, trouble: Trouble
) -> None:
    pipedrive.fault(trouble.kind, lead_id=lead["id"], **trouble.options)
    usage = Usage()
    with pytest.raises(PipedriveError) as raised:
        impatient(pipedrive.base_url, attempts=5).patch(LEADS, lead["id"], {"title": "T"}, usage)
    assert type(raised.value) is trouble.expected
    assert len(pipedrive.requests("PATCH")) == usage.requests == 1
    assert usage.tokens == trouble.cost


def test_a_get_in_trouble_is_repeated(
    pipedrive: LocalPipedrive, client: Pipedrive, lead: Lead
) -> None:
    pipedrive.fault("status", status=503, retry_after=0, times=2)
    usage = Usage()
    assert client.get(LEADS, lead["id"], usage)["id"] == lead["id"]
    assert (usage.requests, usage.retries) == (3, 2)
    assert len(pipedrive.requests()) == 3


ANSWERED = b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n"


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """Serve an answer that goes out as it is, to one request; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_answer_of_two_lengths_is_in_doubt() -> None:
    usage = Usage()
    with saying(ANSWERED + b"Content-Length: 5\r\n\r\n" + ME) as url, pytest.raises(InDoubt):
        impatient(url).patch(LEADS, "1", {"title": "T"}, usage)
    assert usage.tokens == 10


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_what_is_said_before_an_answer_is_passed_over(status: bytes) -> None:
    with saying(b"HTTP/1.1 " + status + b"\r\nLink: a\r\n\r\n" + ANSWERED + b"\r\n" + ME) as url:
        assert impatient(url).patch(LEADS, "1", {"title": "T"}, Usage()) == {"id": 1}


def test_an_answer_that_is_none_is_in_doubt() -> None:
    with saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") as url, pytest.raises(InDoubt):
        impatient(url).patch(LEADS, "1", {"title": "T"}, Usage())


def test_a_call_that_never_leaves_costs_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    client, usage = impatient(url, attempts=2, budget=Budget(100)), Usage()
    with pytest.raises(Unreached):
        client.patch(LEADS, "1", {"title": "T"}, usage)
    with pytest.raises(Unreached, match="2 tries"):
        client.me()
    assert (usage.tokens, client.usage.tokens, client.own_left) == (0, 0, 100)


def test_leads_that_are_gone_or_archived(
    pipedrive: LocalPipedrive, client: Pipedrive, lead: Lead
) -> None:
    pipedrive.archive_lead(lead["id"])
    with pytest.raises(LeadArchived):
        client.patch(LEADS, lead["id"], {"title": "T"}, Usage())
    with pytest.raises(LeadNotFound):
        client.get(LEADS, NOBODY)
    with pytest.raises(LeadNotFound):
        client.patch(LEADS, NOBODY, {"title": "T"}, Usage())


def test_a_wrong_path_is_no_missing_lead(pipedrive: LocalPipedrive, lead: Lead) -> None:
    with pytest.raises(AccountError, match="check base_url"):
        impatient(f"{pipedrive.base_url}/crm").get(LEADS, lead["id"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(
    pipedrive: LocalPipedrive, other: LocalPipedrive, lead: Lead, status: int
) -> None:
    path = f"/api/v1/leads/{lead['id']}"
    location = other.base_url + path
    pipedrive.fault("redirect", location=location, status=status, times=2)
    client = impatient(pipedrive.base_url)
    with pytest.raises(AccountError, match="redirected"):
        client.get(LEADS, lead["id"])
    with pytest.raises(AccountError, match="redirected"):
        client.patch(LEADS, lead["id"], {"title": "T"}, Usage())
    assert other.requests() == []


def test_an_answer_that_is_too_large_is_no_answer(recorder: Recorder) -> None:
    recorder.body = b'{"success": true, "data": {"id": 1}}' + b" " * LARGEST_ANSWER_BYTES
    with pytest.raises(InDoubt, match="64 MiB"):
        impatient(recorder.base_url, timeout_seconds=30.0).me()


def test_usage_is_what_the_server_counted(
    pipedrive: LocalPipedrive, client: Pipedrive, lead: Lead
) -> None:
    pipedrive.fault("status", method="PATCH", status=400)
    pipedrive.fault("status", method="PATCH", status=429, retry_after=0)
    list(client.pages(LEADS))
    list(client.archived_pages(LEADS))
    client.definitions(LEADS)
    client.me()
    client.get(LEADS, lead["id"])
    usages = [Usage(client.usage) for _ in range(3)]
    for usage, expected in zip(usages, (Refused, RateLimited, None), strict=True):
        _patch(client, lead["id"], usage, expected)
    log = pipedrive.requests()
    assert [usage.tokens for usage in usages] == [10, 0, 10]
    assert client.usage.tokens == sum(entry["tokens"] for entry in log) == 104
    assert client.usage.requests == len(log)


def _patch(
    client: Pipedrive, lead_id: str, usage: Usage, expected: type[PipedriveError] | None
) -> None:
    if expected is None:
        client.patch(LEADS, lead_id, {"title": "T"}, usage)
        return
    with pytest.raises(expected):
        client.patch(LEADS, lead_id, {"title": "T"}, usage)


def test_threads_share_one_limit(pipedrive: LocalPipedrive, lead: Lead) -> None:
    pipedrive.settings(limits=True, plan="lite")
    client = Pipedrive(pipedrive.base_url, ApiToken(TOKEN), attempts=1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.get(LEADS, lead["id"]), range(30)))
    assert [entry["status"] for entry in pipedrive.requests()] == [200] * 30


@pytest.mark.parametrize(
    "call",
    [lambda client: list(client.pages(LEADS)), lambda client: list(client.archived_pages(LEADS))],
    ids=["leads", "archived_leads"],
)
def test_a_stop_ends_the_pages(
    pipedrive: LocalPipedrive, call: Callable[[Pipedrive], object]
) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        call(impatient(pipedrive.base_url, stop=stop))
    assert pipedrive.requests() == []


def test_a_stop_ends_a_wait_that_the_server_asked_for(pipedrive: LocalPipedrive) -> None:
    stop = threading.Event()
    pipedrive.fault("status", status=429, retry_after=100, times=100)
    client = Pipedrive(pipedrive.base_url, ApiToken(TOKEN), stop=stop)
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Interrupted):
        client.me()
    assert len(pipedrive.requests()) == 1


def test_a_stop_leaves_the_doubt_about_a_patch(
    pipedrive: LocalPipedrive, lead: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads is interrupted; a PATCH that is on its way may be in effect all the same."""
    monkeypatch.setattr(bounded, "STOPPING_SECONDS", 0.1)
    stop = threading.Event()
    client = Pipedrive(pipedrive.base_url, ApiToken(TOKEN), stop=stop)
    calls: list[tuple[Callable[[], object], type[PipedriveError]]] = [
        (lambda: client.patch(LEADS, lead["id"], {"title": "T"}, Usage()), InDoubt),
        (client.me, Interrupted),
        (lambda: client.get(LEADS, lead["id"]), Interrupted),
        (client.users, Interrupted),
    ]
    for call, expected in calls:
        stop.clear()
        pipedrive.fault("hang", seconds=600.0, write="none")
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(expected):
            call()


def test_a_wait_that_one_call_is_asked_for_holds_the_others(
    pipedrive: LocalPipedrive, lead: Lead
) -> None:
    pipedrive.fault("status", status=503, retry_after=1)
    client = impatient(pipedrive.base_url)
    with pytest.raises(InDoubt):
        client.me()
    client.get(LEADS, lead["id"])
    first, second = pipedrive.requests()
    assert second["at"] - first["at"] >= 0.9
