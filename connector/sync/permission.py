"""What may be sent: stored plans that are admitted, and plans that pass their guards."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pendulum

from connector.configuration.readers import parse_age
from connector.errors import GuardTripped, PlanError
from connector.planning.desired import moment_of
from connector.planning.guards import (
    GUARDS,
    PlanSize,
    Trip,
    cleared_keys,
    measure,
    replaced_keys,
    tripped,
)
from connector.planning.model import Patch
from connector.records.fields import Field, by_key, field_of
from connector.records.text import visible
from connector.settings import load_settings
from connector.sync.plans import Plan, StoredPlan, patches_to_send
from connector.sync.reading import read_names
from connector.sync.session import Session
from connector.warehouse import history
from connector.warehouse.record import RunRecord
from connector.warehouse.schema import TableRow

log = logging.getLogger(__name__)
COUNTED = {
    "compared": "compared",
    "would_change": "changed",
    "would_clear": "cleared",
    "would_overwrite": "overwritten",
    "would_archive": "archived",
    "desired_leads": "desired_leads",
    "unknown_leads": "not_found",
}
"""Columns of `sync_runs`, each with what of a plan's size it keeps."""
CLOCKS_DIFFER = timedelta(hours=1)
"""The clocks of two machines that are looked after do not differ by more."""


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
    if maker["left_over"] and not left:
        rest = "`lead-sync run` goes on with what the killed run left"
        raise PlanError(f"plan {plan_id} holds nothing of its own; {rest}")
    _refuse_old(session.settings.max_age, plan_id, maker)
    names = ("reverts", "narrowed_by", "desired_table", "desired_rows")
    noted = {name: maker[name] for name in names}
    counted: dict[str, Any] = {name: maker[column] or 0 for column, name in COUNTED.items()}
    if maker["unknown_leads"] is None:  # an earlier version counted them by their outcomes alone
        counted["not_found"] = maker["not_found"] or 0
    noted |= {"unchanged": maker["unchanged"], "size": PlanSize(**counted)}
    return StoredPlan(plan_id, left, bool(released), **noted)


def admit_revert(session: Session, run_id: str) -> list[str]:
    """Returns the leads to which an earlier run has sent something that may be taken back.

    Raises:
        PlanError: There is no such run, or it has sent nothing to them.
    """
    warehouse, lead = session.warehouse, session.scope.lead
    runs = history.runs(warehouse, run_id)
    if not runs:
        raise PlanError(f"no run {run_id}; `lead-sync runs` lists them")
    found = {patch.lead_id for patch in history.taken(warehouse, run_id, lead)}
    for plan_id in {run_id, runs[0]["plan_id"], *str(runs[0]["sends_plans"] or "").split()}:
        found |= history.pending_lead_ids(warehouse, lead, plan_id)
    if not found:
        raise PlanError(f"run {run_id} has sent nothing that could be taken back")
    return sorted(found)


def _told(run: TableRow) -> str:
    began = f"{moment_of(run['started_at']):%Y-%m-%d %H:%M} UTC"
    return f"run {run['run_id']} at {began}; make a new one"


def _refuse_old(max_age: str, plan_id: str, maker: TableRow) -> None:
    age = pendulum.now("UTC") - pendulum.instance(maker["started_at"])
    if age > parse_age(max_age):
        raise PlanError(
            f"plan {plan_id} is {age.in_words()} old, more than max_age {max_age}; make a new one"
        )
    if -age > CLOCKS_DIFFER:
        raise PlanError(
            f"plan {plan_id} is dated {(-age).in_words()} from now, so nobody knows how old it is; "
            "set the clocks right, and make a new one"
        )


@dataclass(frozen=True)
class Verdict:
    """What the guards say of a plan.

    Attributes:
        tripped: Those that it does not pass.
        overridden: Those that config alone would have tripped and an argument let pass.
        size: What they counted.
    """

    tripped: Sequence[TableRow]
    overridden: Sequence[TableRow]
    size: PlanSize


def measure_stored(
    session: Session, stored: StoredPlan, plan: Plan, fields: Mapping[str, Field]
) -> Plan:
    """Measures what is left of a stored plan, which is never judged as less than it was made.

    What an earlier run let pass is no acceptance by this one, and what `--limit` left out of the
    plan tells as much of the table as what is in it.

    Args:
        session: The run.
        stored: The plan as it was made.
        plan: What is left of it.
        fields: The leads' fields by key.
    """
    size = measure(patches_to_send(session, plan), PlanSize(), fields)
    made = {name: getattr(stored.size, name) for name in COUNTED.values()}
    most = {name: max(getattr(size, name), count) for name, count in made.items()}
    return replace(plan, size=replace(size, **most))


