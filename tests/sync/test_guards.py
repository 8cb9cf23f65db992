"""Guards: a plan that goes too far is not sent, and says what to do to have it sent."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connector import LeadSyncError
from connector.rehearsal import rehearse
from connector.sandbox.directory import LABELS
from connector.sync.summary import Summary
from tests.support.harness import DESIRED, ROOT, Ended, NewSite, Row, Site, bodies, lead_id, writes
from tests.support.leads import HOT, SCORE

pytestmark = pytest.mark.xdist_group("sync guards")

LEADS = [lead_id(f"guarded {number}") for number in range(40)]
NAMES = {lead: f"Lead {number}" for number, lead in enumerate(LEADS)}
HOT_NAME = next(label["name"] for label in LABELS if label["id"] == HOT)
JOINED = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "labels": "VARCHAR[]",
    "value_amount": "DOUBLE",
    "value_currency": "VARCHAR",
    "lead_score": "DOUBLE",
}
ALL_LOST: Row = {"label_ids": [], "value": None, SCORE: None}


def put_leads_with_values(site: Site) -> None:
    site.pipedrive.reset(leads=0)
    for number, lead in enumerate(LEADS):
        values: Row = {"label_ids": [HOT], "value": money(number), SCORE: 7.5}
        site.pipedrive.set_lead(lead, title=NAMES[lead], organization_id=301, **values)


def money(number: int) -> Row:
    return {"amount": 100 + number, "currency": "EUR"}


def desire_of_a_broken_join(site: Site) -> None:
    """Every lead has its row, and nothing was found for it."""
    site.desire(JOINED, [{"lead_id": lead, "title": NAMES[lead]} for lead in LEADS])


def desire_of_the_mended_join(site: Site, retitled: str) -> None:
    rows = [
        {
            "lead_id": lead,
            "title": "Renamed" if lead == retitled else NAMES[lead],
            "labels": [HOT_NAME],
            "value_amount": 100 + number,
            "value_currency": "EUR",
            "lead_score": 7.5,
        }
        for number, lead in enumerate(LEADS)
    ]
    site.desire(JOINED, rows)


def run_row(site: Site, run_id: str | None = None) -> Row:
    """A row of `sync_runs`, the newest unless told otherwise, its JSON parsed."""
    found = site.last_run()
    if run_id:
        [found] = site.query("SELECT * FROM pipedrive_leads.sync_runs WHERE run_id = ?", run_id)
    parsed = {name: json.loads(found[name] or "null") for name in ("tripped", "overridden")}
    return {**found, **parsed}


def sent(site: Site) -> int:
    return len(site.pipedrive.requests("PATCH"))


@dataclass(frozen=True)
class Seen:
    """A night with a broken join, the morning after, and a colleague who wants it so."""

    site: Site
    stopped: Ended
    stopped_run: Row
    plan: Ended
    plan_run: Row
    stored_patches: int
    unasked_apply: Ended
    unasked_apply_run: Row
    from_python: Summary
    outcomes_before: list[Row]
    sent_before: int
    mended: Summary
    sent_mended: dict[str, list[Any]]
    apply: Ended
    apply_run: Row
    sent_by_apply: dict[str, list[Any]]
    accepted: Ended
    accepted_run: Row
    sent_accepted: dict[str, list[Any]]
    leads_accepted: dict[str, Row]


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    put_leads_with_values(site)
    desire_of_a_broken_join(site)
    told: dict[str, Any] = {"stopped": site.command("run"), "stopped_run": run_row(site)}
    told |= {"plan": site.command("plan"), "plan_run": run_row(site)}
    plan_id = told["plan_run"]["plan_id"]
    told["stored_patches"] = count_patches(site, plan_id)
    told |= {"unasked_apply": site.command("apply", plan_id), "unasked_apply_run": run_row(site)}
    told |= {"from_python": site.run(), "outcomes_before": site.outcomes()}
    told["sent_before"] = sent(site)
    desire_of_the_mended_join(site, retitled=LEADS[7])
    told |= {"mended": site.run(), "sent_mended": bodies(site.pipedrive)}
    site.pipedrive.clear_requests()
    told["apply"] = site.command("apply", plan_id, "--max-clears", "40")
    told |= {"apply_run": run_row(site), "sent_by_apply": bodies(site.pipedrive)}
    put_leads_with_values(site)
    desire_of_a_broken_join(site)
    told["accepted"] = site.command("run", *flags_in(told["stopped"]))
    told |= {"accepted_run": run_row(site), "sent_accepted": bodies(site.pipedrive)}
    return Seen(site, **told, leads_accepted=site.pipedrive.leads())


def flags_in(ended: Ended) -> list[str]:
    """What a stopped run says is to be given to accept it."""
    line = next(line for line in ended.stdout.splitlines() if "accept it with " in line)
    return line.partition("accept it with ")[2].split()


def count_patches(site: Site, plan_id: str) -> int:
    sql = "SELECT count(*) AS n FROM pipedrive_leads.lead_patches WHERE plan_id = ?"
    return int(site.query(sql, plan_id)[0]["n"])


def test_a_broken_join_sends_nothing(seen: Seen) -> None:
    assert (seen.stopped.code, seen.sent_before) == (4, 0)
    assert seen.outcomes_before == []


def test_a_stopped_run_is_on_record(seen: Seen) -> None:
    row = seen.stopped_run
    assert (row["state"], row["command"], row["desired_table"]) == ("stopped", "run", DESIRED)
    [trip] = row["tripped"]
    samples = trip["samples"]
    assert {name: trip[name] for name in trip if name != "samples"} == {
        "guard": "max_clears",
        "limit": 20,
        "found": 40,
        "text": "40 of 40 leads would lose a value, more than 20 and 10 %",
        "accept": "--max-clears 40",
        "fields": {"Labels": 40, "Value": 40, "Lead score": 40},
    }
    assert row["overridden"] is None
    assert [one for one in (*samples, "Lead score on 40") if one not in seen.stopped.told] == []


def test_a_stopped_run_says_why_and_what_would_be_lost(seen: Seen) -> None:
    message = seen.stopped_run["message"]
    assert message.startswith("max_clears: 40 of 40 leads would lose a value")
    samples = [lead for lead in LEADS if lead in message]
    assert len(samples) == 3
    for lead in samples:
        value = f"Value {100 + LEADS.index(lead)} EUR"
        lost = f"{NAMES[lead]} ({lead}), which would lose "
        losses = message.partition(lost)[2].partition(";")[0]
        assert set(losses.split(", ")) == {f"Labels {HOT_NAME}", value, "Lead score 7.5"}
    assert SCORE not in message
    assert HOT not in message
    assert message.endswith("nothing was sent; accept it with --max-clears 40")
    assert "Traceback" not in seen.stopped.stderr


def test_what_a_stopped_run_planned_is_stored(seen: Seen) -> None:
    assert count_patches(seen.site, seen.stopped_run["run_id"]) == len(LEADS)


def test_a_plan_shows_that_a_run_would_stop(seen: Seen) -> None:
    assert seen.plan.code == 0
    assert "A run would stop here: 1 guard tripped" in seen.plan.told
    assert "40 of 40 leads would lose a value" in seen.plan.told
    assert (seen.plan_run["state"], seen.stored_patches) == ("done", len(LEADS))
    assert seen.plan_run["tripped"] == seen.stopped_run["tripped"]


def test_a_stored_plan_is_held_against_the_guards_again(seen: Seen) -> None:
    assert seen.unasked_apply.code == 4
    row = seen.unasked_apply_run
    assert (row["command"], row["state"]) == ("apply", "stopped")
    assert row["tripped"] == seen.stopped_run["tripped"]
    assert "--max-clears 40" in seen.unasked_apply.told


def test_a_stopped_apply_names_fields_and_leads_as_people_do(seen: Seen) -> None:
    message = seen.unasked_apply_run["message"]
    assert "Lead score 7.5" in message
    assert SCORE not in message
    assert sum(f"{NAMES[lead]} ({lead})" in message for lead in LEADS) == 3


def test_python_gets_a_summary_and_no_error(seen: Seen) -> None:
    summary = seen.from_python
    assert (summary.exit_code, summary.state) == (4, "stopped")
    assert summary.tripped == seen.stopped_run["tripped"]
    assert summary.as_dict()["exit_code"] == 4
    assert summary.planned == len(LEADS)
    assert not any(summary.statuses.values())


def test_after_the_table_is_mended_runs_go_on(seen: Seen) -> None:
    assert seen.mended.exit_code == 0
    assert seen.sent_mended == {LEADS[7]: [{"title": "Renamed"}]}


def test_a_plan_can_be_applied_with_the_flag(seen: Seen) -> None:
    assert seen.apply.code == 0, seen.apply.told
    assert seen.sent_by_apply == {lead: [ALL_LOST] for lead in LEADS}
    assert seen.apply_run["applied"] == len(LEADS)
    assert [one["guard"] for one in seen.apply_run["overridden"]] == ["max_clears"]


def test_the_flag_that_is_named_lets_the_run_pass(seen: Seen) -> None:
    assert flags_in(seen.stopped) == ["--max-clears", "40"]
    assert seen.accepted.code == 0, seen.accepted.told
    assert seen.sent_accepted == {lead: [ALL_LOST] for lead in LEADS}
    assert all(lead["value"] is None for lead in seen.leads_accepted.values())
    assert (seen.accepted_run["state"], seen.accepted_run["applied"]) == ("done", len(LEADS))


def test_who_let_it_pass_is_on_record(seen: Seen) -> None:
    assert seen.accepted_run["tripped"] is None
    [trip] = seen.stopped_run["tripped"]
    assert seen.accepted_run["overridden"] == [
        {**trip, "user": getpass.getuser(), "host": socket.gethostname()}
    ]
    assert f"guard max_clears overridden by {getpass.getuser()}" in seen.accepted.stderr


def test_no_patch_of_a_stopped_plan_is_ever_settled(seen: Seen) -> None:
    """Its patches were never released: they have no outcome, as they were never sent."""
    outcomes = seen.site.query(
        "SELECT * FROM pipedrive_leads.lead_outcomes WHERE plan_id IN (SELECT plan_id "
        "FROM pipedrive_leads.sync_runs WHERE command = 'run' AND state = 'stopped')"
    )
    assert outcomes == []


@pytest.fixture(scope="module")
def used_site(new_site: NewSite) -> Site:
    """A site whose tables are there already, so that each test need not create them."""
    return new_site()


VALUES = {"lead_id": "VARCHAR", "value_amount": "DOUBLE", "value_currency": "VARCHAR"}
Wanted = Mapping[str, Any]


def of_titles(changed: int, of: int) -> Callable[[Site], None]:
    """So many leads get another title, and the others keep theirs."""

    def make(site: Site) -> None:
        leads = put(site, of, title="As it is")
        titles = dict.fromkeys(leads, "As it is") | dict.fromkeys(leads[:changed], "New")
        site.desire_titles(titles)

    return make


def of_clears(cleared: int, of: int) -> Callable[[Site], None]:
    """So many leads lose their value, and the others keep theirs."""

    def make(site: Site) -> None:
        leads = put(site, of, value={"amount": 5, "currency": "EUR"})
        kept = {"value_amount": 5, "value_currency": "EUR"}
        rows = [{"lead_id": lead} | (kept if lead in leads[cleared:] else {}) for lead in leads]
        site.desire(VALUES, rows)

    return make


def of_archivings(site: Site) -> None:
    leads = put(site, 4)
    rows = [{"lead_id": lead, "is_archived": True} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "is_archived": "BOOLEAN"}, rows)


def of_nothing(site: Site) -> None:
    site.pipedrive.reset(leads=3)
    site.desire_titles({})


def put(site: Site, count: int, **fields: Any) -> list[str]:
    site.pipedrive.reset(leads=0)
    leads = sorted(lead_id(f"lead {number}") for number in range(count))
    for lead in leads:
        site.pipedrive.set_lead(lead, organization_id=301, **{"title": "Lead", **fields})
    return leads


@pytest.mark.parametrize(
    ("make", "guard", "past", "at"),
    [
        (of_titles(6, of=9), "max_patches", {"max_patches": 5}, {"max_patches": 6}),
        (
            of_titles(3, of=20),
            "max_changed_percent",
            {"max_changed_percent": "14.9"},
            {"max_changed_percent": 15},
        ),
        (of_clears(6, of=90), "max_clears", {"max_clears": 5}, {"max_clears": 6}),
        (
            of_clears(3, of=20),
            "max_clears_percent",
            {"max_clears_percent": 14},
            {"max_clears_percent": 15},
        ),
        (
            of_clears(3, of=20),
            "max_clears",
            {"max_clears": 2, "max_clears_percent": 14},
            {"max_clears": 2, "max_clears_percent": 15},
        ),
        (of_archivings, "max_archived", {"max_archived": "3"}, {"max_archived": "4"}),
        (of_nothing, "empty_desired", {}, {"empty_desired": "allow"}),
    ],
)
def test_a_guard_stops_one_past_its_limit(
    used_site: Site, make: Callable[[Site], None], guard: str, past: Wanted, at: Wanted
) -> None:
    make(used_site)
    assert_stopped(used_site, used_site.run(**past), guard)
    assert_passed(used_site, used_site.run(**at))


@pytest.mark.parametrize(
    ("past", "at"),
    [(of_clears(21, of=21), of_clears(20, of=20)), (of_clears(21, of=209), of_clears(21, of=210))],
    ids=["so many leads", "such a share of them"],
)
def test_clears_are_guarded_by_default(
    site: Site, past: Callable[[Site], None], at: Callable[[Site], None]
) -> None:
    past(site)
    assert_stopped(site, site.run(), "max_clears")
    at(site)
    assert_passed(site, site.run())


def assert_stopped(site: Site, summary: Summary, guard: str) -> None:
    assert (summary.exit_code, summary.state) == (4, "stopped")
    assert [one["guard"] for one in summary.tripped] == [guard]
    assert run_row(site, summary.run_id)["tripped"] == list(summary.tripped)
    assert sent(site) == 0
    assert site.outcomes(summary.run_id) == []


def assert_passed(site: Site, summary: Summary) -> None:
    assert (summary.exit_code, summary.state, summary.tripped) == (0, "done", [])
    assert len(writes(site.pipedrive)) == sent(site) == summary.planned
    assert summary.statuses["applied"] == summary.planned


def test_a_flag_wins_over_config(used_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an override only where config would have stopped the run."""
    of_titles(4, of=4)(used_site)
    ended = used_site.command("run", "--max-patches", "3", "--output", "json", max_patches="9")
    assert (ended.code, sent(used_site)) == (4, 0)
    document = json.loads(ended.stdout)
    assert (document["exit_code"], document["state"]) == (4, "stopped")
    assert document["tripped"] == run_row(used_site)["tripped"]
    assert run_row(used_site)["overridden"] is None
    monkeypatch.setenv("SOURCES__PIPEDRIVE_LEADS__MAX_PATCHES", "9")
    assert_passed(used_site, used_site.run(max_patches=4))
    row = run_row(used_site)
    assert (row["tripped"], row["overridden"]) == (None, None)


