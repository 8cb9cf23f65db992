"""The fields of a record, and an account's custom ones by their definition. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from connector.records.cells import from_json
from connector.records.kinds import (
    CURRENCY,
    TEXT,
    Json,
    Kind,
    LabelEdit,
    Labels,
    Normal,
)
from connector.records.options import NO_OPTIONS, Options

NOTHING = "—"
Values = Mapping[str, Json]
"""A record, a body or any other values by their wire keys."""


@dataclass(frozen=True)
class Part:
    """One of the two values of a field, such as an amount and its currency.

    Attributes:
        name: What a column and a struct call it.
        key: The wire key that it travels under.
        kind: How its values are read, compared and written.
    """

    name: str
    key: str
    kind: Kind = field(repr=False)


@dataclass(frozen=True)
class Field:
    """A field of a record, whatever number of keys and parts it has on the wire.

    Attributes:
        key: Its key; the first one where it has two.
        name: What the CRM's users call it.
        kind: How its values are read, compared and written; the first part's where it has two.
        type: What Pipedrive calls its type.
        clearable: Whether NULL can clear it.
        options: The ids that it may hold, with their names, where they are known.
    """

    key: str
    name: str
    kind: Kind = field(repr=False, compare=False)
    type: str = field(default="", compare=False)
    clearable: bool = True
    options: Options = field(default=NO_OPTIONS, repr=False, compare=False)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its two parts; none where it is one value."""
        return ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every wire key that is this field's."""
        return (self.key,)

    def name_of(self, key: str) -> str:
        """Returns what people call what is under one of its keys."""
        return self.name if key == self.key else f"{self.name} {key.removeprefix(self.key)[1:]}"

    def read(self, values: Values) -> Normal:
        """Returns its normal form; absent and null both mean unset."""
        return self.kind.read(values.get(self.key))

    def is_blank(self, values: Values) -> bool:
        """Tells whether no part of it is set."""
        return self.read(values) is None

    def agrees(self, one: Values, other: Values, keys: Collection[str] | None = None) -> bool:
        """Tells whether two records say the same of it.

        Args:
            one: A record or a body.
            other: Another.
            keys: Only what is under these keys; None for all of the field.
        """
        return all(
            self.read_key(key, one) == self.read_key(key, other)
            for key in self.keys
            if keys is None or key in keys
        )

    def read_key(self, key: str, values: Values) -> Normal:
        """Returns the normal form of what is under one of its keys."""
        return self.read(values) if key == self.key else None

    def parse(self, cells: Mapping[str, Any]) -> Normal:
        """Returns what a row wants of it, from its values by part; "" is the whole.

        Raises:
            ValueError: What is wrong with a value, and the way out.
        """
        value = cells[""]
        return None if value is None else self.kind.parse(value)

    def blank_parts(self, wanted: Normal, given: Collection[str]) -> set[str]:  # noqa: ARG002
        """Returns those of the parts that a row gives in which it wants nothing."""
        return {""} if wanted is None else set()

    def without_blanks(self, _wanted: Normal) -> Normal:
        """Returns what a row wants where what is blank means nothing; {} is no wish."""
        return {}

    def complete(self, wanted: Normal, have: Normal) -> Normal:
        """Fills what the row leaves open from what the record has.

        Raises:
            ValueError: It is open there as well.
        """
        return self.kind.complete(wanted, have)

    def write_wish(self, _wanted: Normal) -> dict[str, Json] | None:
        """Returns what a row wants as JSON, where it says it relative to what a record has.

        None where it says all of it.
        """
        return None

    def read_wish(self, _wish: Mapping[str, Json]) -> Normal:
        """Returns what a row wants, from what `write_wish` has made of it."""
        raise NotImplementedError(f"nothing is wanted of {self.name} relative to a record")

    def write(self, value: Normal, have: Normal = None) -> dict[str, Json]:  # noqa: ARG002
        """Returns the part of a body that makes a record with `have` say `value`; None clears."""
        return {self.key: self.kind.cleared if value is None else self.kind.write(value)}

    def before(self, body: Values, record: Values) -> dict[str, Json]:
        """Returns what a record has under the keys of a body, and under those that go with them."""
        return {key: record.get(key) for key in self.keys if key in body}

    def with_companions(self, body: dict[str, Json], _record: Values) -> dict[str, Json]:
        """Returns a part of a body, mended where it clears the first of two keys alone."""
        return body

    def as_it_was(self, key: str, before: Values) -> Json:
        """Returns what brings a value back under one of its keys.

        It is the value itself where it can be sent, so that labels keep their order.
        """
        return _resent(self.kind, before.get(key))

    def show(self, values: Values) -> str:
        """Shows its value to a person; nothing as a dash."""
        value = values.get(self.key)
        return NOTHING if self.kind.read(value) is None else self.kind.show(value)


