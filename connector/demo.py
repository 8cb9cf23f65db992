"""The demo: the main job on a local Pipedrive and a new DuckDB file, with every case in it."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.configuration.providers import configured_as, one_line
from connector.errors import LeadSyncError
from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.records.definitions import custom_fields
from connector.records.fields import Field, fold
from connector.records.leads import LEADS, standard_fields
from connector.records.text import visible
from connector.report.endings import print_summary
from connector.report.plans import PlanReport
from connector.report.progress import show_progress
from connector.report.screen import say
from connector.report.terminal import print_columns
from connector.sandbox import LocalPipedrive
from connector.sync.explanation import explain_columns
from connector.sync.reading import label_options, user_options
from connector.sync.runs import apply_revert, plan, plan_revert, run
from connector.warehouse.schema import SYNC_LEASE, TABLES

WAREHOUSE = Path("demo.duckdb")
OWN_SETTINGS = {
    "destination": {
        "warehouse": {"destination_type": "duckdb", "credentials": f"duckdb:///{WAREHOUSE}"}
    }
}
DESIRED, BROKEN = "crm.lead_changes", "crm.broken_join"
BOOKS = re.compile(
    rf"pipedrive_leads(_staging)?\.(_dlt_\w+|{'|'.join([*TABLES, SYNC_LEASE.name])})"
)
"""The tables that runs of the demo write."""
CONTENTS = """
SELECT schema_name || '.' || table_name FROM duckdb_tables()
UNION ALL SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal
UNION ALL SELECT schema_name || '.' || function_name FROM duckdb_functions() WHERE NOT internal
UNION ALL SELECT schema_name || '.' || sequence_name FROM duckdb_sequences()
UNION ALL SELECT schema_name || '.' || type_name FROM duckdb_types() WHERE NOT internal"""
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "owner_email": "VARCHAR",
    "labels": "VARCHAR[]",
    "person_id": "BIGINT",
    "organization_id": "BIGINT",
    "value_amount": "DECIMAL(12, 2)",
    "value_currency": "VARCHAR",
    "expected_close_date": "DATE",
    "lead_score": "DOUBLE",
    "tier": "VARCHAR",
    "products": "VARCHAR[]",
    "account_manager": "VARCHAR",
    "deal_cost": "DECIMAL(12, 2)",
    "deal_cost_currency": "VARCHAR",
}
OUTCOMES = """
SELECT o.status, m.title, o.attempts AS tries,
       coalesce(o.reason, len(json_keys(o.body)) || ' changed') AS what
FROM pipedrive_leads.lead_outcomes o LEFT JOIN pipedrive_leads.leads m ON m.id = o.lead_id
WHERE o.run_id = '{run_id}'
ORDER BY o.status, o.outcome_id"""

Row = dict[str, Any]


def play(out: Console) -> int:
    """Plays the demo and returns the exit code; it leaves its DuckDB file behind.

    Raises:
        LeadSyncError: The local Pipedrive does not start, or the file is somebody's own.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        pipedrive = stack.enter_context(local_pipedrive())
        stack.enter_context(configured_as(OWN_SETTINGS, Path(folder)))
        remove_earlier(WAREHOUSE)
        busy = fill(WAREHOUSE, pipedrive)
        account: dict[str, Any] = {"base_url": pipedrive.base_url, "api_token": pipedrive.api_token}
        show_columns(out, account)
        show_guard(out, account)
        show_plan(out, account)
        pipedrive.fault("status", status=429, lead_id=busy, method="PATCH")
        run_id = show_run(out, account)
        pipedrive.clear_requests()
        show_second_run(out, account)
        say(out, f"PATCHes that the local Pipedrive saw: {len(pipedrive.requests('PATCH'))}.")
        show_revert(out, account, run_id)
    headline(out, f"All of it is in {WAREHOUSE}; to look at it")
    python = os.path.relpath(sys.executable)
    query = f"duckdb.connect('{WAREHOUSE}').sql('FROM pipedrive_leads.sync_runs').show()"
    say(out, f'{python} -c "import duckdb; {query}"')
    return 0


