"""What a run needs to know of an account to understand its columns; read once, and no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from connector.columns import CHANGES, Columns, fold, managed_names, map_columns, names_of
from connector.errors import DesiredTableError
from connector.fields import STANDARD_FIELDS, Field, custom_fields, standard_fields
from connector.options import NO_OPTIONS, Options, options_of
from connector.pipedrive.client import Pipedrive
from connector.pipedrive.errors import PipedriveError
from connector.settings import Settings
from connector.warehouse import Warehouse

BY_LABEL = frozenset({"labels", "addlabels", "removelabels"})
BY_EMAIL = frozenset({"owneremail"})


def columns_for(
    warehouse: Warehouse, client: Pipedrive, settings: Settings, only: Sequence[str] = ()
) -> tuple[Columns, Mapping[str, Field]]:
    """Maps the desired table's columns; returns what they manage, and every field by its key.

    Raises:
        DesiredTableError: The table is missing or a column maps to nothing.
        ConfigError: A rule in config names no field.
    """
    columns = warehouse.columns()
    _refuse_struct(columns)
    renamed = settings.columns
    names = {renamed.get(name, name): columns[name] for name in managed_names(columns)}
    if CHANGES in columns:
        names |= dict.fromkeys(warehouse.changed_names() - names.keys(), "JSON")
    fields = read_fields(client, names)
    mapped = map_columns(
        columns,
        fields,
        renamed,
        settings.timezone,
        on_null=settings.on_null,
        only_if_blank=settings.only_if_blank or (),
        on_conflict=settings.on_conflict,
        only=only,
    )
    return mapped, {field.key: field for field in fields}


def _refuse_struct(columns: Mapping[str, str]) -> None:
    if columns.get(CHANGES, "").startswith("STRUCT"):
        raise DesiredTableError(
            "the column changes is a STRUCT, in which every row has every key, so that each would "
            "be cleared; make it JSON"
        )


def read_fields(client: Pipedrive, names: Mapping[str, str]) -> list[Field]:
    """Returns every field that the given names may mean.

    The account's own fields are asked for when a name is none of the standard ones, labels
    and users when something gives them by name.

    Args:
        client: The account.
        names: What the desired table's columns and its `changes` call fields, each with the
            type of its values in the warehouse.
    """
    known = names_of(STANDARD_FIELDS)
    wanted = {fold(name): kind for name, kind in names.items()}
    definitions = client.lead_fields() if wanted.keys() - known.keys() else []
    by_label = bool(BY_LABEL & wanted.keys())
    by_email = bool(BY_EMAIL & wanted.keys()) or _users_as_text(definitions, wanted)
    users = user_options(client) if by_email else NO_OPTIONS
    label_names = label_options(client) if by_label else NO_OPTIONS
    return [*standard_fields(label_names, users), *custom_fields(definitions, users)]


def read_names(client: Pipedrive, fields: Iterable[Field], shown: Collection[str]) -> list[Field]:
    """Returns the fields with the names of owners and labels, for people to read.

    Args:
        client: The account; where its token may not ask for names, ids are shown.
        fields: The fields to name.
        shown: Keys of the fields that will be shown; nothing is asked for the sake of others.
    """
    nameless = {field.key for field in fields if not field.options.names} & {*shown}
    try:
        label_names = label_options(client) if "label_ids" in nameless else NO_OPTIONS
        users = user_options(client) if "owner_id" in nameless else NO_OPTIONS
    except PipedriveError:
        return list(fields)
    named = {field.key: field for field in standard_fields(label_names, users)}
    return [named[field.key] if field.key in nameless & named.keys() else field for field in fields]


def user_options(client: Pipedrive) -> Options:
    """Returns the account's users by e-mail address."""
    return options_of("user", client.users(), "email")


def label_options(client: Pipedrive) -> Options:
    """Returns the account's lead labels by name."""
    return options_of("label", client.lead_labels(), "name")


def _users_as_text(definitions: Iterable[Mapping[str, Any]], wanted: Mapping[str, str]) -> bool:
    """Tells whether a user field's column holds text, which may be e-mail addresses."""
    types = {name: one.get("field_type") for one in definitions for name in _names(one)}
    return any(types.get(name) == "user" and "INT" not in kind for name, kind in wanted.items())


def _names(definition: Mapping[str, Any]) -> tuple[str, str]:
    return fold(str(definition.get("name"))), fold(str(definition.get("key")))
