"""The fields of a lead: the standard ones, and an account's custom ones by their definition.

Which standard fields can be cleared is from Pipedrive's published description; where it is
silent or says more than is known to be true (a null title), the field counts as not
clearable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.records.kinds import (
    COMPANIONS,
    FIELD_TYPES,
    KINDS,
    Json,
    Kind,
    Normal,
    label_set,
    reference,
)
from connector.records.options import NO_OPTIONS, Options, options_of


@dataclass(frozen=True)
class Field:
    """One key of a lead; a field of two keys, such as an amount and its currency, is two.

    Attributes:
        key: Its key on the wire.
        name: What the CRM's users call it.
        kind: How its values are read, compared and written.
        type: What Pipedrive calls its type.
        clearable: Whether NULL can clear it.
        halves: What a struct calls this key and its companion, as ("amount", "currency").
        amount_key: For a currency, the key of its amount.
        options: The ids that it may hold, with their names, where they are known.
    """

    key: str
    name: str
    kind: Kind = field(repr=False, compare=False)
    type: str = field(default="", compare=False)
    clearable: bool = True
    halves: tuple[str, str] | None = field(default=None, compare=False)
    amount_key: str | None = field(default=None, compare=False)
    options: Options = field(default=NO_OPTIONS, repr=False, compare=False)

    def read(self, lead: Mapping[str, Json]) -> Normal:
        """Returns the field's normal form in a lead; absent and null both mean unset."""
        return self.kind.read(lead.get(self.key))

    def write(self, value: Normal) -> Json:
        """Returns the wire form that sets this normal form, or clears for None."""
        return self.kind.cleared if value is None else self.kind.write(value)

    def show(self, value: Json) -> str:
        """Shows a wire value to a person; nothing as a dash."""
        return "—" if self.kind.read(value) is None else self.kind.show(value)


def standard_fields(
    label_names: Options = NO_OPTIONS, users: Options = NO_OPTIONS
) -> tuple[Field, ...]:
    """Returns the fields that every lead has.

    Args:
        label_names: The account's lead labels, so that they can be given by name.
        users: Its users, so that an owner can be given by e-mail address.
    """
    labels, owner = label_set(label_names), reference(users)
    return (
        Field("title", "Title", KINDS["title"], "varchar", clearable=False),
        Field("owner_id", "Owner", owner, "user", clearable=False, options=users),
        Field("label_ids", "Labels", labels, "labels", options=label_names),
        Field("person_id", "Person", KINDS["id"], "people"),
        Field("organization_id", "Organization", KINDS["id"], "org"),
        Field("is_archived", "Archived", KINDS["boolean"], "boolean", clearable=False),
        Field("value", "Value", KINDS["money"], "monetary", halves=("amount", "currency")),
        Field("expected_close_date", "Expected close date", KINDS["date"], "date"),
        Field("visible_to", "Visible to", KINDS["visibility"], "visible_to", clearable=False),
        Field("was_seen", "Seen", KINDS["boolean"], "boolean", clearable=False),
        Field("channel", "Channel", KINDS["id"], "channel"),
        Field("channel_id", "Channel ID", KINDS["text"], "varchar"),
    )


STANDARD_FIELDS = standard_fields()
READ_ONLY = frozenset(
    {
        "id",
        "creator_id",
        "source_name",
        "origin",
        "origin_id",
        "source_deal_id",
        "next_activity_id",
        "add_time",
        "update_time",
        "cc_email",
    }
)
"""Fields of a lead that no PATCH changes (published description)."""


def is_custom_key(name: str) -> bool:
    """Tells whether a name is a custom field's key: 40 hexadecimal digits, maybe a suffix."""
    key = name.partition("_")[0]
    return len(key) == 40 and set(key.lower()) <= set("0123456789abcdef")


def base_key(key: str) -> str:
    """Returns the key that the two keys of one field share, such as an amount and its currency."""
    return key[:40] if is_custom_key(key) else key


def companions_of_cleared(body: Mapping[str, Json]) -> list[str]:
    """Returns the second keys that go when a body clears their first, such as a currency."""
    cleared = [key for key, value in body.items() if value is None and is_custom_key(key)]
    second = (f"{key}_{suffix}" for key in cleared for suffix, *_ in COMPANIONS.values())
    return [key for key in dict.fromkeys(second) if key not in body]


def custom_fields(
    definitions: Iterable[Mapping[str, Any]], users: Options = NO_OPTIONS
) -> list[Field]:
    """Returns the custom fields that can be written, out of the account's definitions.

    Args:
        definitions: What GET /leadFields returns.
        users: The account's users, for user fields given by e-mail address.
    """
    custom = (one for one in definitions if is_custom_key(str(one.get("key"))))
    known = (one for one in custom if str(one.get("field_type")) in FIELD_TYPES)
    living = (one for one in known if one.get("active_flag") is not False)
    return [made for one in living for made in _custom_field(one, users)]


def _custom_field(definition: Mapping[str, Any], users: Options) -> Iterator[Field]:
    key = str(definition["key"])
    name = str(definition.get("name") or key)
    field_type = str(definition["field_type"])
    options = options_of("option", definition.get("options"), "label")
    options = users if field_type == "user" else options
    kind = FIELD_TYPES[field_type](options)
    companion = COMPANIONS.get(field_type)
    if companion is None:
        yield Field(key, name, kind, field_type, options=options)
        return
    suffix, first, second_kind = companion
    yield Field(key, name, kind, field_type, halves=(first, suffix))
    is_currency = suffix == "currency"
    yield Field(
        f"{key}_{suffix}",
        f"{name} {suffix}",
        second_kind,
        field_type,
        clearable=not is_currency,
        amount_key=key if is_currency else None,
    )
