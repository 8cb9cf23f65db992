"""A plan as a person reads it: what it comes to first, then its leads."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from connector.planning.model import NotSent, Patch
from connector.records.fields import NOTHING, Field
from connector.records.text import message, visible
from connector.report.endings import next_step, print_guards, print_next, print_notes
from connector.report.screen import say, twin
from connector.report.words import KINDS, ChangeKind, counted, duration, kind_of, statuses_told
from connector.sync.summary import Entry, Summary

ON_A_TERMINAL = 20
"""Leads of a plan that a terminal shows unless it is asked for all."""
SPOOLED = 1 << 20
LONGEST_SAMPLE = 40


def named(title: str, url: str | None) -> tuple[str, str]:
    """Returns a lead's title, as a link where the terminal knows links."""
    return visible(title), f"bold link {url}" if url else "bold"


def change_lines(*entries: Entry) -> Iterator[tuple[Text, int]]:
    """Yields a line for each field that a lead's patches change, and where its values begin."""
    names = [visible(field.name) for entry in entries for field in entry.fields]
    width = max(map(len, names), default=0)
    for entry in entries:
        for field in entry.fields:
            patch = entry.patch
            if patch is not None:
                old = visible(field.show(patch.before))
                name = f"    {visible(field.name):<{width}}  "
                yield Text.assemble(name, old, " → ", _new(field, patch)), len(name)


def _new(field: Field, patch: Patch) -> tuple[str, str]:
    if kind_of(patch, field) == "cleared":
        return "clear", "red"
    return visible(field.show(patch.body)), "green"


class Changes:
    """Counts what PATCHes change, by field and kind, and keeps a sample of each."""

    def __init__(self) -> None:
        self.kinds: Counter[ChangeKind] = Counter()
        self.fields: dict[str, Counter[ChangeKind]] = {}
        self._samples: dict[tuple[str, ChangeKind], str] = {}

    def count(self, entry: Entry) -> None:
        """Counts one PATCH."""
        if entry.patch is None:
            return
        for field in entry.fields:
            kind = kind_of(entry.patch, field)
            self.kinds[kind] += 1
            self.fields.setdefault(field.name, Counter())[kind] += 1
            if (field.name, kind) not in self._samples:
                self._samples[field.name, kind] = _sample(field, entry.patch, kind)

    def told(self) -> str:
        """Returns how many values are set, changed and cleared."""
        return _kinds(self.kinds)

    def ranked(self) -> list[str]:
        """Returns the fields, those first of which the most values change."""
        return sorted(self.fields, key=lambda name: (-self.fields[name].total(), name))

    def lines(self) -> Iterator[tuple[str, int]]:
        """Yields a line a field: how many values of it, and such as which."""
        ranked = self.ranked()
        names = max((len(visible(name)) for name in ranked), default=0)
        width = max((len(_kinds(self.fields[name])) for name in ranked), default=0)
        for name in ranked:
            kinds = self.fields[name]
            samples = "; ".join(self._samples[name, kind] for kind in KINDS if kinds[kind])
            head = f"    {visible(name):<{names}}  {_kinds(kinds):<{width}}  "
            yield head + samples, len(head)


def _kinds(kinds: Mapping[ChangeKind, int]) -> str:
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds.get(kind))


def _sample(field: Field, patch: Patch, kind: ChangeKind) -> str:
    old = visible(field.show(patch.before), LONGEST_SAMPLE)
    new = "clear" if kind == "cleared" else visible(field.show(patch.body), LONGEST_SAMPLE)
    return f"{old} → {new}"


