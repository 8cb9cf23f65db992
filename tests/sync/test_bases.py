"""What both sides last agreed on, over runs of every kind: what is kept, and what follows."""

from __future__ import annotations

import json
import signal
from typing import Any

import duckdb
import pytest

from connector.sync.summary import Summary
from tests.support.everything import KEY
from tests.support.front import front_of, once
from tests.support.harness import Row, Site, bodies, ended_at_last, lead_id, wait_until
from tests.support.scene import desire, new_leads

SCORE, COST = KEY["Lead score"], KEY["Deal cost"]
CURRENCY = f"{COST}_currency"
LEAD = lead_id("one")
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "lead_score": "DOUBLE",
    "deal_cost": "DOUBLE",
    "deal_cost_currency": "VARCHAR",
    "updated_at": "TIMESTAMP",
}
PIPEDRIVE_NOW = "2026-06-30T12:00:00.000Z"
BEFORE_THAT, AFTER_THAT = "2026-06-30 11:00:00", "2999-01-01 00:00:00"


@pytest.fixture
def one(site: Site) -> Site:
    """An account with one lead."""
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="A", **{SCORE: 1, COST: 20, CURRENCY: "USD"})
    return site


def wish(site: Site, **cells: Any) -> None:
    """Let the table want these cells of the lead, and nothing else."""
    columns = {name: COLUMNS[name] for name in ("lead_id", *cells)}
    site.desire(columns, [{"lead_id": LEAD, **cells}])


def edit(site: Site, **values: Any) -> None:
    """Let a colleague set these values."""
    site.pipedrive.set_lead(LEAD, **values)


def run(site: Site, rule: Any = "crm", **given: Any) -> Summary:
    return site.run(on_conflict=rule, **given)


def base(site: Site, lead: str = LEAD) -> Row | None:
    """Return what is kept as agreed on of a lead."""
    rows = site.query("SELECT * FROM pipedrive_leads.lead_bases WHERE lead_id = ?", lead)
    assert len(rows) <= 1
    assert all({"lead_id", "base"} <= row.keys() for row in rows)
    return json.loads(rows[0]["base"]) if rows else None


def title(site: Site) -> str:
    return str(site.pipedrive.lead(LEAD)["title"])


def told(summary: Summary) -> tuple[int, int, int]:
    """How many leads were written, kept and left."""
    return summary.statuses["applied"], summary.statuses["conflict"], summary.unchanged


@pytest.mark.parametrize("look", ["run", "plan"])
@pytest.mark.parametrize("rule", ["crm", "fail", "newest"])
def test_a_rename_of_what_agreed_from_the_start_is_kept(one: Site, look: str, rule: str) -> None:
    wish(one, title="A", updated_at=BEFORE_THAT)
    assert getattr(one, look)(on_conflict=rule).unchanged == 1
    edit(one, title="Theirs")
    for wanted in ("A", "B"):
        wish(one, title=wanted, updated_at=BEFORE_THAT)
        assert told(run(one, rule)) == (0, 1, 0)
    assert (title(one), base(one)) == ("Theirs", {"title": "A"})


@pytest.mark.parametrize("rule", ["crm", "fail", "newest"])
def test_after_both_agree_on_what_a_colleague_set_the_next_wish_is_written(
    one: Site, rule: str
) -> None:
    wish(one, title="B", updated_at=BEFORE_THAT)
    assert told(run(one, rule)) == (1, 0, 0)
    edit(one, title="C")
    assert told(run(one, rule)) == (0, 1, 0)
    wish(one, title="C", updated_at=BEFORE_THAT)
    assert told(run(one, rule)) == (0, 0, 1)
    assert base(one) == {"title": "C"}
    wish(one, title="D", updated_at=BEFORE_THAT)
    assert told(run(one, rule)) == (1, 0, 0)
    assert (title(one), base(one)) == ("D", {"title": "D"})


def test_a_clock_that_was_ahead_pins_nothing(one: Site) -> None:
    wish(one, title="B")
    assert told(run(one)) == (1, 0, 0)
    one.query("UPDATE pipedrive_leads.lead_outcomes SET finished_at = '2999-01-01'")
    for wanted in ("C", "D"):
        wish(one, title=wanted)
        assert told(run(one)) == (1, 0, 0)


def test_the_newest_is_not_beaten_by_what_the_job_wrote_itself(one: Site) -> None:
    for wanted in ("B", "C"):
        wish(one, title=wanted, updated_at=BEFORE_THAT)
        assert told(run(one, "newest")) == (1, 0, 0)
    assert one.pipedrive.lead(LEAD)["update_time"] > "2026-06-30T11"
    edit(one, title="Theirs", update_time=PIPEDRIVE_NOW)
    wish(one, title="D", updated_at=BEFORE_THAT)
    assert told(run(one, "newest")) == (0, 1, 0)
    wish(one, title="D", updated_at=AFTER_THAT)
    assert told(run(one, "newest")) == (1, 0, 0)
    assert (title(one), base(one)) == ("D", {"title": "D"})


