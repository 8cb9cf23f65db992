"""What a run comes to: its counts, and the exit code that says it to a scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from connector.pipedrive.limits import WINDOW_SECONDS
from connector.planning.model import STATUSES, NotSent, Patch
from connector.records.fields import Field
from connector.records.leads import LEADS
from connector.warehouse.rows import package_version
from connector.warehouse.schema import TableRow

State = Literal["running", "done", "stopped", "failed"]
REACHED = frozenset({"applied", "confirmed", "deferred"})
"""Outcomes that leave no lead in a wrong state for good."""
EXIT_DONE, EXIT_ERROR, EXIT_CHANGES, EXIT_INCOMPLETE, EXIT_GUARDED, EXIT_STOPPED = range(6)


@dataclass(frozen=True)
class Entry:
    """One lead of a plan: its patch, or the reason why it gets none.

    Attributes:
        fields: The fields of the patch's keys, in their order, with the names of their values.
    """

    lead_id: str | None
    title: str
    patch: Patch | None = None
    settled: NotSent | None = None
    fields: Sequence[Field] = ()


@dataclass
class Tally:
    """What a run counted on its way."""

    desired_rows: int = 0
    leads_read: int = 0
    planned: int = 0
    patches: int = 0
    unchanged: int = 0
    kept_nulls: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        planned: Leads that differ.
        statuses: How many outcomes of each status, every status present.
        unchanged: Leads that already said what is wanted.
        kept_nulls: NULLs left alone, by `on_null` or as Pipedrive cannot clear their field.
        tokens: Pipedrive's tokens spent.
        reverts: The run whose changes are taken back, if any.
        tripped: The guards that the plan does not pass, each with its limit and what was found.
        overridden: Those that config would have tripped and an argument let pass, and by whom.
        patches: PATCHes that the plan takes; two for a lead that is un-archived first.
        burst: Requests in two seconds that the account allows, once an answer has told.
        day_left: Tokens left of the company's day, once an answer has told.
        message: Why the run stopped or failed; empty when it came to its end.
        tolerate: Statuses that do not count for the exit code.
    """

    run_id: str
    plan_id: str
    command: str
    state: State
    started_at: datetime
    finished_at: datetime | None
    desired_rows: int
    leads_read: int
    planned: int
    statuses: Mapping[str, int]
    unchanged: int
    kept_nulls: int
    requests: int
    retries: int
    tokens: int
    message: str
    tolerate: Collection[str] = ()
    reverts: str | None = None
    tripped: Sequence[Mapping[str, Any]] = ()
    overridden: Sequence[Mapping[str, Any]] = ()
    patches: int = 0
    burst: int | None = None
    day_left: int | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 3 some leads not brought there, 4 a guard stopped it, 5 stopped, 1 failed."""
        if self.state == "failed":
            return EXIT_ERROR
        if self.state == "stopped" and self.tripped:
            return EXIT_GUARDED
        if self.state == "stopped":
            return EXIT_STOPPED
        if self.command == "plan":
            return EXIT_DONE
        missed = {status for status, count in self.statuses.items() if count}
        return EXIT_INCOMPLETE if missed - REACHED - set(self.tolerate) else EXIT_DONE

    @property
    def cost(self) -> int:
        """Tokens that applying the plan takes, when nothing goes wrong."""
        return self.patches * LEADS.tokens.patch

    @property
    def least_seconds(self) -> float | None:
        """Seconds that applying the plan takes at least, by the burst limit."""
        return self.patches * WINDOW_SECONDS / self.burst if self.burst else None

    @property
    def seconds(self) -> float:
        """How long the run took."""
        end = self.finished_at or self.started_at
        return round((end - self.started_at).total_seconds(), 2)

    def as_dict(self) -> dict[str, Any]:
        """Returns the summary as JSON types, for machines."""
        return {
            "run_id": self.run_id,
            "plan_id": self.plan_id,
            "command": self.command,
            "state": self.state,
            "exit_code": self.exit_code,
            "started_at": self.started_at.isoformat(),
            "seconds": self.seconds,
            "desired_rows": self.desired_rows,
            "leads_read": self.leads_read,
            "planned": self.planned,
            "patches": self.patches,
            "cost": self.cost,
            "unchanged": self.unchanged,
            "kept_nulls": self.kept_nulls,
            "outcomes": dict(self.statuses),
            "requests": self.requests,
            "retries": self.retries,
            "tokens": self.tokens,
            "reverts": self.reverts,
            "tripped": list(self.tripped),
            "overridden": list(self.overridden),
            "message": self.message,
        }


def settled_of(entries: Iterable[Entry]) -> list[NotSent]:
    """Returns what of a plan's entries gets no patch, or not all of it."""
    return [one.settled for one in entries if one.settled is not None]


def every_status(counted: Mapping[str, int]) -> dict[str, int]:
    """Returns a count for each status, zero where there is none."""
    return {status: counted.get(status, 0) for status in STATUSES}


def run_row(summary: Summary, desired_table: str | None) -> TableRow:
    """Returns the row of `sync_runs` of a run.

    Args:
        summary: What it has come to so far.
        desired_table: The desired table, where all of it was held against the guards.
    """
    return {
        "run_id": summary.run_id,
        "plan_id": summary.plan_id,
        "command": summary.command,
        "desired_table": desired_table,
        "reverts": summary.reverts,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "state": summary.state,
        "desired_rows": summary.desired_rows,
        "leads_read": summary.leads_read,
        **summary.statuses,
        "unchanged": summary.unchanged,
        "kept_nulls": summary.kept_nulls,
        "requests": summary.requests,
        "retries": summary.retries,
        "tokens": summary.tokens,
        "tripped": list(summary.tripped) or None,
        "overridden": list(summary.overridden) or None,
        "message": summary.message or None,
        "version": package_version(),
    }
