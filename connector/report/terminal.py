"""What a person reads: a plan, what a run did, what the columns mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pendulum
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from connector.planning.model import STATUSES, NotSent, Patch
from connector.records.fields import NOTHING, Field
from connector.records.text import message, visible
from connector.report.exits import exit_code
from connector.report.screen import console, say
from connector.report.words import KINDS, _duration, counted, kind_of, statuses_told
from connector.sync.session import Progress as Tell
from connector.sync.session import silent
from connector.sync.stopping import stop_on_signal
from connector.sync.summary import Entry, Summary
from connector.warehouse.schema import TableRow

if TYPE_CHECKING:
    from connector.sync.check import Finding
    from connector.sync.explanation import Explanation

PASSED_OVER = {
    "lead_id": "the lead",
    "updated_at": "picks the newest of several rows for a lead",
    "changes": "a JSON merge patch over the other columns",
}


def change_lines(*entries: Entry) -> Iterator[Text]:
    """Yields a line for each field that a lead's patches change: `old → new`."""
    names = [visible(field.name) for entry in entries for field in entry.fields]
    width = max(map(len, names), default=0)
    for entry in entries:
        for field in entry.fields:
            patch = entry.patch
            if patch is not None:
                old = visible(field.show(patch.before))
                name = f"    {visible(field.name):<{width}}  "
                yield Text.assemble(name, old, " → ", _new(field, patch))


def _new(field: Field, patch: Patch) -> tuple[str, str]:
    if kind_of(patch, field) == "cleared":
        return "clear", "red"
    return visible(field.show(patch.body)), "green"


class PlanReport:
    """Prints a plan lead by lead as it is told, and counts what it saw."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lead: list[Entry] = []
        self.fields: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.settled: list[NotSent] = []

    def show(self, entry: Entry) -> None:
        """Takes one patch, or why a lead gets none; prints what is complete."""
        if entry.patch is not None:
            if self._lead and entry.lead_id != self._lead[0].lead_id:
                self._print_lead()
            self._lead.append(entry)
            self.fields.update(field.name for field in entry.fields)
            self.kinds.update(kind_of(entry.patch, field) for field in entry.fields)
        elif entry.settled is not None:
            self._print_lead()
            if not self.settled and self.kinds:
                self._console.print()
            self.settled.append(entry.settled)
            say(self._console, settled_line(vars(entry.settled)))

    def finish(self, summary: Summary) -> None:
        """Prints the counts of the whole plan, and what applying it costs."""
        self._print_lead()
        say(
            self._console,
            f"\nPlan {summary.plan_id}: {counted(summary.planned, 'lead')} to change, "
            f"{summary.unchanged} unchanged{statuses_told(summary.statuses)}.",
        )
        if summary.patches:
            kinds = ", ".join(f"{self.kinds[kind]} {kind}" for kind in KINDS if self.kinds[kind])
            ranked = sorted(self.fields.items(), key=lambda one: (-one[1], one[0]))
            fields = ", ".join(f"{visible(name)} {count}" for name, count in ranked)
            say(self._console, f"Values: {kinds}. Fields: {message(fields)}.")
            say(self._console, f"Applying {_cost(summary)}.")
        _print_notes(self._console, summary)

    def _print_lead(self) -> None:
        """Prints a lead's patches under one heading."""
        if self._lead:
            first = self._lead[0]
            lead = visible(first.lead_id)
            say(self._console, (visible(first.title), "bold"), "  ", lead)
            for line in change_lines(*self._lead):
                say(self._console, line)
        self._lead = []


def settled_line(settled: Mapping[str, Any]) -> Text:
    """Tells why a lead was not brought to what is wanted."""
    lead, reason = visible(settled["lead_id"] or NOTHING), message(settled["reason"] or "")
    status = f"{settled['status']:<9}"
    return Text.assemble((status, "yellow"), f"  {lead:<36}  ", reason)


