"""Rows as the warehouse gives them, and rows for the tables written. No I/O."""

from __future__ import annotations

import hashlib
import math
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import count, groupby
from typing import Any

import orjson
import pendulum

from connector.planning.model import Comparison, Conflict, NotSent, Outcome, Patch, Planned, Row
from connector.records.cells import Unreadable, from_json
from connector.records.fields import companions_of_cleared
from connector.warehouse.schema import TableRow

MARK = "lead_sync__"
"""Begins what a query adds to the desired table's columns."""
Reader = Callable[[Any], Any]


def digest(body: Mapping[str, Any]) -> str:
    """Returns what tells a body from one that its way through the warehouse has changed."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def patch_of(row: Mapping[str, Any]) -> Patch:
    """Returns the patch of a row of `lead_patches`."""
    body, before = document_of(row["body"]), document_of(row["before"])
    intact = isinstance(body, dict) and digest(body) == row["digest"]
    return Patch(row["patch_id"], row["plan_id"], row["lead_id"], body, before, intact)


def document_of(value: Any) -> Any:
    """Reads a JSON document of the tables written, which some warehouses give as text."""
    return orjson.loads(value) if isinstance(value, str) else value


def readers_for(description: Sequence[Sequence[Any]]) -> list[tuple[str, Reader]]:
    """Returns each column's name, in lower case, and how its values are to be read."""
    return [
        (name.lower(), _as_it_is if name.lower().startswith(MARK) else _reader(str(kind)))
        for name, kind, *_ in description
    ]


def read_row(values: Sequence[Any], readers: Sequence[tuple[str, Reader]]) -> dict[str, Any]:
    """Returns a row by column name."""
    return {name: read(value) for (name, read), value in zip(readers, values, strict=True)}


def by_lead(rows: Iterator[dict[str, Any]]) -> Iterator[Comparison]:
    """Groups rows that come ordered by lead; one that names no lead stands alone."""
    alone = count()

    def key(row: Mapping[str, Any]) -> Any:
        return next(alone) if row[f"{MARK}lead"] is None else row[f"{MARK}lead"]

    for _, group in groupby(rows, key):
        found = list(group)
        first = found[0]
        marked = {row[f"{MARK}patch_id"]: row for row in found if f"{MARK}patch_id" in row}
        yield Comparison(
            first[f"{MARK}lead"],
            # Each patch brings every desired row of its lead, or one of NULLs where there is none.
            [_desired(row) for row in found if _same_patch(row, first) and _is_desired(row)],
            document_of(first[f"{MARK}record"]),
            [_marked_patch(row) for row in marked.values()],
            _written(first.get(f"{MARK}written")),
        )


def patches_by_lead(patches: Iterable[Patch]) -> Iterator[list[Patch]]:
    """Groups patches that come in the order of sending."""
    return (list(group) for _, group in groupby(patches, lambda patch: patch.lead_id))


def _written(bodies: str | None) -> dict[str, Any]:
    """Folds all bodies that were written to a lead, oldest first, a line each."""
    written: dict[str, Any] = {}
    for line in bodies.split("\n") if bodies else ():
        body = orjson.loads(line)
        gone = companions_of_cleared(body)
        written = {key: value for key, value in written.items() if key not in gone} | body
    return written


