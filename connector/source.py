"""The dlt side: the source that reads and compares, and how rows are bound to tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import dlt
import pendulum
from dlt.common.configuration.specs import BaseConfiguration
from dlt.extract import DltResource

from connector.pipedrive.auth import ApiToken
from connector.pipedrive.client import Pipedrive
from connector.planning.diff import decide
from connector.planning.model import Planned
from connector.records.leads import LEADS
from connector.settings import SECTION, load_settings
from connector.sync.reading import columns_for
from connector.warehouse import schema
from connector.warehouse.bases import has_bases
from connector.warehouse.comparison import compared, mark_failed
from connector.warehouse.desired import open_desired
from connector.warehouse.encoding import encode
from connector.warehouse.history import EVERYTHING, mirror
from connector.warehouse.rows import new_id, patch_rows
from connector.warehouse.scratch import open_scratch
from connector.warehouse.store import open_warehouse


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
    client = Pipedrive(settings.base_url, ApiToken(settings.api_token))

    @dlt.resource(**schema.LEADS.hints)
    def leads() -> Iterator[list[schema.TableRow]]:
        run_id = new_id()
        for page in client.pages(LEADS):
            read_at = pendulum.now("UTC")
            rows = (schema.lead_row(lead, read_at, run_id) for lead in page if lead.get("id"))
            yield [encode(row) for row in rows]

    @dlt.resource(selected=False, **schema.LEAD_PATCHES.hints)
    def lead_patches() -> Iterator[schema.TableRow]:
        plan_id = new_id()
        with ExitStack() as stack:
            warehouse = stack.enter_context(open_warehouse(dlt.current.pipeline(), settings))
            folder = Path(stack.enter_context(TemporaryDirectory()))
            scratch = stack.enter_context(open_scratch(folder))
            columns, _ = columns_for(warehouse, client, settings)
            table = stack.enter_context(open_desired(warehouse, settings))
            kept = has_bases(warehouse)
            head = table.head()
            scratch.want(table.rows(head, None, with_time=True, names=set()))
            scratch.note_mirror(mirror(warehouse, EVERYTHING))
            mark_failed(warehouse, scratch)
            read = head.read
            for number, found in enumerate(compared(warehouse, scratch, read, with_bases=kept)):
                decision = decide(
                    found.rows,
                    found.current,
                    columns,
                    unarchive=settings.unarchive,
                    base=found.base,
                )
                if isinstance(decision, Planned):
                    yield from map(encode, patch_rows(plan_id, number, decision))

    yield leads
    yield lead_patches
