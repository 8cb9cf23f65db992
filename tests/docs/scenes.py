"""What happens beside the commands of a page: a colleague's edit, a night's change of a table."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb
import jinja2

from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from connector.sync.lock import hold
from tests.support.forking import COMMAND, Forked
from tests.support.harness import ended_at_last, run_to_end, wait_until
from tests.support.postgres import PASSWORD, serving_postgres

OURS = "SOURCES__PIPEDRIVE_LEADS__"
LEADS = (
    "1027c4d1-c386-4bc4-8d61-3e30d8f16adf",
    "34c8d03a-b7d9-465c-9da7-7d913d90fd27",
    "0d589a58-c842-419a-81fb-e94cb8378d82",
)


@dataclass(frozen=True)
class Stage:
    """Where a page is played: a project's folder, an account, and the environment of commands."""

    project: Path
    data_dir: Path
    pipedrive: LocalPipedrive
    environment: dict[str, str]
    others: ExitStack
    """Other programs, until they end."""
    servers: ExitStack
    """What serves until the page has ended."""
    shown: dict[str, str]
    """What stands on a page in the place of what is so here."""

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.project / "warehouse.duckdb"

    def execute(self, sql: str) -> None:
        """Execute statements in the warehouse."""
        with duckdb.connect(str(self.warehouse)) as connection:
            connection.execute(sql)


def set_up(folder: Path, pipedrive: LocalPipedrive) -> Stage:
    """Return a stage on which the account and the warehouse are set in the environment."""
    project, data_dir = folder / "crm", folder / "dlt"
    project.mkdir()
    kept = {name: value for name, value in os.environ.items() if "__" not in name}
    environment = {
        **kept,
        "COLUMNS": "200",
        "DLT_DATA_DIR": str(data_dir),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{project / 'warehouse.duckdb'}",
        f"{OURS}BASE_URL": pipedrive.base_url,
        f"{OURS}API_TOKEN": pipedrive.api_token,
        "PIPEDRIVE_TOKEN": pipedrive.api_token,
    }
    stage = Stage(project, data_dir, pipedrive, environment, ExitStack(), ExitStack(), {})
    stage.execute("CREATE SCHEMA crm")
    return stage


def nothing_is_set_up(stage: Stage) -> None:
    """Leaves a folder with nothing in it, and a token in a variable."""
    stage.warehouse.unlink()
    for name in [name for name in stage.environment if name.startswith((OURS, "DESTINATION__"))]:
        del stage.environment[name]


def a_colleague_renames_a_lead(stage: Stage) -> None:
    """Somebody edits a lead in Pipedrive between a plan and its application."""
    lead = "cebb898a-e76d-45ef-9baf-02cfcf80f751"
    stage.pipedrive.set_lead(lead, title="Alpenrose Robotics – on hold")


def dbt_builds_the_model(stage: Stage) -> None:
    """Builds the model as dbt does with the target `main`: in the schema `main_crm`."""
    template = (stage.project / "models/lead_changes.sql").read_text()
    told: dict[str, str] = {}
    query = jinja2.Template(template).render(config=lambda **given: told.update(given) or "")
    schema = f"main_{told['schema']}"
    stage.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.lead_changes AS {query}")


