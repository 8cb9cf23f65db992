"""Whether a run could work, found out without sending anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dlt

from connector.errors import (
    AccountError,
    ConfigError,
    DesiredTableError,
    LeadSyncError,
    WarehouseError,
)
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import PipedriveError
from connector.planning.columns import Columns
from connector.settings import Settings, load_settings
from connector.sync.company import Company, company_of, refuse_other
from connector.sync.reading import columns_for
from connector.sync.session import make_client
from connector.warehouse.dataset import open_dataset
from connector.warehouse.destination import make_pipeline, working_folder
from connector.warehouse.store import Warehouse
from connector.warehouse.trial import try_writing


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, how it stands, and whether it is all right."""

    subject: str
    text: str
    good: bool = True


def check(**settings: Any) -> Iterator[Finding]:
    """Yields a finding for the settings, the account, the warehouse and the table.

    What cannot be looked at, because something before it failed, is left out.
    """
    try:
        resolved = load_settings(**settings)
        pipeline = make_pipeline(resolved)
    except LeadSyncError as error:
        yield Finding("config", str(error), good=False)
        return
    yield Finding("config", f"{resolved.base_url}, table {resolved.desired_table}")
    client = make_client(resolved)
    account, company = _account(client)
    yield account
    yield from _table(pipeline, resolved, client, company)


def explain_columns(**settings: Any) -> tuple[Columns, list[str]]:
    """Returns what the desired table's columns manage, and the names of those passed over.

    Raises:
        LeadSyncError: The settings, the warehouse or the table cannot be used.
        PipedriveError: The account's fields cannot be read.
    """
    resolved = load_settings(**settings)
    with open_dataset(make_pipeline(resolved), resolved) as warehouse:
        client = make_client(resolved)
        refuse_other(warehouse, working_folder(resolved), company_of(client.me()))
        columns, _ = columns_for(warehouse, client, resolved)
        managed = {column.name for column in columns.managed}
        return columns, [name for name in warehouse.columns() if name not in managed]


def _account(client: Pipedrive) -> tuple[Finding, Company | None]:
    try:
        me = client.me()
        company = company_of(me)
    except (AccountError, PipedriveError) as error:
        return Finding("pipedrive", str(error), good=False), None
    return Finding("pipedrive", f"the token is {me.get('name')}'s at {company}"), company


def _writing(warehouse: Warehouse, settings: Settings) -> Finding:
    try:
        try_writing(warehouse)
    except WarehouseError as error:
        return Finding("writing", str(error), good=False)
    return Finding("writing", f"{settings.dataset_name} and dlt's schema beside it can be written")


def _table(
    pipeline: dlt.Pipeline, settings: Settings, client: Pipedrive, company: Company | None
) -> Iterator[Finding]:
    try:
        with open_dataset(pipeline, settings) as warehouse:
            where = f"dataset {settings.dataset_name}, {warehouse.place}"
            yield Finding("warehouse", f"opened, {where}")
            if company is not None:
                refuse_other(warehouse, working_folder(settings), company)
            yield _writing(warehouse, settings)
            names = warehouse.columns()
            yield Finding("table", f"{settings.desired_table}: {len(names)} columns")
            if company is not None:
                columns, _ = columns_for(warehouse, client, settings)
                managed = ", ".join(column.name for column in columns.managed)
                yield Finding("columns", f"manages {managed or 'nothing'}")
    except DesiredTableError as error:
        yield Finding("table", str(error), good=False)
    except ConfigError as error:
        yield Finding("config", str(error), good=False)
    except AccountError as error:
        yield Finding("pipedrive", str(error), good=False)
    except LeadSyncError as error:
        yield Finding("warehouse", str(error), good=False)
    except PipedriveError as error:
        yield Finding("columns", str(error), good=False)
