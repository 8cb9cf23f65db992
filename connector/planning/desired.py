"""From a row of the desired table to what is wanted of one lead. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connector.planning.columns import CHANGES, LEAD_ID, UPDATED_AT, Column, Columns
from connector.planning.model import Lead, Row
from connector.records.cells import check_usable, from_json
from connector.records.fields import Field, fold
from connector.records.kinds import Normal, parse_moment, parse_uuid
from connector.records.leads import LEADS


class RowRejected(Exception):
    """A row that cannot be sent; the message names field, value and the way out.

    Attributes:
        rows: How many rows it is about.
    """

    def __init__(self, message: str, rows: int = 1) -> None:
        super().__init__(message)
        self.rows = rows


def keep_one_of(body: Mapping[str, Any], current: Lead) -> None:
    """Sees to it that a body leaves the lead with a person or an organization (documented).

    Raises:
        RowRejected: It would not.
    """
    cleared = [key for key in LEADS.one_of if key in body and body[key] is None]
    if cleared and all({**current, **body}.get(key) is None for key in LEADS.one_of):
        raise RowRejected(
            f"{' and '.join(cleared)} NULL would leave the lead without person and organization; "
            "give it one of them"
        )


@dataclass(frozen=True)
class Cell:
    """One value of a row and what it is of.

    Attributes:
        name: The column, or the key of `changes`, that it comes from.
        explicit: It comes from `changes`, where a null is meant.
    """

    name: str
    of: Column
    value: Any
    explicit: bool = False


@dataclass(frozen=True)
class Desired:
    """What is wanted of one lead.

    Attributes:
        lead_id: Lower-case UUID.
        fields: The managed fields and their normal forms; None clears.
        cells: What the row says of each of them.
        kept_nulls: NULLs that were left alone.
    """

    lead_id: str
    fields: Mapping[Field, Normal]
    cells: Mapping[Field, Mapping[str, Cell]]
    kept_nulls: int = 0

    def source(self, field: Field) -> str:
        """Returns the value of a field as the row gave it, for messages."""
        return _source(self.cells[field])


def _source(cells: Mapping[str, Cell]) -> str:
    return ", ".join(f"{cell.name} {shown(cell.value)}" for cell in cells.values())


def lead_id_of(row: Row) -> str:
    """Returns the row's lead, as a lower-case UUID.

    Raises:
        RowRejected: It is NULL or no UUID.
    """
    value = row[LEAD_ID]
    if value is None:
        others = [f"{key} {shown(row[key])}" for key in row if row[key] is not None]
        told = ", ".join(others[:3] + ["…"] * (len(others) > 3)) or "no other value"
        raise RowRejected(f"lead_id is NULL in the row with {told}; give it its lead's id")
    try:
        return parse_uuid(value)
    except ValueError as error:
        raise RowRejected(f"lead_id {shown(value)} {error}") from None


def newest(rows: Sequence[Row]) -> Row:
    """Returns the newest of a lead's rows by `updated_at`.

    Times are compared as such, whatever the types that they come in; so are plain numbers.

    Raises:
        RowRejected: Several rows, and nothing says which one counts.
    """
    if len(rows) == 1:
        return rows[0]
    given: list[Any] = [row.get(UPDATED_AT) for row in rows]
    several = f"{len(rows)} rows for this lead, and"
    times: list[Any] = given if all(map(_is_number, given)) else [moment_of(one) for one in given]
    for value, time_ in zip(given, times, strict=True):
        if value is not None and time_ is None:
            wrong = f"{several} updated_at {shown(value)} is no time; {WRITE_A_TIME}"
            raise RowRejected(wrong, len(rows))
    if None in times or times.count(max(times)) > 1:
        wrong = f"{several} no updated_at that tells the newest; keep one"
        raise RowRejected(wrong, len(rows))
    return rows[times.index(max(times))]


WRITE_A_TIME = "write it like 2026-12-31 23:59:59"


def moment_of(value: Any) -> datetime | None:
    """Reads a time, in UTC; one without a zone is so already, as Pipedrive's are (observed).

    Text of nothing but digits is none: a day in short and seconds since 1970 look alike.
    """
    if isinstance(value, str):
        try:
            value = None if value.strip().isdigit() else parse_moment(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first or the last day that there is, in another zone
        return value


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return value == value  # noqa: PLR0124 (NaN tells no order)


def desired_of(row: Row, columns: Columns) -> Desired:
    """Reads one row.

    Raises:
        RowRejected: One line with every field that cannot be sent.
    """
    lead_id = lead_id_of(row)
    fields: dict[Field, Normal] = {}
    problems: list[str] = []
    kept_nulls = 0
    by_field = _by_field(row, columns)
    for field, cells in by_field.items():
        try:
            fields[field] = _wanted(cells, field, columns)
        except _KeptError:
            kept_nulls += 1
        except ValueError as error:
            problems.append(f"{_source(cells)} {error}")
    if problems:
        raise RowRejected("; ".join(problems))
    return Desired(lead_id, fields, by_field, kept_nulls)


class _KeptError(Exception):
    """A NULL that leaves its field alone."""


def _by_field(row: Row, columns: Columns) -> dict[Field, dict[str, Cell]]:
    """Collects what the row says of each field: its columns, then `changes` over them."""
    found: dict[Field, dict[str, Cell]] = {}
    for cell in _cells(row, columns):
        if not columns.looks_at(cell.of.field):
            continue
        cells, part = found.setdefault(cell.of.field, {}), cell.of.place
        for said in [one for one in cells if one == part or not (one and part)]:
            _make_way(cells.pop(said), cell)
        cells[part] = cell
    return {field: _whole_or_parts(cells, columns) for field, cells in found.items()}


def _whole_or_parts(cells: dict[str, Cell], columns: Columns) -> dict[str, Cell]:
    """Lets a NULL of the whole stand for all parts, where nothing beside it says more of one."""
    for cell in cells.values():
        is_of_whole = not cell.of.part and (cell.explicit or cell.name in columns.objects)
        others = [one for one in cells.values() if one is not cell]
        wins = all(cell.explicit and not one.explicit for one in others)
        if cell.value is None and is_of_whole and wins:
            return {"": cell}
    return cells


def _make_way(before: Cell, cell: Cell) -> None:
    """Sees to it that of two cells about the same only a change wins, and over a column.

    Raises:
        RowRejected: Both are columns, or both are changes.
    """
    if before.explicit == cell.explicit:
        both = f"{before.name} and {cell.name}"
        where = "changes names" if cell.explicit else "the row has"
        raise RowRejected(f"{where} {both}, which are one field; keep one")


def _cells(row: Row, columns: Columns) -> Iterator[Cell]:
    for column in columns.managed:
        yield from _spread(Cell(column.name, column, row[column.name]))
    for name, value in _changes_of(row).items():
        if doubt := columns.clashes.get(fold(name)):
            raise RowRejected(f"changes names {name!r}, which {doubt}")
        named = columns.by_name.get(fold(name))
        if named is None:
            raise RowRejected(
                f"changes names {name!r}, which is no field; use a name that a column could have"
            )
        yield from _spread(Cell(name, named, value, explicit=True))


def _spread(cell: Cell) -> Iterator[Cell]:
    """Spreads a struct over the parts of its field, such as an amount and its currency."""
    parts = [part.name for part in cell.of.field.parts]
    struct = _struct(cell.value) if parts and not cell.of.part else None
    if struct is None:
        yield cell
        return
    if not struct or not struct.keys() <= set(parts):
        given = f"{cell.name} {shown(cell.value)}"
        raise RowRejected(f"{given} has other keys than {' and '.join(parts)}; use these alone")
    for name, value in struct.items():
        yield Cell(f"{cell.name}.{name}", replace(cell.of, part=name), value, cell.explicit)


def _struct(value: Any) -> Mapping[str, Any] | None:
    document = value
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            document = from_json(value)
        except ValueError:
            return None
    return document if isinstance(document, Mapping) else None


def _changes_of(row: Row) -> Mapping[str, Any]:
    changes = row.get(CHANGES)
    try:
        check_usable(changes)
        document = from_json(changes) if isinstance(changes, str) else changes
    except ValueError as error:
        raise RowRejected(f"changes {shown(changes)} {error}") from None
    if document is None:
        return {}
    if not isinstance(document, Mapping):
        example = '{"title": "New"}'
        raise RowRejected(f"changes {shown(changes)} is no JSON object; write it like {example}")
    return document


def _wanted(cells: Mapping[str, Cell], field: Field, columns: Columns) -> Normal:
    """Returns what is wanted of a field; one rule holds for what is blank in any of its parts.

    Raises:
        ValueError: A value cannot be sent.
        _KeptError: Nothing is wanted: what is blank leaves the field alone.
    """
    has_rule = columns.given_null_rule(field) != "clear"
    values = {
        part: _local(None if has_rule and _is_blank(cell) else cell.value, columns.timezone)
        for part, cell in cells.items()
    }
    wanted = field.parse(values)
    blank = [cells[part] for part in field.blank_parts(wanted, cells)]
    meant = all(cell.explicit for cell in blank)
    rule = columns.null_rule(field)
    if blank and rule == "reject" and not meant:
        raise ValueError("is not allowed: on_null is `reject`; give it a value")
    if blank and (not field.clearable or (rule == "keep" and not meant)):
        wanted = field.without_blanks(wanted)
    if wanted == {}:
        raise _KeptError
    return wanted


def _is_blank(cell: Cell) -> bool:
    """Tells whether a rule about NULL holds for a value as well; in `changes` values are meant."""
    if cell.explicit:
        return False
    if isinstance(cell.value, str):
        return not cell.value.strip()
    return isinstance(cell.value, list | tuple | set) and all(one is None for one in cell.value)


def _local(value: Any, timezone: str) -> Any:
    check_usable(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        try:
            return value.astimezone(ZoneInfo(timezone))
        except OverflowError:
            raise ValueError(f"is out of range in {timezone}; use NULL for none") from None
    return value


def shown(value: Any) -> str:
    """Shows a value in a message, short enough for one line."""
    try:
        text = "NULL" if value is None else repr(value if isinstance(value, str) else str(value))
    except RecursionError:
        text = "(nested too deep to be shown)"
    return text if len(text) <= 80 else f"{text[:77]}…'"
