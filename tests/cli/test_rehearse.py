"""A rehearsal: a stored plan on a local Pipedrive with the mirror's leads, and nowhere else."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.records.leads import LEADS
from connector.rehearsal import rehearse
from connector.sandbox import CUSTOM_FIELDS
from connector.sandbox.directory import LABELS
from tests.support.harness import Ended, NewSite, Row, Site, lead_id
from tests.support.leads import COLD, HOT, SCORE, WARM
from tests.support.schemas import problems

pytestmark = pytest.mark.xdist_group("cli rehearse")

COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "owner_email": "VARCHAR",
    "labels": "VARCHAR[]",
    "value_amount": "DECIMAL(9, 2)",
    "value_currency": "VARCHAR",
    "lead_score": "DOUBLE",
    "tier": "VARCHAR",
    "products": "VARCHAR[]",
    "deal_cost": "DECIMAL(9, 2)",
    "deal_cost_currency": "VARCHAR",
    "contract_period": "DATE",
    "contract_period_until": "DATE",
    "account_manager": "VARCHAR",
}
NAMES = {label["id"]: label["name"] for label in LABELS}
LEAD: Row = {
    "title": "Old",
    "label_ids": [HOT, COLD],
    "value": {"amount": 10, "currency": "EUR"},
    SCORE: 1,
}
ROW: Row = {
    "title": "Old",
    "owner_email": "ada.lind@example.com",
    "labels": [NAMES[HOT], NAMES[COLD]],
    "value_amount": 10,
    "value_currency": "EUR",
    "lead_score": 1,
}
WISHES: Mapping[str, Row] = {
    "title": {"title": "New"},
    "owner": {"owner_email": "bruno.keller@example.com"},
    "labels": {"labels": [NAMES[WARM]]},
    "value": {"value_amount": "50.50", "value_currency": "SEK"},
    "clear": {"value_amount": None, "value_currency": None, "lead_score": None},
    "score": {"lead_score": 87.5},
    "tier": {"tier": "Gold"},
    "products": {"products": ["Core", "Support plus"]},
    "cost": {"deal_cost": 7, "deal_cost_currency": "EUR"},
    "period": {"contract_period": "2026-01-01", "contract_period_until": "2026-06-30"},
    "manager": {"account_manager": "chloe.martin@example.com"},
    "same": {},
}
CHANGED = WISHES.keys() - {"same"}
LET_PASS: dict[str, Any] = {"max_changed_percent": "off", "max_overwrites_percent": "off"}
GUARDS = ("--max-changed-percent", "off", "--max-overwrites-percent", "off")


def stage(site: Site, wishes: Mapping[str, Row]) -> None:
    site.pipedrive.reset(leads=30)
    for name in wishes:
        site.pipedrive.set_lead(lead_id(name), **LEAD)
    rows = [{**ROW, "lead_id": lead_id(name), **cells} for name, cells in wishes.items()]
    site.desire(COLUMNS, rows)


def planned(site: Site) -> str:
    ended = site.command("plan", "--output", "json", *GUARDS)
    assert ended.code == 0, ended.told
    return str(json.loads(ended.stdout)["summary"]["plan_id"])


def books_of(site: Site) -> dict[str, list[Row]]:
    """Return all that is in the file: every row of every table, and the shape of each."""
    names = site.query(
        "SELECT table_schema AS place, table_name AS name FROM information_schema.tables"
    )
    found = {
        f"{one['place']}.{one['name']}": site.query(
            f"SELECT * FROM {one['place']}.{one['name']} ORDER BY ALL"
        )
        for one in names
    }
    shape = "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL"
    return {**found, "shape": site.query(shape)}


def files_of(folder: Path) -> set[tuple[str, int]]:
    """Return the files below a folder, each with its size."""
    return {(str(one), one.stat().st_size) for one in folder.rglob("*") if one.is_file()}


class Scene:
    """A plan of every kind of change, rehearsed by the command without address and token."""

    def __init__(self, site: Site) -> None:
        self.site = site
        stage(site, WISHES)
        self.plan_id = planned(site)
        self.before, self.leads = books_of(site), site.pipedrive.leads()
        self.files = files_of(site.data_dir)
        site.pipedrive.clear_requests()
        self.json = self.rehearse("--output", "json")
        self.text = self.rehearse()
        self.calls = site.pipedrive.requests()
        self.after, self.files_after = books_of(site), files_of(site.data_dir)

    def rehearse(self, *arguments: str) -> Ended:
        return self.site.command(
            "rehearse", *GUARDS, *arguments, base_url=None, api_token=None, token_budget=1
        )

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.json.stdout)
        return found


@pytest.fixture(scope="module")
def scene(new_site: NewSite) -> Scene:
    return Scene(new_site())


def test_each_kind_of_change_is_applied_by_the_real_code(scene: Scene) -> None:
    told = scene.told
    assert (scene.json.code, told["plan_id"], told["state"]) == (0, scene.plan_id, "done")
    assert told["outcomes"]["applied"] == len(CHANGED)
    assert {one["lead_id"]: one["status"] for one in told["rehearsed"]} == {
        lead_id(name): "applied" for name in CHANGED
    }
    assert told["leads"] == 30 + len(WISHES) - archived(scene)


def archived(scene: Scene) -> int:
    """Return how many leads no run has read: the list does not show them."""
    return sum(lead["is_archived"] for lead in scene.leads.values())


def test_the_leads_are_told_old_and_new_in_the_words_of_their_users(scene: Scene) -> None:
    told = {
        one["lead_id"]: {
            change["field"]: (change["old"], change["new"]) for change in one["changes"]
        }
        for one in scene.told["rehearsed"]
    }
    assert {name: told[lead_id(name)] for name in CHANGED} == {
        "title": {"Title": ("Old", "New")},
        "owner": {"Owner": ("ada.lind@example.com", "bruno.keller@example.com")},
        "labels": {"Labels": (f"{NAMES[HOT]}, {NAMES[COLD]}", NAMES[WARM])},
        "value": {"Value": ("10 EUR", "50.5 SEK")},
        "clear": {"Value": ("10 EUR", "—"), "Lead score": ("1", "—")},
        "score": {"Lead score": ("1", "87.5")},
        "tier": {"Tier": ("—", "Gold")},
        "products": {"Products": ("—", "Core, Support plus")},
        "cost": {"Deal cost": ("—", "7 EUR")},
        "period": {"Contract period": ("—", "2026-01-01 – 2026-06-30")},
        "manager": {"Account manager": ("—", "chloe.martin@example.com")},
    }
    assert "    Title  Old → New\n" in scene.text.stdout


def test_json_is_as_its_schema_says(scene: Scene) -> None:
    assert problems("rehearse", scene.told) == []


def test_a_second_plan_is_empty(scene: Scene) -> None:
    assert scene.told["left"] == []
    assert "A second plan is empty: each lead says all that this one wants." in scene.text.stdout
    assert scene.text.stdout.endswith(f"next: `lead-sync apply {scene.plan_id}` sends it\n")


def test_nothing_leaves_the_machine_and_the_books_stay_as_they_are(scene: Scene) -> None:
    assert scene.calls == []
    assert scene.site.pipedrive.leads() == scene.leads
    assert {*scene.before} >= {"pipedrive_leads.lead_patches", "crm.lead_changes"}
    assert scene.after == scene.before
    assert scene.files_after == scene.files


def test_what_was_rehearsed_is_what_happens(scene: Scene) -> None:
    """The account ends as the rehearsal said, and only then is the plan used up."""
    ended = scene.site.command("apply", scene.plan_id, *GUARDS)
    assert ended.code == 0, ended.told
    leads = scene.site.pipedrive.leads()
    assert leads[lead_id("title")]["title"] == "New"
    assert leads[lead_id("labels")]["label_ids"] == [WARM]
    assert leads[lead_id("clear")]["value"] is None
    assert SCORE not in leads[lead_id("clear")]
    assert leads[lead_id("tier")][CUSTOM_FIELDS["Tier"]] == "190"
    again = scene.rehearse()
    assert again.code == 1
    assert "there is no plan that is not applied yet" in again.told
    by_name = scene.rehearse(scene.plan_id)
    assert by_name.code == 1
    assert f"plan {scene.plan_id} was applied before" in by_name.told
    run_id = str(scene.site.last_run()["run_id"])
    assert "nobody is there to ask" in scene.site.command("revert", run_id).told
    assert "there is no plan that is not applied yet" in scene.rehearse().told
    revert_id = scene.site.last_run()["plan_id"]
    back = json.loads(scene.rehearse(revert_id, "--output", "json").stdout)
    assert (back["plan_id"], back["left"]) == (revert_id, [])
    assert back["outcomes"]["applied"] == len(CHANGED)


def test_latest_is_the_plan_that_apply_takes(site: Site) -> None:
    def rehearsed(*plan: str) -> str:
        ended = site.command("rehearse", *plan, "--output", "json", *GUARDS)
        return str(json.loads(ended.stdout)["plan_id"])

    sent, wanted = list(site.pipedrive.leads())[:2]
    site.desire_titles({sent: "Sent"})
    site.run(**LET_PASS)
    site.desire_titles({sent: "Sent", wanted: "Planned"})
    plan_id = planned(site)
    assert "nobody is there to ask" in site.command("revert", "latest").told
    assert (rehearsed("latest"), rehearsed()) == (plan_id, plan_id)
    stopped = site.command("run", "--max-patches", "0", *GUARDS)
    assert stopped.code == 4
    assert (rehearsed("latest"), rehearsed()) == (plan_id, site.last_run()["plan_id"])
    applied = site.command("apply", "latest", *GUARDS)
    assert f"plan {plan_id}" in applied.told


TROUBLED: Mapping[str, Row] = {
    "fine": {"title": "New", "tier": "Gold"},
    "moved": {"title": "New"},
    "gone": {"title": "New"},
    "archived": {"title": "New"},
}


@pytest.fixture(scope="module")
def troubled(new_site: NewSite) -> Site:
    """A plan whose leads the mirror shows otherwise by now, as a later run has read them."""
    site = new_site()
    stage(site, TROUBLED)
    planned(site)
    mirror = "UPDATE pipedrive_leads.leads SET"
    merged = f"{mirror} record = json_merge_patch(record, ?) WHERE id = ?"
    site.query(merged, json.dumps({"title": "Theirs"}), lead_id("moved"))
    site.query(merged, json.dumps({"is_archived": True}), lead_id("archived"))
    site.query(f"{mirror} gone_at = now() WHERE id = ?", lead_id("gone"))
    site.query("UPDATE pipedrive_leads.lead_fields SET options = NULL")
    return site


def test_what_would_go_wrong_is_told(troubled: Site) -> None:
    ended = troubled.command("rehearse", "--output", "json", *GUARDS)
    told = json.loads(ended.stdout)
    assert (ended.code, told["exit_code"]) == (3, 3)
    assert problems("rehearse", told) == []
    assert {one["lead_id"]: one["status"] for one in told["rehearsed"]} == {
        lead_id("fine"): "applied",
        lead_id("moved"): "conflict",
        lead_id("gone"): "not_found",
        lead_id("archived"): "archived",
    }
    assert told["left"] == sorted(map(lead_id, ("moved", "gone", "archived")))
    [fine] = [one for one in told["rehearsed"] if one["status"] == "applied"]
    assert {one["field"] for one in fine["changes"]} == {"Title", "Tier"}  # its options unknown
    shown = troubled.command("rehearse", *GUARDS).stdout
    assert "A second plan is not empty: 3 leads would still differ: " in shown
    assert "Theirs" in shown
    assert "next:" not in shown


def test_a_guard_stops_a_rehearsal_as_it_stops_the_plan(troubled: Site) -> None:
    stopped = ("rehearse", "--max-patches", "1", *GUARDS)
    ended = troubled.command(*stopped)
    assert ended.code == 4
    assert "Stopped, nothing was sent: 1 guard tripped" in ended.stdout
    told = json.loads(troubled.command(*stopped, "--output", "json").stdout)
    assert problems("rehearse", told) == []
    assert "second plan" not in ended.stdout


def test_many_leads_are_read_by_the_list(troubled: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.rehearsal.LEADS", replace(LEADS, page_limit=2))
    with troubled.in_place():
        found = rehearse(**LET_PASS)
    assert Counter(one.status for one in found.rehearsed) == Counter(
        ("applied", "conflict", "not_found", "archived")
    )
    assert list(found.left) == sorted(map(lead_id, ("moved", "gone", "archived")))


def test_a_rehearsal_that_is_stopped_leaves_nothing_behind(
    troubled: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    stop = threading.Event()
    stop.set()
    before = {**os.environ}
    with troubled.in_place():
        found = rehearse(stop=stop, **LET_PASS)
    assert (found.summary.state, found.exit_code) == ("stopped", 5)
    assert list(tmp_path.iterdir()) == []
    assert {**os.environ} == before


def test_without_a_plan_there_is_nothing_to_rehearse(site: Site) -> None:
    site.desire_titles({})
    assert site.command("rehearse").told == (
        "error: there is no plan yet; `lead-sync plan` makes one"
    )
    lead, title = next((one["id"], one["title"]) for one in site.pipedrive.leads().values())
    site.desire_titles({lead: title})
    site.plan()
    assert "changes no lead; there is nothing to rehearse" in site.command("rehearse").told
    assert "no plan nonsense" in site.command("rehearse", "nonsense").told
