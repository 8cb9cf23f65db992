"""`show`: a stored plan or run again, in each form, without a request to Pipedrive."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field

import pytest

from tests.support.harness import Ended, NewSite, Site
from tests.support.schemas import problems

pytestmark = pytest.mark.xdist_group("report show")

TYPES = {"lead_id": "VARCHAR", "title": "VARCHAR", "labels": "VARCHAR[]", "owner_email": "VARCHAR"}
FORMS = ("text", "json", "markdown", "csv", "html")
ADA = "ada.lind@example.com"


@dataclass
class Seen:
    """A plan, the run that applied it and one that a guard stopped, each in every form."""

    site: Site
    leads: list[str]
    plan_id: str
    ids: dict[str, str] = field(default_factory=dict)
    told: dict[tuple[str, str], Ended] = field(default_factory=dict)
    asked: int = 0


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    leads = sorted(site.pipedrive.leads())[:3]
    for lead in leads:
        site.pipedrive.set_lead(lead, title="Old", label_ids=[])
    rows = [
        {"lead_id": lead, "title": f"New {lead[:4]}", "labels": ["Hot"], "owner_email": ADA}
        for lead in leads
    ]
    site.desire(TYPES, rows)
    planned = site.command("plan")
    plan_id = str(site.last_run()["run_id"])
    site.pipedrive.set_lead(leads[2], title="Edited")
    site.command("apply", plan_id)
    seen = Seen(site, leads, plan_id, {"plan": plan_id, "run": str(site.last_run()["run_id"])})
    seen.told["made", "text"] = planned
    site.desire(TYPES, [{**row, "title": "Newer"} for row in rows])
    site.command("run", max_patches=1)
    seen.ids["guarded"] = str(site.last_run()["run_id"])
    site.pipedrive.clear_requests()
    for name, run_id in seen.ids.items():
        for form in FORMS:
            seen.told[name, form] = site.command("show", run_id, "--output", form, api_token=None)
    seen.asked = len(site.pipedrive.requests())
    return seen


def test_pipedrive_is_not_asked_and_no_token_is_needed(seen: Seen) -> None:
    shown = [ended for (name, _), ended in seen.told.items() if name != "made"]
    assert {(ended.code, ended.stderr) for ended in shown} == {(0, "")}
    assert seen.asked == 0


def test_a_plan_is_shown_as_it_was_when_it_was_made(seen: Seen) -> None:
    made, shown = seen.told["made", "text"].stdout, seen.told["plan", "text"].stdout
    start = made.index("\nBy field:")
    leads = made[start : made.index("\nnext: ")].rstrip()
    assert leads == shown[shown.index("\nBy field:") :].rstrip()
    assert shown.startswith(f"Plan {seen.plan_id}: 3 leads to change")
    assert f"It was applied by run {seen.ids['run']}." in shown
    assert f"{ADA}" in shown
    assert "— → Hot" in shown


@pytest.mark.parametrize("name", ["plan", "run", "guarded"])
def test_json_is_as_its_schema_says(seen: Seen, name: str) -> None:
    assert problems("show", json.loads(seen.told[name, "json"].stdout)) == []


def test_a_plan_keeps_what_it_leaves_out(any_site: Site) -> None:
    """With titles and reasons, on a plan's first showing and on any later one."""
    site = any_site
    leads = sorted(site.pipedrive.leads())[:3]
    for number, lead in enumerate(leads):
        site.pipedrive.set_lead(lead, title=f"Lead {number}")
    rows = [
        {"lead_id": leads[0], "title": "New"},
        {"lead_id": leads[1], "title": "New", "owner_email": "Ada"},
        {"lead_id": "00000000-0000-4000-8000-000000000000", "title": "New"},
    ]
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR", "owner_email": "VARCHAR"}, rows)
    made = site.command("plan")
    shown = site.command("show", "latest")
    assert shown.code == 0
    assert "rejected " in made.stdout
    assert "not_found " in made.stdout
    left = made.stdout[made.stdout.index("\nBy field:") :]
    assert left == shown.stdout[shown.stdout.index("\nBy field:") :]
    document = json.loads(site.command("show", "latest", "--output", "json").stdout)
    told = [(one["lead_id"], one["title"], one["status"]) for one in document["misses"]]
    assert told == [(leads[1], "Lead 1", "rejected"), (rows[2]["lead_id"], None, "not_found")]
    assert problems("show", document) == []
    assert site.outcomes() == []


def test_a_run_stores_outcomes_and_nothing_that_it_leaves_out(site: Site) -> None:
    site.desire({"lead_id": "VARCHAR", "title": "VARCHAR"}, [{"lead_id": "no-id", "title": "x"}])
    assert site.command("run").code == 3
    assert site.query("SELECT * FROM pipedrive_leads.plan_left_out") == []
    assert len(site.outcomes()) == 1