def a_dbt_project_is_there(stage: Stage) -> None:
    """Makes a folder with the dbt project `shop`, which builds in a DuckDB file."""
    nothing_is_set_up(stage)
    (stage.project / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")
    (stage.project / "profiles.yml").write_text(
        "shop:\n  target: dev\n  outputs:\n"
        "    dev: {type: duckdb, path: warehouse.duckdb, schema: main}\n"
    )


def the_analyst_writes_a_query(stage: Stage) -> None:
    """Puts a query of five leads into the model; the owner's column has another name yet."""
    (stage.project / "models/lead_changes.sql").write_text(
        "{{ config(materialized='table', schema='crm') }}\n"
        "SELECT * FROM (VALUES\n"
        f"  ('{LEADS[0]}', 'Harbour Retail – renewal', 'Silver', 'ada.lind@example.com'),\n"
        f"  ('{LEADS[1]}', 'Lakeside Media – warehouse roll-out', NULL, 'Ada Lind'),\n"
        f"  ('{LEADS[2]}', 'Alpenrose Retail – second office', 'Goldd', NULL)\n"
        ") AS t (lead_id, title, tier, owner)\n"
    )


def dbt_builds(stage: Stage) -> None:
    """Builds the model anew, as `dbt build` does."""
    stage.execute("DROP TABLE IF EXISTS main_crm.lead_changes; DROP SCHEMA IF EXISTS main_crm")
    dbt_builds_the_model(stage)


def the_marts_are_in_postgres(stage: Stage) -> None:
    """Leaves a folder with nothing in it, and a PostgreSQL whose marts may be read alone."""
    nothing_is_set_up(stage)
    server = stage.servers.enter_context(serving_postgres())
    server.execute("postgres", "CREATE DATABASE shop")
    titles = ("Harbour Retail – renewal", "Lakeside Media – roll-out", "Alpenrose Retail")
    tiers = ("Silver", "Gold", "Bronze")
    rows = [str(row) for row in zip(LEADS, titles, tiers, strict=True)]
    for sql in (
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
        "CREATE SCHEMA marts",
        "CREATE TABLE marts.lead_changes (lead_id text, title text, tier text)",
        f"INSERT INTO marts.lead_changes VALUES {', '.join(rows)}",
        "GRANT USAGE ON SCHEMA marts TO reader",
        "GRANT SELECT ON marts.lead_changes TO reader",
    ):
        server.execute("shop", sql)
    url = server.url("shop", "reader")
    stage.environment["MARTS"] = url
    stage.environment["BUILDER"] = server.url("shop")
    stage.shown[url] = "postgresql://reader:password@db.example.com/shop"
    stage.shown[f"127.0.0.1:{server.port}"] = "db.example.com"


def the_other_run_ends_soon(stage: Stage) -> None:
    """Lets the other run end while a command waits for it."""
    timer = threading.Timer(2, stage.others.close)
    stage.servers.callback(timer.join)
    timer.start()


def a_run_is_killed(stage: Stage) -> None:
    """Lets a run be killed once Pipedrive has done three PATCHes and answered none of them."""
    stage.execute(
        "CREATE OR REPLACE TABLE crm.sound AS FROM crm.lead_changes; "
        "UPDATE crm.lead_changes SET title = title || ' (2027)' WHERE lead_id IN "
        "(SELECT lead_id FROM crm.lead_changes ORDER BY lead_id LIMIT 3)"
    )
    stage.pipedrive.fault("hang", method="PATCH", seconds=2, write="before", times=3)
    nowhere = subprocess.DEVNULL
    call, environment = [str(COMMAND), "run"], stage.environment

    def have_hung() -> bool:
        faults = [row["fault"] for row in stage.pipedrive.requests("PATCH")]
        return faults.count("hang") == 3

    started = Forked(call, env=environment, cwd=stage.project, stdout=nowhere, stderr=nowhere)
    with ended_at_last(started) as run:
        wait_until(have_hung, "nothing was sent")
        run.kill()
        run.wait()


def pipedrive_refuses_a_lead(stage: Stage) -> None:
    """Lets Pipedrive refuse one PATCH, as where a rule of the company forbids it."""
    stage.execute(
        "UPDATE crm.lead_changes SET title = 'Harbour Motors – no such thing' "
        "WHERE lead_id LIKE '01f12d28%'"
    )
    body = {"success": False, "error": "Title is not allowed by a rule of your company"}
    stage.pipedrive.fault("status", status=400, method="PATCH", body=body)


def the_marts_are_elsewhere(stage: Stage) -> None:
    """Puts desired rows into a file of their own, and lets the one for the tables be made."""
    stage.execute(
        "CREATE TABLE crm.lead_changes AS "
        "SELECT '1027c4d1-c386-4bc4-8d61-3e30d8f16adf' AS lead_id, 'Harbour Retail' AS title"
    )
    stage.warehouse.rename(stage.project / "marts.duckdb")


def a_night_is_over(stage: Stage) -> None:
    """Makes a table of 30 leads that wants them just as they are."""
    leads = sorted(stage.pipedrive.leads().values(), key=lambda lead: str(lead["id"]))[:30]
    stage.execute(
        "CREATE TABLE crm.lead_changes (lead_id VARCHAR, title VARCHAR, tier VARCHAR, "
        "expected_close_date DATE)"
    )
    names = ("id", "title", CUSTOM_FIELDS["Tier"], "expected_close_date")
    with duckdb.connect(str(stage.warehouse)) as connection:
        rows = [[lead.get(name) for name in names] for lead in leads]
        connection.executemany("INSERT INTO crm.lead_changes VALUES (?, ?, ?, ?)", rows)


def a_join_breaks(stage: Stage) -> None:
    """Lets the join that fills two columns find nothing."""
    stage.execute(
        "CREATE TABLE crm.sound AS FROM crm.lead_changes; "
        "UPDATE crm.lead_changes SET tier = NULL, expected_close_date = NULL"
    )


def the_join_is_mended(stage: Stage) -> None:
    """Builds the table as it was before."""
    stage.execute(
        "CREATE OR REPLACE TABLE crm.lead_changes AS FROM crm.sound; DROP TABLE crm.sound"
    )


def everything_is_renamed(stage: Stage) -> None:
    """Lets the table want another title of every lead."""
    stage.execute("UPDATE crm.lead_changes SET title = title || ' (2027)'")


def another_run_is_under_way(stage: Stage) -> None:
    """Lets another process hold the working folder."""
    stage.others.enter_context(hold(stage.data_dir / "pipelines/pipedrive_leads"))


def the_other_run_ends(stage: Stage) -> None:
    """Lets it end."""
    stage.others.close()


def a_run_has_changed_leads(stage: Stage) -> None:
    """Lets the job change, clear and miss a few leads."""
    stage.execute(
        "CREATE TABLE crm.lead_changes AS FROM (VALUES "
        "('0d589a58-c842-419a-81fb-e94cb8378d82', 'Alpenrose Retail – second office', 'Gold'), "
        "('34c8d03a-b7d9-465c-9da7-7d913d90fd27', 'Lakeside Media – warehouse roll-out', NULL), "
        "('e9a413ca-5975-4f83-8297-c0d69aff956c', 'Summit Clinics – warehouse roll-out', 'Goldd')"
        ") AS t (lead_id, title, tier)"
    )
    run_to_end([str(COMMAND), "run"], stage.environment, cwd=stage.project, forked=True)


def the_marts_are_built(stage: Stage) -> None:
    """Builds the mart that a desired table is made of."""
    stage.execute(
        "CREATE SCHEMA marts; CREATE TABLE marts.leads AS "
        "SELECT '1027c4d1-c386-4bc4-8d61-3e30d8f16adf' AS lead_id, 'New title' AS title, "
        "'ada.lind@example.com' AS owner_email, ['Hot'] AS labels, 10.5 AS value_amount, "
        "'EUR' AS value_currency, 5 AS lead_score, 'Gold' AS tier"
    )
