"""The result of a command in the form that was asked for: text for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
import pendulum

from connector.errors import LeadSyncError, PlanError
from connector.planning.columns import Columns
from connector.planning.model import NotSent
from connector.report.documents import columns_document, plan_document
from connector.report.screen import console, print_json, say
from connector.report.terminal import (
    PlanReport,
    print_columns,
    print_findings,
    print_run,
    print_runs,
    print_summary,
    progress_bar,
)
from connector.report.words import counted
from connector.sync.stopping import stop_on_signal
from connector.sync.summary import Entry, Summary, settled_of
from connector.warehouse.figures import figures_of
from connector.warehouse.schema import TableRow
from connector.warehouse.store import Warehouse

if TYPE_CHECKING:
    from connector.sync.check import Finding

Output = Literal["text", "json"]
Result = TypeVar("Result")


def carry_out(job: Callable[..., Result]) -> Result:
    """Runs a job with a bar that shows how far it is, until a signal stops it.

    Args:
        job: Takes `progress`, and the event that a signal sets as `stop`.
    """
    with stop_on_signal() as stop, progress_bar() as progress:
        return job(progress=progress, stop=stop)


def show_plan(
    make: Callable[..., Summary], output: Output
) -> tuple[Summary, dict[str, Any], list[NotSent]]:
    """Makes a plan, until a signal stops it, and shows it lead by lead; JSON is only returned.

    Args:
        make: Makes the plan; takes `progress`, `stop`, and `show`, which is told each of its leads.
        output: The form.

    Returns:
        What the plan came to, its document (empty for text), and the leads that get nothing.
    """
    entries: list[Entry] = []
    if output == "json":
        with stop_on_signal() as stop:
            summary = make(show=entries.append, stop=stop)
        return summary, plan_document(summary, entries), settled_of(entries)
    report = PlanReport(console())
    summary = carry_out(partial(make, show=report.show))
    report.finish(summary)
    return summary, {}, report.settled


def confirm_plan(made: Summary, output: Output) -> bool:
    """Asks a person at a terminal, who has read it, whether to apply a plan.

    Raises:
        PlanError: There is nobody to ask.
    """
    later = f"nothing was sent; `lead-sync apply {made.plan_id}` applies it"
    if output == "json" or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PlanError(f"not applied, as nobody is there to ask: give --yes; {later}")
    screen = console()
    # Python may write the question of `input` to standard error.
    say(screen, f"Apply this to {counted(made.planned, 'lead')}? [y/N]: ", end="")
    if click.confirm("", prompt_suffix="", show_default=False):
        return True
    say(screen, later)
    return False


def show_summary(summary: Summary, output: Output) -> None:
    """Shows what a run did."""
    if output == "json":
        print_json(summary.as_dict())
    else:
        print_summary(console(), summary)


def show_runs(found: Sequence[TableRow], output: Output) -> None:
    """Shows the latest runs, newest first."""
    if output == "json":
        print_json(found)
    else:
        print_runs(console(), found)


def show_run(run: TableRow, misses: Sequence[TableRow], output: Output) -> None:
    """Shows one run, and the leads that it missed."""
    if output == "json":
        print_json({**run, "misses": misses})
    else:
        print_run(console(), run, misses)


def write_report(warehouse: Warehouse, run_id: str | None, days: int, out: Path) -> None:
    """Writes the page about some runs, and says so.

    Args:
        warehouse: Where the runs have written.
        run_id: The only run, or `latest`; None for all of some days.
        days: How many days.
        out: The file.

    Raises:
        LeadSyncError: There is no such run, or the file cannot be written.
    """
    from connector.report.page import clear_way, page_of, write_page  # noqa: PLC0415

    place, now = clear_way(out), pendulum.now("UTC")
    found = figures_of(warehouse, run_id, now.subtract(days=days))
    if run_id and not found.runs:
        raise LeadSyncError(f"no run {run_id}; `lead-sync runs` lists them")
    about = f"run {found.runs[0]['run_id']}" if run_id else f"runs of {counted(days, 'day')}"
    write_page(place, page_of(found, about, now))
    outcomes = counted(found.statuses.total(), "outcome")
    say(console(), f"Wrote {out}: {counted(len(found.runs), 'run')}, {outcomes}.")


def show_columns(columns: Columns, passed_over: Iterable[str], output: Output) -> None:
    """Shows what each column of the desired table manages."""
    if output == "json":
        print_json(columns_document(columns, passed_over))
    else:
        print_columns(console(), columns, passed_over)


def show_findings(findings: Iterable[Finding], output: Output) -> None:
    """Shows what `check` has looked at."""
    if output == "json":
        print_json([vars(finding) for finding in findings])
    else:
        print_findings(console(), findings)
