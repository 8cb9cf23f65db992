"""The story of a run, from lock to summary; only this module knows the order of things."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from connector.planning.model import NotSent
from connector.sync.permission import admit, admit_revert, guard
from connector.sync.plans import (
    Show,
    drop_overtaken,
    finish_plan,
    only_keys,
    plan_changes,
    plan_undo,
    reconcile,
    record_settled,
    release,
)
from connector.sync.reading import read_account, read_account_for, read_leads, refresh
from connector.sync.recording import begin, drain, recorded
from connector.sync.sending import apply_changes
from connector.sync.session import Progress, Scope, open_job, scope_of, silent
from connector.sync.summary import Entry, Summary, settled_of
from connector.warehouse import history


def run(
    *,
    lead: str | None = None,
    limit: int | None = None,
    fields: Sequence[str] = (),
    full_refresh: bool = False,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Summary:
    """Makes Pipedrive's leads say what the desired table says.

    Args:
        lead: Only this lead.
        limit: Change at most so many leads; those that failed before come last.
        fields: Names of the only fields to look at; none for all.
        full_refresh: Ask again for the leads that are known to be gone or archived.
        progress: Told how far the run is.
        stop: Ends the run early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration; see `connector.settings`.

    Returns:
        What was done. A lead's trouble is in `lead_outcomes` and in the counts.

    Raises:
        LeadSyncError: The run could not go on.
    """
    scope = scope_of(lead, limit, fields, full_refresh)
    with open_job("run", settings, scope, progress, stop) as job:
        with recorded(job):
            begin(job)
            columns, known = read_account(job)
            refresh(job)
            reconcile(job, columns, known)
            plan_changes(job, columns)
            guard(job, known)
            apply_changes(job, known)
        return job.summary()


def plan(
    *,
    lead: str | None = None,
    limit: int | None = None,
    fields: Sequence[str] = (),
    full_refresh: bool = False,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    show: Show | None = None,
    **settings: Any,
) -> Summary:
    """Does what `run` does up to the plan, and sends nothing.

    Args:
        lead: Only this lead.
        limit: Plan at most so many leads; those that failed before come last.
        fields: Names of the only fields to look at; none for all.
        full_refresh: Ask again for the leads that are known to be gone or archived.
        progress: Told how far the run is.
        stop: Ends the run early, once it is set, as a signal ends the command.
        show: Called for each patch, and for each lead that gets none for a reason.
        **settings: Settings that win over dlt's configuration.

    Raises:
        LeadSyncError: The plan could not be made.
    """
    scope = scope_of(lead, limit, fields, full_refresh)
    with open_job("plan", settings, scope, progress, stop) as job:
        with recorded(job):
            begin(job)
            columns, known = read_account(job)
            refresh(job)
            settled = plan_changes(job, columns)
            managed = {column.field.key for column in columns.managed}
            finish_plan(job, known, managed, settled, show)
        return job.summary()


def apply(
    plan_id: str,
    *,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Summary:
    """Applies a stored plan, once: exactly what it says, where the leads are as it found them.

    Args:
        plan_id: The plan, as `plan` or `plan_revert` has told it.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration.

    Raises:
        PlanError: There is no such plan, it is too old, or it was applied before.
        LeadSyncError: The run could not go on.
    """
    return _apply(plan_id, (), progress, stop, settings)


def plan_revert(
    run_id: str,
    *,
    lead: str | None = None,
    fields: Sequence[str] = (),
    progress: Progress = silent,
    stop: threading.Event | None = None,
    show: Show | None = None,
    **settings: Any,
) -> Summary:
    """Plans to give back what a run has changed, and sends nothing.

    Args:
        run_id: The run to take back, be it a revert itself.
        lead: Only this lead.
        fields: Names of the only fields to give back; none for all.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        show: Called for each patch, and for each lead that keeps what it has for a reason.
        **settings: Settings that win over dlt's configuration.

    Raises:
        PlanError: There is no such run, or it has sent nothing.
        LeadSyncError: The plan could not be made.
    """
    with open_job("plan", settings, scope_of(lead, fields=fields), progress, stop) as job:
        drain(job)
        sent = admit_revert(job, run_id)
        with recorded(job):
            begin(job)
            keys = history.sent_keys(job.warehouse, run_id)
            known = read_account_for(job, keys, named=True)
            read_leads(job, sent)
            settled = plan_undo(job, run_id, known, only_keys(job, known))
            finish_plan(job, known, keys, settled, show)
        return job.summary()


def revert(
    run_id: str,
    *,
    lead: str | None = None,
    fields: Sequence[str] = (),
    progress: Progress = silent,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Summary:
    """Gives back what a run has changed, but for what was changed in Pipedrive since.

    Args:
        run_id: The run to take back, be it a revert itself.
        lead: Only this lead.
        fields: Names of the only fields to give back; none for all.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration.

    Returns:
        What was done; what the plan came to, where that was stopped before it was made.

    Raises:
        PlanError: There is no such run, or it has sent nothing.
        LeadSyncError: The run could not go on.
    """
    entries: list[Entry] = []
    show = entries.append
    both: dict[str, Any] = {"progress": progress, "stop": stop, **settings}
    made = plan_revert(run_id, lead=lead, fields=fields, show=show, **both)
    if made.state != "done":
        return made
    return apply_revert(made, settled_of(entries), **both)


def apply_revert(
    made: Summary,
    settled: Sequence[NotSent],
    *,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Summary:
    """Applies what `plan_revert` has made, and records what stays as it is.

    Args:
        made: The plan.
        settled: The leads, or their fields, that it leaves alone, as it has shown them.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration.

    Raises:
        LeadSyncError: The run could not go on.
    """
    return _apply(made.plan_id, settled, progress, stop, settings)


def _apply(
    plan_id: str,
    settled: Sequence[NotSent],
    progress: Progress,
    stop: threading.Event | None,
    settings: Mapping[str, Any],
) -> Summary:
    with open_job("apply", settings, Scope(), progress, stop) as job:
        drain(job)
        left = admit(job, plan_id)
        with recorded(job):
            begin(job)
            known = read_account_for(job, history.planned_keys(job.warehouse, plan_id))
            read_leads(job, left)
            release(job, plan_id)
            record_settled(job, settled)
            drop_overtaken(job, known)
            if job.reverts is None:
                guard(job, known)
            apply_changes(job, known)
        return job.summary()
