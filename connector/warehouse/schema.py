"""The tables a run writes: each is declared once, by the dataclass of its rows.

A column has the name and the type of its field. The columns are fixed by construction: every row
has every column, in the column's type, so that a load cannot fail on what an API answered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from types import UnionType
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from dlt.common.data_types.typing import TDataType
from dlt.common.schema.typing import TColumnSchema, TWriteDispositionConfig

from connector.planning.model import STATUSES
from connector.records.fields import is_custom_key
from connector.records.kinds import read_id
from connector.records.leads import LEADS as LEAD
from connector.records.leads import VALUE
from connector.warehouse.record import RunRecord, stored
from connector.warehouse.scratch import digest_of

TableRow = dict[str, Any]
Document = dict[str, Any]
Keys = list[str]


@dataclass(frozen=True)
class PatchRow:
    """A PATCH of a plan.

    Attributes:
        patch_id: Sorts in the order of sending.
        digest: Tells the body from one that its way through the warehouse has changed.
        conditions: What of the lead the body was made from, by field; NULL for nothing.
    """

    patch_id: str
    plan_id: str
    lead_id: str
    body: Document
    before: Document
    digest: str
    conditions: Document | None
    planned_at: datetime


@dataclass(frozen=True)
class LeftOutRow:
    """A lead that a plan has left out, or a part of it, for a reason; a run has an outcome instead.

    Attributes:
        left_out_id: Sorts as the plan came to them.
        keys: The keys of the fields that it is about; NULL for the whole lead.
    """

    left_out_id: str
    plan_id: str
    lead_id: str | None
    status: str
    reason: str
    keys: Keys | None
    planned_at: datetime


@dataclass(frozen=True, kw_only=True)
class OutcomeRow:
    """What became of a patch, or of a desired row that was never planned.

    Attributes:
        outcome_id: That of the patch; a row that settles what was left unknown has its own.
        run_id: The run that sent the patch.
        settled_by: The later run that found out what became of it; NULL where `run_id` did.
        took: The keys of the body that are in effect through this patch; NULL where that was
            not known when the run ended, and a later row of the patch tells it.
        lead_updated: The lead's `update_time` as last returned.
        sent_at: When `run_id` first sent the patch; of one that was killed, when it came to the
            last of its patches. NULL where it did not send it, or where nothing says so.
        finished_at: When the outcome was known.
    """

    outcome_id: str
    run_id: str
    settled_by: str | None = None
    plan_id: str
    patch_id: str | None = None
    lead_id: str | None
    status: str
    reason: str | None
    body: Document | None = None
    before: Document | None = None
    after: Document | None = None
    took: Keys | None = None
    lead_updated: str | None = None
    http_status: int | None = None
    error: str | None = None
    error_info: str | None = None
    attempts: int = 0
    tokens: int = 0
    waited_seconds: float = 0.0
    sent_at: datetime | None = None
    finished_at: datetime


@dataclass(frozen=True)
class ChangeRow:
    """A field that a patch has changed, in the words of the CRM.

    Attributes:
        change_id: The patch and the key, as of all rows of a patch one says what took effect.
        changed_at: When the patch was sent; where that is not known, when it was found in effect.
        field: What people called it then.
        old: Text as it is, anything else as JSON; NULL for nothing.
        new: The same of what is in effect.
    """

    change_id: str
    changed_at: datetime
    run_id: str
    lead_id: str
    field: str
    old: str | None
    new: str | None
    status: str
    key: str
    patch_id: str


@dataclass(frozen=True)
class FieldRow:
    """A field of the account, under the name that people know.

    Attributes:
        options: The ids that it may hold, each with its name, as the text of a JSON object; of
            the owner the users' e-mail addresses. NULL where no run has asked for them.
    """

    key: str
    name: str
    type: str
    options: str | None = None


@dataclass(frozen=True)
class BaseRow:
    """What both sides last agreed on of a lead, by the keys of its fields."""

    lead_id: str
    base: Document


@dataclass(frozen=True)
class AccountRow:
    """The company that the dataset belongs to; there is one row.

    Attributes:
        company_domain: Its part of the address; it may change.
        options_as_text: Whether the account takes the ids of options as text; NULL where no run
            has found out.
        noted_at: When this was written.
    """

    company_id: int
    company_domain: str | None
    options_as_text: bool | None
    noted_at: datetime


@dataclass(frozen=True)
class LeaseRow:
    """Whose turn it is; there is one row.

    Attributes:
        lease: The key of that row.
        holder: The run; NULL for nobody.
        host: Its machine; the next four tell its process from every other one there.
        since: When it took its turn.
        until: When that runs out unless it is renewed, by the warehouse's clock.
    """

    lease: str
    holder: str | None
    host: str | None
    boot: str | None
    namespace: str | None
    pid: int | None
    pid_started: int | None
    since: datetime | None
    until: datetime | None


class TableHints(TypedDict):
    """What dlt needs to know of one table."""

    write_disposition: TWriteDispositionConfig
    primary_key: str
    columns: dict[str, TColumnSchema]


TYPES: Mapping[Any, TDataType] = {
    str: "text",
    Literal: "text",
    int: "bigint",
    float: "double",
    bool: "bool",
    date: "date",
    datetime: "timestamp",
    Decimal: "decimal",
    dict: "json",
    list: "json",
}


@dataclass(frozen=True)
class Table:
    """A table that a run writes, and how dlt is told of it.

    Attributes:
        is_written_once: Whether a row that is there stays as it is.
    """

    name: str
    key: str
    columns: dict[str, TColumnSchema]
    is_written_once: bool = False

    @property
    def hints(self) -> TableHints:
        """What dlt needs to know of it.

        A merge adds what an append would, and only once when a load is repeated after a kill.
        """
        disposition: TWriteDispositionConfig = "merge"
        if self.is_written_once:
            disposition = {"disposition": "merge", "strategy": "insert-only"}
        return {"write_disposition": disposition, "primary_key": self.key, "columns": self.columns}


def _table(name: str, key: str, row: type, *, is_written_once: bool = False) -> Table:
    """Declares a table by the dataclass of its rows."""
    columns = _columns(row, [one.name for one in fields(row)])
    return Table(name, key, columns, is_written_once)


def _columns(row: type, names: Iterable[str]) -> dict[str, TColumnSchema]:
    """Returns the columns of some of a dataclass's fields."""
    kinds = get_type_hints(row)
    return {name: {"name": name, "data_type": _type_of(kinds[name])} for name in names}