def _cost(summary: Summary) -> str:
    left = "" if summary.day_left is None else f" of {summary.day_left} left today"
    least = summary.least_seconds or 0
    pace = f" and at least {_duration(least)}" if least >= 1 else ""
    return f"takes {counted(summary.cost, 'token')}{left}{pace}"


def print_summary(console: Console, summary: Summary) -> None:
    """Prints what a run did, in three lines."""
    about = f"{counted(summary.planned, 'lead')} to change"
    if summary.plan_id != summary.run_id:
        about = f"plan {summary.plan_id}, {about}"
    else:
        rows = counted(summary.desired_rows, "desired row")
        about = f"{rows}, {about}, {summary.unchanged} unchanged"
    say(console, f"Run {summary.run_id} {summary.state} in {summary.seconds:.1f} s: {about}.")
    say(console, f"Outcomes: {statuses_told(summary.statuses).removeprefix(', ') or 'none'}.")
    tokens, requests = counted(summary.tokens, "token"), counted(summary.requests, "request")
    say(console, f"Spent: {tokens} in {requests}, {summary.retries} retried.")
    _print_notes(console, summary)


def _print_notes(console: Console, summary: Summary) -> None:
    if summary.beyond_limit:
        say(console, f"Left for later by `--limit`: {counted(summary.beyond_limit, 'lead')}.")
    if summary.kept_nulls:
        nulls = counted(summary.kept_nulls, "NULL")
        say(console, f"Left alone: {nulls}, by `on_null` or for good.")
    if summary.unagreed:
        fields, are = counted(summary.unagreed, "field"), "is" if summary.unagreed == 1 else "are"
        told = f"{fields} on which nothing was agreed yet {are} written by this plan"
        say(console, f"{told}: see `on_conflict`.")
    for trip in summary.overridden:
        say(console, overridden_line(trip))
    if summary.tripped:
        print_guards(console, summary.state, summary.tripped)
    elif summary.message:
        say(console, f"{summary.state}: {message(summary.message)}", style="yellow")


def print_guards(console: Console, state: str, tripped: Sequence[Mapping[str, Any]]) -> None:
    """Prints what a plan does not pass: each guard, leads to look at, and what accepts it."""
    effect = "Stopped, nothing was sent" if state == "stopped" else "A run would stop here"
    say(console, f"{effect}: {counted(len(tripped), 'guard')} tripped", style="red")
    for trip in tripped:
        say(console, "    ", (trip["guard"], "red"), ": ", message(trip["text"]))
        if fields := trip.get("fields"):
            lost = ", ".join(f"{visible(name)} on {leads}" for name, leads in fields.items())
            say(console, f"        {message(lost)}")
        for sample in trip.get("samples", ()):
            say(console, f"        such as {message(sample)}")
    say(console, f"    accept it with {' '.join(trip.get('accept', '') for trip in tripped)}")


def overridden_line(trip: Mapping[str, Any]) -> Text:
    """Tells which guard was let pass, and by whom."""
    who = f"{visible(trip['user'])} on {visible(trip['host'])}"
    return Text(f"Guard {trip['guard']} let pass by {who}: {message(trip['text'])}", "yellow")


def exit_code_of(job: Callable[..., Summary]) -> int:
    """Runs a job for a script as the command does: a signal stops it, and it tells how it ended.

    Args:
        job: Takes the event that a signal sets as `stop`.
    """

    def command() -> int:
        with stop_on_signal() as stop:
            summary = job(stop=stop)
        print_summary(console(), summary)
        return summary.exit_code

    return exit_code(command)


