"""The commands: their options, and what each of them calls.

A command imports what it needs when it is called, so that help, the version and wrong usage come at
once. What it prints is in `report/`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from connector.errors import LeadSyncError
from connector.report.exits import EXIT_DONE, EXIT_ERROR, code_of, reason, tell_usage
from connector.report.screen import console
from connector.report.start import importing

if TYPE_CHECKING:
    from connector.report.output import Output
    from connector.sync.summary import Summary

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what its run came to if it had one."""

    code: int = EXIT_DONE
    summary: Summary | None = None


class WholeLine(click.Command):
    """A command whose line in the list of commands is not cut."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """Returns the first line of its help, however long a line may be."""
        return super().get_short_help_str(max(limit, len(self.help or "")))


class InOrder(click.Group):
    """Lists its commands in the order in which they are defined."""

    command_class = WholeLine

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Returns their names."""
        return list(self.commands)


def options(*given: Decorator) -> Decorator:
    """Gives a command several options, which its help shows in this order."""

    def give(command: Command) -> Command:
        for option in reversed(given):
            command = option(command)
        return command

    return give


def _guard(name: str, help_text: str, metavar: str = "N|off") -> Decorator:
    return click.option(f"--{name}", metavar=metavar, help=f"Guard: {help_text}")


guard_options = options(
    _guard("max-patches", "leads changed at most."),
    _guard("max-changed-percent", "the same, of the leads compared."),
    _guard("max-clears", "leads that lose a value at most."),
    _guard("max-clears-percent", "the same, of the leads compared."),
    _guard("max-overwrites", "leads on which a value is replaced by another at most."),
    _guard("max-overwrites-percent", "the same, of the leads compared."),
    _guard("max-archived", "leads archived at most."),
    _guard("empty-desired", "whether an empty desired table stops.", "stop|allow"),
    _guard("min-desired-percent-of-last", "least rows, of those of the last run."),
    _guard("max-not-found-percent", "desired leads that the account does not have, at most."),
)


def number(name: str, least: int, **given: Any) -> Decorator:
    """Returns an option that takes a whole number."""
    kind = click.IntRange(min=least, max=given.pop("most", None))
    return click.option(f"--{name}", type=kind, metavar="N", **given)


forms = click.Choice(["text", "json"])
output_option = click.option(
    "--output", type=forms, default="text", help="Print for people or for machines."
)
log_option = click.option(
    "--log-format", type=forms, default="text", help="Log as text or as JSON lines."
)
lead_option = click.option("--lead", metavar="ID", help="Only this lead.")
limit_option = number("limit", 1, help="Change at most so many leads.")
fields_option = click.option(
    "--fields", metavar="NAMES", help="Only these fields, with commas between them."
)
seconds_option = click.option(
    "--max-seconds", type=float, metavar="N", help="Stop cleanly after so long."
)
refresh_option = click.option(
    "--full-refresh", is_flag=True, help="Ask again for leads known as gone or archived."
)
retry_option = click.option(
    "--retry-failed", is_flag=True, help="Send again what was refused or not taken before."
)
results_option = click.option(
    "--run-results",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what came of it as JSON; an earlier result there is removed at the start.",
)


def reported(command: Callable[..., Ended]) -> Callable[..., int]:
    """Gives a command `--run-results FILE`; see `schemas/run_results.json` for the shape."""

    @results_option
    @wraps(command)
    def reporting(*, run_results: Path | None, **given: Any) -> int:
        with importing():
            from connector.report.results import open_results
        with open_results(run_results, command.__name__) as write:
            try:
                ended = command(**given)
            except BaseException as error:
                run = getattr(error, "run", None) or {}
                with suppress(LeadSyncError):  # the first error is the one to tell
                    write(run | {"message": reason(error)}, code_of(error))
                raise
            write(ended.summary.as_dict() if ended.summary else {"message": ""}, ended.code)
            return ended.code

    return reporting


