"""One list says what is noted of a run: the columns, the summary and the JSON schemas follow it.

With `LEAD_SYNC_SNAPSHOTS=write` this module brings the schemas in line with it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest

import connector
from connector.planning.model import STATUSES
from connector.sync.summary import Summary
from connector.warehouse.record import NOTES, RunRecord, stored, told
from connector.warehouse.schema import SYNC_RUNS

SCHEMAS = Path(connector.__file__).with_name("schemas")
WRITE = os.environ.get("LEAD_SYNC_SNAPSHOTS") == "write"
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", datetime: "string"}
FOLLOWING = ("exit_code", "seconds", "cost")
"""What machines are told besides, as it follows from the rest."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Schema = dict[str, Any]


def property_of(field: str, text: str, found: Schema) -> Schema:
    """Return what a schema says of a field; what is no plain value is described by hand."""
    if "const" in found:
        return found
    kind = get_type_hints(RunRecord)[field]
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    names = [PLAIN.get(one, "null") for one in kinds]
    if kinds[0] not in PLAIN or "enum" in found or "format" in found:
        return {**found, "description": text}
    least = {"minimum": 0} if names[0] == "integer" else {}
    return {"type": names[0] if len(names) == 1 else names, **least, "description": text}


def in_line(properties: Schema) -> Schema:
    """Return a run's properties as the record has them, in the order of the file."""
    names = {name: (field, text) for name, field, text in told()}
    kept = [
        name for name in properties if name in names or name in (*FOLLOWING, "format", "version")
    ]
    order = [*kept, *(name for name in names if name not in properties)]
    return {
        name: property_of(*names[name], properties.get(name, {}))
        if name in names
        else properties[name]
        for name in order
    }


NEVER_EMPTY = ("run_id", "plan_id", "command", "state", "started_at")


def column_of(name: str, found: Schema) -> Schema:
    """Return what a schema says of a column of `sync_runs`, in which what is empty is null."""
    told = property_of(name, NOTES[name].text, found)
    if name in NEVER_EMPTY or "type" not in told:
        return told
    kinds = [told["type"]] if isinstance(told["type"], str) else told["type"]
    return {**told, "type": [*(one for one in kinds if one != "null"), "null"]}


def columns_in_line(properties: Schema) -> Schema:
    """Return the columns of a run as the record has them, with a count for each status."""
    columns = {name: column_of(name, properties.get(name, {})) for name in (*stored(), "planned")}
    return {**columns, **{status: properties[status] for status in STATUSES}}


def brought_in_line(name: str) -> tuple[Schema, Schema]:
    """Return a schema as its file has it, and as the record wants it."""
    found = json.loads((SCHEMAS / f"{name}.json").read_text())
    wanted = json.loads(json.dumps(found))
    if name == "plan":
        summary = wanted["properties"]["summary"]
        summary["properties"] = in_line(summary["properties"])
        summary["required"] = list(summary["properties"])
    elif name == "show":
        run = wanted["properties"]["run"]
        run["properties"] = columns_in_line(run["properties"])
        run["required"] = list(run["properties"])
    else:
        wanted["properties"] = in_line(wanted["properties"])
        known = {*wanted["required"], "run_id"}
        with_run = [one for one in wanted["properties"] if one not in known]
        wanted["dependentRequired"] = {"run_id": with_run}
    return found, wanted


@pytest.mark.parametrize("name", ["plan", "run_results", "show"])
def test_the_schemas_follow_the_record(name: str) -> None:
    found, wanted = brought_in_line(name)
    if WRITE:
        text = json.dumps(wanted, indent=2, ensure_ascii=False)
        (SCHEMAS / f"{name}.json").write_text(text + "\n")
        return
    assert json.dumps(found) == json.dumps(wanted)


def a_summary(**noted: Any) -> Summary:
    return Summary("run", "plan", "apply", started_at=NOW, **noted)


def test_a_summary_tells_what_the_record_says_and_what_follows() -> None:
    told_names = [name for name, _, _ in told()]
    assert list(a_summary().as_dict()) == [*told_names, *FOLLOWING]


def test_a_row_has_every_column_and_nothing_else() -> None:
    row = RunRecord("run", "plan", "apply", started_at=NOW).as_row()
    assert row.keys() == SYNC_RUNS.columns.keys()
    assert {name for name, noted in NOTES.items() if not noted.stored} == {"planned", "patches"}


def test_what_is_empty_is_null_in_a_row_and_zero_is_not() -> None:
    record = RunRecord("run", "plan", "run", started_at=NOW, statuses=Counter(failed=2))
    row = record.as_row()
    nulls = {"finished_at", "desired_table", "reverts", "tripped", "overridden", "message"}
    nulls |= {"lead", "narrowed_by", "sends_from", "sends_plans", "sends_until", "sends_at"}
    nulls |= {"taken_over_by", "leads_listed", "day_budget"}
    nulls |= {"exit_code", "whole_as_of", "updated_until", "read_under"}
    assert {name for name, value in row.items() if value is None} == nulls
    assert {status: row[status] for status in STATUSES} == {
        **dict.fromkeys(STATUSES, 0),
        "failed": 2,
    }
    assert row["released"] is False


def test_a_record_changes_and_its_summary_stays() -> None:
    record = RunRecord("run", "plan", "run", started_at=NOW)
    summary = Summary(**vars(record))
    record.leads_read += 5
    record.state = "failed"
    assert (summary.leads_read, summary.state) == (0, "running")
