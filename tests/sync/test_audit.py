"""The audit table: who changed which field of which lead, in the words of the CRM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from connector.sandbox import CUSTOM_FIELDS
from tests.support.harness import NewSite, Row, Site, lead_id
from tests.support.leads import COLD, HOT, SCORE

pytestmark = pytest.mark.xdist_group("sync audit")

VIEW = "pipedrive_leads.lead_field_changes"
COST, TIER = CUSTOM_FIELDS["Deal cost"], CUSTOM_FIELDS["Tier"]
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "label_ids": "VARCHAR[]",
    "channel_id": "VARCHAR",
    "was_seen": "BOOLEAN",
    "lead_score": "DOUBLE",
    "tier": "VARCHAR",
    "deal_cost": "DOUBLE",
    "deal_cost_currency": "VARCHAR",
}
LEAD: Row = {
    "title": "Old",
    "label_ids": [HOT, COLD],
    "channel_id": "Spring",
    "was_seen": False,
    SCORE: 1.5,
    TIER: "190",
    COST: 10,
    f"{COST}_currency": "USD",
}
SAME: Row = {
    "title": "Old",
    "label_ids": [HOT, COLD],
    "channel_id": "Spring",
    "was_seen": False,
    "lead_score": 1.5,
    "tier": "Gold",
    "deal_cost": 10,
    "deal_cost_currency": "USD",
}
ROWS: dict[str, Row] = {
    "changed": {"title": "New – “quoted”", "lead_score": 0, "was_seen": True, "tier": "Silver"},
    "cleared": {"channel_id": None, "label_ids": [], "lead_score": None, "deal_cost": None},
    "filled": {"label_ids": [HOT], "deal_cost_currency": "EUR"},
    "confirmed": {"title": "New"},
    "refused": {"title": "New"},
    "ignored": {"title": "New"},
    "gone": {"title": "New"},
    "bad": {"title": " "},
}


@dataclass(frozen=True)
class Seen:
    """A run, the same again, and what the audit says."""

    site: Site
    first: str
    second: str

    def changes(self, name: str) -> dict[str, tuple[Any, Any]]:
        sql = f"SELECT field, old, new FROM {VIEW} WHERE lead_id = ?"
        rows = self.site.query(sql, lead_id(name))
        found = {row["field"]: (row["old"], row["new"]) for row in rows}
        assert len(found) == len(rows)
        return found


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    site = new_site()
    pipedrive = site.pipedrive
    pipedrive.reset(leads=0)
    for name in ROWS:
        pipedrive.set_lead(lead_id(name), **LEAD)
    pipedrive.set_lead(lead_id("filled"), label_ids=[])
    pipedrive.delete_lead(lead_id("gone"))
    refused: dict[str, Any] = {"status": 400, "body": {"error": "not valid"}, "times": 9}
    pipedrive.fault("status", lead_id=lead_id("refused"), method="PATCH", **refused)
    pipedrive.fault("ignore", lead_id=lead_id("ignored"), method="PATCH", times=9)
    pipedrive.fault("reset_after", lead_id=lead_id("confirmed"), method="PATCH")
    rows = [{**SAME, **cells, "lead_id": lead_id(name)} for name, cells in ROWS.items()]
    site.desire(COLUMNS, rows)
    first, second = site.run(), site.run()
    counts = {status: count for status, count in first.statuses.items() if count}
    assert counts == {
        "applied": 3,
        "confirmed": 1,
        "failed": 1,
        "ignored": 1,
        "not_found": 1,
        "rejected": 1,
    }
    return Seen(site, first.run_id, second.run_id)


def test_there_is_a_row_for_each_field_by_its_name(seen: Seen) -> None:
    assert seen.changes("changed") == {
        "Title": ("Old", "New – “quoted”"),
        "Lead score": ("1.5", "0"),
        "Seen": ("false", "true"),
        "Tier": ("190", "191"),
    }


def test_what_is_cleared_is_null(seen: Seen) -> None:
    assert seen.changes("cleared") == {
        "Channel ID": ("Spring", None),
        "Labels": (f'["{HOT}","{COLD}"]', None),
        "Lead score": ("1.5", None),
        "Deal cost": ("10", None),
    }
    assert seen.changes("filled") == {
        "Labels": (None, f'["{HOT}"]'),
        "Deal cost currency": ("USD", "EUR"),
    }


def test_only_what_is_in_effect_is_told(seen: Seen) -> None:
    assert seen.changes("confirmed") == {"Title": ("Old", "New")}
    for name in ("refused", "ignored", "gone", "bad"):
        assert seen.changes(name) == {}


def test_who_changed_this_lead(seen: Seen) -> None:
    rows = seen.site.query(
        f"SELECT changed_at, run_id, field, status FROM {VIEW} WHERE lead_id = ? ORDER BY field",
        lead_id("changed"),
    )
    assert {(row["run_id"], row["status"]) for row in rows} == {(seen.first, "applied")}
    assert [row["field"] for row in rows] == ["Lead score", "Seen", "Tier", "Title"]
    assert all(row["changed_at"] for row in rows)


def test_what_last_nights_run_cleared(seen: Seen) -> None:
    rows = seen.site.query(
        f"SELECT field, count(*) AS n FROM {VIEW} WHERE run_id = ? AND new IS NULL "
        "GROUP BY field ORDER BY field",
        seen.first,
    )
    cleared = ["Channel ID", "Deal cost", "Labels", "Lead score"]
    assert [(row["field"], row["n"]) for row in rows] == [(field, 1) for field in cleared]


def test_which_leads_fail_every_night(seen: Seen) -> None:
    rows = seen.site.query(
        "SELECT lead_id, count(DISTINCT run_id) AS nights, any_value(reason) AS reason "
        "FROM pipedrive_leads.lead_outcomes WHERE status IN ('failed', 'rejected', 'ignored') "
        "GROUP BY lead_id HAVING nights = (SELECT count(*) FROM pipedrive_leads.sync_runs "
        "WHERE command = 'run') ORDER BY lead_id"
    )
    failing = sorted(lead_id(name) for name in ("refused", "bad"))
    assert [row["lead_id"] for row in rows] == failing
    assert all(row["nights"] == 2 and row["reason"] for row in rows)


def test_a_second_run_adds_nothing(seen: Seen) -> None:
    assert seen.site.query(f"SELECT * FROM {VIEW} WHERE run_id = ?", seen.second) == []


def test_a_revert_is_told_with_the_two_values_exchanged(seen: Seen) -> None:
    reverted = seen.site.revert(seen.first, lead=lead_id("cleared"))
    sql = f"SELECT field, old, new FROM {VIEW} WHERE run_id = ?"
    rows = seen.site.query(sql, reverted.run_id)
    assert {row["field"]: (row["new"], row["old"]) for row in rows} == {
        "Channel ID": ("Spring", None),
        "Labels": (f'["{HOT}","{COLD}"]', None),
        "Lead score": ("1.5", None),
        "Deal cost": ("10", None),
        "Deal cost currency": ("USD", None),
    }


def test_what_somebody_else_had_done_already_is_no_change(site: Site) -> None:
    lead = lead_id("theirs")
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(lead, **LEAD)
    row = {**SAME, "lead_id": lead, "title": "New", "label_ids": [COLD], "lead_score": 4}
    site.desire(COLUMNS, [row])
    made = site.plan()
    site.pipedrive.set_lead(lead, **{"title": "New", "label_ids": [COLD.upper()], SCORE: 4.0})
    assert site.apply(made.plan_id).statuses["confirmed"] == 1
    assert site.query(f"SELECT * FROM {VIEW}") == []


def test_a_renamed_field_is_told_by_the_name_that_it_had_then(seen: Seen) -> None:
    names = seen.site.query("SELECT key, name, type FROM pipedrive_leads.lead_fields")
    by_key = {row["key"]: (row["name"], row["type"]) for row in names}
    assert len(by_key) == len(names)
    assert by_key[TIER] == ("Tier", "enum")
    seen.site.query("UPDATE pipedrive_leads.lead_fields SET name = 'Level' WHERE key = ?", TIER)
    seen.site.run()
    names = seen.site.query("SELECT name FROM pipedrive_leads.lead_fields WHERE key = ?", TIER)
    assert names == [{"name": "Tier"}]
    assert seen.changes("changed")["Tier"] == ("190", "191")


def test_what_settles_a_doubt_later_is_told_once(site: Site) -> None:
    lead = lead_id("late")
    site.pipedrive.reset(leads=0)
    site.pipedrive.set_lead(lead, **LEAD)
    site.desire(COLUMNS, [{**SAME, "lead_id": lead, "title": "New"}])
    site.pipedrive.fault("status", method="PATCH", status=502, times=2)
    first = site.run(max_attempts=2)
    assert site.query(f"SELECT * FROM {VIEW}") == []
    site.pipedrive.set_lead(lead, title="New")  # the PATCH that had no answer arrives
    for _ in range(2):
        site.run()
    [change] = site.query(f"SELECT * FROM {VIEW}")
    told = (change["run_id"], change["field"], change["old"], change["new"], change["status"])
    assert told == (first.run_id, "Title", "Old", "New", "confirmed")
    doubt, settled = site.outcomes()
    assert settled["settled_by"]
    assert doubt["sent_at"] < doubt["finished_at"]
    assert change["changed_at"] == settled["sent_at"] == doubt["sent_at"]


VIEW_OF_BEFORE = f"""
CREATE VIEW {VIEW} AS SELECT c.finished_at AS changed_at, c.run_id, c.lead_id,
    coalesce(f.name, c.key) AS field,
    nullif(json_extract_string(c.before, '$."' || c.key || '"'), '[]') AS old,
    nullif(json_extract_string(c.body, '$."' || c.key || '"'), '[]') AS new,
    c.status, c.key, c.patch_id
