"""What a killed run has left unsent goes out under the rules of the run that sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.front import front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import HOT, WARM
from tests.support.scene import kill_in_effect

FIRST, LEFT = sorted([lead_id("killed at"), lead_id("left behind")])
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "channel_id": "VARCHAR",
    "updated_at": "TIMESTAMP",
}
WISH: Row = {"title": "Ours", "channel_id": "ours", "updated_at": "2099-01-01 00:00:00"}


@pytest.fixture
def site(any_site: Site) -> Site:
    return any_site


def leave_behind(
    site: Site, columns: Mapping[str, str] = COLUMNS, wish: Row = WISH, **settings: Any
) -> str:
    """Kill a run between two leads, so that the second is planned, released and never sent."""
    site.pipedrive.reset(leads=0)
    for lead in (FIRST, LEFT):
        site.pipedrive.set_lead(lead, title="As it is")
    site.desire(columns, [{"lead_id": lead, **wish} for lead in (FIRST, LEFT)])
    began = dict(site.pipedrive.lead(FIRST))
    killed = kill_in_effect(
        site, lambda: site.pipedrive.lead(FIRST) != began, workers=1, **settings
    )
    assert LEFT not in bodies(site.pipedrive)
    return killed


def resume(site: Site, edit: Row, **settings: Any) -> tuple[bool, Row]:
    """Run to the end; a person edits the lead at its fresh look. Return whether there was one."""
    edited: list[Row] = []

    def do() -> None:
        edited.append(site.pipedrive.set_lead(LEFT, **edit))

    with front_of(site.pipedrive.base_url, once(LEFT, do)) as url:
        ended = site.command("run", **{"base_url": url, **settings})
    assert ended.code in (0, 3), ended.told
    sent = [row for row in site.outcomes() if row["lead_id"] == LEFT and row["patch_id"]]
    return bool(edited), sent[-1]


@pytest.mark.parametrize(
    ("settings", "status", "sent"),
    [
        ({"on_conflict": "crm"}, "applied", [{"channel_id": "ours"}]),
        ({"on_conflict": "fail"}, "conflict", None),
        ({"on_conflict": "newest"}, "applied", [{"channel_id": "ours"}]),
        ({"on_conflict": json.dumps({"title": "crm"})}, "applied", [{"channel_id": "ours"}]),
    ],
    ids=str,
)
def test_an_edit_wins_over_what_was_planned_while_the_warehouse_won(
    site: Site, settings: Row, status: str, sent: list[Row] | None
) -> None:
    killed = leave_behind(site)
    looked, outcome = resume(site, {"title": "Theirs"}, **settings)
    assert looked
    assert site.pipedrive.lead(LEFT)["title"] == "Theirs"
    assert bodies(site.pipedrive).get(LEFT) == sent
    assert outcome["status"] == status
    assert outcome["plan_id"] == killed
    assert json.loads(outcome["took"]) == [key for body in sent or () for key in body]


def test_a_blank_that_is_filled_meanwhile_stays_filled(site: Site) -> None:
    leave_behind(site)
    looked, outcome = resume(site, {"channel_id": "theirs"}, only_if_blank=["channel_id"])
    assert looked
    assert site.pipedrive.lead(LEFT)["channel_id"] == "theirs"
    assert json.loads(outcome["took"]) == ["title"]


def test_labels_that_are_to_be_added_now_are_added_to_those_of_now(site: Site) -> None:
    columns = {"lead_id": "VARCHAR", "label_ids": "VARCHAR"}
    leave_behind(site, columns, {"label_ids": json.dumps([HOT])})
    columns = {"lead_id": "VARCHAR", "add_labels": "VARCHAR"}
    site.desire(columns, [{"lead_id": lead, "add_labels": HOT} for lead in (FIRST, LEFT)])
    looked, outcome = resume(site, {"label_ids": [WARM]})
    assert looked
    assert {*site.pipedrive.lead(LEFT)["label_ids"]} == {HOT, WARM}
    assert json.loads(outcome["took"]) == ["label_ids"]


def test_rules_that_were_given_up_hold_nothing_back(site: Site) -> None:
    leave_behind(site, on_conflict="crm")
    looked, outcome = resume(site, {"title": "Theirs"})
    assert not looked
    assert site.pipedrive.lead(LEFT)["title"] == "Ours"
    assert outcome["status"] == "applied"


@pytest.mark.parametrize(("look", "looks"), [("always", True), ("never", False)])
def test_whether_to_look_is_for_the_run_that_sends(site: Site, look: str, looks: bool) -> None:
    leave_behind(site)
    looked, _ = resume(site, {"was_seen": True}, fresh_look=look, on_conflict="crm")
    assert looked == looks


NOW_BLANK = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}


@pytest.mark.parametrize(
    ("settings", "arguments", "sent"),
    [
        ({"on_null": "keep"}, (), [{"title": "Ours"}]),
        ({"on_null": "reject"}, (), None),
        ({}, ("--fields", "title"), [{"title": "Ours"}]),
        ({}, ("--lead", LEFT), [{"title": "Ours", "channel_id": None}]),
        ({"max_patches": 0}, (), None),
    ],
    ids=str,
)
def test_what_is_wanted_otherwise_now_is_sent_as_it_is_wanted_now(
    site: Site, settings: Row, arguments: tuple[str, ...], sent: list[Row] | None
) -> None:
    site.pipedrive.reset(leads=0)
    for lead in (FIRST, LEFT):
        site.pipedrive.set_lead(lead, title="As it is", channel_id="set")
    wish = {"title": "Ours", "channel_id": None}
    site.desire(NOW_BLANK, [{"lead_id": lead, **wish} for lead in (FIRST, LEFT)])
    kill_in_effect(site, lambda: site.pipedrive.lead(FIRST)["title"] == "Ours", workers=1)
    site.command("run", *arguments, **settings)
    assert bodies(site.pipedrive).get(LEFT) == sent


def test_what_was_left_of_a_run_that_is_taken_back_is_closed_for_that(site: Site) -> None:
    killed = leave_behind(site)
    assert site.revert(killed).statuses["applied"] == 1
    assert site.pipedrive.lead(FIRST)["title"] == "As it is"
    assert LEFT not in bodies(site.pipedrive)
    [left] = [row for row in site.outcomes() if row["lead_id"] == LEFT]
    reason = f"interrupted before it took effect; run {killed} is taken back"
    assert (left["status"], left["reason"]) == ("deferred", reason)
