"""Holding a whole plan against its guards, before anything of it is sent."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice

from connector import stored
from connector.diff import unknown_field
from connector.errors import GuardTripped
from connector.fields import Field
from connector.guards import GUARDS, PlanSize, Trip, cleared_keys, measure, told, tripped
from connector.job import Job
from connector.rows import Patch
from connector.settings import load_settings
from connector.tables import Row

log = logging.getLogger(__name__)


def by_lead(patches: Iterable[Patch]) -> Iterator[list[Patch]]:
    """Groups patches that come in the order of sending."""
    return (list(group) for _, group in groupby(patches, lambda patch: patch.lead_id))


def guard(job: Job, fields: Mapping[str, Field]) -> None:
    """Stops a run whose plan does not pass.

    Raises:
        GuardTripped: It does not; the message has each guard and the flag that accepts it.
    """
    unfinished = job.warehouse.unfinished(job.lead, job.stored_plan)
    message = judge(job, fields, islice(by_lead(unfinished), job.limit))
    if message:
        raise GuardTripped(message)


def judge(job: Job, fields: Mapping[str, Field], leads: Iterable[list[Patch]]) -> str:
    """Notes which guards a plan trips and which were overridden; returns them in words."""
    size = measure(leads, _empty_size(job))
    trips = tripped(size, job.settings.limits)
    samples = [_sample(job, patch, fields) for patch in size.samples]
    job.tripped = [_as_row(trip, samples) for trip in trips]
    job.overridden = [_as_row(trip, samples) | _by_whom() for trip in _let_pass(job, size, trips)]
    for trip in job.overridden:
        log.warning("guard %s overridden by %s: %s", trip["guard"], trip["user"], trip["text"])
    return told(trips, size, lambda patch: _sample(job, patch, fields)) if trips else ""


def _empty_size(job: Job) -> PlanSize:
    compared = job.tally.planned + job.tally.unchanged
    if job.desired_table is None:
        return PlanSize(compared=compared)
    last = stored.last_desired_rows(job.warehouse, job.desired_table)
    return PlanSize(job.tally.desired_rows, last, compared)


def _let_pass(job: Job, size: PlanSize, trips: list[Trip]) -> list[Trip]:
    """Returns what config alone would have stopped, and an argument did not."""
    if not job.given.keys() & set(GUARDS):
        return []
    configured = {name: value for name, value in job.given.items() if name not in GUARDS}
    stopping = {trip.guard for trip in trips}
    by_config = tripped(size, load_settings(**configured).limits)
    return [trip for trip in by_config if trip.guard not in stopping]


def _as_row(trip: Trip, samples: list[str]) -> Row:
    return {
        "guard": trip.guard,
        "limit": round(trip.limit, 3),
        "found": round(trip.found, 3),
        "text": trip.text,
        "accept": trip.accept,
        "samples": samples if trip.of_clears else [],
    }


def _by_whom() -> Row:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return {"user": user, "host": socket.gethostname()}


def _sample(job: Job, patch: Patch, fields: Mapping[str, Field]) -> str:
    lead = job.warehouse.mirrored(patch.lead_id) or {}
    shown = [fields.get(key) or unknown_field(key) for key in cleared_keys(patch.body)]
    losses = ", ".join(f"{one.name} {one.show(patch.before.get(one.key))}" for one in shown)
    return f"{lead.get('title')} ({patch.lead_id}), which would lose {losses}"
