"""What may be wanted of each field of an account, in words. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from connector.planning.columns import Column, Columns, OnNull, Words
from connector.records.fields import Field, LabelField, PairField, is_custom_key
from connector.records.kinds import (
    Boolean,
    Currency,
    Date,
    Kind,
    Labels,
    Number,
    Option,
    OptionSet,
    Reference,
    Text,
    Time,
    Title,
    Visibility,
)
from connector.records.leads import LEADS
from connector.records.options import NO_OPTIONS, Options, options_of

TAKES: Mapping[type[Kind], str] = {
    Text: "text",
    Title: "text",
    Number: "a number",
    Currency: "a currency, such as EUR",
    Boolean: "true or false",
    Date: "a date, such as 2026-12-31",
    Time: "a time, such as 14:30",
    Visibility: "1, 3, 5 or 7",
    Reference: "an id",
    Option: "an option, by name or id",
    OptionSet: "options by name or id, as a list, JSON or text with commas",
    Labels: "labels by name or id, as a list or JSON",
}
"""What a column of a kind holds, in words."""
NOTES: Mapping[str, str] = {
    "owner_id": "a column owner_id takes the user's id alone",
    "label_ids": "replaces all labels; add_labels and remove_labels edit those that are there, and "
    "label_ids takes ids alone",
    "value": "one column value may hold both, as a struct or as JSON; the part that is left out is "
    "the lead's own",
    "is_archived": "an archived lead cannot be edited; to bring one back, set unarchive = true",
    "visible_to": "what a level means depends on Pipedrive's plan. Lite and Growth: 1 is the owner "
    "and followers, 3 the whole company. Premium and Ultimate: 1 is the owner, 3 the owner's "
    "group, 5 that group and those below it, 7 the whole company",
}
"""What else is to be known of a lead's own fields."""


@dataclass(frozen=True)
class Description:
    """What may be wanted of a field or of a part of it.

    Attributes:
        column: The column name to use; None where nothing can be wanted.
        key: The key in Pipedrive.
        name: What people call it.
        part: Of what part of the field it is; empty for the whole.
        type: What Pipedrive calls its type.
        takes: What the column holds, in words.
        options: The ids that it may hold, with their names; of users, of labels or of options.
        cleared_by: What clears it; nothing where Pipedrive does not let it be cleared.
        on_null: What NULL does, by the settings.
        required: Whether Pipedrive's own forms ask for it.
        notes: What else is to be known.
    """

    column: str | None
    key: str
    name: str
    part: str = ""
    type: str = ""
    takes: str = ""
    options: Options = NO_OPTIONS
    cleared_by: tuple[str, ...] = ()
    on_null: OnNull = "keep"
    required: bool = False
    notes: tuple[str, ...] = ()


def describe_fields(
    fields: Sequence[Field],
    definitions: Sequence[Mapping[str, Any]],
    columns: Columns,
    renamed: Mapping[str, str],
) -> list[Description]:
    """Describes every field, those that can be written first.

    Args:
        fields: Those that can be written, with all options.
        definitions: What GET /leadFields returns.
        columns: The rules that the settings give.
        renamed: The mapping from column to field that config gives.
    """
    words = Words.of(fields, renamed)
    defined = {str(one.get("key")): one for one in definitions}
    described = [
        _describe(Column("", field, part), words, columns, defined.get(field.key, {}))
        for field in fields
        for part in [part.name for part in field.parts] or [""]
    ]
    return described + list(_unwritable(definitions, fields))


def _describe(
    of: Column, words: Words, columns: Columns, definition: Mapping[str, Any]
) -> Description:
    field, part = of.field, of.part
    kind = next((one.kind for one in field.parts if one.name == part), field.kind)
    key = next((one.key for one in field.parts if one.name == part), field.key)
    is_user = field.type == "user" and field.options.names
    takes = "a user's e-mail address or id" if is_user else TAKES[type(kind)]
    longest = kind.longest if isinstance(kind, Text) else None
    options = field.options
    if not options.names and not is_custom_key(field.key):
        options = options_of("option", definition.get("options"), "label")
    column = words.spell(of)
    return Description(
        column,
        key,
        field.name,
        part,
        field.type,
        f"{takes}, up to {longest} characters" if longest else takes,
        options,
        tuple(_cleared_by(field, kind, part)),
        columns.null_rule(field),
        bool(definition.get("mandatory_flag")),
        tuple(_notes(of, column, words)),
    )


def _cleared_by(field: Field, kind: Kind, part: str) -> Iterator[str]:
    """Yields what clears a field; a currency goes with its amount and is never cleared alone."""
    if not field.clearable or (
        isinstance(field, PairField) and field.leads and part != field.first
    ):
        return
    yield "NULL"
    for value, spelling in (("", "''"), ([], "[]")):
        with suppress(ValueError):
            if kind.parse(value) is None:
                yield spelling


def _notes(of: Column, column: str, words: Words) -> Iterator[str]:
    field = of.field
    found = words.find(column)
    if found is None or found.field != field:
        given = f"config gives the name {column} to another field; map another column to {column}"
        yield words.doubt(column) or given
    elif is_custom_key(column):
        yield "goes by its key, as its name is another field's too, or cannot be a column"
    if field.key in NOTES:
        yield NOTES[field.key]
    if field.key in LEADS.one_of:
        yield f"a lead keeps at least one of {' and '.join(LEADS.one_of)}"
    if isinstance(field, PairField) and field.leads and of.part == field.second:
        yield "goes when the amount is cleared"
    if isinstance(field, LabelField) and not field.options.names:
        yield "this account has no labels"


def _unwritable(
    definitions: Sequence[Mapping[str, Any]], fields: Sequence[Field]
) -> Iterator[Description]:
    """Yields what else the account has."""
    writable = {key for field in fields for key in (field.key, *field.keys)}
    for one in definitions:
        key, type_ = str(one.get("key")), str(one.get("field_type"))
        if key in writable or key == "id" or one.get("active_flag") is False:
            continue
        if key in LEADS.read_only:
            why = "read-only in Pipedrive"
        elif is_custom_key(key):
            why = f"lead-sync writes no field of the type {type_}"
        else:
            why = "no PATCH of a lead changes it"
        yield Description(None, key, str(one.get("name") or key), type=type_, notes=(why,))