@click.group(
    cls=InOrder,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"show_default": True},
)
@click.option("--version", "show_version", is_flag=True, help="Print the version and exit.")
@click.pass_context
def lead_sync(context: click.Context, *, show_version: bool) -> None:
    """Make Pipedrive's leads say what the warehouse says."""
    if show_version:
        console().print(f"lead-sync {version('lead-sync')}")
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@lead_sync.command()
@options(lead_option, limit_option, fields_option, seconds_option, refresh_option, retry_option)
@options(output_option, log_option, guard_options)
@reported
def run(*, output: Output, log_format: Output, **given: Any) -> Ended:
    """Plan and apply: bring every lead of the desired table to its desired state."""
    with importing():
        from connector.report import log
        from connector.report.output import carry_out, show_summary
        from connector.sync.runs import run as run_job
    log.configure(log_format)
    summary = carry_out(partial(run_job, **given))
    show_summary(summary, output)
    return Ended(summary.exit_code, summary)


@lead_sync.command()
@options(lead_option, limit_option, fields_option, refresh_option, retry_option)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@options(output_option, log_option, guard_options)
@reported
def plan(*, detailed_exitcode: bool, output: Output, log_format: Output, **given: Any) -> Ended:
    """Show what a run would change, old → new, and send nothing."""
    with importing():
        from connector.report import log
        from connector.report.output import show_plan
        from connector.report.screen import print_json
        from connector.sync.runs import plan as make_plan
        from connector.sync.summary import EXIT_CHANGES
    log.configure(log_format)
    summary, document, _ = show_plan(partial(make_plan, **given), output)
    if output == "json":
        print_json(document)
    changes = detailed_exitcode and summary.planned > 0
    return Ended(summary.exit_code or (EXIT_CHANGES if changes else EXIT_DONE), summary)


@lead_sync.command()
@click.argument("plan_id")
@click.option("--max-age", metavar="24h", help="Refuse a plan that is older.")
@options(seconds_option, output_option, log_option, guard_options)
@reported
def apply(*, plan_id: str, output: Output, log_format: Output, **given: Any) -> Ended:
    """Apply a stored plan, once, where the leads are still as it found them.

    PLAN_ID is the plan, as `plan` has told it.
    """
    with importing():
        from connector.report import log
        from connector.report.output import carry_out, show_summary
        from connector.sync.runs import apply as apply_plan
    log.configure(log_format)
    summary = carry_out(partial(apply_plan, plan_id, **given))
    show_summary(summary, output)
    return Ended(summary.exit_code, summary)


@lead_sync.command()
@click.argument("plan_id", required=False)
@click.option("--max-age", metavar="24h", help="Refuse a plan that is older.")
@click.option("--all", "whole", is_flag=True, help="Print every lead, not the first 20.")
@options(output_option, log_option, guard_options)
@reported
def rehearse(
    *, plan_id: str | None, whole: bool, output: Output, log_format: Output, **given: Any
) -> Ended:
    """Apply a stored plan to a local Pipedrive with the leads of the warehouse.

    PLAN_ID is the plan; without it, it is the latest that is not applied yet. Nothing is sent to
    the account, and the warehouse is only read.
    """
    with importing():
        from connector.rehearsal import rehearse as rehearse_plan
        from connector.report import log
        from connector.report.output import carry_out
        from connector.report.rehearsed import print_rehearsal
        from connector.report.screen import print_json
    log.configure(log_format)
    found = carry_out(partial(rehearse_plan, plan_id, **given))
    if output == "json":
        print_json(found.as_dict())
    else:
        print_rehearsal(console(), found, whole=whole)
    return Ended(found.exit_code)


@lead_sync.command()
@click.argument("run_id")
@options(lead_option, fields_option)
@click.option("--yes", is_flag=True, help="Apply it without asking.")
@options(seconds_option, output_option, log_option)
@reported
def revert(
    *,
    run_id: str,
    yes: bool,
    max_seconds: float | None,
    output: Output,
    log_format: Output,
    **scope: Any,
) -> Ended:
    """Give back what a run has changed, but for what was changed in Pipedrive since.

    RUN_ID is the run to take back.
    """
    with importing():
        from connector.report import log
        from connector.report.output import carry_out, confirm_plan, show_plan, show_summary
        from connector.report.screen import print_json
        from connector.sync.runs import apply_revert, plan_revert
    log.configure(log_format)
    made, document, settled = show_plan(
        partial(plan_revert, run_id, max_seconds=max_seconds, **scope), output
    )
    if made.state != "done":
        if output == "json":
            print_json({"plan": document, "run": None})
        return Ended(made.exit_code, made)
    if not yes and made.planned and not confirm_plan(made, output):
        return Ended(EXIT_DONE, made)
    summary = carry_out(partial(apply_revert, made, settled, max_seconds=max_seconds))
    if output == "json":
        print_json({"plan": document, "run": summary.as_dict()})
    else:
        show_summary(summary, output)
    return Ended(summary.exit_code, summary)


