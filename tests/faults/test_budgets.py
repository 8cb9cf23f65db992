"""What a run may spend, how fast, how long and how much of it in vain."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from tests.faults.books import assert_books
from tests.faults.scene import assert_titles, desire, new_leads
from tests.harness import Ended, Row, Site

COST_ME, COST_LIST, COST_PATCH, COST_LEAD = 2, 20, 10, 2
COST_READING = COST_ME + COST_LIST
LEADS = 40
WORKERS = 6


@pytest.fixture
def titles(site: Site) -> dict[str, str]:
    return desire(site, new_leads(site, LEADS, latency_ms=5))


def spent(log: list[Row]) -> int:
    return sum(row["tokens"] for row in log)


def assert_stopped_early(site: Site, ended: Ended, told: str) -> Row:
    assert ended.code == 5, ended.told
    assert "Traceback" not in ended.told
    run = site.last_run()
    assert run["state"] == "stopped"
    assert told in str(run["message"])
    assert run["deferred"] > 0
    assert run["tokens"] >= spent(site.pipedrive.requests())
    assert_books(site)
    return run


def assert_the_next_run_finishes(site: Site, titles: Mapping[str, str]) -> None:
    site.pipedrive.clear_faults()
    site.pipedrive.settings(latency_ms=0)
    assert site.run(workers=WORKERS).exit_code == 0
    assert_books(site)
    assert_titles(site, titles)


def test_a_run_spends_no_more_than_its_budget(site: Site, titles: dict[str, str]) -> None:
    budget = COST_READING + 12 * COST_PATCH + 7
    ended = site.command("run", token_budget=budget, workers=WORKERS)
    run = assert_stopped_early(site, ended, "token_budget")
    assert spent(site.pipedrive.requests()) <= budget
    assert (run["applied"], run["deferred"]) == (12, LEADS - 12)
    assert_the_next_run_finishes(site, titles)


def test_a_budget_counts_what_read_backs_and_repeats_cost(
    site: Site, titles: dict[str, str]
) -> None:
    budget = COST_READING + 15 * COST_PATCH
    site.pipedrive.fault("status", status=502, method="PATCH", times=3)
    site.pipedrive.fault("reset_after", method="PATCH", times=3)
    site.pipedrive.fault("truncated", method="PATCH", times=3)
    ended = site.command("run", token_budget=budget, workers=WORKERS)
    assert_stopped_early(site, ended, "token_budget")
    assert spent(site.pipedrive.requests()) <= budget
    assert_the_next_run_finishes(site, titles)


def test_a_budget_too_small_to_read_sends_nothing(site: Site, titles: dict[str, str]) -> None:
    ended = site.command("run", token_budget=COST_READING - 1)
    assert ended.code == 5, ended.told
    assert [row["path"] for row in site.pipedrive.requests()] == ["/api/v1/users/me"]
    assert_the_next_run_finishes(site, titles)


def test_a_reserve_of_the_day_is_left_to_others(site: Site, titles: dict[str, str]) -> None:
    day, reserve = 400, 150
    site.pipedrive.settings(limits=True, plan="ultimate", daily_budget=day)
    ended = site.command("run", token_reserve=reserve, workers=WORKERS)
    run = assert_stopped_early(site, ended, "token_reserve")
    assert day - spent(site.pipedrive.requests()) >= reserve
    most = (day - reserve - COST_READING) // COST_PATCH
    assert most - WORKERS <= run["applied"] <= most
    again = site.command("run", token_reserve=reserve)
    assert again.code == 5
    assert day - spent(site.pipedrive.requests()) >= reserve - COST_READING
    site.pipedrive.settings(daily_budget=10_000)  # the next day
    assert_the_next_run_finishes(site, titles)


@pytest.mark.parametrize("header", [True, False])
def test_a_spent_day_is_foreseen(site: Site, titles: dict[str, str], header: bool) -> None:
    day = COST_READING + 10 * COST_PATCH
    site.pipedrive.settings(limits=True, plan="ultimate", daily_budget=day, daily_headers=header)
    ended = site.command("run", workers=WORKERS, max_attempts=2)
    run = assert_stopped_early(site, ended, "the day's token budget is used up")
    assert [row for row in site.pipedrive.requests() if row["status"] == 429] == []
    assert run["applied"] == 10
    site.pipedrive.settings(daily_budget=10_000)  # the next day
    assert_the_next_run_finishes(site, titles)


@pytest.mark.parametrize("status", [200, 429])
def test_no_requests_left_is_a_spent_day(site: Site, titles: dict[str, str], status: int) -> None:
    """The documented header alone says so, on an answer that is refused or is not."""
    fault: dict[str, Any] = {
        "status": status,
        "headers": {"x-daily-requests-left": "0"},
        "method": "PATCH",
    }
    if status == 200:
        lead = min(titles)
        data = {**site.pipedrive.lead(lead), "title": titles[lead]}
        fault |= {"body": {"success": True, "data": data}, "lead_id": lead, "write": True}
    site.pipedrive.fault("status", **fault, times=1_000)
    ended = site.command("run", workers=1, max_attempts=5)
    run = assert_stopped_early(site, ended, "the day's token budget is used up")
    assert len(site.pipedrive.requests("PATCH")) == 1
    assert run["applied"] == (status == 200)


def test_a_time_limit_ends_the_run_cleanly(site: Site, titles: dict[str, str]) -> None:
    """A limit that is up before the first PATCH, as on a busy machine, is doubled."""
    site.pipedrive.fault("hang", method="PATCH", seconds=1.0, times=1_000)
    seconds, ended = 4, None
    while not site.pipedrive.requests("PATCH"):
        site.pipedrive.clear_requests()
        ended = site.command("run", "--max-seconds", str(seconds), workers=1)
        seconds *= 2
    assert ended is not None
    run = assert_stopped_early(site, ended, "asked to stop")
    assert run["applied"] == len(site.pipedrive.requests("PATCH"))
    assert_the_next_run_finishes(site, titles)


def test_the_breaker_bounds_what_is_burnt(site: Site, titles: dict[str, str]) -> None:
    failures, workers = 5, 4
    site.pipedrive.fault("status", status=400, method="PATCH", times=1_000)
    ended = site.command("run", breaker_failures=failures, workers=workers)
    run = assert_stopped_early(site, ended, f"{failures} patches in a row failed")
    sent = len(site.pipedrive.requests("PATCH"))
    assert failures <= sent <= failures + workers
    assert run["failed"] == sent
    assert_the_next_run_finishes(site, titles)


def refuse(site: Site, leads: list[str]) -> None:
    for lead in leads:
        site.pipedrive.fault("status", status=400, method="PATCH", lead_id=lead)


def test_the_breaker_judges_the_share_that_failed(site: Site, titles: dict[str, str]) -> None:
    refuse(site, sorted(titles)[::2])
    ended = site.command("run", breaker_failures=8, breaker_percent=49, workers=1)
    run = assert_stopped_early(site, ended, "8 of 15 patches failed, more than breaker_percent 49")
    assert (run["failed"], run["applied"], run["deferred"]) == (8, 7, LEADS - 15)
    assert_the_next_run_finishes(site, titles)


def test_a_share_is_not_judged_when_told_so(site: Site, titles: dict[str, str]) -> None:
    bad = [lead for place, lead in enumerate(sorted(titles)) if place % 3]
    refuse(site, bad)
    ended = site.command("run", breaker_failures=3, breaker_percent=0, workers=1)
    assert ended.code == 3, ended.told
    assert assert_books(site).statuses == {"applied": LEADS - len(bad), "failed": len(bad)}


def test_the_breaker_lets_a_few_bad_leads_pass(site: Site, titles: dict[str, str]) -> None:
    bad = sorted(titles)[1::2]
    refuse(site, bad)
    ended = site.command("run", breaker_failures=3, workers=1)
    assert ended.code == 3, ended.told
    books = assert_books(site)
    assert books.statuses == {"applied": LEADS - len(bad), "failed": len(bad)}


def test_no_window_of_two_seconds_has_more_than_the_burst(site: Site) -> None:
    burst, window = 20, 2.0
    leads = new_leads(site, 60, limits=True, plan="lite", latency_ms=10)
    titles = desire(site, leads)
    for lead in leads[::6]:
        site.pipedrive.fault("reset_after", method="PATCH", lead_id=lead)
    ended = site.command("run", workers=20)
    assert ended.code == 0, ended.told
    log = site.pipedrive.requests()
    moments = [row["at"] for row in log]
    assert all(later >= earlier for earlier, later in pairwise(moments))
    first_and_next = zip(moments, moments[burst:], strict=False)
    assert min(later - earlier for earlier, later in first_and_next) > window
    assert [row for row in log if row["status"] == 429] == []
    assert_books(site)
    assert_titles(site, titles)