@dataclass(frozen=True)
class LabelField(Field):
    """The labels of a record, which a row may give as a whole or add to and remove from."""

    kind: Labels = field(default=Labels(), repr=False, compare=False)

    def parse(self, cells: Mapping[str, Any]) -> Normal:
        """Returns the labels wanted, or the edit of those that are there."""
        if "" in cells:
            return super().parse(cells)
        return self.kind.parse_edit(cells.get("add"), cells.get("remove"))

    def write_wish(self, wanted: Normal) -> dict[str, Json] | None:
        """Returns the labels to add and to remove."""
        if not isinstance(wanted, LabelEdit):
            return None
        return {"add": [*wanted.add], "remove": [*wanted.remove]}

    def read_wish(self, wish: Mapping[str, Json]) -> LabelEdit:
        """Returns the edit of the labels that are there."""
        return LabelEdit(tuple(wish["add"]), tuple(wish["remove"]))


@dataclass(frozen=True)
class PairField(Field):
    """A field of two parts, such as an amount and its currency, or the two days of a period.

    Its normal form is a pair. What a row wants of it is a mapping from the parts that it gives
    to their values; those that it does not give are the record's. Every rule holds for the pair.

    Attributes:
        first, second: What a struct and a column call the parts.
        second_kind: The second part's kind.
        leads: Whether the second part is nothing without the first, as a currency is.
        nested: Whether both are in one object under one key, and sent whole.
    """

    first: str = field(default="", compare=False)
    second: str = field(default="", compare=False)
    second_kind: Kind = field(default=CURRENCY, repr=False, compare=False)
    leads: bool = field(default=False, compare=False)
    nested: bool = field(default=False, compare=False)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The two."""
        second_key = self.key if self.nested else f"{self.key}_{self.second}"
        return (
            Part(self.first, self.key, self.kind),
            Part(self.second, second_key, self.second_kind),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """One key, or one for each part."""
        return tuple(dict.fromkeys(part.key for part in self.parts))

    def read(self, values: Values) -> Normal:
        """Returns the pair, or None where it is unset."""
        pair = tuple(part.kind.read(_raw(self, part, values)) for part in self.parts)
        return None if pair[0] is None and (self.leads or pair[1] is None) else pair

    def is_blank(self, values: Values) -> bool:
        """Tells whether no part of it is set."""
        return all(part.kind.read(_raw(self, part, values)) is None for part in self.parts)

    def read_key(self, key: str, values: Values) -> Normal:
        """Returns the normal form of what is under one of its keys."""
        if self.nested:
            return self.read(values)
        return next(part.kind.read(values.get(key)) for part in self.parts if part.key == key)

    def parse(self, cells: Mapping[str, Any]) -> Normal:
        """Returns the values of the parts that a row gives; None clears the whole."""
        if "" in cells:
            if isinstance(cells[""], str):
                from_json(cells[""])
            if cells[""] is not None:
                raise ValueError('is not a value; write it like {"amount": 100, "currency": "EUR"}')
            return None
        parts = {part.name: part for part in self.parts}
        wanted = {
            name: None if value is None else parts[name].kind.parse(value)
            for name, value in cells.items()
        }
        if self.leads:
            if self.first in wanted and wanted[self.first] is None:
                return None
            wanted = {name: value for name, value in wanted.items() if value is not None}
        return wanted

    def blank_parts(self, wanted: Normal, given: Collection[str]) -> set[str]:
        """Returns those of the parts that a row gives in which it wants nothing.

        Without its amount, that is none for the currency.
        """
        if wanted is None:
            return {"", self.first} & {*given}
        return {name for name in given if wanted.get(name) is None}

    def without_blanks(self, wanted: Normal) -> Normal:
        """Returns what a row wants of the parts that are not blank."""
        return {name: value for name, value in (wanted or {}).items() if value is not None}

    def complete(self, wanted: Normal, have: Normal) -> Normal:
        """Takes from the record the part that the row leaves out."""
        if wanted is None:
            return None
        had = {
            part.name: value if part.kind.can_write(value) else None
            for part, value in zip(self.parts, have or (None, None), strict=True)
        }
        first, second = ({**had, **wanted}[name] for name in (self.first, self.second))
        if self.leads and first is None:
            raise ValueError(self._lacks(self.first))
        if self.nested and second is None:
            raise ValueError(self._lacks(self.second))
        return None if first is None and second is None else (first, second)

    def write_wish(self, wanted: Normal) -> dict[str, Json] | None:
        """Returns the parts that a row gives, where it leaves the other to the record."""
        if wanted is None or len(wanted) == len(self.parts):
            return None
        kinds = {part.name: part.kind for part in self.parts}
        return {
            name: None if value is None else kinds[name].write(value)
            for name, value in wanted.items()
        }

    def read_wish(self, wish: Mapping[str, Json]) -> dict[str, Normal]:
        """Returns the parts that a row gives."""
        kinds = {part.name: part.kind for part in self.parts}
        return {name: kinds[name].read(value) for name, value in wish.items()}

    def write(self, value: Normal, have: Normal = None) -> dict[str, Json]:
        """Writes a nested pair whole, and of two keys those that differ.

        A currency goes with its amount: where that is cleared, it is not sent.
        """
        if value is None and (self.nested or self.leads):
            return {self.key: None}
        if self.nested:
            return {
                self.key: {
                    part.name: part.kind.write(one)
                    for part, one in zip(self.parts, value, strict=True)
                }
            }
        wanted, had = value or (None, None), have or (None, None)
        return {
            part.key: part.kind.cleared if one is None else part.kind.write(one)
            for part, one, was in zip(self.parts, wanted, had, strict=True)
            if one != was
        }

    def before(self, body: Values, record: Values) -> dict[str, Json]:
        """Returns what was there under both keys: either one tells of an edit of the pair."""
        return {} if body.keys().isdisjoint(self.keys) else pick(record, self.keys)

    def with_companions(self, body: dict[str, Json], record: Values) -> dict[str, Json]:
        """Leaves out a currency whose amount is cleared, and keeps the end of a period.

        The end is sent along where the record has one that stays: whether Pipedrive clears it
        with the beginning is not known.
        """
        second = self.parts[1]
        if self.nested or body.get(self.key, 0) is not None:
            return body
        if self.leads:
            return {self.key: None}
        stays = second.key not in body and second.kind.read(record.get(second.key)) is not None
        return {**body, second.key: self.as_it_was(second.key, record)} if stays else body

    def _lacks(self, part: str) -> str:
        hint = f"add {self.key}_{part}" if self.nested else f"give the {part} a value as well"
        return f"has no {part}, and the lead has none; {hint}"

    def as_it_was(self, key: str, before: Values) -> Json:
        """Returns what brings a value back under one of its keys."""
        if self.nested:
            was = before.get(self.key)
            pair = self.read(before)
            if pair is None:
                return None
            written = self.write(pair)[self.key]
            return was if isinstance(was, dict) and was.keys() == written.keys() else written
        return next(_resent(part.kind, before.get(key)) for part in self.parts if part.key == key)

    def show(self, values: Values) -> str:
        """Shows an amount as 50.5 EUR, and a period as 2026-01-01 – 2026-03-31."""
        shown = {
            part.name: part.kind.show(value)
            for part in self.parts
            if part.kind.read(value := _raw(self, part, values)) is not None
        }
        if self.leads:
            return " ".join(shown.values()) or NOTHING
        if len(shown) == 1:
            [(name, value)] = shown.items()
            return f"{name} {value}"
        return " – ".join(shown.values()) or NOTHING


def _raw(pair: PairField, part: Part, values: Values) -> Json:
    """Returns a part's wire value."""
    value = values.get(part.key)
    if not pair.nested:
        return value
    return value.get(part.name) if isinstance(value, dict) else None


