from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests

from connector.sandbox import LocalPipedrive
from tests.support.api import Api
from tests.support.harness import wait_until

NEW = {"title": "New title"}


def _title(pipedrive: LocalPipedrive, lead: dict[str, Any]) -> str:
    return str(pipedrive.lead(lead["id"])["title"])


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"status": 500}, False),
        ({"status": 503, "retry_after": 7}, False),
        ({"status": 502, "html": True}, False),
        ({"status": 403, "body": {"success": False, "error": "Scope and URL mismatch"}}, False),
        ({"status": 504, "write": True}, True),
        ({"status": 429, "headers": {"X-RateLimit-Remaining": 0}}, False),
    ],
)
def test_status(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], options: dict[str, Any],
    written: bool,
) -> None:  # fmt: skip
    pipedrive.fault("status", **options)
    answer = api.patch(lead["id"], NEW)
    assert answer.status_code == options["status"]
    assert answer.headers.get("retry-after") == ("7" if "retry_after" in options else None)
    assert answer.headers["content-type"].startswith("text/html") is options.get("html", False)
    assert answer.headers.get("x-ratelimit-remaining") == ("0" if "headers" in options else None)
    if "body" in options:
        assert answer.json() == options["body"]
    assert (_title(pipedrive, lead) == NEW["title"]) is written
    entry = pipedrive.requests()[-1]
    assert (entry["fault"], entry["wrote"], entry["status"]) == (
        "status", written, options["status"],
    )  # fmt: skip
    assert entry["tokens"] == (0 if options["status"] == 429 else 10)
    assert api.patch(lead["id"], NEW).status_code == 200


@pytest.mark.parametrize(("kind", "written"), [("reset_before", False), ("reset_after", True)])
def test_reset(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], kind: str, written: bool
) -> None:
    pipedrive.fault(kind)
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        api.patch(lead["id"], NEW)
    assert (_title(pipedrive, lead) == NEW["title"]) is written
    entry = pipedrive.requests()[-1]
    assert (entry["status"], entry["fault"], entry["wrote"]) == (None, kind, written)
    assert entry["tokens"] == (10 if written else 0)
    assert api.patch(lead["id"], NEW).status_code == 200


