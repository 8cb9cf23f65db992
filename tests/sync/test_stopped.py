"""Runs that end early: every planned lead has its outcome, and the next run goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from connector import LeadSyncError
from connector.sync.attempt import MAYBE_LATER
from tests.support.harness import (
    Ended,
    NewSite,
    Row,
    Site,
    ended_at_last,
    finish,
    serving,
    wait_until,
    writes,
)

pytestmark = pytest.mark.xdist_group("sync stopped")

WRONG_ROUTE = {"success": False, "error": "Unknown method ."}
SCOPE = {"success": False, "error": "Scope and URL mismatch"}
ENDINGS: dict[str, Mapping[str, Any]] = {
    "401": {"kind": "status", "status": 401},
    "402": {"kind": "status", "status": 402},
    "403 without JSON": {"kind": "html403"},
    "Scope": {"kind": "status", "status": 403, "body": SCOPE},
    "Unknown method": {"kind": "status", "status": 404, "body": WRONG_ROUTE},
    "redirected (302)": {"kind": "redirect"},
}


@dataclass(frozen=True)
class Stopped:
    """A run that an answer to one lead's PATCH stopped; statuses in the order of sending."""

    error: str
    run: Row
    lead_id: str
    statuses: dict[str, str]
    outcomes: int


@pytest.fixture(scope="module")
def used_site(new_site: NewSite) -> Site:
    """A site whose tables are there already, so that each test need not create them."""
    return new_site()


@pytest.fixture
def leads(used_site: Site) -> list[str]:
    """Twelve leads in the order in which they are sent."""
    used_site.pipedrive.reset()
    return sorted(used_site.pipedrive.leads())[:12]


def desire_new_titles(site: Site, leads: list[str]) -> None:
    site.desire_titles({lead: f"Title of {lead}" for lead in leads})


def assert_all_brought_there_once(site: Site, leads: list[str]) -> None:
    titles = {lead: site.pipedrive.lead(lead)["title"] for lead in leads}
    assert titles == {lead: f"Title of {lead}" for lead in leads}
    assert writes(site.pipedrive) == dict.fromkeys(leads, 1)


@pytest.fixture(scope="module")
def stopped(used_site: Site) -> dict[str, Stopped]:
    """One run after the other: each goes on behind the last, and meets the next ending."""
    used_site.pipedrive.reset()
    leads = sorted(used_site.pipedrive.leads())
    desire_new_titles(used_site, leads)
    seen = {}
    for number, told in enumerate(ENDINGS, 1):
        seen[told] = run_until_stopped(used_site, leads[number * 6], ENDINGS[told])
    return seen


def run_until_stopped(site: Site, lead: str, fault: Mapping[str, Any]) -> Stopped:
    site.pipedrive.clear_faults()
    site.pipedrive.fault(**fault, method="PATCH", lead_id=lead, times=100)
    with pytest.raises(LeadSyncError) as raised:
        site.run(workers=1)
    run = site.last_run()
    outcomes = site.outcomes(run["run_id"])
    statuses = {row["lead_id"]: row["status"] for row in outcomes}
    return Stopped(str(raised.value), run, lead, statuses, len(outcomes))


@pytest.mark.parametrize("told", ENDINGS)
def test_an_answer_that_concerns_all_stops_the_run(stopped: dict[str, Stopped], told: str) -> None:
    seen = stopped[told]
    assert told in seen.error
    assert told in seen.run["message"]
    assert seen.run["state"] == "failed"
    applied = list(seen.statuses).index(seen.lead_id)
    deferred = len(seen.statuses) - applied - 1
    assert min(applied, deferred) > 0
    assert list(seen.statuses.values()) == [
        *["applied"] * applied,
        "failed",
        *["deferred"] * deferred,
    ]


@pytest.mark.parametrize("told", ENDINGS)
def test_a_stopped_run_accounts_for_every_lead(stopped: dict[str, Stopped], told: str) -> None:
    seen = stopped[told]
    counted = [seen.run[status] for status in ("applied", "failed", "deferred")]
    assert sum(counted) == seen.outcomes == len(seen.statuses)
    assert seen.run["desired_rows"] == sum(counted) + seen.run["unchanged"]


def test_the_next_run_goes_on(used_site: Site, stopped: dict[str, Stopped]) -> None:
    used_site.pipedrive.clear_faults()
    summary = used_site.run()
    assert (summary.exit_code, summary.statuses["deferred"]) == (0, 0)
    assert 0 < summary.statuses["applied"] <= 4 + len(ENDINGS)
    assert set(used_site.outcomes_of_patches()) == {1}
    assert_all_brought_there_once(used_site, sorted(used_site.pipedrive.leads()))


def test_the_command_says_what_stopped_it(used_site: Site, leads: list[str]) -> None:
    desire_new_titles(used_site, leads)
    used_site.pipedrive.fault("status", status=401, method="PATCH", lead_id=leads[5])
    ended = used_site.command("run", workers=1)
    assert ended.code == 1
    last_line = ended.stderr.splitlines()[-1]
    assert last_line.startswith("error: 401")
    assert "5 applied, 1 failed, 6 deferred" in last_line
    assert used_site.last_run()["run_id"] in last_line
    assert "Traceback" not in ended.stderr
    assert used_site.pipedrive.api_token not in ended.told


