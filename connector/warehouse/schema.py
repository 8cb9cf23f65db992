"""The tables a run writes: their columns, and the rows that go into them.

The columns are fixed by construction: every row has every column, in the column's type, so
that a load cannot fail on what an API answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict

from dlt.common.data_types.typing import TDataType
from dlt.common.schema.typing import TColumnSchema, TWriteDisposition

from connector.records.fields import is_custom_key
from connector.records.kinds import read_id
from connector.records.leads import LEADS as LEAD
from connector.records.leads import VALUE

TableRow = dict[str, Any]


def _columns(**types: TDataType) -> dict[str, TColumnSchema]:
    return {name: {"name": name, "data_type": kind} for name, kind in types.items()}


LEADS = _columns(
    **LEAD.mirror, record="json", read_at="timestamp", read_by="text", gone_at="timestamp"
)
LEADS["value_amount"]["precision"], LEADS["value_amount"]["scale"] = 38, 9
LEAD_TYPES: dict[str, TDataType] = {
    name: column["data_type"] or "text" for name, column in LEADS.items()
}
LEAD_PATCHES = _columns(
    patch_id="text",
    plan_id="text",
    lead_id="text",
    body="json",
    before="json",
    digest="text",
    planned_at="timestamp",
)
LEAD_OUTCOMES = _columns(
    outcome_id="text",
    run_id="text",
    plan_id="text",
    patch_id="text",
    lead_id="text",
    status="text",
    reason="text",
    body="json",
    before="json",
    after="json",
    http_status="bigint",
    error="text",
    error_info="text",
    attempts="bigint",
    tokens="bigint",
    waited_seconds="double",
    sent_at="timestamp",
    finished_at="timestamp",
)
LEAD_FIELDS = _columns(key="text", name="text", type="text")
SYNC_RUNS = _columns(
    run_id="text",
    plan_id="text",
    command="text",
    desired_table="text",
    reverts="text",
    started_at="timestamp",
    finished_at="timestamp",
    state="text",
    desired_rows="bigint",
    leads_read="bigint",
    applied="bigint",
    ignored="bigint",
    confirmed="bigint",
    rejected="bigint",
    failed="bigint",
    not_found="bigint",
    archived="bigint",
    conflict="bigint",
    deferred="bigint",
    unchanged="bigint",
    kept_nulls="bigint",
    requests="bigint",
    retries="bigint",
    tokens="bigint",
    tripped="json",
    overridden="json",
    message="text",
    version="text",
)


def lead_row(lead: Mapping[str, Any], read_at: datetime, run_id: str) -> TableRow:
    """Returns a lead's row of the mirror: the API's fields as columns, and the whole record.

    Args:
        lead: The lead as the API returned it.
        read_at: When.
        run_id: Which run read it; unlike a clock, it cannot be set back.
    """
    amount, currency = VALUE.read(lead) or (None, None)
    return {
        **{name: _cast(lead.get(name), kind) for name, kind in LEAD_TYPES.items()},
        "id": str(lead["id"]).lower(),
        "value_amount": _decimal(amount),
        "value_currency": currency,
        "custom_fields": {key: lead[key] for key in lead if is_custom_key(key)},
        "record": dict(lead),
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


def _cast(value: Any, data_type: TDataType) -> Any:
    """Casts an API value to a column's type; what does not fit stays in `record` alone."""
    if value is None or value == "":
        return None
    if data_type == "bigint":
        number = read_id(value)
        return number if isinstance(number, int) and abs(number) < 2**63 else None
    if data_type == "bool":
        return value if isinstance(value, bool) else None
    if data_type == "json":
        return value if isinstance(value, list | dict) else None
    if data_type == "text":
        return str(value)
    return _moment(str(value), data_type)


def _moment(text: str, data_type: TDataType) -> Any:
    if not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.date() if data_type == "date" else moment


def _decimal(amount: Any) -> Decimal | None:
    fits = isinstance(amount, Decimal) and amount.is_finite() and amount.adjusted() < 29
    return amount if fits else None


class TableHints(TypedDict, total=False):
    """What dlt needs to know of one table."""

    write_disposition: TWriteDisposition
    primary_key: str
    columns: dict[str, TColumnSchema]


HINTS: dict[str, TableHints] = {
    "leads": {"write_disposition": "merge", "primary_key": "id", "columns": LEADS},
    # A merge adds what an append would, and only once when a load is repeated after a kill.
    "lead_patches": {
        "write_disposition": "merge",
        "primary_key": "patch_id",
        "columns": LEAD_PATCHES,
    },
    "lead_outcomes": {
        "write_disposition": "merge",
        "primary_key": "outcome_id",
        "columns": LEAD_OUTCOMES,
    },
    "lead_fields": {
        "write_disposition": "merge",
        "primary_key": "key",
        "columns": LEAD_FIELDS,
    },
    "sync_runs": {
        "write_disposition": "merge",
        "primary_key": "run_id",
        "columns": SYNC_RUNS,
    },
}
