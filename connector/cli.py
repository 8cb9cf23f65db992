"""What the commands print to standard output, for people or for machines."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial, wraps
from importlib.metadata import version
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from connector.demo import play as play_demo
from connector.errors import ConfigError, LeadSyncError, PlanError
from connector.planning.model import NotSent
from connector.records.text import message
from connector.report import log
from connector.report.documents import columns_document, plan_document
from connector.report.exits import reason
from connector.report.results import open_results
from connector.report.screen import console, print_json, say
from connector.report.terminal import (
    PlanReport,
    print_columns,
    print_run,
    print_runs,
    print_summary,
    progress_bar,
)
from connector.report.words import counted
from connector.sandbox import DEFAULT_TOKEN, serve
from connector.settings import load_warehouse_settings
from connector.sync.check import check as check_everything
from connector.sync.check import explain_columns
from connector.sync.runs import apply as apply_plan
from connector.sync.runs import apply_revert, plan_revert
from connector.sync.runs import plan as make_plan
from connector.sync.runs import run as run_job
from connector.sync.session import Scope
from connector.sync.stopping import stop_on_signal
from connector.sync.summary import EXIT_CHANGES, EXIT_DONE, EXIT_ERROR, Entry, Summary, settled_of
from connector.warehouse import history
from connector.warehouse.destination import make_pipeline
from connector.warehouse.store import open_warehouse


class Output(StrEnum):
    """How a command prints its result."""

    text = "text"
    json = "json"


def show_plan(
    make: Callable[..., Summary], output: Output
) -> tuple[Summary, dict[str, Any], list[NotSent]]:
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


Command = Callable[..., Any]


def _guard(help_text: str, metavar: str = "N|off") -> Any:
    return Annotated[
        str | None, typer.Option(help=help_text, metavar=metavar, rich_help_panel="Guards")
    ]


GUARD_OPTIONS = {
    "max_patches": _guard("Leads changed at most."),
    "max_changed_percent": _guard("The same, of the leads compared."),
    "max_clears": _guard("Leads that lose a value at most."),
    "max_clears_percent": _guard("The same, of the leads compared."),
    "max_archived": _guard("Leads archived at most."),
    "empty_desired": _guard("Whether an empty desired table stops.", "stop|allow"),
    "min_desired_percent_of_last": _guard("Least rows, of those of the last run."),
}
RUN_RESULTS = {
    "run_results": Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what came of it as JSON; an earlier result there is removed at the start.",
        ),
    ]
}


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what its run came to if it had one."""

    code: int
    summary: Summary | None = None


def guarded(command: Command) -> Command:
    """Gives a command an option for each guard."""
    return _with_options(command, command, GUARD_OPTIONS)


def reported(command: Callable[..., Ended]) -> Command:
    """Gives a command `--run-results FILE`; see `schemas/run_results.json` for the shape."""

    @wraps(command)
    def reporting(*arguments: Any, run_results: Path | None = None, **given: Any) -> int:
        with open_results(run_results, command.__name__) as write:
            try:
                ended = command(*arguments, **given)
            except BaseException as error:
                run = getattr(error, "run", None) or {}
                with suppress(LeadSyncError):  # the first error is the one to tell
                    write(run | {"message": reason(error)}, EXIT_ERROR)
                raise
            write(ended.summary.as_dict() if ended.summary else {"message": ""}, ended.code)
            return ended.code

    return _with_options(reporting, command, RUN_RESULTS)


def _with_options(command: Command, told_by: Command, options: Mapping[str, Any]) -> Command:
    """Adds options to what typer reads of a command; `**` of the command takes them."""
    signature = inspect.signature(told_by, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    more = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=option, default=None)
        for name, option in options.items()
    ]
    told = signature.replace(parameters=[*own, *more])
    command.__signature__ = told  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in told.parameters.values()}
    return command


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
USAGE_ERROR: Any = typer.BadParameter.__mro__[2]
"""Click's own error, of whichever click this typer brings."""
OutputOption = Annotated[Output, typer.Option(help="Print for people or for machines.")]
LogFormat = Annotated[Output, typer.Option("--log-format", help="Log as text or as JSON lines.")]
Lead = Annotated[str | None, typer.Option(metavar="ID", help="Only this lead.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Change at most so many leads.")]
Fields = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Only these fields, with commas between them.")
]
MaxSeconds = Annotated[float | None, typer.Option(help="Stop cleanly after so long.")]
FullRefresh = Annotated[
    bool, typer.Option("--full-refresh", help="Ask again for leads known as gone or archived.")
]


