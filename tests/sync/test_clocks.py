"""A run that was dated by a clock that was ahead is not the last one for ever."""

from __future__ import annotations

import pytest

from connector.sync import increment
from connector.warehouse.rows import new_id
from tests.support.harness import Site, bodies
from tests.support.scene import assert_titles, desire, new_leads

RUNS = "pipedrive_leads.sync_runs"
AHEAD = "2099-01-01 00:00:00+00"
TIMES = ("started_at", "finished_at", "whole_as_of", "updated_until")


def run_ahead(site: Site) -> str:
    """Run, and date what is noted of that as a clock that is ahead would."""
    run_id = site.run().run_id
    dated = ", ".join(f"{name} = '{AHEAD}'" for name in TIMES)
    site.query(f"UPDATE {RUNS} SET {dated} WHERE run_id = ?", run_id)
    return run_id


def test_the_rows_of_the_last_run_are_those_of_the_last_turn(site: Site) -> None:
    leads = new_leads(site, 120)
    desire(site, leads[:40])
    run_ahead(site)
    desire(site, leads)
    assert site.run(max_changed_percent="off").exit_code == 0
    desire(site, leads[:40])
    stopped = site.run()
    assert stopped.exit_code == 4
    assert "33.3 % of the 120 of the last run" in stopped.message


def test_latest_is_the_last_turn(site: Site) -> None:
    leads = new_leads(site, 3)
    before = desire(site, leads, "First")
    run_ahead(site)
    desire(site, leads, "Second")
    last = site.run()
    assert site.revert("latest").reverts == last.run_id
    assert_titles(site, before)
    listed = site.command("runs", "--output", "json")
    assert listed.stdout.index(last.run_id) < listed.stdout.index(site.runs()[-1]["run_id"])


def test_what_was_read_last_is_what_the_last_turn_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increment, "FEW_LEADS", 5)
    desire(site, new_leads(site, 10))
    run_ahead(site)
    whole, after = site.run(), site.run()
    assert whole.whole_as_of is not None
    assert after.whole_as_of == whole.whole_as_of


def test_a_run_of_a_version_without_turns_came_before(site: Site) -> None:
    desire(site, new_leads(site, 3))
    old = run_ahead(site)
    site.query(f"ALTER TABLE {RUNS} DROP COLUMN turn")
    listed = site.command("runs", old)
    assert listed.code == 0, listed.told
    new = site.run().run_id
    found = site.query(f"SELECT run_id, turn FROM {RUNS}")
    assert {row["run_id"]: row["turn"] for row in found} == {old: None, new: 1}
    listed = site.command("runs")
    assert listed.stdout.index(new) < listed.stdout.index(old)


@pytest.mark.parametrize("kind", ["ignored", "tidied"])
def test_what_was_not_taken_counts_until_a_later_turn_took_something(
    any_site: Site, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    site = any_site
    [lead] = new_leads(site, 1, **({"text_tidied": "trim"} if kind == "tidied" else {}))
    if kind == "ignored":
        site.pipedrive.fault("ignore", method="PATCH")
    site.desire_titles({lead: "Wished "})
    with monkeypatch.context() as ahead:
        ahead.setattr(new_id, "_last", 4_070_908_800_000)  # the year 2099
        assert site.run().statuses["ignored"] == 1
    site.query(f"UPDATE pipedrive_leads.lead_outcomes SET finished_at = '{AHEAD}'")
    wishes = ["Between ", "As it is", "Wished "]
    for wish in wishes:
        site.desire_titles({lead: wish})
        assert site.run().statuses.total() == 1
        assert site.run().unchanged == 1
    assert [body["title"] for body in bodies(site.pipedrive)[lead]] == ["Wished ", *wishes]