def test_off_is_an_override_too(used_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    of_titles(4, of=4)(used_site)
    monkeypatch.setenv("SOURCES__PIPEDRIVE_LEADS__MAX_PATCHES", "3")
    assert_stopped(used_site, used_site.run(), "max_patches")
    assert_passed(used_site, used_site.run(max_patches="off"))
    [override] = run_row(used_site)["overridden"]
    assert (override["guard"], override["limit"], override["found"]) == ("max_patches", 3, 4)


def test_what_a_guard_stopped_can_be_applied_as_it_was_planned(used_site: Site) -> None:
    of_titles(4, of=4)(used_site)
    summary = used_site.run(max_patches=3)
    assert_stopped(used_site, summary, "max_patches")
    ended = used_site.command("apply", summary.plan_id, "--max-patches", "4", max_patches="3")
    assert (ended.code, sent(used_site)) == (0, 4), ended.told
    applied = used_site.last_run()["run_id"]
    assert count_patches(used_site, summary.plan_id) == len(used_site.outcomes(applied))
    assert used_site.run().planned == 0


def test_config_stops_from_a_file_with_numbers(used_site: Site, tmp_path: Path) -> None:
    of_titles(4, of=4)(used_site)
    (tmp_path / ".dlt").mkdir()
    config = (ROOT / ".dlt" / "config.toml").read_text()
    section = "[sources.pipedrive_leads]\n"
    text = config.replace(section, f"{section}max_patches = 3\nmax_changed_percent = 99.5\n")
    (tmp_path / ".dlt" / "config.toml").write_text(text)
    ended = used_site.command("run", cwd=tmp_path)
    assert (ended.code, sent(used_site)) == (4, 0), ended.told
    assert "max_patches: 4 leads would change, more than 3" in ended.told
    assert "max_changed_percent: 4 of 4 leads would change, more than 99.5 %" in ended.told
    assert "accept it with --max-patches 4 --max-changed-percent off" in ended.told


@pytest.mark.parametrize(
    ("arguments", "config", "told"),
    [
        (["run"], {"max_patches": "-1"}, "max_patches '-1' is no number of leads; give 0 or more"),
        (
            ["run", "--max-clears-percent", "100"],
            {},
            "(100 could never trip); give 0 to 99, or off",
        ),
        (["apply", "any", "--empty-desired", "off"], {}, "give stop or allow"),
    ],
)
def test_a_guard_that_cannot_be_is_refused_at_the_start(
    used_site: Site, arguments: list[str], config: dict[str, Any], told: str
) -> None:
    of_titles(1, of=1)(used_site)
    ended = used_site.command(*arguments, **config)
    assert (ended.code, ended.stdout) == (1, "")
    assert told in ended.told
    assert used_site.pipedrive.requests() == []


@pytest.fixture(scope="module")
def big_site(new_site: NewSite) -> Site:
    """A site with enough leads for the default to look at how many rows there are."""
    site = new_site()
    site.pipedrive.reset(leads=120)
    return site


def have_rows(site: Site, count: int, table: str = DESIRED) -> str:
    """Desires so many leads as they are; returns the table's name."""
    leads = site.pipedrive.leads().values()
    active = [lead for lead in leads if not lead["is_archived"]][:count]
    assert len(active) == count
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR"}
    site.desire(
        columns, ({"lead_id": lead["id"], "title": lead["title"]} for lead in active), table
    )
    return table


def shrunk(site: Site, **settings: Any) -> list[str]:
    """Runs, and returns what a guard says of the table's size."""
    summary = site.run(**settings)
    assert summary.exit_code in (0, 4)
    return [one["text"] for one in summary.tripped]


def test_a_table_that_shrank_by_half_stops(big_site: Site) -> None:
    have_rows(big_site, 100)
    assert shrunk(big_site) == []
    have_rows(big_site, 49)
    told = ["the desired table has 49 rows, 49 % of the 100 of the last run"]
    assert shrunk(big_site) == told
    assert shrunk(big_site) == told, "what a guard stopped is no baseline"
    assert shrunk(big_site, lead=next(iter(big_site.pipedrive.leads()))) == []
    assert shrunk(big_site) == told, "nor is a run of one lead"
    assert shrunk(big_site, desired_table=have_rows(big_site, 10, "crm.other")) == []
    assert shrunk(big_site) == told, "nor is another table"
    assert shrunk(big_site, min_desired_percent_of_last=49) == []
    have_rows(big_site, 24)
    assert shrunk(big_site) == [], "fewer than 100 rows are held against nothing"


SPELLED = ("CRM.spelled", '"crm"."Spelled"', "warehouse.crm.spelled")


@pytest.mark.parametrize("name", SPELLED)
def test_a_table_is_the_same_however_it_is_spelled(big_site: Site, name: str) -> None:
    table = have_rows(big_site, 100, "crm.spelled")
    first, then = (table, name) if name != SPELLED[0] else (name, table)
    assert shrunk(big_site, desired_table=first) == []
    have_rows(big_site, 49, table)
    told = ["the desired table has 49 rows, 49 % of the 100 of the last run"]
    assert shrunk(big_site, desired_table=then) == told


def test_a_run_that_was_never_judged_is_no_baseline(big_site: Site) -> None:
    have_rows(big_site, 100)
    assert shrunk(big_site) == []
    have_rows(big_site, 50)
    big_site.pipedrive.fault("status", status=401, method="GET")
    with pytest.raises(LeadSyncError, match="401"):
        big_site.run()
    assert big_site.run(token_budget=1).exit_code == 5
    have_rows(big_site, 49)
    assert shrunk(big_site) == ["the desired table has 49 rows, 49 % of the 100 of the last run"]
    have_rows(big_site, 50)
    assert shrunk(big_site) == []


def test_a_least_that_is_set_looks_at_small_tables_too(big_site: Site) -> None:
    table = have_rows(big_site, 10, "crm.small")
    least = {"desired_table": table, "min_desired_percent_of_last": 80}
    assert shrunk(big_site, **least) == []
    have_rows(big_site, 7, table)
    assert shrunk(big_site, desired_table=table) == []
    have_rows(big_site, 5, table)
    [told] = shrunk(big_site, **least)
    assert told == "the desired table has 5 rows, 71.4 % of the 7 of the last run"
    have_rows(big_site, 6, table)
    assert shrunk(big_site, **least) == [], "6 of 7 are 85 %"


def test_an_empty_table_is_no_matter_of_its_last_size(big_site: Site) -> None:
    table = have_rows(big_site, 100, "crm.emptied")
    assert shrunk(big_site, desired_table=table) == []
    have_rows(big_site, 0, table)
    assert shrunk(big_site, desired_table=table) == ["the desired table is empty"]
    assert shrunk(big_site, desired_table=table, empty_desired="allow") == []


def test_a_plan_that_is_applied_is_held_against_the_last_table_too(big_site: Site) -> None:
    def plan_and_apply(**flags: Any) -> int:
        made = big_site.plan(desired_table=table)
        return big_site.apply(made.plan_id, **flags).exit_code

    table = have_rows(big_site, 100, "crm.planned")
    assert plan_and_apply() == 0
    have_rows(big_site, 49, table)
    assert plan_and_apply() == plan_and_apply() == 4
    assert plan_and_apply(min_desired_percent_of_last=49) == plan_and_apply() == 0


def test_an_older_plan_is_held_against_what_came_before_it(big_site: Site) -> None:
    """Its rows are not the table's any more, and are not what the next run is held against."""
    table = have_rows(big_site, 49, "crm.older")
    older = big_site.plan(desired_table=table)
    have_rows(big_site, 100, table)
    assert shrunk(big_site, desired_table=table) == []
    assert big_site.apply(older.plan_id).exit_code == 0
    have_rows(big_site, 49, table)
    told = ["the desired table has 49 rows, 49 % of the 100 of the last run"]
    assert shrunk(big_site, desired_table=table) == told


def test_a_plan_is_never_held_against_what_came_after_it(big_site: Site) -> None:
    table = have_rows(big_site, 100, "crm.accepted")
    assert shrunk(big_site, desired_table=table) == []
    have_rows(big_site, 49, table)
    first = f"(SELECT min(lead_id) FROM {table})"
    big_site.query(f"UPDATE {table} SET title = 'New' WHERE lead_id = {first}")
    made = big_site.plan(desired_table=table)
    accepted: Row = {"min_desired_percent_of_last": 49}
    assert shrunk(big_site, desired_table=table, **accepted) == []
    with big_site.in_place():
        assert rehearse(made.plan_id).summary.exit_code == 4
        assert rehearse(made.plan_id, **accepted).summary.exit_code == 0
    assert big_site.apply(made.plan_id).exit_code == 4, "accepted for the other plan alone"
    assert big_site.apply(made.plan_id, **accepted).exit_code == 0


def of_a_broken_join(site: Site) -> list[str]:
    """Forty leads lose their value, and each row says so."""
    of_clears(40, of=40)(site)
    return [row["lead_id"] for row in site.query(f"SELECT lead_id FROM {DESIRED} ORDER BY 1")]


def test_a_limit_does_not_let_a_broken_join_through_in_slices(used_site: Site) -> None:
    leads = of_a_broken_join(used_site)
    summary = used_site.run(limit=5)
    assert_stopped(used_site, summary, "max_clears")
    assert summary.tripped[0]["text"].startswith("40 of 40 leads would lose a value")
    assert (summary.planned, summary.would_change, summary.beyond_limit) == (5, 40, 35)
    assert count_patches(used_site, summary.run_id) == 5
    assert run_row(used_site)["would_clear"] == 40
    accepted = used_site.run(limit=5, max_clears=40)
    assert (accepted.exit_code, accepted.statuses["applied"]) == (0, 5)
    assert [one["found"] for one in run_row(used_site)["overridden"]] == [40]
    assert len(writes(used_site.pipedrive)) == 5
    again = used_site.run(limit=5)
    assert again.exit_code == 4, "what was accepted once is accepted for that plan alone"
    assert again.tripped[0]["found"] == 35
    [lead] = leads[-1:]
    assert used_site.run(lead=lead).exit_code == 0, "one lead is asked for on purpose"


def test_a_plan_that_a_limit_cut_is_judged_as_the_whole_when_it_is_applied(
    used_site: Site,
) -> None:
    of_a_broken_join(used_site)
    plan = used_site.command("plan", "--limit", "5")
    assert plan.code == 0
    assert "40 of 40 leads would lose a value" in plan.told
    assert "5 leads to change" in plan.told
    assert "Left for later by `--limit`: 35 leads." in plan.told
    plan_id = used_site.last_run()["plan_id"]
    assert_stopped(used_site, used_site.apply(plan_id), "max_clears")
    assert_stopped(used_site, used_site.apply(plan_id, max_clears=39), "max_clears")
    applied = used_site.apply(plan_id, max_clears=40)
    assert (applied.exit_code, applied.statuses["applied"], applied.beyond_limit) == (0, 5, 0)
    assert [one["found"] for one in run_row(used_site)["overridden"]] == [40]


def test_a_limit_counts_leads_to_change_and_hides_no_others(used_site: Site) -> None:
    leads = put(used_site, 12, title="As it is")
    gone = lead_id("nobody")
    titles = dict.fromkeys(leads, "As it is") | dict.fromkeys(leads[4:10], "New")
    used_site.desire_titles({**titles, leads[11]: " ", gone: "Gone"})
    plan = used_site.plan(limit=2)
    run = used_site.run(limit=2)
    for summary in (plan, run):
        assert (summary.planned, summary.patches, summary.would_change) == (2, 2, 6)
        assert (summary.unchanged, summary.compared, summary.beyond_limit) == (5, 11, 4)
        assert (summary.statuses["rejected"], summary.statuses["not_found"]) == (1, 1)
    assert writes(used_site.pipedrive) == dict.fromkeys(leads[4:6], 1)
    assert used_site.statuses(run.run_id) == {"applied": 2, "rejected": 1, "not_found": 1}
    assert used_site.run().statuses["applied"] == 4


def of_owners(site: Site) -> None:
    leads = put(site, 9, owner_id=1001)
    rows = [{"lead_id": lead, "owner_id": 1004} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "owner_id": "BIGINT"}, rows)


