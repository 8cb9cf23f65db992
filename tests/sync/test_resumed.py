"""What a killed run left unsent goes out under the rules of the run that sends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from connector.sync.summary import Summary
from tests.support.front import front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import COLD, HOT, WARM
from tests.support.scene import kill_unsent

LEAD, OTHER = lead_id("resumed"), lead_id("other")
TEXTS = {"title": "VARCHAR", "channel_id": "VARCHAR"}


def scene_of(site: Site, lead: Row, columns: Mapping[str, str], wish: Row) -> None:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, **{"title": "As it is", **lead})
    site.desire({"lead_id": "VARCHAR", **columns}, [{"lead_id": LEAD, **wish}])


def with_edit(site: Site, edit: Row, **given: Any) -> Summary:
    """Run, and let a person edit the lead once the list was read, before its PATCH."""
    edits: list[Row] = []

    def do() -> None:
        edits.append(site.pipedrive.set_lead(LEAD, **edit))

    with front_of(site.pipedrive.base_url, once(LEAD, do, None)) as url:
        summary = site.run(base_url=url, **given)
    assert edits, "nothing was asked about the lead"
    return summary


def looks(site: Site) -> int:
    return sum(row["path"].endswith(LEAD) for row in site.pipedrive.requests("GET"))


def of_patches(site: Site) -> list[tuple[str, str, list[str]]]:
    rows = [row for row in site.outcomes() if row["patch_id"]]
    return [(row["plan_id"], row["status"], json.loads(row["took"])) for row in rows]


@pytest.mark.parametrize("policy", ["crm", "fail", "newest"])
def test_a_policy_that_was_set_since_looks_before_it_sends(site: Site, policy: str) -> None:
    columns = {"title": "VARCHAR", "updated_at": "TIMESTAMP"}
    scene_of(site, {}, columns, {"title": "Ours", "updated_at": "2099-01-01 00:00:00"})
    killed = kill_unsent(site)
    summary = with_edit(site, {"title": "Theirs"}, on_conflict=policy)
    assert summary.exit_code == 3
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"
    assert LEAD not in bodies(site.pipedrive)
    assert of_patches(site) == [(killed, "conflict", [])]


def test_what_nobody_edited_is_sent_under_its_own_id_after_that_look(site: Site) -> None:
    scene_of(site, {}, TEXTS, {"title": "Ours", "channel_id": "ours"})
    killed = kill_unsent(site)
    assert site.run(on_conflict="crm").exit_code == 0
    assert bodies(site.pipedrive)[LEAD] == [{"title": "Ours", "channel_id": "ours"}]
    assert of_patches(site) == [(killed, "applied", ["title", "channel_id"])]
    assert looks(site) == 1


def test_a_field_that_is_only_filled_since_is_not_overwritten(site: Site) -> None:
    scene_of(site, {}, TEXTS, {"title": "Ours", "channel_id": "ours"})
    killed = kill_unsent(site)
    summary = with_edit(site, {"channel_id": "theirs"}, only_if_blank=["channel_id"])
    assert summary.exit_code == 0
    assert bodies(site.pipedrive)[LEAD] == [{"title": "Ours"}]
    assert of_patches(site) == [(killed, "applied", ["title"])]


def test_a_label_is_added_to_those_there_where_all_were_to_be_replaced(site: Site) -> None:
    first, second, third = HOT, WARM, COLD
    scene_of(site, {"label_ids": [first]}, {"labels": "JSON"}, {"labels": [first, second]})
    kill_unsent(site)
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR"}, [_row(add_labels=second)])
    assert with_edit(site, {"label_ids": [first, third]}).exit_code == 0
    assert set(site.pipedrive.lead(LEAD)["label_ids"]) == {first, second, third}


def test_a_policy_that_was_taken_back_since_costs_no_look(site: Site) -> None:
    scene_of(site, {}, TEXTS, {"title": "Ours"})
    kill_unsent(site, on_conflict="crm")
    before = looks(site)
    assert site.run().statuses["applied"] == 1
    assert looks(site) == before


@pytest.mark.parametrize("fresh_look", ["always", "auto"])
def test_fresh_look_is_that_of_the_run_that_sends(site: Site, fresh_look: str) -> None:
    scene_of(site, {}, TEXTS, {"title": "Ours"})
    kill_unsent(site)
    assert site.run(fresh_look=fresh_look).statuses["applied"] == 1
    assert looks(site) == (fresh_look == "always")


@pytest.mark.parametrize(("rule", "exit_code"), [("keep", 0), ("reject", 3)])
def test_a_null_that_clears_no_more_is_not_sent(site: Site, rule: str, exit_code: int) -> None:
    scene_of(site, {"channel_id": "theirs"}, TEXTS, {"title": "As it is", "channel_id": None})
    killed = kill_unsent(site)
    assert site.run(on_null={"channel_id": rule}).exit_code == exit_code
    assert LEAD not in bodies(site.pipedrive)
    assert of_patches(site) == [(killed, "deferred", [])]


def test_fields_that_are_not_named_are_not_sent(site: Site) -> None:
    scene_of(site, {}, TEXTS, {"title": "Ours", "channel_id": "ours"})
    kill_unsent(site)
    assert site.run(fields=["channel_id"]).statuses["applied"] == 1
    assert bodies(site.pipedrive)[LEAD] == [{"channel_id": "ours"}]


def test_a_lead_that_is_not_named_keeps_what_is_left_for_a_later_run(site: Site) -> None:
    scene_of(site, {}, TEXTS, {"title": "Ours"})
    site.pipedrive.set_lead(OTHER, title="As it is")
    site.desire_titles({LEAD: "Ours", OTHER: "As it is"})
    killed = kill_unsent(site)
    assert site.run(lead=OTHER).exit_code == 0
    assert (bodies(site.pipedrive), of_patches(site)) == ({}, [])
    assert site.run(on_conflict="crm").statuses["applied"] == 1
    assert of_patches(site) == [(killed, "applied", ["title"])]


@pytest.mark.parametrize("guard", ["max_clears", "max_overwrites"])
def test_a_guard_that_was_set_since_judges_what_is_left(site: Site, guard: str) -> None:
    wish: Row = {"title": "As it is" if guard == "max_clears" else "Ours", "channel_id": None}
    channel = "theirs" if guard == "max_clears" else None
    scene_of(site, {"channel_id": channel}, TEXTS, wish)
    kill_unsent(site)
    stopped = site.run(**{guard: 0, f"{guard}_percent": 0})
    assert (stopped.exit_code, bodies(site.pipedrive)) == (4, {})
    assert site.run().statuses["applied"] == 1


def test_the_rules_of_the_run_that_sends_are_those_that_a_doubt_goes_by(site: Site) -> None:
    """It is killed as well; what a third run finds is judged by what was sent, and why."""
    first, second, third = HOT, WARM, COLD
    scene_of(site, {"label_ids": [first]}, {"labels": "JSON"}, {"labels": [first, second]})
    killed = kill_unsent(site)
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR"}, [_row(add_labels=second)])
    site.pipedrive.fault("status", method="PATCH", status=502, write=True, times=1)
    site.pipedrive.fault("status", method="GET", route="leads/{id}", status=503, times=9)
    summary = site.run(max_attempts=1, fresh_look="never")
    assert summary.statuses["failed"] == 1
    site.pipedrive.clear_faults()
    site.pipedrive.set_lead(LEAD, label_ids=[first, second, third])
    assert site.run().exit_code == 0
    settled = [row for row in site.outcomes() if row["settled_by"]]
    assert [(row["plan_id"], json.loads(row["took"])) for row in settled] == [
        (killed, ["label_ids"])
    ]


def _row(**cells: object) -> Row:
    return {"lead_id": LEAD, **cells}