def _resent(kind: Kind, value: Json) -> Json:
    normal = kind.read(value)
    if normal is None:
        return kind.cleared
    if not kind.can_write(normal):
        return value
    written = kind.write(normal)
    are_numbers = {type(value), type(written)} == {int, float}
    return value if are_numbers or isinstance(value, type(written)) else written


def by_key(fields: Iterable[Field]) -> dict[str, Field]:
    """Returns the field of each wire key."""
    return {key: one for one in fields for key in one.keys}


def field_of(key: str, fields: Mapping[str, Field]) -> Field:
    """Returns a key's field, or a text for one that the account's definitions no longer hold."""
    return fields.get(key) or Field(key, key, TEXT)


def fields_of(keys: Iterable[str], fields: Mapping[str, Field]) -> list[Field]:
    """Returns the fields of some keys in their order, each once."""
    return list(dict.fromkeys(field_of(key, fields) for key in keys))


def pick(values: Values, keys: Iterable[str]) -> dict[str, Json]:
    """Returns what is under some keys; null where there is nothing."""
    return {key: values.get(key) for key in keys}


@lru_cache(maxsize=4096)
def is_custom_key(name: str) -> bool:
    """Tells whether a name is a custom field's key: 40 hexadecimal digits, maybe a suffix."""
    key = name.partition("_")[0]
    return len(key) == 40 and set(key.lower()) <= set("0123456789abcdef")


def fold(name: str) -> str:
    """Folds case, spaces and punctuation: `Lead score` and `lead_score` are one name.

    A name of nothing but signs is left as it is, so that no two of them are one.
    """
    return re.sub(r"[\W_]+", "", name).casefold() or name


def base_key(key: str) -> str:
    """Returns the key that the two keys of one field share, such as an amount and its currency."""
    return key[:40] if is_custom_key(key) else key
