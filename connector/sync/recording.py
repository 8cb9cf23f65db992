"""What is written down of a run: its row in `sync_runs`, and its outcomes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum

from connector.configuration.readers import parse_age
from connector.errors import AccountError, GuardTripped, LeadSyncError, WarehouseError
from connector.pipedrive.errors import (
    BudgetSpent,
    Interrupted,
    OwnBudgetSpent,
    PipedriveError,
    RateLimited,
    TooManyFailures,
)
from connector.planning.model import Outcome, Patch
from connector.sync.bases import bases_settled, begin_bases, take_over_bases
from connector.sync.leads import mirror_row
from connector.sync.session import Session
from connector.sync.summary import Summary, exit_code_of
from connector.warehouse import history, journal, noted
from connector.warehouse.bases import bases_of_later, has_bases, moved_bases
from connector.warehouse.claim import last_run, note_run
from connector.warehouse.destination import drop_packages, has_pending
from connector.warehouse.lease import now_of
from connector.warehouse.load import Marked, into, load, load_pending
from connector.warehouse.migration import drop_view, fill_in_old, past_changes
from connector.warehouse.record import RunRecord, State
from connector.warehouse.retention import forget, forgettable, trim_loads
from connector.warehouse.rows import change_rows, outcome_rows, rewritten_row
from connector.warehouse.schema import (
    LEAD_BASES,
    LEAD_FIELD_CHANGES,
    LEAD_OUTCOMES,
    LEAD_PATCHES,
    LEADS,
    SYNC_RUNS,
    TableRow,
)
from connector.warehouse.store import Warehouse
from connector.warehouse.torn import loaded_outcomes, note_loaded, rewritten_rows, torn_loads

log = logging.getLogger(__name__)
LOADS_KEPT = timedelta(days=30)
SENDS = ("sends_from", "sends_plans", "sends_until", "sends_at")


def prepare(session: Session) -> None:
    """Loads what an earlier run left in dlt's folder, and creates what is missing of the tables.

    Raises:
        WarehouseError: It cannot be written.
    """
    warehouse, folder = session.warehouse, Path(session.warehouse.pipeline.working_dir)
    if has_pending(warehouse.pipeline):
        warehouse.permit()
        _load_left(warehouse, folder)
    note_run(folder, session.run_id)
    drop_view(warehouse)
    if not warehouse.are_tables_complete():
        warehouse.create_tables()
    fill_in_old(warehouse)
    session.load(past_changes(warehouse))
    _complete_torn(session)
    begin_bases(session)


def _load_left(warehouse: Warehouse, folder: Path) -> None:
    """Loads what the last run of this folder left, unless a run elsewhere has settled it since.

    What that one found and wrote is newer, and it may have sent what was left. One with `--lead`
    has settled a single lead: what is agreed on of that is newer.
    """
    last = last_run(folder)
    if last and (later := history.taken_over_by(warehouse, last)):
        log.warning("what run %s left is passed over, as run %s has settled it", last, later)
        drop_packages(folder)
        return
    log.info("loading what an earlier run left")
    newer = bases_of_later(warehouse, last) if last else []
    try:
        load_pending(warehouse.pipeline)
    except WarehouseError as error:
        raise WarehouseError(
            f"{error}; an earlier run has left it in {folder}: if a file there is damaged, remove "
            "that folder, and the next run finds out by reading what was sent"
        ) from None
    load(warehouse.pipeline, into(LEAD_BASES.name, newer))


def _complete_torn(session: Session) -> None:
    """Writes what outcomes tell to the tables that a load did not come to before it was cut off.

    A run in its own folder loads the rest itself; here it is another machine's, or it is lost.
    """
    warehouse = session.warehouse
    for load_id in torn_loads(warehouse, session.started_at - LOADS_KEPT):
        log.info("completing load %s of outcomes, which was cut off", load_id)
        session.load(_told_by_outcomes(session, load_id))
        note_loaded(warehouse, load_id)


def _told_by_outcomes(session: Session, load_id: str) -> Iterator[Marked]:
    """Yields what goes with the outcomes of a load: bodies as sent, changes, what is agreed on."""
    warehouse, names = session.warehouse, noted.field_names(session.warehouse)
    are_kept = has_bases(warehouse)
    for rows in loaded_outcomes(warehouse, load_id):
        yield from into(LEAD_PATCHES.name, rewritten_rows(warehouse, rows))
        yield from _changes_of(rows, names)
        if are_kept:
            yield from into(LEAD_BASES.name, moved_bases(warehouse, rows))


def release(session: Session, record: RunRecord) -> None:
    """Takes the plan for this run's own: from now on each of its patches gets an outcome."""
    record.released = True
    save(session, record)