def test_fields_on_which_nothing_was_agreed_are_written_and_counted(one: Site) -> None:
    wish(one, title="B", lead_score=2.0)
    planned = one.command("plan", on_conflict="crm")
    assert "2 fields on which nothing was agreed yet are written" in planned.told
    assert base(one) is None
    told_to_machines = json.loads(one.command("run", "--output", "json", on_conflict="crm").stdout)
    assert told_to_machines["unagreed"] == 2
    assert one.last_run()["unagreed"] == 2
    assert base(one) == {"title": "B", SCORE: 2}
    wish(one, title="C", lead_score=2.0)
    assert run(one).unagreed == 0


def test_what_stays_agreed_on_is_not_written_down_again(one: Site) -> None:
    wish(one, title="A", deal_cost=20.0)
    loads = set()
    for _ in range(2):
        assert run(one).unchanged == 1
        rows = one.query("SELECT _dlt_load_id FROM pipedrive_leads.lead_bases")
        loads |= {row["_dlt_load_id"] for row in rows}
    assert len(loads) == 1


def test_only_fields_whose_policy_minds_it_are_counted(one: Site) -> None:
    wish(one, title="B", lead_score=2.0)
    assert run(one, {"title": "crm"}).unagreed == 1


def test_nothing_is_kept_before_a_policy_minds_it(one: Site) -> None:
    for wanted in ("B", "C"):
        wish(one, title=wanted)
        assert run(one, {"title": "warehouse"}).unagreed == 0
        assert base(one) is None


def test_a_run_by_the_warehouse_keeps_it_up_once_it_is_kept(one: Site) -> None:
    wish(one, title="B")
    run(one)
    edit(one, title="Theirs")
    wish(one, title="C")
    assert told(run(one, "warehouse")) == (1, 0, 0)
    assert base(one) == {"title": "C"}
    wish(one, title="D")
    assert told(run(one)) == (1, 0, 0)


def test_a_field_of_two_keys_is_agreed_on_edited_and_kept_as_one(one: Site) -> None:
    wish(one, deal_cost=30.0, deal_cost_currency="USD")
    summary = run(one)
    assert (told(summary), summary.unagreed) == ((1, 0, 0), 1)
    assert bodies(one.pipedrive)[LEAD] == [{COST: 30}]
    assert base(one) == {COST: 30, CURRENCY: "USD"}
    edit(one, **{CURRENCY: "EUR"})
    wish(one, deal_cost=40.0, deal_cost_currency="USD")
    assert told(run(one)) == (0, 1, 0)
    [kept] = [row for row in one.outcomes() if row["status"] == "conflict"]
    assert "Deal cost: expected 30 USD, is 30 EUR, wanted 40 USD" in kept["reason"]
    assert base(one) == {COST: 30, CURRENCY: "USD"}
    wish(one, deal_cost=30.0, deal_cost_currency="EUR")
    assert told(run(one)) == (0, 0, 1)
    wish(one, deal_cost=40.0, deal_cost_currency="SEK")
    assert told(run(one)) == (1, 0, 0)


def test_nothing_may_be_agreed_on_as_well(one: Site) -> None:
    wish(one, lead_score=None, deal_cost=None, deal_cost_currency=None)
    assert told(run(one)) == (1, 0, 0)
    agreed = base(one) or {}
    assert (agreed[SCORE], agreed[COST]) == (None, None)
    edit(one, **{SCORE: 7})
    assert told(run(one)) == (0, 1, 0)
    assert one.pipedrive.lead(LEAD)[SCORE] == 7


@pytest.mark.parametrize("command", ["run", "plan"])
def test_what_a_limit_leaves_for_later_is_agreed_on_as_far_as_it_is(
    one: Site, command: str
) -> None:
    other = lead_id("other")
    one.pipedrive.set_lead(other, title="A")
    rows = [{"lead_id": lead, "title": "A", "lead_score": 2.0} for lead in (LEAD, other)]
    one.desire({name: COLUMNS[name] for name in ("lead_id", "title", "lead_score")}, rows)
    assert one.command(command, "--limit", "1", on_conflict="crm").code == 0
    for lead in (LEAD, other):
        one.pipedrive.set_lead(lead, title="Theirs")
    assert told(run(one)) == (1 if command == "run" else 2, 2, 0)
    assert [one.pipedrive.lead(lead)["title"] for lead in (LEAD, other)] == ["Theirs", "Theirs"]


def test_rows_that_agreed_before_anything_was_kept_are_compared_again(one: Site) -> None:
    other = lead_id("other")
    one.pipedrive.set_lead(other, title="A")
    one.desire_titles({LEAD: "A", other: "A"})
    run(one, "warehouse")
    run(one, lead=other, fields=["title"])
    run(one, "warehouse")
    assert base(one) == {"title": "A"}


