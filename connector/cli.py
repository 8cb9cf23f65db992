"""The command line: `lead-sync`."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from connector import log
from connector.check import check as check_everything
from connector.check import explain_columns
from connector.demo import play as play_demo
from connector.destination import make_pipeline
from connector.errors import LeadSyncError
from connector.pipedrive.errors import PipedriveError
from connector.progress import progress_bar
from connector.report import (
    PlanReport,
    columns_document,
    plan_document,
    print_columns,
    print_misses,
    print_runs,
    print_summary,
)
from connector.sandbox import DEFAULT_TOKEN, serve
from connector.settings import load_warehouse_settings
from connector.summary import EXIT_CHANGES, EXIT_DONE, EXIT_ERROR, Entry, Summary
from connector.sync import plan as make_plan
from connector.sync import run as run_job
from connector.warehouse import open_warehouse

app = typer.Typer(
    help="Make Pipedrive's leads say what the warehouse says.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
QUIET = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
"""dlt's own words and its telemetry are off, unless the environment asks for them."""
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]
"""Click's own error, of whichever click this typer brings."""
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Output(StrEnum):
    """How a command prints its result."""

    text = "text"
    json = "json"


OutputOption = Annotated[Output, typer.Option(help="Print for people or for machines.")]
LogFormat = Annotated[Output, typer.Option("--log-format", help="Log as text or as JSON lines.")]
Lead = Annotated[str | None, typer.Option(metavar="ID", help="Only this lead.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Change at most so many leads.")]
MaxSeconds = Annotated[float | None, typer.Option(help="Stop cleanly after so long.")]
FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Ask again for leads known as gone or archived.")
]


@app.command()
def run(
    *,
    lead: Lead = None,
    limit: Limit = None,
    max_seconds: MaxSeconds = None,
    full_refresh: FullRefresh = False,
    output: OutputOption = Output.text,
    log_format: LogFormat = Output.text,
) -> int:
    """Plan and apply: bring every lead of the desired table to its desired state."""
    log.configure(log_format.value)
    with progress_bar() as progress:
        summary = run_job(
            lead=lead,
            limit=limit,
            full_refresh=full_refresh,
            progress=progress,
            max_seconds=max_seconds,
        )
    print_result(summary, output)
    return summary.exit_code


@app.command()
def plan(
    *,
    lead: Lead = None,
    limit: Limit = None,
    full_refresh: FullRefresh = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes.")
    ] = False,
    output: OutputOption = Output.text,
    log_format: LogFormat = Output.text,
) -> int:
    """Show what a run would change, old → new, and send nothing."""
    log.configure(log_format.value)
    planned = partial(make_plan, lead=lead, limit=limit, full_refresh=full_refresh)
    if output is Output.json:
        entries: list[Entry] = []
        summary = planned(show=entries.append)
        print_json(plan_document(summary, entries))
    else:
        report = PlanReport(out)
        with progress_bar() as progress:
            summary = planned(progress=progress, show=report.show)
        report.finish(summary)
    changes = detailed_exitcode and summary.planned > 0
    return summary.exit_code or (EXIT_CHANGES if changes else EXIT_DONE)


@app.command()
def runs(
    run_id: Annotated[
        str | None, typer.Argument(help="Show this run, and the leads that it missed.")
    ] = None,
    *,
    output: OutputOption = Output.text,
) -> int:
    """List the latest runs, or show one."""
    settings = load_warehouse_settings()
    with open_warehouse(make_pipeline(settings), settings) as warehouse:
        found = warehouse.runs(run_id)
        misses = warehouse.misses(run_id) if run_id and found else []
    if run_id and not found:
        raise LeadSyncError(f"no run {run_id}; `lead-sync runs` lists them")
    if output is Output.json:
        print_json({**found[0], "misses": misses} if run_id else found)
    else:
        print_runs(out, found)
        print_misses(out, misses)
    return EXIT_DONE


@app.command()
def columns(*, output: OutputOption = Output.text) -> int:
    """Show how each column of the desired table maps to a field; sends nothing."""
    mapped, passed_over = explain_columns()
    if output is Output.json:
        print_json(columns_document(mapped, passed_over))
    else:
        print_columns(out, mapped, passed_over)
    return EXIT_DONE


@app.command()
def check(*, output: OutputOption = Output.text) -> int:
    """Check config, warehouse, table, columns and token; sends nothing."""
    findings = list(check_everything())
    if output is Output.json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok[/green]" if finding.good else "[red]problem[/red]"
            out.print(f"{mark}  {finding.subject}: {escape(finding.text)}")
    return EXIT_DONE if all(finding.good for finding in findings) else EXIT_ERROR


@app.command()
def sandbox(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8055,
    leads: Annotated[int, typer.Option(min=0, help="Seeded leads.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed makes the same leads.")] = 1,
    limits: Annotated[bool, typer.Option(help="Keep Pipedrive's limits.")] = True,
    account: Annotated[
        str, typer.Option("--plan", help="lite, growth, premium or ultimate.")
    ] = "growth",
    latency_ms: Annotated[int, typer.Option(min=0, help="Least time a call takes.")] = 0,
) -> int:
    """Serve a local Pipedrive until it is stopped."""

    def ready(base_url: str) -> None:
        out.print(f"A local Pipedrive with {leads} leads listens on {base_url}")
        out.print(f"Its API token is {DEFAULT_TOKEN}. Stop it with Ctrl-C.")

    settings: dict[str, Any] = {"limits": limits, "plan": account, "latency_ms": latency_ms}
    try:
        serve(port=port, leads=leads, seed=seed, ready=ready, **settings)
    except (ValueError, OSError) as error:
        raise LeadSyncError(f"the local Pipedrive cannot start: {error}") from None
    return EXIT_DONE


@app.command()
def demo() -> int:
    """Run the job on a local Pipedrive and a new DuckDB file."""
    return play_demo(out)


def print_result(summary: Summary, output: Output) -> None:
    """Prints what a run did."""
    if output is Output.json:
        print_json(summary.as_dict())
    else:
        print_summary(out, summary)


def print_json(document: Any) -> None:
    """Prints JSON and nothing else to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def main() -> None:
    """Runs `lead-sync`; trouble is one line on standard error and exit code 1."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        code = app(standalone_mode=False)
    except (LeadSyncError, PipedriveError) as error:
        err.print(f"[red]error:[/red] {escape(str(error))}")
        code = EXIT_ERROR
    except USAGE_ERROR as error:
        error.show()
        code = EXIT_ERROR
    except (typer.Abort, KeyboardInterrupt):
        code = EXIT_ERROR
    sys.exit(code or EXIT_DONE)