def begin_sending(
    session: Session, record: RunRecord, plan_id: str | None, patches: Iterable[Patch]
) -> None:
    """Writes down that this run may have sent patches from now on, before any of them goes out.

    What is behind them in the order of sending is not its own, should it be killed.

    Args:
        session: The run.
        record: Notes it.
        plan_id: The only plan that is sent; None for whatever is released.
        patches: What goes out next.
    """
    now = pendulum.now("UTC")
    until = max(record.sends_until or "", *(patch.patch_id for patch in patches))
    sends: dict[str, Any] = {"sends_until": until, "sends_at": now}
    if record.sends_from is None:
        plans = history.unfinished_plans(session.warehouse, session.scope.lead, plan_id)
        sends |= {"sends_from": now, "sends_plans": " ".join(plans)}
    write = save if record.sends_from is None and record.overridden else save_counts
    write(session, replace(record, **sends))
    vars(record).update(sends)  # no sooner: what cannot be written down does not go out


def save(session: Session, record: RunRecord) -> None:
    """Writes the run's row of `sync_runs`.

    How a warehouse takes a document is dlt's to know: a row with one goes as a package.
    """
    _count_usage(session, record)
    row = record.as_row()
    if record.tripped or record.overridden:
        session.load(into(SYNC_RUNS.name, [row]))
    else:
        session.warehouse.put(SYNC_RUNS, row)


def save_counts(session: Session, record: RunRecord) -> None:
    """Writes what the run has come to so far, so that its row tells it even after a kill.

    How it stands is not written: another run may have taken it for ended meanwhile.
    """
    _count_usage(session, record)
    row, columns = record.as_row(), SYNC_RUNS.columns
    counts = [name for name in columns if columns[name]["data_type"] == "bigint"]
    told = {name: row[name] for name in (*counts, *SENDS)}
    session.warehouse.update(SYNC_RUNS, record.run_id, told)


def _count_usage(session: Session, record: RunRecord) -> None:
    usage = session.client.usage
    record.requests, record.retries = usage.requests, usage.retries
    record.tokens, record.tokens_written = usage.tokens, usage.written
    record.day_budget = session.client.day_budget


@contextmanager
def recorded(session: Session, record: RunRecord) -> Iterator[None]:
    """Writes to `sync_runs` that a run is under way, and how it ended, however it ends.

    A guard, a spent budget or a request to stop ends a run early, which is no error.

    Raises:
        AccountError: Pipedrive cannot be used.
        LeadSyncError: Anything else that stopped the run.
    """
    try:
        log.info("run %s begins", session.run_id)
        history.take_over(session.warehouse, session.run_id, session.started_at)
        record.turn = history.next_turn(session.warehouse)
        save(session, record)
        with session.turn.kept():
            yield
            clear_out(session)
        _end(session, record, "done", record.message)
    except GuardTripped as error:
        record.released = False
        _end(session, record, "stopped", str(error))
    except (BudgetSpent, RateLimited, Interrupted, TooManyFailures) as error:
        _end(session, record, "stopped", _why_stopped(session, record, error))
    except PipedriveError as error:
        _end(session, record, "failed", str(error))
        failed = AccountError(_told(record, error))
        failed.end = summarize(session, record)
        raise failed from None
    except BaseException as error:
        session.stop.set()
        message = str(error) if isinstance(error, LeadSyncError) else repr(error)
        with suppress(LeadSyncError):  # the first error is the one to tell
            _end(session, record, "failed", message)
        if isinstance(error, Exception):
            vars(error)["end"] = summarize(session, record)
        raise