@contextmanager
def listener(heard: list[str]) -> Iterator[str]:
    """A server on another port that notes what it is sent."""

    class Listen(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            heard.append(str(self.headers))
            self.send_response(200)
            self.end_headers()

        do_GET = do_PATCH  # noqa: N815

        def log_message(self, format: str, *values: Any) -> None:  # noqa: A002
            pass

    with serving(Listen) as url:
        yield f"{url}/api/v1/leads"


@pytest.mark.parametrize(("method", "status"), [("GET", 302), ("PATCH", 307)])
def test_a_redirect_is_not_followed(
    used_site: Site, leads: list[str], method: str, status: int
) -> None:
    heard: list[str] = []
    desire_new_titles(used_site, leads)
    with listener(heard) as elsewhere:
        used_site.pipedrive.fault("redirect", method=method, location=elsewhere, status=status)
        with pytest.raises(LeadSyncError, match=f"redirected \\({status}\\)"):
            used_site.run()
    assert heard == []


def run_on_a_spent_budget(site: Site, **settings: object) -> None:
    """Runs until the seven PATCHes are sent that the day's tokens allow for."""
    budget = 2 + 20 + 10 * 7
    site.pipedrive.settings(limits=True, plan="ultimate", daily_budget=budget, **settings)
    summary = site.run(workers=1, max_attempts=2)
    assert (summary.exit_code, site.last_run()["state"]) == (5, "stopped")
    assert (summary.statuses["applied"], summary.statuses["deferred"]) == (7, 5)
    assert set(site.outcomes_of_patches()) == {1}


def test_what_never_left_was_not_sent(used_site: Site, leads: list[str]) -> None:
    summary = used_site.run(workers=1, token_budget=2 + 20 + 10 * 3 + 5)
    outcomes = used_site.outcomes(summary.run_id)
    kept = [row for row in outcomes if row["status"] == "deferred"]
    assert len(used_site.pipedrive.requests("PATCH")) == len(outcomes) - len(kept) == 3
    assert {(row["attempts"], row["sent_at"]) for row in kept} == {(0, None)}


def test_a_spent_budget_stops_the_run_until_there_is_more(
    used_site: Site, leads: list[str]
) -> None:
    desire_new_titles(used_site, leads)
    run_on_a_spent_budget(used_site)
    used_site.pipedrive.settings(daily_budget=10_000)
    assert used_site.run().exit_code == 0
    assert_all_brought_there_once(used_site, leads)


def test_a_spent_budget_stops_the_run_even_where_no_header_tells(
    used_site: Site, leads: list[str]
) -> None:
    desire_new_titles(used_site, leads)
    run_on_a_spent_budget(used_site, daily_headers=False)


READING_PATCH_AND_LOOK = 2 + 20 + 10 + 2
UNANSWERED: dict[str, Mapping[str, Any]] = {
    "never written": {"kind": "reset_before"},
    "written late": {"kind": "hang", "seconds": 5.0, "write": "after"},
}


def assert_told_as_maybe_in_effect(site: Site, lead: str) -> None:
    [outcome] = site.outcomes(site.last_run()["run_id"])
    assert (outcome["lead_id"], outcome["status"]) == (lead, "failed")
    assert outcome["reason"].startswith("no answer from Pipedrive")
    assert outcome["reason"].endswith(MAYBE_LATER)


@pytest.mark.parametrize("name", UNANSWERED)
def test_a_send_without_an_answer_is_never_told_as_not_sent(
    used_site: Site, leads: list[str], name: str
) -> None:
    lead = leads[0]
    desire_new_titles(used_site, [lead])
    used_site.pipedrive.fault(**UNANSWERED[name], method="PATCH", lead_id=lead)
    summary = used_site.run(token_budget=READING_PATCH_AND_LOOK, timeout_seconds=0.5)
    assert (summary.exit_code, summary.statuses["deferred"]) == (5, 0)
    assert_told_as_maybe_in_effect(used_site, lead)
    if name == "written late":
        wait_until(lambda: writes(used_site.pipedrive)[lead] == 1, "not written")
    assert used_site.run().exit_code == 0
    assert_all_brought_there_once(used_site, [lead])


def looked_at(site: Site, lead: str) -> bool:
    return any(row["lead_id"] == lead for row in site.pipedrive.requests("GET"))


def test_a_signal_after_a_send_without_an_answer_does_not_deny_it(
    used_site: Site, leads: list[str]
) -> None:
    lead = leads[0]
    desire_new_titles(used_site, [lead])
    used_site.pipedrive.fault("reset_before", method="PATCH", lead_id=lead)
    with ended_at_last(used_site.start("run", burst_limit=1)) as process:
        wait_until(lambda: looked_at(used_site, lead), "no look")
        process.send_signal(signal.SIGTERM)
        assert finish(process).code == 5
    assert_told_as_maybe_in_effect(used_site, lead)


def test_a_signal_ends_a_run_cleanly(used_site: Site) -> None:
    site = used_site
    site.pipedrive.reset(leads=120, latency_ms=60)
    leads = [key for key, lead in site.pipedrive.leads().items() if not lead["is_archived"]]
    desire_new_titles(site, leads)
    ended = run_until_asked(site, signal.SIGTERM)
    run = site.last_run()
    assert (ended.code, run["state"]) == (5, "stopped"), ended.told
    assert run["applied"] == len(writes(site.pipedrive))
    assert run["applied"] + run["deferred"] == len(leads)
    assert run["deferred"] > 0
    assert set(site.outcomes_of_patches()) == {1}
    site.pipedrive.settings(latency_ms=0)
    assert site.run().exit_code == 0
    assert_all_brought_there_once(site, leads)


def run_until_asked(site: Site, asked: signal.Signals) -> Ended:
    """Runs the command, and asks it to stop while it sends; no other run gets in meanwhile."""
    before = len(site.pipedrive.requests("PATCH"))
    with ended_at_last(site.start("run")) as process:
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= before + 20, "no PATCH")
        with pytest.raises(LeadSyncError, match=f"another run is under way: process {process.pid}"):
            site.run()
        process.send_signal(asked)
        return finish(process)
