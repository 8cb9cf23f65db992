"""How rows are bound to tables and go to dlt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dlt
from dlt.extract import DltResource

from connector.warehouse import schema
from connector.warehouse.encoding import encode
from connector.warehouse.schema import HINTS

Marked = Any
"""A batch of rows with the table that they belong to."""
BATCH = 1000
"""Rows that go to dlt at once."""


def into(table: str, rows: list[schema.TableRow]) -> Iterator[Marked]:
    """Yields the rows as one batch for a table; nothing when there are none."""
    if rows:
        hints = dlt.mark.make_hints(table_name=table, **HINTS[table])
        yield dlt.mark.with_hints([encode(row) for row in rows], hints)


def batches(marked: Iterator[Marked]) -> DltResource:
    """Returns a resource of marked batches, of one table or of several in one package."""
    resource: DltResource = dlt.resource(marked, name="lead_sync", max_table_nesting=0)
    return resource


def empty_tables(names: Iterable[str]) -> list[DltResource]:
    """Returns resources that create tables which do not exist yet."""
    marker = [dlt.mark.materialize_table_schema()]
    return [dlt.resource(marker, name=name, max_table_nesting=0, **HINTS[name]) for name in names]
