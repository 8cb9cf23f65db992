"""Leads that the list does not show are looked up, by the cheaper of two ways."""

from __future__ import annotations

import pytest

from tests.harness import Site, bodies, lead_id


@pytest.fixture
def archived(site: Site) -> list[str]:
    """The leads of the site, all but the first ten archived."""
    leads = list(site.pipedrive.leads())
    for lead in leads[10:]:
        site.pipedrive.archive_lead(lead)
    return leads[10:]


def reads(site: Site) -> list[str]:
    return [row["path"].removeprefix("/api/v1/") for row in site.pipedrive.requests("GET")]


def test_few_leads_are_asked_for_one_by_one(site: Site, archived: list[str]) -> None:
    listed = next(iter(site.pipedrive.leads()))
    unlisted = [*archived[:2], lead_id("unknown")]
    site.desire_titles(dict.fromkeys((listed, *unlisted), "New"))
    summary = site.run()
    assert sorted(reads(site)) == sorted(["leads", *(f"leads/{lead}" for lead in unlisted)])
    assert summary.statuses["archived"] == 2
    assert summary.statuses["not_found"] == 1
    assert list(bodies(site.pipedrive)) == [listed]
    assert summary.leads_read == 10 + 2
    mirror = site.mirror()
    assert [(mirror[lead]["is_archived"], mirror[lead]["gone_at"]) for lead in unlisted[:2]] == [
        (True, None)
    ] * 2


def test_many_leads_are_read_from_the_archived_list(site: Site, archived: list[str]) -> None:
    unknown = lead_id("unknown")
    wanted = archived[:25]
    titles = {lead: site.pipedrive.lead(lead)["title"] for lead in wanted[:5]}
    site.desire_titles(dict.fromkeys((*wanted, unknown), "New") | titles)
    summary = site.run()
    assert reads(site) == ["leads", "leads/archived", f"leads/{unknown}"]
    assert summary.unchanged == 5
    assert (summary.statuses["archived"], summary.statuses["not_found"]) == (20, 1)
    assert bodies(site.pipedrive) == {}


def test_a_lead_that_cannot_be_read_fails_alone(site: Site, archived: list[str]) -> None:
    unreadable, other = archived[:2]
    listed = next(iter(site.pipedrive.leads()))
    site.desire_titles(dict.fromkeys((listed, unreadable, other), "New"))
    site.pipedrive.fault("status", status=500, method="GET", lead_id=unreadable, times=100)
    assert site.run(max_attempts=2).exit_code == 3
    outcomes = {row["lead_id"]: row for row in site.outcomes()}
    assert {lead: row["status"] for lead, row in outcomes.items()} == {
        listed: "applied",
        unreadable: "failed",
        other: "archived",
    }
    assert "cannot be read: 500" in outcomes[unreadable]["reason"]


def test_one_lead_alone_needs_no_list(site: Site) -> None:
    one, other = list(site.pipedrive.leads())[:2]
    site.desire_titles({one: "New", other: "New"})
    summary = site.run(lead=one.upper())
    assert reads(site) == [f"leads/{one}"]
    assert (summary.desired_rows, list(bodies(site.pipedrive))) == (1, [one])