def test_what_a_run_does_not_look_at_keeps_its_base(one: Site) -> None:
    other = lead_id("other")
    one.pipedrive.set_lead(other, title="A")
    wish(one, title="B", lead_score=2.0)
    run(one)
    wish(one, title="C", lead_score=3.0)
    assert told(run(one, fields=["title"])) == (1, 0, 0)
    assert base(one) == {"title": "C", SCORE: 2}
    one.desire_titles({LEAD: "D", other: "D"})
    assert told(run(one, lead=other)) == (1, 0, 0)
    assert (base(one), base(one, other)) == ({"title": "C", SCORE: 2}, {"title": "D"})


def test_two_patches_of_a_lead_add_up(one: Site) -> None:
    one.pipedrive.archive_lead(LEAD)
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}
    one.desire(columns, [{"lead_id": LEAD, "title": "B", "is_archived": False}])
    assert run(one, unarchive=True).statuses["applied"] == 2
    assert base(one) == {"title": "B", "is_archived": False}


def test_a_stored_plan_and_a_revert_move_it(one: Site) -> None:
    wish(one, title="B")
    planned = one.plan(on_conflict="crm")
    assert base(one) is None
    applied = one.apply(planned.plan_id, on_conflict="crm")
    assert base(one) == {"title": "B"}
    assert one.revert(applied.run_id, on_conflict="crm").statuses["applied"] == 1
    assert (title(one), base(one)) == ("A", {"title": "A"})
    edit(one, title="Theirs")
    assert told(run(one)) == (0, 1, 0)


def test_what_did_not_take_effect_is_not_agreed_on(one: Site) -> None:
    wish(one, title="B", lead_score=2.0)
    run(one)
    wish(one, title="C", lead_score=3.0)
    one.pipedrive.fault("status", status=400, method="PATCH")
    assert run(one).statuses["failed"] == 1
    assert base(one) == {"title": "B", SCORE: 2}
    edit(one, title="Theirs")
    summary = run(one)
    assert (summary.statuses["applied"], summary.statuses["conflict"]) == (1, 1)
    assert base(one) == {"title": "B", SCORE: 3}


@pytest.mark.parametrize(
    ("fault", "options", "status"),
    [("status", {"status": 400}, "failed"), ("ignore", {}, "ignored")],
)
def test_an_edit_that_a_patch_met_in_vain_is_kept_once_the_wish_changes(
    one: Site, fault: str, options: dict[str, Any], status: str
) -> None:
    wish(one, title="B")
    one.pipedrive.fault(fault, method="PATCH", **options)
    meanwhile = once(LEAD, lambda: edit(one, title="Theirs"), "PATCH")
    with front_of(one.pipedrive.base_url, meanwhile) as url:
        assert run(one, base_url=url).statuses[status] == 1
    assert base(one) == {"title": "A"}
    wish(one, title="C")
    assert told(run(one)) == (0, 1, 0)
    assert title(one) == "Theirs"


def kill_while_it_sends(site: Site, **settings: Any) -> set[str]:
    """Kill a run with a few PATCHes in effect and no outcome loaded; return their leads."""
    site.pipedrive.clear_requests()
    site.pipedrive.settings(latency_ms=30)
    with ended_at_last(site.start("run", workers=2, chunk_size=40, **settings)) as process:
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= 6, "no PATCH was sent")
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    site.pipedrive.settings(latency_ms=0)
    return {row["lead_id"] for row in site.pipedrive.requests("PATCH") if row["wrote"]}


def test_what_a_killed_run_brought_about_is_agreed_on(site: Site) -> None:
    leads = new_leads(site, 20)
    desire(site, leads, "First title")
    kill_while_it_sends(site, on_conflict="crm")
    assert run(site, limit=1).state == "done"  # it settles what is in effect
    desire(site, leads, "Second title")
    summary = run(site)
    assert (summary.statuses["conflict"], summary.exit_code) == (0, 0)
    assert {row["title"] for row in site.pipedrive.leads().values()} == {
        f"Second title of {lead}" for lead in leads
    }


def test_what_a_dataset_without_bases_has_written_is_taken_over_once(site: Site) -> None:
    leads = new_leads(site, 3)
    for word in ("First", "Second"):
        desire(site, leads, word)
        assert site.run().statuses["applied"] == 3
    site.query("UPDATE pipedrive_leads.lead_outcomes SET took = NULL")
    site.query("UPDATE pipedrive_leads.sync_runs SET version = '0.1.0'")
    with duckdb.connect(str(site.database)) as connection:
        connection.execute("DROP TABLE pipedrive_leads.lead_bases")
    site.pipedrive.set_lead(leads[0], title="Theirs")
    desire(site, leads, "Third")
    ended = site.command("run", on_conflict="crm")
    assert "last written to 3 leads counts as agreed on" in ended.told
    assert (ended.code, site.statuses(site.last_run()["run_id"])) == (
        3,
        {"conflict": 1, "applied": 2},
    )
    assert base(site, leads[0]) == {"title": f"Second of {leads[0]}"}
    assert base(site, leads[1]) == {"title": f"Third of {leads[1]}"}
    again = site.command("run", on_conflict="crm")
    assert "counts as agreed on" not in again.told
