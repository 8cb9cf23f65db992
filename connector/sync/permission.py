"""What may be sent: stored plans that are admitted, and plans that pass their guards."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import pendulum

from connector.configuration.readers import parse_age
from connector.errors import GuardTripped, PlanError
from connector.planning.guards import GUARDS, PlanSize, Trip, cleared_keys, measure, tripped
from connector.planning.model import Patch
from connector.records.fields import Field, by_key, field_of
from connector.records.text import visible
from connector.settings import load_settings
from connector.sync.reading import read_names
from connector.sync.session import Job
from connector.warehouse import history
from connector.warehouse.rows import patches_by_lead
from connector.warehouse.schema import TableRow

log = logging.getLogger(__name__)


def admit(job: Job, plan_id: str) -> list[str]:
    """Makes a stored plan the one that the job applies; returns the leads that are left to do.

    Raises:
        PlanError: It must not be applied, and why.
    """
    runs = history.runs_of_plan(job.warehouse, plan_id)
    maker = next((row for row in runs if row["run_id"] == plan_id), None)
    if maker is None:
        known = "`lead-sync plan` makes one, `lead-sync runs` lists them"
        raise PlanError(f"no plan {plan_id}; {known}")
    left = history.open_lead_ids(job.warehouse, plan_id)
    released = [row for row in runs if _has_released(row)]
    if released and not left:
        raise PlanError(f"plan {plan_id} was applied before, by {_told(released[0])}")
    if maker["state"] != "done" and not _is_guarded(maker):
        raise PlanError(f"plan {plan_id} never came to its end; make a new one")
    _refuse_old(job, plan_id, maker)
    job.resumes, job.reverts = bool(released), maker["reverts"]
    job.command = "apply" if job.reverts is None else "revert"
    job.whole_table, job.tally.desired_rows = maker["desired_table"], maker["desired_rows"]
    job.tally.unchanged = maker["unchanged"]
    return left


def admit_revert(job: Job, run_id: str) -> list[str]:
    """Makes an earlier run the one that the job takes back; returns the leads it sent to.

    Raises:
        PlanError: There is no such run, or it has sent nothing to them.
    """
    if not history.runs(job.warehouse, run_id):
        raise PlanError(f"no run {run_id}; `lead-sync runs` lists them")
    found = history.sent_lead_ids(job.warehouse, run_id, job.lead)
    if not found:
        raise PlanError(f"run {run_id} has sent nothing that could be taken back")
    job.reverts = run_id
    return found


def _has_released(run: TableRow) -> bool:
    return run["command"] != "plan" and not _is_guarded(run)


def _is_guarded(run: TableRow) -> bool:
    """Tells whether a guard stopped it, with its plan whole and nothing of it sent."""
    return run["state"] == "stopped" and bool(run["tripped"])


def _told(run: TableRow) -> str:
    return f"run {run['run_id']} at {run['started_at']:%Y-%m-%d %H:%M}; make a new one"


def _refuse_old(job: Job, plan_id: str, maker: TableRow) -> None:
    age = pendulum.now("UTC") - pendulum.instance(maker["started_at"])
    if age > parse_age(job.settings.max_age):
        raise PlanError(
            f"plan {plan_id} is {age.in_words()} old, more than max_age "
            f"{job.settings.max_age}; make a new one"
        )


def guard(job: Job, fields: Mapping[str, Field]) -> None:
    """Stops a run whose plan does not pass.

    Raises:
        GuardTripped: It does not; the message has each guard and the flag that accepts it.
    """
    unfinished = history.unfinished(job.warehouse, job.lead, job.stored_plan)
    message = judge(job, fields, islice(patches_by_lead(unfinished), job.limit))
    if message:
        raise GuardTripped(message)


def judge(job: Job, fields: Mapping[str, Field], leads: Iterable[list[Patch]]) -> str:
    """Notes which guards a plan trips and which were overridden; returns them in words."""
    size = measure(leads, _empty_size(job))
    trips = tripped(size, job.settings.limits)
    let_pass = _let_pass(job, size, trips)
    lost = _lost(job, size, fields) if trips or let_pass else {}
    job.tripped = [_as_row(trip, lost) for trip in trips]
    job.overridden = [_as_row(trip, lost) | _by_whom() for trip in let_pass]
    for trip in job.overridden:
        log.warning("guard %s overridden by %s: %s", trip["guard"], trip["user"], trip["text"])
    return told(job.tripped) if trips else ""


def told(tripped: Sequence[TableRow]) -> str:
    """Says on one line what stopped a plan, with fields and leads, and what accepts it."""
    reasons = "; ".join(f"{trip['guard']}: {trip['text']}{_losses(trip)}" for trip in tripped)
    flags = " ".join(dict.fromkeys(trip["accept"] for trip in tripped))
    return f"{reasons}; nothing was sent; accept it with {flags}"


def _lost(job: Job, size: PlanSize, fields: Mapping[str, Field]) -> TableRow:
    """Names the fields that would be cleared and what some leads would lose."""
    named = by_key(read_names(job.client, dict.fromkeys(fields.values()), size.clears))

    def field(key: str) -> Field:
        return field_of(key, named)

    samples = [_sample(job, patch, field) for patch in size.samples]
    fields_lost = {field(key).name: leads for key, leads in size.clears.most_common()}
    return {"fields": fields_lost, "samples": samples}


def _losses(trip: TableRow) -> str:
    fields = ", ".join(f"{visible(name)} on {leads}" for name, leads in trip["fields"].items())
    return f": {fields}; such as {'; '.join(trip['samples'])}" if fields else ""


def _empty_size(job: Job) -> PlanSize:
    compared = job.tally.planned + job.tally.unchanged
    if job.whole_table is None:
        return PlanSize(compared=compared)
    # From here on the run's row names its table: one that ends before is held against nothing,
    # and must not be what a later one is held against.
    job.desired_table = job.whole_table
    last = history.last_desired_rows(job.warehouse, job.desired_table)
    return PlanSize(job.tally.desired_rows, last, compared)


def _let_pass(job: Job, size: PlanSize, trips: list[Trip]) -> list[Trip]:
    """Returns what config alone would have stopped, and an argument did not."""
    if not job.given.keys() & set(GUARDS):
        return []
    configured = {name: value for name, value in job.given.items() if name not in GUARDS}
    stopping = {_pair(trip.guard) for trip in trips}
    by_config = tripped(size, load_settings(**configured).limits)
    return [trip for trip in by_config if _pair(trip.guard) not in stopping]


def _pair(guard: str) -> str:
    """The two guards on clears are one: either may tell for both."""
    return guard.removesuffix("_percent") if "clears" in guard else guard


def _as_row(trip: Trip, lost: TableRow) -> TableRow:
    return {
        "guard": trip.guard,
        "limit": round(trip.limit, 3),
        "found": round(trip.found, 3),
        "text": trip.text,
        "accept": trip.accept,
        **(lost if trip.of_clears else {"fields": {}, "samples": []}),
    }


def _by_whom() -> TableRow:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return {"user": user, "host": socket.gethostname()}


def _sample(job: Job, patch: Patch, field: Callable[[str], Field]) -> str:
    lead, _ = history.mirrored(job.warehouse, patch.lead_id) or ({}, None)
    shown = map(field, cleared_keys(patch.body))
    losses = ", ".join(f"{visible(one.name)} {visible(one.show(patch.before))}" for one in shown)
    return f"{visible(lead.get('title'))} ({patch.lead_id}), which would lose {losses}"