def _type_of(kind: Any) -> TDataType:
    kind = get_args(kind)[0] if isinstance(kind, UnionType) else kind
    return TYPES[get_origin(kind) or kind]


def _runs_table() -> Table:
    """Declares `sync_runs`, in which each status has a count of its own."""
    columns = _columns(RunRecord, stored())
    counts: dict[str, TColumnSchema] = {
        status: {"name": status, "data_type": "bigint"} for status in STATUSES
    }
    return Table("sync_runs", "run_id", columns | counts)


def _mirror_table() -> Table:
    """Declares `leads`: the API's fields as `records.leads` has them, and how each was read.

    `record` is the whole lead, and `digest` tells it from any other; it is NULL where the whole
    list did not show the lead any more. `read_by` is the run that
    loaded it: one that finds it as it is leaves it alone.
    `gone_at` is when it was first found gone; NULL while it exists.
    """
    read: dict[str, TDataType] = {
        "record": "json",
        "digest": "text",
        "read_at": "timestamp",
        "read_by": "text",
        "gone_at": "timestamp",
    }
    types: dict[str, TDataType] = {**LEAD.mirror, **read}
    columns: dict[str, TColumnSchema] = {
        name: {"name": name, "data_type": kind} for name, kind in types.items()
    }
    columns["value_amount"] |= {"precision": 38, "scale": 9}
    # Where rows shift while pages are walked, a lead comes twice: the newer copy counts.
    columns["update_time"] |= {"dedup_sort": "desc"}
    return Table(LEAD.table, "id", columns)


