"""What runs have stored is forgotten once it is old, and nothing that a later run needs."""

from __future__ import annotations

import itertools
import shutil
from typing import Any

import pytest

from connector.errors import PlanError
from connector.warehouse.store import Warehouse
from tests.support.harness import Site, bodies, lead_id, writes
from tests.support.scene import kill_in_effect, packed_files, stand_still_in, watched

LEAD, OTHER = lead_id("kept"), lead_id("other")
KEEP = {"retention_days": 90}
TIMES = {
    "lead_patches": ("planned_at",),
    "lead_outcomes": ("sent_at", "finished_at"),
    "lead_field_changes": ("changed_at",),
    "plan_left_out": ("planned_at",),
    "sync_runs": ("started_at", "finished_at", "sends_from", "sends_at"),
    "_dlt_loads": ("inserted_at",),
}
STORED = ("lead_patches", "lead_outcomes", "lead_field_changes", "sync_runs")


def age(site: Site, days: int, *tables: str) -> None:
    """Let all that was stored look as if it had been so many days ago."""
    for table in tables or TIMES:
        moved = ", ".join(f"{name} = {name} - INTERVAL '{days} days'" for name in TIMES[table])
        site.query(f"UPDATE pipedrive_leads.{table} SET {moved}")


def counts(site: Site) -> list[int]:
    """How many patches, outcomes, changed fields and runs are stored."""
    return [
        site.query(f"SELECT count(*) AS n FROM pipedrive_leads.{table}")[0]["n"] for table in STORED
    ]


def prepared(site: Site) -> Site:
    site.pipedrive.reset(leads=0)
    for lead in (LEAD, OTHER):
        site.pipedrive.set_lead(lead, title="Old")
    site.desire_titles({LEAD: "New"})
    return site


@pytest.fixture
def one(site: Site) -> Site:
    return prepared(site)


def test_what_a_plan_left_out_goes_with_it(one: Site) -> None:
    def left_out() -> list[str]:
        return [row["lead_id"] for row in one.query("SELECT * FROM pipedrive_leads.plan_left_out")]

    one.desire_titles({"no-id": "New"})
    assert one.plan().statuses["rejected"] == 1
    assert one.run().exit_code == 3
    age(one, 91)
    one.desire_titles({"no-id-either": "New"})
    assert one.plan(**KEEP).exit_code == 0
    assert left_out() == ["no-id-either"]


def test_what_is_old_is_forgotten_and_the_rest_is_not(any_site: Site) -> None:
    site = prepared(any_site)
    for number in range(3):
        site.desire_titles({LEAD: f"New {number}"})
        assert site.run().statuses["applied"] == 1
    age(site, 91)
    site.desire_titles({LEAD: "Newer"})
    assert site.run().statuses["applied"] == 1
    assert counts(site) == [4, 4, 4, 4]
    last = site.run(**KEEP)
    assert counts(site) == [1, 1, 1, 2], "of the run that ended last, and of this one"
    age(site, 89)
    assert site.run(**KEEP).unchanged == 1
    assert counts(site) == [1, 1, 1, 3]
    assert {row["run_id"] for row in site.runs()} >= {last.run_id}
    assert writes(site.pipedrive)[LEAD] == 4


def test_without_the_setting_all_is_kept(one: Site) -> None:
    one.run()
    age(one, 9999)
    one.run()
    assert counts(one) == [1, 1, 1, 2]


def test_a_forgotten_run_and_plan_are_told_as_unknown(one: Site) -> None:
    done = one.run()
    one.desire_titles({LEAD: "Newer"})
    made = one.plan()
    age(one, 91)
    one.run()
    one.run(**KEEP)
    with pytest.raises(PlanError, match="no run"):
        one.revert(done.run_id)
    with pytest.raises(PlanError, match="no plan"):
        one.apply(made.plan_id)


def test_a_plan_that_may_still_be_applied_is_kept(one: Site) -> None:
    made = one.plan()
    age(one, 91)
    one.desire_titles({})
    for _ in range(2):
        one.run(**KEEP, max_age="100d", empty_desired="allow")
    assert counts(one)[0] == 1
    assert one.apply(made.plan_id, max_age="100d").statuses["applied"] == 1


def test_a_plan_that_was_applied_is_never_applied_again(one: Site) -> None:
    """Its maker is old, and the run that applied it is not."""
    made = one.plan()
    age(one, 91)
    done = one.apply(made.plan_id, max_age="100d")
    assert done.statuses["applied"] == 1
    one.run(**KEEP)
    one.run(**KEEP)
    with pytest.raises(PlanError):
        one.apply(made.plan_id, max_age="100d")
    assert one.revert(done.run_id).statuses["applied"] == 1
    assert [body["title"] for body in bodies(one.pipedrive)[LEAD]] == ["New", "Old"]


