"""What Pipedrive refuses or keeps tidied is not sent again every night."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.sync.summary import Summary
from tests.support.front import Raw, front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import SCORE
from tests.support.scene import kill_in_effect, kill_unsent, new_leads, with_one_wish

LEAD = lead_id("repeats")
REFUSED = {"success": False, "error": "title is not allowed", "error_info": ""}


@pytest.fixture
def scene(site: Site) -> Site:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="As it is", channel_id="1")
    site.desire(
        {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"},
        [{"lead_id": LEAD, "title": "Wished", "channel_id": "1"}],
    )
    return site


def refuse(site: Site, times: int = 1) -> None:
    site.pipedrive.fault("status", method="PATCH", status=400, body=REFUSED, times=times)


def sends(site: Site) -> int:
    return len(site.pipedrive.requests("PATCH"))


def wish(site: Site, title: str) -> None:
    site.query("UPDATE crm.lead_changes SET title = ?", title)


def test_a_refused_body_is_told_again_and_not_sent(scene: Site) -> None:
    refuse(scene, 9)
    assert scene.run().exit_code == 3
    assert sends(scene) == 1
    for _ in range(2):
        again = scene.run()
        assert (again.exit_code, again.statuses["failed"]) == (3, 1)
        row = scene.outcomes(again.run_id)[-1]
        assert row["status"] == "failed"
        assert "title is not allowed" in row["reason"]
        assert "--retry-failed" in row["reason"]
        assert (row["patch_id"], row["tokens"]) == (None, 0)
    assert sends(scene) == 1


def test_a_refused_body_is_sent_again_on_demand(scene: Site) -> None:
    refuse(scene)
    scene.run()
    assert scene.run(retry_failed=True).statuses["applied"] == 1
    assert sends(scene) == 2


def test_a_refused_body_is_sent_again_once_the_row_has_changed(scene: Site) -> None:
    refuse(scene)
    scene.run()
    wish(scene, "Wished otherwise")
    assert scene.run().statuses["applied"] == 1


def test_a_refused_body_is_sent_again_once_the_lead_has_changed(scene: Site) -> None:
    refuse(scene)
    scene.run()
    later = "2099-01-01T00:00:00.000Z"
    scene.pipedrive.set_lead(LEAD, channel_id="1", person_id=7, update_time=later)
    assert scene.run().statuses["applied"] == 1


def test_a_refused_body_is_sent_again_though_a_change_left_the_time_as_it_was(site: Site) -> None:
    lead = lead_id("quiet")
    site.pipedrive.reset(leads=0, quiet_keys="custom")
    site.pipedrive.set_lead(lead, title="A", **{SCORE: 1})
    site.desire({"lead_id": "VARCHAR", SCORE: "DOUBLE"}, [{"lead_id": lead, SCORE: 2}])
    site.pipedrive.fault("status", method="PATCH", status=400)
    assert site.run().statuses["failed"] == 1
    time = site.pipedrive.lead(lead)["update_time"]
    site.pipedrive.set_lead(lead, **{SCORE: 7, "update_time": time})
    assert site.run().statuses["applied"] == 1


def test_a_refused_bringing_back_is_told_again_and_not_sent(site: Site) -> None:
    site.pipedrive.reset(leads=0, unarchive="never")
    site.pipedrive.set_lead(LEAD, title="As it is", is_archived=True)
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}
    site.desire(columns, [{"lead_id": LEAD, "title": "Wished", "is_archived": False}])
    for _ in range(3):
        assert site.run(unarchive=True).statuses["archived"] == 1
    assert sends(site) == 1
    told = [row for row in site.outcomes() if row["status"] == "archived"]
    assert [row["reason"].startswith("refused before") for row in told] == [False, True, True]
    site.pipedrive.settings(unarchive="alone")
    assert site.run(unarchive=True, retry_failed=True).statuses["applied"] == 2


def test_a_server_in_trouble_refuses_nothing(scene: Site) -> None:
    scene.pipedrive.fault("status", method="PATCH", status=503, times=1)
    scene.run(max_attempts=1)
    assert scene.run().statuses["applied"] == 1


def trimmed(site: Site) -> Raw | None:
    """Keeps the title trimmed, as Pipedrive may."""
    title = site.pipedrive.lead(LEAD)["title"]
    if title != title.strip():
        site.pipedrive.set_lead(LEAD, title=title.strip())
        body = {"success": True, "data": site.pipedrive.lead(LEAD)}
        return Raw(json.dumps(body).encode())
    return None


def run_trimming(site: Site, **given: Any) -> Summary:
    def after(method: str, _path: str) -> Raw | None:
        return trimmed(site) if method == "PATCH" else None

    with front_of(site.pipedrive.base_url, lambda *_: None, after=after) as url:
        return site.run(base_url=url, **given)


def test_what_is_kept_tidied_is_ignored_once_and_unchanged_from_then_on(scene: Site) -> None:
    wish(scene, "Trimmed  ")
    first = run_trimming(scene)
    assert (first.exit_code, first.statuses["ignored"]) == (3, 1)
    for _ in range(2):
        again = run_trimming(scene)
        assert (again.exit_code, again.unchanged, again.statuses.total()) == (0, 1, 0)
    assert sends(scene) == 1
    assert run_trimming(scene, retry_failed=True).statuses["ignored"] == 1
    assert sends(scene) == 2


def test_what_is_kept_tidied_does_not_keep_other_fields_from_being_sent(scene: Site) -> None:
    wish(scene, "Trimmed  ")
    run_trimming(scene)
    scene.query("UPDATE crm.lead_changes SET channel_id = '2'")
    again = run_trimming(scene)
    assert again.statuses["applied"] == 1
    assert scene.pipedrive.requests("PATCH")[-1]["body"] == {"channel_id": "2"}


def test_what_is_kept_tidied_is_not_sent_again_beside_what_changes_each_night(site: Site) -> None:
    leads = new_leads(site, 5, text_tidied="trim")
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}
    codes = []
    for night in range(1, 4):
        rows = [{"lead_id": lead, "title": "Wished ", "channel_id": f"{night}"} for lead in leads]
        site.desire(columns, rows)
        codes.append(site.run(breaker_failures=2).exit_code)
        assert site.run().unchanged == len(leads)
    nights: list[Row] = [{"title": "Wished ", "channel_id": "1"}]
    nights += [{"channel_id": "2"}, {"channel_id": "3"}]
    assert (codes, bodies(site.pipedrive)) == ([3, 0, 0], dict.fromkeys(leads, nights))
    reasons = {row["reason"] for row in site.outcomes() if row["status"] == "ignored"}
    assert reasons == {"in effect as Pipedrive tidies it: title"}


@pytest.mark.parametrize("cut_off", ["502", "kill"])
def test_what_is_tidied_is_no_persons_edit(site: Site, cut_off: str) -> None:
    with_one_wish(site, LEAD, text_tidied="trim")
    site.query("UPDATE crm.lead_changes SET title = 'Wished '")
    if cut_off == "kill":
        kill_in_effect(site, lambda: site.pipedrive.lead(LEAD)["title"] == "Wished")
    else:
        site.pipedrive.fault("status", method="PATCH", status=502, write=True)
        site.pipedrive.fault("status", method="GET", lead_id=LEAD, status=502)
        assert site.run(max_attempts=1).statuses["failed"] == 1
    assert [site.run().unchanged for _ in range(2)] == [1, 1]
    [*_, settled] = site.outcomes()
    assert (settled["status"], settled["took"]) == ("ignored", '["channel_id","title"]')
    assert bodies(site.pipedrive) == {LEAD: [{"title": "Wished ", "channel_id": "2"}]}


@pytest.mark.parametrize("arrives", [{"title": "Wished", "channel_id": "2"}, {"title": "Wished"}])
@pytest.mark.parametrize("found", ["at the list", "at the look"])
def test_what_is_tidied_is_remembered_whoever_finds_it(
    site: Site, arrives: Row, found: str
) -> None:
    with_one_wish(site, LEAD, text_tidied="trim")
    site.query("UPDATE crm.lead_changes SET title = 'Wished '")
    kill_unsent(site, on_conflict="crm", max_overwrites="off")
    if found == "at the list":
        site.pipedrive.set_lead(LEAD, **arrives)
    arriving = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, **arrives))
    with front_of(site.pipedrive.base_url, arriving) as url:
        site.run(base_url=url, on_conflict="crm")
    [row] = site.outcomes()
    assert (row["status"], sorted(json.loads(row["took"]))) == ("ignored", ["channel_id", "title"])
    assert row["reason"] == "in effect as Pipedrive tidies it: title"
    assert site.run(on_conflict="crm").unchanged == 1
    rest = {} if "channel_id" in arrives else {LEAD: [{"channel_id": "2"}]}
    assert bodies(site.pipedrive) == rest


def test_what_was_there_as_it_is_tidied_is_told_so_too(site: Site) -> None:
    with_one_wish(site, LEAD, text_tidied="trim")
    site.query("UPDATE crm.lead_changes SET title = 'As it was '")
    assert site.run().statuses["ignored"] == 1
    site.query("UPDATE crm.lead_changes SET channel_id = '3'")
    assert site.run().statuses["applied"] == 1
    assert site.run().unchanged == 1
    [first, _] = site.outcomes()
    assert (first["reason"], first["took"]) == (
        "in effect as Pipedrive tidies it: title",
        '["channel_id"]',
    )


def test_what_was_kept_tidied_is_sent_again_once_a_person_has_changed_it(scene: Site) -> None:
    wish(scene, "Trimmed  ")
    run_trimming(scene)
    scene.pipedrive.set_lead(LEAD, title="A person's")
    assert run_trimming(scene).statuses["ignored"] == 1


def test_a_wish_that_was_taken_after_all_is_written_again(scene: Site) -> None:
    scene.pipedrive.fault("ignore", method="PATCH")
    scene.run()
    assert scene.run(retry_failed=True).statuses["applied"] == 1
    scene.pipedrive.set_lead(LEAD, title="As it is")
    assert scene.run().statuses["applied"] == 1


def test_what_is_behind_an_ignored_change_is_not_sent_either(scene: Site) -> None:
    scene.pipedrive.archive_lead(LEAD)
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}
    scene.desire(columns, [{"lead_id": LEAD, "title": "New", "is_archived": False}])
    scene.pipedrive.fault("ignore", method="PATCH")
    scene.run(unarchive=True)
    before = sends(scene)
    assert scene.run(unarchive=True).unchanged == 1
    assert sends(scene) == before
