"""The story of a run, from lock to summary; only this module knows the order of things."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from connector.configuration import readers
from connector.planning.model import NotSent
from connector.settings import read_argument
from connector.sync.leads import read_leads, refresh
from connector.sync.looks import spare_looks
from connector.sync.permission import (
    admit,
    admit_revert,
    judge,
    measure_stored,
    note_verdict,
    stop_if_tripped,
    told,
)
from connector.sync.plans import (
    Show,
    plan_changes,
    plan_undo,
    record_settled,
    show_plan,
)
from connector.sync.reading import (
    Asked,
    check_budget,
    read_account,
    read_fields_of,
    read_names,
)
from connector.sync.recording import prepare, recorded, release, save_counts, summarize
from connector.sync.sending import apply_changes
from connector.sync.session import (
    NOTHING_SPENT,
    Progress,
    Scope,
    Spent,
    open_session,
    scope_of,
    silent,
)
from connector.sync.settling import drop_overtaken, settle_for, settle_wanted, with_pending
from connector.sync.summary import Entry, Summary, settled_of
from connector.warehouse import history, journal


def run(
    *,
    lead: str | None = None,
    limit: int | None = None,
    fields: Sequence[str] = (),
    full_refresh: bool = False,
    retry_failed: bool = False,
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
        retry_failed: Send again what Pipedrive refused or did not take before.
        progress: Told how far the run is.
        stop: Ends the run early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration; see `connector.settings`.

    Returns:
        What was done. A lead's trouble is in `lead_outcomes` and in the counts.

    Raises:
        LeadSyncError: The run could not go on.
    """
    scope = scope_of(lead, limit, fields, full_refresh, retry_failed)
    with open_session(settings, scope, progress, stop) as session:
        prepare(session)
        record = session.record("run")
        with recorded(session, record):
            account = read_account(session, record)
            reading = refresh(session, record, account)
            release(session, record)
            revised = settle_wanted(session, record, account, reading)
            made = plan_changes(session, record, account, reading, revised)
            verdict = judge(session, record, account.fields, made)
            note_verdict(record, made, verdict)
            stop_if_tripped(verdict)
            refused = spare_looks(session, record, made)
            apply_changes(session, record, account.fields, made, refused)
        return summarize(session, record)


def plan(
    *,
    lead: str | None = None,
    limit: int | None = None,
    fields: Sequence[str] = (),
    full_refresh: bool = False,
    retry_failed: bool = False,
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
        retry_failed: Send again what Pipedrive refused or did not take before.
        progress: Told how far the run is.
        stop: Ends the run early, once it is set, as a signal ends the command.
        show: Called for each patch, and for each lead that gets none for a reason.
        **settings: Settings that win over dlt's configuration.

    Raises:
        LeadSyncError: The plan could not be made.
    """
    if show is not None:
        read_argument("show", readers.function, show)
    scope = scope_of(lead, limit, fields, full_refresh, retry_failed)
    with open_session(settings, scope, progress, stop) as session:
        prepare(session)
        record = session.record("plan")
        with recorded(session, record):
            account = read_account(session, record)
            reading = refresh(session, record, account)
            save_counts(session, record)
            settle_wanted(session, record, account, reading)
            made = plan_changes(session, record, account, reading, {})
            verdict = judge(session, record, account.fields, made)
            note_verdict(record, made, verdict)
            if verdict.tripped:
                record.message = f"a run would stop here: {told(verdict.tripped)}"
            if show:
                managed = {column.field.key for column in account.columns.managed}
                names = read_names(session.client, account.fields.values(), managed)
                show_plan(session, record, made, names, show)
        return summarize(session, record)


def apply(
    plan_id: str,
    *,
    progress: Progress = silent,
    stop: threading.Event | None = None,
    **settings: Any,
) -> Summary:
    """Applies a stored plan, once: exactly what it says, where the leads are as it found them.

    Args:
        plan_id: The plan, as `plan` or `plan_revert` has told it; `latest` for the last one that
            `plan` has made, or the beginning of an id that no other plan has.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration.

    Raises:
        PlanError: There is no such plan, it is too old, or it was applied before.
        LeadSyncError: The run could not go on.
    """
    plan_id = read_argument("plan_id", readers.named_run, plan_id)
    return _apply(plan_id, (), progress, stop, settings, NOTHING_SPENT)


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
        run_id: The run to take back; it may be a revert itself. `latest` for the last one that has
            sent something, or the beginning of an id that no other such run has.
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
    run_id = read_argument("run_id", readers.named_run, run_id)
    if show is not None:
        read_argument("show", readers.function, show)
    scope = scope_of(lead, fields=fields)
    with open_session(settings, scope, progress, stop) as session:
        prepare(session)
        run_id = journal.find(session.warehouse, run_id, "sent")
        lead_ids = admit_revert(session, run_id)
        record = session.record("plan", reverts=run_id)
        with recorded(session, record):
            keys = history.taken_keys(session.warehouse, run_id)
            pending = with_pending(session, lead_ids)
            check_budget(session, Asked.by(keys), pending)
            known = read_fields_of(session, keys, named=True)
            reading = read_leads(session, record, pending)
            save_counts(session, record)
            settle_for(session, record, reading, known, lead_ids)
            made = plan_undo(session, record, reading, known, run_id)
            if show:
                names = read_names(session.client, known.values(), keys)
                show_plan(session, record, made, names, show)
        return summarize(session, record)


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
        run_id: The run to take back; it may be a revert itself. `latest` for the last one that has
            sent something, or the beginning of an id that no other such run has.
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

    `token_budget` and `max_seconds` bound the two together; the time between them is not counted.

    Args:
        made: The plan.
        settled: The leads, or their fields, that it leaves alone, as it has shown them.
        progress: Told how far it is.
        stop: Ends it early, once it is set, as a signal ends the command.
        **settings: Settings that win over dlt's configuration.

    Raises:
        LeadSyncError: The run could not go on.
    """
    spent = Spent(made.tokens, made.seconds)
    return _apply(made.plan_id, settled, progress, stop, settings, spent)


def _apply(
    plan_id: str,
    settled: Sequence[NotSent],
    progress: Progress,
    stop: threading.Event | None,
    settings: Mapping[str, Any],
    spent: Spent,
) -> Summary:
    with open_session(settings, Scope(), progress, stop, spent) as session:
        prepare(session)
        plan_id = journal.find(session.warehouse, plan_id, "plan")
        stored = admit(session, plan_id)
        record = stored.record(session)
        with recorded(session, record):
            keys = history.planned_keys(session.warehouse, plan_id)
            pending = with_pending(session, stored.lead_ids)
            check_budget(session, Asked.by(keys), pending)
            fields = read_fields_of(session, keys)
            reading = read_leads(session, record, pending)
            release(session, record)
            settle_for(session, record, reading, fields, stored.lead_ids, but_plan=plan_id)
            record_settled(session, record, settled)
            made = drop_overtaken(session, record, stored, reading, fields)
            if stored.reverts is None:
                made = measure_stored(session, stored, made, fields)
                verdict = judge(session, record, fields, made)
                note_verdict(record, made, verdict)
                stop_if_tripped(verdict)
            apply_changes(session, record, fields, made)
        return summarize(session, record)
