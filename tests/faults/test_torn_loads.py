"""A kill between two tables of one load of outcomes: what one of them tells is told by all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.front import front_of, once
from tests.support.harness import Row, Site, bodies, lead_id
from tests.support.leads import HOT, WARM
from tests.support.scene import other_machine
from tests.support.torn import program

LEAD, OTHER = lead_id("torn"), lead_id("of another load")
TABLES = ("lead_outcomes", "lead_field_changes", "lead_bases", "leads")
CRM = {"on_conflict": "crm"}


@pytest.fixture
def site(any_site: Site) -> Site:
    return prepared(any_site)


def prepared(site: Site) -> Site:
    """Return a site with a run that has filled each table, and a wish of the next one."""
    site.pipedrive.reset(leads=0)
    for lead in (LEAD, OTHER):
        site.pipedrive.set_lead(lead, title="As it was")
    site.desire_titles({OTHER: "Wished", LEAD: "As it was"})
    assert site.run(**CRM).statuses["applied"] == 1
    site.desire_titles({OTHER: "Wished", LEAD: "Wished"})
    return site


def tear(site: Site, table: str) -> str:
    """Kill a run at the merge of one table of its outcomes, and return its id."""
    torn = replace(site, program=program(table)).command("run", **CRM)
    assert torn.code == -9, torn.told
    assert site.pipedrive.lead(LEAD)["title"] == "Wished"
    return str(site.last_run()["run_id"])


def without_folder(site: Site) -> Site:
    shutil.rmtree(site.data_dir)
    return site


def audited(site: Site) -> list[Row]:
    sql = "SELECT run_id, old, new FROM pipedrive_leads.lead_field_changes WHERE lead_id = ?"
    return site.query(sql, LEAD)


@pytest.mark.parametrize("found_by", [other_machine, without_folder, lambda site: site])
@pytest.mark.parametrize("table", TABLES)
def test_what_one_table_tells_is_told_by_all(
    site: Site, table: str, found_by: Callable[[Site], Site]
) -> None:
    killed = tear(site, table)
    site.pipedrive.set_lead(LEAD, channel_id="of a colleague")
    assert found_by(site).run(**CRM).exit_code == 0
    [outcome] = [row for row in site.outcomes() if row["lead_id"] == LEAD]
    assert (outcome["run_id"], outcome["took"]) == (killed, '["title"]')
    assert audited(site) == [{"run_id": killed, "old": "As it was", "new": "Wished"}]
    assert site.mirror()[LEAD]["title"] == "Wished"
    site.desire_titles({OTHER: "Wished", LEAD: "Wished again"})
    assert site.run(**CRM).statuses["applied"] == 1
    assert [body["title"] for body in bodies(site.pipedrive)[LEAD]] == ["Wished", "Wished again"]


@pytest.mark.parametrize("found_by", [other_machine, without_folder])
def test_what_settles_a_doubt_is_told_by_all(site: Site, found_by: Callable[[Site], Site]) -> None:
    site.pipedrive.fault("status", method="PATCH", status=502, write=True)
    site.pipedrive.fault("status", method="GET", lead_id=LEAD, status=502, times=9)
    first = site.run(max_attempts=1)
    assert first.statuses["failed"] == 1
    site.pipedrive.clear_faults()
    tear(site, "lead_outcomes")
    site.pipedrive.set_lead(LEAD, title="Theirs")
    assert found_by(site).run(**CRM).statuses["conflict"] == 1
    assert audited(site) == [{"run_id": first.run_id, "old": "As it was", "new": "Wished"}]
    assert [body["title"] for body in bodies(site.pipedrive)[LEAD]] == ["Wished"]


def test_what_a_later_turn_has_agreed_on_outlives_a_load_of_before(site: Site) -> None:
    tear(site, "packed")
    site.desire_titles({OTHER: "Wished", LEAD: "Wished later"})
    elsewhere = other_machine(site).command("run", "--lead", LEAD, **CRM)
    assert elsewhere.code == 0, elsewhere.told
    site.pipedrive.set_lead(LEAD, title="Wished")
    assert site.run(**CRM).statuses["conflict"] == 1
    assert site.pipedrive.lead(LEAD)["title"] == "Wished"
    assert site.outcomes_of_patches() == [1, 1, 1]


@pytest.mark.parametrize("table", TABLES)
def test_rows_that_were_staged_before_the_kill_are_loaded_once(site: Site, table: str) -> None:
    """dlt stages them again, as it has not heard that they are there."""
    killed = tear(site, f"staged:{table}")
    assert site.run(**CRM).exit_code == 0
    assert audited(site) == [{"run_id": killed, "old": "As it was", "new": "Wished"}]
    assert site.outcomes_of_patches() == [1, 1]
    assert len(site.query("SELECT id FROM pipedrive_leads.leads")) == 2


def test_the_body_that_was_sent_is_told_by_the_patch_as_well(any_site: Site) -> None:
    site = any_site
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(LEAD, title="As it was")
    columns = {"lead_id": "VARCHAR", "add_labels": "VARCHAR"}
    site.desire(columns, [{"lead_id": LEAD, "add_labels": HOT}])
    meanwhile = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, label_ids=[WARM]))
    with front_of(site.pipedrive.base_url, meanwhile) as url:
        torn = replace(site, program=program("lead_outcomes")).command("run", base_url=url)
    assert torn.code == -9, torn.told
    assert other_machine(site).run().unchanged == 1
    [patch] = site.query("SELECT body, before FROM pipedrive_leads.lead_patches")
    [outcome] = site.outcomes()
    assert patch == {name: outcome[name] for name in ("body", "before")}
    assert {"label_ids": sorted([HOT, WARM])} == json.loads(patch["body"])


@pytest.mark.parametrize("others", [(), (OTHER,)], ids=["first run", "later run"])
def test_an_edit_that_a_look_kept_is_kept_by_all(any_site: Site, others: tuple[str, ...]) -> None:
    site = any_site
    site.pipedrive.reset(leads=0)
    for lead in (LEAD, *others):
        site.pipedrive.set_lead(lead, title="As it was", channel_id="1")
    site.desire_titles(dict.fromkeys(others, "As it was"))
    site.run(**CRM)
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}
    site.desire(columns, [{"lead_id": LEAD, "title": "Ours", "channel_id": "2"}])
    meanwhile = once(LEAD, lambda: site.pipedrive.set_lead(LEAD, title="Theirs"), None)
    with front_of(site.pipedrive.base_url, meanwhile) as url:
        only_outcomes = replace(site, program=program("lead_outcomes"))
        torn = only_outcomes.command("run", base_url=url, **CRM)
    assert torn.code == -9, torn.told
    assert site.statuses() == {"applied": 1, "conflict": 1}
    assert other_machine(site).run(**CRM).statuses["conflict"] == 1
    assert site.pipedrive.lead(LEAD)["title"] == "Theirs"
