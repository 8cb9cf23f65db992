"""What a person reads: a plan, what a run did, what the columns mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.columns import Columns
from connector.diff import Settled
from connector.exits import exit_code
from connector.fields import Field
from connector.rows import Patch
from connector.screen import console, say
from connector.stopping import stop_on_signal
from connector.summary import Entry, Summary, settled_of
from connector.tables import STATUSES
from connector.text import message, visible

NOTHING = "—"
ChangeKind = Literal["set", "changed", "cleared"]
KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
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
                old = visible(field.show(patch.before.get(field.key)))
                name = f"    {visible(field.name):<{width}}  "
                yield Text.assemble(name, old, " → ", _new(field, patch))


def _new(field: Field, patch: Patch) -> tuple[str, str]:
    if kind_of(patch, field) == "cleared":
        return "clear", "red"
    return visible(field.show(patch.body[field.key])), "green"


class PlanReport:
    """Prints a plan lead by lead as it is told, and counts what it saw."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lead: list[Entry] = []
        self.fields: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.settled: list[Settled] = []

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


def kind_of(patch: Patch, field: Field) -> ChangeKind:
    """Tells whether a patch sets a field that was unset, changes it or clears it."""
    if field.read(patch.body) is None:
        return "cleared"
    return "set" if field.read(patch.before) is None else "changed"


def _cost(summary: Summary) -> str:
    left = "" if summary.day_left is None else f" of {summary.day_left} left today"
    least = summary.least_seconds or 0
    pace = f" and at least {_duration(least)}" if least >= 1 else ""
    return f"takes {counted(summary.cost, 'token')}{left}{pace}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return counted(round(seconds), "second")
    return counted(round(seconds / 60), "minute")


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun in the right number, such as "1 lead"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


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
    if summary.kept_nulls:
        nulls = counted(summary.kept_nulls, "NULL")
        say(console, f"Left alone: {nulls}, by `on_null` or for good.")
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


def print_columns(console: Console, columns: Columns, passed_over: Iterable[str]) -> None:
    """Prints what each column of the desired table manages, and what NULL does to it."""
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
    for name in passed_over:
        about = PASSED_OVER.get(name, "dlt's own")
        table.add_row(*map(Text, [visible(name), NOTHING, "", "", about]))
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


def statuses_told(counts: Mapping[str, Any]) -> str:
    """Returns how many outcomes there are of each status, each with a comma before it."""
    found = [(status, counts[status]) for status in STATUSES if counts.get(status)]
    return "".join(f", {_outcomes(status, count)}" for status, count in found)


def _outcomes(status: str, count: int) -> str:
    return counted(count, status) if status == "conflict" else f"{count} {status.replace('_', ' ')}"
