"""Reading what was updated since, in place of the whole list: what is read, and what is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from connector import LeadSyncError
from connector.planning.desired import moment_of
from connector.report.endings import print_summary
from connector.sync import increment
from connector.sync.increment import OVERLAP, Increment, known_until
from tests.support.eager import PROGRAM
from tests.support.front import Raw, front_of
from tests.support.harness import Row, Site, bodies
from tests.support.scene import desire, kill_unsent, make_unread, new_leads

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def leads(any_site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ten leads that say what is wanted, as a first run has left them.

    Neither this process nor PostgreSQL is in UTC, where times are easily right by chance.
    """
    monkeypatch.setattr(increment, "FEW_LEADS", 5)
    found = new_leads(any_site, 10)
    desire(any_site, found)
    done = any_site.run()
    missed = [row for row in any_site.outcomes() if row["status"] != "applied"]
    assert (done.statuses["applied"], missed) == (10, []), any_site.pipedrive.requests()
    any_site.pipedrive.clear_requests()
    return found


def lists(site: Site) -> list[Row]:
    """The calls of the list since the last clearing."""
    return [row for row in site.pipedrive.requests("GET") if row["path"].endswith("/leads")]


def is_whole(site: Site) -> bool:
    [row] = lists(site)
    return "updated_since" not in row["query"]


def looked_at(site: Site) -> list[str]:
    """The leads that were asked for by their ids."""
    paths = [row["path"].rpartition("/")[2] for row in site.pipedrive.requests("GET")]
    return sorted(one for one in paths if "-" in one)


def quiet_edit(site: Site, lead: str, **fields: Any) -> None:
    """An edit that leaves `update_time` as it is, as some may (unknown)."""
    before = site.pipedrive.lead(lead)["update_time"]
    site.pipedrive.set_lead(lead, update_time=before, **fields)


def test_the_second_run_reads_what_was_updated_since(any_site: Site, leads: list[str]) -> None:
    any_site.pipedrive.set_lead(leads[3], title="by a person")
    done = any_site.run()
    assert not is_whole(any_site)
    assert done.statuses["applied"] == 1
    assert done.unchanged == 9
    assert bodies(any_site.pipedrive) == {leads[3]: [{"title": f"Title of {leads[3]}"}]}
    first, second = any_site.runs()
    assert second["whole_as_of"] == first["whole_as_of"] >= first["started_at"]
    assert second["updated_until"] >= first["updated_until"]
    assert (first["leads_listed"], second["leads_listed"]) == (10, None)


def test_a_person_is_told_how_old_the_rest_is(any_site: Site, leads: list[str]) -> None:
    assert leads
    printed = StringIO()
    print_summary(Console(file=printed, width=200), any_site.run())
    [first, _] = any_site.runs()
    told = f"all leads as of {first['whole_as_of'].astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    assert f"Read what was updated since the run before; {told}" in printed.getvalue()


def test_an_edit_while_a_run_applies_is_in_the_next_increment(
    any_site: Site, leads: list[str]
) -> None:
    """Its own PATCHes are newer than the edit, and must not hide it."""
    any_site.desire_titles(dict.fromkeys(leads, "new"))
    any_site.pipedrive.fault("hang", method="PATCH", lead_id=leads[9], seconds=0.5)
    edited: list[str] = []

    def tell(step: str, _done: int, _total: int | None) -> None:
        if step == "apply" and not edited:
            edited.append(leads[0])
            any_site.pipedrive.set_lead(leads[0], title="by a person")

    any_site.run(workers=1, progress=tell, fresh_look="never")
    any_site.pipedrive.set_lead(leads[0], title="by a person, again")
    assert any_site.run().statuses["applied"] == 1
    assert any_site.pipedrive.lead(leads[0])["title"] == "new"


def test_an_edit_that_leaves_no_trace_is_found_by_the_next_whole_reading(
    any_site: Site, leads: list[str]
) -> None:
    quiet_edit(any_site, leads[2], title="quietly")
    assert any_site.run().unchanged in (9, 10)
    any_site.run(full_refresh=True)
    assert any_site.pipedrive.lead(leads[2])["title"] == f"Title of {leads[2]}"


