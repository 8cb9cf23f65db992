"""What the job has changed is told as its own, and what it has not is not: took, audit, revert."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.support.everything import KEY, LABEL
from tests.support.front import Raw, front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.scene import (
    assert_titles,
    desire,
    kill_in_effect,
    kill_unsent,
    new_leads,
    with_one_wish,
)

LEAD = lead_id("ours")
TIER, NOTES, COST = KEY["Tier"], KEY["Notes"], KEY["Deal cost"]
SCORE = KEY["Lead score"]


def put(site: Site, fields: Row | None = None, **sandbox: Any) -> None:
    site.pipedrive.reset(leads=0, **sandbox)
    site.pipedrive.set_lead(LEAD, **{"title": "Old", **(fields or {})})


def wish(site: Site, **cells: Any) -> None:
    kinds = {list: "VARCHAR[]", bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}
    columns = {name: kinds.get(type(value), "VARCHAR") for name, value in cells.items()}
    site.desire({"lead_id": "VARCHAR", **columns}, [{"lead_id": LEAD, **cells}])


def audited(site: Site) -> list[tuple[Any, ...]]:
    rows = site.query("SELECT * FROM pipedrive_leads.lead_field_changes ORDER BY changed_at")
    return [(row["run_id"], row["key"], row["old"], row["new"]) for row in rows]


def took(site: Site) -> list[Any]:
    return [json.loads(row["took"] or "null") for row in site.outcomes()]


# What Pipedrive keeps tidied


@pytest.mark.parametrize("end", ["killed", "502"])
def test_a_whole_number_that_a_person_sets_near_the_wish_is_not_ours(site: Site, end: str) -> None:
    put(site, {SCORE: 3000})
    wish(site, lead_score=5400.4)
    if end == "killed":
        sent = kill_unsent(site)
        site.pipedrive.set_lead(LEAD, **{SCORE: 5400})
    else:
        site.pipedrive.fault("status", method="PATCH", status=502)
        edit = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, **{SCORE: 5400}))
        with front_of(site.pipedrive.base_url, edit) as url:
            sent = site.run(base_url=url).run_id
    assert site.command("revert", sent, "--yes").code in (0, 3)
    assert site.pipedrive.lead(LEAD)[SCORE] == 5400
    assert (took(site)[-1], audited(site)) == ([], [])


def test_a_title_that_was_trimmed_is_told_and_taken_back(site: Site) -> None:
    put(site, text_tidied="trim")
    wish(site, title="New ")
    run = site.run()
    assert (run.statuses["ignored"], took(site)) == (1, [["title"]])
    assert audited(site) == [(run.run_id, "title", "Old", "New")]
    assert site.run().unchanged == 1
    site.revert(run.run_id)
    assert site.pipedrive.lead(LEAD)["title"] == "Old"


def test_the_next_wish_for_what_was_rounded_half_up_is_written(site: Site) -> None:
    put(site, {COST: 1, f"{COST}_currency": "EUR"})
    wish(site, deal_cost=1.0)
    site.run(on_conflict="crm")
    wish(site, deal_cost=0.125)
    site.pipedrive.fault("reshaped", method="PATCH", fields={COST: 0.13})
    assert site.run(on_conflict="crm").statuses["ignored"] == 1
    site.pipedrive.set_lead(LEAD, **{COST: 0.13})
    wish(site, deal_cost=5.0)
    assert site.run(on_conflict="crm").statuses["applied"] == 1


@pytest.mark.parametrize("blanks", [" ", "\n", " \t "])
def test_a_note_of_blanks_is_a_clear_for_the_guards(site: Site, blanks: str) -> None:
    put(site, {NOTES: "Call before noon"})
    wish(site, notes=blanks)
    assert site.run(max_clears=0, max_clears_percent=0).exit_code == 4
    site.run()
    assert bodies(site.pipedrive) == {LEAD: [{NOTES: None}]}


# A currency that Pipedrive adds to an amount


def test_an_amount_without_a_currency_is_taken_back(site: Site) -> None:
    put(site)
    wish(site, deal_cost=100)
    run = site.run()
    assert site.pipedrive.lead(LEAD)[f"{COST}_currency"]
    site.revert(run.run_id)
    assert site.pipedrive.lead(LEAD).get(COST) is None


@pytest.mark.parametrize("rule", ["crm", "fail"])
def test_a_currency_that_came_along_is_nobodys_edit(site: Site, rule: str) -> None:
    put(site)
    for amount in (100, 200, 300):
        wish(site, deal_cost=amount)
        assert site.run(on_conflict=rule).statuses["applied"] == 1
    site.pipedrive.set_lead(LEAD, **{f"{COST}_currency": "CHF"})
    wish(site, deal_cost=400)
    assert site.run(on_conflict=rule).statuses["conflict"] == 1


# Whose it was


@pytest.mark.parametrize("end", ["budget", "stop", "refused"])
def test_what_a_killed_run_did_is_its_own_where_the_next_adds_nothing(site: Site, end: str) -> None:
    with_one_wish(site, LEAD)
    killed = kill_in_effect(site, lambda: site.pipedrive.lead(LEAD)["title"] == "Wished")
    site.pipedrive.set_lead(LEAD, channel_id="1")
    stop = threading.Event()

    def progress(step: str, _done: int, _of: int | None) -> None:
        if step == "apply" and end == "stop":
            stop.set()

    if end == "refused":
        site.pipedrive.fault("status", method="PATCH", status=400)
    second = site.run(
        stop=stop, progress=progress, **{"token_budget": 50} if end == "budget" else {}
    )
    [row] = site.outcomes()
    assert (row["run_id"], row["settled_by"], took(site)) == (killed, second.run_id, [["title"]])
    assert [run_id for run_id, *_ in audited(site)] == [killed]
    [change] = site.query("SELECT * FROM pipedrive_leads.lead_field_changes")
    first, *_ = site.runs()
    assert change["changed_at"] == row["sent_at"] == first["sends_at"] < second.started_at
    site.revert(killed)
    assert site.pipedrive.lead(LEAD)["title"] != "Wished"


@pytest.mark.parametrize(
    ("arrives", "status", "sent", "taken"),
    [
        ({"title": "Wished", "channel_id": "2"}, "confirmed", [], ["title", "channel_id"]),
        ({"title": "Wished"}, "applied", [{"channel_id": "2"}], ["title", "channel_id"]),
        ({"title": "Wished", "channel_id": "3"}, "conflict", [], ["title"]),
    ],
)
def test_a_patch_of_a_killed_run_that_arrives_before_the_fresh_look_is_its_own(
    site: Site, arrives: Row, status: str, sent: list[Row], taken: list[str]
) -> None:
    with_one_wish(site, LEAD)
    killed = kill_unsent(site, on_conflict="crm", max_overwrites="off")
    arriving = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, **arrives))
    with front_of(site.pipedrive.base_url, arriving) as url:
        second = site.run(base_url=url, on_conflict="crm")
    [row] = site.outcomes()
    assert row["status"] == status
    assert bodies(site.pipedrive).get(LEAD, []) == sent
    assert (row["run_id"], took(site)) == (second.run_id if sent else killed, [taken])
    site.revert(row["run_id"])
    assert site.pipedrive.lead(LEAD)["title"] == "As it was"


def test_what_a_killed_run_had_not_come_to_is_not_its_own(site: Site) -> None:
    leads = new_leads(site, 6)
    titles = desire(site, leads)
    killed = kill_unsent(site, workers=1, chunk_size=1)
    [run] = site.runs()
    planned = site.query("SELECT * FROM pipedrive_leads.lead_patches ORDER BY patch_id")
    assert run["sends_until"] in [row["patch_id"] for row in planned[:2]]
    last = planned[-1]["lead_id"]
    site.pipedrive.set_lead(last, title=titles[last])
    second = site.run()
    [row] = [row for row in site.outcomes() if row["lead_id"] == last]
    assert (row["status"], row["run_id"], row["took"]) == ("confirmed", second.run_id, "[]")
    assert killed not in [run_id for run_id, *_ in audited(site)]
    assert site.command("revert", killed, "--yes").code == 1
    assert_titles(site, titles)


def test_a_change_of_a_killed_run_that_was_not_readable_at_first_has_its_date(site: Site) -> None:
    with_one_wish(site, LEAD)
    killed = kill_in_effect(site, lambda: site.pipedrive.lead(LEAD)["title"] == "Wished")
    [first] = site.runs()

    def refuse(method: str, path: str) -> Raw | None:
        return Raw(b'{"success":false}', status=400) if method == "GET" and LEAD in path else None

    with front_of(site.pipedrive.base_url, refuse) as url:
        site.command("revert", killed, "--yes", base_url=url)
    assert took(site) == [None]
    assert site.run().exit_code == 0
    changes = site.query("SELECT * FROM pipedrive_leads.lead_field_changes")
    assert [row["changed_at"] for row in changes] == [first["sends_at"]] * 2


@pytest.mark.parametrize("answer", ["refused", "not taken"])
def test_what_is_refused_was_sent_by_the_run_that_was_told_so(site: Site, answer: str) -> None:
    with_one_wish(site, LEAD)
    kill_unsent(site)
    if answer == "refused":
        site.pipedrive.fault("status", method="PATCH", status=400)
    else:
        site.pipedrive.fault("reshaped", method="PATCH", fields={"title": "As it was"})
    second = site.run()
    [row] = site.outcomes()
    assert (row["run_id"], row["settled_by"]) == (second.run_id, None)
    assert row["attempts"] == 1
    assert row["sent_at"] > second.started_at


def test_what_was_seen_in_effect_is_not_forgotten_in_a_later_doubt(site: Site) -> None:
    with_one_wish(site, LEAD)
    site.pipedrive.fault("status", method="PATCH", status=502, write=True)
    site.pipedrive.fault("status", method="PATCH", status=502)
    set_back = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, channel_id="1"))
    with front_of(site.pipedrive.base_url, set_back) as url:
        first = site.run(base_url=url, max_attempts=2)
    assert took(site) == [None]
    site.pipedrive.set_lead(LEAD, title="Theirs")
    site.run()
    settled = next(row for row in site.outcomes() if row["settled_by"])
    assert (settled["run_id"], json.loads(settled["took"])) == (first.run_id, ["title"])


def test_nothing_is_sent_to_an_archived_lead_that_a_person_has_edited(site: Site) -> None:
    put(site, {"is_archived": True})
    wish(site, title="Old", is_archived=True)
    site.run(on_conflict="fail")
    wish(site, title="New", is_archived=False)
    looks: list[str] = []

    def look(method: str, path: str) -> None:
        if method == "GET" and LEAD in path:
            looks.append(path)
            if len(looks) == 2:  # the first is of the archive, the second before the PATCH
                site.pipedrive.set_lead(LEAD, title="Theirs")

    with front_of(site.pipedrive.base_url, look) as url:
        done = site.run(base_url=url, on_conflict="fail", unarchive=True)
    assert (done.statuses["conflict"], bodies(site.pipedrive)) == (1, {})


# The spelling of options


def test_a_doubt_about_the_second_spelling_is_settled(site: Site) -> None:
    put(site, {TIER: "191"})
    wish(site, tier="Gold")
    for status in (400, 502, 400):
        site.pipedrive.fault("status", method="PATCH", status=status)
    site.run()
    assert took(site) == [None]
    site.pipedrive.set_lead(LEAD, **{TIER: "190"})  # the PATCH without an answer arrives late
    site.run()
    assert [TIER] in took(site)


def test_a_refusal_in_both_spellings_counts_both(site: Site) -> None:
    put(site, {TIER: "190"}, enum_write="any")
    wish(site, tier="Silver")
    site.pipedrive.fault("status", method="PATCH", status=400, times=2)
    site.run()
    [row] = site.outcomes()
    assert row["attempts"] == len(site.pipedrive.requests("PATCH")) == 2
    assert row["tokens"] == sum(
        call["tokens"] for call in site.pipedrive.requests() if call["lead_id"]
    )


# What both sides agree on


@pytest.mark.parametrize("field", ["tier", "labels"])
def test_what_a_look_finds_so_already_is_agreed_on(site: Site, field: str) -> None:
    [one, other, third] = list(LABEL)[:3]
    if field == "tier":
        put(site, {TIER: "191"})
        wishes: list[Any] = ["Silver", "Gold", "Bronze"]
        theirs: Row = {TIER: "190"}
    else:
        put(site, {"label_ids": [LABEL[one]]})
        wishes, theirs = [[one], [one, other], [third]], {"label_ids": [LABEL[other], LABEL[one]]}
    wish(site, **{field: wishes[0]})
    assert site.run(on_conflict="crm").unchanged == 1
    wish(site, **{field: wishes[1]})
    edit = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, **theirs))
    with front_of(site.pipedrive.base_url, edit) as url:
        assert site.run(base_url=url, on_conflict="crm").statuses["confirmed"] == 1
    wish(site, **{field: wishes[2]})
    assert site.run(on_conflict="crm").statuses["applied"] == 1
