"""What one run comes to: the single list of what is counted and noted of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal, get_type_hints

from connector.planning.model import STATUSES

State = Literal["running", "done", "stopped", "failed"]


def package_version() -> str:
    """Returns the installed version of lead-sync."""
    return version("lead-sync")


@dataclass(frozen=True)
class Noted:
    """Says of a field of `RunRecord` what it is, and where it shows.

    Attributes:
        text: What it is, in the words of the JSON schemas.
        stored: Whether it is a column of `sync_runs`.
        told: Whether machines are told it, or under which other name they are.
    """

    text: str
    stored: bool = True
    told: bool | str = True


@dataclass
class RunRecord:
    """What one run has come to so far. Its steps change it, and they change nothing else.

    Its fields are the columns of `sync_runs`, the summary and the JSON documents of a run.
    """

    run_id: Annotated[str, Noted("The run; sorts by time.")]
    plan_id: Annotated[
        str,
        Noted("The plan that it made or applied; a plan has the id of the run that made it."),
    ]
    command: Annotated[str, Noted("The command that was called.")]
    state: Annotated[
        State,
        Noted(
            "How it ended: done, stopped before its end by a guard, a budget, a limit or a "
            "signal, or failed. Running is one that has not ended."
        ),
    ] = "running"
    started_at: Annotated[datetime, Noted("When it began, in UTC.")] = field(kw_only=True)
    finished_at: Annotated[datetime | None, Noted("When it ended.", told=False)] = None
    turn: Annotated[
        int,
        Noted(
            "Its place among the runs of the dataset, which take turns; no clock says it.",
            told=False,
        ),
    ] = 0
    desired_table: Annotated[
        str | None,
        Noted("The desired table, once all of it was held against the guards.", told=False),
    ] = None
    released: Annotated[
        bool,
        Noted(
            "Whether each patch of its plan gets an outcome; a guard that stops it withdraws this.",
            told=False,
        ),
    ] = False
    lead: Annotated[
        str | None, Noted("The only lead that it looked at; empty for all.", told=False)
    ] = None
    narrowed_by: Annotated[
        str | None,
        Noted(
            "The options that narrowed it, as the command line takes them; empty for none.",
            told=False,
        ),
    ] = None
    sends_from: Annotated[
        datetime | None,
        Noted("When it began to send; empty where it has sent nothing.", told=False),
    ] = None
    sends_plans: Annotated[
        str | None,
        Noted(
            "The plans whose patches it then sent, one a word: its own, and those left over.",
            told=False,
        ),
    ] = None
    sends_until: Annotated[
        str | None,
        Noted(
            "The last patch that it may have sent so far; patches go out in the order of their "
            "ids. Empty where it has sent nothing, and where an older version sent it.",
            told=False,
        ),
    ] = None
    sends_at: Annotated[
        datetime | None,
        Noted("When it came to that one; empty where `sends_until` is.", told=False),
    ] = None
    taken_over_by: Annotated[
        str | None,
        Noted("The run that settled what it had left; empty where it came to its end.", told=False),
    ] = None
    desired_rows: Annotated[
        int,
        Noted("Rows of the desired table; 0 where a stored plan was applied or a run taken back."),
    ] = 0
    desired_leads: Annotated[
        int, Noted("Leads that the desired table names, each counted once, as far as it was read.")
    ] = 0
    unknown_leads: Annotated[
        int, Noted("Those of them that the account does not have, as the guards count them.")
    ] = 0
    leads_read: Annotated[int, Noted("Leads read from Pipedrive.")] = 0
    leads_listed: Annotated[
        int | None,
        Noted(
            "Those of them that the list of leads showed; empty where all of it was not read.",
            told=False,
        ),
    ] = None
    whole_as_of: Annotated[
        datetime | None,
        Noted(
            "When the last reading of all leads began that this run goes by; empty where it read "
            "certain leads alone, or came to no end with it."
        ),
    ] = None
    updated_until: Annotated[
        datetime | None,
        Noted("Up to when it knows what was updated, by Pipedrive's clock.", told=False),
    ] = None
    read_under: Annotated[
        str | None,
        Noted("Tells the fields, the user and the version it read under from others.", told=False),
    ] = None
    planned: Annotated[
        int, Noted("Leads that differ and would be changed, or were to be.", stored=False)
    ] = 0
    left_over: Annotated[
        int, Noted("Those of them that get what a run before planned, and was cut off from.")
    ] = 0
    patches: Annotated[
        int,
        Noted(
            "PATCHes that the plan takes: one a lead, two where it is un-archived first; 0 where "
            "a stored plan was applied.",
            stored=False,
        ),
    ] = 0
    unchanged: Annotated[int, Noted("Leads that already said what is wanted.")] = 0
    compared: Annotated[
        int, Noted("Leads that were held against what is wanted of them, as the guards count them.")
    ] = 0
    would_change: Annotated[
        int,
        Noted(
            "Leads that differ, as the guards count them: also those that `--limit` leaves for "
            "later."
        ),
    ] = 0
    would_clear: Annotated[int, Noted("Those of them that would lose a value.")] = 0
    would_overwrite: Annotated[
        int, Noted("Those of them on which a value would be replaced by another.")
    ] = 0
    would_archive: Annotated[int, Noted("Those of them that would be archived.")] = 0
    kept_nulls: Annotated[
        int, Noted("NULLs left alone, by on_null or as Pipedrive cannot clear their field.")
    ] = 0
    unagreed: Annotated[
        int,
        Noted(
            "Fields that the plan writes though nothing was agreed on of them yet; counted where "
            "`on_conflict` minds it."
        ),
    ] = 0
    statuses: Annotated[
        Counter[str], Noted("How many outcomes there are of each status.", told="outcomes")
    ] = field(default_factory=lambda: Counter(dict.fromkeys(STATUSES, 0)))
    requests: Annotated[int, Noted("Calls made to Pipedrive.")] = 0
    retries: Annotated[int, Noted("Those of them that were tried again.")] = 0
    tokens: Annotated[int, Noted("Pipedrive's tokens spent.")] = 0
    tokens_written: Annotated[int, Noted("Those of them that PATCHes took; the rest read.")] = 0
    day_budget: Annotated[
        int | None,
        Noted("Tokens of the company's day; empty where no answer told of them.", told=False),
    ] = None
    exit_code: Annotated[
        int | None,
        Noted("What it told a scheduler; empty where it has not come to its end.", told=False),
    ] = None
    reverts: Annotated[str | None, Noted("The run whose changes are taken back, if any.")] = None
    tripped: Annotated[
        list[dict[str, Any]],
        Noted("The guards that stopped the run, or would stop a run of this plan."),
    ] = field(default_factory=list)
    overridden: Annotated[
        list[dict[str, Any]],
        Noted("The guards that config alone would have tripped and an argument let pass."),
    ] = field(default_factory=list)
    message: Annotated[str, Noted("Why it stopped or failed; empty when it came to its end.")] = ""
    version: Annotated[str, Noted("The version of lead-sync.", told=False)] = field(
        default_factory=package_version
    )

    def as_row(self) -> dict[str, Any]:
        """Returns its row of `sync_runs`; what is empty is NULL, and each status has a count."""
        row = {name: getattr(self, name) for name in stored()}
        empty = {name: None for name, value in row.items() if value in ("", [])}
        return row | empty | every_status(self.statuses)

    def as_told(self) -> dict[str, Any]:
        """Returns what machines are told of it, as JSON types."""
        return {name: _json(getattr(self, own)) for name, own, _ in told()}


NOTES: Mapping[str, Noted] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(RunRecord, include_extras=True).items()
}
"""What each field of a record is."""


def stored() -> list[str]:
    """Returns the fields that are columns; the statuses are one column each instead."""
    return [name for name, noted in NOTES.items() if noted.stored and name != "statuses"]


def told() -> Iterator[tuple[str, str, str]]:
    """Yields what machines are told: under which name, from which field, and what it is."""
    for name, noted in NOTES.items():
        if noted.told:
            yield noted.told if isinstance(noted.told, str) else name, name, noted.text


def every_status(counted: Mapping[str, int]) -> dict[str, int]:
    """Returns a count for each status, zero where there is none."""
    return {status: counted.get(status, 0) for status in STATUSES}


def _json(value: Any) -> Any:
    if isinstance(value, Counter):
        return every_status(value)
    return value.isoformat() if isinstance(value, datetime) else value
