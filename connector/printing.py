"""What the commands print to standard output, for people or for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

from connector.diff import Settled
from connector.errors import PlanError
from connector.flags import Ended
from connector.progress import progress_bar
from connector.report import PlanReport, counted, plan_document, print_summary
from connector.screen import console, print_json
from connector.summary import Entry, Summary, settled_of


class Output(StrEnum):
    """How a command prints its result."""

    text = "text"
    json = "json"


def show_plan(
    make: Callable[..., Summary], output: Output
) -> tuple[Summary, dict[str, Any], list[Settled]]:
    """Makes a plan and prints it lead by lead; returns it as a document as well."""
    entries: list[Entry] = []
    if output is Output.json:
        summary = make(show=entries.append)
        return summary, plan_document(summary, entries), settled_of(entries)
    report = PlanReport(console())
    with progress_bar() as progress:
        summary = make(show=report.show, progress=progress)
    report.finish(summary)
    return summary, {}, report.settled


def confirmed(made: Summary, output: Output) -> bool:
    """Asks a person at a terminal, who has read it, whether to apply a plan.

    Raises:
        PlanError: There is none to ask.
    """
    later = f"nothing was sent; `lead-sync apply {made.plan_id}` applies it"
    if output is Output.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise PlanError(f"not applied, as nobody is there to ask: give --yes; {later}")
    if typer.confirm(f"Apply this to {counted(made.planned, 'lead')}?"):
        return True
    console().print(later)
    return False


def print_result(summary: Summary, output: Output) -> Ended:
    """Prints what a run did."""
    if output is Output.json:
        print_json(summary.as_dict())
    else:
        print_summary(console(), summary)
    return Ended(summary.exit_code, summary)
