"""What a run may spend, how fast, how long and how much of it in vain."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connector.sync.runs import apply_revert, plan_revert
from connector.sync.summary import Summary
from tests.support.books import assert_books
from tests.support.harness import Ended, Row, Site, lead_id
from tests.support.scene import assert_titles, desire, make_unread, new_leads

COST_ME, COST_LIST, COST_PATCH, COST_LEAD = 2, 20, 10, 2
COST_NAMES = 10 + 20
"""Labels, and the custom fields that a column may be called like."""
COST_READING = COST_ME + COST_LIST
LEADS = 40
WORKERS = 6


@pytest.fixture
def titles(site: Site) -> dict[str, str]:
    return wanted(site)


def wanted(site: Site) -> dict[str, str]:
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
    assert site.run(workers=WORKERS, retry_failed=True).exit_code == 0
    assert_books(site)
    assert_titles(site, titles)


def test_a_run_spends_no_more_than_its_budget(any_site: Site) -> None:
    site, titles = any_site, wanted(any_site)
    budget = COST_READING + 12 * COST_PATCH + 7
    ended = site.command("run", token_budget=budget, workers=WORKERS)
    run = assert_stopped_early(site, ended, "token_budget")
    assert spent(site.pipedrive.requests()) <= budget
    assert (run["applied"], run["deferred"]) == (12, LEADS - 12)
    assert_the_next_run_finishes(site, titles)


def test_a_budget_counts_what_read_backs_and_repeats_cost(any_site: Site) -> None:
    site, titles = any_site, wanted(any_site)
    budget = COST_READING + 15 * COST_PATCH
    site.pipedrive.fault("status", status=502, method="PATCH", times=3)
    site.pipedrive.fault("reset_after", method="PATCH", times=3)
    site.pipedrive.fault("truncated", method="PATCH", times=3)
    ended = site.command("run", token_budget=budget, workers=WORKERS)
    assert_stopped_early(site, ended, "token_budget")
    assert spent(site.pipedrive.requests()) <= budget
    assert_the_next_run_finishes(site, titles)


def test_a_budget_counts_the_looks_at_leads_that_an_increment_left_out(
    any_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = any_site
    titles = make_unread(site, LEADS, monkeypatch)
    budget = COST_READING + 9 * (COST_LEAD + COST_PATCH) + COST_LEAD
    ended = site.run(token_budget=budget, workers=1)
    assert (ended.exit_code, ended.statuses["applied"]) == (5, 9)
    assert spent(site.pipedrive.requests()) <= budget
    assert_the_next_run_finishes(site, titles)


MANY_WORKERS = 20


def assert_looks_and_patches(site: Site, before: float, most: int) -> None:
    """Each look of a run has its PATCH, and there are as many as the tokens last for."""
    log = [row for row in site.pipedrive.requests() if row["at"] > before and "-" in row["path"]]
    methods = Counter(row["method"] for row in log)
    assert methods == {"GET": most, "PATCH": most}, methods


@pytest.mark.parametrize("bound", ["token_budget", "day", "token_reserve"])
def test_what_is_left_is_not_spent_on_looks_alone(
    any_site: Site, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Else it would be so night after night: all is spent, and no lead is changed."""
    site = any_site
    titles = make_unread(site, LEADS, monkeypatch)
    affordable, left_over = 3, COST_LEAD + COST_PATCH - 1
    budget = COST_READING + affordable * (COST_LEAD + COST_PATCH) + left_over
    site.pipedrive.settings(latency_ms=100)
    for night in (1, 2):
        given: Row = {"token_budget": budget} if bound == "token_budget" else {}
        if bound != "token_budget":
            given = {"token_reserve": 100 if bound == "token_reserve" else 0}
            day = budget + given["token_reserve"]
            site.pipedrive.settings(limits=True, plan="ultimate", daily_budget=day)
        began = time.time()
        done = site.run(workers=MANY_WORKERS, **given)
        assert (done.exit_code, done.statuses["applied"]) == (5, affordable), done.message
        assert done.tokens == budget - left_over
        assert_looks_and_patches(site, began, affordable)
        assert site.last_run()["deferred"] == LEADS - night * affordable
    site.pipedrive.settings(daily_budget=10_000)
    assert_the_next_run_finishes(site, titles)


