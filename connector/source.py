"""The dlt side: the source that reads and compares, and how rows are bound to tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

import dlt
import pendulum
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.schema.typing import TColumnSchema, TWriteDisposition
from dlt.extract import DltResource

from connector import tables
from connector.catalogue import columns_for
from connector.diff import Planned, decide
from connector.encoding import encode
from connector.known import Known
from connector.pipedrive.client import Pipedrive
from connector.records import new_id, patch_rows
from connector.settings import SECTION, load_settings
from connector.warehouse import open_warehouse


class TableHints(TypedDict, total=False):
    """What dlt needs to know of one table."""

    write_disposition: TWriteDisposition
    primary_key: str
    columns: dict[str, TColumnSchema]


HINTS: dict[str, TableHints] = {
    "leads": {"write_disposition": "merge", "primary_key": "id", "columns": tables.LEADS},
    # A merge adds what an append would, and only once when a load is repeated after a kill.
    "lead_patches": {
        "write_disposition": "merge",
        "primary_key": "patch_id",
        "columns": tables.LEAD_PATCHES,
    },
    "lead_outcomes": {
        "write_disposition": "merge",
        "primary_key": "outcome_id",
        "columns": tables.LEAD_OUTCOMES,
    },
    "lead_fields": {
        "write_disposition": "merge",
        "primary_key": "key",
        "columns": tables.LEAD_FIELDS,
    },
    "sync_runs": {
        "write_disposition": "merge",
        "primary_key": "run_id",
        "columns": tables.SYNC_RUNS,
    },
}
BATCH = 1000
"""Rows that go to dlt at once."""
Marked = Any
"""A batch of rows with the table that they belong to."""


def into(table: str, rows: list[tables.Row]) -> Iterator[Marked]:
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


def mirror_pages(pages: Iterable[list[dict[str, Any]]], run_id: str) -> Iterator[list[tables.Row]]:
    """Turns pages of the API into rows of the mirror; a record without an id is no lead."""
    for page in pages:
        read_at = pendulum.now("UTC")
        yield [tables.lead_row(lead, read_at, run_id) for lead in page if lead.get("id")]


# Without fields of its own dlt looks nothing up: it would take any BASE_URL and API_TOKEN.
@dlt.source(name=SECTION[1], section=SECTION[1], max_table_nesting=0, spec=BaseConfiguration)
def pipedrive_leads(
    base_url: str | None = None, api_token: str | None = None
) -> Iterator[DltResource]:
    """Pipedrive's leads as they are, and what the desired table would change of them.

    Reading is all it does: `connector.run` is what sends. `leads` is the mirror. Select
    `lead_patches` in a later run of the same pipeline to compare the mirror with the desired
    table: `pipeline.run(pipedrive_leads().with_resources("lead_patches"))`.

    Args:
        base_url: Scheme and host of the account; what is configured, where it is left out.
        api_token: A personal API token; what is configured, where it is left out.
    """
    settings = load_settings(base_url=base_url, api_token=api_token)
    client = Pipedrive(settings.base_url, settings.api_token)

    @dlt.resource(**HINTS["leads"])
    def leads() -> Iterator[list[tables.Row]]:
        for rows in mirror_pages(client.leads(), new_id()):
            yield [encode(row) for row in rows]

    @dlt.resource(selected=False, **HINTS["lead_patches"])
    def lead_patches() -> Iterator[tables.Row]:
        plan_id = new_id()
        with open_warehouse(dlt.current.pipeline(), settings) as warehouse:
            columns, _ = columns_for(warehouse, client, settings)
            minds = columns.minds_edits
            compared = warehouse.compared(Known(None), None, with_written=minds)
            for number, found in enumerate(compared):
                decision = decide(
                    found.rows,
                    found.current,
                    columns,
                    unarchive=settings.unarchive,
                    written=found.written,
                )
                if isinstance(decision, Planned):
                    yield from map(encode, patch_rows(plan_id, number, decision))

    yield leads
    yield lead_patches