def clear_out(session: Session) -> None:
    """Forgets what is older than `retention_days`, and what dlt has noted of its packages.

    What was agreed on is kept first: no outcome will tell it any more. A clock that is ahead, this
    machine's or the warehouse's, makes nothing old.

    Raises:
        WarehouseError: It cannot be deleted.
    """
    warehouse, settings = session.warehouse, session.settings
    now = min(session.started_at, now_of(warehouse.client))
    trim_loads(warehouse, now - LOADS_KEPT)
    if not settings.retention_days:
        return
    before = now - max(timedelta(days=settings.retention_days), parse_age(settings.max_age))
    if run_ids := forgettable(warehouse, before):
        take_over_bases(session)
        log.info("forgetting %d runs that ended before %s", len(run_ids), f"{before:%Y-%m-%d}")
    forget(warehouse, run_ids, before)


def outcome_batches(
    session: Session, record: RunRecord, outcomes: list[Outcome]
) -> Iterator[Marked]:
    """Counts outcomes and yields their rows, and what they say of their leads.

    That is the mirror's rows, and what is agreed on.

    Args:
        session: The run.
        record: Counts the outcomes.
        outcomes: Those of some leads.
    """
    record.statuses.update(status for outcome in outcomes for status in outcome.statuses)
    rewritten = [rewritten_row(one.patch) for one in outcomes if one.is_rewritten]
    yield from into(LEAD_PATCHES.name, rewritten)
    rows = [row for outcome in outcomes for row in outcome_rows(session.run_id, outcome)]
    yield from told_outcomes(session, rows)
    leads = {one.patch.lead_id: row for one in outcomes if (row := mirror_row(session, one))}
    yield from into(LEADS.name, list(leads.values()))
    yield from bases_settled(session, outcomes)


def told_outcomes(session: Session, rows: list[TableRow]) -> Iterator[Marked]:
    """Yields rows of outcomes of patches, and a row for each field that these have changed."""
    yield from into(LEAD_OUTCOMES.name, rows)
    yield from _changes_of(rows, noted.field_names(session.warehouse))


def _changes_of(rows: list[TableRow], names: Mapping[str, str]) -> Iterator[Marked]:
    changes = [change for row in rows for change in change_rows(row, names)]
    yield from into(LEAD_FIELD_CHANGES.name, changes)


def summarize(session: Session, record: RunRecord) -> Summary:
    """Returns what the run has come to so far."""
    client, warehouse = session.client, session.warehouse
    summary = Summary(
        **vars(record),
        burst=client.burst,
        day_left=client.day_left,
        tolerate=session.settings.tolerate or (),
    )
    with suppress(LeadSyncError):  # to look at it again must not be what a run fails by
        summary.domain = journal.domain_of(warehouse)
        if summary.exit_code:
            summary.missed = journal.first_misses(warehouse, record.run_id)
    return summary


def _end(session: Session, record: RunRecord, state: State, message: str) -> None:
    record.state, record.message, record.finished_at = state, message, pendulum.now("UTC")
    record.exit_code = exit_code_of(record, session.settings.tolerate or ())
    save(session, record)


def _why_stopped(session: Session, record: RunRecord, error: PipedriveError) -> str:
    """Tells what reading came to where the budget did not last for it; later it is released."""
    if isinstance(error, Interrupted):
        return session.stop.reason
    if record.released or not isinstance(error, OwnBudgetSpent):
        return str(error)
    budget, spent = session.settings.token_budget, session.client.usage.tokens
    return (
        f"token_budget {budget} does not last for reading: {spent} tokens were spent, "
        f"{record.leads_read} leads read, and it was not at its end; raise it"
    )


def _told(record: RunRecord, error: PipedriveError) -> str:
    found = ", ".join(f"{count} {status}" for status, count in record.statuses.items() if count)
    return f"{error}; {found}: see lead_outcomes of run {record.run_id}" if found else str(error)