def _same_patch(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(row.get(f"{MARK}patch_id") == other.get(f"{MARK}patch_id"))


def _is_desired(row: Mapping[str, Any]) -> bool:
    return (row["lead_id"] is None) == (row[f"{MARK}lead"] is None)


def _desired(row: Mapping[str, Any]) -> Row:
    return {name: value for name, value in row.items() if not name.startswith(MARK)}


def _marked_patch(row: Mapping[str, Any]) -> Patch:
    unmarked = {name.removeprefix(MARK): row[name] for name in row if name.startswith(MARK)}
    return patch_of(unmarked | {"lead_id": unmarked["lead"]})


def _reader(kind: str) -> Reader:
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return _from_moment
    return {"JSON": _from_json, "FLOAT": _from_single}.get(kind, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


def _from_json(value: Any) -> Any:
    """Reads a JSON column, whose null is NULL and whose text is text without quotes."""
    try:
        return from_json(value) if isinstance(value, str) else value
    except ValueError as error:
        return Unreadable(value, str(error))


def _from_moment(value: Any) -> Any:
    """Reads a date or a timestamp; one that Python has no date for comes as text."""
    if isinstance(value, str):
        return Unreadable(value, "is not in the years 1 to 9999; mend it, or use NULL for none")
    return value


def _from_single(value: float | None) -> float | None:
    """Reads a single-precision number by its own digits: 50.1, not 50.099998474121094."""
    if value is None or not math.isfinite(value):
        return value
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((one for one in shorter if _single(one) == value), value)


def _single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def new_id() -> str:
    """Returns an id that sorts by time, such as 20261231-235959-1a2b3c."""
    return f"{pendulum.now('UTC').format('YYYYMMDD-HHmmss')}-{secrets.token_hex(3)}"


def patch_rows(plan_id: str, number: int, decision: Planned) -> Iterator[TableRow]:
    """Yields the rows of `lead_patches` for a plan's lead; ids sort in the order of sending."""
    for step, change in enumerate(decision.changes, 1):
        yield {
            "patch_id": f"{plan_id}-{number:08d}-{step}",
            "plan_id": plan_id,
            "lead_id": decision.lead_id,
            "body": change.body,
            "before": change.before,
            "digest": digest(change.body),
            "planned_at": pendulum.now("UTC"),
        }


def settled_rows(run_id: str, plan_id: str, number: int, settled: NotSent) -> Iterator[TableRow]:
    """Yields an outcome for each row of the desired table that gets no patch for a reason."""
    for row in range(1, settled.rows + 1):
        yield {
            **_empty_outcome(run_id, plan_id),
            **_in_conflict(settled.conflicts),
            "outcome_id": f"{run_id}-row-{number:08d}-{row}",
            "lead_id": settled.lead_id,
            "status": settled.status,
            "reason": settled.reason,
            "finished_at": pendulum.now("UTC"),
        }


def outcome_row(run_id: str, outcome: Outcome) -> TableRow:
    """Returns the outcome of a patch; its id is the patch's, so that there is never a second."""
    patch, answer = outcome.patch, outcome.error and outcome.error.answer
    lead = outcome.lead
    return {
        **_empty_outcome(run_id, patch.plan_id),
        "outcome_id": patch.patch_id,
        "patch_id": patch.patch_id,
        "lead_id": patch.lead_id,
        "status": outcome.status,
        "reason": outcome.reason,
        "body": outcome.body or patch.body,
        "before": patch.before,
        "after": None if lead is None else {key: lead.get(key) for key in patch.body},
        "http_status": _http_status(outcome),
        "error": outcome.error and ((answer and answer.text("error")) or str(outcome.error)),
        "error_info": answer and (answer.text("error_info") or None),
        "attempts": outcome.attempts,
        "tokens": outcome.tokens,
        "waited_seconds": outcome.waited_seconds,
        "sent_at": outcome.sent_at,
        "finished_at": outcome.finished_at,
    }


def _in_conflict(conflicts: Sequence[Conflict]) -> dict[str, Any]:
    """The three values of each field that is kept: wanted, expected, and as it is."""
    if not conflicts:
        return {}
    return {
        "body": {key: value for one in conflicts for key, value in one.wanted.items()},
        "before": {key: value for one in conflicts for key, value in one.expected.items()},
        "after": {key: value for one in conflicts for key, value in one.current.items()},
    }


def _http_status(outcome: Outcome) -> int | None:
    if outcome.error is not None:
        return outcome.error.answer.status if outcome.error.answer else None
    return 200 if outcome.status in ("applied", "ignored") else None


def _empty_outcome(run_id: str, plan_id: str) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("patch_id", "body", "before", "after", "http_status", "error", "error_info", "sent_at")
    )
    return {
        **nothing,
        "run_id": run_id,
        "plan_id": plan_id,
        "attempts": 0,
        "tokens": 0,
        "waited_seconds": 0.0,
    }


def package_version() -> str:
    """Returns the installed version of lead-sync."""
    return version("lead-sync")
