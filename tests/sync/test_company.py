"""Whose account it is: a dataset and a working folder belong to one company, and to no other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import pytest

from connector.errors import AccountError
from tests.support.front import Raw, front_of
from tests.support.harness import Site

OURS, THEIRS = "company 54235233 (sandbox)", "company 77 (sandbox-77)"
ACCOUNT = "pipedrive_leads.sync_account"
COMMANDS = ("plan", "run", "apply", "revert")


def wish(site: Site) -> str:
    """Make a desired table of one lead."""
    lead = next(key for key, row in site.pipedrive.leads().items() if not row["is_archived"])
    site.desire_titles({lead: "New"})
    return lead


def books(site: Site) -> list[Any]:
    """Return what must not change: plans, outcomes, the mirror and whose they are."""
    tables = ("lead_patches", "lead_outcomes", "leads", "lead_fields", "sync_account")
    return [site.query(f"FROM pipedrive_leads.{name} ORDER BY ALL") for name in tables]


@pytest.fixture
def swapped(site: Site) -> tuple[Site, str, str]:
    """A site with a run and a plan of one company, whose address is now another company's."""
    lead = wish(site)
    run = site.run()
    assert run.statuses["applied"] == 1
    site.desire_titles({lead: "Newer"})
    plan_id = site.plan().plan_id
    site.pipedrive.settings(company=77)
    site.pipedrive.clear_requests()
    return site, run.run_id, plan_id


def test_the_first_run_notes_the_company(site: Site) -> None:
    wish(site)
    ended = site.command("plan")
    assert ended.code == 0
    assert f"dataset pipedrive_leads belongs to {OURS}" in ended.told
    [row] = site.query(f"FROM {ACCOUNT}")
    assert (row["company_id"], row["company_domain"]) == (54235233, "sandbox")
    assert "belongs to" not in site.command("run").told
    assert [row] == site.query(f"FROM {ACCOUNT}")


@pytest.mark.parametrize("command", [*COMMANDS, "check", "columns", "fields"])
def test_another_company_is_refused_by_each_command(
    swapped: tuple[Site, str, str], command: str
) -> None:
    site, run_id, plan_id = swapped
    before = books(site)
    arguments = {"apply": [plan_id], "revert": [run_id, "--yes"]}.get(command, [])
    ended = site.command(command, *arguments)
    assert ended.code == 1
    assert f"dataset pipedrive_leads belongs to {OURS}" in ended.told
    assert f"base_url and api_token to {THEIRS}" in ended.told
    assert "dataset_name" in ended.told
    assert {row["path"] for row in site.pipedrive.requests()} == {"/api/v1/users/me"}
    assert books(site) == before


def test_the_plan_of_the_first_company_is_still_good(swapped: tuple[Site, str, str]) -> None:
    site, _, plan_id = swapped
    for job in (site.run, site.plan, partial(site.apply, plan_id)):
        with pytest.raises(AccountError):
            job()
    site.pipedrive.settings(company=54235233)
    assert site.apply(plan_id).statuses["applied"] == 1


def test_what_a_killed_run_left_is_not_settled_at_another_company(
    swapped: tuple[Site, str, str],
) -> None:
    """Its patches stay open until their own company is asked."""
    site, _, plan_id = swapped
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(
            "UPDATE pipedrive_leads.sync_runs SET released = true, state = 'running' "
            "WHERE run_id = ?",
            [plan_id],
        )
    outcomes = site.outcomes()
    with pytest.raises(AccountError):
        site.run()
    assert site.outcomes() == outcomes
    site.pipedrive.settings(company=54235233)
    assert site.run().statuses["applied"] == 1
    assert site.outcomes()[-1]["plan_id"] == plan_id


