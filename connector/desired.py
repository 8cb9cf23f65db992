"""From a row of the desired table to what is wanted of one lead. No I/O."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.errors import DesiredTableError
from connector.fields import READ_ONLY, STANDARD_FIELDS, Field, is_custom_key
from connector.kinds import Normal, from_json, parse_uuid

LEAD_ID, CHANGES, UPDATED_AT = "lead_id", "changes", "updated_at"
Row = Mapping[str, Any]


class RowRejected(Exception):
    """A row that cannot be sent; the message names field, value and the way out."""


@dataclass(frozen=True)
class Column:
    """A column of the desired table and what it manages.

    Attributes:
        name: The column's name in the warehouse.
        field: The lead's field.
        part: Which half of a value it holds, "amount" or "currency"; "" for the whole.
    """

    name: str
    field: Field
    part: str = ""


@dataclass(frozen=True)
class Columns:
    """How names map to fields: the table's own columns, and the names that `changes` may use."""

    managed: tuple[Column, ...]
    by_name: Mapping[str, Column]
    timezone: str = "UTC"

    @property
    def custom(self) -> bool:
        """Whether any managed field is a custom one."""
        return any(is_custom_key(column.field.key) for column in self.managed)


@dataclass(frozen=True)
class Desired:
    """What is wanted of one lead.

    Attributes:
        lead_id: Lower-case UUID.
        fields: The managed fields and their normal forms; None clears.
        sources: For each of them the value as the row gave it, for messages.
        kept_nulls: NULLs that were left alone, as the field cannot be cleared.
    """

    lead_id: str
    fields: Mapping[Field, Normal]
    sources: Mapping[Field, str]
    kept_nulls: int = 0


def fold(name: str) -> str:
    """Folds case, spaces and punctuation: `Lead score` and `lead_score` are one name."""
    return re.sub(r"[\W_]+", "", name).casefold()


def needs_custom_fields(names: Iterable[str], renamed: Mapping[str, str]) -> bool:
    """Tells whether some column can only be understood with the account's own fields."""
    known = {*_names_of(STANDARD_FIELDS), *map(fold, (LEAD_ID, UPDATED_AT))}
    return any(fold(renamed.get(name, name)) not in known for name in _managed_names(names))


def map_columns(
    names: Sequence[str],
    fields: Iterable[Field],
    renamed: Mapping[str, str] | None = None,
    timezone: str = "UTC",
) -> Columns:
    """Maps the columns of the desired table to fields.

    Args:
        names: The table's column names.
        fields: Every field that a lead of this account has.
        renamed: The mapping from column to field that config gives.
        timezone: Where timestamps with a zone become dates.

    Raises:
        DesiredTableError: No `lead_id`, or a column that maps to no field or to several.
    """
    if LEAD_ID not in names:
        raise DesiredTableError("the desired table has no column lead_id; add the leads' ids")
    by_name = _names_of(fields)
    targets = {name: (renamed or {}).get(name, name) for name in names_to_map(names)}
    managed = [_column(name, target, by_name) for name, target in targets.items()]
    _refuse_twins(managed)
    return Columns(tuple(managed), by_name, timezone)


def names_to_map(names: Iterable[str]) -> list[str]:
    """Leaves out the key, the row's own time, `changes` and dlt's columns."""
    return [name for name in _managed_names(names) if name not in (LEAD_ID, UPDATED_AT, CHANGES)]


def _managed_names(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith("_dlt"))


def _names_of(fields: Iterable[Field]) -> dict[str, Column]:
    """Every folded name and key of every field; a name of two custom fields is left out."""
    by_name: dict[str, Column] = {}
    shared: set[str] = set()
    for field in fields:
        if is_custom_key(field.key):
            name = fold(field.name)
            shared |= {name} & by_name.keys()
            by_name.setdefault(name, Column("", field))
    for name in shared:
        del by_name[name]
    for field in fields:
        by_name[fold(field.key)] = Column("", field)
        if field.key == "value":
            for part in ("amount", "currency"):
                by_name[f"value{part}"] = Column("", field, part)
    return by_name


def _column(name: str, target: str, by_name: Mapping[str, Column]) -> Column:
    found = by_name.get(fold(target))
    if found is not None:
        return Column(name, found.field, found.part)
    shown = f"column {name!r}" if name == target else f"column {name!r} (mapped to {target!r})"
    if target in READ_ONLY:
        raise DesiredTableError(f"{shown} is read-only in Pipedrive; leave it out of the table")
    near = [by_name[match].field for match in difflib.get_close_matches(fold(target), by_name)]
    hint = ", ".join(dict.fromkeys(f"{field.key} ({field.name})" for field in near))
    way = f"did you mean {hint}?" if hint else "rename it, or map it under `columns` in config"
    raise DesiredTableError(f"{shown} maps to no field of a lead that can be written; {way}")