LEADS = _mirror_table()
LEAD_PATCHES = _table("lead_patches", "patch_id", PatchRow)
PLAN_LEFT_OUT = _table("plan_left_out", "left_out_id", LeftOutRow)
LEAD_OUTCOMES = _table("lead_outcomes", "outcome_id", OutcomeRow, is_written_once=True)
LEAD_FIELD_CHANGES = _table("lead_field_changes", "change_id", ChangeRow, is_written_once=True)
LEAD_FIELDS = _table("lead_fields", "key", FieldRow)
LEAD_BASES = _table("lead_bases", "lead_id", BaseRow)
SYNC_RUNS = _runs_table()
SYNC_ACCOUNT = _table("sync_account", "company_id", AccountRow)
SYNC_LEASE = _table("sync_lease", "lease", LeaseRow)
TABLES = {
    one.name: one
    for one in (
        *(LEADS, LEAD_PATCHES, PLAN_LEFT_OUT, LEAD_OUTCOMES, LEAD_FIELD_CHANGES, LEAD_FIELDS),
        *(LEAD_BASES, SYNC_RUNS, SYNC_ACCOUNT),
    )
}
"""Those that dlt makes; `sync_lease` is there before them, made by plain SQL."""


def _cast_text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _cast_number(value: Any) -> int | None:
    number = value if type(value) is int else read_id(value)
    return number if isinstance(number, int) and abs(number) < 2**63 else None


def _cast_truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _cast_document(value: Any) -> Any:
    return value if isinstance(value, list | dict) else None


def _cast_date(value: Any) -> date | None:
    moment = _cast_moment(value)
    return moment and moment.date()


def _cast_moment(value: Any) -> datetime | None:
    text = str(value)
    with suppress(ValueError):
        return datetime.fromisoformat(text) if BEGINS_WITH_DATE(text) else None
    return None


BEGINS_WITH_DATE = re.compile(r"\d{4}-\d{2}-\d{2}").match
CASTS: Mapping[TDataType, Callable[[Any], Any]] = {
    "text": _cast_text,
    "bigint": _cast_number,
    "bool": _cast_truth,
    "json": _cast_document,
    "date": _cast_date,
    "timestamp": _cast_moment,
}
"""Casts an API value to a column's type; what does not fit stays in `record` alone."""
LEAD_CASTS = tuple((name, CASTS[kind]) for name, kind in LEAD.mirror.items() if kind in CASTS)


def lead_row(
    lead: Mapping[str, Any], read_at: datetime, run_id: str, digest: str | None = None
) -> TableRow:
    """Returns a lead's row of the mirror: the API's fields as columns, and the whole record.

    Args:
        lead: The lead as the API returned it.
        read_at: When.
        run_id: Which run read it.
        digest: That of the record, where it is known.
    """
    amount, currency = VALUE.read(lead) or (None, None)
    return {
        **{name: cast(lead.get(name)) for name, cast in LEAD_CASTS},
        "id": str(lead["id"]).lower(),
        "value_amount": _decimal(amount),
        "value_currency": currency,
        "custom_fields": {key: lead[key] for key in lead if is_custom_key(key)},
        "record": dict(lead),
        "digest": digest or digest_of(lead),
        "read_at": read_at,
        "read_by": run_id,
        "gone_at": None,
    }


def gone_row(
    record: Mapping[str, Any], read_at: datetime, run_id: str, gone_at: datetime | None = None
) -> TableRow:
    """Returns the mirror's row of a lead that Pipedrive no longer has.

    Args:
        record: The lead as it was last read; its id alone for one that never was.
        read_at: When it was found gone, now.
        run_id: Which run found it so.
        gone_at: When it was first found gone; None for now.
    """
    return {**lead_row(record, read_at, run_id), "gone_at": gone_at or read_at}


def _decimal(amount: Any) -> Decimal | None:
    fits = isinstance(amount, Decimal) and amount.is_finite() and amount.adjusted() < 29
    return amount if fits else None
