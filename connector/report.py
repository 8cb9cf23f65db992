"""What a person reads: a plan, a summary, the runs so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from connector.columns import Columns
from connector.diff import Settled
from connector.errors import LeadSyncError
from connector.fields import Field
from connector.rows import Patch
from connector.summary import EXIT_ERROR, Entry, Summary, settled_of
from connector.tables import STATUSES, Row

NOTHING = "—"
ChangeKind = Literal["set", "changed", "cleared"]
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
PASSED_OVER = {
    "lead_id": "the lead",
    "updated_at": "picks the newest of several rows for a lead",
    "changes": "a JSON merge patch over the other columns",
}


def change_lines(entry: Entry) -> Iterator[str]:
    """Yields a line for each field that a patch changes: `old → new`."""
    width = max((len(field.name) for field in entry.fields), default=0)
    for field in entry.fields:
        patch = entry.patch
        if patch is not None:
            old = escape(field.show(patch.before.get(field.key)))
            yield f"    {escape(field.name):<{width}}  {old} → {_new(field, patch)}"


def _new(field: Field, patch: Patch) -> str:
    value = patch.body[field.key]
    if value is None or value == []:
        return "[red]clear[/red]"
    return f"[green]{escape(field.show(value))}[/green]"


class PlanReport:
    """Prints a plan entry by entry as it is told, and counts what it saw."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_lead: str | None = None
        self.fields: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.settled: list[Settled] = []

    def show(self, entry: Entry) -> None:
        """Prints one lead's patch, or why it gets none."""
        if entry.patch is not None:
            if entry.lead_id != self._last_lead:
                self._console.print(f"[bold]{escape(entry.title)}[/bold]  {entry.lead_id}")
            self._last_lead = entry.lead_id
            for line in change_lines(entry):
                self._console.print(line)
            self.fields.update(field.name for field in entry.fields)
            self.kinds.update(kind_of(entry.patch, field) for field in entry.fields)
        elif entry.settled is not None:
            self.settled.append(entry.settled)
            status, reason = entry.settled.status, escape(entry.settled.reason)
            line = f"[yellow]{status}[/yellow]  {escape(entry.lead_id or NOTHING)}  {reason}"
            self._console.print(line)

    def finish(self, summary: Summary) -> None:
        """Prints the counts of the whole plan, and what applying it costs."""
        self._console.print(
            f"\nPlan {summary.plan_id}: {summary.planned} leads to change, "
            f"{summary.unchanged} unchanged{_statuses(summary.statuses)}."
        )
        if summary.patches:
            kinds = ", ".join(f"{self.kinds[kind]} {kind}" for kind in KINDS if self.kinds[kind])
            most_first = sorted(self.fields.items(), key=lambda one: (-one[1], one[0]))
            fields = ", ".join(f"{name} {count}" for name, count in most_first)
            self._console.print(f"Values: {kinds}. Fields: {escape(fields)}.")
            self._console.print(f"Applying {_cost(summary)}.")
        _print_notes(self._console, summary)


def kind_of(patch: Patch, field: Field) -> ChangeKind:
    """Tells whether a patch sets a field that was unset, changes it or clears it."""
    if field.read(patch.body) is None:
        return "cleared"
    return "set" if field.read(patch.before) is None else "changed"


def _cost(summary: Summary) -> str:
    left = "" if summary.day_left is None else f" of {summary.day_left} left today"
    least = summary.least_seconds
    pace = f" and at least {_duration(least)}" if least is not None else ""
    return f"takes {summary.cost} tokens{left}{pace}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def plan_document(summary: Summary, entries: Iterable[Entry]) -> dict[str, Any]:
    """Returns a plan as JSON types, as `schemas/plan.json` describes it."""
    entries = list(entries)
    return {
        "format": 1,
        "summary": summary.as_dict(),
        "patches": [_patch_document(one, one.patch) for one in entries if one.patch],
        "settled": [
            {"lead_id": one.lead_id, "status": one.status, "reason": one.reason}
            for one in settled_of(entries)
        ],
    }


def _patch_document(entry: Entry, patch: Patch) -> dict[str, Any]:
    changes = [
        {
            "key": field.key,
            "field": field.name,
            "kind": kind_of(patch, field),
            "old": _named(field, patch.before),
            "new": _named(field, patch.body),
        }
        for field in entry.fields
    ]
    names = {"patch_id": patch.patch_id, "lead_id": entry.lead_id, "title": entry.title}
    return {**names, "before": patch.before, "body": patch.body, "changes": changes}


