"""The commands: their options, and what each of them calls.

A command imports what it needs when it is called, so that help, the version and wrong usage come at
once. What it prints is in `report/`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import shell_complete

from connector.errors import LeadSyncError
from connector.report.exits import EXIT_DONE, EXIT_ERROR, code_of, reason, tell_usage
from connector.report.screen import console
from connector.report.start import importing
from connector.report.usage import PlainCommand, guard, number, options

if TYPE_CHECKING:
    from connector.report.fields import Form
    from connector.report.output import Output
    from connector.sync.summary import Summary


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what its run came to if it had one."""

    code: int = EXIT_DONE
    summary: Summary | None = None


PROGRAM = "lead-sync"
COMPLETE = "_LEAD_SYNC_COMPLETE"
"""Asks for a shell's completion instead of a command: click's own."""
EPILOG = f"""\b
Exit codes: 0 done, 1 error, 2 plan --detailed-exitcode found changes,
3 some leads were missed, 4 a guard stopped it, 5 stopped early,
6 another run is under way.

\b
Commands and options complete themselves in your shell with this line in its profile:
  bash  eval "$({COMPLETE}=bash_source {PROGRAM})"
  zsh   eval "$({COMPLETE}=zsh_source {PROGRAM})"
  fish  {COMPLETE}=fish_source {PROGRAM} | source
"""


ORDER = (
    *("init", "check", "fields", "columns", "plan", "show", "rehearse", "apply", "run"),
    *("runs", "revert", "report", "demo", "sandbox"),
)
"""The commands as a person comes to need them."""


class InOrder(click.Group):
    """Lists its commands in the order in which a person needs them."""

    command_class = PlainCommand

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Returns their names; one that has no place in that order comes last."""
        known = [name for name in ORDER if name in self.commands]
        return known + [name for name in self.commands if name not in known]


guard_options = options(
    guard("max-patches", "off", "Leads changed at most."),
    guard("max-changed-percent", "off", "The same, in percent of the leads compared."),
    guard("max-clears", "20", "Leads that lose a value at most."),
    guard("max-clears-percent", "10", "The same, in percent of the leads compared."),
    guard("max-overwrites", "200", "Leads on which a value is replaced by another, at most."),
    guard("max-overwrites-percent", "50", "The same, in percent of the leads compared."),
    guard("max-archived", "20", "Leads archived at most."),
    guard("empty-desired", "stop", "Whether an empty desired table stops.", "stop|allow"),
    guard("min-desired-percent-of-last", "50", "Least rows, in percent of those of the last run."),
    guard("max-not-found-percent", "50", "Percent of desired leads that are unknown, at most."),
)
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
    "--max-seconds",
    type=float,
    metavar="N",
    help="Stop cleanly after so many seconds.  [default: no limit]",
)
age_option = click.option("--max-age", metavar="TIME", help="Refuse an older plan.  [default: 24h]")
refresh_option = click.option(
    "--full-refresh", is_flag=True, help="Ask again for leads known as gone or archived."
)
retry_option = click.option(
    "--retry-failed", is_flag=True, help="Send again what was refused or not taken before."
)
whole_option = click.option(
    "--all", "whole", is_flag=True, help="All leads on a terminal, not the first 20."
)
results_option = click.option(
    "--run-results",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what came of it as JSON; an earlier result there is removed at the start.",
)


def logged(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a command `--log-format`, which holds from its first step on."""

    @log_option
    @wraps(command)
    def logging(*, log_format: Output, **given: Any) -> int:
        with importing():
            from connector.report.log import configure
        configure(log_format)
        return command(**given)

    return logging


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
                end = vars(error).get("end")
                run = end.as_dict() if end else {}
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
    epilog=EPILOG,
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
@click.option("--base-url", metavar="URL", help="The company's address, or its name in it: acme.")
@click.option("--token-stdin", is_flag=True, help="Read the API token from standard input.")
@click.option("--token-env", metavar="NAME", help="Take the API token from this variable.")
@click.option(
    "--warehouse",
    metavar="FILE|TYPE",
    help="Where runs write, and the desired rows are: a DuckDB file, or a type such as postgres.  "
    "[default: warehouse.duckdb]",
)
@click.option(
    "--desired", metavar="FILE|TYPE", help="Where the desired rows are, if that is elsewhere."
)
@click.option("--desired-table", metavar="NAME", help="Their table.  [default: crm.lead_changes]")
@click.option("--dbt", is_flag=True, help="Write a dbt model with its schema.yml.")
@click.option(
    "--dbt-manifest",
    nargs=2,
    type=(click.Path(path_type=Path), str),
    metavar="FILE MODEL",
    help="Take the table that dbt builds for a model from target/manifest.json.",
)
@click.option("--no-model", is_flag=True, help="The table is there: write no model of it.")
@click.option("--yes", is_flag=True, help="Ask nothing, and take the defaults.")
def init(**given: Any) -> int:
    """Begin a project: its settings, and a model of the table for the account's own fields.

    At a terminal it asks for what is not given. A file that is there stays as it is. In the folder
    of a dbt project, --dbt takes where dbt builds from the project's profile.
    """
    with importing():
        from connector.report.starting import Flags, ask_what_is_wanted, show_steps
        from connector.scaffold.project import start_project
    wanted = ask_what_is_wanted(Flags(**given))
    show_steps(start_project(wanted), wanted)
    return EXIT_DONE


