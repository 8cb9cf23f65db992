"""What a run comes to: its counts, and the exit code that says it to a scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from connector.diff import Settled
from connector.fields import Field
from connector.rows import Patch
from connector.tables import STATUSES

State = Literal["running", "done", "stopped", "failed"]

REACHED = frozenset({"applied", "confirmed", "deferred"})
"""Outcomes that leave no lead in a wrong state for good."""

EXIT_DONE, EXIT_ERROR, EXIT_CHANGES, EXIT_INCOMPLETE, EXIT_STOPPED = 0, 1, 2, 3, 5


@dataclass(frozen=True)
class Entry:
    """One lead of a plan: its patch, or the reason why it gets none.

    Attributes:
        fields: The fields of the patch's keys, in their order, with the names of their values.
    """

    lead_id: str | None
    title: str
    patch: Patch | None = None
    settled: Settled | None = None
    fields: Sequence[Field] = ()


@dataclass
class Tally:
    """What a run counted on its way."""

    desired_rows: int = 0
    leads_read: int = 0
    planned: int = 0
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

    @property
    def exit_code(self) -> int:
        """The exit code: 0 done, 3 some leads not brought there, 5 stopped, 1 failed."""
        if self.state == "failed":
            return EXIT_ERROR
        if self.state == "stopped":
            return EXIT_STOPPED
        if self.command == "plan":
            return EXIT_DONE
        missed = {status for status, count in self.statuses.items() if count}
        return EXIT_INCOMPLETE if missed - REACHED - set(self.tolerate) else EXIT_DONE

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
            "unchanged": self.unchanged,
            "kept_nulls": self.kept_nulls,
            "outcomes": dict(self.statuses),
            "requests": self.requests,
            "retries": self.retries,
            "tokens": self.tokens,
            "message": self.message,
        }


def every_status(counted: Mapping[str, int]) -> dict[str, int]:
    """Returns a count for each status, zero where there is none."""
    return {status: counted.get(status, 0) for status in STATUSES}
