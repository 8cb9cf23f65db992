"""Leads as they shall be, or were sent, beside leads as they are; some at a time, by their ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import groupby, islice
from typing import TypeVar

from connector.planning.model import Comparison, Lead, Patch, Row
from connector.warehouse import history
from connector.warehouse.bases import bases_of
from connector.warehouse.rows import document_of, doubtful_patch_of, patch_of
from connector.warehouse.scratch import SOME, Cells, Scratch
from connector.warehouse.statements import in_statements
from connector.warehouse.store import Warehouse, matching
from connector.warehouse.tried import tried_before

Read = Callable[[Cells], Row]
"""Reads a row of the desired table from its cells."""
Item = TypeVar("Item")
OfLead = tuple[str, list[Item]]


def compared(
    warehouse: Warehouse,
    scratch: Scratch,
    read: Read,
    *,
    with_bases: bool = False,
    with_tried: bool = True,
) -> Iterator[Comparison]:
    """Yields every lead of the desired table, but for those to pass by or set aside; failed last.

    Args:
        warehouse: Where the books are.
        scratch: What is wanted, and which leads the run knows.
        read: Reads a row.
        with_bases: Whether it is kept what both sides last agreed on of each field.
        with_tried: Whether it matters what was sent before and not taken.
    """
    wanted = scratch.compared()
    while some := list(islice(wanted, SOME)):
        judged = [one.lead_id for one in some if one.lead_id]
        records = records_of(warehouse, scratch, judged)
        bases = bases_of(warehouse, judged) if with_bases else {}
        tried = tried_before(warehouse, scratch.marked("failed", judged)) if with_tried else {}
        for one in some:
            lead_id = one.lead_id or ""
            yield Comparison(
                one.lead_id,
                [read(cells) for cells in one.rows],
                records.get(lead_id),
                base=bases.get(lead_id, {}) if with_bases else None,
                tried=tried.get(lead_id, ()),
                agreement=one.agreement,
            )


def mark_failed(warehouse: Warehouse, scratch: Scratch) -> None:
    """Notes the leads that failed before."""
    sql = (
        f"SELECT DISTINCT lead_id FROM {warehouse.table('lead_outcomes')} "
        "WHERE lead_id IS NOT NULL AND (status IN ('failed', 'ignored') "
        "OR (status = 'archived' AND patch_id IS NOT NULL))"
    )
    scratch.mark("failed", (row["lead_id"] for row in warehouse.query(sql)))


def mark_passed(warehouse: Warehouse, scratch: Scratch, run_id: str) -> None:
    """Notes the leads with a patch still to be sent, or kept from an edit by this run.

    Args:
        warehouse: Where the books are.
        scratch: Gets the marks.
        run_id: This run.
    """
    sql = (
        f"SELECT u.lead_id FROM {warehouse.unfinished_patches} u UNION ALL "
        f"SELECT lead_id FROM {warehouse.table('lead_outcomes')} "
        "WHERE (run_id = %s OR settled_by = %s) AND status = 'conflict'"
    )
    scratch.mark("passed", (row["lead_id"] for row in warehouse.query(sql, run_id, run_id)))


def interrupted(
    warehouse: Warehouse,
    scratch: Scratch,
    run_id: str,
    lead: str | None,
    unreadable: Collection[str],
    *,
    but_plan: str | None = None,
    read: Read | None = None,
    with_bases: bool = False,
) -> Iterator[Comparison]:
    """Yields the leads that an earlier run left unfinished, and that this one has asked for.

    Args:
        warehouse: Where the books are.
        scratch: What this run has read.
        run_id: This run.
        lead: Only this lead.
        unreadable: Leads that it could not read.
        but_plan: No patches of this plan.
        read: Reads what is wanted of them, where that matters; the table may be gone.
        with_bases: Whether it is kept what both sides last agreed on of each field.
    """
    sender = history.sender(warehouse, run_id)
    patches = _patches(warehouse, warehouse.unfinished_patches, lead_id=lead)
    for some in _by_lead(patches):
        lead_ids = [lead_id for lead_id, _ in some]
        records = read_now(warehouse, scratch, lead_ids)
        rows = scratch.rows_of(lead_ids) if read else {}
        bases = bases_of(warehouse, lead_ids) if with_bases else {}
        for lead_id, left in some:
            if lead_id not in records and lead_id not in unreadable:
                continue
            others = [patch for patch in left if patch.plan_id != but_plan]
            yield Comparison(
                lead_id,
                [read(cells) for cells in rows.get(lead_id, ())] if read else [],
                records.get(lead_id),
                [*map(sender, others)],
                bases.get(lead_id, {}) if with_bases else None,
            )


def doubtful(warehouse: Warehouse, scratch: Scratch, lead: str | None) -> Iterator[Comparison]:
    """Yields the leads that this run has read and to which an earlier one sent in doubt.

    Args:
        warehouse: Where the books are.
        scratch: What this run has read.
        lead: Only this lead; None for all.
    """
    for some in _by_lead(_doubts(warehouse, lead)):
        records = read_now(warehouse, scratch, [lead_id for lead_id, _ in some])
        for lead_id, patches in some:
            if lead_id in records:
                yield Comparison(lead_id, [], records[lead_id], patches)


def planned_leads(
    warehouse: Warehouse, scratch: Scratch, plan_id: str, run_id: str, *, resumed: bool
) -> Iterator[Comparison]:
    """Yields the leads of a plan's unfinished patches, as this run has read them.

    Args:
        warehouse: Where the books are.
        scratch: What this run has read.
        plan_id: The plan.
        run_id: This run.
        resumed: Whether an earlier run was sending it when it was cut off.
    """
    sender = history.sender(warehouse, run_id)
    for one in _with_records(
        warehouse, scratch, _patches(warehouse, warehouse.unfinished_patches, plan_id=plan_id)
    ):
        yield replace(one, patches=[*map(sender, one.patches)]) if resumed else one


def sent_leads(
    warehouse: Warehouse, scratch: Scratch, sent_by: str, lead: str | None
) -> Iterator[Comparison]:
    """Yields what an earlier run has written to each lead, beside the lead as this run read it.

    Args:
        warehouse: Where the books are.
        scratch: What this run has read.
        sent_by: The earlier run.
        lead: Only this lead; None for all.
    """
    written = ((patch.lead_id, patch) for patch in history.taken(warehouse, sent_by, lead))
    return _with_records(warehouse, scratch, written)


def records_of(
    warehouse: Warehouse, scratch: Scratch, lead_ids: Collection[str]
) -> dict[str, Lead]:
    """Returns some of the leads as they are, as far as is known: those that exist.

    Args:
        warehouse: Where the books are.
        scratch: What this run has read.
        lead_ids: The leads.
    """
    now = read_now(warehouse, scratch, lead_ids)
    known = scratch.taken_as_known([lead_id for lead_id in lead_ids if lead_id not in now])
    there = {lead_id: lead for lead_id, lead in now.items() if lead is not None}
    return {**there, **_stored(warehouse, known)}


def read_now(
    warehouse: Warehouse, scratch: Scratch, lead_ids: Collection[str]
) -> dict[str, Lead | None]:
    """Returns those of some leads that this run has read; None for one that it found gone.

    Args:
        warehouse: Where the books are.
        scratch: What this run has read.
        lead_ids: The leads.
    """
    found = scratch.seen(lead_ids)
    same = [lead_id for lead_id, lead in found.items() if lead == {}]
    return {**found, **_stored(warehouse, same)}


def _stored(warehouse: Warehouse, lead_ids: Collection[str]) -> dict[str, Lead]:
    """Returns the records that the books have of some leads that exist."""
    found: dict[str, Lead] = {}
    for some, marks in in_statements(lead_ids):
        sql = (
            f"SELECT m.id, m.record FROM {warehouse.table('leads')} m "
            f"WHERE m.id IN ({marks}) AND m.gone_at IS NULL"
        )
        found.update((row["id"], document_of(row["record"])) for row in warehouse.query(sql, *some))
    return found


def _with_records(
    warehouse: Warehouse, scratch: Scratch, patches: Iterable[tuple[str, Patch]]
) -> Iterator[Comparison]:
    for some in _by_lead(patches):
        records = read_now(warehouse, scratch, [lead_id for lead_id, _ in some])
        for lead_id, of_lead in some:
            yield Comparison(lead_id, [], records.get(lead_id), of_lead)


def _by_lead(items: Iterable[tuple[str, Item]]) -> Iterator[list[OfLead[Item]]]:
    """Yields leads with their items, some at a time; those of one lead come together."""
    groups = groupby(items, lambda found: found[0])
    leads = ((lead_id, [item for _, item in group]) for lead_id, group in groups)
    while some := list(islice(leads, SOME)):
        yield some


def _patches(
    warehouse: Warehouse, patches: str, **wanted: str | None
) -> Iterator[tuple[str, Patch]]:
    """Yields patches, those of one lead in the order of sending."""
    which, args = matching("u", **wanted)
    sql = f"SELECT * FROM {patches} u {which} ORDER BY u.lead_id, u.patch_id"
    for row in warehouse.stream(sql, *args):
        patch: Patch = patch_of(row)
        yield patch.lead_id, patch


def _doubts(warehouse: Warehouse, lead: str | None) -> Iterator[tuple[str, Patch]]:
    """Yields patches of which it is not known what took effect, those of one lead in order."""
    which, args = matching("u", lead_id=lead)
    sql = (
        f"SELECT u.*, p.conditions FROM {warehouse.doubtful_outcomes} u "
        f"LEFT JOIN {warehouse.table('lead_patches')} p ON p.patch_id = u.patch_id "
        f"{which} ORDER BY u.lead_id, u.patch_id"
    )
    for row in warehouse.stream(sql, *args):
        yield row["lead_id"], doubtful_patch_of(row)
