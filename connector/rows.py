"""Rows as the warehouse gives them → what the run works with. No I/O."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from typing import Any

import orjson

from connector.desired import Row
from connector.diff import Lead
from connector.fields import companions_of_cleared
from connector.values import Unreadable, from_json

MARK = "lead_sync__"
"""Begins what a query adds to the desired table's columns."""

Reader = Callable[[Any], Any]


@dataclass(frozen=True)
class Patch:
    """A row of `lead_patches`.

    Attributes:
        intact: Whether the warehouse gives the body back as it was planned.
    """

    patch_id: str
    plan_id: str
    lead_id: str
    body: dict[str, Any]
    before: dict[str, Any]
    intact: bool = True


@dataclass(frozen=True)
class Comparison:
    """The rows that want something of one lead, beside the lead as it is.

    Attributes:
        lead_id: Lower case; None for a row that names no lead.
        rows: Its rows in the desired table; none where it left the table since it was planned.
        current: The lead as this run read it; None where Pipedrive has none.
        patches: What an earlier run planned for it and left without an outcome.
        written: What was last written of each field; empty where that does not matter.
    """

    lead_id: str | None
    rows: Sequence[Row]
    current: Lead | None
    patches: Sequence[Patch] = ()
    written: Mapping[str, Any] = field(default_factory=dict)


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