def _refuse_twins(columns: Iterable[Column]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for column in columns:
        other = taken.setdefault((column.field.key, column.part), column.name)
        whole = taken.get((column.field.key, "")) if column.part else None
        if other != column.name or whole:
            raise DesiredTableError(
                f"columns {whole or other!r} and {column.name!r} both manage "
                f"{column.field.key}; keep one of them"
            )


def lead_id_of(row: Row) -> str:
    """Returns the row's lead, as a lower-case UUID.

    Raises:
        RowRejected: It is NULL or no UUID.
    """
    value = row[LEAD_ID]
    if value is None:
        others = ", ".join(f"{key} {shown(row[key])}" for key in row if row[key] is not None)
        raise RowRejected(f"lead_id is NULL in the row with {others[:200]}; give it its lead's id")
    try:
        return parse_uuid(value)
    except ValueError as error:
        raise RowRejected(f"lead_id {shown(value)} {error}") from None


def newest(rows: Sequence[Row]) -> Row:
    """Returns the newest of a lead's rows by `updated_at`.

    Raises:
        RowRejected: Several rows, and nothing says which one counts.
    """
    if len(rows) == 1:
        return rows[0]
    times = [row.get(UPDATED_AT) for row in rows]
    latest = max((time for time in times if time is not None), default=None)
    if None in times or times.count(latest) > 1:
        raise RowRejected(
            f"{len(rows)} rows for this lead, and no updated_at that tells the newest; keep one"
        )
    return rows[times.index(latest)]


def desired_of(row: Row, columns: Columns) -> Desired:
    """Reads one row.

    Raises:
        RowRejected: One line with every field that cannot be sent.
    """
    lead_id = lead_id_of(row)
    fields: dict[Field, Normal] = {}
    sources: dict[Field, str] = {}
    problems: list[str] = []
    kept_nulls = 0
    for field, parts in _parts_of(row, columns).items():
        sources[field] = _source(field, parts)
        try:
            value = _wanted(parts, field, columns.timezone)
        except ValueError as error:
            problems.append(f"{sources[field]} {error}")
            continue
        if value is None and _stays(field, parts):
            kept_nulls += 1
        else:
            fields[field] = value
    if problems:
        raise RowRejected("; ".join(problems))
    return Desired(lead_id, fields, sources, kept_nulls)


def _parts_of(row: Row, columns: Columns) -> dict[Field, dict[str, Any]]:
    parts: dict[Field, dict[str, Any]] = {}
    for column in columns.managed:
        parts.setdefault(column.field, {})[column.part] = row[column.name]
    for name, value in _changes_of(row).items():
        named = columns.by_name.get(fold(name))
        if named is None:
            raise RowRejected(f"changes names {name!r}, which is no field that can be written")
        given = parts.setdefault(named.field, {})
        if not named.part:
            given.clear()
        given[named.part] = value
    return parts


def _changes_of(row: Row) -> Mapping[str, Any]:
    changes = row.get(CHANGES)
    try:
        document = from_json(changes) if isinstance(changes, str) else changes
    except ValueError as error:
        raise RowRejected(f"changes {shown(changes)} {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise RowRejected(f"changes {shown(changes)} is not a JSON object")
    return document


def _wanted(parts: Mapping[str, Any], field: Field, timezone: str) -> Normal:
    whole = parts.get("")
    if "" in parts and len(parts) == 1:
        return None if whole is None else field.kind.parse(_local(whole, timezone))
    halves = from_json(whole) if isinstance(whole, str) else whole or {}
    if not isinstance(halves, dict):
        return field.kind.parse(halves)
    merged = {**halves, **{part: value for part, value in parts.items() if part}}
    if set(merged) == {"currency"} and merged["currency"] is None:
        return None
    return field.kind.parse(merged)


def _stays(field: Field, parts: Mapping[str, Any]) -> bool:
    """A NULL leaves alone what cannot be cleared, and a currency cannot without its amount."""
    return not field.clearable or parts.keys() == {"currency"}


def _local(value: Any, timezone: str) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(ZoneInfo(timezone))
    return value


def _source(field: Field, parts: Mapping[str, Any]) -> str:
    names = [(f"{field.key}_{part}" if part else field.key, value) for part, value in parts.items()]
    return ", ".join(f"{name} {shown(value)}" for name, value in names)


def shown(value: Any) -> str:
    """Shows a value in a message, short enough for one line."""
    text = "NULL" if value is None else repr(value if isinstance(value, str) else str(value))
    return text if len(text) <= 80 else f"{text[:77]}…'"