def judge(
    session: Session,
    record: RunRecord,
    fields: Mapping[str, Field],
    plan: Plan,
) -> Verdict:
    """Holds a plan against the guards.

    Args:
        session: The run.
        record: What the run has counted.
        fields: The leads' fields by key.
        plan: What is to be judged.
    """
    size = _beside_table(session, record, plan)
    trips = tripped(size, session.settings.limits)
    let_pass = _let_pass(session.given, size, trips)
    touched = _touched(session, size, fields, {trip.pair for trip in (*trips, *let_pass)})
    overridden = [_as_row(trip, touched) | _by_whom() for trip in let_pass]
    for one in overridden:
        log.warning("guard %s overridden by %s: %s", one["guard"], one["user"], one["text"])
    return Verdict([_as_row(trip, touched) for trip in trips], overridden, size)


def note_verdict(record: RunRecord, plan: Plan, verdict: Verdict) -> None:
    """Writes down what the guards say of a plan.

    From here on the record names the plan's table: a run that ends before is held against
    nothing, and must not be what a later one is held against.

    Args:
        record: The run's row.
        plan: The plan.
        verdict: What the guards say of it.
    """
    record.desired_table = plan.table
    for column, name in COUNTED.items():
        setattr(record, column, getattr(verdict.size, name))
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


def _touched(
    session: Session, size: PlanSize, fields: Mapping[str, Field], guards: Collection[str]
) -> Mapping[str, TableRow]:
    """Names, for the guards on values among some, the fields and what would become of some leads.

    Args:
        session: The run.
        size: What was counted.
        fields: The leads' fields by key.
        guards: The guards that are told of.
    """
    counts = {"max_clears": size.clears, "max_overwrites": size.overwrites}
    shown = {key for guard in counts.keys() & {*guards} for key in counts[guard]}
    if not shown:
        return {}
    named = by_key(read_names(session.client, fields.values(), shown))
    samples = {
        "max_clears": [_loss(session, one, named) for one in size.samples],
        "max_overwrites": [_replacement(session, one, named) for one in size.replacing],
    }
    return {
        guard: {
            "fields": {field_of(key, named).name: leads for key, leads in keys.most_common()},
            "samples": samples[guard],
        }
        for guard, keys in counts.items()
    }


def _losses(trip: TableRow) -> str:
    fields = ", ".join(f"{visible(name)} on {leads}" for name, leads in trip["fields"].items())
    return f": {fields}; such as {'; '.join(trip['samples'])}" if fields else ""


def _beside_table(session: Session, record: RunRecord, plan: Plan) -> PlanSize:
    """Returns a plan's size with that of the table that it is of."""
    compared = plan.size.compared or plan.size.changed + record.unchanged
    if plan.table is None:
        return replace(plan.size, compared=compared)
    last = history.last_desired_rows(session.warehouse, plan.table, record.plan_id)
    rows = record.desired_rows
    return replace(plan.size, desired_rows=rows, last_desired_rows=last, compared=compared)


def _let_pass(given: Mapping[str, Any], size: PlanSize, trips: list[Trip]) -> list[Trip]:
    """Returns what config alone would have stopped, and an argument did not."""
    if not given.keys() & set(GUARDS):
        return []
    configured = {name: value for name, value in given.items() if name not in GUARDS}
    stopping = {trip.pair for trip in trips}
    by_config = tripped(size, load_settings(**configured).limits)
    return [trip for trip in by_config if trip.pair not in stopping]


def _as_row(trip: Trip, touched: Mapping[str, TableRow]) -> TableRow:
    return {
        "guard": trip.guard,
        "limit": round(trip.limit, 3),
        "found": round(trip.found, 3),
        "text": trip.text,
        "accept": trip.accept,
        **touched.get(trip.pair, {"fields": {}, "samples": []}),
    }


def _by_whom() -> TableRow:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return {"user": user, "host": socket.gethostname()}


def _loss(session: Session, patch: Patch, fields: Mapping[str, Field]) -> str:
    shown = [field_of(key, fields) for key in cleared_keys(patch.body)]
    losses = ", ".join(f"{visible(one.name)} {visible(one.show(patch.before))}" for one in shown)
    return f"{_named(session, patch)}, which would lose {losses}"


def _replacement(session: Session, patch: Patch, fields: Mapping[str, Field]) -> str:
    shown = [field_of(key, fields) for key in replaced_keys(patch, fields)]
    changes = ", ".join(
        f"{visible(one.name)} {visible(one.show(patch.before))} → {visible(one.show(patch.body))}"
        for one in shown
    )
    return f"{_named(session, patch)}, which would change {changes}"


def _named(session: Session, patch: Patch) -> str:
    lead, _ = history.mirrored(session.warehouse, patch.lead_id) or ({}, None)
    return f"{visible(lead.get('title'))} ({patch.lead_id})"
