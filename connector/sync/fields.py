"""What an account's fields are, found out before any table exists."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from connector.errors import LeadSyncError
from connector.pipedrive.client import Pipedrive
from connector.planning.columns import LEAD_ID, map_columns
from connector.planning.description import Description, describe_fields
from connector.records.definitions import custom_fields
from connector.records.fields import Field
from connector.records.leads import LEADS, standard_fields
from connector.settings import Settings, load_settings
from connector.sync.company import company_of, refuse_other
from connector.sync.reading import label_options, user_options
from connector.sync.session import make_client
from connector.warehouse.dataset import open_dataset
from connector.warehouse.destination import make_pipeline, working_folder


@dataclass(frozen=True)
class Catalog:
    """All fields of an account, with all names that they know, and their definitions."""

    fields: list[Field]
    definitions: list[dict[str, Any]]


def read_catalog(client: Pipedrive) -> Catalog:
    """Asks for the definitions, the labels and the users.

    Raises:
        PipedriveError: The account does not tell them.
    """
    definitions = client.definitions(LEADS)
    labels, users = label_options(client), user_options(client)
    fields = [*standard_fields(labels, users), *custom_fields(definitions, users)]
    return Catalog(fields, definitions)


def describe_catalog(catalog: Catalog, settings: Settings) -> list[Description]:
    """Describes each field, by the rules that the settings give.

    Raises:
        ConfigError: A rule names no field.
    """
    renamed, on_null = settings.columns, settings.on_null
    columns = map_columns([LEAD_ID], catalog.fields, renamed, on_null=on_null)
    return describe_fields(catalog.fields, catalog.definitions, columns, renamed)


def account_fields(**settings: Any) -> list[Description]:
    """Returns every field of the account; neither a warehouse nor a table is needed.

    Raises:
        ConfigError: A setting is missing, or cannot be used.
        AccountError: It is another company's than the one that the working folder was used for.
        PipedriveError: The account's fields cannot be read.
    """
    resolved = load_settings(**settings)
    client = make_client(resolved)
    if working_folder(resolved).exists():
        _refuse_other(client, resolved)
    return describe_catalog(read_catalog(client), resolved)


def _refuse_other(client: Pipedrive, settings: Settings) -> None:
    with ExitStack() as stack:
        warehouse = None
        with suppress(LeadSyncError):  # it may be away, or not there yet
            warehouse = stack.enter_context(open_dataset(make_pipeline(settings), settings))
        refuse_other(warehouse, working_folder(settings), company_of(client.me()))
