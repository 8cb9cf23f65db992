"""The result of a command in the form that was asked for: text for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
import pendulum
from rich.console import Console

from connector.configuration.readers import parse_since
from connector.errors import ConfigError, LeadSyncError, PlanError, RunUnderWay
from connector.planning.model import NotSent
from connector.report.documents import columns_document, plan_document
from connector.report.endings import print_missed, print_summary
from connector.report.forms import csv_text, html_page, markdown
from connector.report.log import log_end, takes_all
from connector.report.plans import ON_A_TERMINAL, PlanReport
from connector.report.progress import show_progress
from connector.report.runs import print_runs, print_standing
from connector.report.screen import console, print_json, say
from connector.report.stored import print_stored, read_stored, stored_document
from connector.report.terminal import print_columns, print_findings
from connector.report.words import counted
from connector.settings import load_warehouse_settings
from connector.sync.stopping import stop_on_signal
from connector.sync.summary import Entry, Summary, settled_of
from connector.warehouse import journal
from connector.warehouse.destination import make_pipeline, working_folder
from connector.warehouse.figures import figures_of
from connector.warehouse.standing import read_standing
from connector.warehouse.store import Warehouse, open_warehouse

if TYPE_CHECKING:
    from connector.sync.check import Finding
    from connector.sync.explanation import Explanation

Output = Literal["text", "json"]
Result = TypeVar("Result")


def carry_out(job: Callable[..., Result]) -> Result:
    """Runs a job and shows how far it is, until a signal stops it.

    Args:
        job: Takes `progress`, and the event that a signal sets as `stop`.
    """
    try:
        with stop_on_signal() as stop, show_progress(stop) as progress:
            result = job(progress=progress, stop=stop)
    except Exception as error:
        end = vars(error).get("end")
        if end and not takes_all():
            print_missed(console(stderr=True), end.missed, end.domain)
        raise
    if isinstance(result, Summary):
        log_end(result)
    return result


def show_plan(
    make: Callable[..., Summary], output: Output, *, whole: bool = False
) -> tuple[Summary, dict[str, Any], list[NotSent]]:
    """Makes a plan, until a signal stops it, and shows it lead by lead; JSON is only returned.

    Args:
        make: Makes the plan; takes `progress`, `stop`, and `show`, which is told each of its leads.
        output: The form.
        whole: Whether a terminal shows all of it, too.

    Returns:
        What the plan came to, its document (empty for text), and the leads that get nothing.
    """
    entries: list[Entry] = []
    if output == "json":
        summary = carry_out(partial(make, show=entries.append))
        return summary, plan_document(summary, entries), settled_of(entries)
    screen = console()
    report = PlanReport(screen, _most(screen, whole=whole))
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


def show_runs(since: str | None, output: Output, *, failed: bool) -> None:
    """Shows runs, newest first.

    Args:
        since: All since then; None for the latest.
        output: The form.
        failed: Only those that ended with another exit code than 0.

    Raises:
        LeadSyncError: They cannot be read, or `since` is no time.
    """
    try:
        moment = parse_since(since, pendulum.now("UTC")) if since is not None else None
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with _tables(output) as warehouse:
        found = journal.list_runs(warehouse, moment, failed=failed)
        holder = journal.holder_of(warehouse)
    if output == "json":
        print_json(found)
    else:
        print_runs(console(), found, holder)


def show_run(run_id: str, output: Output) -> None:
    """Shows one run, what it changed, and the leads that it missed."""
    with _tables(output) as warehouse:
        found = read_stored(warehouse, run_id, plan=False)
    if output == "json":
        document = stored_document(found)
        print_json({**found.run, "changes": document["patches"], "misses": document["misses"]})
    else:
        print_stored(console(), found, _most(console(), whole=False))


def show_stored(text: str, output: str, *, whole: bool) -> None:
    """Shows a stored plan or run in one of its forms.

    Args:
        text: Which one.
        output: The form.
        whole: Whether a terminal shows all of it, too.
    """
    with _tables(output) as warehouse:
        found = read_stored(warehouse, text)
    if output == "text":
        print_stored(console(), found, _most(console(), whole=whole))
    elif output == "json":
        print_json(stored_document(found))
    else:
        form = {"markdown": markdown, "csv": csv_text, "html": html_page}[output]
        sys.stdout.write(form(stored_document(found)))


def _most(screen: Console, *, whole: bool) -> int | None:
    return ON_A_TERMINAL if screen.is_terminal and not whole else None


@contextmanager
def _tables(output: str) -> Iterator[Warehouse]:
    """Opens the tables that runs have written; a run that holds them is told of all the same."""
    settings = load_warehouse_settings()
    with ExitStack() as stack:
        try:
            pipeline = make_pipeline(settings)
            warehouse = stack.enter_context(open_warehouse(pipeline, settings))
        except RunUnderWay as error:
            standing = read_standing(working_folder(settings))
            is_its = standing is not None and f"process {standing.pid} on " in str(error)
            if standing and is_its and output == "text":
                print_standing(console(), standing)
            raise
        yield warehouse


def write_report(run_id: str | None, days: int, out: Path) -> None:
    """Writes the page about some runs, and says so.

    Args:
        run_id: The only run, by the beginning of its id, or `latest`; None for all of some days.
        days: How many days.
        out: The file.

    Raises:
        LeadSyncError: There is no such run, or the file cannot be written.
    """
    from connector.report.page import clear_way, page_of, write_page  # noqa: PLC0415

    place, now = clear_way(out), pendulum.now("UTC")
    with _tables("text") as warehouse:
        only = None if run_id is None else journal.find(warehouse, run_id)
        found = figures_of(warehouse, only, now.subtract(days=days))
    if only is not None and not found.runs:
        raise LeadSyncError(f"no run {only}; `lead-sync runs` lists them")
    about = (
        f"run {found.runs[0]['run_id']}" if only is not None else f"runs of {counted(days, 'day')}"
    )
    write_page(place, page_of(found, about, now))
    outcomes = counted(found.statuses.total(), "outcome")
    say(console(), f"Wrote {out}: {counted(len(found.runs), 'run')}, {outcomes}.")


def show_columns(found: Explanation, output: Output) -> None:
    """Shows what each column of the desired table manages, and what is wrong with it."""
    if output == "json":
        print_json(columns_document(found))
    else:
        print_columns(console(), found)


def show_findings(findings: Iterable[Finding], output: Output) -> None:
    """Shows what `check` has looked at."""
    if output == "json":
        print_json([vars(finding) for finding in findings])
    else:
        print_findings(console(), findings)