def print_columns(console: Console, found: Explanation) -> None:
    """Prints what each column of the desired table manages, and what NULL does to it.

    All that is wrong follows below, a line each.
    """
    columns = found.columns
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("column", no_wrap=True)  # a name that is cut short cannot be copied
    for title in ("field", "type", "NULL", "values"):
        table.add_column(title, overflow="fold")
    for column in columns.managed:
        field = column.field
        part = f" ({column.part})" if column.part else ""
        null = columns.null_rule(field)
        blank = ", only if blank" if field.key in columns.only_if_blank else ""
        names = list(map(visible, field.options.names.values()))
        values = ", ".join(names[:3] + ["…"] * (len(names) > 3))
        kind = visible(field.type)
        cells = [visible(column.name), visible(field.name) + part, kind, null + blank, values]
        table.add_row(*map(Text, cells))
    for name in found.passed_over:
        about = PASSED_OVER.get(name, "dlt's own")
        table.add_row(*map(Text, [visible(name), NOTHING, "", "", about]))
    for name in dict.fromkeys(one.column for one in found.problems):
        if name and name not in {column.name for column in columns.managed}:
            table.add_row(Text(visible(name)), NOTHING, "", "", Text("problem", "red"))
    console.print(table, soft_wrap=False)
    for problem in found.problems:
        text = problem.wrong if problem.is_of_config else str(problem)
        say(console, ("problem", "red"), f"  {message(text)}")
    for name, doubt in found.doubts.items():
        say(console, ("look", "yellow"), f"     {message(f'{name}: {doubt}')}")


def print_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Prints a line for each thing that `check` has looked at."""
    for finding in findings:
        mark = ("ok", "green") if finding.good else ("problem", "red")
        say(console, mark, f"  {finding.subject}: {message(finding.text)}")


def print_runs(console: Console, runs: Iterable[TableRow]) -> None:
    """Prints a line a run, newest first."""
    for run in runs:
        told = f"{run['run_id']}  {run['command']:<6}  {run['state']:<7}  {', '.join(_counts(run))}"
        say(console, f"{told}  {visible(_why(run))}".rstrip())


def print_run(console: Console, run: TableRow, misses: Iterable[TableRow]) -> None:
    """Prints all that is known of a run, and a line for each lead that it missed."""
    say(console, (f"{run['command']} {run['run_id']}", "bold"), f" {run['state']}")
    for name, text in _facts(run):
        say(console, f"    {name:<10}  {message(text)}")
    if run["tripped"]:
        print_guards(console, run["state"], run["tripped"])
    for trip in run["overridden"] or ():
        say(console, overridden_line(trip))
    for outcome in sorted(misses, key=lambda one: STATUSES.index(one["status"])):
        say(console, settled_line(outcome))


def _counts(run: TableRow) -> Iterator[str]:
    if run["reverts"]:
        yield f"takes back {run['reverts']}"
    elif run["plan_id"] != run["run_id"]:
        yield f"plan {run['plan_id']}"
    else:
        yield counted(run["desired_rows"], "row")
    yield f"{run['planned']} to change"
    yield from filter(None, [statuses_told(run).removeprefix(", ")])
    yield counted(run["tokens"], "token")


def _why(run: TableRow) -> str:
    """Says in short what stopped a run; `runs RUN_ID` has it all."""
    names = ", ".join(trip["guard"] for trip in run["tripped"] or ())
    return f"guards: {names}" if names else str(run["message"] or "")


def _facts(run: TableRow) -> Iterator[tuple[str, str]]:
    began, ended = run["started_at"], run["finished_at"]
    took = f", took {(ended - began).total_seconds():.1f} s" if ended else ""
    began = pendulum.instance(began).in_timezone("UTC")
    yield "started", f"{began:%Y-%m-%d %H:%M:%S} UTC{took}"
    yield "plan", run["plan_id"]
    if run["reverts"]:
        yield "takes back", run["reverts"]
    if run["desired_table"]:
        yield "table", f"{run['desired_table']}, {counted(run['desired_rows'], 'row')}"
    yield "planned", f"{counted(run['planned'], 'lead')} to change, {run['unchanged']} unchanged"
    yield "outcomes", statuses_told(run).removeprefix(", ") or "none"
    tokens, requests = counted(run["tokens"], "token"), counted(run["requests"], "request")
    yield "spent", f"{tokens} in {requests}, {run['retries']} retried"
    if run["message"] and not run["tripped"]:
        yield "message", run["message"]


COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """Yields what a run tells its progress to: bars on a terminal, nothing elsewhere."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield silent
        return
    with Progress(*COLUMNS, console=screen) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield tell