@lead_sync.command()
@options(lead_option, limit_option, fields_option, seconds_option, refresh_option, retry_option)
@options(output_option, logged, guard_options)
@reported
def run(*, output: Output, **given: Any) -> Ended:
    """Plan and apply: bring every lead of the desired table to its desired state."""
    with importing():
        from connector.report.output import carry_out, show_summary
        from connector.sync.runs import run as run_job
    summary = carry_out(partial(run_job, **given))
    show_summary(summary, output)
    return Ended(summary.exit_code, summary)


@lead_sync.command()
@options(lead_option, limit_option, fields_option, refresh_option, retry_option)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@whole_option
@options(output_option, logged, guard_options)
@reported
def plan(*, detailed_exitcode: bool, whole: bool, output: Output, **given: Any) -> Ended:
    """Show what a run would change, old → new, and send nothing."""
    with importing():
        from connector.report.output import show_plan
        from connector.report.screen import print_json
        from connector.sync.runs import plan as make_plan
        from connector.sync.summary import EXIT_CHANGES
    summary, document, _ = show_plan(partial(make_plan, **given), output, whole=whole)
    if output == "json":
        print_json(document)
    changes = detailed_exitcode and summary.planned > 0
    return Ended(summary.exit_code or (EXIT_CHANGES if changes else EXIT_DONE), summary)


@lead_sync.command()
@click.argument("plan_id")
@options(age_option, seconds_option, output_option, logged, guard_options)
@reported
def apply(*, plan_id: str, output: Output, **given: Any) -> Ended:
    """Apply a stored plan, once, where the leads are still as it found them.

    PLAN_ID is the plan, as `plan` has told it, the beginning of its id, or latest.
    """
    with importing():
        from connector.report.output import carry_out, show_summary
        from connector.sync.runs import apply as apply_plan
    summary = carry_out(partial(apply_plan, plan_id, **given))
    show_summary(summary, output)
    return Ended(summary.exit_code, summary)


@lead_sync.command()
@click.argument("plan_id", required=False)
@click.option("--all", "whole", is_flag=True, help="Print every lead, not the first 20.")
@options(age_option, output_option, logged, guard_options)
@reported
def rehearse(*, plan_id: str | None, whole: bool, output: Output, **given: Any) -> Ended:
    """Apply a stored plan to a local Pipedrive with the leads of the warehouse.

    PLAN_ID is the plan, as for `apply`. Without it, it is the latest that is not applied yet, which
    may be of a run that a guard stopped. Nothing is sent to the account, and the warehouse is only
    read.
    """
    with importing():
        from connector.rehearsal import rehearse as rehearse_plan
        from connector.report.log import log_end
        from connector.report.output import carry_out
        from connector.report.rehearsed import print_rehearsal
        from connector.report.screen import print_json
    found = carry_out(partial(rehearse_plan, plan_id, **given))
    log_end(found.summary, command="rehearse", exit_code=found.exit_code)
    if output == "json":
        print_json(found.as_dict())
    else:
        print_rehearsal(console(), found, whole=whole)
    return Ended(found.exit_code)


