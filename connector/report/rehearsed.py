"""What a rehearsal comes to, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pendulum
from rich.console import Console

from connector.planning.model import DONE
from connector.records.fields import NOTHING
from connector.records.text import message, visible
from connector.report.endings import overridden_line, print_guards, print_next
from connector.report.screen import say
from connector.report.words import counted, statuses_told
from connector.sync.summary import EXIT_INCOMPLETE, Summary
from connector.warehouse.record import every_status

SHOWN = 20
"""Leads that a person is shown unless all are asked for; those with trouble come first."""


@dataclass(frozen=True)
class Changed:
    """A field as it was and as it is afterwards, in the words of its users."""

    key: str
    field: str
    old: str
    new: str


@dataclass(frozen=True)
class RehearsedLead:
    """What became of one patch, or of a lead that was left alone for a reason."""

    lead_id: str
    title: str
    status: str
    reason: str
    changes: Sequence[Changed]


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal came to.

    Attributes:
        leads: How many leads the local Pipedrive had.
        read_at: When the newest of them was read; None where there were none.
        summary: What the run there came to.
        rehearsed: What became of each patch.
        left: The leads that do not say all that the plan wants: a second plan would not be empty.
    """

    plan_id: str
    leads: int
    read_at: datetime | None
    summary: Summary
    rehearsed: Sequence[RehearsedLead]
    left: Sequence[str]

    @property
    def exit_code(self) -> int:
        """That of applying it; 3 as well where something of the plan is left."""
        return self.summary.exit_code or (EXIT_INCOMPLETE if self.left else 0)

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON types, as `schemas/rehearse.json` describes it."""
        return {
            "format": 1,
            "plan_id": self.plan_id,
            "exit_code": self.exit_code,
            "leads": self.leads,
            "read_at": self.read_at and self.read_at.isoformat(),
            "state": self.summary.state,
            "message": self.summary.message,
            "outcomes": every_status(self.summary.statuses),
            "tripped": self.summary.tripped,
            "seconds": self.summary.seconds,
            "requests": self.summary.requests,
            "rehearsed": [asdict(one) for one in self.rehearsed],
            "left": list(self.left),
        }


def print_rehearsal(console: Console, rehearsal: Rehearsal, *, whole: bool = False) -> None:
    """Prints the leads as they are after a rehearsal, and what came of it.

    Args:
        console: Where to.
        rehearsal: What it came to.
        whole: Whether to print every lead.
    """
    ranked = sorted(rehearsal.rehearsed, key=lambda one: one.status in DONE)
    shown = ranked if whole else ranked[:SHOWN]
    for lead in shown:
        _print_lead(console, lead)
    if rest := len(ranked) - len(shown):
        say(console, f"… and {counted(rest, 'more lead')}; --all shows them.")
    summary = rehearsal.summary
    say(console, f"\nRehearsed plan {rehearsal.plan_id} on {_where(rehearsal)}.", hang=0)
    changes = Counter(one.field for lead in rehearsal.rehearsed for one in lead.changes)
    told = statuses_told(summary.statuses).removeprefix(", ") or "none"
    say(console, f"Outcomes: {told}, in {summary.seconds:.1f} s.")
    if changes:
        fields = ", ".join(f"{visible(name)} {count}" for name, count in changes.most_common())
        say(console, f"Fields changed: {message(fields)}.", hang=4)
    for trip in summary.overridden:
        say(console, overridden_line(trip))
    if summary.tripped:
        print_guards(console, summary)
    elif summary.message:
        say(console, f"{summary.state}: {message(summary.message)}", style="yellow")
    if summary.state == "done":
        _print_left(console, rehearsal)
    say(console, "Nothing left this machine, and no token of the account was spent.")
    if summary.state == "done" and not rehearsal.left:
        print_next(console, f"`lead-sync apply {rehearsal.plan_id}` sends it")


def _print_lead(console: Console, lead: RehearsedLead) -> None:
    style = "green" if lead.status in DONE else "yellow"
    title = visible(lead.title) if lead.title else NOTHING
    status = f"{lead.status:<9}  "
    head = ((status, style), (title, "bold"), f"  {visible(lead.lead_id)}")
    say(console, *head, hang=len(status))
    if lead.reason:
        say(console, f"    {message(lead.reason)}", hang=4)
    width = max((len(visible(one.field)) for one in lead.changes), default=0)
    for one in lead.changes:
        name = f"    {visible(one.field):<{width}}  "
        values = (visible(one.old), " → ", (visible(one.new), "green"))
        say(console, name, *values, hang=len(name))


def _where(rehearsal: Rehearsal) -> str:
    about = f"a local Pipedrive with {counted(rehearsal.leads, 'lead')}"
    if rehearsal.read_at is None:
        return about
    read = pendulum.instance(rehearsal.read_at).in_timezone("UTC")
    return f"{about}, as read until {read:%Y-%m-%d %H:%M} UTC"


def _print_left(console: Console, rehearsal: Rehearsal) -> None:
    if not rehearsal.left:
        say(console, "A second plan is empty: each lead says all that this one wants.")
        return
    leads = counted(len(rehearsal.left), "lead")
    some = ", ".join(map(visible, rehearsal.left[:3])) + (", …" * (len(rehearsal.left) > 3))
    say(console, f"A second plan is not empty: {leads} would still differ: {some}.", style="yellow")
