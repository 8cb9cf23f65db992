"""What runs have stored: leads, plans, what was sent, and how each run ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from connector.configuration.readers import plain_name
from connector.planning.desired import moment_of
from connector.planning.model import Patch
from connector.warehouse.rows import document_of, is_lead_id, object_of, patch_of, taken_patch_of
from connector.warehouse.schema import (
    SYNC_ACCOUNT,
    SYNC_RUNS,
    TableRow,
)
from connector.warehouse.statements import in_statements
from connector.warehouse.store import FETCH, Warehouse, matching


def planned(warehouse: Warehouse, plan_id: str) -> Iterator[tuple[Patch, str]]:
    """Yields a plan's patches with their leads' titles."""
    rows = warehouse.query(
        f"SELECT p.*, m.title FROM {warehouse.table('lead_patches')} p "
        f"LEFT JOIN {warehouse.table('leads')} m ON m.id = p.lead_id "
        "WHERE p.plan_id = %s ORDER BY p.patch_id",
        plan_id,
    )
    return ((patch_of(row), row["title"] or "") for row in rows)


def titles(warehouse: Warehouse, lead_ids: Sequence[str]) -> dict[str, str]:
    """Returns the titles of leads, as far as the mirror has them."""
    found: dict[str, str] = {}
    for some, marks in in_statements(lead_ids):
        sql = f"SELECT id, title FROM {warehouse.table('leads')} WHERE id IN ({marks})"
        found |= {row["id"]: row["title"] or "" for row in warehouse.query(sql, *some)}
    return found


def runs(warehouse: Warehouse, run_id: str | None = None, limit: int = 20) -> list[TableRow]:
    """Returns the latest runs, newest first, or one run; each with the leads of its plan.

    Args:
        warehouse: Where the books are.
        run_id: Only this run; None for the latest.
        limit: How many at most.
    """
    where, args = ("", []) if run_id is None else ("WHERE run_id = %s", [run_id])
    return with_planned(warehouse, read_runs(warehouse, where, *args, newest=True, most=limit))


def with_planned(warehouse: Warehouse, found: list[TableRow]) -> list[TableRow]:
    """Returns runs with how many leads each was to change, by its plan or by what was left over."""
    leads = _planned_leads(warehouse, [row["plan_id"] for row in found])
    return [
        {**row, "planned": leads.get(row["plan_id"], 0) + (row["left_over"] or 0)} for row in found
    ]


def _planned_leads(warehouse: Warehouse, plan_ids: list[str]) -> dict[str, int]:
    """Returns how many leads each plan changes."""
    leads: dict[str, int] = {}
    for some, marks in in_statements(plan_ids):
        sql = (
            f"SELECT plan_id, count(DISTINCT lead_id) AS n FROM {warehouse.table('lead_patches')} "
            f"WHERE plan_id IN ({marks}) GROUP BY plan_id"
        )
        leads |= {row["plan_id"]: int(row["n"]) for row in warehouse.query(sql, *some)}
    return leads


def runs_of_plan(warehouse: Warehouse, plan_id: str) -> list[TableRow]:
    """Returns the run that made a plan and those that applied it, oldest first."""
    return read_runs(warehouse, "WHERE plan_id = %s", plan_id)


def every_run(warehouse: Warehouse) -> list[TableRow]:
    """Returns all runs, oldest first."""
    return read_runs(warehouse)


def by_turn(
    columns: Collection[str] = frozenset(SYNC_RUNS.columns), *, newest: bool = False
) -> str:
    """Returns the SQL that puts runs in the order in which they took place.

    One that was dated by a clock that was ahead would be the newest for ever. Versions that noted
    no turn came before all that do.

    Args:
        columns: Those of `sync_runs`, which an older version has made without a turn.
        newest: Whether the newest comes first.
    """
    way = " DESC" if newest else ""
    turn = f"coalesce(turn, 0){way}, " if "turn" in columns else ""
    return f"ORDER BY {turn}started_at{way}"


def next_turn(warehouse: Warehouse) -> int:
    """Returns the turn of a run that begins now."""
    sql = f"SELECT max(turn) AS n FROM {warehouse.table('sync_runs')}"
    return 1 + max(int(row["n"] or 0) for row in warehouse.query(sql))


def owners(warehouse: Warehouse) -> list[tuple[int, str | None]]:
    """Returns the company that the dataset belongs to, by its id and its domain, once noted."""
    if not warehouse.column_names(SYNC_ACCOUNT.name):
        return []
    found = warehouse.query(f"SELECT * FROM {warehouse.table(SYNC_ACCOUNT.name)}")
    return [(int(row["company_id"]), row["company_domain"]) for row in found]


def options_as_text(warehouse: Warehouse) -> bool | None:
    """Returns whether the account takes the ids of options as text; None where it is not known."""
    if "options_as_text" not in warehouse.column_names(SYNC_ACCOUNT.name):
        return None
    table = warehouse.table(SYNC_ACCOUNT.name)
    rows = warehouse.query(f"SELECT options_as_text FROM {table}")
    return next((row["options_as_text"] for row in rows), None)


def note_options_as_text(warehouse: Warehouse, *, as_text: bool) -> None:
    """Writes down how the account takes the ids of options."""
    table = warehouse.table(SYNC_ACCOUNT.name)
    warehouse.execute(f"UPDATE {table} SET options_as_text = %s WHERE 1 = 1", as_text)


def take_over(warehouse: Warehouse, run_id: str, now: datetime) -> None:
    """Ends the runs that never came to their end, and takes over what failed ones left.

    Args:
        warehouse: Where the books are.
        run_id: The run that takes over.
        now: When.
    """
    warehouse.execute(
        f"UPDATE {warehouse.table('sync_runs')} SET state = 'failed', finished_at = %s, "
        "message = %s WHERE state = 'running'",
        now,
        f"interrupted; run {run_id} found it so",
    )


def note_taken_over(warehouse: Warehouse, run_id: str) -> None:
    """Notes that a run has settled what those before it left."""
    warehouse.execute(
        f"UPDATE {warehouse.table('sync_runs')} SET taken_over_by = %s "
        "WHERE taken_over_by IS NULL AND run_id <> %s AND state = 'failed'",
        run_id,
        run_id,
    )


def taken_over_by(warehouse: Warehouse, run_id: str) -> str | None:
    """Returns the run that has taken over what a run left; None where none has.

    One that is forgotten was taken over by whichever came after it.
    """
    if found := runs(warehouse, run_id):
        by: str | None = found[0]["taken_over_by"]
        return by
    if not warehouse.column_names("sync_runs"):
        return None
    which = "WHERE run_id > %s ORDER BY run_id LIMIT 1"
    later = warehouse.query(f"SELECT * FROM {warehouse.table('sync_runs')} {which}", run_id)
    return next((row["run_id"] for row in later), None)


def last_desired_rows(warehouse: Warehouse, desired_table: str, plan_id: str) -> int | None:
    """Returns how many rows a table had when all of it was last sent; no guard stopped that.

    A plan tells of the table as it was when the plan was made, however late it is applied.

    Args:
        warehouse: Where the books are.
        desired_table: The table.
        plan_id: The plan that is held against it; what was planned later says nothing of it.
    """
    runs, wanted = warehouse.table("sync_runs"), plain_name(desired_table)
    sql = f"SELECT DISTINCT desired_table AS name FROM {runs} WHERE desired_table IS NOT NULL"
    spelled = [row["name"] for row in warehouse.query(sql) if plain_name(row["name"]) == wanted]
    names = [*spelled, desired_table]
    found = read_runs(
        warehouse,
        f"WHERE run_id IN (SELECT plan_id FROM {runs} WHERE released AND state <> 'running' "
        f"AND desired_table IN ({', '.join(['%s'] * len(names))})) "
        "AND run_id <> %s AND coalesce(turn, 0) <= "
        f"(SELECT coalesce(turn, 0) FROM {runs} WHERE run_id = %s)",
        *names,
        plan_id,
        plan_id,
        newest=True,
        most=1,
    )
    return next((int(row["desired_rows"]) for row in found), None)


def last_sent(runs: Iterable[TableRow], sent: Iterable[TableRow]) -> dict[str, str]:
    """Returns the run that planned last what was sent of each desired table.

    Args:
        runs: The runs that count, oldest first.
        sent: All runs, of which some sent a plan.
    """
    plans = {
        row["plan_id"]
        for row in sent
        if row["desired_table"] and row["released"] and row["state"] != "running"
    }
    return {
        plain_name(row["desired_table"] or ""): row["run_id"]
        for row in runs
        if row["run_id"] in plans
    }


def last_refresh(warehouse: Warehouse, run_id: str) -> TableRow | None:
    """Returns the last run but one that was to read the whole list; None where there is none."""
    found = read_runs(
        warehouse,
        "WHERE command IN ('run', 'plan') AND lead IS NULL AND reverts IS NULL AND run_id <> %s",
        run_id,
        newest=True,
        most=1,
    )
    return next(iter(found), None)


def count_active(warehouse: Warehouse) -> int:
    """Returns how many leads the list of leads would show, as far as the mirror knows."""
    sql = (
        f"SELECT count(*) AS n FROM {warehouse.table('leads')} "
        "WHERE gone_at IS NULL AND NOT coalesce(is_archived, false)"
    )
    [row] = warehouse.query(sql)
    return int(row["n"])


def most_read(warehouse: Warehouse) -> int:
    """Returns how many leads the mirror has known at most; 0 where no run has read them all.

    Only a run that looked at the whole desired table has read the whole list.
    """
    runs = warehouse.table("sync_runs")
    sql = f"SELECT max(leads_read) AS n FROM {runs} WHERE desired_table IS NOT NULL"
    [row] = warehouse.query(sql)
    return max(int(row["n"]), count_active(warehouse)) if row["n"] else 0


@dataclass(frozen=True)
class Trust:
    """What of the mirror is taken to be so, though a run has not read it itself.

    The list that a run reads shows a lead that has come back, so one that is not in it and was
    found gone or archived a while ago still is.

    Attributes:
        period: What was found gone or archived in this time is known; None for nothing. Its end
            keeps out what bears a time to come, from before a clock was set back.
        archived: Whether that holds for archived leads as well as for those that are gone.
        listed: Whether what the list showed is known as well, when it was last read whole or later.
    """

    period: tuple[datetime, datetime] | None = None
    archived: bool = True
    listed: bool = False


ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
EVERYTHING = Trust(ALWAYS, listed=True)
"""Whatever was read last."""


def mirror(warehouse: Warehouse, trust: Trust) -> Iterator[tuple[str, str | None, bool, bool]]:
    """Yields of each lead of the mirror what `Scratch.note_mirror` keeps."""
    since, until = trust.period or (None, None)
    # Of a lead that the list shows it does not matter when it was read; times are slow to fetch.
    rows = warehouse.stream(
        "SELECT id, digest, gone_at, is_archived, "
        "CASE WHEN gone_at IS NOT NULL OR is_archived THEN read_at END AS read_at "
        f"FROM {warehouse.table('leads')}"
    )
    for row in rows:
        is_gone, is_archived = row["gone_at"] is not None, bool(row["is_archived"])
        read_at = moment_of(row["read_at"])
        lately = bool(since and until and read_at and since <= read_at <= until)
        out_of_list = is_gone or (is_archived and trust.archived)
        is_listed = not (is_gone or is_archived)
        is_known = (lately and out_of_list) or (
            trust.listed and is_listed and row["digest"] is not None
        )
        # A lead that comes back is to be loaded anew, though its record is as it was.
        digest = None if is_gone else row["digest"]
        yield row["id"], digest, is_listed, is_known


def mirrored(warehouse: Warehouse, lead_id: str) -> tuple[dict[str, Any], datetime | None] | None:
    """Returns a lead as it was last read, in any run, and since when it is known as gone."""
    sql = f"SELECT record, gone_at FROM {warehouse.table('leads')} WHERE id = %s"
    rows = warehouse.query(sql, lead_id)
    return next(((document_of(row["record"]), row["gone_at"]) for row in rows), None)


def unfinished(
    warehouse: Warehouse, lead: str | None, plan_id: str | None = None
) -> Iterator[Patch]:
    """Yields released patches without an outcome, in the order in which to send them.

    Args:
        warehouse: Where they are.
        lead: Only those of this lead.
        plan_id: Only those of this plan.
    """
    which, args = matching("u", lead_id=lead, plan_id=plan_id)
    last: str | None = ""
    while last is not None:
        sql = (
            f"SELECT * FROM (SELECT * FROM {warehouse.unfinished_patches} u {which}) p "
            f"WHERE p.patch_id > %s ORDER BY p.patch_id LIMIT {FETCH}"
        )
        page = [patch_of(row) for row in warehouse.query(sql, *args, last)]
        yield from page
        last = page[-1].patch_id if len(page) == FETCH else None


def count_unfinished(warehouse: Warehouse, lead: str | None, plan_id: str | None = None) -> int:
    """Returns how many leads have released patches without an outcome.

    Args:
        warehouse: Where the books are.
        lead: Only this lead; None for all.
        plan_id: Only this plan; None for all.
    """
    which, args = matching("u", lead_id=lead, plan_id=plan_id)
    sql = f"SELECT count(DISTINCT u.lead_id) AS n FROM {warehouse.unfinished_patches} u {which}"
    [row] = warehouse.query(sql, *args)
    return int(row["n"])


def unfinished_plans(warehouse: Warehouse, lead: str | None, plan_id: str | None) -> list[str]:
    """Returns the plans of released patches without an outcome.

    Args:
        warehouse: Where they are.
        lead: Only those of this lead.
        plan_id: Only this plan.
    """
    which, args = matching("u", lead_id=lead, plan_id=plan_id)
    sql = f"SELECT DISTINCT u.plan_id FROM {warehouse.unfinished_patches} u {which}"
    return sorted(row["plan_id"] for row in warehouse.query(sql, *args))


def taken(warehouse: Warehouse, run_id: str, lead: str | None) -> Iterator[Patch]:
    """Yields what a run has written: of each patch that took effect that part, lead by lead.

    Args:
        warehouse: Where the books are.
        run_id: The run.
        lead: Only this lead; None for all.
    """
    which, args = matching("o", run_id=run_id, lead_id=lead)
    sql = (
        f"SELECT * FROM {warehouse.table('lead_outcomes')} o {which} "
        "AND o.patch_id IS NOT NULL AND o.took IS NOT NULL ORDER BY o.lead_id, o.patch_id"
    )
    for row in warehouse.stream(sql, *args):
        patch = taken_patch_of(row)
        if patch.body:
            yield patch


def taken_keys(warehouse: Warehouse, run_id: str) -> set[str]:
    """Returns the keys of all that a run has written, or may have."""
    rows = warehouse.query(
        f"SELECT body, took FROM {warehouse.table('lead_outcomes')} "
        "WHERE run_id = %s AND patch_id IS NOT NULL",
        run_id,
    )
    taken = (document_of(row["body"] if row["took"] is None else row["took"]) for row in rows)
    return {key for keys in taken for key in keys} | pending_keys(warehouse)


def pending_lead_ids(
    warehouse: Warehouse, lead: str | None = None, run_id: str | None = None
) -> set[str]:
    """Returns the leads of patches that earlier runs left unfinished or in doubt.

    Args:
        warehouse: Where they are.
        lead: Only this lead.
        run_id: Only what this run has planned or sent.
    """
    plan, plan_args = matching("u", lead_id=lead, plan_id=run_id)
    sent, sent_args = matching("u", lead_id=lead, run_id=run_id)
    sql = (
        f"SELECT u.lead_id FROM {warehouse.unfinished_patches} u {plan} "
        f"UNION ALL SELECT u.lead_id FROM {warehouse.doubtful_outcomes} u {sent}"
    )
    found = {row["lead_id"] for row in warehouse.query(sql, *plan_args, *sent_args)}
    return {lead_id for lead_id in found if is_lead_id(lead_id)}


def pending_keys(warehouse: Warehouse) -> set[str]:
    """Returns the keys of all bodies that earlier runs left unfinished or in doubt."""
    sql = (
        f"SELECT body FROM {warehouse.unfinished_patches} u "
        f"UNION ALL SELECT body FROM {warehouse.doubtful_outcomes} u"
    )
    return {key for row in warehouse.query(sql) for key in object_of(row["body"]) or ()}


def sender(warehouse: Warehouse, run_id: str) -> Callable[[Patch], Patch]:
    """Returns what notes on a patch that has no outcome which earlier run may have sent it.

    None has where each run that was to send it was cut off before it came to it. When one sent it
    is told by when it came to the last of its patches: those of a chunk go out together.

    Args:
        warehouse: Where the runs are.
        run_id: The present run, which is none of them.
    """
    which = "WHERE released AND state IN ('running', 'failed') AND run_id <> %s"
    runs = read_runs(warehouse, which, run_id)

    def may_have_sent(run: TableRow, patch: Patch) -> bool:
        if not run["sends_from"] or run["lead"] not in (None, patch.lead_id):
            return False
        if run["sends_until"] is not None and patch.patch_id > run["sends_until"]:
            return False
        if run["sends_plans"] is not None:
            return patch.plan_id in str(run["sends_plans"]).split()
        # The first version did not say. Its runs sent what earlier ones had left as well.
        is_later = run["command"] == "run" and run["run_id"] > patch.plan_id
        return bool(is_later or run["plan_id"] == patch.plan_id)

    def note(patch: Patch) -> Patch:
        for run in reversed(runs):
            if may_have_sent(run, patch):
                return replace(patch, sent_by=run["run_id"], sent_at=run["sends_at"])
        return patch

    return note


def open_lead_ids(warehouse: Warehouse, plan_id: str) -> list[str]:
    """Returns the leads of a plan's patches that have no outcome, be it released or not."""
    sql = (
        f"SELECT DISTINCT p.lead_id FROM {warehouse.table('lead_patches')} p "
        f"LEFT JOIN {warehouse.table('lead_outcomes')} o ON o.patch_id = p.patch_id "
        "WHERE p.plan_id = %s AND o.patch_id IS NULL"
    )
    found = (row["lead_id"] for row in warehouse.query(sql, plan_id))
    return [lead_id for lead_id in found if is_lead_id(lead_id)]


def planned_keys(warehouse: Warehouse, plan_id: str) -> set[str]:
    """Returns the keys of all bodies of a plan, and of what was left pending."""
    own = {key for patch, _ in planned(warehouse, plan_id) for key in patch.body}
    return own | pending_keys(warehouse)


def read_runs(
    warehouse: Warehouse,
    which: str = "",
    *args: Any,
    newest: bool = False,
    most: int | None = None,
) -> list[TableRow]:
    """Returns runs, oldest first; those of an older version lack some of what is noted of them.

    Args:
        warehouse: Where they are.
        which: The condition that they meet.
        *args: Its arguments.
        newest: Whether the newest comes first.
        most: So many of them; None for all.
    """
    columns = warehouse.column_names("sync_runs")
    if not columns:
        return []
    limit = "" if most is None else f" LIMIT {most}"
    order = f"{by_turn(columns, newest=newest)}{limit}"
    found = warehouse.query(f"SELECT * FROM {warehouse.table('sync_runs')} {which} {order}", *args)
    return [{name: _read(row.get(name), name) for name in SYNC_RUNS.columns} for row in found]


def _read(value: Any, name: str) -> Any:
    return document_of(value) if SYNC_RUNS.columns[name]["data_type"] == "json" else value