def test_a_slow_pace_does_not_cut_off_what_was_looked_at(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PATCHes wait for their turn, while other workers find the budget used up."""
    make_unread(site, LEADS, monkeypatch)
    budget = COST_READING + 6 * (COST_LEAD + COST_PATCH)
    done = site.run(token_budget=budget, workers=MANY_WORKERS, burst_limit=8)
    assert (done.statuses["applied"], done.tokens) == (6, budget)


def test_looks_that_show_nothing_to_send_leave_the_tokens_to_others(
    any_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = any_site
    titles = make_unread(site, LEADS, monkeypatch)
    for lead, title in titles.items():
        site.pipedrive.set_lead(lead, title=title, update_time="2020-01-01 00:00:00")
    budget = COST_READING + LEADS * COST_LEAD + COST_PATCH
    done = site.run(token_budget=budget, workers=MANY_WORKERS)
    assert (done.exit_code, done.statuses["confirmed"]) == (0, LEADS), done.message
    assert done.tokens == budget - COST_PATCH


def test_labels_that_are_added_are_sent_within_a_budget(any_site: Site) -> None:
    """Their leads are read, and are looked at all the same: a label is added to what is there."""
    site = any_site
    leads = new_leads(site, LEADS, latency_ms=100)
    wish = [{"lead_id": lead, "add_labels": "Hot"} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR"}, wish)
    budget = COST_READING + COST_NAMES + 4 * (COST_LEAD + COST_PATCH) + COST_PATCH
    done = site.run(token_budget=budget, workers=MANY_WORKERS)
    assert (done.exit_code, done.statuses["applied"]) == (5, 4)
    assert_books(site)


def test_a_budget_too_small_to_read_sends_nothing(site: Site, titles: dict[str, str]) -> None:
    ended = site.command("run", token_budget=COST_READING - 1)
    assert (ended.code, site.pipedrive.requests()) == (5, []), ended.told
    told = "token_budget 21 does not last for reading, which costs at least 22 tokens"
    assert told in ended.told
    assert_the_next_run_finishes(site, titles)


def put_page_and_more(site: Site) -> None:
    """A list of two pages: the second one cannot be known before the first is read."""
    site.pipedrive.reset(leads=0)
    for number in range(505):
        site.pipedrive.set_lead(lead_id(f"paged {number}"), title="Lead", organization_id=301)
    site.desire_titles({lead_id("paged 1"): "New"})


def test_a_budget_that_ends_within_the_list_is_not_burnt_again(site: Site) -> None:
    put_page_and_more(site)
    first = site.run(token_budget=COST_READING + 5)
    assert (first.exit_code, first.tokens) == (5, COST_READING)
    assert first.message == (
        "token_budget 27 does not last for reading: 22 tokens were spent, 500 leads read, and it "
        "was not at its end; raise it"
    )
    budget = COST_READING + 5
    for summary in (site.run(token_budget=budget), site.plan(token_budget=budget)):
        assert (summary.exit_code, summary.tokens) == (5, 0)
        assert "costs at least 42 tokens; raise it, or read on with" in summary.message
    assert site.run(token_budget=COST_READING + COST_LIST + COST_PATCH).exit_code == 0


def test_a_list_that_was_long_once_stops_no_run_for_ever(site: Site) -> None:
    put_page_and_more(site)
    assert site.run().exit_code == 0
    assert site.run(token_budget=COST_READING).tokens == 0
    put_the_other_way = lead_id("paged 1")
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(put_the_other_way, title="New", organization_id=301)
    assert site.run(token_budget=COST_READING).exit_code == 5
    assert site.run(token_budget=COST_READING, full_refresh=True).exit_code == 0
    assert site.run(token_budget=COST_READING).exit_code == 0


def test_one_lead_costs_no_list(site: Site, titles: dict[str, str]) -> None:
    lead = min(titles)
    budget = COST_ME + COST_LEAD + COST_PATCH
    assert site.run(lead=lead, token_budget=budget).statuses["applied"] == 1


def test_fields_and_labels_are_a_part_of_what_reading_costs(site: Site) -> None:
    site.pipedrive.reset(leads=1)
    [lead] = site.pipedrive.leads()
    columns = {"lead_id": "VARCHAR", "labels": "VARCHAR[]", "owner_email": "VARCHAR"}
    site.desire({**columns, "lead_score": "DOUBLE"}, [{"lead_id": lead}])
    cost = COST_READING + 20 + 10 + 20
    summary = site.run(token_budget=cost - 1)
    assert (summary.exit_code, summary.tokens) == (5, 0)
    assert f"costs at least {cost} tokens" in summary.message


@pytest.mark.parametrize("renamed", [None, {"add_labels": "add_labels"}])
def test_so_are_fields_that_a_column_may_be_called_like(
    site: Site, renamed: dict[str, str] | None
) -> None:
    [lead] = new_leads(site, 1)
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR"}, [{"lead_id": lead}])
    cost = COST_READING + COST_NAMES - (20 if renamed else 0)
    short = site.run(token_budget=cost - 1, columns=renamed)
    assert (short.exit_code, short.tokens) == (5, 0)
    assert f"costs at least {cost} tokens" in short.message
    assert site.run(token_budget=cost, columns=renamed).exit_code == 0


def test_what_was_looked_up_before_the_budget_was_spent_is_not_asked_for_again(
    any_site: Site,
) -> None:
    """Else it would be so night after night: all is spent on the same leads."""
    site = any_site
    leads, unknown = new_leads(site, 3), [lead_id(f"gone {number}") for number in range(18)]
    site.desire_titles(dict.fromkeys([*leads, *unknown], "New"))
    affordable = 14
    budget = COST_READING + affordable * COST_LEAD
    first = site.run(token_budget=budget, workers=1)
    assert (first.exit_code, first.tokens) == (5, budget)
    assert len(site.mirror()) == len(leads) + affordable
    site.pipedrive.clear_requests()
    second = site.run(token_budget=budget, workers=1, max_not_found_percent="off")
    looks = len(unknown) - affordable
    assert len([row for row in site.pipedrive.requests("GET") if "-" in row["path"]]) == looks
    assert second.statuses["not_found"] == len(unknown)
    assert second.statuses["applied"] == (budget - COST_READING - looks * COST_LEAD) // COST_PATCH


def test_a_stored_plan_is_read_within_the_budget(site: Site, titles: dict[str, str]) -> None:
    plan_id = site.plan().plan_id
    site.pipedrive.clear_requests()
    short = site.apply(plan_id, token_budget=COST_READING - 1)
    assert (short.exit_code, short.tokens, site.pipedrive.requests()) == (5, 0, [])
    assert "token_budget 21 does not last for reading" in short.message
    assert site.apply(plan_id).statuses["applied"] == LEADS


@pytest.mark.parametrize("command", [True, False])
def test_taking_back_keeps_within_one_budget(
    site: Site, titles: dict[str, str], command: bool
) -> None:
    """It reads twice, to plan and to apply, and is one command."""
    run_id = site.run().run_id
    before = spent(site.pipedrive.requests())
    budget = 2 * COST_READING + 7 * (COST_LEAD + COST_PATCH) + 5
    if command:
        assert site.command("revert", run_id, "--yes", token_budget=budget, workers=1).code == 5
    else:
        assert site.revert(run_id, token_budget=budget, workers=1).exit_code == 5
    assert spent(site.pipedrive.requests()) - before <= budget
    run = site.last_run()
    assert (run["command"], run["applied"], run["deferred"]) == ("revert", 7, LEADS - 7)
    assert_books(site)


def test_taking_back_stops_where_the_plan_used_the_budget_up(
    site: Site, titles: dict[str, str]
) -> None:
    run_id = site.run().run_id
    site.pipedrive.clear_requests()
    summary = site.revert(run_id, token_budget=COST_READING + 5)
    assert (summary.exit_code, summary.tokens) == (5, 0)
    assert "token_budget 27, of which 5 are left, does not last for reading" in summary.message
    assert spent(site.pipedrive.requests()) == COST_READING
    plan_id = summary.plan_id
    assert site.apply(plan_id).statuses["applied"] == LEADS, "the plan is there, to be applied"


@pytest.mark.parametrize("command", [True, False])
def test_taking_back_keeps_within_one_time(
    site: Site, titles: dict[str, str], command: bool
) -> None:
    """Planning takes longer than the whole may take: nothing is sent."""
    run_id = site.run().run_id
    site.pipedrive.clear_requests()
    site.pipedrive.fault("hang", method="GET", seconds=1.2)
    if command:
        assert site.command("revert", run_id, "--yes", "--max-seconds", "1").code == 5
    else:
        assert site.revert(run_id, max_seconds=1).exit_code == 5
    assert site.pipedrive.requests("PATCH") == []


def test_the_time_that_the_plan_took_is_not_there_to_apply(
    site: Site, titles: dict[str, str]
) -> None:
    made = plan_revert_of(site, site.run().run_id)
    late = replace(made, finished_at=made.started_at + timedelta(seconds=50))
    with site.in_place() as account:
        ended = apply_revert(late, (), max_seconds=50, **account)
    assert (ended.exit_code, ended.state) == (5, "stopped")
    assert ended.statuses["applied"] == 0


def plan_revert_of(site: Site, run_id: str) -> Summary:
    with site.in_place() as account:
        return plan_revert(run_id, **account)


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
    run = assert_stopped_early(site, ended, f"stopped by max_seconds {seconds // 2}")
    assert run["applied"] == len(site.pipedrive.requests("PATCH"))
    assert_the_next_run_finishes(site, titles)


def test_the_breaker_bounds_what_is_burnt(any_site: Site) -> None:
    site, titles = any_site, wanted(any_site)
    failures, workers = 5, 4
    site.pipedrive.fault("status", status=400, method="PATCH", times=1_000)
    ended = site.command("run", breaker_failures=failures, workers=workers)
    run = assert_stopped_early(site, ended, f"{failures} patches in a row failed or were not taken")
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
    told = "8 of 15 patches failed or were not taken, more than breaker_percent 49"
    run = assert_stopped_early(site, ended, told)
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
    moments = sorted(row["at"] for row in log)
    first_and_next = zip(moments, moments[burst:], strict=False)
    assert min(later - earlier for earlier, later in first_and_next) > window
    assert [row for row in log if row["status"] == 429] == []
    assert_books(site)
    assert_titles(site, titles)
