"""Leads that the list does not show are looked up, by the cheaper of two ways, and not for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.front import front_of, once
from tests.support.harness import Site, bodies, lead_id
from tests.support.scene import kill_in_effect

PATCH_OF = "SELECT patch_id, plan_id FROM pipedrive_leads.lead_patches WHERE lead_id = ?"


@pytest.fixture
def archived(site: Site) -> list[str]:
    """The leads of the site, all but the first ten archived."""
    leads = list(site.pipedrive.leads())
    for lead in leads[10:]:
        site.pipedrive.archive_lead(lead)
    return leads[10:]


def reads(site: Site) -> list[str]:
    """Return which leads were read, and how, in order."""
    paths = [row["path"].removeprefix("/api/v1/") for row in site.pipedrive.requests("GET")]
    return [path for path in paths if path.startswith("leads")]


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
    assert site.run().statuses == summary.statuses
    assert reads(site)[3:] == ["leads"]
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


@dataclass(frozen=True)
class Unlisted:
    """A site whose list does not show three of the desired leads; a run has looked them up."""

    site: Site
    listed: str
    archived: str
    deleted: str
    unknown: str

    def want(self, title: str) -> None:
        self.site.desire_titles(dict.fromkeys((self.listed, *self.ids), title))

    @property
    def ids(self) -> tuple[str, str, str]:
        return (self.archived, self.deleted, self.unknown)

    def run(self, **given: Any) -> set[str]:
        """Run again, to the same end, and return which leads were asked for."""
        self.site.pipedrive.clear_requests()
        summary = self.site.run(**given)
        assert (summary.statuses["not_found"], summary.statuses["archived"]) == (2, 1)
        return self.asked()

    def asked(self) -> set[str]:
        return {row["lead_id"] for row in self.site.pipedrive.requests("GET") if row["lead_id"]}

    def shift(self, interval: str) -> None:
        """Move the moments at which the leads were read."""
        self.site.query(f"UPDATE pipedrive_leads.leads SET read_at = read_at + INTERVAL {interval}")


@pytest.fixture
def unlisted(site: Site) -> Unlisted:
    listed, archived, deleted = list(site.pipedrive.leads())[:3]
    made = Unlisted(site, listed, archived, deleted, lead_id("unknown"))
    site.pipedrive.archive_lead(archived)
    site.desire_titles({deleted: "First"})
    site.run()
    site.pipedrive.delete_lead(deleted)
    made.want("Second")
    assert made.run() == set(made.ids)
    return made


def test_what_is_gone_or_archived_is_not_asked_for_again(unlisted: Unlisted) -> None:
    unlisted.want("Third")
    assert unlisted.run() == set()
    assert reads(unlisted.site) == ["leads"]
    assert list(bodies(unlisted.site.pipedrive)) == [unlisted.listed]
    reasons = {row["lead_id"]: row["reason"] for row in unlisted.site.outcomes()}
    assert "differs in Title" in reasons[unlisted.archived]
    unlisted.want(str(unlisted.site.pipedrive.lead(unlisted.archived)["title"]))
    assert unlisted.site.run().unchanged == 1


def test_a_lead_that_never_was_is_known_as_gone(unlisted: Unlisted) -> None:
    row = unlisted.site.mirror()[unlisted.unknown]
    assert row["record"] == {"id": unlisted.unknown}
    assert row["gone_at"] == row["read_at"] is not None


def test_a_lead_that_comes_back_is_seen_in_the_list(unlisted: Unlisted) -> None:
    unlisted.site.pipedrive.set_lead(unlisted.archived, is_archived=False)
    unlisted.site.pipedrive.set_lead(unlisted.deleted, title="Back")
    unlisted.want("Third")
    assert unlisted.site.run().statuses["applied"] == 3
    assert unlisted.site.mirror()[unlisted.deleted]["gone_at"] is None


@pytest.mark.parametrize(
    "given", [{"full_refresh": True}, {"recheck_hours": 0}], ids=["full_refresh", "recheck_hours 0"]
)
def test_a_run_asks_for_all_when_told_so(unlisted: Unlisted, given: dict[str, Any]) -> None:
    assert unlisted.run(**given) == set(unlisted.ids)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_the_command_asks_for_all_when_told_so(unlisted: Unlisted, command: str) -> None:
    unlisted.site.pipedrive.clear_requests()
    unlisted.site.command(command)
    assert unlisted.asked() == set()
    unlisted.site.command(command, "--full-refresh")
    assert unlisted.asked() == set(unlisted.ids)


def test_after_a_while_they_are_asked_for_again(unlisted: Unlisted) -> None:
    first = unlisted.site.mirror()
    unlisted.shift("'-2 hours'")
    assert unlisted.run() == set()
    assert unlisted.run(recheck_hours=1) == set(unlisted.ids)
    again = unlisted.site.mirror()
    for lead in (unlisted.deleted, unlisted.unknown):
        assert again[lead]["gone_at"] == first[lead]["gone_at"] < again[lead]["read_at"]
    assert unlisted.run(recheck_hours=1) == set()


def test_what_was_read_in_a_time_to_come_is_asked_for(unlisted: Unlisted) -> None:
    unlisted.shift("'2 hours'")
    assert unlisted.run() == set(unlisted.ids)


def test_one_lead_alone_is_always_asked_for(unlisted: Unlisted) -> None:
    for lead in unlisted.ids:
        unlisted.site.pipedrive.clear_requests()
        unlisted.site.run(lead=lead)
        assert unlisted.asked() == {lead}


def test_a_lead_that_may_be_brought_back_is_asked_for(unlisted: Unlisted) -> None:
    site, archived = unlisted.site, unlisted.archived
    site.pipedrive.set_lead(archived, title="Edited meanwhile")
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}
    row = {"title": "Edited meanwhile", "is_archived": False}
    site.desire(columns, [{**row, "lead_id": lead} for lead in unlisted.ids])
    assert unlisted.run() == set()
    site.pipedrive.clear_requests()
    assert site.run(unarchive=True).statuses["applied"] == 1
    assert unlisted.asked() == {archived}
    assert bodies(site.pipedrive) == {archived: [{"is_archived": False}]}


def test_what_a_run_has_archived_itself_is_known(site: Site) -> None:
    [lead] = list(site.pipedrive.leads())[:1]
    row = {"lead_id": lead, "is_archived": True}
    site.desire({"lead_id": "VARCHAR", "is_archived": "BOOLEAN"}, [row])
    assert site.run().statuses["applied"] == 1
    assert site.run().unchanged == 1
    assert reads(site) == ["leads", "leads"]


def test_a_lead_with_an_interrupted_patch_is_asked_for(unlisted: Unlisted) -> None:
    site, [patch, *_] = unlisted.site, unlisted.site.query(PATCH_OF, unlisted.deleted)
    site.query("DELETE FROM pipedrive_leads.lead_outcomes WHERE patch_id = ?", patch["patch_id"])
    site.query(
        "UPDATE pipedrive_leads.sync_runs SET state = 'running' WHERE plan_id = ?", patch["plan_id"]
    )
    site.pipedrive.clear_requests()
    assert site.run().statuses["not_found"] == 3
    [probe] = unlisted.asked() - {unlisted.deleted}  # does a call for a lead show an archived one?
    assert site.pipedrive.lead(probe)["is_archived"]
    assert unlisted.run() == set()


ARCHIVING = {"lead_id": "VARCHAR", "title": "VARCHAR", "is_archived": "BOOLEAN"}


def put_hidden(site: Site, **lead: Any) -> str:
    """Give an account that shows an archived lead in its list alone one lead; return its id."""
    hidden = lead_id("hidden")
    site.pipedrive.reset(leads=0, archived_by_id="missing")
    site.pipedrive.set_lead(hidden, title="As it is", **lead)
    return hidden


@pytest.mark.parametrize("answer", ["200", "502", "none"])
def test_a_lead_that_is_hidden_once_archived_is_not_gone(site: Site, answer: str) -> None:
    lead = put_hidden(site)
    site.desire(ARCHIVING, [{"lead_id": lead, "title": "New", "is_archived": True}])
    if answer == "none":
        archived_by = kill_in_effect(site, lambda: site.pipedrive.lead(lead)["is_archived"])
    else:
        if answer == "502":
            site.pipedrive.fault("status", method="PATCH", status=502, write=True)
        archived_by = site.run().run_id
        assert site.statuses() == {"applied" if answer == "200" else "failed": 1}
    again = site.run(full_refresh=True)
    assert (again.exit_code, again.unchanged) == (0, 1)
    assert reads(site)[-2:] == [f"leads/{lead}", "leads/archived"]
    assert site.mirror()[lead]["gone_at"] is None
    assert [row["took"] for row in site.outcomes() if row["took"]] == ['["title","is_archived"]']
    assert site.revert(archived_by).statuses["applied"] == 2
    back = site.pipedrive.lead(lead)
    assert (back["title"], back["is_archived"]) == ("As it is", False)


def test_what_took_effect_before_a_colleague_hid_the_lead_is_known(site: Site) -> None:
    lead = put_hidden(site)
    site.desire_titles({lead: "New"})
    site.pipedrive.fault("status", method="PATCH", status=502, write=True)
    archive = once(f"leads/{lead}", lambda: site.pipedrive.archive_lead(lead))
    with front_of(site.pipedrive.base_url, archive) as url:
        sent_by = site.run(base_url=url).run_id
    assert [row["took"] for row in site.outcomes()] == [None]
    assert site.run().unchanged == 1
    assert [(row["run_id"], row["took"]) for row in site.outcomes()] == [
        (sent_by, None),
        (sent_by, '["title"]'),
    ]
    assert site.mirror()[lead]["gone_at"] is None


def test_a_lead_that_a_colleague_hides_before_its_patch_is_not_gone(site: Site) -> None:
    lead = put_hidden(site)
    site.desire_titles({lead: "New"})
    archive = once(lead, lambda: site.pipedrive.archive_lead(lead), "PATCH")
    with front_of(site.pipedrive.base_url, archive) as url:
        assert site.run(base_url=url).statuses["archived"] == 1
    assert site.mirror()[lead]["gone_at"] is None


def test_a_hidden_lead_is_brought_back_after_a_doubt(site: Site) -> None:
    lead = put_hidden(site)
    row: dict[str, Any] = {"lead_id": lead, "title": "As it is", "is_archived": True}
    site.desire(ARCHIVING, [row])
    assert site.run().statuses["applied"] == 1
    site.desire(ARCHIVING, [{**row, "is_archived": False}])
    site.pipedrive.fault("status", method="PATCH", status=502)
    assert site.run(unarchive=True).statuses["failed"] == 1
    assert site.run(unarchive=True).statuses["applied"] == 1
    assert [row["status"] for row in site.outcomes()] == ["applied", "failed", "failed", "applied"]
    assert site.pipedrive.lead(lead)["is_archived"] is False


@pytest.mark.parametrize("reading", ["shown", "missing"])
def test_an_archived_lead_that_was_deleted_costs_a_page_once(site: Site, reading: str) -> None:
    site.pipedrive.settings(archived_by_id=reading)
    lead, other = list(site.pipedrive.leads())[:2]
    site.pipedrive.archive_lead(other)
    site.desire(ARCHIVING, [{"lead_id": lead, "title": "New", "is_archived": True}])
    assert site.run().statuses["applied"] == 1
    site.pipedrive.delete_lead(lead)
    site.pipedrive.clear_requests()
    for _ in range(2):
        assert site.run(full_refresh=True).statuses["not_found"] == 1
    looks = ["leads", f"leads/{lead}", "leads/archived", f"leads/{other}"]
    assert reads(site) == [*looks, *looks[:2]]
    assert site.mirror()[lead]["gone_at"] is not None
