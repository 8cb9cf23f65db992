"""Option ids as numbers or as text: found out by one lead, kept, and planned from then on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS
from tests.support.front import front_of, once
from tests.support.harness import Site, bodies, lead_id

TIER = CUSTOM_FIELDS["Tier"]
LEADS = [lead_id(f"spelling {number}") for number in range(6)]
REFUSED = {"success": False, "error": "no", "error_info": ""}


@pytest.fixture
def tiers(site: Site) -> Site:
    site.pipedrive.reset(leads=0)
    for lead in LEADS:
        site.pipedrive.set_lead(lead, title="As it is", **{TIER: "190"})
    wish(site, 191)
    return site


def wish(site: Site, tier: int) -> None:
    columns = {"lead_id": "VARCHAR", "tier": "INTEGER"}
    site.desire(columns, [{"lead_id": lead, "tier": tier} for lead in LEADS])


def sent(site: Site) -> list[Any]:
    return [body[TIER] for of_lead in bodies(site.pipedrive).values() for body in of_lead]


def planned(site: Site) -> list[Any]:
    rows = site.query("SELECT body FROM pipedrive_leads.lead_patches ORDER BY patch_id")
    return [json.loads(row["body"])[TIER] for row in rows]


@pytest.mark.parametrize(("form", "spelled"), [("int", 191), ("string", "191"), ("any", 191)])
def test_the_spelling_is_found_out_once_and_kept(tiers: Site, form: str, spelled: Any) -> None:
    tiers.pipedrive.settings(enum_write=form)
    assert tiers.run().statuses["applied"] == len(LEADS)
    wrong = [191] if form == "string" else []
    assert sorted(map(repr, sent(tiers))) == sorted(map(repr, wrong + [spelled] * len(LEADS)))
    assert planned(tiers) == [spelled] * len(LEADS)
    tiers.pipedrive.clear_requests()
    wish(tiers, 192)
    assert tiers.run().statuses["applied"] == len(LEADS)
    again = type(spelled)(192)
    assert sent(tiers) == [again] * len(LEADS)
    assert planned(tiers)[-len(LEADS) :] == [again] * len(LEADS)


def test_once_it_is_known_a_refused_lead_is_sent_once(tiers: Site) -> None:
    tiers.run()
    tiers.pipedrive.clear_requests()
    wish(tiers, 192)
    tiers.pipedrive.fault("status", method="PATCH", status=400, body=REFUSED, times=99)
    assert tiers.run().statuses["failed"] == len(LEADS)
    assert len(tiers.pipedrive.requests("PATCH")) == len(LEADS)


def test_what_a_person_sets_meanwhile_proves_no_spelling(tiers: Site) -> None:
    """The lead that finds it out is refused as a number, and shows the wish nevertheless."""
    tiers.pipedrive.settings(enum_write="string")
    first = LEADS[0]

    def edit() -> None:
        tiers.pipedrive.set_lead(first, **{TIER: "191"})

    with front_of(tiers.pipedrive.base_url, once(first, edit, "PATCH")) as url:
        tiers.run(base_url=url, workers=1, lead=first)
    tiers.pipedrive.clear_requests()
    assert tiers.run().statuses["applied"] == len(LEADS) - 1
    assert sent(tiers).count(191) == 1


def test_no_other_spelling_goes_over_what_the_answer_shows_of_a_person(tiers: Site) -> None:
    first = LEADS[0]
    tiers.pipedrive.fault("ignore", method="PATCH")

    def edit() -> None:
        tiers.pipedrive.set_lead(first, **{TIER: "192"})

    with front_of(tiers.pipedrive.base_url, once(first, edit, "PATCH")) as url:
        assert tiers.run(base_url=url, lead=first).statuses["ignored"] == 1
    assert (tiers.pipedrive.lead(first)[TIER], sent(tiers)) == ("192", [191])


def test_what_is_refused_for_another_reason_is_tried_twice_with_one_lead_alone(
    tiers: Site,
) -> None:
    tiers.pipedrive.fault("status", method="PATCH", status=400, body=REFUSED, times=99)
    assert tiers.run().statuses["failed"] == len(LEADS)
    assert len(tiers.pipedrive.requests("PATCH")) == len(LEADS) + 1


def test_a_stored_plan_of_before_it_was_known_goes_out_as_the_account_takes_it(
    tiers: Site,
) -> None:
    tiers.pipedrive.settings(enum_write="string")
    stored = tiers.plan().plan_id
    one = LEADS[0]
    tiers.run(lead=one)
    tiers.pipedrive.clear_requests()
    assert tiers.apply(stored).exit_code == 0
    assert sent(tiers) == ["191"] * (len(LEADS) - 1)


def test_what_is_ignored_of_another_field_is_not_sent_in_another_spelling(site: Site) -> None:
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEADS[0], title="As it is")
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "tier": "VARCHAR"}
    site.desire(columns, [{"lead_id": LEADS[0], "title": "Wished", "tier": "Gold"}])
    site.pipedrive.fault("reshaped", method="PATCH", fields={"title": "Tidied"})
    assert site.run().statuses["ignored"] == 1
    assert len(bodies(site.pipedrive)[LEADS[0]]) == 1