def test_a_working_folder_belongs_to_one_company_too(swapped: tuple[Site, str, str]) -> None:
    site, _, _ = swapped
    with pytest.raises(AccountError) as caught:
        site.run(dataset_name="their_leads")
    told = str(caught.value)
    assert f"working folder {site.data_dir}" in told
    assert told.index(OURS) < told.index(THEIRS)
    assert "pipeline_name" in told
    own = {"dataset_name": "their_leads", "pipeline_name": "theirs"}
    assert site.run(**own).statuses["applied"] == 1
    [row] = site.query("FROM their_leads.sync_account")
    assert (row["company_id"], row["company_domain"]) == (77, "sandbox-77")


@pytest.mark.parametrize("command", ["check", "columns", "fields"])
def test_a_working_folder_is_compared_before_there_is_a_dataset(
    swapped: tuple[Site, str, str], command: str
) -> None:
    site, _, _ = swapped
    site.pipedrive.clear_requests()
    ended = site.command(command, dataset_name="their_leads")
    assert ended.code == 1
    assert f"working folder {site.data_dir}" in ended.told
    assert {row["path"] for row in site.pipedrive.requests()} == {"/api/v1/users/me"}


def test_a_folder_of_its_own_does_not_open_the_dataset(swapped: tuple[Site, str, str]) -> None:
    with pytest.raises(AccountError, match="dataset pipedrive_leads belongs to"):
        swapped[0].run(pipeline_name="theirs")


def test_a_dataset_of_before_is_taken_over_by_the_first_run(site: Site) -> None:
    wish(site)
    assert site.run().statuses["applied"] == 1
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"DROP TABLE {ACCOUNT}")
    (site.data_dir / "pipelines" / "pipedrive_leads.company").unlink()
    told = [site.command("run").told for _ in range(2)]
    assert [f"belongs to {OURS}" in one for one in told] == [True, False]
    assert [row["company_id"] for row in site.query(f"FROM {ACCOUNT}")] == [54235233]


def answering(site: Site, **changes: Any) -> Callable[[str, str], Raw | None]:
    """Answers GET /users/me with some of it changed; None takes it away."""

    def answer(_method: str, path: str) -> Raw | None:
        if not path.endswith("/users/me"):
            return None
        me = {"id": 1001, "name": "Ada Lind", "company_id": 54235233, "company_domain": "sandbox"}
        told = {key: value for key, value in (me | changes).items() if value is not None}
        return Raw(json.dumps({"success": True, "data": told}).encode())

    return answer


def test_a_company_with_another_domain_is_still_itself(site: Site) -> None:
    wish(site)
    assert site.plan().planned == 1
    renamed = answering(site, company_id="54235233", company_domain="renamed\u001b[2J")
    with front_of(site.pipedrive.base_url, renamed) as url:
        assert site.run(base_url=url).statuses["applied"] == 1
    [row] = site.query(f"FROM {ACCOUNT}")
    assert row["company_id"] == 54235233
    assert row["company_domain"].startswith("renamed")
    assert "\x1b" not in row["company_domain"]


def test_a_company_without_a_domain_is_one(site: Site) -> None:
    wish(site)
    with front_of(site.pipedrive.base_url, answering(site, company_domain=None)) as url:
        assert site.run(base_url=url).statuses["applied"] == 1
        assert site.run(base_url=url).unchanged == 1
    site.pipedrive.settings(company=77)
    with pytest.raises(AccountError, match=re.escape("belongs to company 54235233, and")):
        site.run()


@pytest.mark.parametrize("company_id", [None, 0, -5, "acme", True, 2**63, {}, [1], 1.5, ""])
def test_an_answer_that_names_no_company_stops_all(site: Site, company_id: Any) -> None:
    wish(site)
    site.pipedrive.clear_requests()
    with front_of(site.pipedrive.base_url, answering(site, company_id=company_id)) as url:
        with pytest.raises(AccountError, match="names no company: its company_id is"):
            site.run(base_url=url)
        assert "names no company" in site.command("check", base_url=url).told
    assert site.pipedrive.requests() == []
    assert site.query(f"FROM {ACCOUNT}") == []
