"""A table whose leads the account does not have: a guard stops it, as it is another account's."""

from __future__ import annotations

from functools import partial

import duckdb
import pytest

from tests.support.harness import DESIRED, NewSite, Row, Site, lead_id
from tests.support.scene import kill_unsent, new_leads

FLAG = "--max-not-found-percent"


def wish(site: Site, known: int, unknown: int) -> None:
    """Want a title of so many leads that are there, and of so many that are not."""
    active = [key for key, lead in site.pipedrive.leads().items() if not lead["is_archived"]]
    strangers = [lead_id(f"stranger {number}") for number in range(unknown)]
    site.desire_titles({lead: f"New {lead}" for lead in active[:known] + strangers})


@pytest.fixture(scope="module")
def foreign(new_site: NewSite) -> Site:
    """A site that wants something of 22 leads, 13 of which the account does not have."""
    site = new_site()
    wish(site, 9, 13)
    return site


def test_a_run_is_stopped_and_tells_how_many_and_the_flag(foreign: Site) -> None:
    ended = foreign.command("run")
    assert ended.code == 4, ended.told
    assert "the account does not have 13 of 22 desired leads, more than 50 %" in ended.told
    assert f"accept it with {FLAG} 60" in ended.told
    assert foreign.pipedrive.requests("PATCH") == []
    assert foreign.outcomes_of_patches() in ([], [0] * 9)


def test_a_plan_says_that_a_run_would_stop_and_apply_stops(foreign: Site) -> None:
    made = foreign.plan()
    assert "a run would stop here: max_not_found_percent" in made.message
    assert (made.desired_leads, made.statuses["not_found"]) == (22, 13)
    applied = foreign.apply(made.plan_id)
    assert (applied.exit_code, applied.state) == (4, "stopped")
    assert "13 of 22" in applied.message
    assert foreign.pipedrive.requests("PATCH") == []


def test_leads_whose_rows_are_rejected_are_unknown_as_well(any_site: Site) -> None:
    """As in another account's table: neither its leads nor its owners are here."""
    leads = new_leads(any_site, 9)
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "owner_email": "VARCHAR"}
    rows: list[Row] = [{"lead_id": lead, "title": "New"} for lead in leads]
    rows += [
        {"lead_id": lead_id(f"stranger {n}"), "owner_email": "nobody@elsewhere.example"}
        for n in range(13)
    ]
    any_site.desire(columns, rows)
    made = any_site.plan()
    assert "13 of 22 desired leads" in made.message
    assert made.statuses["rejected"] == 13
    for stopped in (any_site.apply(made.plan_id), any_site.run()):
        assert (stopped.exit_code, stopped.unknown_leads) == (4, 13)
    assert any_site.last_run()["unknown_leads"] == 13
    assert any_site.pipedrive.requests("PATCH") == []


def test_a_plan_of_a_version_that_did_not_count_them_is_held_by_its_outcomes(site: Site) -> None:
    wish(site, 9, 13)
    made = site.plan()
    site.query("UPDATE pipedrive_leads.sync_runs SET unknown_leads = NULL")
    assert site.apply(made.plan_id).exit_code == 4
    assert site.pipedrive.requests("PATCH") == []


def test_ids_that_are_none_do_not_dilute_them(site: Site) -> None:
    wish(site, 9, 13)
    [first, *_] = site.pipedrive.leads()
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"INSERT INTO {DESIRED} SELECT range, 'New' FROM range(50)")
        connection.execute(f"INSERT INTO {DESIRED} VALUES (' {first.upper()} ', 'New')")
    stopped = site.run()
    assert (stopped.exit_code, stopped.desired_leads) == (4, 22)
    assert "13 of 22 desired leads" in stopped.message


def test_leads_that_cannot_be_read_are_not_unknown(site: Site) -> None:
    wish(site, 9, 13)
    site.pipedrive.fault("status", status=400, method="GET", route="leads/{id}", times=13)
    summary = site.run()
    assert (summary.tripped, summary.unknown_leads) == ([], 0)
    assert summary.statuses["failed"] == 13


@pytest.mark.parametrize("accepted", ["60", "off"])
def test_a_flag_lets_it_pass_and_is_noted(site: Site, accepted: str) -> None:
    wish(site, 9, 13)
    plan_id = site.plan().plan_id
    for job in (partial(site.apply, plan_id), site.run):
        summary = job(max_not_found_percent=accepted)
        assert summary.state == "done"
        [noted] = summary.overridden
        assert (noted["guard"], round(noted["found"])) == ("max_not_found_percent", 59)
    assert site.statuses()["applied"] == 9


@pytest.mark.parametrize(("known", "unknown"), [(11, 11), (0, 19)])
def test_half_of_them_or_less_than_20_leads_pass(site: Site, known: int, unknown: int) -> None:
    wish(site, known, unknown)
    summary = site.run()
    assert (summary.exit_code, summary.tripped) == (3, [])
    assert summary.statuses["not_found"] == unknown
    assert summary.statuses["applied"] == known


def test_leads_that_a_killed_run_left_are_desired_as_well(any_site: Site) -> None:
    leads = new_leads(any_site, 21)
    strangers = [lead_id(f"stranger {number}") for number in range(11)]
    same, wished = dict.fromkeys(leads[:9], "As it is"), dict.fromkeys(leads[9:], "New")
    any_site.desire_titles({**same, **wished, **dict.fromkeys(strangers, "New")})
    kill_unsent(any_site)
    summary = any_site.run()
    assert (summary.exit_code, summary.tripped) == (3, [])
    assert summary.desired_leads == 32
    assert (summary.statuses["applied"], summary.statuses["not_found"]) == (12, 11)
