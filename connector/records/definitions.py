"""An account's custom fields, by what it says of them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from connector.records.fields import Field, PairField, Values, is_custom_key
from connector.records.kinds import (
    CURRENCY,
    DATE,
    ID,
    NUMBER,
    SHORT_TEXT,
    TEXT,
    TIME,
    Kind,
    Option,
    OptionSet,
    Reference,
)
from connector.records.options import NO_OPTIONS, Options, options_of


def custom_fields(
    definitions: Iterable[Mapping[str, Any]],
    users: Options = NO_OPTIONS,
    *,
    options_as_text: bool = False,
) -> list[Field]:
    """Returns the custom fields that can be written, out of the account's definitions.

    Args:
        definitions: What GET /leadFields returns.
        users: The account's users, for user fields given by e-mail address.
        options_as_text: Whether the account takes the id of an option as text.
    """
    custom = (one for one in definitions if is_custom_key(str(one.get("key"))))
    known = (one for one in custom if str(one.get("field_type")) in FIELD_TYPES)
    living = (one for one in known if one.get("active_flag") is not False)
    fields = [_custom_field(one, users) for one in living]
    if not options_as_text:
        return fields
    return [
        replace(field, kind=replace(field.kind, as_text=True))
        if isinstance(field.kind, Option)
        else field
        for field in fields
    ]


def _custom_field(definition: Mapping[str, Any], users: Options) -> Field:
    key = str(definition["key"])
    name = str(definition.get("name") or key)
    type_ = str(definition["field_type"])
    options = options_of("option", definition.get("options"), "label")
    options = users if type_ == "user" else options
    kind = _kind_of(type_, options)
    if type_ not in PAIRS:
        return Field(key, name, kind, type_, options=options)
    first, second = PAIRS[type_]
    leads = type_ == "monetary"
    second_kind = CURRENCY if leads else kind
    return PairField(
        key, name, kind, type_, first=first, second=second, second_kind=second_kind, leads=leads
    )


def _kind_of(type_: str, options: Options) -> Kind:
    kind = FIELD_TYPES[type_]
    return kind if isinstance(kind, Kind) else kind(options)


FIELD_TYPES: Mapping[str, Kind | type[Option] | type[OptionSet] | type[Reference]] = {
    "varchar": SHORT_TEXT,
    "varchar_auto": SHORT_TEXT,
    "phone": SHORT_TEXT,
    "text": TEXT,
    "address": TEXT,
    "double": NUMBER,
    "monetary": NUMBER,
    "enum": Option,
    "set": OptionSet,
    "user": Reference,
    "org": ID,
    "people": ID,
    "date": DATE,
    "daterange": DATE,
    "time": TIME,
    "timerange": TIME,
}
"""The kind of each `field_type` of a custom field; some are made for the field's options."""

PAIRS: Mapping[str, tuple[str, str]] = {
    "monetary": ("amount", "currency"),
    "daterange": ("from", "until"),
    "timerange": ("from", "until"),
}
"""Types of two keys, with the names of their parts; the second names the second key's suffix."""


def companions_of_cleared(body: Values) -> list[str]:
    """Returns the second keys that go when a body clears their first, such as a currency."""
    cleared = [key for key, value in body.items() if value is None and is_custom_key(key)]
    suffixes = dict.fromkeys(second for _, second in PAIRS.values())
    return [
        f"{key}_{suffix}" for key in cleared for suffix in suffixes if f"{key}_{suffix}" not in body
    ]


def currencies_given(body: Values, before: Values) -> set[str]:
    """Returns the currencies that Pipedrive gives to a body's custom amounts: there was none."""
    _, suffix = PAIRS["monetary"]
    amounts = [key for key, value in body.items() if value is not None and is_custom_key(key)]
    currencies = {f"{key}_{suffix}" for key in amounts} - body.keys()
    return {key for key in currencies if before.get(key) is None}
