"""What a run comes to: its counts, and the exit code that says it to a scheduler."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connector.pipedrive.limits import WINDOW_SECONDS
from connector.planning.model import DONE, NotSent, Patch
from connector.records.fields import Field
from connector.records.leads import LEADS
from connector.warehouse.journal import NOTHING_MISSED, Missed
from connector.warehouse.record import RunRecord

REACHED = DONE | {"deferred"}
"""Outcomes that leave no lead in a wrong state for good."""
EXIT_DONE, EXIT_ERROR, EXIT_CHANGES, EXIT_INCOMPLETE, EXIT_GUARDED, EXIT_STOPPED = range(6)
EXIT_UNDER_WAY = 6
"""Of a run that found another one under way, and so has no summary."""


@dataclass(frozen=True)
class Entry:
    """One lead of a plan: its patch, or the reason why it gets none.

    Attributes:
        fields: The fields of the patch's keys, in their order, with the names of their values.
        url: Where a browser shows the lead, where that is known.
    """

    lead_id: str | None
    title: str
    patch: Patch | None = None
    settled: NotSent | None = None
    fields: Sequence[Field] = ()
    url: str | None = None


@dataclass
class Summary(RunRecord):
    """What a run did, and what follows from it.

    Attributes:
        exit_code: What says it to a scheduler.
        burst: Requests in two seconds that the account allows, once an answer has told.
        day_left: Tokens left of the company's day, once an answer has told.
        tolerate: Statuses that do not count for the exit code.
        domain: The company's part of the address, once a run has noted it.
        missed: Leads that are not as they should be, where the exit code says that there are any.
    """

    exit_code: int = 0
    burst: int | None = None
    day_left: int | None = None
    tolerate: Collection[str] = ()
    domain: str | None = None
    missed: Missed = NOTHING_MISSED

    def __post_init__(self) -> None:
        """Works out the exit code."""
        self.exit_code = exit_code_of(self, self.tolerate)

    @property
    def beyond_limit(self) -> int:
        """Leads that differ as well and that `--limit` leaves for later."""
        return max(self.would_change - self.planned, 0) if self.plan_id == self.run_id else 0

    @property
    def cost(self) -> int:
        """Tokens that applying the plan takes, when nothing goes wrong."""
        return self.patches * LEADS.tokens.patch

    @property
    def blind_cost(self) -> int:
        """Tokens that a PATCH for each desired lead takes, whether it differs or not."""
        return self.desired_leads * LEADS.tokens.patch

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


def exit_code_of(run: RunRecord, tolerate: Collection[str]) -> int:
    """0 done, 3 some leads not brought there, 4 a guard stopped it, 5 stopped, 1 failed.

    Args:
        run: A run at its end.
        tolerate: Statuses that do not count.
    """
    if run.state == "failed":
        return EXIT_ERROR
    if run.state == "stopped":
        return EXIT_GUARDED if run.tripped else EXIT_STOPPED
    if run.command == "plan":
        return EXIT_DONE
    missed = {status for status, count in run.statuses.items() if count}
    return EXIT_INCOMPLETE if missed - REACHED - set(tolerate) else EXIT_DONE


def settled_of(entries: Iterable[Entry]) -> list[NotSent]:
    """Returns what of a plan's entries gets no patch, or not all of it."""
    return [one.settled for one in entries if one.settled is not None]
