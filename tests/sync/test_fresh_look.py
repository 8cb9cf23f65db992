"""A lead is looked at directly before a PATCH that depends on what else is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from connector.sync.summary import Summary
from tests.support.books import assert_books
from tests.support.front import Raw, front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import COLD, HOT, WARM
from tests.support.scene import kill_in_effect

LEAD = lead_id("look")


def scene_of(site: Site, lead: Row, columns: Mapping[str, str], wish: Row) -> None:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, **{"title": "As it is", **lead})
    site.desire({"lead_id": "VARCHAR", **columns}, [{"lead_id": LEAD, **wish}])


def with_edit(site: Site, call: Callable[..., Summary], edit: Row, **given: Any) -> Summary:
    """Call the job, and let a person edit the lead after the list was read."""
    edited: list[Row] = []

    def do() -> None:
        edited.append(site.pipedrive.set_lead(LEAD, **edit))

    with front_of(site.pipedrive.base_url, once(LEAD, do, None)) as url:
        summary = call(base_url=url, **given)
    assert edited
    return summary


def looks(site: Site) -> int:
    return sum(row["path"].endswith(LEAD) for row in site.pipedrive.requests("GET"))


def test_a_label_that_a_person_adds_meanwhile_stays(site: Site) -> None:
    first, second, third = HOT, WARM, COLD
    scene_of(site, {"label_ids": [first]}, {"add_labels": "VARCHAR"}, {"add_labels": second})
    assert with_edit(site, site.run, {"label_ids": [first, third]}).exit_code == 0
    assert set(site.pipedrive.lead(LEAD)["label_ids"]) == {first, second, third}
    [row] = site.outcomes()
    assert set(json.loads(row["before"])["label_ids"]) == {first, third}
    assert set(json.loads(row["body"])["label_ids"]) == {first, second, third}
    assert site.revert(row["run_id"]).exit_code == 0
    assert set(site.pipedrive.lead(LEAD)["label_ids"]) == {first, third}


def test_a_label_that_a_person_has_added_himself_is_not_sent(site: Site) -> None:
    first, second = HOT, WARM
    scene_of(site, {"label_ids": [first]}, {"add_labels": "VARCHAR"}, {"add_labels": second})
    assert with_edit(site, site.run, {"label_ids": [first, second]}).exit_code == 0
    assert LEAD not in bodies(site.pipedrive)
    [row] = site.outcomes()
    assert (row["status"], json.loads(row["took"])) == ("confirmed", [])


EUROS = {"amount": 50, "currency": "EUR"}


def test_half_a_value_takes_the_currency_that_is_there_now(site: Site) -> None:
    scene_of(site, {"value": EUROS}, {"value_amount": "DECIMAL(9, 2)"}, {"value_amount": 100})
    edit = {"value": {"amount": 60, "currency": "USD"}}
    assert with_edit(site, site.run, edit).exit_code == 0
    assert site.pipedrive.lead(LEAD)["value"] == {"amount": 100, "currency": "USD"}


def test_half_a_value_of_a_lead_that_has_none_any_more_is_a_conflict(site: Site) -> None:
    scene_of(site, {"value": EUROS}, {"value_amount": "DECIMAL(9, 2)"}, {"value_amount": 100})
    assert with_edit(site, site.run, {"value": None}).exit_code == 3
    assert LEAD not in bodies(site.pipedrive)
    [row] = site.outcomes()
    assert (row["status"], "has no currency" in row["reason"]) == ("conflict", True)


def test_what_is_filled_meanwhile_is_not_overwritten(site: Site) -> None:
    columns = {"channel_id": "VARCHAR", "title": "VARCHAR"}
    scene_of(site, {}, columns, {"channel_id": "ours", "title": "New"})
    run = with_edit(site, site.run, {"channel_id": "theirs"}, only_if_blank=["channel_id"])
    assert run.exit_code == 0
    assert bodies(site.pipedrive)[LEAD] == [{"title": "New"}]
    [row] = site.outcomes()
    assert "filled in Pipedrive since it was planned" in row["reason"]
    assert json.loads(row["took"]) == ["title"]


@pytest.mark.parametrize("policy", ["crm", "fail", "newest"])
def test_an_edit_after_the_list_was_read_wins_where_edits_win(site: Site, policy: str) -> None:
    columns = {"title": "VARCHAR", "updated_at": "TIMESTAMP"}
    scene_of(site, {}, columns, {"title": "Ours", "updated_at": "2099-01-01 00:00:00"})
    run = with_edit(site, site.run, {"title": "Theirs"}, on_conflict=policy)
    assert run.exit_code == 3
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"
    assert site.statuses() == {"conflict": 1}


@pytest.mark.parametrize(("policy", "sent"), [("crm", [{"channel_id": "2"}]), ("fail", None)])
def test_the_other_fields_of_an_edited_lead_are_sent_unless_the_rule_is_fail(
    site: Site, policy: str, sent: list[Row] | None
) -> None:
    columns = {"title": "VARCHAR", "channel_id": "VARCHAR"}
    scene_of(site, {}, columns, {"title": "Ours", "channel_id": "2"})
    with_edit(site, site.run, {"title": "Theirs"}, on_conflict=policy)
    assert bodies(site.pipedrive).get(LEAD) == sent


BOTH = {"title": "VARCHAR", "channel_id": "VARCHAR", "updated_at": "TIMESTAMP"}
WISH: Row = {"title": "Ours", "channel_id": "2", "updated_at": "2020-01-01 00:00:00"}


@pytest.mark.parametrize("policy", ["crm", "newest"])
def test_what_a_look_keeps_is_a_conflict_of_its_own_and_stays_kept(site: Site, policy: str) -> None:
    scene_of(site, {"channel_id": "1"}, BOTH, WISH)
    run = with_edit(site, site.run, {"title": "Theirs"}, on_conflict=policy)
    assert (run.exit_code, site.statuses()) == (3, {"applied": 1, "conflict": 1})
    assert run.statuses["conflict"] == 1
    sent, kept = site.outcomes()
    assert (sent["reason"], json.loads(sent["body"])) == (None, {"channel_id": "2"})
    assert (kept["patch_id"], kept["lead_id"], json.loads(kept["took"])) == (None, LEAD, [])
    told = {name: json.loads(kept[name])["title"] for name in ("before", "after", "body")}
    assert told == {"before": "As it is", "after": "Theirs", "body": "Ours"}
    assert "expected As it is, is Theirs, wanted Ours" in kept["reason"]
    assert [miss.status for miss in run.missed.first] == ["conflict"]
    assert site.run(on_conflict=policy).exit_code == 3
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"
    assert_books(site, edited=[LEAD])


def refuse(site: Site) -> None:
    site.pipedrive.fault("status", status=400, method="PATCH")


def lose(site: Site) -> None:
    site.pipedrive.fault("status", status=502, method="PATCH", times=2)


def tidy(site: Site) -> None:
    site.pipedrive.settings(text_tidied="trim")


@pytest.mark.parametrize(
    ("trouble", "status"), [(refuse, "failed"), (lose, "failed"), (tidy, "ignored")]
)
def test_what_a_look_keeps_is_told_whatever_becomes_of_the_rest(
    site: Site, trouble: Callable[[Site], None], status: str
) -> None:
    scene_of(site, {"channel_id": "1"}, BOTH, {**WISH, "channel_id": "2 "})
    trouble(site)
    with_edit(site, site.run, {"title": "Theirs"}, on_conflict="crm", max_attempts=2)
    assert site.statuses() == {status: 1, "conflict": 1}
    assert site.run(on_conflict="crm", retry_failed=True).statuses["conflict"] == 1
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"


def test_a_plain_change_costs_no_look_and_always_costs_one(site: Site) -> None:
    scene_of(site, {}, {"title": "VARCHAR"}, {"title": "New"})
    assert site.run().exit_code == 0
    assert looks(site) == 0
    site.desire_titles({LEAD: "Newer"})
    assert site.run(fresh_look="always").exit_code == 0
    assert looks(site) == 1


def test_without_a_look_the_patch_goes_out_as_it_was_planned(site: Site) -> None:
    scene_of(site, {"value": EUROS}, {"value_amount": "DECIMAL(9, 2)"}, {"value_amount": 100})
    assert site.run(fresh_look="never").exit_code == 0
    assert looks(site) == 0
    assert site.pipedrive.lead(LEAD)["value"] == {"amount": 100, "currency": "EUR"}


def test_a_stored_plan_is_sent_as_it_is_or_not_at_all(site: Site) -> None:
    scene_of(site, {"value": EUROS}, {"value_amount": "DECIMAL(9, 2)"}, {"value_amount": 100})
    stored = site.plan().plan_id
    seen: list[str] = []

    def look(method: str, path: str) -> Raw | None:
        if LEAD in path:
            seen.append(method)
            if len(seen) == 2:  # the first one reads the plan's lead
                edit = {"amount": 50, "currency": "USD"}
                site.pipedrive.set_lead(LEAD, value=edit)
        return None

    with front_of(site.pipedrive.base_url, look) as url:
        summary = site.apply(stored, base_url=url)
    assert seen == ["GET", "GET"]
    assert summary.exit_code == 3
    assert site.statuses() == {"conflict": 1}


@pytest.mark.parametrize(
    ("do", "status"),
    [
        (lambda site: site.pipedrive.archive_lead(LEAD), "archived"),
        (lambda site: site.pipedrive.delete_lead(LEAD), "not_found"),
    ],
)
def test_a_lead_that_went_away_meanwhile_is_not_sent_to(
    site: Site, do: Callable[[Site], object], status: str
) -> None:
    scene_of(site, {"value": EUROS}, {"value_amount": "DECIMAL(9, 2)"}, {"value_amount": 100})
    with front_of(site.pipedrive.base_url, once(LEAD, lambda: do(site), None)) as url:
        assert site.run(base_url=url).exit_code == 3
    assert not site.pipedrive.requests("PATCH")
    [row] = site.outcomes()
    assert (row["status"], json.loads(row["took"])) == (status, [])


@pytest.mark.parametrize("command", ["run", "apply"])
@pytest.mark.parametrize("also", ["", "New"])
def test_a_lead_keeps_a_person_or_an_organization_whoever_cleared_the_other(
    any_site: Site, command: str, also: str
) -> None:
    """A lead needs one of them (documented): what is found at the look is judged as a row is."""
    site = any_site
    columns = {"person_id": "BIGINT"} | ({"title": "VARCHAR"} if also else {})
    scene_of(site, {"person_id": 1201, "organization_id": 301}, columns, {"title": also})
    call = site.run if command == "run" else partial(site.apply, site.plan().plan_id)
    ended = with_edit(site, call, {"organization_id": None})
    assert (ended.exit_code, site.pipedrive.requests("PATCH")) == (3, [])
    [row] = site.outcomes()
    assert (row["status"], json.loads(row["took"]), row["attempts"]) == ("rejected", [], 0)
    assert "would leave the lead without person and organization" in row["reason"]
    assert site.pipedrive.lead(LEAD)["person_id"] == 1201
    assert_books(site)
    again = site.run()
    assert (again.statuses["rejected"], site.pipedrive.requests("PATCH")) == (1, [])


def test_a_body_that_gives_the_other_contact_needs_no_look(site: Site) -> None:
    columns = {"person_id": "BIGINT", "organization_id": "BIGINT"}
    lead = {"person_id": 1201, "organization_id": 301}
    scene_of(site, lead, columns, {"person_id": None, "organization_id": 302})
    assert (site.run().statuses["applied"], looks(site)) == (1, 0)


def test_a_lead_that_cannot_be_looked_at_is_not_sent_to(site: Site) -> None:
    scene_of(site, {"value": EUROS}, {"value_amount": "DECIMAL(9, 2)"}, {"value_amount": 100})
    site.pipedrive.fault("status", method="GET", route="leads/{id}", status=503, times=9)
    assert site.run(max_attempts=2).exit_code == 3
    assert not site.pipedrive.requests("PATCH")
    [row] = site.outcomes()
    assert (row["status"], json.loads(row["took"])) == ("failed", [])
    assert "not sent, as the lead cannot be read" in row["reason"]


def test_a_label_added_by_a_killed_run_is_its_own_whatever_a_person_added(
    site: Site,
) -> None:
    first, second, third = HOT, WARM, COLD
    scene_of(site, {"label_ids": [first]}, {"add_labels": "VARCHAR"}, {"add_labels": second})
    killed = kill_in_effect(site, lambda: len(site.pipedrive.lead(LEAD)["label_ids"]) == 2)
    site.pipedrive.set_lead(LEAD, label_ids=[first, second, third])
    assert site.run().exit_code == 0
    [row] = site.outcomes()
    assert (row["run_id"], row["status"]) == (killed, "confirmed")
    assert json.loads(row["took"]) == ["label_ids"]
