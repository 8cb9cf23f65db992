"""All that a row and a lead are judged by, but for the two themselves, in one digest. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from connector.planning.columns import Column, Columns
from connector.records.fields import Field


def context_of(
    columns: Columns,
    fields: Mapping[str, Field],
    types: Mapping[str, str],
    *,
    unarchive: bool,
    keeps_bases: bool,
    version: str,
) -> str:
    """Returns what changes whenever the same row and lead could be judged otherwise.

    Args:
        columns: What the desired table manages, and by which rules.
        fields: Every field of a lead by its key.
        types: The table's columns, in order, with their types.
        unarchive: Whether an archived lead may be brought back.
        keeps_bases: Whether it is kept what both sides last agreed on.
        version: The version of the code that judges.
    """
    told = {
        "types": list(types.items()),
        "managed": [_column(one) for one in columns.managed],
        "names": {name: _column(one) for name, one in columns.by_name.items()},
        "clashes": dict(columns.clashes),
        "timezone": columns.timezone,
        "on_null": dict(columns.on_null),
        "on_conflict": dict(columns.on_conflict),
        "only_if_blank": sorted(columns.only_if_blank),
        "only": sorted(columns.only),
        "fields": {key: _field(one) for key, one in fields.items()},
        "unarchive": unarchive,
        "keeps_bases": keeps_bases,
        "version": version,
    }
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _column(column: Column) -> list[Any]:
    return [column.name, column.part, _field(column.field)]


def _field(field: Field) -> list[Any]:
    options = field.options
    keys = [field.key, *field.keys]
    return [keys, field.name, field.type, field.clearable, options.noun, dict(options.names)]
