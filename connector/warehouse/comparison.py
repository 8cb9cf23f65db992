"""Leads as they shall be beside leads as they are: ordered streams, merged by lead."""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count, groupby
from typing import Any

from connector.errors import WarehouseError
from connector.planning.columns import LEAD_ID
from connector.planning.model import Comparison, Patch, Row
from connector.warehouse import history
from connector.warehouse.rows import (
    document_of,
    doubtful_patch_of,
    patch_of,
    tried_of,
)
from connector.warehouse.store import Warehouse, matching

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Stream = Generator[tuple[str | None, Any], None, None]
"""What there is of each lead, ordered by the lead's id."""


@dataclass(frozen=True)
class MirrorFilter:
    """Which rows of the mirror say how a lead is.

    The list that every run reads shows a lead that has come back, so one that is not in it and
    was found gone or archived a while ago still is.

    Attributes:
        run_id: What this run has read is known; None for whatever was read last.
        period: What was found gone or archived in this time is known too; None for nothing. Its
            end keeps out what bears a time to come, from before a clock was set back.
        archived: Whether that holds for archived leads as well as for those that are gone.
    """

    run_id: str | None
    period: tuple[datetime, datetime] | None = None
    archived: bool = True

    def condition(self) -> tuple[str, list[Any]]:
        """Returns SQL on a row `m` of the mirror, and its arguments."""
        read = "m.read_by = coalesce(%s, m.read_by)"
        if self.period is None:
            return read, [self.run_id]
        out_of_list = "(m.gone_at IS NOT NULL OR m.is_archived)"
        which = out_of_list if self.archived else "m.gone_at IS NOT NULL"
        sql = f"({read} OR ({which} AND m.read_at BETWEEN %s AND %s))"
        return sql, [self.run_id, *self.period]


class Beside:
    """An ordered stream that is read beside another one, as far as that has come."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._lead_id = ""
        self._item: Any = None
        self._read_on()

    def of(self, lead_id: str) -> list[Any]:
        """Returns what there is of a lead; leads are asked for in the order of their ids."""
        while self._lead_id < lead_id:
            self._read_on()
        items = []
        while self._lead_id == lead_id:
            items.append(self._item)
            self._read_on()
        return items

    def _read_on(self) -> None:
        """Goes to the next item; what bears no lead's id is of no lead."""
        for lead_id, item in self._stream:
            if lead_id is not None and UUID.fullmatch(lead_id):
                _refuse_disorder(self._lead_id, lead_id)
                self._lead_id, self._item = lead_id, item
                return
        self._lead_id = "~"  # after every lead


def merge_by_lead(
    leading: Stream, *beside: Stream
) -> Iterator[tuple[str | None, list[Any], list[list[Any]]]]:
    """Yields each lead of a stream with its items, and what other streams have of the lead.

    One without an id stands alone. All streams are read once, side by side, and never held.

    Raises:
        WarehouseError: The warehouse sorts ids otherwise than by their characters' codes.
    """
    alone = count()
    last = ""
    with ExitStack() as stack:
        for stream in (leading, *beside):
            stack.callback(stream.close)
        others = [Beside(stream) for stream in beside]
        by_lead = groupby(leading, lambda found: next(alone) if found[0] is None else found[0])
        for lead_id, group in by_lead:
            items = [item for _, item in group]
            if not isinstance(lead_id, str):
                yield None, items, [[] for _ in others]
            elif not UUID.fullmatch(lead_id):
                yield lead_id, items, [[] for _ in others]
            else:
                _refuse_disorder(last, lead_id)
                last = lead_id
                yield lead_id, items, [other.of(lead_id) for other in others]


def _refuse_disorder(before: str, lead_id: str) -> None:
    """A lead that is passed by would be taken for one that Pipedrive does not have."""
    if lead_id < before:
        raise WarehouseError(
            f"the warehouse sorts lead {lead_id} after {before}; give its ids a binary collation"
        )


