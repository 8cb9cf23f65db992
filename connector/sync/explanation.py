"""What the desired table's columns mean, and all that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from connector.errors import BooksMissing, WarehouseError
from connector.pipedrive.client import Pipedrive
from connector.planning.columns import CHANGES, Columns, Problem, Words, examine_columns
from connector.planning.model import Row
from connector.planning.suggestions import advise, doubts
from connector.settings import Settings, load_settings
from connector.sync.company import company_of, refuse_other
from connector.sync.fields import read_catalog
from connector.sync.reading import STRUCT_OF_CHANGES, Named, read_fields
from connector.sync.session import make_client
from connector.warehouse.dataset import open_dataset
from connector.warehouse.desired import DesiredTable, Head, open_desired
from connector.warehouse.destination import make_pipeline, working_folder
from connector.warehouse.store import Warehouse

SAMPLE = 200
"""Rows of the desired table that are looked at."""


@dataclass(frozen=True)
class Explanation:
    """What the desired table's columns mean.

    Attributes:
        names: All of its columns, in their order.
        columns: What those that are of a field manage.
        problems: What stops a run, each with the way out.
        doubts: Column → why some of its values cannot be sent; each such row gets its outcome.
    """

    names: list[str]
    columns: Columns
    problems: list[Problem]
    doubts: Mapping[str, str]

    @property
    def passed_over(self) -> list[str]:
        """The columns that manage no field, and are not to."""
        told = {column.name for column in self.columns.managed}
        told |= {problem.column for problem in self.problems}
        return [name for name in self.names if name not in told]


def explain_columns(**settings: Any) -> Explanation:
    """Explains the desired table.

    Raises:
        LeadSyncError: The settings, the warehouse or the table cannot be used.
        PipedriveError: The account's fields cannot be read.
    """
    resolved = load_settings(**settings)
    with ExitStack() as stack:
        warehouse = None
        with suppress(BooksMissing):
            warehouse = stack.enter_context(open_dataset(make_pipeline(resolved), resolved))
        client = make_client(resolved)
        refuse_other(warehouse, working_folder(resolved), company_of(client.me()))
        return explain(warehouse, client, resolved)


def explain(warehouse: Warehouse | None, client: Pipedrive, settings: Settings) -> Explanation:
    """Explains the desired table of a warehouse that is open.

    Args:
        warehouse: The books; None where the first plan makes them.
        client: Asks for the account's fields.
        settings: Where the table is.

    Raises:
        DesiredTableError: There is no such table.
        PipedriveError: The account's fields cannot be read.
    """
    with open_desired(warehouse, settings) as desired:
        head = desired.head()
        table = Named.of(head, desired.changed_names(head), settings)
        sample, unread = _sample(desired)
    types = head.columns
    columns, problems = examine_columns(
        types,
        read_fields(client, table.names, thorough=True),
        settings.columns,
        settings.timezone,
        on_null=settings.on_null,
        only_if_blank=settings.only_if_blank or (),
        on_conflict=settings.on_conflict,
    )
    columns = replace(columns, objects=head.objects)
    problems += [*_problems_of_table(head, columns, problems), *unread]
    told = doubts(columns, sample)
    if told or any(problem.column for problem in problems):
        words = Words.of(read_catalog(client).fields, settings.columns)
        problems = advise(problems, types, sample, words, columns.managed)
        told = doubts(columns, sample, words)
    return Explanation(list(types), columns, problems, told)


def _sample(desired: DesiredTable) -> tuple[list[Row], list[Problem]]:
    """Returns some rows of the desired table; what is wrong where it cannot be read."""
    try:
        return desired.sample(SAMPLE), []
    except WarehouseError as error:
        return [], [Problem("", str(error), "mend the table")]


def _problems_of_table(head: Head, columns: Columns, problems: list[Problem]) -> list[Problem]:
    types = head.columns
    if head.has_struct:
        wrong, _, way_out = STRUCT_OF_CHANGES.rpartition("; ")
        return [Problem(CHANGES, wrong, way_out)]
    if columns.managed or CHANGES in types or any(one.column for one in problems):
        return []
    names = ", ".join(name for name in types if not name.startswith("_dlt"))
    wrong = f"the table manages nothing: it has no column but {names or 'those of dlt'}"
    hint = "add a column for each field that it is to manage; `lead-sync fields` lists them"
    return [Problem("", wrong, hint)]
