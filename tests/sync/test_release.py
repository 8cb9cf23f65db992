"""Which plans a run takes for released: it is written down, and old datasets keep their meaning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.harness import Row, Site

PACKAGES = "SELECT count(*) AS n FROM pipedrive_leads._dlt_loads"
RUNS = "pipedrive_leads.sync_runs"


def packages(site: Site) -> int:
    return int(site.query(PACKAGES)[0]["n"])


def released(site: Site) -> dict[str, bool]:
    return {row["run_id"]: row["released"] for row in site.runs()}


def test_a_first_run_makes_three_packages_and_one_without_changes_none(site: Site) -> None:
    leads = list(site.pipedrive.leads())[:3]
    site.desire_titles(dict.fromkeys(leads, "New"))
    assert site.run().statuses["applied"] == 3
    assert packages(site) == 3
    assert site.run().unchanged == 3
    assert packages(site) == 3
    columns = "SELECT count(*) AS n FROM pipedrive_leads.lead_fields"
    assert site.query(columns)[0]["n"] > 10


def test_fields_are_noted_once_and_under_their_newest_name(site: Site) -> None:
    site.desire_titles({})
    site.run(empty_desired="allow")
    fields = "SELECT * FROM pipedrive_leads.lead_fields ORDER BY key"
    before = site.query(fields)
    site.query("UPDATE pipedrive_leads.lead_fields SET name = 'Old name' WHERE key = 'title'")
    site.query("DELETE FROM pipedrive_leads.lead_fields WHERE key = 'channel'")
    site.run(empty_desired="allow")
    names = {row["key"]: (row["name"], row["type"]) for row in site.query(fields)}
    assert names == {row["key"]: (row["name"], row["type"]) for row in before}
    assert len(site.query(fields)) == len(before)


def test_a_plan_is_released_by_the_run_that_sends_it(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    plan = site.plan()
    assert released(site) == {plan.run_id: False}
    stopped = site.apply(plan.plan_id, max_patches=0)
    applied = site.apply(plan.plan_id)
    assert (stopped.exit_code, applied.exit_code) == (4, 0)
    assert released(site) == {plan.run_id: False, stopped.run_id: False, applied.run_id: True}
    assert {row["plan_id"] for row in site.runs()} == {plan.plan_id}


def test_a_run_that_a_guard_stops_releases_nothing(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    stopped = site.run(max_patches=0)
    assert released(site) == {stopped.run_id: False}
    ran = site.run()
    assert (ran.statuses["applied"], ran.statuses["deferred"]) == (1, 0)
    assert released(site)[ran.run_id]


def test_an_apply_that_was_cut_off_before_it_released_anything_may_be_repeated(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    plan = site.plan()
    cut = site.apply(plan.plan_id, max_patches=0)
    site.query(f"UPDATE {RUNS} SET state = 'running', tripped = NULL WHERE run_id = ?", cut.run_id)
    ran = site.run()
    assert ran.statuses["applied"] == 1
    assert {row["plan_id"] for row in site.outcomes()} == {ran.run_id}
    states = {row["run_id"]: row["state"] for row in site.runs()}
    assert states[cut.run_id] == "failed"


OLD: list[tuple[Row, int]] = [
    ({"command": "run", "state": "running"}, 1),
    ({"command": "apply", "state": "failed"}, 1),
    ({"command": "run", "state": "stopped", "tripped": '[{"guard": "max_clears"}]'}, 0),
    ({"command": "plan", "state": "done"}, 0),
]


@pytest.mark.parametrize(("old", "settled"), OLD, ids=str)
def test_a_dataset_of_the_first_version_is_taken_over(site: Site, old: Row, settled: int) -> None:
    """Its table of runs lacks the column; what it left is settled, or was never released."""
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    left = site.plan().plan_id
    settings = ", ".join(f"{name} = ?" for name in old)
    values: list[Any] = list(old.values())
    site.query(f"UPDATE {RUNS} SET {settings} WHERE run_id = ?", *values, left)
    site.query(f"ALTER TABLE {RUNS} DROP COLUMN released")
    ran = site.run()
    assert ran.statuses["applied"] == 1
    assert len(site.pipedrive.requests("PATCH")) == 1
    of_left = [row for row in site.outcomes() if row["plan_id"] == left]
    assert [row["status"] for row in of_left] == ["applied"] * settled
    assert released(site) == {left: bool(settled), ran.run_id: True}
