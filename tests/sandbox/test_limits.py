from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connector.sandbox import LocalPipedrive
from connector.sandbox.limits import Limiter
from connector.sandbox.settings import Settings
from tests.support.api import Api

TOKENS = [
    ("GET", "leads", 20),
    ("GET", "leads/archived", 40),
    ("GET", "leads/{id}", 2),
    ("PATCH", "leads/{id}", 10),
    ("GET", "leadFields", 20),
    ("GET", "leadLabels", 10),
    ("GET", "users", 20),
    ("GET", "users/me", 2),
    ("POST", "leads", 10),
    ("DELETE", "leads/{id}", 6),
    ("GET", "leads/{id}/permittedUsers", 10),
    ("GET", "leads/search?term=lead", 40),
    ("GET", "leadSources", 2),
    ("GET", "dealFields", 20),
    ("GET", "nothing", 0),
]


@pytest.mark.parametrize(("method", "path", "tokens"), TOKENS)
def test_cost_of_each_call(
    api: Api, lead: dict[str, Any], method: str, path: str, tokens: int
) -> None:
    api.pipedrive.settings(limits=True, plan="lite", seats=2)
    body = {"title": "x", "organization_id": 301}
    answer = api(method, path.format(id=lead["id"]), json=body)
    assert answer.headers["x-daily-ratelimit-token-limit"] == "60000"
    assert answer.headers["x-daily-ratelimit-token-remaining"] == str(60_000 - tokens)
    assert ("x-daily-requests-left" in answer.headers) is (method != "GET")
    assert api.pipedrive.requests()[-1]["tokens"] == tokens


@pytest.mark.parametrize(
    ("plan", "burst", "budget"),
    [("lite", 20, 30_000), ("growth", 40, 60_000), ("premium", 100, 150_000),
     ("ultimate", 120, 210_000)],
)  # fmt: skip
def test_plans(api: Api, pipedrive: LocalPipedrive, plan: str, burst: int, budget: int) -> None:
    pipedrive.settings(limits=True, plan=plan)
    headers = api.get("users/me").headers
    assert headers["x-ratelimit-limit"] == str(burst)
    assert headers["x-ratelimit-remaining"] == str(burst - 1)
    assert headers["x-daily-ratelimit-token-limit"] == str(budget)


def test_burst_is_refused_costs_nothing_and_passes(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, plan="lite")
    for left in range(19, -1, -1):
        answer = api.get("users/me")
        assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (200, str(left))
    refused = api.get("users/me")
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (429, "0")
    assert refused.headers["x-daily-ratelimit-token-remaining"] == str(30_000 - 40)
    assert refused.json()["success"] is False
    assert pipedrive.requests()[-1]["tokens"] == 0
    assert "retry-after" not in refused.headers
    assert 1 <= int(refused.headers["x-ratelimit-reset"]) <= 2
    time.sleep(int(refused.headers["x-ratelimit-reset"]))
    assert api.get("users/me").status_code == 200


def test_no_two_seconds_hold_more_than_the_burst(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, plan="lite")
    until = time.monotonic() + 2.6
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(_hammer, Api(pipedrive), until)
    served = [entry["at"] for entry in pipedrive.requests() if entry["status"] == 200]
    assert 20 < len(served) <= 40
    assert all(later - earlier >= 2.0 for earlier, later in zip(served, served[20:], strict=False))
    assert any(entry["status"] == 429 for entry in pipedrive.requests())


def _hammer(api: Api, until: float) -> None:
    while time.monotonic() < until:
        api.get("users/me")
    api.session.close()


def test_window_rolls() -> None:
    limiter, settings = Limiter(), Settings(plan="lite")
    for number in range(20):
        assert limiter.judge(settings, number * 0.1, "GET", 1).refused is None
    assert limiter.judge(settings, 1.95, "GET", 1).refused is not None
    assert limiter.judge(settings, 2.01, "GET", 1).refused is None
    assert limiter.judge(settings, 2.02, "GET", 1).refused is not None


def test_spent_day(api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]) -> None:
    pipedrive.settings(limits=True, daily_budget=30)
    answers = [api.patch(lead["id"], {"title": f"t{n}"}) for n in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [answer.headers["x-daily-ratelimit-token-remaining"] for answer in answers]
    assert left == ["20", "10", "0", "0"]
    assert [answer.headers["x-daily-requests-left"] for answer in answers] == ["2", "1", "0", "0"]
    assert int(answers[3].headers["x-ratelimit-remaining"]) > 0
    assert pipedrive.lead(lead["id"])["title"] == "t2"
    pipedrive.settings(daily_budget=30)
    assert api.patch(lead["id"], {"title": "next day"}).status_code == 200


def test_no_request_is_left_only_when_the_day_is_spent(
    api: Api, pipedrive: LocalPipedrive, lead: dict[str, Any]
) -> None:
    """0 in `x-daily-requests-left` is the documented sign of a spent day."""
    pipedrive.settings(limits=True, daily_budget=15, daily_headers=False)
    answers = [api.patch(lead["id"], {"title": f"t{n}"}) for n in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-daily-requests-left"] for answer in answers] == ["1", "0", "0"]
    assert "x-daily-requests-left" not in api.get("users/me").headers


def test_retry_after_and_missing_daily_headers(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, daily_budget=0, retry_after=True, daily_headers=False)
    answer = api.get("users/me")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert not [name for name in answer.headers if name.startswith("x-daily")]


def test_wrong_token_costs_nothing(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(limits=True, daily_budget=100)
    assert api("GET", "leads", headers={"x-api-token": "wrong"}).status_code == 401
    assert api.get("users/me").headers["x-daily-ratelimit-token-remaining"] == "98"


def test_without_limits_no_header_speaks_of_them(api: Api, lead: dict[str, Any]) -> None:
    answers = [api.patch(lead["id"], {"title": f"t{n}"}) for n in range(150)]
    assert {answer.status_code for answer in answers} == {200}
    assert not [name for name in answers[-1].headers if "limit" in name or "daily" in name]


def test_latency(api: Api, pipedrive: LocalPipedrive) -> None:
    pipedrive.settings(latency_ms=80)
    started = time.monotonic()
    api.get("users/me")
    assert time.monotonic() - started >= 0.08
