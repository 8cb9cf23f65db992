"""Leads as the API may return them, and rows as a warehouse may hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from connector.planning.columns import Columns
from connector.planning.diff import decide
from connector.planning.model import Decision
from tests.support.account import COLD, FIELDS, HOT, LEAD_ID, TYPES, Lead, Row, columns_of, key_of

Values = st.SearchStrategy[Any]

TEXTS = st.text(max_size=12)
AMOUNTS = st.one_of(
    st.integers(-(10**15), 10**15),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 0.0, -0.0, 0.1, 50.5, 1e-7, 1e16, 1e20, 12345678901234.5]),
)
IDS = st.integers(1, 2**31)
LABELS = st.sampled_from([HOT, COLD])
DATES = st.dates(min_value=date(1900, 1, 1)).map(date.isoformat)
TIMES = st.times().map(lambda one: one.strftime("%H:%M:%S"))
CURRENCIES = st.sampled_from(["EUR", "USD", "SEK"])
ZONES = st.sampled_from(["UTC", "Asia/Tokyo", "America/Los_Angeles"])
IN_PLACE = st.sampled_from([False, None])
"""`is_archived` of a lead that can be edited."""
ODD_TEXTS = st.sampled_from(
    [
        *("NaN", "sNaN", "Infinity", "-Infinity", "1e400", "²", "٣", "9" * 5000, "1_0", "-0"),
        *("2026-12-31", "2026-12-31 10:20:30", "2026-02-30", "0001-01-01T00:00:00+23:59"),
        *("9999-12-31T23:59:59-23:59", "2026-12-31T10:20:30.123Z", "true", "[]", "\ud800"),
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**40), 10**40),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXTS,
        ODD_TEXTS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["amount", "currency", "id", "value", "x"]), inner),
    ),
    max_leaves=5,
)
MARKERS = [chr(code) for code in (*range(0xF026, 0xF030), *range(0x10FF00, 0x10FF0A))]
"""Characters that dlt's files give a meaning to."""


def read_forms(ids: Values) -> Values:
    """The forms in which the API may show an id."""
    return st.one_of(
        ids,
        ids.map(str),
        ids.map(lambda one: {"id": one, "name": "N"}),
        ids.map(lambda one: {"value": one, "name": "N"}),
    )


OPTION_IDS = st.sampled_from([190, 191, 7])
OPTION_LISTS = st.lists(OPTION_IDS, min_size=1, max_size=4).map(
    lambda ids: ",".join(str(one) for one in ids)
)
WIRE_TYPES: Mapping[str, Values] = {
    "varchar": TEXTS,
    "varchar_auto": TEXTS,
    "phone": TEXTS,
    "text": TEXTS,
    "address": TEXTS,
    "double": AMOUNTS,
    "monetary": AMOUNTS,
    "enum": st.one_of(OPTION_IDS, OPTION_IDS.map(str)),
    "set": OPTION_LISTS,
    "user": read_forms(IDS),
    "org": read_forms(IDS),
    "people": read_forms(IDS),
    "date": DATES,
    "daterange": DATES,
    "time": TIMES,
    "timerange": TIMES,
}
SECOND_KEYS = {
    f"{key_of('monetary')}_currency": CURRENCIES,
    f"{key_of('daterange')}_until": DATES,
    f"{key_of('timerange')}_until": TIMES,
}
WIRE: Mapping[str, Values] = {
    "owner_id": read_forms(IDS),
    "label_ids": st.lists(LABELS, max_size=3),
    "person_id": read_forms(IDS),
    "organization_id": read_forms(IDS),
    "is_archived": st.booleans(),
    "value": st.fixed_dictionaries({"amount": AMOUNTS, "currency": CURRENCIES}),
    "expected_close_date": DATES,
    "visible_to": st.sampled_from(["1", "3", "5", "7"]),
    "was_seen": st.booleans(),
    "channel": read_forms(IDS),
    "channel_id": TEXTS,
    **{key_of(one): WIRE_TYPES[one] for one in TYPES},
    **SECOND_KEYS,
}


def leads(archived: Values = WIRE["is_archived"]) -> st.SearchStrategy[Lead]:
    """Leads with any of their keys absent, null or set."""
    wire = {**WIRE, "is_archived": archived}
    return st.fixed_dictionaries(
        {"id": st.just(LEAD_ID), "title": st.text(min_size=1, max_size=12)},
        optional={key: st.none() | values for key, values in wire.items()},
    )


EXACT = st.one_of(
    st.integers(-(10**15), 10**15),
    st.decimals(-(10**9), 10**9, places=4),
    st.floats(-1e9, 1e9).map(lambda one: round(one, 6)),
    st.sampled_from([0, 0.0, -0.0, 0.1, "50.50", Decimal("50.50"), 10**17, 12345678901234.5]),
)
"""Numbers that a double holds."""


def id_forms(ids: st.SearchStrategy[int]) -> Values:
    """The forms in which a warehouse may hold an id."""
    return st.one_of(ids, ids.map(float), ids.map(str), ids.map(Decimal))


