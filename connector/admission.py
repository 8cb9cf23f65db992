"""Whether a stored plan may be applied, and whether a run can be taken back."""

from __future__ import annotations

import pendulum

from connector import stored
from connector.errors import PlanError
from connector.job import Job
from connector.tables import Row
from connector.values import parse_age


def admit(job: Job, plan_id: str) -> list[str]:
    """Makes a stored plan the one that the job applies; returns the leads that are left to do.

    Raises:
        PlanError: It must not be applied, and why.
    """
    runs = stored.runs_of_plan(job.warehouse, plan_id)
    maker = next((row for row in runs if row["run_id"] == plan_id), None)
    if maker is None:
        known = "`lead-sync plan` makes one, `lead-sync runs` lists them"
        raise PlanError(f"no plan {plan_id}; {known}")
    left = stored.open_lead_ids(job.warehouse, plan_id)
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
    if not stored.runs(job.warehouse, run_id):
        raise PlanError(f"no run {run_id}; `lead-sync runs` lists them")
    found = stored.sent_lead_ids(job.warehouse, run_id, job.lead)
    if not found:
        raise PlanError(f"run {run_id} has sent nothing that could be taken back")
    job.reverts = run_id
    return found


def _has_released(run: Row) -> bool:
    return run["command"] != "plan" and not _is_guarded(run)


def _is_guarded(run: Row) -> bool:
    """Tells whether a guard stopped it, with its plan whole and nothing of it sent."""
    return run["state"] == "stopped" and bool(run["tripped"])


def _told(run: Row) -> str:
    return f"run {run['run_id']} at {run['started_at']:%Y-%m-%d %H:%M}; make a new one"


def _refuse_old(job: Job, plan_id: str, maker: Row) -> None:
    age = pendulum.now("UTC") - pendulum.instance(maker["started_at"])
    if age > parse_age(job.settings.max_age):
        raise PlanError(
            f"plan {plan_id} is {age.in_words()} old, more than max_age "
            f"{job.settings.max_age}; make a new one"
        )
