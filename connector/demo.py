"""The demo: the main job on a local Pipedrive and a new DuckDB file, with every case in it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connector.progress import progress_bar
from connector.report import PlanReport, print_summary
from connector.sandbox import CUSTOM_FIELDS, LocalPipedrive
from connector.settings import DESTINATION
from connector.sync import plan, run

WAREHOUSE = Path("demo.duckdb")
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "owner_id": "BIGINT",
    "label_ids": "VARCHAR[]",
    "person_id": "BIGINT",
    "organization_id": "BIGINT",
    "value_amount": "DECIMAL(12, 2)",
    "value_currency": "VARCHAR",
    "expected_close_date": "DATE",
    "lead_score": "DOUBLE",
}
OUTCOMES = """
SELECT o.status, m.title, o.attempts AS tries, coalesce(o.reason, o.body::VARCHAR) AS what
FROM pipedrive_leads.lead_outcomes o LEFT JOIN pipedrive_leads.leads m ON m.id = o.lead_id
ORDER BY o.status, o.outcome_id"""

Row = dict[str, Any]


def play(out: Console) -> int:
    """Plays the demo and returns the exit code; it leaves its DuckDB file behind."""
    WAREHOUSE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, LocalPipedrive(latency_ms=40) as pipedrive:
        os.environ["DLT_DATA_DIR"] = folder
        os.environ[f"DESTINATION__{DESTINATION.upper()}__DESTINATION_TYPE"] = "duckdb"
        os.environ[f"DESTINATION__{DESTINATION.upper()}__CREDENTIALS"] = f"duckdb:///{WAREHOUSE}"
        busy = fill(WAREHOUSE, pipedrive)
        account: dict[str, Any] = {"base_url": pipedrive.base_url, "api_token": pipedrive.api_token}
        show_plan(out, account)
        pipedrive.fault("status", status=429, lead_id=busy, method="PATCH")
        show_run(out, account)
        pipedrive.clear_requests()
        show_second_run(out, account)
        out.print(f"PATCHes that the local Pipedrive saw: {len(pipedrive.requests('PATCH'))}.")
    headline(out, f"All of it is in {WAREHOUSE}; to look at it")
    python = os.path.relpath(sys.executable)
    query = f"duckdb.connect('{WAREHOUSE}').sql('FROM pipedrive_leads.sync_runs').show()"
    out.print(f'{python} -c "import duckdb; {query}"', soft_wrap=True)
    return 0


def show_plan(out: Console, account: Mapping[str, Any]) -> None:
    """Prints what would change; nothing is sent."""
    headline(out, "lead-sync plan: what would change")
    report = PlanReport(out)
    report.finish(plan(**account, show=report.show))


def show_run(out: Console, account: Mapping[str, Any]) -> None:
    """Applies it and prints what came of it, as the warehouse has it."""
    headline(out, "lead-sync run: one of the PATCHes meets a 429, waits and passes")
    with progress_bar() as progress:
        summary = run(**account, progress=progress)
    print_summary(out, summary)
    headline(out, OUTCOMES.strip())
    with duckdb.connect(str(WAREHOUSE), read_only=True) as connection:
        found = connection.sql(OUTCOMES)
        table = Table(*found.columns)
        for row in found.fetchall():
            table.add_row(*(escape("—" if value is None else str(value)) for value in row))
    out.print(table)


def show_second_run(out: Console, account: Mapping[str, Any]) -> None:
    """Runs once more: what already says what is wanted is not sent again."""
    headline(out, "lead-sync run, again: nothing is left to send")
    print_summary(out, run(**account))


def headline(out: Console, text: str) -> None:
    """Sets off what comes next."""
    out.print(f"\n[bold cyan]{escape(text)}[/bold cyan]")


def fill(warehouse: Path, pipedrive: LocalPipedrive) -> str:
    """Makes the desired table; returns the lead whose first PATCH shall meet a 429."""
    *active, archived = [one for one in pipedrive.leads().values() if not one["is_archived"]]
    pipedrive.archive_lead(archived["id"])
    rows = [as_row(lead) for lead in active[:30]]
    for number, changes in enumerate(cases(rows)):
        rows[number].update(changes)
    rows.append(as_row(archived) | {"title": "Archived, so it may not be edited"})
    rows.append(rows[29] | {"lead_id": "00000000-0000-4000-8000-000000000000"})
    with duckdb.connect(str(warehouse)) as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE SCHEMA crm; CREATE TABLE crm.lead_changes ({columns})")
        marks = ", ".join("?" * len(COLUMNS))
        values = [[row[name] for name in COLUMNS] for row in rows]
        connection.executemany(f"INSERT INTO crm.lead_changes VALUES ({marks})", values)
    return str(active[0]["id"])


def as_row(lead: Mapping[str, Any]) -> Row:
    """Returns the row that wants a lead just as it is."""
    value = lead["value"] or {}
    score = lead.get(CUSTOM_FIELDS["Lead score"])
    halves = {"value_amount": value.get("amount"), "value_currency": value.get("currency")}
    kept = {name: lead[name] for name in COLUMNS if name in lead}
    return {"lead_id": lead["id"], **kept, **halves, "lead_score": score}


def cases(rows: Sequence[Row]) -> list[Row]:
    """Returns what the first rows want otherwise: changes, clears, and what cannot be sent."""
    return [
        {"title": f"{rows[0]['title']} (renewal)"},
        {"value_amount": "50.50", "value_currency": "EUR"},
        {"value_amount": 0, "value_currency": "USD"},
        {"value_amount": None, "value_currency": None},
        {"expected_close_date": "2027-03-31"},
        {"expected_close_date": None},
        {"label_ids": []},
        {"lead_score": 87.5},
        {"lead_score": 0},
        {"lead_score": None},
        {"organization_id": 77, "person_id": None},
        {"title": f"{rows[11]['title']} (won back)", "value_amount": 12000, "lead_score": 99},
        {"title": " "},
        {"value_currency": "EURO"},
        {"person_id": None, "organization_id": None},
        {"lead_id": "not-a-lead"},
        {"lead_score": float("nan")},
    ]