def of_amounts(site: Site) -> None:
    leads = put(site, 9, value={"amount": 5, "currency": "EUR"})
    site.desire(VALUES, [{"lead_id": lead, "value_amount": 6} for lead in leads])


def of_labels_added(site: Site) -> None:
    leads = put(site, 9, label_ids=[HOT])
    cold = next(label["name"] for label in LABELS if label["id"] != HOT)
    rows = [{"lead_id": lead, "add_labels": [cold]} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR[]"}, rows)


@pytest.mark.parametrize("make", [of_titles(9, of=9), of_owners, of_amounts, of_labels_added])
def test_replacing_values_is_guarded(used_site: Site, make: Callable[[Site], None]) -> None:
    make(used_site)
    stopped = used_site.run(max_overwrites=8)
    assert_stopped(used_site, stopped, "max_overwrites")
    assert stopped.tripped[0]["text"] == "9 of 9 leads would have a value replaced, more than 8"
    assert_passed(used_site, used_site.run(max_overwrites=9))


def test_values_that_are_set_or_cleared_replace_nothing(used_site: Site) -> None:
    leads = put(used_site, 4, value={"amount": 5, "currency": "EUR"})
    rows = [{"lead_id": lead, "lead_score": 7} for lead in leads]
    used_site.desire({**VALUES, "lead_score": "DOUBLE"}, rows)
    summary = used_site.run(max_overwrites=0)
    assert_passed(used_site, summary)
    assert (summary.would_change, summary.would_overwrite, summary.would_clear) == (4, 0, 4)


def test_bringing_leads_back_is_guarded(used_site: Site) -> None:
    leads = put(used_site, 60)
    for lead in leads:
        used_site.pipedrive.archive_lead(lead)
    rows = [{"lead_id": lead, "is_archived": False} for lead in leads]
    used_site.desire({"lead_id": "VARCHAR", "is_archived": "BOOLEAN"}, rows)
    stopped = used_site.run(unarchive=True, max_overwrites=50)
    assert_stopped(used_site, stopped, "max_overwrites")
    assert stopped.tripped[0]["fields"] == {"Archived": 60}
    assert "Archived true → false" in stopped.message


def test_replacing_values_is_guarded_by_default(site: Site) -> None:
    """Not by a count alone: so many leads, and such a share of those compared."""
    of_titles(201, of=402)(site)
    assert site.plan().tripped == []
    of_titles(201, of=401)(site)
    summary = site.run()
    assert_stopped(site, summary, "max_overwrites")
    [trip] = summary.tripped
    assert trip["text"] == "201 of 401 leads would have a value replaced, more than 200 and 50 %"
    assert (trip["fields"], len(trip["samples"])) == ({"Title": 201}, 3)
    assert all("which would change Title As it is → New" in one for one in trip["samples"])
    assert summary.message.endswith("nothing was sent; accept it with --max-overwrites 201")
    stopped = site.command("run", "--max-overwrites", "200")
    assert (stopped.code, sent(site)) == (4, 0)
    assert site.command("plan", "--max-overwrites", "201").code == 0
