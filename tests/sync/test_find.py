"""Which run is meant: `latest`, the beginning of an id, and what is neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest

from connector.errors import PlanError
from connector.settings import load_warehouse_settings
from connector.sync.summary import Summary
from connector.warehouse import journal
from connector.warehouse.destination import make_pipeline
from connector.warehouse.journal import Kind
from connector.warehouse.store import open_warehouse
from tests.support.harness import NewSite, Site, bodies

pytestmark = pytest.mark.xdist_group("sync find")


def find(site: Site, text: str, kind: Kind = "run") -> str:
    with site.in_place():
        settings = load_warehouse_settings()
        with open_warehouse(make_pipeline(settings), settings) as warehouse:
            return journal.find(warehouse, text, kind)


@dataclass(frozen=True)
class Past:
    """A site on which two runs have sent something, with plans, reverts and a no-op after them."""

    site: Site
    first: Summary
    second: Summary
    planned: Summary
    declined: str
    idle: Summary


@pytest.fixture(scope="module")
def past(new_site: NewSite) -> Past:
    site = new_site()
    lead = min(site.pipedrive.leads())
    site.desire_titles({lead: "First"})
    first = site.run()
    site.desire_titles({lead: "Second"})
    second = site.run()
    idle = site.run()
    site.desire_titles({lead: "Third"})
    planned = site.plan()
    asked = site.command("revert", second.run_id)
    assert (asked.code, "give --yes" in asked.stderr) == (1, True)
    return Past(site, first, second, planned, str(site.last_run()["run_id"]), idle)


def test_latest_is_what_the_command_can_use(past: Past) -> None:
    """A revert that was planned and not applied is no plan that `apply latest` may take up."""
    assert find(past.site, "latest") == past.declined
    assert find(past.site, "latest", "plan") == past.planned.plan_id
    assert find(past.site, "latest", "sent") == past.second.run_id


def test_a_beginning_that_only_one_has_is_enough(past: Past) -> None:
    for run in (past.first, past.second, past.idle, past.planned):
        assert find(past.site, run.run_id[:-1]) == run.run_id
    assert find(past.site, past.first.run_id) == past.first.run_id


def test_a_beginning_that_several_have_is_refused_and_names_them(past: Past) -> None:
    with pytest.raises(PlanError) as refused:
        find(past.site, "20")
    message = str(refused.value)
    assert message.startswith("20 may be any of 5: ")
    for run_id in (past.first.run_id, past.second.run_id, past.declined):
        assert run_id in message
    with pytest.raises(PlanError) as plans:
        find(past.site, past.planned.run_id[:9], "plan")
    assert past.planned.run_id in str(plans.value)


@pytest.mark.parametrize("text", ["", " ", "%", "_", "2%", "zz", "LATEST", "latest ", "'; DROP"])
def test_what_is_no_beginning_means_none(past: Past, text: str) -> None:
    for kind in get_args(Kind):
        assert find(past.site, text, kind) == text
    for command in ("apply", "revert", "show"):
        ended = past.site.command(command, text)
        assert (ended.code, ended.stdout) == (1, ""), ended.told
        assert ended.stderr.startswith("error: no ")
    assert past.site.pipedrive.requests("PATCH")[2:] == []


def test_nothing_is_latest_where_nothing_has_run(site: Site) -> None:
    site.desire_titles({})
    site.plan()
    assert "no run that has sent anything yet" in site.command("revert", "latest").stderr
    site.query("DELETE FROM pipedrive_leads.sync_runs")
    assert "no plan yet" in site.command("apply", "latest").stderr
    assert "no run yet" in site.command("runs", "latest").stderr


def test_apply_and_revert_take_latest_and_beginnings(site: Site) -> None:
    leads = sorted(site.pipedrive.leads())[:2]
    before = {lead: site.pipedrive.lead(lead)["title"] for lead in leads}
    site.desire_titles({leads[0]: "Alpha"})
    older = site.plan()
    site.desire_titles({leads[1]: "Beta"})
    site.plan()
    ended = site.command("apply", "latest")
    assert ended.code == 0, ended.told
    assert bodies(site.pipedrive) == {leads[1]: [{"title": "Beta"}]}
    ended = site.command("apply", older.plan_id[:-1])
    assert ended.code == 0, ended.told
    assert bodies(site.pipedrive)[leads[0]] == [{"title": "Alpha"}]
    ended = site.command("revert", "latest", "--yes")
    assert ended.code == 0, ended.told
    assert f"It takes back run {site.runs()[-3]['run_id']}." in ended.stdout
    assert site.pipedrive.lead(leads[0])["title"] == before[leads[0]]
    assert site.pipedrive.lead(leads[1])["title"] == "Beta"
    assert "was applied before" in site.command("apply", "latest").stderr


def test_latest_is_named_from_python_as_well(site: Site) -> None:
    lead = min(site.pipedrive.leads())
    site.desire_titles({lead: "New"})
    planned = site.plan()
    assert site.apply("latest").plan_id == planned.plan_id
    assert site.revert("latest").statuses["applied"] == 1