@pytest.mark.parametrize("policy", ["warehouse", "crm"])
def test_a_lead_that_was_not_read_is_looked_at_before_its_patch(
    any_site: Site, leads: list[str], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_site.run(on_conflict=policy, full_refresh=True)
    monkeypatch.setattr(increment, "OVERLAP", -timedelta(days=1))
    any_site.run(on_conflict=policy)  # from here on nothing is listed
    quiet_edit(any_site, leads[2], title="quietly")
    any_site.desire_titles({lead: f"Title of {lead}" for lead in leads} | {leads[2]: "wanted"})
    any_site.pipedrive.clear_requests()
    done = any_site.run(on_conflict=policy)
    assert looked_at(any_site).count(leads[2]) == 1
    kept = policy == "crm"
    assert any_site.pipedrive.lead(leads[2])["title"] == ("quietly" if kept else "wanted")
    assert done.statuses["conflict" if kept else "applied"] == 1


def test_many_leads_that_were_not_read_are_read_by_the_list(
    any_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs 20 tokens, looks would cost 60. What it shows otherwise is looked at."""
    leads = sorted(make_unread(any_site, 30, monkeypatch))
    quiet_edit(any_site, leads[2], title="quietly")
    any_site.pipedrive.delete_lead(leads[3])
    done = any_site.run()
    assert ["updated_since" in row["query"] for row in lists(any_site)] == [True, False]
    assert looked_at(any_site) == sorted(leads[2:4])
    assert (done.statuses["applied"], done.statuses["not_found"]) == (29, 1)
    assert done.tokens == 2 + 20 + 20 + 2 * 2 + 29 * 10
    sent = bodies(any_site.pipedrive)
    assert sent == {lead: [{"title": f"Title of {lead}"}] for lead in {*leads} - {leads[3]}}


@pytest.mark.parametrize(
    ("leads", "settings"),
    [
        (10, {}),
        (30, {"on_conflict": "crm"}),
        (30, {"fresh_look": "always"}),
        (30, {"token_budget": 22 + 119}),
        (30, {"token_budget": 22 + 129}),
    ],
    ids=str,
)
def test_the_list_is_not_read_where_looks_cost_no_more_or_are_wanted(
    site: Site, leads: int, settings: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = make_unread(site, leads, monkeypatch)
    site.run(**settings, workers=1)
    assert len(lists(site)) == 1
    within = (settings["token_budget"] - 22) // 12 if "token_budget" in settings else leads
    assert set(looked_at(site)) <= {*found}
    assert len(looked_at(site)) == within


def test_the_list_is_read_where_a_budget_changes_more_leads_with_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unread(site, 30, monkeypatch)
    done = site.run(token_budget=22 + 130, workers=1)
    assert (len(lists(site)), looked_at(site), done.statuses["applied"]) == (2, [], 11)


@pytest.mark.parametrize(
    ("left", "read", "applied"), [(145, 1, 14), (269, 1, 24), (270, 2, 25), (900, 2, 50)]
)
def test_leads_that_the_budget_does_not_reach_are_no_reason_to_read_the_list(
    any_site: Site, left: int, read: int, applied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first leads need no look, as the increment brings them."""
    leads = sorted(make_unread(any_site, 50, monkeypatch))
    for lead in leads[:14]:
        any_site.pipedrive.set_lead(lead, title="by a person", update_time="2099-01-01 00:00:00")
    done = any_site.run(token_budget=22 + left, workers=1)
    assert (len(lists(any_site)), done.statuses["applied"]) == (read, applied), done.message


def fail_the_list_for_looks(site: Site, status: int) -> None:
    """Let the third call fail: before it are the account's and the increment's."""
    for _ in range(2):
        site.pipedrive.fault("ignore", method="GET")
    site.pipedrive.fault("status", status=status, method="GET")


def test_a_token_that_dies_while_the_list_is_read_ends_the_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads = make_unread(site, 30, monkeypatch)
    fail_the_list_for_looks(site, 401)
    with pytest.raises(LeadSyncError, match="401"):
        site.run()
    assert (looked_at(site), bodies(site.pipedrive)) == ([], {})
    assert site.statuses() == {"deferred": 30}
    assert site.run().statuses["applied"] == len(leads)


def test_leads_are_looked_at_where_the_list_cannot_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads = make_unread(site, 30, monkeypatch)
    fail_the_list_for_looks(site, 403)
    done = site.run()
    assert looked_at(site) == sorted(leads)
    assert done.statuses["applied"] == 30


def test_no_lead_is_looked_at_for_nothing_where_looks_are_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_unread(site, 30, monkeypatch)
    assert site.run(fresh_look="never").statuses["applied"] == 30
    assert (len(lists(site)), looked_at(site)) == (1, [])


@pytest.mark.parametrize("away", ["deleted", "archived"])
def test_a_lead_that_went_away_since_is_never_written(
    any_site: Site, leads: list[str], away: str
) -> None:
    (any_site.pipedrive.delete_lead if away == "deleted" else any_site.pipedrive.archive_lead)(
        leads[4]
    )
    any_site.desire_titles({leads[4]: "wanted"})
    done = any_site.run(max_not_found_percent="off", min_desired_percent_of_last="off")
    assert done.statuses["not_found" if away == "deleted" else "archived"] == 1
    assert not bodies(any_site.pipedrive)


@pytest.mark.parametrize(
    "given", [{"full_refresh": True}, {"full_refresh_every": 0}, {"lead": "one"}]
)
def test_all_is_read_where_it_is_asked_for(
    any_site: Site, leads: list[str], given: dict[str, Any]
) -> None:
    given = {**given, "lead": leads[0]} if "lead" in given else given
    any_site.run(**given)
    assert not lists(any_site) if "lead" in given else is_whole(any_site)


def test_all_is_read_where_the_last_reading_came_to_no_end(
    any_site: Site, leads: list[str]
) -> None:
    assert leads
    assert any_site.run(token_budget=3).exit_code == 5
    any_site.pipedrive.clear_requests()
    any_site.run()
    assert is_whole(any_site)


def test_all_is_read_after_a_while(any_site: Site, leads: list[str]) -> None:
    assert leads
    any_site.run(full_refresh_every=1 / 3600 / 1000)
    assert is_whole(any_site)


def test_all_is_read_each_day_where_cron_starts_a_little_early(
    any_site: Site, leads: list[str]
) -> None:
    assert leads
    for hours, is_all in ((22, False), (23.9, True)):
        ago = datetime.now(UTC) - timedelta(hours=hours)
        any_site.query(f"UPDATE pipedrive_leads.sync_runs SET whole_as_of = '{ago.isoformat()}'")
        any_site.pipedrive.clear_requests()
        any_site.run()
        assert is_whole(any_site) is is_all


@pytest.mark.parametrize("leaving", [1, 3])
def test_what_leaves_the_list_while_it_is_read_hides_no_update(
    any_site: Site, leads: list[str], monkeypatch: pytest.MonkeyPatch, leaving: int
) -> None:
    """The rows behind move up, and one may come to stand on a page that was read already."""
    monkeypatch.setattr(increment, "OVERLAP", -timedelta(days=1))
    any_site.run()  # from here on only what is updated in days to come is listed
    later = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d %H:%M:%S}"
    for lead in leads[:8]:
        any_site.pipedrive.set_lead(lead, title="by a person", update_time=later)
    monkeypatch.setattr(increment, "OVERLAP", -timedelta(days=3))
    away = iter(leads[:leaving])

    def leave(_method: str, path: str) -> Raw | None:
        if "start=2" in path:  # the second page begins with the last rows of the first one
            for lead in away:
                any_site.pipedrive.archive_lead(lead)
        return None

    given = {"max_overwrites": "off", "max_overwrites_percent": "off"}
    with front_of(any_site.pipedrive.base_url, leave, page=4) as url:
        done = any_site.run(base_url=url, **given)
    assert not list(away)
    assert done.statuses["applied"] == 8 - leaving - (leaving > 2)
    any_site.run(**given)
    titles = {lead: any_site.pipedrive.lead(lead)["title"] for lead in leads[leaving:]}
    assert titles == {lead: f"Title of {lead}" for lead in titles}


def test_a_lead_that_the_whole_list_did_not_show_is_not_taken_for_known(
    any_site: Site, leads: list[str]
) -> None:
    any_site.desire_titles({lead: f"Title of {lead}" for lead in leads[1:]})
    any_site.pipedrive.delete_lead(leads[0])
    any_site.run(full_refresh=True)
    any_site.desire_titles({lead: f"Title of {lead}" for lead in leads})
    done = any_site.run()
    assert (done.statuses["not_found"], done.unchanged) == (1, 9)


def test_what_a_kill_has_left_is_read_by_the_list_where_that_costs_less(
    any_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = replace(any_site, program=PROGRAM)
    make_unread(site, 30, monkeypatch)
    kill_unsent(site)
    site.pipedrive.clear_requests()
    done = site.run(token_budget=2 + 20 + 5 * 10)
    assert not looked_at(site)
    assert (done.statuses["applied"], done.tokens) == (5, 2 + 20 + 5 * 10)


def test_tables_that_ask_for_different_fields_can_follow_each_other(
    any_site: Site, leads: list[str]
) -> None:
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR"}
    rows: list[Row] = [{"lead_id": lead, "title": f"Title of {lead}"} for lead in leads]
    scored = [{**row, "Lead score": 7, "labels": "Hot"} for row in rows]
    more = {**columns, "Lead score": "INTEGER", "labels": "VARCHAR"}
    read = []
    for table in [(more, scored), (columns, rows)] * 3:
        any_site.desire(*table)
        any_site.pipedrive.clear_requests()
        any_site.run()
        read.append(is_whole(any_site))
    assert read == [True, *[False] * 5]


def test_a_budget_that_does_not_last_for_all_stops_before_all_is_read(
    any_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increment, "FEW_LEADS", 5)
    leads = new_leads(any_site, 501)
    rows: list[Row] = [{"lead_id": lead, "title": "As it is"} for lead in leads]
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR"}
    any_site.desire(columns, rows)
    any_site.run()
    any_site.desire({**columns, "Lead score": "INTEGER"}, rows)
    done = any_site.run(token_budget=2 + 20 + 39)
    told = "of which 39 are left, does not last for reading, which costs at least 40 tokens"
    assert (done.exit_code, done.tokens) == (5, 22)
    assert told in str(done.message)


def test_a_few_leads_are_always_all_read(
    any_site: Site, leads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increment, "FEW_LEADS", len(leads))
    any_site.run()
    assert is_whole(any_site)


MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
SECONDS = st.floats(0, 3600).map(lambda seconds: timedelta(seconds=seconds))


@given(MOMENTS, SECONDS, st.floats(0, 1), SECONDS)
def test_what_is_updated_while_a_list_is_read_is_in_the_next_increment(
    began: datetime, lasted: timedelta, at: float, skew: timedelta
) -> None:
    """Whatever Pipedrive's clock says: this machine's own is `skew` off."""
    updated = began + lasted * at
    shown = began + lasted
    until = known_until(shown + skew, began, lasted, None)
    assert until is not None
    assert until <= updated + skew - OVERLAP


@given(MOMENTS, st.timezones())
def test_an_increment_begins_by_pipedrives_clock(since: datetime, zone: ZoneInfo) -> None:
    """Warehouses tell times in the zone of their session, which may be anywhere."""
    told = moment_of(since.astimezone(zone))
    assert told is not None
    assert Increment(told, told).spelled == f"{since:%Y-%m-%dT%H:%M:%SZ}"


def test_a_time_to_come_hides_no_updates() -> None:
    far = NOW + timedelta(days=400)
    at_once = timedelta()
    assert known_until(far, NOW, at_once, None) == NOW - OVERLAP
    assert known_until(None, NOW, at_once, far) == far
    assert known_until(NOW, NOW, at_once, NOW) == NOW