def test_a_run_shows_what_it_changed_and_what_it_missed(seen: Seen) -> None:
    told = seen.told["run", "text"].told
    assert "Changed, 2 leads:" in told
    assert "Not as wanted, 1: conflict" in told
    assert "Edited Title: expected Old, is Edited" in told
    assert seen.site.command("show", "latest").stdout.startswith(f"Plan {seen.ids['guarded']}")


def test_a_run_that_a_guard_stopped_shows_what_it_would_have_sent(seen: Seen) -> None:
    told = seen.told["guarded", "text"].stdout
    assert told.startswith(f"Plan {seen.ids['guarded']}: 3 leads to change")
    assert "max_patches: 3 leads would change, more than 1" in told
    assert told.count(" → Newer\n") == 3 + 1
    assert f"send it by `lead-sync apply {seen.ids['guarded']}`" in told


def test_a_plan_as_json_has_bodies_and_what_people_call_them(seen: Seen) -> None:
    document = json.loads(seen.told["plan", "json"].stdout)
    assert (document["format"], document["kind"]) == (1, "plan")
    assert document["run"]["run_id"] == seen.plan_id
    assert document["applied_by"] == [seen.ids["run"]]
    assert {row["lead_id"] for row in document["patches"]} == {*seen.leads}
    [first] = [row for row in document["patches"] if row["lead_id"] == seen.leads[0]]
    assert first["body"]["title"] == f"New {seen.leads[0][:4]}"
    assert first["before"]["title"] == "Old"
    assert first["status"] is None
    changes = {one["field"]: (one["old"], one["new"]) for one in first["changes"]}
    assert changes["Labels"] == (None, "Hot")


def test_a_run_as_json_says_what_came_of_each(seen: Seen) -> None:
    document = json.loads(seen.told["run", "json"].stdout)
    assert (document["kind"], document["run"]["exit_code"]) == ("run", 3)
    assert [row["status"] for row in document["patches"]] == ["applied", "applied"]
    [miss] = document["misses"]
    assert (miss["lead_id"], miss["status"], miss["title"]) == (seen.leads[2], "conflict", "Edited")
    assert "Title" in miss["fields"]


def test_each_form_has_every_change(seen: Seen) -> None:
    rows = list(csv.DictReader(io.StringIO(seen.told["plan", "csv"].stdout)))
    assert {row["lead_id"] for row in rows} == {*seen.leads}
    assert {row["new"] for row in rows if row["field"] == "Labels"} == {"Hot"}
    for form in ("markdown", "html"):
        text = seen.told["plan", form].stdout
        for lead in seen.leads:
            assert f"New {lead[:4]}" in text
            assert lead in text
    assert seen.told["plan", "markdown"].stdout.startswith(f"### lead-sync plan `{seen.plan_id}`")
    assert seen.told["plan", "html"].stdout.startswith("<!doctype html>")


def test_what_is_not_there_is_told(seen: Seen) -> None:
    ended = seen.site.command("show", "20990101")
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr == "error: no run 20990101; `lead-sync runs` lists them\n"


def test_tables_of_an_older_version_are_shown_as_far_as_they_go(site: Site) -> None:
    lead = min(site.pipedrive.leads())
    site.pipedrive.set_lead(lead, title="Old", label_ids=[])
    site.desire(TYPES, [{"lead_id": lead, "title": "New", "labels": ["Hot"], "owner_email": ADA}])
    site.run()
    site.query("DROP TABLE pipedrive_leads.lead_field_changes")
    site.query("ALTER TABLE pipedrive_leads.lead_fields DROP COLUMN options")
    site.query("ALTER TABLE pipedrive_leads.sync_runs DROP COLUMN exit_code")
    listed = site.command("runs")
    assert (listed.code, listed.stderr) == (0, "")
    assert listed.stdout.splitlines()[1].split()[5] == "—"
    assert "Title   Old → New" in site.command("runs", "latest").stdout
    assert site.command("show", "latest").code == 0
    assert site.command("runs", "--failed").stdout == "no runs\n"
    assert site.run().exit_code == 0
    assert site.last_run()["exit_code"] == 0


def test_names_of_options_stay_known_when_a_run_does_not_ask_for_them(site: Site) -> None:
    lead = min(site.pipedrive.leads())
    site.pipedrive.set_lead(lead, label_ids=[])
    site.desire(
        {"lead_id": "VARCHAR", "labels": "VARCHAR[]"}, [{"lead_id": lead, "labels": ["Hot"]}]
    )
    run_id = site.run().run_id
    [label] = site.pipedrive.lead(lead)["label_ids"]
    site.desire(
        {"lead_id": "VARCHAR", "label_ids": "VARCHAR[]"}, [{"lead_id": lead, "label_ids": []}]
    )
    site.run()
    assert label not in site.command("runs", run_id).stdout
    assert "Labels  — → Hot" in site.command("runs", run_id).stdout
