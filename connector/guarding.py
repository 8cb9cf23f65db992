"""Holding a whole plan against its guards, before anything of it is sent."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from connector import stored
from connector.catalogue import read_names
from connector.diff import field_of
from connector.errors import GuardTripped
from connector.fields import Field
from connector.guards import GUARDS, PlanSize, Trip, cleared_keys, measure, tripped
from connector.job import Job
from connector.rows import Patch, patches_by_lead
from connector.settings import load_settings
from connector.tables import Row
from connector.text import visible

log = logging.getLogger(__name__)


def guard(job: Job, fields: Mapping[str, Field]) -> None:
    """Stops a run whose plan does not pass.

    Raises:
        GuardTripped: It does not; the message has each guard and the flag that accepts it.
    """
    unfinished = stored.unfinished(job.warehouse, job.lead, job.stored_plan)
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


def told(tripped: Sequence[Row]) -> str:
    """Says on one line what stopped a plan, with fields and leads, and what accepts it."""
    reasons = "; ".join(f"{trip['guard']}: {trip['text']}{_losses(trip)}" for trip in tripped)
    flags = " ".join(dict.fromkeys(trip["accept"] for trip in tripped))
    return f"{reasons}; nothing was sent; accept it with {flags}"


def _lost(job: Job, size: PlanSize, fields: Mapping[str, Field]) -> Row:
    """Names the fields that would be cleared and what some leads would lose."""
    named = {one.key: one for one in read_names(job.client, fields.values(), size.clears)}

    def field(key: str) -> Field:
        return field_of(key, named)

    samples = [_sample(job, patch, field) for patch in size.samples]
    fields_lost = {field(key).name: leads for key, leads in size.clears.most_common()}
    return {"fields": fields_lost, "samples": samples}


def _losses(trip: Row) -> str:
    fields = ", ".join(f"{visible(name)} on {leads}" for name, leads in trip["fields"].items())
    return f": {fields}; such as {'; '.join(trip['samples'])}" if fields else ""


def _empty_size(job: Job) -> PlanSize:
    compared = job.tally.planned + job.tally.unchanged
    if job.whole_table is None:
        return PlanSize(compared=compared)
    # From here on the run's row names its table: one that ends before is held against nothing,
    # and must not be what a later one is held against.
    job.desired_table = job.whole_table
    last = stored.last_desired_rows(job.warehouse, job.desired_table)
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


def _as_row(trip: Trip, lost: Row) -> Row:
    return {
        "guard": trip.guard,
        "limit": round(trip.limit, 3),
        "found": round(trip.found, 3),
        "text": trip.text,
        "accept": trip.accept,
        **(lost if trip.of_clears else {"fields": {}, "samples": []}),
    }


def _by_whom() -> Row:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return {"user": user, "host": socket.gethostname()}


def _sample(job: Job, patch: Patch, field: Callable[[str], Field]) -> str:
    lead, _ = stored.mirrored(job.warehouse, patch.lead_id) or ({}, None)
    shown = map(field, cleared_keys(patch.body))
    losses = ", ".join(
        f"{visible(one.name)} {visible(one.show(patch.before.get(one.key)))}" for one in shown
    )
    return f"{visible(lead.get('title'))} ({patch.lead_id}), which would lose {losses}"