class LeadLines:
    """Keeps the lines of leads until what comes before them is printed.

    Args:
        console: Where they go.
        most: So many leads at most, and so many that get nothing; None for all.
    """

    def __init__(self, console: Console, most: int | None = None) -> None:
        self._console = console
        self._most = most
        # Closed with the process: what it holds is of no use to anybody else.
        self._spool = tempfile.SpooledTemporaryFile(SPOOLED, "w+", encoding="utf-8")  # noqa: SIM115
        self._twin = twin(console, self._spool)  # type: ignore[arg-type] # it is a text file
        self._lead: list[Entry] = []
        self._unsent = 0
        self.leads = 0

    @property
    def left_out(self) -> int:
        """Leads, and rows that get nothing, that are not among the lines."""
        return (
            0
            if self._most is None
            else sum(max(one - self._most, 0) for one in (self.leads, self._unsent))
        )

    def add(self, entry: Entry) -> None:
        """Takes one PATCH, or why a lead gets none."""
        if entry.patch is not None:
            if self._lead and entry.lead_id != self._lead[0].lead_id:
                self.flush()
            self._lead.append(entry)
        elif entry.settled is not None:
            self.flush()
            if not self._unsent and self.leads:
                self._twin.print()
            self._unsent += 1
            if self._most is None or self._unsent <= self._most:
                print_settled(self._twin, vars(entry.settled), entry.title, entry.url)

    def print(self) -> None:
        """Prints them all."""
        self.flush()
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, self._console.file)
        self._spool.close()

    def flush(self) -> None:
        """Writes what there is of a lead under its heading."""
        if not self._lead:
            return
        self.leads += 1
        if self._most is None or self.leads <= self._most:
            first = self._lead[0]
            say(self._twin, named(first.title, first.url), "  ", visible(first.lead_id), hang=0)
            for line, hang in change_lines(*self._lead):
                say(self._twin, line, hang=hang)
        self._lead = []


class PlanReport:
    """Takes a plan lead by lead as it is told, and prints it with what it comes to in front.

    Args:
        console: Where it goes.
        most: So many leads at most; None for all of them.
    """

    def __init__(self, console: Console, most: int | None = None) -> None:
        self._console = console
        self._lines = LeadLines(console, most)
        self.changes = Changes()
        self.settled: list[NotSent] = []

    def show(self, entry: Entry) -> None:
        """Takes one patch, or why a lead gets none."""
        self.changes.count(entry)
        if entry.settled is not None:
            self.settled.append(entry.settled)
        self._lines.add(entry)

    def finish(self, summary: Summary, applied_by: Sequence[str] = ()) -> None:
        """Prints the plan: its counts, what applying it costs, its guards, and its leads.

        Args:
            summary: What it came to.
            applied_by: The runs that have applied it.
        """
        out = self._console
        self._print_counts(summary)
        for run_id in applied_by:
            say(out, f"It was applied by run {run_id}.")
        print_notes(out, summary)
        print_guards(out, summary)
        if self.changes.fields:
            say(out, "\nBy field:")
            for line, hang in self.changes.lines():
                say(out, line, hang=hang)
        if self.changes.fields or self.settled:
            out.print()
        self._lines.print()
        if left := self._lines.left_out:
            all_of_it = f"`lead-sync show {summary.plan_id} --all`"
            say(out, f"… and {counted(left, 'lead')} more: {all_of_it} shows all", style="dim")
        step = next_step(summary, seen=not left)
        if step and not applied_by:
            out.print()
            print_next(out, step)

    def _print_counts(self, summary: Summary) -> None:
        told = f"{counted(summary.planned, 'lead')} to change, {summary.unchanged} unchanged"
        say(
            self._console,
            f"Plan {summary.plan_id}: {told}{statuses_told(summary.statuses)}.",
            hang=4,
        )
        if summary.reverts:
            say(self._console, f"It takes back run {summary.reverts}.")
        if self.changes.kinds:
            say(self._console, f"Values: {self.changes.told()}.")
        if summary.patches:
            say(self._console, f"Applying {_cost(summary)}.")


def print_settled(
    screen: Console, settled: Mapping[str, Any], title: str = "", url: str | None = None
) -> None:
    """Prints why a lead was not brought to what is wanted.

    Args:
        screen: Where to.
        settled: Its `lead_id`, `status` and `reason`.
        title: The lead's, where it is known.
        url: Where a browser shows it.
    """
    lead, reason = visible(settled["lead_id"] or NOTHING), message(settled["reason"] or "")
    status = f"{settled['status']:<9}  "
    titled = Text.assemble(named(title, url), "  ") if title else ""
    if not screen.is_terminal:
        say(screen, (status, "yellow"), f"{lead:<36}  ", titled, reason)
        return
    say(screen, (status, "yellow"), titled, lead, hang=len(status))
    say(screen, " " * len(status), reason, hang=len(status))


def _cost(summary: Summary) -> str:
    left = "" if summary.day_left is None else f" of {summary.day_left} left today"
    least = summary.least_seconds or 0
    pace = f" and at least {duration(least)}" if least >= 1 else ""
    return f"takes {counted(summary.cost, 'token')}{left}{pace}"