@app.callback(invoke_without_command=True)
def lead_sync(
    context: typer.Context,
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    """Make Pipedrive's leads say what the warehouse says."""
    if show_version:
        console().print(f"lead-sync {version('lead-sync')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
@reported
@guarded
def run(
    *,
    lead: Lead = None,
    limit: Limit = None,
    fields: Fields = None,
    max_seconds: MaxSeconds = None,
    full_refresh: FullRefresh = False,
    output: OutputOption = Output.text,
    log_format: LogFormat = Output.text,
    **guards: Any,
) -> Ended:
    """Plan and apply: bring every lead of the desired table to its desired state."""
    log.configure(log_format.value)
    scope = Scope(lead, limit, names_in(fields), full_refresh)
    settings: dict[str, Any] = {"max_seconds": max_seconds, **guards}
    with stop_on_signal() as stop, progress_bar() as progress:
        summary = run_job(**vars(scope), progress=progress, stop=stop, **settings)
    return print_result(summary, output)


@app.command()
@reported
@guarded
def plan(
    *,
    lead: Lead = None,
    limit: Limit = None,
    fields: Fields = None,
    full_refresh: FullRefresh = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes.")
    ] = False,
    output: OutputOption = Output.text,
    log_format: LogFormat = Output.text,
    **guards: Any,
) -> Ended:
    """Show what a run would change, old → new, and send nothing."""
    log.configure(log_format.value)
    scope = Scope(lead, limit, names_in(fields), full_refresh)
    with stop_on_signal() as stop:
        make = partial(make_plan, **vars(scope), stop=stop, **guards)
        summary, document, _ = show_plan(make, output)
    if output is Output.json:
        print_json(document)
    changes = detailed_exitcode and summary.planned > 0
    return Ended(summary.exit_code or (EXIT_CHANGES if changes else EXIT_DONE), summary)


@app.command()
@reported
@guarded
def apply(
    plan_id: Annotated[str, typer.Argument(help="The plan, as `plan` has told it.")],
    *,
    max_age: Annotated[
        str | None, typer.Option(metavar="24h", help="Refuse a plan that is older.")
    ] = None,
    max_seconds: MaxSeconds = None,
    output: OutputOption = Output.text,
    log_format: LogFormat = Output.text,
    **guards: Any,
) -> Ended:
    """Apply a stored plan, once, where the leads are still as it found them."""
    log.configure(log_format.value)
    settings: dict[str, Any] = {"max_age": max_age, "max_seconds": max_seconds, **guards}
    with stop_on_signal() as stop, progress_bar() as progress:
        summary = apply_plan(plan_id, progress=progress, stop=stop, **settings)
    return print_result(summary, output)


@app.command()
@reported
def revert(
    run_id: Annotated[str, typer.Argument(help="The run to take back.")],
    *,
    lead: Lead = None,
    fields: Fields = None,
    yes: Annotated[bool, typer.Option("--yes", help="Apply it without asking.")] = False,
    max_seconds: MaxSeconds = None,
    output: OutputOption = Output.text,
    log_format: LogFormat = Output.text,
) -> Ended:
    """Give back what a run has changed, but for what was changed in Pipedrive since."""
    log.configure(log_format.value)
    with stop_on_signal() as stop:
        make = partial(plan_revert, run_id, lead=lead, fields=names_in(fields), stop=stop)
        made, document, settled = show_plan(make, output)
    if made.state != "done":
        if output is Output.json:
            print_json({"plan": document, "run": None})
        return Ended(made.exit_code, made)
    if not yes and made.planned and not confirmed(made, output):
        return Ended(EXIT_DONE, made)
    given: dict[str, Any] = {"max_seconds": max_seconds}
    with stop_on_signal() as stop, progress_bar() as progress:
        summary = apply_revert(made, settled, progress=progress, stop=stop, **given)
    if output is Output.json:
        print_json({"plan": document, "run": summary.as_dict()})
        return Ended(summary.exit_code, summary)
    return print_result(summary, output)


@app.command()
@reported
def runs(
    run_id: Annotated[
        str | None, typer.Argument(help="Show this run, and the leads that it missed.")
    ] = None,
    *,
    output: OutputOption = Output.text,
) -> Ended:
    """List the latest runs, or show one."""
    settings = load_warehouse_settings()
    with open_warehouse(make_pipeline(settings), settings) as warehouse:
        found = history.runs(warehouse, run_id)
        misses = history.misses(warehouse, run_id) if run_id and found else []
    if run_id and not found:
        raise LeadSyncError(f"no run {run_id}; `lead-sync runs` lists them")
    if output is Output.json:
        print_json({**found[0], "misses": misses} if run_id else found)
    elif run_id:
        print_run(console(), found[0], misses)
    else:
        print_runs(console(), found)
    return Ended(EXIT_DONE)


@app.command()
@reported
def columns(*, output: OutputOption = Output.text) -> Ended:
    """Show how each column of the desired table maps to a field; sends nothing."""
    mapped, passed_over = explain_columns()
    if output is Output.json:
        print_json(columns_document(mapped, passed_over))
    else:
        print_columns(console(), mapped, passed_over)
    return Ended(EXIT_DONE)


@app.command()
@reported
def check(*, output: OutputOption = Output.text) -> Ended:
    """Check config, warehouse, table, columns and token; sends nothing."""
    findings = list(check_everything())
    if output is Output.json:
        print_json([vars(finding) for finding in findings])
    else:
        for finding in findings:
            mark = ("ok", "green") if finding.good else ("problem", "red")
            told = f"  {finding.subject}: {message(finding.text)}"
            say(console(), mark, told)
    return Ended(EXIT_DONE if all(finding.good for finding in findings) else EXIT_ERROR)


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
        console().print(f"A local Pipedrive with {leads} leads listens on {base_url}")
        console().print(f"Its API token is {DEFAULT_TOKEN}. Stop it with Ctrl-C.")

    settings: dict[str, Any] = {"limits": limits, "plan": account, "latency_ms": latency_ms}
    try:
        serve(port=port, leads=leads, seed=seed, ready=ready, **settings)
    except (ValueError, OSError) as error:
        raise LeadSyncError(f"the local Pipedrive cannot start: {error}") from None
    return EXIT_DONE


@app.command()
def demo() -> int:
    """Run the job on a local Pipedrive and a new DuckDB file."""
    return play_demo(console())


def names_in(text: str | None) -> tuple[str, ...]:
    """Returns the names of a list with commas; none where no list is given.

    Raises:
        ConfigError: It names nothing, as from a variable that is empty: that is not all fields.
    """
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise ConfigError(f"--fields {text!r} names no field; leave it out for all of them")
    return names


def invoke() -> int:
    """Runs the command that the arguments name; wrong usage is told as click tells it."""
    try:
        code: int | None = app(standalone_mode=False)
    except USAGE_ERROR as error:
        error.show()
        return EXIT_ERROR
    except typer.Abort:
        return EXIT_ERROR
    return code or EXIT_DONE