@lead_sync.command()
@click.argument("run_id", required=False)
@output_option
@reported
def runs(*, run_id: str | None, output: Output) -> Ended:
    """List the latest runs, or show one.

    RUN_ID shows this run, and the leads that it missed.
    """
    with importing():
        from connector.report.output import show_run, show_runs
        from connector.settings import load_warehouse_settings
        from connector.warehouse import history
        from connector.warehouse.destination import make_pipeline
        from connector.warehouse.store import open_warehouse
    settings = load_warehouse_settings()
    with open_warehouse(make_pipeline(settings), settings) as warehouse:
        found = history.runs(warehouse, run_id)
        misses = history.misses(warehouse, run_id) if run_id and found else []
    if run_id and not found:
        raise LeadSyncError(f"no run {run_id}; `lead-sync runs` lists them")
    if run_id:
        show_run(found[0], misses, output)
    else:
        show_runs(found, output)
    return Ended()


@lead_sync.command()
@click.option("--run", "run_id", metavar="ID", help="Only this run, or `latest`.")
@number("days", 1, most=3660, default=30, help="Runs of so many days.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    metavar="FILE",
    help="The page, one file; only a report is replaced.",
)
@reported
def report(*, run_id: str | None, days: int, out: Path) -> Ended:
    """Write a page about what runs did: one file to open in a browser."""
    with importing():
        from connector.report.output import write_report
        from connector.settings import load_warehouse_settings
        from connector.warehouse.destination import make_pipeline
        from connector.warehouse.store import open_warehouse
    settings = load_warehouse_settings()
    with open_warehouse(make_pipeline(settings), settings) as warehouse:
        write_report(warehouse, run_id, days, out)
    return Ended()


@lead_sync.command()
@output_option
@reported
def columns(*, output: Output) -> Ended:
    """Show how each column of the desired table maps to a field; sends nothing."""
    with importing():
        from connector.report.output import show_columns
        from connector.sync.check import explain_columns
    show_columns(*explain_columns(), output)
    return Ended()


@lead_sync.command()
@output_option
@reported
def check(*, output: Output) -> Ended:
    """Check config, warehouse, table, columns and token; sends nothing."""
    with importing():
        from connector.report.output import show_findings
        from connector.sync.check import check as check_everything
    findings = list(check_everything())
    show_findings(findings, output)
    return Ended(EXIT_DONE if all(finding.good for finding in findings) else EXIT_ERROR)


@lead_sync.command()
@number("port", 0, most=65535, default=8055, help="0 takes a free one.")
@number("leads", 0, default=40, help="Seeded leads.")
@click.option(
    "--seed", type=int, default=1, metavar="N", help="The same seed makes the same leads."
)
@click.option("--limits/--no-limits", default=True, help="Keep Pipedrive's limits.")
@click.option("--plan", default="growth", metavar="NAME", help="lite, growth, premium or ultimate.")
@number("latency-ms", 0, default=0, help="Least time a call takes.")
def sandbox(*, leads: int, **settings: Any) -> int:
    """Serve a local Pipedrive until it is stopped."""
    with importing():
        from connector.sandbox import DEFAULT_TOKEN, ServerMissing, load_server, serve

    def ready(base_url: str) -> None:
        console().print(f"A local Pipedrive with {leads} leads listens on {base_url}")
        console().print(f"Its API token is {DEFAULT_TOKEN}. Stop it with Ctrl-C.")

    try:
        with importing():
            load_server()
        serve(leads=leads, ready=ready, **settings)
    except (ValueError, OSError, ServerMissing) as error:
        raise LeadSyncError(f"the local Pipedrive cannot start: {error}") from None
    return EXIT_DONE


@lead_sync.command()
def demo() -> int:
    """Run the job on a local Pipedrive and a new DuckDB file."""
    with importing():
        from connector.demo import play
    return play(console())


def invoke() -> int:
    """Runs the command that the arguments name, and tells wrong usage."""
    try:
        with lead_sync.make_context("lead-sync", sys.argv[1:]) as context:
            code: int | None = lead_sync.invoke(context)
    except click.UsageError as error:
        tell_usage(error)
        return EXIT_ERROR
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return EXIT_ERROR
    return code or EXIT_DONE