@lead_sync.command()
@click.argument("run_id")
@options(lead_option, fields_option)
@click.option("--yes", is_flag=True, help="Apply it without asking.")
@whole_option
@options(seconds_option, output_option, logged)
@reported
def revert(
    *,
    run_id: str,
    yes: bool,
    whole: bool,
    max_seconds: float | None,
    output: Output,
    **scope: Any,
) -> Ended:
    """Give back what a run has changed, but for what was changed in Pipedrive since.

    RUN_ID is the run to take back, the beginning of its id, or latest: the last one that has sent
    something.
    """
    with importing():
        from connector.report.output import carry_out, confirm_plan, show_plan, show_summary
        from connector.report.screen import print_json
        from connector.sync.runs import apply_revert, plan_revert
    made, document, settled = show_plan(
        partial(plan_revert, run_id, max_seconds=max_seconds, **scope), output, whole=whole
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
@click.option("--failed", is_flag=True, help="Only runs that ended with another exit code than 0.")
@click.option("--since", metavar="TIME", help="All since then: 24h, 7d, 2026-11-30.")
@output_option
@reported
def runs(*, run_id: str | None, failed: bool, since: str | None, output: Output) -> Ended:
    """List the latest runs, or show one.

    RUN_ID shows this run, what it changed and which leads it missed: an id, the beginning of one,
    or latest.
    """
    with importing():
        from connector.report.output import show_run, show_runs
    if run_id is None:
        show_runs(since, output, failed=failed)
    elif failed or since is not None:
        raise click.UsageError("--failed and --since are for the list of runs, without a RUN_ID")
    else:
        show_run(run_id, output)
    return Ended()


@lead_sync.command()
@click.argument("plan_or_run", metavar="PLAN_ID|RUN_ID|latest")
@whole_option
@click.option(
    "--output",
    type=click.Choice(["text", "json", "markdown", "csv", "html"]),
    default="text",
    help="The form; markdown fits a comment on a pull request.",
)
@reported
def show(*, plan_or_run: str, whole: bool, output: str) -> Ended:
    """Show a stored plan or run again, from the tables alone.

    An id, the beginning of one, or latest. A run that a guard stopped shows what it would send.
    """
    with importing():
        from connector.report.output import show_stored
    show_stored(plan_or_run, output, whole=whole)
    return Ended()


@lead_sync.command()
@click.option("--run", "run_id", metavar="ID", help="Only this run, or latest.")
@number("days", 1, most=3660, default=30, help="Runs of the last so many days.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    metavar="FILE",
    help="Where to; what is there and is no report stays as it is.",
)
@reported
def report(*, run_id: str | None, days: int, out: Path) -> Ended:
    """Write a page about what runs did: one file to open in a browser."""
    with importing():
        from connector.report.output import write_report
    write_report(run_id, days, out)
    return Ended()


@lead_sync.command()
@click.option(
    "--output",
    type=click.Choice(["text", "json", "markdown", "csv"]),
    default="text",
    help="Print for people, for machines, for a page or for a spreadsheet.",
)
def fields(*, output: Form) -> int:
    """List every field of the account: column name, type, options, what clears it."""
    with importing():
        from connector.report.fields import show_fields
        from connector.sync.fields import account_fields
    show_fields(account_fields(), output)
    return EXIT_DONE


@lead_sync.command()
@output_option
@reported
def columns(*, output: Output) -> Ended:
    """Show how each column of the desired table maps to a field; sends nothing."""
    with importing():
        from connector.report.output import show_columns
        from connector.sync.explanation import explain_columns
    found = explain_columns()
    show_columns(found, output)
    return Ended(EXIT_ERROR if found.problems else EXIT_DONE)


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
@number("leads", 0, default=40, help="How many leads it has.")
@click.option(
    "--seed", type=int, default=1, metavar="N", help="The same seed makes the same leads."
)
@click.option("--limits/--no-limits", default=True, help="Keep Pipedrive's limits.")
@click.option(
    "--plan",
    default="growth",
    metavar="NAME",
    help="Pipedrive's plan: lite, growth, premium or ultimate.",
)
@number("latency-ms", 0, default=0, help="Milliseconds that a call takes at least.")
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
    """Run the job on a local Pipedrive and a new DuckDB file, demo.duckdb."""
    with importing():
        from connector.demo import play
    return play(console())


def invoke() -> int:
    """Runs the command that the arguments name, and tells wrong usage."""
    if asked := os.environ.get(COMPLETE):
        return shell_complete(lead_sync, {}, PROGRAM, COMPLETE, asked)
    try:
        with lead_sync.make_context(PROGRAM, sys.argv[1:]) as context:
            code: int | None = lead_sync.invoke(context)
    except click.UsageError as error:
        tell_usage(error, sys.argv[1:])
        return EXIT_ERROR
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return EXIT_ERROR
    return code or EXIT_DONE
