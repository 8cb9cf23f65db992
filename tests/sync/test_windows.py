"""What a person does between a look and its PATCH, or between two runs, stays theirs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS
from connector.sync.summary import Summary
from tests.support.front import Raw, front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import COLD, HOT, WARM
from tests.support.scene import kill_in_effect

LEAD, OTHER = lead_id("window"), lead_id("other window")
TOO_MANY = Raw(b'{"success": false, "error": "too many"}', 429)
COST = CUSTOM_FIELDS["Deal cost"]
CURRENCY = f"{COST}_currency"


def put(site: Site, **fields: Any) -> None:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, **{"title": "T", **fields})


def limited_once(site: Site, edit: Row, call: Callable[..., Summary], **given: Any) -> Summary:
    """Answer the first PATCH by a 429, and let a person edit the lead meanwhile."""
    waiting = [edit]

    def look(method: str, _path: str) -> Raw | None:
        if method != "PATCH" or not waiting:
            return None
        site.pipedrive.set_lead(LEAD, **waiting.pop())
        return TOO_MANY

    with front_of(site.pipedrive.base_url, look) as url:
        return call(base_url=url, **given)


def test_after_a_429_a_label_that_a_person_added_stays(site: Site) -> None:
    first, second, third = HOT, WARM, COLD
    put(site, label_ids=[first])
    wish = {"lead_id": LEAD, "add_labels": second}
    site.desire({"lead_id": "VARCHAR", "add_labels": "VARCHAR"}, [wish])
    limited_once(site, {"label_ids": [first, third]}, site.run)
    assert set(site.pipedrive.lead(LEAD)["label_ids"]) == {first, second, third}


def test_after_a_429_an_edit_wins_where_edits_win(site: Site) -> None:
    put(site)
    site.desire_titles({LEAD: "Ours"})
    limited_once(site, {"title": "Theirs"}, site.run, on_conflict="crm")
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"


def test_after_a_429_a_stored_plan_goes_over_no_edit(site: Site) -> None:
    put(site)
    site.desire_titles({LEAD: "Ours"})
    plan_id = site.plan().plan_id
    limited_once(site, {"title": "Theirs"}, lambda **given: site.apply(plan_id, **given))
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"


def test_after_a_doubt_and_a_429_nothing_goes_over_an_edit(site: Site) -> None:
    put(site)
    site.desire_titles({LEAD: "Ours"})

    def edited() -> Raw:
        site.pipedrive.set_lead(LEAD, title="Theirs")
        return TOO_MANY

    answers = [lambda: Raw(b"bad gateway", 502, "text/plain"), edited]

    def look(method: str, _path: str) -> Raw | None:
        return answers.pop(0)() if method == "PATCH" and answers else None

    with front_of(site.pipedrive.base_url, look) as url:
        site.run(base_url=url)
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"


def test_a_revert_goes_over_no_edit_made_while_it_sends(site: Site) -> None:
    put(site)
    site.pipedrive.set_lead(OTHER, title="T")
    site.desire_titles({LEAD: "Ours", OTHER: "Ours"})
    run = site.run()
    sent: list[str] = []

    def look(method: str, path: str) -> Raw | None:
        if method == "PATCH" and not sent:
            sent.append(path)
            site.pipedrive.set_lead(OTHER if LEAD in path else LEAD, title="Theirs")
        return None

    with front_of(site.pipedrive.base_url, look) as url:
        site.revert(run.run_id, base_url=url, workers=1)
    titles = sorted(site.pipedrive.lead(one)["title"] for one in (LEAD, OTHER))
    assert titles == ["T", "Theirs"]


@pytest.fixture
def cost(site: Site) -> Site:
    """A lead that costs 50 EUR, and a row that wants 100 EUR."""
    put(site, **{COST: 50, CURRENCY: "EUR"})
    columns = {"lead_id": "VARCHAR", "deal_cost": "INTEGER", "deal_cost_currency": "VARCHAR"}
    site.desire(columns, [{"lead_id": LEAD, "deal_cost": 100, "deal_cost_currency": "EUR"}])
    return site


def cost_of(site: Site) -> tuple[Any, Any]:
    lead = site.pipedrive.lead(LEAD)
    return lead[COST], lead[CURRENCY]


def test_a_stored_plan_of_an_amount_is_overtaken_by_its_currency(cost: Site) -> None:
    plan_id = cost.plan().plan_id
    cost.pipedrive.set_lead(LEAD, **{CURRENCY: "GBP"})
    assert cost.apply(plan_id).statuses["conflict"] == 1
    assert cost_of(cost) == (50, "GBP")


def test_an_edit_of_the_currency_alone_is_an_edit_of_the_amount(cost: Site) -> None:
    def edit() -> None:
        cost.pipedrive.set_lead(LEAD, **{CURRENCY: "GBP"})

    with front_of(cost.pipedrive.base_url, once(LEAD, edit, None)) as url:
        cost.run(base_url=url, on_conflict="crm")
    assert cost_of(cost) == (50, "GBP")


def test_an_amount_whose_currency_was_changed_since_is_not_taken_back(cost: Site) -> None:
    run = cost.run()
    cost.pipedrive.set_lead(LEAD, **{CURRENCY: "GBP"})
    cost.revert(run.run_id)
    assert cost_of(cost) == (100, "GBP")


def test_what_took_effect_in_part_is_told_where_the_rest_is_deferred(site: Site) -> None:
    put(site, channel_id="1")
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}
    site.desire(columns, [{"lead_id": LEAD, "title": "New", "channel_id": "2"}])
    kill_in_effect(site, lambda: site.pipedrive.lead(LEAD)["title"] == "New")
    site.pipedrive.set_lead(LEAD, channel_id="1")
    stop = threading.Event()

    def progress(step: str, _done: int, _total: int | None) -> None:
        if step == "apply":
            stop.set()

    site.run(stop=stop, progress=progress)
    took = [key for row in site.outcomes() for key in json.loads(row["took"] or "[]")]
    assert took == ["title"]
    assert bodies(site.pipedrive)[LEAD] == [{"title": "New", "channel_id": "2"}]
