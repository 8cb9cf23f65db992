"""Edits in Pipedrive between two runs, by each rule of `on_conflict`."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from connector import LeadSyncError
from connector.sync.summary import Summary
from tests.support.everything import KEY
from tests.support.harness import (
    NewSite,
    Row,
    Site,
    bodies,
    ended_at_last,
    lead_id,
    wait_until,
    wire,
)
from tests.support.scene import desire, new_leads

pytestmark = pytest.mark.xdist_group("sync conflicts")

SCORE, COST = KEY["Lead score"], KEY["Deal cost"]
CURRENCY = f"{COST}_currency"
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "lead_score": "DOUBLE",
    "channel_id": "VARCHAR",
    "deal_cost": "DOUBLE",
    "deal_cost_currency": "VARCHAR",
    "updated_at": "VARCHAR",
}
LEAD: Row = {"title": "Old", SCORE: 1, "channel_id": "Spring", COST: 10, CURRENCY: "EUR"}
FIRST: Row = {
    "title": "Ours",
    "lead_score": 2,
    "channel_id": "Spring",
    "deal_cost": 20,
    "deal_cost_currency": "USD",
    "updated_at": "2020-01-01 00:00:00",
}
OLD, FUTURE = "2020-01-02 00:00:00", "2999-01-01 00:00:00"
BOTH: Row = {"title": "New", "lead_score": 3}
RULES = {
    "warehouse": "warehouse",
    "crm": "crm",
    "fail": "fail",
    "newest": "newest",
    "mapping": '{"title": "crm", "Lead score": "warehouse", "deal_cost": "fail"}',
}


@dataclass(frozen=True)
class Case:
    """What a colleague does after a first run, what is wanted then, and who wins.

    Attributes:
        sent: For each rule the body that is sent; None for none.
        kept: For each rule the keys that the conflict is about.
    """

    name: str
    edit: Mapping[str, Any]
    cells: Mapping[str, Any]
    sent: Mapping[str, Row | None]
    kept: Mapping[str, set[str]]
    then: Mapping[str, Any] | None = None

    @property
    def lead_id(self) -> str:
        return lead_id(self.name)


def always(value: Any) -> dict[str, Any]:
    return dict.fromkeys(RULES, value)


NEW_BOTH: Row = {"title": "New", SCORE: 3}
TITLE: Row = {"title": "New"}
MONEY: Row = {COST: 30, CURRENCY: "SEK"}
CASES = [
    Case("not edited", {}, BOTH, always(NEW_BOTH), always(set())),
    Case(
        "edited, and nothing new wanted",
        {"title": "Theirs"},
        {},
        {**always(None), "warehouse": {"title": "Ours"}},
        {**always({"title"}), "warehouse": set()},
    ),
    Case(
        "one of two fields edited",
        {"title": "Theirs"},
        BOTH,
        {**always({SCORE: 3}), "warehouse": NEW_BOTH, "fail": None},
        {**always({"title"}), "warehouse": set()},
    ),
    Case(
        "the other one edited",
        {SCORE: 7},
        BOTH,
        {"warehouse": NEW_BOTH, "fail": None, "crm": TITLE, "newest": TITLE, "mapping": NEW_BOTH},
        {**always({SCORE}), "warehouse": set(), "mapping": set()},
    ),
    Case(
        "edited and put back",
        {"title": "Theirs"},
        BOTH,
        always(NEW_BOTH),
        always(set()),
        {"title": "Ours"},
    ),
    Case(
        "edited to what is wanted", {"title": "New"}, {"title": "New"}, always(None), always(set())
    ),
    Case(
        "never written",
        {"channel_id": "Theirs"},
        {"channel_id": "Autumn"},
        always({"channel_id": "Autumn"}),
        always(set()),
    ),
    Case(
        "currency edited",
        {CURRENCY: "GBP"},
        {"deal_cost": 30, "deal_cost_currency": "SEK", "title": "New"},
        {
            "warehouse": {**TITLE, **MONEY},
            "crm": TITLE,
            "newest": TITLE,
            "fail": None,
            "mapping": None,
        },
        {**always({COST, CURRENCY}), "warehouse": set()},
    ),
    Case(
        "edited, and the row is newer",
        {"title": "Theirs"},
        {**BOTH, "updated_at": FUTURE},
        {**always({SCORE: 3}), "warehouse": NEW_BOTH, "newest": NEW_BOTH, "fail": None},
        {**always({"title"}), "warehouse": set(), "newest": set()},
    ),
]


@dataclass(frozen=True)
class Seen:
    """A first run, edits, and a second run by some rule."""

    rule: str
    summary: Summary
    sent: dict[str, list[Any]]
    outcomes: dict[str, list[Row]]
    edited: dict[str, Row]
    leads: dict[str, Row]


def prepared(site: Site, cases: list[Case]) -> None:
    """Run once, let a colleague edit, and ask for something new."""
    site.pipedrive.reset(leads=0)
    for case in cases:
        site.pipedrive.set_lead(case.lead_id, **LEAD)
    site.desire(COLUMNS, [{**FIRST, "lead_id": case.lead_id} for case in cases])
    assert site.run().statuses["applied"] == len(cases)
    for case in cases:
        for edit in filter(None, (case.edit, case.then)):
            site.pipedrive.set_lead(case.lead_id, **edit)
    rows = [{**FIRST, "updated_at": OLD, **case.cells, "lead_id": case.lead_id} for case in cases]
    site.desire(COLUMNS, rows)
    site.pipedrive.clear_requests()


@pytest.fixture(scope="module", params=RULES)
def seen(request: pytest.FixtureRequest, new_site: NewSite) -> Seen:
    site = new_site()
    rule = str(request.param)
    prepared(site, CASES)
    edited = site.pipedrive.leads()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOURCES__PIPEDRIVE_LEADS__ON_CONFLICT", RULES[rule])
        summary = site.run()
    outcomes: dict[str, list[Row]] = {}
    for outcome in site.outcomes(summary.run_id):
        outcomes.setdefault(outcome["lead_id"], []).append(outcome)
    leads = site.pipedrive.leads()
    return Seen(rule, summary, bodies(site.pipedrive), outcomes, edited, leads)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_field_goes_by_its_rule(seen: Seen, case: Case) -> None:
    sent = case.sent[seen.rule]
    assert wire(seen.sent.get(case.lead_id, [])) == wire([sent] if sent else [])
    conflicts = [row for row in seen.outcomes.get(case.lead_id, []) if row["status"] == "conflict"]
    kept = case.kept[seen.rule]
    assert [set(json.loads(row["body"])) for row in conflicts] == ([kept] if kept else [])
    lead = {key: seen.leads[case.lead_id][key] for key in LEAD}
    expected = {key: seen.edited[case.lead_id][key] for key in LEAD} | (sent or {})
    assert wire(lead) == wire(expected)


def test_a_conflict_has_all_three_values(seen: Seen) -> None:
    if seen.rule in ("warehouse", "newest"):
        assert all(row["attempts"] for row in seen.outcomes[lead_id("not edited")])
        return
    found = seen.outcomes[lead_id("one of two fields edited")]
    [row] = [one for one in found if one["status"] == "conflict"]
    rule = "crm" if seen.rule == "mapping" else seen.rule
    assert row["reason"] == (
        "Title: expected Ours, is Theirs, wanted New; "
        f"changed in Pipedrive since both sides agreed (on_conflict {rule})"
    )
    values = [json.loads(row[name]) for name in ("before", "after", "body")]
    assert values == [{"title": "Ours"}, {"title": "Theirs"}, {"title": "New"}]
    assert (row["patch_id"], row["attempts"], row["sent_at"]) == (None, 0, None)


def test_conflicts_are_counted_and_turn_the_exit_code(seen: Seen) -> None:
    expected = sum(bool(case.kept[seen.rule]) for case in CASES)
    assert seen.summary.statuses["conflict"] == expected
    assert seen.summary.statuses["applied"] == sum(bool(case.sent[seen.rule]) for case in CASES)
    assert seen.summary.exit_code == (3 if expected else 0)


def test_a_conflict_stays_until_it_is_solved(site: Site) -> None:
    case = CASES[2]
    prepared(site, [case])
    for _ in range(2):
        assert site.run(on_conflict="crm").statuses["conflict"] == 1
    assert bodies(site.pipedrive) == {case.lead_id: [{SCORE: 3}]}
    planned = site.command("plan", "--output", "json", on_conflict="crm")
    [settled] = json.loads(planned.stdout)["settled"]
    assert settled["status"] == "conflict"
    assert "Title: expected Ours, is Theirs, wanted New" in settled["reason"]
    assert site.run(on_conflict="warehouse").statuses["applied"] == 1
    assert site.pipedrive.lead(case.lead_id)["title"] == "New"
    assert site.run(on_conflict="crm").exit_code == 0


UPDATED = "2026-06-30T12:00:00.000Z"


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ"])
def test_the_newest_is_told_by_timestamps(site: Site, kind: str) -> None:
    moments = {"older": 11, "equal": 12, "newer": 13}
    site.pipedrive.reset(leads=0)
    rows: list[Row] = []
    for name, hour in moments.items():
        site.pipedrive.set_lead(lead_id(name), title="Agreed", update_time=UPDATED)
        moment = datetime(2026, 6, 30, hour).isoformat() + ("+00" if kind == "TIMESTAMPTZ" else "")
        rows.append({"lead_id": lead_id(name), "title": "Ours", "updated_at": moment})
    rows.append({"lead_id": lead_id("none"), "title": "Ours", "updated_at": None})
    site.pipedrive.set_lead(lead_id("none"), title="Agreed", update_time=UPDATED)
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "updated_at": kind}
    site.desire(columns, [{**row, "title": "Agreed"} for row in rows])
    assert site.run(on_conflict="newest").unchanged == 4
    for row in rows:
        site.pipedrive.set_lead(row["lead_id"], title="Theirs", update_time=UPDATED)
    site.desire(columns, rows)
    site.run(on_conflict="newest")
    found = {row["lead_id"]: row for row in site.outcomes()}
    statuses = {name: found[lead_id(name)]["status"] for name in [*moments, "none"]}
    assert statuses == {
        "older": "conflict",
        "equal": "conflict",
        "newer": "applied",
        "none": "rejected",
    }
    assert (
        "the lead was updated 2026-06-30 12:00:00 UTC, the row 2026-06-30 11:00:00 UTC"
        in (found[lead_id("older")]["reason"])
    )
    assert "updated_at NULL is no time" in found[lead_id("none")]["reason"]
    assert bodies(site.pipedrive) == {lead_id("newer"): [{"title": "Ours"}]}


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("mine", r"on_conflict 'mine' is no rule; give warehouse, crm, newest or fail"),
        (
            {"title": "mine"},
            r"on_conflict .*'title'.* has 'mine', which is no rule; give warehouse",
        ),
    ],
)
def test_rules_that_there_are_not_stop_the_run_at_once(site: Site, rules: Any, told: str) -> None:
    site.desire_titles({next(iter(site.pipedrive.leads())): "New"})
    with pytest.raises(LeadSyncError, match=told):
        site.run(on_conflict=rules)
    assert site.pipedrive.requests() == []


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"lead scroe": "crm"}, r"on_conflict names 'lead scroe'.*did you mean .*Lead score"),
        ({"title": "newest"}, r"on_conflict newest needs a column updated_at"),
    ],
)
def test_rules_that_make_no_sense_stop_the_run(site: Site, rules: Any, told: str) -> None:
    row = {"lead_id": next(iter(site.pipedrive.leads())), "title": "New", "lead_score": 1}
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR", "lead_score": "DOUBLE"}, [row])
    with pytest.raises(LeadSyncError, match=told):
        site.run(on_conflict=rules)
    assert {row["method"] for row in site.pipedrive.requests()} <= {"GET"}
    assert site.outcomes() == []


def test_a_wrong_rule_in_the_environment_is_one_line(site: Site) -> None:
    row = {"lead_id": next(iter(site.pipedrive.leads())), "title": "New"}
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR"}, [row])
    ended = site.command("run", on_conflict={"titel": "crm"})
    assert (ended.code, ended.stdout) == (1, "")
    assert "on_conflict names 'titel', which is no field; did you mean title" in ended.told
    assert "Traceback" not in ended.told
    assert site.pipedrive.requests("PATCH") == []


def kill_while_it_sends(site: Site, chunk_size: int) -> None:
    """Kill a run with a few PATCHes sent and their outcomes not loaded."""
    site.pipedrive.settings(latency_ms=30)
    with ended_at_last(site.start("run", workers=2, chunk_size=chunk_size)) as process:
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= 6, "no PATCH was sent")
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    site.pipedrive.settings(latency_ms=0)


def test_what_an_interrupted_run_left_is_not_sent_over_an_edit(site: Site) -> None:
    leads = new_leads(site, 40)
    desire(site, leads, "First title")
    assert site.run().statuses["applied"] == 40
    desire(site, leads, "Second title")
    site.pipedrive.clear_requests()
    kill_while_it_sends(site, chunk_size=10)
    edited = [leads[0], leads[-1]]  # one that was sent, and one that was not
    assert {row["lead_id"] for row in site.pipedrive.requests("PATCH")} & {*edited} == {leads[0]}
    for lead in edited:
        site.pipedrive.set_lead(lead, title="Theirs")
    summary = site.run(on_conflict="crm")
    assert (summary.statuses["conflict"], summary.exit_code) == (2, 3)
    shown = site.pipedrive.leads()
    assert {lead for lead in leads if shown[lead]["title"] == "Theirs"} == {*edited}
    assert sum(row["title"].startswith("Second") for row in shown.values()) == 38
    assert set(site.outcomes_of_patches()) == {1}


@pytest.mark.parametrize("rule", ["crm", "fail"])
def test_an_edit_of_what_an_interrupted_first_run_wrote_is_kept(site: Site, rule: str) -> None:
    """Nothing was recorded as written: the plan alone tells what was there."""
    leads = new_leads(site, 20)
    desire(site, leads, "First title")
    kill_while_it_sends(site, chunk_size=20)
    site.pipedrive.set_lead(leads[0], title="Theirs")
    for _ in range(2):
        assert site.run(on_conflict=rule).statuses["conflict"] == 1
        assert site.pipedrive.leads()[leads[0]]["title"] == "Theirs"
    assert set(site.outcomes_of_patches()) == {1}