def test_what_was_refused_is_not_sent_again(one: Site) -> None:
    refused: dict[str, Any] = {"status": 400, "body": {"error": "not valid"}, "times": 1}
    one.pipedrive.fault("status", lead_id=LEAD, method="PATCH", **refused)
    assert one.run().statuses["failed"] == 1
    sent = len(one.pipedrive.requests("PATCH"))
    for _ in range(4):
        age(one, 91)
        assert one.run(**KEEP).statuses["failed"] == 1
    assert len(one.pipedrive.requests("PATCH")) == sent
    assert counts(one) == [0, 3, 0, 2]


def test_what_was_ignored_is_not_sent_again_until_something_later_was_taken(one: Site) -> None:
    one.pipedrive.fault("ignore", lead_id=LEAD, method="PATCH", times=1)
    assert one.run().statuses["ignored"] == 1
    for _ in range(3):
        age(one, 91)
        assert one.run(**KEEP).unchanged == 1
    assert len(one.pipedrive.requests("PATCH")) == 1
    one.desire_titles({LEAD: "Newer"})
    assert one.run(**KEEP).statuses["applied"] == 1
    age(one, 91)
    one.pipedrive.set_lead(LEAD, title="Old")
    one.desire_titles({LEAD: "New"})
    for _ in range(3):
        one.run(**KEEP)
        age(one, 91)
    assert [body["title"] for body in bodies(one.pipedrive)[LEAD]] == ["New", "Newer", "New"]


def test_what_was_ignored_is_sent_again_though_the_run_of_what_was_taken_later_is_forgotten(
    one: Site,
) -> None:
    """The guard of the other table's rows keeps the run before it."""
    tables = {name: {"desired_table": f"crm.{name}"} for name in ("first", "second")}
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR"}
    one.pipedrive.fault("ignore", method="PATCH")
    for (name, table), title in zip(tables.items(), ("New", "Newer"), strict=True):
        one.desire(columns, [{"lead_id": LEAD, "title": title}], f"crm.{name}")
        one.run(**table)
    age(one, 91)
    for _ in range(2):
        assert one.run(**tables["second"], **KEEP).unchanged == 1
    assert [row["turn"] for row in one.runs()] == [1, 3, 4]
    one.pipedrive.set_lead(LEAD, title="Old")
    assert one.run(**tables["first"]).statuses["applied"] == 1
    assert [body["title"] for body in bodies(one.pipedrive)[LEAD]] == ["New", "Newer", "New"]


def test_what_was_tidied_is_not_sent_again_however_old_it_is(one: Site) -> None:
    one.pipedrive.settings(text_tidied="trim")
    columns = {"lead_id": "VARCHAR", "title": "VARCHAR", "channel_id": "VARCHAR"}
    for night in range(4):
        one.desire(columns, [{"lead_id": LEAD, "title": "New ", "channel_id": f"{night}"}])
        assert one.run(**KEEP).statuses.total() == 1
        age(one, 91)
    assert [body.get("title") for body in bodies(one.pipedrive)[LEAD]] == ["New ", None, None, None]
    assert counts(one)[1] < 4


def test_of_what_is_tidied_anew_each_night_the_last_is_kept(one: Site) -> None:
    one.pipedrive.settings(text_tidied="trim")
    for night in range(5):
        one.desire_titles({LEAD: f"{night} "})
        assert one.run(**KEEP).statuses["ignored"] == 1
        age(one, 91)
    assert counts(one)[1] < 5


def test_what_is_in_doubt_is_settled_however_old_it_is(one: Site) -> None:
    one.pipedrive.fault("status", method="PATCH", status=502, times=2)
    first = one.run(max_attempts=2)
    assert first.statuses["failed"] == 1
    age(one, 91)
    one.desire_titles({OTHER: "New"})
    for lead in (OTHER, OTHER):
        assert one.run(lead=lead, **KEEP).exit_code == 0
    assert {row["took"] for row in one.outcomes(first.run_id)} == {None}
    one.pipedrive.set_lead(LEAD, title="New")  # the PATCH that had no answer arrives
    one.run(**KEEP)
    found = one.outcomes(first.run_id)
    assert [row["status"] for row in found] == ["failed", "confirmed"]
    assert one.revert(first.run_id).statuses["applied"] == 1


def test_while_a_patch_is_unfinished_nothing_is_forgotten(one: Site) -> None:
    one.run()
    one.desire_titles({LEAD: "Newer", OTHER: "New"})
    kill_in_effect(one, lambda: one.pipedrive.lead(LEAD)["title"] == "Newer")
    age(one, 91)
    before = counts(one)
    one.desire_titles({LEAD: "Newer", OTHER: "New"})
    one.run(lead=OTHER, **KEEP)
    assert counts(one)[0] >= before[0]
    later = one.run(**KEEP)
    assert later.exit_code == 0
    assert one.pipedrive.lead(LEAD)["title"] == "Newer"
    assert writes(one.pipedrive)[LEAD] == 2, "the first run's, and the killed run's"


