from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from connector.sandbox import LocalPipedrive
from connector.sandbox.directory import LABEL_IDS, USER_IDS
from connector.sandbox.seed import seeded_leads
from tests.support.api import Api
from tests.support.harness import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]


def test_same_seed_same_leads_another_seed_others() -> None:
    assert seeded_leads(50, 7) == seeded_leads(50, 7)
    assert {x["id"] for x in seeded_leads(50, 7)}.isdisjoint(x["id"] for x in seeded_leads(50, 8))


def test_seed_does_not_depend_on_the_process(pipedrive: LocalPipedrive) -> None:
    assert list(pipedrive.leads().values()) == seeded_leads(40, 1)
    pipedrive.reset(leads=3, seed=9)
    assert list(pipedrive.leads().values()) == seeded_leads(3, 9)


def test_seeded_leads_are_varied_and_consistent() -> None:
    leads = seeded_leads(1_000, 1)
    assert len({lead["id"] for lead in leads}) == 1_000
    assert all(lead["add_time"] <= lead["update_time"] < "2026-07" for lead in leads)
    assert {lead["owner_id"] for lead in leads} == USER_IDS
    assert {label for lead in leads for label in lead["label_ids"]} == LABEL_IDS
    assert all(lead["person_id"] or lead["organization_id"] for lead in leads)
    assert 10 <= sum(lead["is_archived"] for lead in leads) <= 60
    for key in ("value", "expected_close_date", "person_id", "organization_id", "channel"):
        assert 0 < sum(lead[key] is None for lead in leads) < 1_000
    assert any(lead["value"] and isinstance(lead["value"]["amount"], float) for lead in leads)


def test_log_says_what_happened_and_never_the_token(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    before = time.time()
    api.get("leads", limit=2, api_token="somebody-elses", note=pipedrive.api_token)
    api.patch(lead["id"], {"title": f"x {pipedrive.api_token}", "value": None})
    got, patched = pipedrive.requests()
    assert pipedrive.requests("PATCH") == [patched]
    assert got["query"] == {"limit": "2", "api_token": "(hidden)", "note": "(hidden)"}
    assert patched.pop("at") == pytest.approx(before, abs=5)
    assert patched.pop("seq") == got["seq"] + 1
    assert patched == {
        "method": "PATCH",
        "path": f"/api/v1/leads/{lead['id']}",
        "query": {},
        "lead_id": lead["id"],
        "body": {"title": "x (hidden)", "value": None},
        "status": 200,
        "tokens": 10,
        "fault": None,
        "wrote": True,
    }
    since = requests.get(
        f"{pipedrive.base_url}/_sandbox/requests", params={"since": got["seq"]}, timeout=5
    ).json()
    assert [entry["method"] for entry in since] == ["PATCH"]
    pipedrive.clear_requests()
    assert pipedrive.requests() == []


def test_hand_on_the_leads(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    edited = pipedrive.set_lead(lead["id"], title="Edited", owner_id="nobody")
    assert (edited["title"], edited["owner_id"]) == ("Edited", "nobody")
    assert edited["update_time"] > lead["update_time"]
    made = pipedrive.set_lead("11111111-1111-4111-8111-111111111111", title="Made")
    assert made.keys() >= {"cc_email", "visible_to", "is_archived"}
    assert api.get("leads", limit=500).json()["data"][-1] == made
    pipedrive.set_lead(made["id"], add_time="2020-01-01T00:00:00.000Z")
    assert api.get("leads").json()["data"][0]["id"] == made["id"]
    pipedrive.delete_lead(made["id"])
    for gone in (pipedrive.lead, pipedrive.delete_lead, pipedrive.archive_lead):
        with pytest.raises(KeyError):
            gone(made["id"])


def test_the_hand_meets_no_limit_no_fault_and_no_log(pipedrive: LocalPipedrive) -> None:
    an_hour_ms = 3_600_000
    pipedrive.settings(limits=True, daily_budget=0, latency_ms=an_hour_ms)
    pipedrive.fault("status", times=100)
    assert len(pipedrive.leads()) == 40
    assert pipedrive.requests() == []


def test_reset_gives_back_the_settings_of_the_start(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, page_shape="flat")
    pipedrive.fault("status")
    pipedrive.reset(empty_page="null")
    answer = api.get("leads", start=100)
    assert answer.json()["data"] is None
    assert "pagination" in answer.json()["additional_data"]
    assert "x-ratelimit-limit" not in answer.headers


@pytest.mark.parametrize(
    "wrong",
    [{"colour": 1}, {"plan": "gold"}, {"limits": 1}, {"seats": 0}, {"latency_ms": -1},
     {"daily_budget": "many"}, {"archived_status": 200}],
)  # fmt: skip
def test_wrong_setting_is_an_error(pipedrive: LocalPipedrive, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        pipedrive.settings(**wrong)


def test_own_token_and_port_and_a_clean_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with LocalPipedrive(leads=1, port=port, token="other") as pipedrive:
        assert pipedrive.base_url == f"http://127.0.0.1:{port}"
        assert Api(pipedrive).get("users/me").status_code == 200
    assert not _answers(pipedrive.base_url)


def test_failed_start_says_why(running: LocalPipedrive) -> None:
    with pytest.raises(RuntimeError, match="plan must be one of"), LocalPipedrive(plan="gold"):
        pass
    taken = urlsplit(running.base_url).port or 0
    with pytest.raises(RuntimeError, match="in use"), LocalPipedrive(port=taken):
        pass


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_without_an_error(signal_number: int) -> None:
    process = _start(["-m", "connector.sandbox", "--leads", "1", "--no-limits"])
    url = _line(process).removeprefix("listening on ")
    assert _answers(url)
    process.send_signal(signal_number)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert not _answers(url)


def test_it_does_not_outlive_a_killed_parent() -> None:
    parent = _start(["-c", _PARENT])
    url = _line(parent)
    assert _answers(url)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(PATIENCE_SECONDS)
    wait_until(lambda: not _answers(url), "it outlived its parent")
    parent.communicate()


_PARENT = """
import time
from connector.sandbox import LocalPipedrive
with LocalPipedrive(leads=1) as pipedrive:
    print(pipedrive.base_url, flush=True)
    time.sleep(60)
"""


def _start(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _answers(url: str) -> bool:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True
