"""What a run comes to: its counts, and the exit code that says it to a scheduler."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connector.pipedrive.limits import WINDOW_SECONDS
from connector.planning.model import NotSent, Patch
from connector.records.fields import Field
from connector.records.leads import LEADS
from connector.warehouse.record import RunRecord

REACHED = frozenset({"applied", "confirmed", "deferred"})
"""Outcomes that leave no lead in a wrong state for good."""
EXIT_DONE, EXIT_ERROR, EXIT_CHANGES, EXIT_INCOMPLETE, EXIT_GUARDED, EXIT_STOPPED = range(6)
EXIT_UNDER_WAY = 6
"""Of a run that found another one under way, and so has no summary."""


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
class Summary(RunRecord):
    """What a run did, and what follows from it.

    Attributes:
        burst: Requests in two seconds that the account allows, once an answer has told.
        day_left: Tokens left of the company's day, once an answer has told.
        tolerate: Statuses that do not count for the exit code.
    """

    burst: int | None = None
    day_left: int | None = None
    tolerate: Collection[str] = ()

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
    def beyond_limit(self) -> int:
        """Leads that differ as well and that `--limit` leaves for later."""
        return max(self.would_change - self.planned, 0) if self.plan_id == self.run_id else 0

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
        derived = {name: getattr(self, name) for name in ("exit_code", "seconds", "cost")}
        return self.as_told() | derived


def settled_of(entries: Iterable[Entry]) -> list[NotSent]:
    """Returns what of a plan's entries gets no patch, or not all of it."""
    return [one.settled for one in entries if one.settled is not None]
