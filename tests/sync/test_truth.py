"""What is true of each field after a doubt, a kill, a refusal, a plan: the scenes of `took`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connector.sync import sending
from connector.sync.summary import Summary
from tests.support.front import Raw, front_of, once
from tests.support.harness import Row, Site, bodies, ended_at_last, lead_id, wait_until
from tests.support.scene import BEFORE, WISH, kill_in_effect, with_one_wish

LEAD = lead_id("truth")
THEIRS = "77"
QUICK = {"max_attempts": 2, "timeout_seconds": 5.0}
BOTH = ["title", "channel_id"]


@pytest.fixture
def scene(site: Site) -> Site:
    return with_one_wish(site, LEAD)


def edit(site: Site, **fields: Any) -> None:
    site.pipedrive.set_lead(LEAD, **fields)


def run_with_edit(site: Site, call: str, do: Callable[[], object], **given: Any) -> Summary:
    """Run, and let a person do something before the first call of a kind for the lead."""
    with front_of(site.pipedrive.base_url, once(LEAD, do, call)) as url:
        return site.run(base_url=url, **{**QUICK, **given})


def in_doubt(site: Site, times: int = 1, **options: Any) -> None:
    site.pipedrive.fault("status", method="PATCH", status=502, times=times, **options)


def told(site: Site) -> list[tuple[str, Any]]:
    """Status and `took` of each row of outcomes, oldest first."""
    return [(row["status"], took_of(row)) for row in site.outcomes() if row["patch_id"]]


def took_of(row: Row) -> Any:
    return None if row["took"] is None else json.loads(row["took"])


def changes(site: Site) -> dict[tuple[str, str], tuple[Any, Any]]:
    """What the audit says: by lead and key the old and the new value, in the order of time."""
    rows = site.query(
        "SELECT * FROM pipedrive_leads.lead_field_changes ORDER BY changed_at, patch_id"
    )
    return {(row["run_id"], row["key"]): (row["old"], row["new"]) for row in rows}


def shown(site: Site) -> Row:
    lead = site.pipedrive.lead(LEAD)
    return {key: lead[key] for key in BEFORE}


def test_in_doubt_only_what_is_untouched_is_sent_again(scene: Site) -> None:
    in_doubt(scene)
    summary = run_with_edit(scene, "GET", lambda: edit(scene, title=WISH["title"]))
    assert summary.exit_code == 0
    assert bodies(scene.pipedrive)[LEAD] == [WISH, {"channel_id": "2"}]
    assert told(scene) == [("applied", BOTH)]


def test_in_doubt_what_a_person_changed_is_not_sent_over(scene: Site) -> None:
    in_doubt(scene, write=True)
    summary = run_with_edit(scene, "GET", lambda: edit(scene, channel_id=THEIRS))
    assert summary.exit_code == 3
    assert bodies(scene.pipedrive)[LEAD] == [WISH]
    assert shown(scene) == {"title": "Wished", "channel_id": THEIRS}
    assert told(scene) == [("conflict", ["title"])]


def test_in_doubt_with_nothing_shown_and_a_persons_value_is_not_known(scene: Site) -> None:
    in_doubt(scene)
    run_with_edit(scene, "GET", lambda: edit(scene, channel_id=THEIRS))
    assert shown(scene) == {"title": "As it was", "channel_id": THEIRS}
    assert told(scene) == [("conflict", None)]
    scene.plan()
    assert told(scene) == [("conflict", None), ("conflict", [])]


def test_a_doubt_at_the_end_is_settled_by_one_row_of_a_later_run(scene: Site) -> None:
    in_doubt(scene, times=2)
    first = scene.run(**QUICK)
    assert first.exit_code == 3
    assert told(scene) == [("failed", None)]
    second = scene.run(**QUICK)
    assert second.exit_code == 0
    assert told(scene) == [("failed", None), ("failed", []), ("applied", BOTH)]
    settled = scene.outcomes()[1]
    assert (settled["run_id"], settled["settled_by"]) == (first.run_id, second.run_id)
    assert second.statuses["failed"] == 0
    scene.run()
    assert len(told(scene)) == 3


def test_a_lead_that_a_person_edited_after_a_doubt_is_told_by_the_run_that_leaves_it(
    scene: Site,
) -> None:
    in_doubt(scene, times=2)
    scene.run(**QUICK)
    edit(scene, title="Theirs")
    left = scene.run(**QUICK)
    assert (left.exit_code, left.statuses["conflict"], left.unchanged) == (3, 1, 0)
    assert told(scene) == [("failed", None), ("conflict", [])]
    assert "Theirs" in str(left.missed.first[0].reason)
    assert shown(scene) == {**BEFORE, "title": "Theirs"}
    assert scene.run(**QUICK).exit_code == 0
    assert shown(scene) == WISH


@pytest.mark.parametrize("command", ["run", "plan", "revert"])
def test_what_took_effect_late_is_the_first_runs(scene: Site, command: str) -> None:
    in_doubt(scene, times=2)
    first = scene.run(**QUICK)
    edit(scene, **WISH)  # the PATCH that had no answer arrives
    calls: dict[str, Callable[[], Summary]] = {
        "run": scene.run,
        "plan": scene.plan,
        "revert": lambda: scene.revert(first.run_id),
    }
    later = calls[command]()
    assert later.exit_code == 0
    rows = [row for row in scene.outcomes() if row["run_id"] == first.run_id]
    assert [took_of(row) for row in rows] == [None, BOTH]
    assert rows[1]["status"] == "confirmed"
    assert changes(scene)[(first.run_id, "title")] == ("As it was", "Wished")
    assert shown(scene) == (BEFORE if command == "revert" else WISH)


def test_what_a_200_does_not_show_is_ignored_and_the_rest_is_taken(scene: Site) -> None:
    scene.pipedrive.fault("reshaped", method="PATCH", fields={"channel_id": "1"})
    assert scene.run().exit_code == 3
    assert told(scene) == [("ignored", ["title"])]


def test_a_refused_patch_took_nothing_and_its_revert_leaves_a_persons_work(scene: Site) -> None:
    scene.pipedrive.fault("status", method="PATCH", status=400, body={"success": False})
    run = scene.run()
    assert told(scene) == [("failed", [])]
    edit(scene, **WISH)
    ended = scene.command("revert", run.run_id, "--yes")
    assert ended.code == 1
    assert "has sent nothing that could be taken back" in ended.told
    assert shown(scene) == WISH


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (WISH, ("confirmed", [])),
        ({"title": WISH["title"]}, ("failed", [])),
        ({"title": WISH["title"], "channel_id": THEIRS}, ("failed", [])),
    ],
    ids=["all of it", "a part", "a part, and something else"],
)
def test_what_a_person_does_while_a_patch_is_refused_is_not_taken_for_ours(
    scene: Site, theirs: Row, expected: tuple[str, Any]
) -> None:
    scene.pipedrive.fault("status", method="PATCH", status=400, body={"success": False})
    run = run_with_edit(scene, "PATCH", lambda: edit(scene, **theirs))
    assert told(scene) == [expected]
    assert not changes(scene)
    made = shown(scene)
    ended = scene.command("revert", run.run_id, "--yes")
    assert "has sent nothing that could be taken back" in ended.told
    assert shown(scene) == made


def test_a_refusal_takes_nothing_though_the_lead_cannot_be_read(scene: Site) -> None:
    scene.pipedrive.fault("status", method="PATCH", status=400, body={"success": False})
    scene.pipedrive.fault("status", method="GET", route="leads/{id}", status=403)
    run = scene.run(**QUICK)
    edit(scene, **WISH)
    scene.plan()
    assert told(scene) == [("failed", [])]
    assert "has sent nothing" in scene.command("revert", run.run_id, "--yes").told
    assert shown(scene) == WISH


def test_what_had_no_answer_is_ours_though_it_is_refused_the_second_time(scene: Site) -> None:
    patches: list[str] = []

    def look(method: str, _path: str) -> Raw | None:
        if method != "PATCH":
            return None
        patches.append(method)
        if len(patches) == 1:
            return Raw(b"", 502)
        edit(scene, **WISH)  # the first one, which comes late
        return Raw(b'{"success": false}', 400)

    with front_of(scene.pipedrive.base_url, look) as url:
        scene.run(base_url=url, **QUICK)
    assert told(scene) == [("confirmed", BOTH)]


def test_a_patch_that_has_archived_its_lead_says_so_of_what_is_left(scene: Site) -> None:
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}
    scene.desire(columns, [{"lead_id": LEAD, "title": "Wished", "is_archived": True}])
    patches: list[str] = []

    def look(method: str, _path: str) -> Raw | None:
        if method != "PATCH" or patches:
            return None
        patches.append(method)
        scene.pipedrive.archive_lead(LEAD)  # a part of it takes effect
        return Raw(b"", 502)

    with front_of(scene.pipedrive.base_url, look) as url:
        scene.run(base_url=url, **QUICK)
    assert told(scene) == [("archived", ["is_archived"])]
    assert "archived by this patch itself" in scene.outcomes()[0]["reason"]


def killed_in_effect(site: Site) -> str:
    """Kill a run once both fields are as wished; return it."""
    return kill_in_effect(site, lambda: shown(site) == WISH)


@pytest.mark.parametrize("command", ["run", "plan", "apply", "revert"])
def test_what_a_killed_run_did_is_told_as_its_own(scene: Site, command: str) -> None:
    stored = scene.plan().plan_id
    killed = killed_in_effect(scene)
    calls: dict[str, Callable[[], Summary]] = {
        "run": scene.run,
        "plan": scene.plan,
        "apply": lambda: scene.apply(stored),
        "revert": lambda: scene.revert(killed),
    }
    later = calls[command]()
    assert later.exit_code == 0
    row = next(row for row in scene.outcomes() if row["run_id"] == killed)
    assert (row["status"], took_of(row)) == ("confirmed", BOTH)
    assert row["settled_by"] in {run["run_id"] for run in scene.runs()} - {killed}
    assert changes(scene)[(killed, "title")] == ("As it was", "Wished")
    assert [took for _, took in told(scene)].count(BOTH) == (2 if command == "revert" else 1)
    assert shown(scene) == (BEFORE if command == "revert" else WISH)


@pytest.mark.parametrize("policy", ["warehouse", "crm"])
@pytest.mark.parametrize("steps", [["run"], ["plan", "apply", "run"]])
def test_a_persons_edit_after_a_kill_stays_and_the_rest_is_told(
    scene: Site, policy: str, steps: list[str]
) -> None:
    killed = killed_in_effect(scene)
    edit(scene, channel_id=THEIRS)
    first = scene.plan(on_conflict=policy) if steps[0] == "plan" else scene.run(on_conflict=policy)
    row = next(row for row in scene.outcomes() if row["run_id"] == killed)
    assert (row["status"], took_of(row)) == ("conflict", ["title"])
    assert shown(scene) == {"title": "Wished", "channel_id": THEIRS}
    assert first.statuses["conflict"] >= 1
    assert list(changes(scene)) == [(killed, "title")]
    if policy == "crm" and len(steps) > 1:
        scene.run(on_conflict=policy)
        assert shown(scene) == {"title": "Wished", "channel_id": THEIRS}


def test_a_killed_run_that_did_a_part_is_taken_back_and_not_finished(site: Site) -> None:
    leads = [lead_id(f"part {number}") for number in range(8)]
    site.pipedrive.reset(leads=0, latency_ms=100)
    for lead in leads:
        site.pipedrive.set_lead(lead, title="As it was")
    site.desire_titles(dict.fromkeys(leads, "Wrong"))
    process = site.start("run", workers=1)
    with ended_at_last(process):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= 3, "no PATCH was sent")
        process.kill()
        process.communicate()
    site.pipedrive.settings(latency_ms=0)
    killed = site.last_run()["run_id"]
    assert site.revert(killed).exit_code == 0
    assert {lead["title"] for lead in site.pipedrive.leads().values()} == {"As it was"}
    assert all(count == 1 for count in site.outcomes_of_patches())
    site.desire_titles({})
    sent = len(site.pipedrive.requests("PATCH"))
    site.run(empty_desired="allow")
    assert len(site.pipedrive.requests("PATCH")) == sent


def test_a_run_that_archived_under_a_doubt_is_taken_back(scene: Site) -> None:
    columns = {"lead_id": "VARCHAR", "is_archived": "BOOLEAN"}
    scene.desire(columns, [{"lead_id": LEAD, "is_archived": True}])
    in_doubt(scene, times=2, write=True)
    scene.pipedrive.fault("status", method="GET", route="leads/{id}", status=502, times=9)
    run = scene.run(**QUICK)
    assert told(scene) == [("failed", None)]
    scene.pipedrive.clear_faults()
    assert scene.revert(run.run_id).exit_code == 0
    assert scene.pipedrive.lead(LEAD)["is_archived"] is False


def test_of_a_stored_plan_what_is_already_so_is_not_sent(scene: Site) -> None:
    stored = scene.plan().plan_id
    edit(scene, title=WISH["title"])
    assert scene.apply(stored).exit_code == 0
    assert bodies(scene.pipedrive)[LEAD] == [{"channel_id": "2"}]
    assert told(scene) == [("applied", ["channel_id"])]
    scene.revert(scene.last_run()["run_id"])
    assert shown(scene) == {"title": "Wished", "channel_id": "1"}


def test_of_a_stored_plan_nothing_is_sent_to_a_lead_that_a_person_changed(scene: Site) -> None:
    stored = scene.plan().plan_id
    edit(scene, title="Somebody's")
    assert scene.apply(stored).exit_code == 3
    assert LEAD not in bodies(scene.pipedrive)
    assert told(scene) == [("conflict", [])]


def test_a_stored_plan_in_doubt_does_not_go_over_a_persons_value(scene: Site) -> None:
    stored = scene.plan().plan_id
    in_doubt(scene, write=True)
    waiting = [lambda: edit(scene, channel_id=THEIRS)]

    def look(method: str, path: str) -> Raw | None:
        if waiting and method == "GET" and LEAD in path and bodies(scene.pipedrive).get(LEAD):
            waiting.pop()()
        return None

    with front_of(scene.pipedrive.base_url, look) as url:
        summary = scene.apply(stored, base_url=url, **QUICK)
    assert summary.exit_code == 3
    assert shown(scene) == {"title": "Wished", "channel_id": THEIRS}
    assert told(scene) == [("conflict", ["title"])]


def test_an_outcome_is_written_once(scene: Site) -> None:
    scene.run()
    [row] = scene.outcomes()
    assert row["status"] == "applied"
    assert (row["settled_by"], took_of(row)) == (None, BOTH)


class CutOff(BaseException):
    """Ends a run where a kill would."""


def run_cut_off_before_it_sends(site: Site) -> None:
    def cut_off(*_given: Any) -> None:
        raise CutOff

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sending, "begin_sending", cut_off)
        with pytest.raises(CutOff):
            site.run()


def test_what_was_never_sent_is_not_the_runs_though_a_person_did_the_same(scene: Site) -> None:
    run_cut_off_before_it_sends(scene)
    [first] = scene.runs()
    edit(scene, **WISH)
    second = scene.run()
    assert second.exit_code == 0
    [row] = scene.outcomes()
    assert (row["status"], took_of(row)) == ("confirmed", [])
    assert (row["run_id"], row["settled_by"]) == (second.run_id, None)
    ended = scene.command("revert", first["run_id"], "--yes")
    assert "has sent nothing that could be taken back" in ended.told
    assert shown(scene) == WISH


def test_a_run_notes_whose_patches_it_sends(scene: Site) -> None:
    run_cut_off_before_it_sends(scene)
    second = scene.run()
    assert told(scene) == [("applied", BOTH)]
    third = scene.run()
    first, *later = scene.runs()
    noted = {row["run_id"]: (bool(row["sends_from"]), row["sends_plans"]) for row in later}
    assert noted == {second.run_id: (True, first["run_id"]), third.run_id: (False, None)}