def remove_earlier(warehouse: Path) -> None:
    """Removes the file of an earlier demo.

    Raises:
        LeadSyncError: It cannot be read, or it has anything that no demo makes.
    """
    if not warehouse.exists():
        return
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            found = {name for (name,) in connection.execute(CONTENTS).fetchall()}
    except duckdb.Error as error:
        wrong = f"cannot be read ({one_line(error)})"
    else:
        others = sorted(name for name in found - {DESIRED, BROKEN} if not BOOKS.fullmatch(name))
        if BROKEN in found and not others:
            warehouse.unlink()
            return
        wrong = f"has {visible(others[0])}, which no demo makes" if others else "is no demo's"
    raise LeadSyncError(
        f"the demo would replace {warehouse}, but that {wrong}; move it away, or play the demo in "
        "another folder"
    )


@contextmanager
def local_pipedrive() -> Iterator[LocalPipedrive]:
    """Yields a local Pipedrive; one that does not start, as without its extra, is told in a line.

    Raises:
        LeadSyncError: It does not start.
    """
    with ExitStack() as stack:
        try:
            pipedrive = stack.enter_context(LocalPipedrive(latency_ms=40))
        except RuntimeError as error:
            raise LeadSyncError(f"the demo cannot be played: {error}") from None
        yield pipedrive


def show_columns(out: Console, account: Mapping[str, Any]) -> None:
    """Prints what each column of the desired table manages."""
    headline(out, "lead-sync columns: what the desired table manages")
    print_columns(out, explain_columns(**account))


def show_plan(out: Console, account: Mapping[str, Any]) -> None:
    """Prints what would change; nothing is sent."""
    headline(out, "lead-sync plan: what would change")
    report = PlanReport(out)
    report.finish(plan(**account, show=report.show))


def show_guard(out: Console, account: Mapping[str, Any]) -> None:
    """Runs on a table whose join has found nothing, so that every value would be cleared."""
    headline(out, "lead-sync run, on a table with a broken join: a guard stops it")
    print_summary(out, run(**account, desired_table=BROKEN))


def show_run(out: Console, account: Mapping[str, Any]) -> str:
    """Applies it and prints what came of it, as the warehouse has it; returns the run."""
    headline(out, "lead-sync run: one of the PATCHes meets a 429, waits and passes")
    with show_progress() as progress:
        summary = run(**account, progress=progress)
    print_summary(out, summary)
    query = OUTCOMES.format(run_id=summary.run_id)
    headline(out, query.strip())
    with duckdb.connect(str(WAREHOUSE), read_only=True) as connection:
        found = connection.sql(query)
        table = Table(*found.columns)
        for row in found.fetchall():
            table.add_row(*(Text("—" if value is None else visible(value)) for value in row))
    out.print(table, soft_wrap=False)
    return summary.run_id


def show_second_run(out: Console, account: Mapping[str, Any]) -> None:
    """Runs once more: what already says what is wanted is not sent again."""
    headline(out, "lead-sync run, again: nothing is left to send")
    print_summary(out, run(**account))


def show_revert(out: Console, account: Mapping[str, Any], run_id: str) -> None:
    """Takes the run back: every lead that it changed is as it was before.

    Args:
        out: Where to print.
        account: The settings of the demo's account.
        run_id: The run.
    """
    headline(out, f"lead-sync revert {run_id}: all as it was")
    report = PlanReport(out)
    made = plan_revert(run_id, **account, show=report.show)
    report.finish(made)
    print_summary(out, apply_revert(made, report.settled, **account))


def headline(out: Console, text: str) -> None:
    """Sets off what comes next."""
    say(out, f"\n{text}", style="bold cyan")


