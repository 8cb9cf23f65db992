"""Whether a run could work, found out without sending anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import dlt

from connector.configuration.providers import looked_in
from connector.errors import (
    AccountError,
    BooksMissing,
    ConfigError,
    LeadSyncError,
    WarehouseError,
)
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import PipedriveError
from connector.settings import Settings, load_settings
from connector.sync.company import Company, company_of, refuse_other
from connector.sync.explanation import Explanation, explain
from connector.sync.session import make_client
from connector.warehouse.attached import attached_of
from connector.warehouse.dataset import open_dataset
from connector.warehouse.desired import open_desired
from connector.warehouse.destination import make_pipeline, working_folder
from connector.warehouse.store import Warehouse, place_of
from connector.warehouse.trial import try_folder, try_writing


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
        yield Finding("config", _with(str(error), f"looked in {_looked_in()}"), good=False)
        return
    table = f"{resolved.base_url}, table {resolved.desired_table}"
    yield Finding("config", f"{table}; looked in {_looked_in()}")
    client = make_client(resolved)
    account, company = _account(client)
    yield account
    yield from _table(pipeline, resolved, client, company)


def _looked_in() -> str:
    try:
        return looked_in()
    except ConfigError:  # a file that cannot be read is told as the settings' own trouble
        return ""


def _with(text: str, more: str) -> str:
    """Adds to a message what it does not say already."""
    said = not more or more.rpartition(" ")[2] in text or more in text
    return text if said else f"{text}; {more}"


def _account(client: Pipedrive) -> tuple[Finding, Company | None]:
    try:
        me = client.me()
        company = company_of(me)
    except (AccountError, PipedriveError) as error:
        return Finding("pipedrive", str(error), good=False), None
    return Finding("pipedrive", f"the token is {me.get('name')}'s at {company}"), company


def _columns(found: Explanation) -> Iterator[Finding]:
    for problem in found.problems:
        subject = "config" if problem.is_of_config else "columns"
        text = problem.wrong if problem.is_of_config else str(problem)
        yield Finding(subject, text, good=False)
    if not found.problems:
        managed = [column.name for column in found.columns.managed]
        yield Finding("columns", f"manages {', '.join(managed) or 'what `changes` names'}")


def _writing(warehouse: Warehouse, settings: Settings) -> Finding:
    try:
        try_writing(warehouse)
    except WarehouseError as error:
        return Finding("writing", str(error), good=False)
    return Finding("writing", f"{settings.dataset_name} and dlt's schema beside it can be written")


def _desired(warehouse: Warehouse | None, settings: Settings) -> Finding:
    try:
        with open_desired(warehouse, settings) as table:
            names, place = table.head().columns, table.place and f", {table.place}"
    except WarehouseError as error:
        return Finding("table", str(error), good=False)
    return Finding("table", f"{settings.desired_table}: {len(names)} columns{place}")


def _attached(settings: Settings) -> Iterator[Finding]:
    for one in attached_of(settings):
        yield Finding("attached", f"{one.alias}: {one.place}, to read only")


def _inside(
    warehouse: Warehouse | None, settings: Settings, client: Pipedrive | None
) -> Iterator[Finding]:
    """Yields what a warehouse that can be opened holds, and whether it can be written.

    Args:
        warehouse: The books; None where the first plan makes them.
        settings: Where things are in it.
        client: Asks for the account's fields; None where it does not answer.
    """
    if warehouse is not None:
        yield _writing(warehouse, settings)
    table = _desired(warehouse, settings)
    yield from _attached(settings)
    yield table
    if table.good and client is not None:
        yield from _columns(explain(warehouse, client, settings))


def _table(
    pipeline: dlt.Pipeline, settings: Settings, client: Pipedrive, company: Company | None
) -> Iterator[Finding]:
    folder = working_folder(settings)
    try:
        try_folder(folder)
    except WarehouseError as error:
        yield Finding("warehouse", str(error), good=False)
    try:
        with ExitStack() as stack:
            warehouse = None
            try:
                warehouse = stack.enter_context(open_dataset(pipeline, settings))
            except BooksMissing as missing:
                yield Finding("warehouse", f"{missing}; working folder {folder}")
            if warehouse is not None:
                where = f"dataset {settings.dataset_name}, {warehouse.place}"
                yield Finding("warehouse", f"opened, {where}; working folder {folder}")
            if company is not None:
                refuse_other(warehouse, folder, company)
            yield from _inside(warehouse, settings, client if company else None)
    except ConfigError as error:
        yield Finding("config", str(error), good=False)
    except AccountError as error:
        yield Finding("pipedrive", str(error), good=False)
    except LeadSyncError as error:
        text = _with(str(error), f"it is {place}" if (place := place_of(pipeline)) else "")
        yield Finding("warehouse", _with(text, f"working folder {folder}"), good=False)
    except PipedriveError as error:
        yield Finding("columns", str(error), good=False)