def _named(field: Field, values: Mapping[str, Any]) -> str | None:
    """Returns what a person calls a value; None for none."""
    return None if field.read(values) is None else field.show(values.get(field.key))


def print_summary(console: Console, summary: Summary) -> None:
    """Prints what a run did, in three lines."""
    about = f"{summary.planned} leads to change, {summary.unchanged} unchanged"
    if summary.plan_id != summary.run_id:
        about = f"plan {summary.plan_id}, {summary.planned} leads to change"
    elif not summary.reverts:
        about = f"{summary.desired_rows} desired rows, {about}"
    console.print(f"Run {summary.run_id} {summary.state} in {summary.seconds:.1f} s: {about}.")
    console.print(f"Outcomes: {_statuses(summary.statuses).removeprefix(', ') or 'none'}.")
    console.print(
        f"Spent: {summary.tokens} tokens in {summary.requests} requests, {summary.retries} retried."
    )
    _print_notes(console, summary)


def _print_notes(console: Console, summary: Summary) -> None:
    if summary.kept_nulls:
        console.print(f"Left alone: {summary.kept_nulls} NULLs, by `on_null` or for good.")
    if summary.message:
        colour = "red" if summary.tripped else "yellow"
        console.print(f"[{colour}]{summary.state}: {escape(summary.message)}[/{colour}]")


def exit_code_of(job: Callable[[], Summary]) -> int:
    """Runs a job for a script: prints what it did, or why it could not, on one line."""
    try:
        summary = job()
    except LeadSyncError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return EXIT_ERROR
    print_summary(Console(highlight=False, soft_wrap=True), summary)
    return summary.exit_code


def print_columns(console: Console, columns: Columns, passed_over: Iterable[str]) -> None:
    """Prints what each column of the desired table manages, and what NULL does to it."""
    table = Table("column", "field", "type", "values", "NULL")
    for column in columns.managed:
        field = column.field
        part = f" ({column.part})" if column.part else ""
        null = columns.null_rule(field)
        blank = ", only if blank" if field.key in columns.only_if_blank else ""
        names = list(field.options.names.values())
        values = ", ".join(names[:3] + ["…"] * (len(names) > 3))
        table.add_row(
            column.name, escape(field.name) + part, field.type, escape(values), null + blank
        )
    for name in passed_over:
        table.add_row(name, "—", "", PASSED_OVER.get(name, "dlt's own"), "")
    console.print(table, soft_wrap=False)


def columns_document(columns: Columns, passed_over: Iterable[str]) -> list[dict[str, Any]]:
    """Returns what each column manages as JSON types."""
    managed = [
        {
            "column": column.name,
            "key": column.field.key,
            "field": column.field.name,
            "part": column.part or None,
            "type": column.field.type,
            "options": dict(column.field.options.names),
            "on_null": columns.null_rule(column.field),
            "only_if_blank": column.field.key in columns.only_if_blank,
        }
        for column in columns.managed
    ]
    return managed + [{"column": name, "passed_over": True} for name in passed_over]


def print_runs(console: Console, runs: Iterable[Row]) -> None:
    """Prints a line a run, newest first."""
    for run in runs:
        counts = _statuses(run).removeprefix(", ") or "no outcomes"
        told = escape(run["message"] or "")
        console.print(
            f"{run['run_id']}  {run['command']} {run['state']}: {run['desired_rows']} rows, "
            f"{counts}, {run['tokens']} tokens  {told}".rstrip()
        )


def print_misses(console: Console, outcomes: Iterable[Row]) -> None:
    """Prints a line for each lead that a run did not bring to the desired state."""
    for outcome in outcomes:
        lead, reason = escape(outcome["lead_id"] or NOTHING), escape(outcome["reason"] or "")
        console.print(f"[yellow]{outcome['status']}[/yellow]  {lead}  {reason}")


def _statuses(counts: Mapping[str, Any]) -> str:
    counted = [(status, counts[status]) for status in STATUSES if counts.get(status)]
    return "".join(f", {count} {status.replace('_', ' ')}" for status, count in counted)