LABEL_LISTS = st.lists(st.one_of(LABELS, LABELS.map(str.upper)), max_size=3)
DAYS = st.one_of(
    st.dates(min_value=date(1900, 1, 1), max_value=date(9999, 12, 30)),
    st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30)),
    st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),
    DATES,
)
CLOCKS = st.one_of(st.times(), TIMES)
WORDS = st.one_of(TEXTS, st.integers(), DATES)
WANTED_TYPES: Mapping[str, Values] = {
    "varchar": WORDS,
    "varchar_auto": WORDS,
    "phone": WORDS,
    "text": WORDS,
    "address": WORDS,
    "double": EXACT,
    "monetary": EXACT,
    "enum": st.one_of(id_forms(OPTION_IDS), st.sampled_from(["Gold", "silver", " TIN "])),
    "set": st.one_of(OPTION_LISTS, st.lists(st.sampled_from(["Gold", 191, "7"]), max_size=3)),
    "user": id_forms(IDS),
    "org": id_forms(IDS),
    "people": id_forms(IDS),
    "date": DAYS,
    "daterange": DAYS,
    "time": CLOCKS,
    "timerange": CLOCKS,
}
WANTED_SECOND_KEYS: Mapping[str, Values] = {
    f"{key_of('monetary')}_currency": CURRENCIES.map(str.lower),
    f"{key_of('daterange')}_until": DAYS,
    f"{key_of('timerange')}_until": CLOCKS,
}
NOT_CLEARABLE: Mapping[str, Values] = {
    "title": st.text(min_size=1, max_size=12).filter(str.strip),
    "owner_id": id_forms(IDS),
    "is_archived": st.sampled_from([True, False, "true", "FALSE", 0, 1]),
    "visible_to": st.sampled_from([1, "3", 5.0, Decimal(7)]),
    "was_seen": st.booleans(),
}
WANTED: Mapping[str, Values] = {
    **NOT_CLEARABLE,
    "label_ids": st.one_of(LABEL_LISTS, LABEL_LISTS.map(json.dumps)),
    "person_id": id_forms(IDS),
    "organization_id": id_forms(IDS),
    "value_amount": EXACT,
    "value_currency": CURRENCIES.map(str.lower),
    "expected_close_date": DAYS,
    "channel": id_forms(IDS),
    "channel_id": WORDS,
    **{key_of(one): WANTED_TYPES[one] for one in TYPES},
    **WANTED_SECOND_KEYS,
}
WHOLE_VALUES = st.fixed_dictionaries({"amount": EXACT, "currency": CURRENCIES})
"""Values as one struct, for the column `value`."""

JUNK: Values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**40), 10**40),
        st.floats(),
        st.decimals(),
        st.text(max_size=20),
        st.binary(max_size=5),
        st.dates(),
        st.datetimes(),
        st.datetimes(timezones=st.sampled_from([UTC, ZoneInfo("Asia/Tokyo")])),
        st.times(),
        st.timedeltas(),
        st.uuids(),
        st.sampled_from(["", " ", "null", "[]", "{}", "[1", "{", "NaN", "1e999", "²", "ſ"]),
        st.sampled_from([datetime.max, datetime.max.replace(tzinfo=UTC), date.max]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from(["amount", "currency", "id", "from", "x"]), inner),
    ),
    max_leaves=4,
)
"""Whatever a column may hold, at home in it or not."""


@dataclass(frozen=True)
class Case:
    """A lead and the rows that want something of it."""

    rows: list[Row]
    lead: Lead | None
    unarchive: bool
    timezone: str

    @property
    def columns(self) -> Columns:
        """What the rows' columns manage."""
        return columns_of(*self.rows, timezone=self.timezone)

    def decide(self, lead: Lead | None) -> Decision:
        """Decides as for the case, but on this lead."""
        return decide(self.rows, lead, self.columns, unarchive=self.unarchive)


def some_of(wanted: Mapping[str, Values], null: Values | None = None) -> st.SearchStrategy[Row]:
    """Rows with any of the columns, each with a value of its kind or NULL."""
    nothing = st.none() if null is None else null
    return st.fixed_dictionaries({}, optional={name: nothing | one for name, one in wanted.items()})


@st.composite
def cases(draw: st.DrawFn, archived: Values = WIRE["is_archived"]) -> Case:
    """One row with values that fit their fields, and any lead."""
    cells = draw(some_of(WANTED))
    if draw(st.booleans()):
        cells = {name: value for name, value in cells.items() if not name.startswith("value_")}
        cells["value"] = draw(st.one_of(st.none(), WHOLE_VALUES, WHOLE_VALUES.map(as_json)))
    row = {"lead_id": LEAD_ID, **cells}
    return Case([row], draw(leads(archived)), draw(st.booleans()), draw(ZONES))


def as_json(value: Mapping[str, Any]) -> str:
    """Writes a struct as a JSON column holds it, its decimals with all their digits."""
    return f'{{"amount": {value["amount"]}, "currency": "{value["currency"]}"}}'


@st.composite
def junk_cases(draw: st.DrawFn) -> Case:
    """Up to three rows with anything in their columns, for a lead that may be gone."""
    names = draw(st.lists(st.sampled_from([one.key for one in FIELDS]), unique=True))
    keys = st.one_of(st.sampled_from([*names, "title", "value_amount"]), TEXTS)
    changes = st.dictionaries(keys, JUNK, max_size=3)
    row = st.fixed_dictionaries(
        {"lead_id": st.just(LEAD_ID), **dict.fromkeys(names, JUNK)},
        optional={"updated_at": JUNK, "changes": changes | JUNK},
    )
    rows = draw(st.lists(row, min_size=1, max_size=3))
    every = dict.fromkeys(name for one in rows for name in one)
    rows = [{name: one.get(name) for name in every} for one in rows]
    return Case(rows, draw(st.none() | leads()), draw(st.booleans()), draw(ZONES))
