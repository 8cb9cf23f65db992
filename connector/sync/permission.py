"""What may be sent: stored plans that are admitted, and plans that pass their guards."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pendulum

from connector.configuration.readers import parse_age
from connector.errors import GuardTripped, PlanError
from connector.planning.guards import GUARDS, PlanSize, Trip, cleared_keys, measure, tripped
from connector.planning.model import Patch
from connector.records.fields import Field, by_key, field_of
from connector.records.text import visible
from connector.settings import load_settings
from connector.sync.plans import Plan, StoredPlan
from connector.sync.reading import read_names
from connector.sync.session import Session
from connector.warehouse import history
from connector.warehouse.record import RunRecord
from connector.warehouse.schema import TableRow

log = logging.getLogger(__name__)


def admit(session: Session, plan_id: str) -> StoredPlan:
    """Returns a stored plan that may be applied.

    Raises:
        PlanError: It must not be applied, and why.
    """
    runs = history.runs_of_plan(session.warehouse, plan_id)
    maker = next((row for row in runs if row["run_id"] == plan_id), None)
    if maker is None:
        known = "`lead-sync plan` makes one, `lead-sync runs` lists them"
        raise PlanError(f"no plan {plan_id}; {known}")
    left = history.open_lead_ids(session.warehouse, plan_id)
    released = [row for row in runs if row["released"]]
    if released and not left:
        raise PlanError(f"plan {plan_id} was applied before, by {_told(released[0])}")
    # A guard that stopped a run left its plan whole.
    if maker["state"] != "done" and not (maker["state"] == "stopped" and maker["tripped"]):
        raise PlanError(f"plan {plan_id} never came to its end; make a new one")
    _refuse_old(session.settings.max_age, plan_id, maker)
    noted = {name: maker[name] for name in ("reverts", "desired_table", "desired_rows")}
    noted |= {name: maker[name] or 0 for name in ("unchanged", "desired_leads", "not_found")}
    return StoredPlan(plan_id, left, bool(released), **noted)


def admit_revert(session: Session, run_id: str) -> list[str]:
    """Returns the leads to which an earlier run has sent something that may be taken back.

    Raises:
        PlanError: There is no such run, or it has sent nothing to them.
    """
    if not history.runs(session.warehouse, run_id):
        raise PlanError(f"no run {run_id}; `lead-sync runs` lists them")
    found = history.sent_lead_ids(session.warehouse, run_id, session.scope.lead)
    if not found:
        raise PlanError(f"run {run_id} has sent nothing that could be taken back")
    return found


def _told(run: TableRow) -> str:
    return f"run {run['run_id']} at {run['started_at']:%Y-%m-%d %H:%M}; make a new one"


def _refuse_old(max_age: str, plan_id: str, maker: TableRow) -> None:
    age = pendulum.now("UTC") - pendulum.instance(maker["started_at"])
    if age > parse_age(max_age):
        raise PlanError(
            f"plan {plan_id} is {age.in_words()} old, more than max_age {max_age}; make a new one"
        )


@dataclass(frozen=True)
class Verdict:
    """What the guards say of a plan.

    Attributes:
        tripped: Those that it does not pass.
        overridden: Those that config alone would have tripped and an argument let pass.
    """

    tripped: Sequence[TableRow]
    overridden: Sequence[TableRow]


def judge(
    session: Session,
    record: RunRecord,
    fields: Mapping[str, Field],
    plan: Plan,
    leads: Iterable[list[Patch]],
) -> Verdict:
    """Holds a plan against the guards.

    Args:
        session: The run.
        record: What the run has counted.
        fields: The leads' fields by key.
        plan: What is to be judged.
        leads: Its patches, lead by lead.
    """
    size = measure(leads, _empty_size(session, record, plan))
    trips = tripped(size, session.settings.limits)
    let_pass = _let_pass(session.given, size, trips)
    lost = _lost(session, size, fields) if trips or let_pass else {}
    overridden = [_as_row(trip, lost) | _by_whom() for trip in let_pass]
    for one in overridden:
        log.warning("guard %s overridden by %s: %s", one["guard"], one["user"], one["text"])
    return Verdict([_as_row(trip, lost) for trip in trips], overridden)


def note_verdict(record: RunRecord, plan: Plan, verdict: Verdict) -> None:
    """Writes down what the guards say of a plan.

    From here on the record names the plan's table: a run that ends before is held against
    nothing, and must not be what a later one is held against.
    """
    record.desired_table = plan.table
    record.tripped, record.overridden = list(verdict.tripped), list(verdict.overridden)


def stop_if_tripped(verdict: Verdict) -> None:
    """Stops a run whose plan does not pass.

    Raises:
        GuardTripped: It does not; the message has each guard and the flag that accepts it.
    """
    if verdict.tripped:
        raise GuardTripped(told(verdict.tripped))


def told(tripped: Sequence[TableRow]) -> str:
    """Says on one line what stopped a plan, with fields and leads, and what accepts it."""
    reasons = "; ".join(f"{trip['guard']}: {trip['text']}{_losses(trip)}" for trip in tripped)
    flags = " ".join(dict.fromkeys(trip["accept"] for trip in tripped))
    return f"{reasons}; nothing was sent; accept it with {flags}"


def _lost(session: Session, size: PlanSize, fields: Mapping[str, Field]) -> TableRow:
    """Names the fields that would be cleared and what some leads would lose."""
    named = by_key(read_names(session.client, fields.values(), size.clears))

    def field(key: str) -> Field:
        return field_of(key, named)

    samples = [_sample(session, patch, field) for patch in size.samples]
    fields_lost = {field(key).name: leads for key, leads in size.clears.most_common()}
    return {"fields": fields_lost, "samples": samples}


def _losses(trip: TableRow) -> str:
    fields = ", ".join(f"{visible(name)} on {leads}" for name, leads in trip["fields"].items())
    return f": {fields}; such as {'; '.join(trip['samples'])}" if fields else ""


def _empty_size(session: Session, record: RunRecord, plan: Plan) -> PlanSize:
    compared = record.planned + record.unchanged
    size = PlanSize(compared=compared, desired_leads=record.desired_leads, not_found=plan.not_found)
    if plan.table is not None:
        size.desired_rows = record.desired_rows
        size.last_desired_rows = history.last_desired_rows(session.warehouse, plan.table)
    return size


def _let_pass(given: Mapping[str, Any], size: PlanSize, trips: list[Trip]) -> list[Trip]:
    """Returns what config alone would have stopped, and an argument did not."""
    if not given.keys() & set(GUARDS):
        return []
    configured = {name: value for name, value in given.items() if name not in GUARDS}
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


def _sample(session: Session, patch: Patch, field: Callable[[str], Field]) -> str:
    lead, _ = history.mirrored(session.warehouse, patch.lead_id) or ({}, None)
    shown = map(field, cleared_keys(patch.body))
    losses = ", ".join(f"{visible(one.name)} {visible(one.show(patch.before))}" for one in shown)
    return f"{visible(lead.get('title'))} ({patch.lead_id}), which would lose {losses}"
