"""`kill -9` between plan and guard: what it left is held against the guards again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.harness import Row, Site, bodies, lead_id, wait_until, writes
from tests.support.scene import (
    Watched,
    kill_in_effect,
    kill_unsent,
    packed_files,
    watched,
)

LEADS = sorted(lead_id(f"guarded {number}") for number in range(30))
VALUES = {"lead_id": "VARCHAR", "value_amount": "DOUBLE", "value_currency": "VARCHAR"}
LOST = [{"value": None}]
TRIES = 5


@pytest.fixture
def site(any_site: Site) -> Site:
    return any_site


def put_leads(site: Site) -> None:
    site.pipedrive.reset(leads=0)
    for lead in LEADS:
        value = {"amount": 5, "currency": "EUR"}
        site.pipedrive.set_lead(lead, title="Lead", organization_id=301, value=value)


def desire(site: Site, *, lost: list[str], kept: tuple[str, ...] = ()) -> None:
    rows: list[Row] = [{"lead_id": lead} for lead in lost]
    rows += [{"lead_id": lead, "value_amount": 5, "value_currency": "EUR"} for lead in kept]
    site.desire(VALUES, rows)


def is_loading_the_plan(run: Watched) -> bool:
    return bool(packed_files(run.site, "lead_patches", "load/normalized"))


def has_loaded_the_plan(run: Watched) -> bool:
    return run.logged("leads to change")


def kill_when(seen: Callable[[Watched], bool], site: Site) -> str:
    """Kill a run before its guard has told, and return its id."""
    for _ in range(TRIES):
        with watched(site) as run:
            wait_until(lambda: seen(run) or run.process.poll() is not None, "never got there")
            run.process.kill()
            run.ended()
        row = site.last_run()
        if row["state"] == "running":
            return str(row["run_id"])
        assert row["state"] == "stopped", "a busy machine may let the guard tell first"
    raise AssertionError(f"the guard has told before each of {TRIES} kills")


def tripped(site: Site) -> dict[str, float]:
    """The guards that the newest run did not pass, and what each found."""
    return {one["guard"]: one["found"] for one in json.loads(site.last_run()["tripped"] or "[]")}


def sent(site: Site) -> int:
    return len(site.pipedrive.requests("PATCH"))


def planned_by(site: Site, run_id: str) -> int:
    sql = "SELECT count(*) AS n FROM pipedrive_leads.lead_patches WHERE plan_id = ?"
    return int(site.query(sql, run_id)[0]["n"])


@pytest.mark.parametrize("seen", [is_loading_the_plan, has_loaded_the_plan])
def test_what_a_kill_left_is_held_against_the_guards_again(
    site: Site, seen: Callable[[Watched], bool]
) -> None:
    site.desire_titles({})
    assert site.run(empty_desired="allow").exit_code == 0
    put_leads(site)
    desire(site, lost=LEADS)
    killed = kill_when(seen, site)
    ended = site.command("run")
    assert (ended.code, sent(site)) == (4, 0), ended.told
    assert tripped(site) == {"max_clears": len(LEADS)}
    assert planned_by(site, killed) == len(LEADS)
    assert site.outcomes() == []
    assert site.run().exit_code == 4, "still there, and still counted"
    desire(site, lost=LEADS[:2], kept=tuple(LEADS[2:]))
    assert site.run().exit_code == 0
    assert bodies(site.pipedrive) == dict.fromkeys(LEADS[:2], LOST)
    left = site.query("SELECT * FROM pipedrive_leads.lead_outcomes WHERE plan_id = ?", killed)
    assert {row["lead_id"]: row["status"] for row in left} == {
        **dict.fromkeys(LEADS, "deferred"),
        **dict.fromkeys(LEADS[:2], "applied"),
    }
    assert len(left) == len(LEADS)


def test_what_a_kill_left_counts_beside_what_is_new(site: Site) -> None:
    """Either would pass alone; accepted, each is sent once, under the id that it was given."""
    site.desire_titles({})
    assert site.run(empty_desired="allow").exit_code == 0
    put_leads(site)
    desire(site, lost=LEADS[:15])
    killed = kill_unsent(site)
    desire(site, lost=LEADS)
    ended = site.command("run")
    assert (ended.code, sent(site)) == (4, 0), ended.told
    assert tripped(site) == {"max_clears": 30}
    stopped = site.last_run()["run_id"]
    assert (planned_by(site, killed), planned_by(site, stopped)) == (15, 15)
    summary = site.run(max_clears=30)
    assert (summary.exit_code, summary.statuses["applied"]) == (0, 30)
    assert writes(site.pipedrive) == dict.fromkeys(LEADS, 1)
    assert bodies(site.pipedrive) == dict.fromkeys(LEADS, LOST)
    plans = {row["plan_id"] for row in site.outcomes()}
    assert plans == {killed, summary.run_id}


def test_what_a_flag_let_pass_is_told_of_a_killed_run(site: Site) -> None:
    put_leads(site)
    desire(site, lost=LEADS)
    site.pipedrive.fault("hang", method="PATCH", seconds=1.0, write="before")
    with watched(site, "--max-clears", "30") as run:
        wait_until(lambda: bool(writes(site.pipedrive)), "no PATCH took effect")
        run.process.kill()
        run.ended()
    [told] = json.loads(site.last_run()["overridden"])
    assert (told["guard"], told["found"]) == ("max_clears", 30)


def test_the_way_out_of_a_guard_on_what_a_kill_left_sends_it(site: Site) -> None:
    put_leads(site)
    desire(site, lost=LEADS)
    kill_unsent(site, "--max-clears", "30")
    ended = site.command("run")
    assert (ended.code, sent(site)) == (4, 0), ended.told
    shown = site.command("show", "latest")
    for told in (ended.told, shown.told):
        assert "30 leads to change" in told
        assert "Planned before by a run that was cut off: 30 leads." in told
        assert "run it again and accept it with --max-clears 30" in told
        assert "lead-sync apply" not in told
    assert "--limit" not in shown.told
    assert "An earlier version" not in shown.told
    assert site.command("run", "--max-clears", "30").code == 0
    assert bodies(site.pipedrive) == dict.fromkeys(LEADS, LOST)


def test_a_plan_of_nothing_but_what_a_kill_left_is_not_applied(site: Site) -> None:
    put_leads(site)
    desire(site, lost=LEADS)
    kill_unsent(site, "--max-clears", "30")
    stopped = site.run()
    assert (stopped.exit_code, stopped.left_over) == (4, 30)
    site.pipedrive.clear_requests()
    ended = site.command("apply", stopped.run_id, "--max-clears", "30")
    assert (ended.code, site.pipedrive.requests()) == (1, [])
    assert f"plan {stopped.run_id} holds nothing of its own" in ended.told
    assert "`lead-sync run` goes on with what the killed run left" in ended.told
    assert site.last_run()["run_id"] == stopped.run_id
    assert site.run(max_clears=30).statuses["applied"] == 30


def test_what_a_plan_holds_beside_what_a_kill_left_is_applied(site: Site) -> None:
    put_leads(site)
    desire(site, lost=LEADS[:15])
    kill_unsent(site)
    desire(site, lost=LEADS)
    stopped = site.run()
    assert (stopped.exit_code, stopped.left_over) == (4, 15)
    applied = site.apply(stopped.run_id, max_clears=30)
    assert (applied.exit_code, applied.statuses["applied"]) == (0, 15), applied.message
    assert bodies(site.pipedrive) == dict.fromkeys(LEADS[15:], LOST)
    assert site.run().statuses["applied"] == 15
    assert writes(site.pipedrive) == dict.fromkeys(LEADS, 1)


def test_what_a_kill_left_in_effect_is_no_matter_of_an_earlier_version(site: Site) -> None:
    put_leads(site)
    desire(site, lost=LEADS)
    first = min(LEADS)
    kill_in_effect(
        site, lambda: site.pipedrive.lead(first)["value"] is None, max_clears=30, workers=1
    )
    ended = site.command("run")
    assert (ended.code, ended.told.count("1 confirmed") + ended.told.count("1 applied")) == (4, 1)
    shown = site.command("show", "latest")
    assert "29 leads to change" in shown.told
    assert "An earlier version" not in shown.told