def compared(
    warehouse: Warehouse,
    known: MirrorFilter,
    lead: str | None,
    *,
    anew: bool = False,
    with_bases: bool = False,
    with_tried: bool = True,
) -> Iterator[Comparison]:
    """Yields every lead of the desired table; those that failed before come last.

    Args:
        warehouse: Where they are.
        known: What of the mirror to compare with.
        lead: Only this lead.
        anew: Pass over leads with a patch still to be sent, or kept from an edit by this run.
        with_bases: Whether it is kept what both sides last agreed on of each field.
        with_tried: Whether it matters what was sent before and not taken.
    """
    key = warehouse.lead_key
    which = "1 = 1"
    args: list[Any] = []
    if anew:
        settled = (
            f"SELECT u.lead_id FROM {warehouse.unfinished_patches} u UNION ALL "
            f"SELECT lead_id FROM {warehouse.table('lead_outcomes')} "
            "WHERE (run_id = %s OR settled_by = %s) AND status = 'conflict'"
        )
        which = f"({key} IS NULL OR {key} NOT IN ({settled}))"
        args = [known.run_id, known.run_id]
    failed = (
        f"SELECT lead_id FROM {warehouse.table('lead_outcomes')} "
        "WHERE status IN ('failed', 'ignored') AND lead_id IS NOT NULL"
    )
    is_known, known_args = known.condition()
    for turn in (f"({key} IS NULL OR {key} NOT IN ({failed}))", f"{key} IN ({failed})"):
        wanted = f"{which} AND {turn}"
        its_leads = f"SELECT {key} FROM {warehouse.desired_table} d WHERE {wanted}"
        merged = merge_by_lead(
            _desired(warehouse, lead, wanted, args),
            _records(warehouse, lead, f"{is_known} AND m.id IN ({its_leads})", known_args + args),
            _bases(warehouse, lead) if with_bases else _nothing(),
            _tried(warehouse, lead) if with_tried else _nothing(),
        )
        for lead_id, rows, (records, bases, tried) in merged:
            base = _base_of(bases) if with_bases else None
            yield Comparison(lead_id, rows, _first(records), (), base, tried)


def interrupted(
    warehouse: Warehouse,
    run_id: str,
    lead: str | None,
    unreadable: Collection[str],
    *,
    but_plan: str | None = None,
    with_desired: bool = False,
    with_bases: bool = False,
) -> Iterator[Comparison]:
    """Yields the leads that an earlier run left unfinished, and that this one has asked for.

    Args:
        warehouse: Where they are.
        run_id: Who has read the leads.
        lead: Only this lead.
        unreadable: Leads that it could not read.
        but_plan: No patches of this plan.
        with_desired: Whether it matters what is wanted of them; the table may be gone.
        with_bases: Whether it is kept what both sides last agreed on of each field.
    """
    left = f"IN (SELECT u.lead_id FROM {warehouse.unfinished_patches} u)"
    sender = history.sender(warehouse, run_id)
    merged = merge_by_lead(
        _patches(warehouse, warehouse.unfinished_patches, lead_id=lead),
        _desired(warehouse, lead, f"{warehouse.lead_key} {left}", [])
        if with_desired
        else _nothing(),
        _read(warehouse, run_id, f"m.id {left}"),
        _bases(warehouse, lead) if with_bases else _nothing(),
    )
    for lead_id, patches, (rows, records, bases) in merged:
        base = _base_of(bases) if with_bases else None
        others = [patch for patch in patches if patch.plan_id != but_plan]
        sent = [replace(patch, sent_by=sender(patch)) for patch in others]
        for record in records or [None] * (lead_id in unreadable):
            yield Comparison(lead_id, rows, record, sent, base)


def doubtful(warehouse: Warehouse, run_id: str, lead: str | None) -> Iterator[Comparison]:
    """Yields the leads that this run has read and to which an earlier one sent in doubt."""
    left = f"m.id IN (SELECT u.lead_id FROM {warehouse.doubtful_outcomes} u)"
    merged = merge_by_lead(_doubts(warehouse, lead), _read(warehouse, run_id, left))
    for lead_id, patches, (records,) in merged:
        for record in records:
            yield Comparison(lead_id, [], record, patches)


def planned_leads(
    warehouse: Warehouse, plan_id: str, run_id: str, *, resumed: bool
) -> Iterator[Comparison]:
    """Yields the leads of a plan's unfinished patches, as this run has read them.

    Args:
        warehouse: Where they are.
        plan_id: The plan.
        run_id: Who has read the leads.
        resumed: Whether an earlier run was sending it when it was cut off.
    """
    sender = history.sender(warehouse, run_id)
    merged = merge_by_lead(
        _patches(warehouse, warehouse.unfinished_patches, plan_id=plan_id),
        _records(warehouse, None, "m.read_by = %s", [run_id]),
    )
    for lead_id, patches, (records,) in merged:
        sent = [replace(patch, sent_by=sender(patch)) for patch in patches] if resumed else patches
        yield Comparison(lead_id, [], _first(records), sent)


def sent_leads(
    warehouse: Warehouse, sent_by: str, run_id: str, lead: str | None
) -> Iterator[Comparison]:
    """Yields what an earlier run has written to each lead, beside the lead as this run read it."""
    written = ((patch.lead_id, patch) for patch in history.taken(warehouse, sent_by, lead))
    merged = merge_by_lead(written, _records(warehouse, lead, "m.read_by = %s", [run_id]))
    for lead_id, patches, (records,) in merged:
        yield Comparison(lead_id, [], _first(records), patches)


