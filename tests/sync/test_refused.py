"""A refused PATCH has no effect: what the lead says as wished is somebody else's, and stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connector.errors import PlanError
from connector.sandbox import CUSTOM_FIELDS
from connector.sync.summary import Summary
from tests.support.front import front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import HOT, WARM
from tests.support.scene import WISH, with_one_wish

LEAD = lead_id("refused")
TIER = CUSTOM_FIELDS["Tier"]
REFUSAL = {"success": False, "error": "not allowed", "error_info": ""}


@pytest.fixture
def scene(site: Site) -> Site:
    return with_one_wish(site, LEAD)


def refused(
    site: Site, edit: Row, times: int = 1, call: Callable[..., Summary] | None = None
) -> Summary:
    """Run with the first PATCHes refused, and a person's edit directly before the first."""
    site.pipedrive.fault("status", method="PATCH", status=400, body=REFUSAL, times=times)
    edited: list[Row] = []

    def do() -> None:
        edited.append(site.pipedrive.set_lead(LEAD, **edit))

    with front_of(site.pipedrive.base_url, once(LEAD, do, "PATCH")) as url:
        summary = (call or site.run)(base_url=url)
    assert edited, "no PATCH was sent"
    return summary


def assert_nothing_to_take_back(site: Site, summary: Summary) -> None:
    with pytest.raises(PlanError, match="has sent nothing that could be taken back"):
        site.revert(summary.run_id)


def took(row: Row) -> Any:
    return None if row["took"] is None else json.loads(row["took"])


def test_what_a_person_did_all_the_same_is_not_taken_back(scene: Site) -> None:
    summary = refused(scene, WISH)
    [row] = scene.outcomes()
    assert (row["status"], took(row), row["http_status"]) == ("confirmed", [], 400)
    assert "made so in Pipedrive by somebody else" in row["reason"]
    assert "not allowed" in row["reason"]
    assert summary.exit_code == 0, "the lead says what is wanted"
    changes = scene.query("SELECT * FROM pipedrive_leads.lead_field_changes")
    assert changes == []
    assert_nothing_to_take_back(scene, summary)
    lead = scene.pipedrive.lead(LEAD)
    assert {key: lead[key] for key in WISH} == WISH
    assert len(bodies(scene.pipedrive)[LEAD]) == 1


def test_of_a_refused_patch_nothing_took_effect_though_a_part_is_so(scene: Site) -> None:
    summary = refused(scene, {"title": WISH["title"]})
    [row] = scene.outcomes()
    assert (summary.exit_code, row["status"], took(row)) == (3, "failed", [])
    assert_nothing_to_take_back(scene, summary)
    assert scene.pipedrive.lead(LEAD)["title"] == WISH["title"]


def test_a_refused_stored_plan_takes_nothing_either(scene: Site) -> None:
    stored = scene.plan().plan_id
    refused(scene, WISH, call=lambda **given: scene.apply(stored, **given))
    [row] = scene.outcomes()
    assert (row["status"], took(row)) == ("confirmed", [])


def test_a_refusal_that_cannot_be_looked_into_leaves_no_doubt(scene: Site) -> None:
    scene.pipedrive.fault("status", method="GET", route="leads/{id}", status=403, body=REFUSAL)
    summary = refused(scene, WISH)
    [row] = scene.outcomes()
    assert (row["status"], took(row)) == ("failed", [])
    assert "the lead cannot be read" in row["reason"]
    assert scene.run().unchanged == 1
    assert len(scene.outcomes()) == 1, "nothing is left to be settled"
    assert_nothing_to_take_back(scene, summary)
    assert scene.pipedrive.lead(LEAD)["title"] == WISH["title"]


@pytest.mark.parametrize("text", ["Lead label not found", "Linked object not found: person 99"])
def test_a_404_about_something_else_is_no_lead_that_is_gone(scene: Site, text: str) -> None:
    body = {**REFUSAL, "error": text}
    scene.pipedrive.fault("status", method="PATCH", status=404, body=body)
    for _ in range(2):
        assert scene.run().statuses["failed"] == 1
    assert len(bodies(scene.pipedrive)[LEAD]) == 1, "it is not sent again"
    [row] = [row for row in scene.outcomes() if row["attempts"]]
    assert (row["http_status"], took(row), text in row["reason"]) == (404, [], True)
    assert scene.mirror()[LEAD]["gone_at"] is None


def test_a_404_of_a_lead_that_is_gone_costs_one_look(scene: Site) -> None:
    delete = once(LEAD, lambda: scene.pipedrive.delete_lead(LEAD), "PATCH")
    with front_of(scene.pipedrive.base_url, delete) as url:
        assert scene.run(base_url=url).statuses["not_found"] == 1
    [row] = scene.outcomes()
    assert (row["http_status"], took(row), row["tokens"]) == (404, [], 10 + 2)
    assert scene.mirror()[LEAD]["gone_at"] is not None


def test_a_label_that_a_person_added_is_not_the_refused_patches(site: Site) -> None:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="As it is", label_ids=[HOT])
    row = {"lead_id": LEAD, "add_labels": WARM}
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR"}, [row])
    summary = refused(site, {"label_ids": [HOT, WARM]})
    assert [took(row) for row in site.outcomes()] == [[]]
    assert_nothing_to_take_back(site, summary)
    assert set(site.pipedrive.lead(LEAD)["label_ids"]) == {HOT, WARM}


def tier_of(site: Site, **wish: Any) -> None:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="As it was", **{TIER: "190"})
    columns = {"lead_id": "VARCHAR", "tier": "INTEGER", "title": "VARCHAR"}
    site.desire(columns, [{"lead_id": LEAD, "tier": 191, "title": "As it was", **wish}])


@pytest.mark.parametrize("theirs", ["191", "192"])
def test_over_a_persons_option_no_other_spelling_is_sent(site: Site, theirs: str) -> None:
    tier_of(site)
    refused(site, {TIER: theirs})
    assert len(bodies(site.pipedrive)[LEAD]) == 1
    assert str(site.pipedrive.lead(LEAD)[TIER]) == theirs
    [row] = site.outcomes()
    assert (row["status"], took(row)) == ("confirmed" if theirs == "191" else "failed", [])
    [account] = site.query("SELECT options_as_text FROM pipedrive_leads.sync_account")
    assert account["options_as_text"] is None, "nothing was found out"


def test_the_other_spelling_is_sent_of_what_is_as_it_was_alone(site: Site) -> None:
    tier_of(site, title="Wished")
    site.pipedrive.settings(enum_write="string")
    refused(site, {"title": "Wished"}, times=1)
    assert bodies(site.pipedrive)[LEAD][1:] == [{TIER: "191"}]
    [row] = site.outcomes()
    assert (row["status"], took(row)) == ("applied", [TIER])
    [account] = site.query("SELECT options_as_text FROM pipedrive_leads.sync_account")
    assert account["options_as_text"] is True


def test_what_is_already_so_tells_nothing_of_the_spelling(site: Site) -> None:
    tier_of(site)

    def do() -> None:
        site.pipedrive.set_lead(LEAD, **{TIER: "191"})

    with front_of(site.pipedrive.base_url, once(LEAD, do)) as url:
        summary = site.run(base_url=url, fresh_look="always")
    assert (summary.statuses["confirmed"], bodies(site.pipedrive)) == (1, {})
    [account] = site.query("SELECT options_as_text FROM pipedrive_leads.sync_account")
    assert account["options_as_text"] is None