def test_a_kill_while_forgetting_sends_nothing_again(
    one: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that are cut off after so many statements, one after the other."""
    one.pipedrive.fault("status", method="PATCH", status=502, times=2)
    one.run(max_attempts=2)
    assert one.run().statuses["applied"] == 1
    age(one, 91)
    one.run()
    sent = len(one.pipedrive.requests("PATCH"))
    for statements in (0, 1, 1, 2):
        with monkeypatch.context() as patched:
            cut_off_after(patched, statements)
            with pytest.raises(KeyboardInterrupt):
                one.run(**KEEP)
        assert one.run().unchanged == 1
    assert one.run(**KEEP).unchanged == 1
    assert len(one.pipedrive.requests("PATCH")) == sent
    assert counts(one)[:3] == [0, 0, 0]


def cut_off_after(patched: pytest.MonkeyPatch, statements: int) -> None:
    """Let a run end before it deletes more of what runs have stored."""
    execute, count = Warehouse.execute, itertools.count()

    def cut(warehouse: Warehouse, sql: str, *args: Any) -> None:
        is_stored = sql.startswith("DELETE") and "_dlt_loads" not in sql
        if is_stored and next(count) == statements:
            raise KeyboardInterrupt
        execute(warehouse, sql, *args)

    patched.setattr(Warehouse, "execute", cut)


def test_what_was_agreed_on_is_kept_before_outcomes_go(one: Site) -> None:
    assert one.run().statuses["applied"] == 1
    age(one, 91)
    one.run()
    one.run(**KEEP)
    assert counts(one)[:2] == [0, 0]
    one.pipedrive.set_lead(LEAD, title="Of a colleague")
    one.desire_titles({LEAD: "Newer"})
    assert one.run(on_conflict="crm").statuses["conflict"] == 1
    assert one.pipedrive.lead(LEAD)["title"] == "Of a colleague"


def test_the_guard_of_the_last_rows_keeps_what_it_compares_with(one: Site) -> None:
    one.desire_titles({lead_id(str(number)): "New" for number in range(120)})
    one.run(max_not_found_percent="off")
    age(one, 91)
    one.desire_titles({LEAD: "New"})
    for _ in range(2):
        assert one.command("run", retention_days=90).code == 4
    one.run(lead=LEAD, **KEEP)
    assert one.command("run", retention_days=90).code == 4


def test_the_guard_keeps_the_run_that_looked_last_where_an_older_plan_was_applied(
    one: Site,
) -> None:
    made = one.plan()
    one.desire_titles({lead_id(str(number)): "New" for number in range(120)})
    one.run(max_not_found_percent="off")
    assert one.apply(made.plan_id).statuses["applied"] == 1
    age(one, 91)
    one.desire_titles({LEAD: "New"})
    for _ in range(2):
        assert one.command("run", retention_days=90).code == 4
        one.run(lead=LEAD, **KEEP)


def test_what_a_forgotten_run_left_is_passed_over(one: Site) -> None:
    """Its machine was off for a season, and runs elsewhere have settled what it had left."""
    one.run()
    one.desire_titles({LEAD: "Newer"})
    with watched(one) as run:
        stand_still_in(run, "plan load")
        run.process.kill()
        run.ended()
    assert packed_files(one, "lead_patches")
    shutil.copytree(one.data_dir, one.folder / "away")
    assert one.run().statuses["applied"] == 1
    age(one, 91)
    for _ in range(2):
        assert one.run(**KEEP).unchanged == 1
    assert counts(one)[0] == 0
    shutil.rmtree(one.data_dir)
    shutil.copytree(one.folder / "away", one.data_dir)
    assert one.run(**KEEP).unchanged == 1
    assert counts(one)[0] == 0


def test_packages_that_dlt_has_loaded_are_forgotten_after_a_month(any_site: Site) -> None:
    site = prepared(any_site)
    site.run()
    age(site, 31, "_dlt_loads")
    site.desire_titles({LEAD: "Newer"})
    site.run()
    loads = "SELECT load_id FROM pipedrive_leads._dlt_loads"
    old = "inserted_at < CURRENT_TIMESTAMP - INTERVAL '30 days'"
    state = "SELECT _dlt_load_id AS load_id FROM pipedrive_leads._dlt_pipeline_state"
    assert site.query(f"{loads} WHERE {old}") == site.query(state)
    shutil.rmtree(site.data_dir)
    assert site.run().unchanged == 1


def test_nothing_grows_with_the_runs(any_site: Site) -> None:
    """Neither files of the working folder nor what dlt notes, whoever loses that folder."""
    site = prepared(any_site)
    seen = []
    for number in range(4):
        site.desire_titles({LEAD: f"New {number}"})
        site.run()
        files = [file for file in site.data_dir.rglob("*") if file.is_file()]
        noted = [
            site.query(f"SELECT count(*) AS n FROM {schema}.{table}")[0]["n"]
            for schema, table in (
                ("pipedrive_leads", "_dlt_pipeline_state"),
                ("pipedrive_leads", "_dlt_version"),
                ("pipedrive_leads_staging", "_dlt_version"),
                ("pipedrive_leads_staging", "lead_outcomes"),
                ("pipedrive_leads_staging", "leads"),
            )
        ]
        seen.append((len(files), noted))
        if number == 2:
            shutil.rmtree(site.data_dir)
    assert seen[1] == seen[2]
    assert seen[3][1] == seen[2][1]
