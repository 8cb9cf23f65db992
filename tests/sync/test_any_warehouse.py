"""The whole job on each warehouse that is first class: the same runs, and the same tables."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import pytest

from connector.errors import PlanError, WarehouseError
from connector.sandbox import CUSTOM_FIELDS
from connector.warehouse.desired import DesiredTable, Head
from tests.support.forking import COMMAND
from tests.support.harness import ROOT, Row, Site, bodies, finish, lead_id, writes
from tests.support.leads import COLD, HOT, SCORE
from tests.support.scene import (
    assert_titles,
    desire,
    kill_in_effect,
    let_arrive,
    new_leads,
    stand_still_in,
    wait_for,
    watched,
)

LEAD = lead_id("any")
PERIOD = CUSTOM_FIELDS["Contract period"]
CHANGES = "pipedrive_leads.lead_field_changes"
ODD = "New \ue000 🚚 'quoted' %s \\ $1"
SLOWLY: dict[str, Any] = {"workers": 4, "chunk_size": 10, "max_overwrites": "off"}


@pytest.fixture
def one(any_site: Site) -> Site:
    """One lead, on a warehouse of each kind."""
    any_site.pipedrive.reset(leads=0)
    any_site.pipedrive.set_lead(LEAD, title="Old", channel_id="1", label_ids=[HOT], **{SCORE: 1.5})
    return any_site


def wish(site: Site, columns: dict[str, str], **cells: Any) -> None:
    site.desire({"lead_id": "VARCHAR", **columns}, [{"lead_id": LEAD, **cells}])


def changed(site: Site, run_id: str) -> dict[str, tuple[Any, Any]]:
    rows = site.query(f"SELECT * FROM {CHANGES} WHERE run_id = ?", run_id)
    return {row["field"]: (row["old"], row["new"]) for row in rows}


@pytest.mark.parametrize("column", ["contract_period", "changes"])
def test_a_null_of_a_whole_period_clears_both_ends(one: Site, column: str) -> None:
    first, second = PERIOD, f"{PERIOD}_until"
    one.pipedrive.set_lead(LEAD, **{first: "2026-01-01", second: "2026-03-31"})
    cell = '{"contract_period": null}' if column == "changes" else None
    wish(one, {column: "JSON"}, **{column: cell})
    assert one.run().statuses["applied"] == 1
    assert bodies(one.pipedrive)[LEAD] == [{first: None, second: None}]
    assert one.run().unchanged == 1


def test_a_second_run_sends_nothing(one: Site) -> None:
    one.desire_titles({LEAD: ODD})
    first, second = one.run(), one.run()
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert bodies(one.pipedrive)[LEAD] == [{"title": ODD}]
    assert second.unchanged == 1
    assert second.statuses.total() == 0
    assert changed(one, first.run_id) == {"Title": ("Old", ODD)}
    assert changed(one, second.run_id) == {}


def test_null_clears_and_numbers_go_out_exactly(one: Site) -> None:
    types = {"channel_id": "VARCHAR", "label_ids": "VARCHAR[]", "lead_score": "DECIMAL(20, 4)"}
    wish(one, types, channel_id=None, label_ids=None, lead_score="50.5000")
    done = one.run()
    assert done.exit_code == 0
    assert bodies(one.pipedrive)[LEAD] == [{"channel_id": None, "label_ids": [], SCORE: 50.5}]
    [patch] = one.query("SELECT body, before FROM pipedrive_leads.lead_patches")
    assert json.loads(patch["body"]) == {"channel_id": None, "label_ids": [], SCORE: 50.5}
    assert json.loads(patch["before"]) == {"channel_id": "1", "label_ids": [HOT], SCORE: 1.5}
    assert changed(one, done.run_id) == {
        "Channel ID": ("1", None),
        "Labels": (f'["{HOT}"]', None),
        "Lead score": ("1.5", "50.5"),
    }
    assert one.run().unchanged == 1


@pytest.mark.parametrize(
    "later",
    [
        {"channel_id": "VARCHAR", "title": "VARCHAR"},
        {"title": "JSON", "channel_id": "VARCHAR"},
        {"title": "VARCHAR"},
    ],
)
def test_a_table_that_is_swapped_while_it_is_read_stops_the_run(
    one: Site, monkeypatch: pytest.MonkeyPatch, later: dict[str, str]
) -> None:
    """Its cells would come under the names of the table before."""
    wish(one, {"title": "VARCHAR", "channel_id": "VARCHAR"}, title="T", channel_id="C")
    head = DesiredTable.head

    def swap_after(table: DesiredTable) -> Head:
        found = head(table)
        wish(one, later, title='"T"', channel_id="C")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(DesiredTable, "head", swap_after)
        with pytest.raises(WarehouseError, match="got other columns while it was read; run again"):
            one.run()
    assert one.pipedrive.requests() == []


def test_changes_in_json_never_pass_a_float(one: Site) -> None:
    document = {"lead_score": 0.1, "title": "New", "label_ids": [COLD], "channel_id": None}
    wish(one, {"changes": "JSON"}, changes=json.dumps(document))
    assert one.run().exit_code == 0
    expected = {SCORE: 0.1, "title": "New", "label_ids": [COLD], "channel_id": None}
    assert bodies(one.pipedrive)[LEAD] == [expected]
    assert one.run().unchanged == 1
    wish(one, {"changes": "JSON"}, changes='{"lead_score": 12345678901234567.25}')
    assert one.run().statuses["rejected"] == 1
    assert "12345678901234567.25" in one.outcomes()[-1]["reason"]


@pytest.mark.parametrize("number", [0.1, 50.0, 1e-7, 12345678901234.5, 1e16, 99999999999999984])
def test_a_body_comes_back_from_the_warehouse_as_it_was_planned(one: Site, number: float) -> None:
    wish(one, {"lead_score": "DOUBLE"}, lead_score=number)
    made = one.plan()
    assert one.apply(made.plan_id).statuses["applied"] == 1, one.outcomes()
    assert float(bodies(one.pipedrive)[LEAD][0][SCORE]) == number


def test_a_plan_is_applied_once_and_taken_back(one: Site) -> None:
    wish(one, {"title": "VARCHAR", "lead_score": "DOUBLE"}, title="New", lead_score=0)
    made = one.plan()
    assert (made.planned, writes(one.pipedrive).total()) == (1, 0)
    done = one.apply(made.plan_id)
    assert done.statuses["applied"] == 1
    with pytest.raises(PlanError, match="applied"):
        one.apply(made.plan_id)
    back = one.revert(done.run_id)
    assert back.statuses["applied"] == 1
    assert changed(one, back.run_id) == {"Title": ("New", "Old"), "Lead score": ("0", "1.5")}
    assert bodies(one.pipedrive)[LEAD][-1] == {"title": "Old", SCORE: 1.5}


def test_what_was_agreed_on_protects_an_edit(one: Site) -> None:
    one.desire_titles({LEAD: "New"})
    assert one.run(on_conflict="crm").statuses["applied"] == 1
    one.pipedrive.set_lead(LEAD, title="Of a colleague")
    one.desire_titles({LEAD: "Newer"})
    kept = one.run(on_conflict="crm")
    assert kept.statuses["conflict"] == 1
    assert one.pipedrive.lead(LEAD)["title"] == "Of a colleague"
    [row] = one.query("SELECT lead_id, base FROM pipedrive_leads.lead_bases")
    assert (row["lead_id"], json.loads(row["base"])["title"]) == (LEAD, "New")


@pytest.mark.parametrize("is_known", [True, False])
def test_what_was_agreed_on_is_what_the_last_run_wrote_whatever_clocks_said(
    one: Site, is_known: bool
) -> None:
    for word in ("First", "Second"):
        one.desire_titles({LEAD: word})
        assert one.run().statuses["applied"] == 1
        if word == "First":
            ahead = "finished_at = '2999-01-01 00:00:00+00'"
            one.query(f"UPDATE pipedrive_leads.lead_outcomes SET {ahead}")
            if not is_known:  # as of a run that is forgotten
                one.query("DELETE FROM pipedrive_leads.sync_runs")
    one.desire_titles({LEAD: "Third"})
    assert one.run(on_conflict="crm").statuses["applied"] == 1
    assert one.pipedrive.lead(LEAD)["title"] == "Third"


def test_a_guard_stops_the_run_before_anything_is_sent(one: Site) -> None:
    one.desire_titles({LEAD: "New"})
    ended = one.command("run", max_patches="0")
    assert ended.code == 4, ended.told
    assert writes(one.pipedrive).total() == 0
    run = one.last_run()
    tripped = run["tripped"]
    assert "max_patches" in (tripped if isinstance(tripped, str) else json.dumps(tripped))
    assert run["state"] == "stopped"
    assert one.run().statuses["applied"] == 1


def test_a_send_in_effect_when_the_run_was_killed_is_found_out(one: Site) -> None:
    one.desire_titles({LEAD: "New"})
    killed = kill_in_effect(one, lambda: one.pipedrive.lead(LEAD)["title"] == "New")
    later = one.run()
    assert later.statuses["confirmed"] == 1
    [outcome] = one.outcomes()
    assert (outcome["run_id"], outcome["settled_by"]) == (killed, later.run_id)
    assert changed(one, killed) == {"Title": ("Old", "New")}
    assert writes(one.pipedrive) == {LEAD: 1}


@pytest.mark.parametrize("phase", ["plan load", "sending", "chunk load"])
def test_a_kill_loses_and_repeats_nothing(any_site: Site, phase: str) -> None:
    titles = desire(any_site, new_leads(any_site, 40, latency_ms=50))
    with watched(any_site, **SLOWLY) as run:
        stand_still_in(run, phase)
        run.process.kill()
        assert run.ended().code == -signal.SIGKILL
    any_site.pipedrive.settings(latency_ms=0)
    let_arrive(any_site)
    assert any_site.run(max_overwrites="off").exit_code == 0
    assert_titles(any_site, titles)
    assert writes(any_site.pipedrive) == dict.fromkeys(titles, 1)
    assert any_site.outcomes_of_patches() == [1] * len(titles)
    rows = any_site.query(f"SELECT lead_id, new FROM {CHANGES}")
    assert {row["lead_id"]: row["new"] for row in rows} == titles
    assert len(rows) == len(titles)


def test_of_two_machines_one_has_its_turn(any_site: Site) -> None:
    titles = desire(any_site, new_leads(any_site, 40, latency_ms=50))
    with watched(any_site, **SLOWLY) as run:
        wait_for(run, "sending")
        run.process.send_signal(signal.SIGSTOP)  # however long the other takes to start
        second = subprocess.Popen(
            [str(COMMAND), "run"],
            env=any_site.environment(**SLOWLY) | {"DLT_DATA_DIR": str(any_site.folder / "other")},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        refused = finish(second)
        run.process.send_signal(signal.SIGCONT)
        first = run.ended()
    assert (first.code, refused.code) == (0, 6), refused.told
    assert f"another run is under way: process {run.process.pid} on" in refused.stderr
    assert writes(any_site.pipedrive) == dict.fromkeys(titles, 1)


def test_the_questions_of_the_audit_have_answers(one: Site) -> None:
    wish(one, {"title": "VARCHAR", "channel_id": "VARCHAR"}, title="New", channel_id=None)
    done = one.run()
    one.pipedrive.fault("status", method="PATCH", status=400, body={"error": "no"}, times=9)
    wish(one, {"title": "VARCHAR"}, title="Newer")
    one.run()
    assert answers(one) == [
        [
            {"command": "run", "field": "Channel ID", "old": "1", "new": None},
            {"command": "run", "field": "Title", "old": "Old", "new": "New"},
        ],
        [{"lead_id": LEAD, "field": "Channel ID", "old": "1"}],
        [{"lead_id": LEAD, "nights": 1}],
    ]
    assert done.statuses["applied"] == 1


def test_changed_fields_are_noted_anew_from_the_outcomes(one: Site) -> None:
    """As for a dataset of the version that had no such table."""
    wish(one, {"title": "VARCHAR", "lead_score": "DOUBLE"}, title=ODD, lead_score=50.25)
    one.run()
    one.desire_titles({LEAD: "Newer"})
    one.run()
    sql = f"SELECT * FROM {CHANGES} ORDER BY change_id"
    before = [without_dlts(row) for row in one.query(sql)]
    assert len(before) == 3
    one.query(f"DROP TABLE {CHANGES}")
    one.plan()
    assert [without_dlts(row) for row in one.query(sql)] == before


def without_dlts(row: Row) -> Row:
    return {name: value for name, value in row.items() if not name.startswith("_dlt")}


def test_check_writes_and_leaves_nothing_behind(one: Site) -> None:
    one.desire_titles({LEAD: "New"})
    for state in ("new", "in use"):
        if state == "in use":
            assert one.run().statuses["applied"] == 1
        before = objects(one)
        ended = one.command("check")
        assert (ended.code, "can be written" in ended.told) == (0, True), ended.told
        assert objects(one) == before


def objects(site: Site) -> list[Row]:
    """Return every schema and table, with how many rows it has."""
    schemas = site.query("SELECT schema_name FROM information_schema.schemata ORDER BY 1")
    tables = site.query(
        "SELECT table_schema, table_name FROM information_schema.tables "
        "WHERE table_schema LIKE 'pipedrive_leads%' ORDER BY 1, 2"
    )
    for table in tables:
        name = '"{table_schema}"."{table_name}"'.format(**table)
        table["rows"] = site.query(f"SELECT count(*) AS n FROM {name}")[0]["n"]
    return schemas + tables


def answers(site: Site) -> list[list[Row]]:
    """Ask what the README asks, in words that every warehouse has."""
    return [
        site.query(
            f"SELECT r.command, c.field, c.old, c.new FROM {CHANGES} c "
            "JOIN pipedrive_leads.sync_runs r USING (run_id) "
            "WHERE c.lead_id = ? ORDER BY c.changed_at, c.field",
            LEAD,
        ),
        site.query(
            f"SELECT lead_id, field, old FROM {CHANGES} WHERE new IS NULL AND run_id = "
            "(SELECT min(run_id) FROM pipedrive_leads.sync_runs WHERE command = 'run')"
        ),
        site.query(
            "SELECT lead_id, count(*) AS nights FROM pipedrive_leads.lead_outcomes "
            "WHERE status IN ('failed', 'rejected', 'ignored', 'conflict') "
            "GROUP BY lead_id, reason ORDER BY nights DESC"
        ),
    ]


def test_what_no_warehouse_can_hold_is_kept_escaped(one: Site) -> None:
    one.pipedrive.set_lead(LEAD, title="a\x00b")
    one.desire_titles({LEAD: "New"})
    done = one.run()
    assert done.statuses["applied"] == 1
    assert changed(one, done.run_id)["Title"] == ("a\\u0000b", "New")


STRANGE = (
    "",
    "\\",
    "\\.",
    "\\N",
    "a\\tb",
    "a\tb",
    "a\r\nb\n\\.\nc",
    '"',
    "a,b",
    "null",
    "\ue000 🚚",
    "\x01",
)


def test_the_mirror_has_every_text_as_it_is(any_site: Site) -> None:
    """Each warehouse has its own way of loading, with characters of its own to be escaped."""
    texts = dict(zip(new_leads(any_site, len(STRANGE)), STRANGE, strict=True))
    for lead, text in texts.items():
        any_site.pipedrive.set_lead(lead, title=f"{text}!", channel_id=text, note=text)
    any_site.desire_titles({lead: f"{text}!" for lead, text in texts.items()})
    assert any_site.run().unchanged == len(texts)
    shown, mirror = any_site.pipedrive.leads(), any_site.mirror()
    for lead, text in texts.items():
        row = mirror[lead]
        assert (row["title"], row["channel_id"]) == (f"{text}!", text or None)
        assert row["record"] == shown[lead]