def test_ignore(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.fault("ignore")
    answer = api.patch(lead["id"], NEW)
    assert (answer.status_code, answer.json()["data"]) == (200, lead)
    assert pipedrive.lead(lead["id"]) == lead
    assert pipedrive.requests()[-1]["wrote"] is False


def test_truncated(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.fault("truncated")
    answer = api.patch(lead["id"], NEW)
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert _title(pipedrive, lead) == NEW["title"]


def test_truncated_by_a_closed_connection(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    pipedrive.fault("truncated", close=True)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        api.patch(lead["id"], NEW)
    assert _title(pipedrive, lead) == NEW["title"]


def test_html403(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.fault("html403")
    answer = api.patch(lead["id"], NEW)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "Cloudflare" in answer.text
    assert pipedrive.lead(lead["id"]) == lead


def test_redirect(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.fault("redirect", location="http://127.0.0.1:9/elsewhere")
    answer = api.patch(lead["id"], NEW)
    assert answer.status_code == 302
    assert answer.headers["location"] == "http://127.0.0.1:9/elsewhere"
    assert pipedrive.lead(lead["id"]) == lead


@pytest.mark.parametrize("write", [True, False])
def test_null_data(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], write: bool) -> None:
    pipedrive.fault("null_data", write=write)
    answer = api.patch(lead["id"], NEW)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "data": None})
    assert (_title(pipedrive, lead) == NEW["title"]) is write


@pytest.mark.parametrize(("write", "written_at_timeout"), [("before", True), ("after", False)])
def test_hang(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], write: str,
    written_at_timeout: bool,
) -> None:  # fmt: skip
    pipedrive.fault("hang", seconds=3.0, write=write)
    with pytest.raises(requests.ReadTimeout):
        api("PATCH", f"leads/{lead['id']}", json=NEW, timeout=0.5)
    assert (_title(pipedrive, lead) == NEW["title"]) is written_at_timeout
    wait_until(lambda: _title(pipedrive, lead) == NEW["title"], "never written")


def test_hang_answers_in_the_end(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.fault("hang", seconds=0.1)
    started = time.monotonic()
    assert api.patch(lead["id"], NEW).json()["data"]["title"] == NEW["title"]
    assert time.monotonic() - started >= 0.1


def test_what_hangs_never_reaches_the_leads_after_a_reset(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    pipedrive.fault("hang", seconds=0.3)
    sent = threading.Thread(target=api.patch, args=(lead["id"], NEW))
    sent.start()
    wait_until(lambda: any(row["fault"] == "hang" for row in pipedrive.requests()), "never came")
    pipedrive.reset()
    sent.join()
    assert _title(pipedrive, lead) == lead["title"]


def test_fault_hits_its_lead_method_and_number_of_times(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    other = next(
        k for k, x in pipedrive.leads().items() if k != lead["id"] and not x["is_archived"]
    )
    pipedrive.fault("status", status=500, lead_id=lead["id"], method="PATCH", times=2)
    statuses = [
        api.get(f"leads/{lead['id']}").status_code,
        api.patch(other, NEW).status_code,
        api.patch(lead["id"], NEW).status_code,
        api.get("leads").status_code,
        api.patch(lead["id"], NEW).status_code,
        api.patch(lead["id"], NEW).status_code,
    ]
    assert statuses == [200, 200, 500, 200, 500, 200]


def test_fault_hits_one_call_alone(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.fault("status", status=500, route="leadFields")
    statuses = [api.get(path).status_code for path in ("leads", "leadFields", "leadFields")]
    assert statuses == [200, 500, 200]


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("write", [True, False])
def test_wrong_lead(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any], method: str, write: bool
) -> None:
    pipedrive.fault("wrong_lead", write=write)
    answer = api(method, f"leads/{lead['id']}", json=NEW if method == "PATCH" else None)
    assert answer.status_code == 200
    other = answer.json()["data"]
    assert other["id"] != lead["id"]
    assert pipedrive.lead(other["id"]) == other
    assert (_title(pipedrive, lead) == NEW["title"]) is (write and method == "PATCH")


def test_wrong_lead_of_one_that_is_not_there(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    pipedrive.delete_lead(lead["id"])
    pipedrive.fault("wrong_lead")
    assert api.get(f"leads/{lead['id']}").status_code == 404


def test_records_of_odd_shapes(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    odd = {"label_ids": 5, "value": "7", "title": None}
    pipedrive.fault("reshaped", fields=odd, times=3)
    assert api.get(f"leads/{lead['id']}").json()["data"] == {**lead, **odd}
    answer = api.patch(lead["id"], NEW).json()["data"]
    assert {key: answer[key] for key in odd} == odd
    rows = api.get("leads").json()["data"]
    assert len(rows) > 1
    assert all({key: row[key] for key in odd} == odd for row in rows)
    assert _title(pipedrive, lead) == NEW["title"]
    pipedrive.set_lead(lead["id"], label_ids=5, visible_to=None, title=7)
    assert api.get(f"leads/{lead['id']}").json()["data"]["label_ids"] == 5


def test_options_that_are_no_list(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.fault("reshaped", route="leadFields", fields={"options": {"1": "Gold"}})
    rows = api.get("leadFields", limit=500).json()["data"]
    assert {str(row["options"]) for row in rows} == {"{'1': 'Gold'}"}


@pytest.mark.parametrize(
    ("data", "kind"), [("object", dict), ("text", str), ("number", int), ("list", list)]
)
def test_data_of_another_form(api: Api, pipedrive: LocalPipedrive, data: str, kind: type) -> None:
    pipedrive.fault("reshaped", route="leads", data=data)
    pipedrive.fault("reshaped", route="leads", data=data)
    assert isinstance(api.get("leads").json()["data"], kind)
    pipedrive.settings(empty_page="null")
    assert isinstance(api.get("leads", start=1000).json()["data"], kind)


def test_faults_happen_in_order_and_can_be_dropped(api: Api, pipedrive: LocalPipedrive) -> None:
    for status in (500, 502, 503):
        pipedrive.fault("status", status=status)
    assert [api.get("users/me").status_code for _ in range(2)] == [500, 502]
    pipedrive.clear_faults()
    assert api.get("users/me").status_code == 200


def test_refused_requests_use_up_no_fault(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, daily_budget=0)
    pipedrive.fault("status", status=500)
    assert api("GET", "users/me", headers={"x-api-token": "wrong"}).status_code == 401
    assert api.get("users/me").status_code == 429
    pipedrive.settings(limits=False)
    assert api.get("users/me").status_code == 500


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("explode", {}, "unknown fault"),
        ("hang", {"minutes": 1}, "unknown options"),
        ("ignore", {"status": 500}, "unknown options"),
        ("status", {"status": "500"}, "must be like"),
        ("reshaped", {"data": "tree"}, "data must be one of"),
    ],
)
def test_fault_that_cannot_happen_is_an_error(
    pipedrive: LocalPipedrive, kind: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        pipedrive.fault(kind, **options)
