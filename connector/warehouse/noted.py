"""The account's fields as runs have noted them: their names, and those of their options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connector.records.definitions import custom_fields
from connector.records.fields import Field, base_key, by_key
from connector.records.leads import standard_fields
from connector.records.options import Options
from connector.records.text import to_json
from connector.warehouse.rows import document_of
from connector.warehouse.schema import LEAD_FIELDS, FieldRow
from connector.warehouse.store import Warehouse

LONGEST_OPTIONS = 60_000
"""Bytes of the options of a field that are noted: some warehouses hold no longer text."""


def field_names(warehouse: Warehouse) -> dict[str, str]:
    """Returns what people call each field, by its key."""
    rows = warehouse.query(f"SELECT key, name FROM {warehouse.table(LEAD_FIELDS.name)}")
    return {row["key"]: row["name"] for row in rows}


def noted_fields(warehouse: Warehouse) -> dict[str, FieldRow]:
    """Returns what runs have written of the account's fields, by their keys."""
    if not warehouse.column_names(LEAD_FIELDS.name):
        return {}
    rows = warehouse.query(f"SELECT * FROM {warehouse.table(LEAD_FIELDS.name)}")
    return {
        row["key"]: FieldRow(row["key"], row["name"], row["type"], row.get("options"))
        for row in rows
    }


def known_fields(warehouse: Warehouse) -> Mapping[str, Field]:
    """Returns the account's fields as runs have noted them, by each of their keys."""
    noted = noted_fields(warehouse)
    names = {key: document_of(row.options) or {} for key, row in noted.items()}
    users = Options("user", names.get("owner_id", {}))
    labels = Options("label", names.get("label_ids", {}))
    definitions = [
        {
            "key": row.key,
            "name": row.name,
            "field_type": row.type,
            "options": [{"id": one, "label": name} for one, name in names[row.key].items()],
        }
        for row in noted.values()
        if row.key == base_key(row.key)
    ]
    return by_key([*standard_fields(labels, users), *custom_fields(definitions, users)])


def note_fields(warehouse: Warehouse, fields: Iterable[Field]) -> None:
    """Writes to `lead_fields` what is not there under its name, or with its options.

    Options that were not asked for are not known, and those that an earlier run noted stay.
    """
    there = noted_fields(warehouse)
    noted = [_field_row(field, key) for field in dict.fromkeys(fields) for key in field.keys]
    warehouse.insert(LEAD_FIELDS, [vars(row) for row in noted if row.key not in there])
    for row in noted:
        was = there.get(row.key, row)
        now = row if row.options is not None else replace(row, options=was.options)
        if (was.name, was.options) != (now.name, now.options):
            warehouse.put(LEAD_FIELDS, vars(now))


def _field_row(field: Field, key: str) -> FieldRow:
    names = field.options.names
    text = to_json(dict(names), ascii_only=True) if names and key == field.key else ""
    options = text if 0 < len(text) <= LONGEST_OPTIONS else None
    return FieldRow(key, field.name_of(key), field.type, options)