FROM (SELECT o.*, unnest(CAST(o.took AS VARCHAR[])) AS key
      FROM pipedrive_leads.lead_outcomes o WHERE o.patch_id IS NOT NULL) c
LEFT JOIN pipedrive_leads.lead_fields f ON f.key = c.key WHERE old IS DISTINCT FROM new
"""
"""As the version before made it; it took for the time of a change when its outcome was known."""


def test_the_view_of_an_earlier_version_becomes_a_table_with_the_same_rows(
    new_site: NewSite,
) -> None:
    site = new_site()
    site.pipedrive.reset(leads=0)
    for name in ("changed", "cleared", "filled"):
        site.pipedrive.set_lead(lead_id(name), **LEAD)
    rows = [
        {**SAME, **ROWS[name], "lead_id": lead_id(name)}
        for name in ("changed", "cleared", "filled")
    ]
    site.desire(COLUMNS, rows)
    site.run()
    columns = "run_id, lead_id, field, old, new, status, key, patch_id"
    of_view = f"SELECT {columns} FROM {VIEW} ORDER BY patch_id, key"
    sql = f"SELECT changed_at, {columns} FROM {VIEW} ORDER BY patch_id, key"
    as_table, untimed = site.query(sql), site.query(of_view)
    site.query(f"DROP TABLE {VIEW}")
    site.query(VIEW_OF_BEFORE)
    assert site.query(of_view) == untimed
    told = "changed fields of outcomes of an earlier version"
    ended = site.command("plan", "--log-format", "text")
    assert ended.code == 0, ended.told
    assert f"noted {len(as_table)} {told}" in ended.told
    assert site.query(sql) == as_table
    views = site.query("SELECT * FROM information_schema.tables WHERE table_type = 'VIEW'")
    assert views == []
    assert told not in site.command("plan", "--log-format", "text").told
