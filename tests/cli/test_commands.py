"""The other commands, as a person or a scheduler calls them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from connector.errors import ConfigError
from connector.sandbox import CUSTOM_FIELDS
from tests.support.harness import Ended, NewSite, Row, Site, bodies, lead_id, writes

pytestmark = pytest.mark.xdist_group("cli commands")

BEFORE: Row = {"title": "Old title", "value": {"amount": 7, "currency": "EUR"}, "was_seen": True}
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "value_amount": "DECIMAL(9, 2)",
    "value_currency": "VARCHAR",
    "was_seen": "BOOLEAN",
}
CHANGED, CLEARED, ALIKE, GONE = (lead_id(name) for name in ("changed", "cleared", "alike", "gone"))
AS_IS: Row = {"title": "Old title", "value_amount": 7, "value_currency": "EUR", "was_seen": True}
ROWS: list[Row] = [
    {**AS_IS, "lead_id": CHANGED, "title": "New [title]", "value_amount": "50.50"},
    {**AS_IS, "lead_id": CLEARED, "value_amount": None, "was_seen": False},
    {**AS_IS, "lead_id": ALIKE},
    {**AS_IS, "lead_id": GONE},
    {**AS_IS, "lead_id": "x"},
]


@dataclass(frozen=True)
class Seen:
    """The commands in the order in which somebody new to the job calls them."""

    site: Site
    check: Ended
    plan: Ended
    plan_document: Ended
    patches_before_run: int
    plan_after_run: Ended
    runs: Ended


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    site.pipedrive.reset(leads=0)
    for lead in (CHANGED, CLEARED, ALIKE):
        site.pipedrive.set_lead(lead, **BEFORE)
    site.desire(COLUMNS, ROWS)
    check, plan = site.command("check"), site.command("plan", "--detailed-exitcode")
    plan_document = site.command("plan", "--output", "json")
    patches_before_run = len(site.pipedrive.requests("PATCH"))
    site.run()
    plan_after_run = site.command("plan", "--detailed-exitcode")
    runs = site.command("runs")
    return Seen(site, check, plan, plan_document, patches_before_run, plan_after_run, runs)


def test_check_finds_all_in_order(seen: Seen) -> None:
    assert (seen.check.code, seen.check.stderr) == (0, "")
    assert seen.site.pipedrive.api_token not in seen.check.stdout
    assert [line.split()[:2] for line in seen.check.stdout.splitlines()] == [
        ["ok", "config:"],
        ["ok", "pipedrive:"],
        ["ok", "warehouse:"],
        ["ok", "writing:"],
        ["ok", "table:"],
        ["ok", "columns:"],
        ["next:", "`lead-sync"],
    ]


def test_plan_shows_old_and_new(seen: Seen) -> None:
    lines = [" ".join(line.split()) for line in seen.plan.stdout.splitlines()]
    assert "Title Old title → New [title]" in lines
    assert "Value 7 EUR → 50.5 EUR" in lines
    assert "Value 7 EUR → clear" in lines
    assert "Seen true → false" in lines
    assert any(line.startswith("rejected x lead_id 'x' is not a UUID") for line in lines)
    assert any(line.startswith(f"not_found {GONE}") for line in lines)
    assert ALIKE not in seen.plan.stdout


def test_plan_sums_up(seen: Seen) -> None:
    assert "2 leads to change, 1 unchanged" in seen.plan.told
    assert "Values: 3 changed, 1 cleared." in seen.plan.told
    assert "By field: Value 1 changed, 1 cleared 7 EUR → 50.5 EUR; 7 EUR → clear" in seen.plan.told
    assert "Applying takes 20 tokens" in seen.plan.told


def test_a_plan_sends_nothing(seen: Seen) -> None:
    assert seen.patches_before_run == 0


def test_a_plan_can_tell_by_its_exit_code(seen: Seen) -> None:
    assert (seen.plan.code, seen.plan_document.code, seen.plan_after_run.code) == (2, 0, 0)


def test_a_plan_is_told_to_machines(seen: Seen) -> None:
    document = json.loads(seen.plan_document.stdout)
    assert (document["format"], document["summary"]["command"]) == (1, "plan")
    patches = {row["lead_id"]: (row["before"], row["body"]) for row in document["patches"]}
    assert patches == {
        CHANGED: (
            {"title": "Old title", "value": {"amount": 7, "currency": "EUR"}},
            {"title": "New [title]", "value": {"amount": 50.5, "currency": "EUR"}},
        ),
        CLEARED: (
            {"value": {"amount": 7, "currency": "EUR"}, "was_seen": True},
            {"value": None, "was_seen": False},
        ),
    }
    settled = {row["lead_id"]: row["status"] for row in document["settled"]}
    assert settled == {GONE: "not_found", "x": "rejected"}


def test_a_plan_is_not_released_by_a_run(seen: Seen) -> None:
    assert sorted(seen.site.outcomes_of_patches()) == [1, 1]
    assert writes(seen.site.pipedrive) == {CHANGED: 1, CLEARED: 1}


def test_runs_are_listed_newest_first(seen: Seen) -> None:
    assert seen.runs.code == 0
    commands = [word for word in seen.runs.told.split() if word in ("plan", "run")]
    assert commands[-4:] == ["plan", "run", "plan", "plan"]


def test_check_tells_each_problem_in_a_line(site: Site) -> None:
    ended = site.command("check", desired_table="crm.nowhere", api_token="wrong")
    problems = [line for line in ended.stdout.splitlines() if line.startswith("problem")]
    assert (ended.code, ended.stderr, len(problems)) == (1, "", 2)
    assert "401" in problems[0]
    assert "crm.nowhere" in problems[1]
    assert site.pipedrive.requests("PATCH") == []


def test_a_limit_is_the_next_runs_beginning(site: Site) -> None:
    leads = sorted(site.pipedrive.leads())[:5]
    site.desire_titles(dict.fromkeys(leads, "New"))
    for done in (3, 5):
        assert site.run(limit=3).exit_code == 0
        assert sorted(bodies(site.pipedrive)) == leads[:done]
    assert set(writes(site.pipedrive).values()) == {1}


def test_a_limit_past_all_bounds_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match="limit 1000000000000000000000 must be at most"):
        site.run(limit=10**21)


@pytest.mark.parametrize("text", ["", " ", ",,"])
@pytest.mark.parametrize("command", [("run",), ("plan",), ("revert", "a-run")])
def test_a_list_of_fields_that_names_none_is_not_all_fields(
    site: Site, command: tuple[str, ...], text: str
) -> None:
    ended = site.command(*command, "--fields", text)
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == f"error: fields {text!r} names no field; leave it out for all of them\n"


def test_a_list_of_fields_takes_blanks_and_commas(site: Site) -> None:
    lead = min(site.pipedrive.leads())
    types = {"lead_id": "VARCHAR", "title": "VARCHAR", "lead_score": "DOUBLE", "tier": "VARCHAR"}
    site.desire(types, [{"lead_id": lead, "title": "New", "lead_score": 3.25, "tier": None}])
    ended = site.command("run", "--fields", " title, Lead score ,", "--max-seconds", "60")
    assert ended.code == 0, ended.told
    [body] = [request["body"] for request in site.pipedrive.requests("PATCH")]
    assert body == {"title": "New", CUSTOM_FIELDS["Lead score"]: 3.25}


@pytest.mark.parametrize("table", ["lead_patches", "lead_outcomes"])
def test_a_table_that_somebody_dropped_is_told_in_a_line(site: Site, table: str) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    ran = site.run()
    site.desire_titles({lead: "Newer"})
    planned = site.plan()
    site.query(f"DROP TABLE pipedrive_leads.{table}")
    for arguments in (("apply", planned.plan_id), ("revert", ran.run_id), ("runs", ran.run_id)):
        ended = site.command(*arguments)
        assert (ended.code, len(ended.stderr.splitlines())) == (1, 1), ended.told
        assert f"the warehouse cannot be read: Catalog Error: Table with name {table}" in ended.told