def fill(warehouse: Path, pipedrive: LocalPipedrive) -> str:
    """Makes the desired table; returns the lead whose first PATCH shall meet a 429."""
    *active, archived = [one for one in pipedrive.leads().values() if not one["is_archived"]]
    pipedrive.archive_lead(archived["id"])
    fields = fields_by_name(pipedrive)
    rows = [as_row(lead, fields) for lead in active[:30]]
    for number, changes in enumerate(cases(rows)):
        rows[number].update(changes)
    rows.append(as_row(archived, fields) | {"title": "Archived, so it may not be edited"})
    rows.append(rows[29] | {"lead_id": "00000000-0000-4000-8000-000000000000"})
    with duckdb.connect(str(warehouse)) as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE SCHEMA crm; CREATE TABLE {DESIRED} ({columns})")
        marks = ", ".join("?" * len(COLUMNS))
        values = [[row[name] for name in COLUMNS] for row in rows]
        connection.executemany(f"INSERT INTO {DESIRED} VALUES ({marks})", values)
        connection.execute(
            f"CREATE TABLE {BROKEN} AS SELECT lead_id, "
            f"m.* EXCLUDE (lead_id, title, person_id, organization_id) FROM {DESIRED} "
            f"LEFT JOIN (FROM {DESIRED} WHERE false) m USING (lead_id) "
            "WHERE lead_id LIKE '%-%-%-%-%'"
        )
    return str(active[0]["id"])


def fields_by_name(pipedrive: LocalPipedrive) -> dict[str, Field]:
    """Returns the account's fields by the names that a warehouse would use."""
    client = Pipedrive(pipedrive.base_url, ApiToken(pipedrive.api_token))
    users = user_options(client)
    standard = standard_fields(label_options(client), users)
    return {
        fold(one.name): one for one in [*standard, *custom_fields(client.definitions(LEADS), users)]
    }


def as_row(lead: Mapping[str, Any], fields: Mapping[str, Field]) -> Row:
    """Returns the row that wants a lead just as it is, in the words of its users."""

    def named(name: str) -> Any:
        field = fields[fold(name)]
        found = field.read(lead)
        return found and [field.options.name_of(one) for one in found]

    def one(name: str) -> Any:
        field = fields[fold(name)]
        found = field.read(lead)
        return None if found is None else field.options.name_of(found)

    value = lead["value"] or {}
    cost, cost_currency = fields["dealcost"].read(lead) or (None, None)
    return {
        **{name: lead.get(name) for name in COLUMNS},
        "lead_id": lead["id"],
        "owner_email": one("owner"),
        "labels": named("labels"),
        "value_amount": value.get("amount"),
        "value_currency": value.get("currency"),
        "lead_score": fields["leadscore"].read(lead),
        "tier": one("tier"),
        "products": named("products"),
        "account_manager": one("account manager"),
        "deal_cost": cost,
        "deal_cost_currency": cost_currency,
    }


def cases(rows: Sequence[Row]) -> list[Row]:
    """Returns what the first rows want otherwise: changes, clears, and what cannot be sent."""
    other = next(row["owner_email"] for row in rows if row["owner_email"] != rows[4]["owner_email"])
    known = {row["organization_id"] for row in rows} - {None, rows[11]["organization_id"]}
    another = min(known)
    return [
        {"title": f"{rows[0]['title']} (renewal)"},
        {"value_amount": "50.50", "value_currency": "EUR"},
        {"value_amount": 0, "value_currency": "USD"},
        {"lead_score": 0},
        {"owner_email": other},
        {"expected_close_date": None},
        {"labels": ["Hot"]},
        {"labels": []},
        {"lead_score": 87.5, "tier": "Gold"},
        {"value_amount": None, "value_currency": None},
        {"tier": None, "products": None},
        {"organization_id": another, "person_id": None},
        {"account_manager": other, "deal_cost": "1200.00", "deal_cost_currency": "SEK"},
        {"title": " "},
        {"value_currency": "EURO"},
        {"tier": "Goldd"},
        {"person_id": None, "organization_id": None},
        {"lead_id": "not-a-lead"},
        {"lead_score": float("nan")},
    ]