def unknown(warehouse: Warehouse, known: MirrorFilter, lead: str | None) -> Iterator[str]:
    """Yields the leads that matter to this run and are not known.

    One with a patch that an earlier run left unfinished or in doubt is known when this run has
    read it.
    """
    where, args = warehouse.only(lead)
    which, _ = matching("u", lead_id=lead)
    is_known, known_args = known.condition()
    rows = warehouse.query(
        "SELECT DISTINCT w.lead_id FROM ("
        f"SELECT {warehouse.lead_key} AS lead_id, 0 AS left_over "
        f"FROM {warehouse.desired_table} d {where} "
        f"UNION ALL SELECT u.lead_id, 1 FROM {warehouse.unfinished_patches} u {which} "
        f"UNION ALL SELECT u.lead_id, 1 FROM {warehouse.doubtful_outcomes} u {which}"
        f") w LEFT JOIN {warehouse.table('leads')} m ON m.id = w.lead_id AND {is_known} "
        "WHERE w.lead_id IS NOT NULL "
        "AND (m.id IS NULL OR (w.left_over = 1 AND m.read_by <> %s))",
        *args,
        *args,
        *args,
        *known_args,
        known.run_id,
    )
    return (row["lead_id"] for row in rows)


def _nothing() -> Stream:
    yield from ()


def _desired(warehouse: Warehouse, lead: str | None, which: str, args: list[Any]) -> Stream:
    """Yields rows of the desired table."""
    where, lead_args = warehouse.only(lead)
    sql = (
        f"SELECT * FROM (SELECT * FROM {warehouse.desired_table} d {where}) d "
        f"WHERE {which} ORDER BY {warehouse.lead_key}"
    )
    for row in warehouse.stream(sql, *lead_args, *args, typed=True):
        yield _lead_of(row), row


def _lead_of(row: Row) -> str | None:
    """Returns whose row it is, spelled as the mirror spells it."""
    return None if row[LEAD_ID] is None else str(row[LEAD_ID]).strip(" ").lower()


def _records(warehouse: Warehouse, lead: str | None, which: str, args: list[Any]) -> Stream:
    """Yields leads of the mirror that exist."""
    only, lead_args = ("AND m.id = %s", [lead]) if lead else ("", [])
    sql = (
        f"SELECT m.id, m.record FROM {warehouse.table('leads')} m "
        f"WHERE {which} AND m.gone_at IS NULL {only} ORDER BY m.id"
    )
    for row in warehouse.stream(sql, *args, *lead_args):
        yield row["id"], document_of(row["record"])


def _read(warehouse: Warehouse, run_id: str, which: str) -> Stream:
    """Yields the leads that a run has read; None for one that it found gone."""
    sql = (
        f"SELECT m.id, m.record, m.gone_at FROM {warehouse.table('leads')} m "
        f"WHERE m.read_by = %s AND {which} ORDER BY m.id"
    )
    for row in warehouse.stream(sql, run_id):
        yield row["id"], None if row["gone_at"] else document_of(row["record"])


def _doubts(warehouse: Warehouse, lead: str | None) -> Stream:
    """Yields patches of which it is not known what took effect, those of one lead in order."""
    which, args = matching("u", lead_id=lead)
    sql = (
        f"SELECT u.*, p.conditions FROM {warehouse.doubtful_outcomes} u "
        f"LEFT JOIN {warehouse.table('lead_patches')} p ON p.patch_id = u.patch_id "
        f"{which} ORDER BY u.lead_id, u.patch_id"
    )
    for row in warehouse.stream(sql, *args):
        yield row["lead_id"], doubtful_patch_of(row)


def _tried(warehouse: Warehouse, lead: str | None) -> Stream:
    """Yields what was refused, or answered without being taken."""
    which, args = matching("u", lead_id=lead)
    sql = (
        "SELECT lead_id, status, body, after, lead_updated, error, reason "
        f"FROM {warehouse.tried_outcomes} u {which} "
        "ORDER BY lead_id, outcome_id"
    )
    for row in warehouse.stream(sql, *args):
        yield row["lead_id"], tried_of(row)


def _patches(warehouse: Warehouse, patches: str, **wanted: str | None) -> Stream:
    """Yields patches, those of one lead in the order of sending."""
    which, args = matching("u", **wanted)
    sql = f"SELECT * FROM {patches} u {which} ORDER BY u.lead_id, u.patch_id"
    for row in warehouse.stream(sql, *args):
        patch: Patch = patch_of(row)
        yield patch.lead_id, patch


def _bases(warehouse: Warehouse, lead: str | None) -> Stream:
    """Yields what both sides last agreed on."""
    which, args = matching("b", lead_id=lead)
    table = warehouse.table("lead_bases")
    sql = f"SELECT b.lead_id, b.base FROM {table} b {which} ORDER BY b.lead_id"
    for row in warehouse.stream(sql, *args):
        yield row["lead_id"], document_of(row["base"])


def _first(found: list[Any]) -> Any:
    return found[0] if found else None


def _base_of(bases: list[Any]) -> Mapping[str, Any]:
    """Returns a lead's base; of a lead that has none nothing was agreed on."""
    return _first(bases) or {}
