"""What a warehouse may hold for each type of field, and what it means to a person.

The meanings are this folder's own: nothing here is read by the code that it is held against.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from connector.sandbox.directory import FIELDS, LABELS, USERS, CustomField

Meaning = Any
Values = st.SearchStrategy[Any]
Cells = st.SearchStrategy[tuple[Any, Meaning]]
"""Pairs: a value as the warehouse gives it, and what it means."""

LABEL_IDS = {str(one["name"]): str(one["id"]) for one in LABELS}
USER_IDS = {str(one["email"]): int(one["id"]) for one in USERS}
CUSTOM = {field.name: field for field in FIELDS}
CURRENCIES = ("EUR", "USD", "SEK")
EARLIEST, LATEST = datetime(1900, 1, 1), datetime(9999, 12, 30)


def meaning_of_text(wire: Any) -> Meaning:
    return wire if (wire or "").strip() else None


def meaning_of_number(wire: Any) -> Meaning:
    return None if wire is None else Decimal(str(wire))


def meaning_of_id(wire: Any) -> Meaning:
    inner = wire.get("id", wire.get("value")) if isinstance(wire, dict) else wire
    return None if inner is None else int(inner)


def meaning_of_ids(wire: Any) -> Meaning:
    return frozenset(int(one) for one in wire.split(",")) if wire else None


def meaning_of_labels(wire: Any) -> Meaning:
    return frozenset(one.lower() for one in wire) if wire else None


def meaning_of_money(wire: Any) -> Meaning:
    return None if wire is None else (Decimal(str(wire["amount"])), wire["currency"])


def as_it_is(wire: Any) -> Meaning:
    return wire


@dataclass(frozen=True)
class Sort:
    """How values of one sort are held by a warehouse, shown by the API and understood.

    Attributes:
        cells: Values of the warehouse, each with its meaning.
        wires: Values as the API may show them.
        meaning: What a wire value means; None is unset.
        again: How the API may show what was written, in other words.
    """

    cells: Cells
    wires: Values
    meaning: Callable[[Any], Meaning] = as_it_is
    again: Callable[[Any], Iterable[Any]] = lambda wire: [wire]


def same(values: Values) -> Cells:
    """Return pairs of values that mean themselves."""
    return values.map(lambda one: (one, one))


def spelled(values: Values, *spellings: Callable[[Any], Any]) -> Cells:
    """Return pairs of a meaning in any of some spellings."""
    return st.tuples(values, st.sampled_from(spellings)).map(
        lambda pair: (pair[1](pair[0]), pair[0])
    )


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
"""A text with a NUL is refused, as no warehouse stores it."""
TEXTS: Cells = st.one_of(
    same(TEXT.filter(str.strip)),
    st.sampled_from([("", None), (" ", None), ("\n", None)]),
    spelled(st.integers(-(10**12), 10**12).map(str), int, Decimal),
    spelled(st.uuids().map(str), UUID),
    spelled(st.dates().map(str), date.fromisoformat),
    st.sampled_from([(3.0, "3"), (0.1, "0.1"), (Decimal("50.50"), "50.5"), (" a ", " a ")]),
)
EXACT = st.one_of(
    st.integers(-(10**15), 10**15).map(Decimal),
    st.decimals(-(10**9), 10**9, places=4),
    st.sampled_from(["0", "-0.01", "50.50", "3", "1e-7", "123456789012.25"]).map(Decimal),
)
NUMBERS = spelled(EXACT, Decimal, float, str)
WHOLE = st.integers(1, 2**31)
IDS = spelled(WHOLE, int, float, Decimal, str)
DAYS: Cells = st.one_of(
    spelled(st.dates(EARLIEST.date(), LATEST.date()).map(str), date.fromisoformat, str),
    st.datetimes(EARLIEST, LATEST).map(lambda one: (one, one.date().isoformat())),
    st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)).map(
        lambda one: (one, one.date().isoformat())
    ),
)
CLOCKS: Cells = st.one_of(
    st.times().map(lambda one: (one, one.strftime("%H:%M:%S"))),
    st.times().map(lambda one: (one.strftime("%H:%M"), one.strftime("%H:%M:00"))),
    st.datetimes(EARLIEST, LATEST).map(lambda one: (one, one.strftime("%H:%M:%S"))),
)
MONEY_CODES = spelled(st.sampled_from(CURRENCIES), str, str.lower)


def swapped(text: str) -> str:
    """Write a name as people do: in another case, with spaces around it."""
    return f" {text.swapcase()} "


def named(ids: Mapping[str, Any]) -> Cells:
    """Return pairs of a name in any case and the id that it stands for."""
    names = st.sampled_from(sorted(ids))
    return names.flatmap(
        lambda name: st.sampled_from([(name, ids[name]), (swapped(name), ids[name])])
    )


def lists_of(one: Cells, meaning: Callable[[Iterable[Any]], Meaning] = frozenset) -> Cells:
    """Return pairs of a list, as such or as JSON, and the set that it means; none is unset."""
    pairs = st.lists(one, max_size=4)
    both = pairs.map(lambda some: ([cell for cell, _ in some], meaning(m for _, m in some) or None))
    return st.one_of(both, both.map(lambda pair: (json.dumps(pair[0]), pair[1])))


LABEL_KEYS = st.sampled_from(sorted(LABEL_IDS.values()))
LABEL_LISTS = lists_of(named(LABEL_IDS) | spelled(LABEL_KEYS, str, str.upper))
LABEL_UUIDS: Cells = st.lists(LABEL_KEYS, min_size=1).map(
    lambda ids: ([UUID(one) for one in ids], frozenset(ids))
)


def references(ids: Values) -> Values:
    """The forms in which the API may show an id (which is unknown)."""
    return ids.flatmap(lambda one: st.sampled_from(reference_again(one)))


def reference_again(wire: Any) -> list[Any]:
    return [wire] if wire is None else [wire, str(wire), {"id": wire}, {"value": wire, "name": "N"}]


def number_again(wire: Any) -> list[Any]:
    return [wire] if wire is None else [wire, float(wire), str(wire)]


def labels_again(wire: Any) -> list[Any]:
    return [wire, [one.upper() for one in reversed(wire)]]


def ids_again(wire: Any) -> list[Any]:
    return [wire] if wire is None else [wire, ",".join(reversed(wire.split(",")))]


def money_again(wire: Any) -> list[Any]:
    if wire is None:
        return [wire]
    return [{**wire, "amount": amount} for amount in number_again(wire["amount"])]


MONIES = st.fixed_dictionaries(
    {"amount": EXACT.map(float), "currency": st.sampled_from(CURRENCIES)}
)
TEXT_SORT = Sort(TEXTS, st.text(max_size=12), meaning_of_text)
NUMBER = Sort(NUMBERS, EXACT.map(float) | st.integers(-99, 99), meaning_of_number, number_again)
ID = Sort(IDS, references(WHOLE), meaning_of_id, reference_again)
USER = Sort(IDS | named(USER_IDS), references(WHOLE), meaning_of_id, reference_again)
DATE = Sort(DAYS, st.dates(EARLIEST.date()).map(str))
CLOCK = Sort(CLOCKS, st.times().map(lambda one: one.strftime("%H:%M:%S")))
CURRENCY = Sort(MONEY_CODES, st.sampled_from(CURRENCIES))
SEEN = spelled(st.booleans(), bool, int, lambda one: str(one).lower())
BOOLEAN = Sort(SEEN, st.booleans())
LABEL_SORT = Sort(
    LABEL_LISTS | LABEL_UUIDS,
    st.lists(LABEL_KEYS, unique=True),
    meaning_of_labels,
    labels_again,
)
LEVEL = st.sampled_from(["1", "3", "5", "7"])
VISIBILITY = Sort(spelled(LEVEL, str, int, float, Decimal), LEVEL)
TITLE = Sort(same(TEXT.filter(lambda one: bool(one.strip()))), TEXT, meaning_of_text)
MONEY = Sort(st.nothing(), MONIES, meaning_of_money, money_again)


def enum_of(field: CustomField) -> Sort:
    """An option by its label or its id, in any of the types that ids come in."""
    ids = st.sampled_from(sorted(field.options))
    names = {label: key for key, label in field.options.items()}
    by_id = spelled(ids, int, str, float, Decimal)
    return Sort(named(names) | by_id, references(ids), meaning_of_id, reference_again)


def set_of(field: CustomField) -> Sort:
    """Options in a list, as JSON, joined by commas or one alone."""
    ids = sorted(field.options)
    names = {label: key for key, label in field.options.items()}
    one = named(names) | spelled(st.sampled_from(ids), int, str)
    some = st.lists(st.sampled_from(sorted(names)), max_size=4)
    joined = some.map(lambda found: (", ".join(found), frozenset(map(names.get, found)) or None))
    alone = one.map(lambda pair: (pair[0], frozenset([pair[1]])))
    wires = st.lists(st.sampled_from(ids), min_size=1, unique=True)
    shown = wires.map(lambda found: ",".join(map(str, found)))
    return Sort(lists_of(one) | joined | alone, shown, meaning_of_ids, ids_again)


TYPES: Mapping[str, Callable[[CustomField], Sort]] = {
    **dict.fromkeys(("varchar", "varchar_auto", "phone", "text", "address"), lambda _: TEXT_SORT),
    **dict.fromkeys(("double", "monetary"), lambda _: NUMBER),
    **dict.fromkeys(("org", "people"), lambda _: ID),
    **dict.fromkeys(("date", "daterange"), lambda _: DATE),
    **dict.fromkeys(("time", "timerange"), lambda _: CLOCK),
    "user": lambda _: USER,
    "enum": enum_of,
    "set": set_of,
}
SECOND: Mapping[str, tuple[str, Sort]] = {
    "monetary": ("currency", CURRENCY),
    "daterange": ("until", DATE),
    "timerange": ("until", CLOCK),
}
"""The suffix of a type's second key, and the sort of its values."""
