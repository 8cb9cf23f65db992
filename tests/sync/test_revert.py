"""Taking a run back: every lead as it was, but for what was changed in Pipedrive since."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from connector import LeadSyncError
from connector.sandbox import LocalPipedrive
from tests.support.everything import BARE, COLUMNS, FULL, FULL_ROW, KEY, OTHER_ROW, Case, put_leads
from tests.support.forking import COMMAND
from tests.support.harness import (
    ROOT,
    Ended,
    NewSite,
    Row,
    Site,
    bodies,
    ended_at_last,
    finish,
    lead_id,
    wait_until,
    wire,
)
from tests.support.scene import assert_titles, desire, new_leads

pytestmark = pytest.mark.xdist_group("sync revert")

ALL = {**COLUMNS, "is_archived": "BOOLEAN"}
MANAGED = (*FULL, "is_archived")
COST, CURRENCY = KEY["Deal cost"], f"{KEY['Deal cost']}_currency"
LABELS: list[str] = FULL["label_ids"]
SPELLED: Row = {
    **FULL,
    "label_ids": sorted(LABELS, reverse=True),
    "value": {"amount": 100.0, "currency": "SEK"},
    KEY["Lead score"]: 7.0,
    KEY["Products"]: "232,231",
    COST: 1200.0,
    CURRENCY: "SEK",
}
CLEARS: Row = {"organization_id": 302}
CASES = [
    Case("set", BARE, FULL_ROW, {}),
    Case("change", FULL, OTHER_ROW, {}),
    Case("clear", FULL, CLEARS, {}),
    Case("change what is spelled oddly", SPELLED, OTHER_ROW, {}),
    Case("clear what is spelled oddly", SPELLED, CLEARS, {}),
    Case("archive", FULL, {**OTHER_ROW, "is_archived": True}, {}),
    Case("archive alone", FULL, {**FULL_ROW, "is_archived": True}, {}),
    Case("bring back", {**FULL, "is_archived": True}, {**OTHER_ROW, "is_archived": False}, {}),
    Case(
        "bring back alone",
        {**BARE, "is_archived": True},
        {"is_archived": False, "organization_id": BARE["organization_id"]},
        {},
    ),
]
ALIKE = Case("alike", FULL, FULL_ROW, {})


def managed(leads: Mapping[str, Row]) -> dict[str, str]:
    """The managed fields of each lead as JSON text; a key that is unset may as well be absent."""
    return {
        lead: wire({key: row.get(key) for key in MANAGED if row.get(key) is not None})
        for lead, row in leads.items()
    }


@dataclass(frozen=True)
class Seen:
    """A run of everything, its revert, and the revert of that, with the leads after each."""

    site: Site
    before: dict[str, str]
    ran: dict[str, str]
    back: dict[str, str]
    again: dict[str, str]
    reverted: Ended
    runs: list[Row]
    sent: dict[str, list[Any]]


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    pipedrive = site.pipedrive
    pipedrive.reset(leads=0)
    cases = [*CASES, ALIKE]
    put_leads(pipedrive, cases)
    site.desire(ALL, [case.cells for case in cases])
    before = managed(pipedrive.leads())
    summary = site.run(unarchive=True)
    assert (summary.exit_code, summary.planned) == (0, len(CASES)), summary
    ran = managed(pipedrive.leads())
    pipedrive.clear_requests()
    site.query("DROP TABLE crm.lead_changes")  # what a run did is all that a revert needs
    reverted = site.command("revert", summary.run_id, "--yes")
    back, sent = managed(pipedrive.leads()), bodies(pipedrive)
    site.revert(site.last_run()["run_id"])
    again = managed(pipedrive.leads())
    return Seen(site, before, ran, back, again, reverted, site.runs(), sent)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_lead_is_as_it_was(seen: Seen, case: Case) -> None:
    assert seen.ran[case.lead_id] != seen.before[case.lead_id]
    assert seen.back[case.lead_id] == seen.before[case.lead_id]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_revert_can_be_reverted(seen: Seen, case: Case) -> None:
    assert json.loads(seen.again[case.lead_id]) == json.loads(seen.ran[case.lead_id])


def test_a_lead_that_was_not_sent_anything_is_not_touched(seen: Seen) -> None:
    assert ALIKE.lead_id not in seen.sent
    assert seen.back[ALIKE.lead_id] == seen.again[ALIKE.lead_id] == seen.before[ALIKE.lead_id]


def test_a_revert_is_told_and_recorded(seen: Seen) -> None:
    assert seen.reverted.code == 0, seen.reverted.told
    run, plan, revert, plan_again, again = seen.runs
    assert [row["command"] for row in seen.runs] == ["run", "plan", "revert", "plan", "revert"]
    assert [row["reverts"] for row in seen.runs] == [
        None,
        run["run_id"],
        run["run_id"],
        revert["run_id"],
        revert["run_id"],
    ]
    assert (revert["plan_id"], again["plan_id"]) == (plan["run_id"], plan_again["run_id"])
    assert {row["state"] for row in seen.runs} == {"done"}
    assert seen.reverted.stdout.count(f"Plan {plan['run_id']}") == 1
    assert f"{len(CASES)} leads to change" in seen.reverted.told


def test_an_archived_lead_comes_back_before_it_is_edited(seen: Seen) -> None:
    first, second = seen.sent[lead_id("archive")]
    assert first == {"is_archived": False}
    assert second["title"] == "Full"
    [only] = seen.sent[lead_id("bring back")]
    assert (only["is_archived"], only["title"]) == (True, "Full")


SCORE = KEY["Lead score"]
COLUMNS_OF_THREE = {"lead_id": "VARCHAR", "title": "VARCHAR", "lead_score": "DOUBLE"}
A, B, C = (lead_id(name) for name in "abc")
WAS: Row = {"title": "Old", SCORE: 1}
WANTED: Row = {"title": "New", SCORE: 2}


@dataclass(frozen=True)
class Ran:
    """A run that changed two fields of three leads."""

    site: Site
    run_id: str

    @property
    def pipedrive(self) -> LocalPipedrive:
        return self.site.pipedrive

    def leads(self) -> dict[str, Row]:
        shown = self.pipedrive.leads()
        return {lead: {key: shown[lead].get(key) for key in WAS} for lead in (A, B, C)}


def ran_on(site: Site) -> Ran:
    site.pipedrive.reset(leads=0)
    for lead in (A, B, C):
        site.pipedrive.set_lead(lead, **WAS)
    rows = [{"lead_id": lead, "title": "New", "lead_score": 2} for lead in (A, B, C)]
    site.desire(COLUMNS_OF_THREE, rows)
    summary = site.run()
    assert summary.statuses["applied"] == 3
    site.pipedrive.clear_requests()
    return Ran(site, summary.run_id)


@pytest.fixture
def ran(site: Site) -> Ran:
    return ran_on(site)


def test_what_was_changed_since_is_left_and_listed(ran: Ran) -> None:
    ran.pipedrive.set_lead(A, title="Theirs")
    ran.pipedrive.set_lead(B, **{"title": "Theirs", SCORE: 9})
    ended = ran.site.command("revert", ran.run_id, "--yes", "--output", "json")
    assert ended.code == 3, ended.told
    assert ran.leads() == {A: {**WAS, "title": "Theirs"}, B: {"title": "Theirs", SCORE: 9}, C: WAS}
    assert bodies(ran.pipedrive) == {A: [{SCORE: 1}], C: [WAS]}
    document = json.loads(ended.stdout)
    assert {row["lead_id"]: row["status"] for row in document["plan"]["settled"]} == {
        A: "conflict",
        B: "conflict",
    }
    counted = {name: n for name, n in document["run"]["outcomes"].items() if n}
    assert (document["run"]["reverts"], counted) == (ran.run_id, {"applied": 2, "conflict": 2})
    outcomes = ran.site.outcomes(document["run"]["run_id"])
    conflicts = {row["lead_id"]: row for row in outcomes if row["status"] == "conflict"}
    assert json.loads(conflicts[A]["before"]) == {"title": "New"}
    assert json.loads(conflicts[A]["after"]) == {"title": "Theirs"}
    assert json.loads(conflicts[A]["body"]) == {"title": "Old"}
    told = "Title: expected New, is Theirs, wanted Old; changed in Pipedrive since the run"
    assert conflicts[A]["reason"] == told
    assert "Lead score: expected 2, is 9, wanted 1" in conflicts[B]["reason"]


def test_a_revert_of_which_nothing_is_left_says_so(ran: Ran) -> None:
    for lead in (A, B, C):
        ran.pipedrive.set_lead(lead, **{"title": "Theirs", SCORE: 9})
    summary = ran.site.revert(ran.run_id)
    assert (summary.exit_code, summary.statuses["conflict"], summary.planned) == (3, 3, 0)
    assert bodies(ran.pipedrive) == {}


def test_a_revert_takes_what_it_is_asked_for(ran: Ran) -> None:
    assert ran.site.revert(ran.run_id, lead=B.upper(), fields=["Lead score"]).exit_code == 0
    assert ran.leads() == {A: WANTED, B: {**WANTED, SCORE: 1}, C: WANTED}
    ended = ran.site.command("revert", ran.run_id, "--yes", "--fields", "title", "--lead", A)
    assert ended.code == 0, ended.told
    assert ran.leads() == {A: {**WANTED, "title": "Old"}, B: {**WANTED, SCORE: 1}, C: WANTED}
    assert bodies(ran.pipedrive) == {B: [{SCORE: 1}], A: [{"title": "Old"}]}
    # What is back already is neither sent again nor a conflict.
    assert ran.site.revert(ran.run_id).exit_code == 0
    assert ran.leads() == {A: WAS, B: WAS, C: WAS}
    assert bodies(ran.pipedrive)[A] == [{"title": "Old"}, {SCORE: 1}]


def test_a_lead_that_is_gone_or_archived_since_is_told(ran: Ran) -> None:
    ran.pipedrive.delete_lead(A)
    ran.pipedrive.archive_lead(B)
    summary = ran.site.revert(ran.run_id)
    statuses = {status: count for status, count in summary.statuses.items() if count}
    assert statuses == {"applied": 1, "not_found": 1, "archived": 1}
    assert bodies(ran.pipedrive) == {C: [WAS]}


def test_what_changes_between_plan_and_apply_is_left(ran: Ran) -> None:
    made = ran.site.command("revert", ran.run_id)
    plan_id = plan_named_in(made)
    ran.pipedrive.set_lead(A, title="Theirs")
    applied = ran.site.apply(plan_id)
    assert (applied.command, applied.reverts) == ("revert", ran.run_id)
    assert (applied.statuses["applied"], applied.statuses["conflict"]) == (2, 1)
    assert ran.leads() == {A: {**WANTED, "title": "Theirs"}, B: WAS, C: WAS}


def plan_named_in(ended: Ended) -> str:
    found = re.search(r"lead-sync apply (\S+?)`", ended.told)
    assert found, ended.told
    return found[1]


def test_without_anybody_to_ask_the_plan_is_shown_and_left(ran: Ran) -> None:
    ended = ran.site.command("revert", ran.run_id)
    assert ended.code == 1
    assert "Lead score 2 → 1" in " ".join(ended.stdout.split())
    assert "3 leads to change" in ended.stdout
    assert "nobody is there to ask: give --yes; nothing was sent" in ended.stderr
    assert "Traceback" not in ended.told
    assert ran.pipedrive.requests("PATCH") == []
    assert ran.leads() == {A: WANTED, B: WANTED, C: WANTED}
    assert len(ran.site.outcomes()) == 3
    applied = ran.site.command("apply", plan_named_in(ended))
    assert applied.code == 0, applied.told
    assert ran.leads() == {A: WAS, B: WAS, C: WAS}
    with pytest.raises(LeadSyncError, match="was applied before"):
        ran.site.apply(plan_named_in(ended))


@contextmanager
def at_a_terminal(site: Site, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start `lead-sync` with a terminal for its standard input and output."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [str(COMMAND), *arguments],
            env=site.environment() | {"TERM": "dumb", "COLUMNS": "200"},
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)
        with ended_at_last(process):
            yield process, ours
    finally:
        os.close(ours)


def read_until(terminal: int, text: str) -> str:
    """Read what a terminal shows until some text is there, or it is closed."""
    shown = b""
    while text.encode() not in shown:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        shown += chunk
    return shown.decode()


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, WAS), ("n", 0, WANTED)])
def test_a_person_at_a_terminal_is_asked(ran: Ran, answer: str, code: int, left: Row) -> None:
    with at_a_terminal(ran.site, "revert", ran.run_id) as (process, terminal):
        asked = read_until(terminal, "Apply this to 3 leads?")
        assert "Apply this to 3 leads?" in asked
        assert ran.pipedrive.requests("PATCH") == []
        os.write(terminal, f"{answer}\n".encode())
        rest = read_until(terminal, "never shown")
        ended = replace(finish(process), stdout=rest)
    assert ended.code == code, ended.told
    assert ran.leads() == {A: left, B: left, C: left}
    if answer == "n":
        assert "nothing was sent" in rest
        assert ran.site.apply(plan_named_in(ended)).statuses["applied"] == 3
        assert ran.leads() == {A: WAS, B: WAS, C: WAS}
    else:
        assert "3 applied" in rest


def test_runs_that_cannot_be_taken_back_are_refused(ran: Ran) -> None:
    same = ran.site.run()
    planned = ran.site.plan()
    runs = ran.site.runs()
    ran.pipedrive.clear_requests()
    unknown = ran.site.command("revert", "20260101-000000-aaaaaa", "--yes")
    assert (unknown.code, unknown.stdout) == (1, "")
    assert "no run 20260101-000000-aaaaaa; `lead-sync runs` lists them" in unknown.stderr
    for run_id in (same.run_id, planned.run_id):
        with pytest.raises(LeadSyncError, match=f"run {run_id} has sent nothing that could be"):
            ran.site.revert(run_id)
    with pytest.raises(LeadSyncError, match="has sent nothing that could be"):
        ran.site.revert(ran.run_id, lead=lead_id("another"))
    assert (ran.pipedrive.requests(), ran.site.runs()) == ([], runs)
    with pytest.raises(LeadSyncError, match=r"fields names 'lead scroe'.*Lead score"):
        ran.site.revert(ran.run_id, fields=["lead scroe"])
    assert ran.pipedrive.requests("PATCH") == []


def test_a_revert_that_is_stopped_while_it_is_planned_says_so(ran: Ran) -> None:
    stopped = ran.site.revert(ran.run_id, token_budget=1)
    assert (stopped.exit_code, stopped.command, stopped.state) == (5, "plan", "stopped")
    ended = ran.site.command("revert", ran.run_id, "--yes", "--output", "json", token_budget=1)
    assert ended.code == 5, ended.told
    document = json.loads(ended.stdout)
    assert (document["plan"]["summary"]["state"], document["run"]) == ("stopped", None)
    for plan_id in (stopped.plan_id, document["plan"]["summary"]["plan_id"]):
        with pytest.raises(LeadSyncError, match="never came to its end"):
            ran.site.apply(plan_id)
    assert ran.leads() == {A: WANTED, B: WANTED, C: WANTED}


def test_only_what_is_in_effect_is_taken_back(site: Site) -> None:
    titles = desire(site, new_leads(site, 6))
    fine, failed, later, ignored, confirmed, archived = titles
    before = {lead: row["title"] for lead, row in site.pipedrive.leads().items()}
    for lead in (failed, later):
        refused: dict[str, Any] = {"status": 400, "body": {"error": "not valid"}, "times": 9}
        site.pipedrive.fault("status", lead_id=lead, method="PATCH", **refused)
    site.pipedrive.fault("ignore", lead_id=ignored, method="PATCH")
    site.pipedrive.fault("reset_after", lead_id=confirmed, method="PATCH")
    site.pipedrive.archive_lead(archived)
    summary = site.run()
    statuses = {row["lead_id"]: row["status"] for row in site.outcomes()}
    assert statuses == {
        fine: "applied",
        failed: "failed",
        later: "failed",
        ignored: "ignored",
        confirmed: "confirmed",
        archived: "archived",
    }
    site.pipedrive.clear_faults()
    site.pipedrive.set_lead(later, title=titles[later])  # a person does by hand what was refused
    site.pipedrive.clear_requests()
    reverted = site.revert(summary.run_id)
    assert (reverted.exit_code, reverted.statuses["applied"]) == (0, 2)
    assert bodies(site.pipedrive).keys() == {fine, confirmed}
    assert_titles(site, before | {later: titles[later]})


def test_an_interrupted_revert_is_gone_on_with(site: Site) -> None:
    leads = new_leads(site, 40)
    desire(site, leads)
    summary = site.run()
    site.pipedrive.settings(latency_ms=30)
    site.pipedrive.clear_requests()
    with ended_at_last(site.start("revert", summary.run_id, "--yes", workers=2)) as process:
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= 10, "no PATCH was sent")
        process.kill()
        process.communicate()
    site.pipedrive.settings(latency_ms=0)
    applied = site.apply(site.last_run()["plan_id"])
    assert (applied.exit_code, applied.reverts) == (0, summary.run_id)
    assert_titles(site, dict.fromkeys(leads, "As it is"))
    assert set(site.outcomes_of_patches()) == {1}


def test_guards_do_not_stop_a_revert(site: Site) -> None:
    leads = new_leads(site, 30)
    rows = [{"lead_id": lead, "title": "New", "channel_id": "Spring"} for lead in leads]
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}, rows)
    summary = site.run()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOURCES__PIPEDRIVE_LEADS__MAX_PATCHES", "1")
        reverted = site.revert(summary.run_id)
    assert (reverted.exit_code, reverted.statuses["applied"]) == (0, 30)
    assert {row["channel_id"] for row in site.pipedrive.leads().values()} == {None}
    assert site.last_run()["tripped"] is None
