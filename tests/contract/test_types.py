"""What holds for every type of field, whatever the lead has and whatever a row wants of it.

Fields are made of the account's definitions as GET /leadFields returns them, labels and users by
name as well as by id. What a row should come to is worked out by `cells`, on its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connector.planning.columns import map_columns
from connector.planning.diff import decide
from connector.planning.model import Decision, NotSent, Planned, Unchanged
from connector.records.definitions import FIELD_TYPES, custom_fields
from connector.records.fields import Field, by_key
from connector.records.leads import standard_fields
from connector.records.options import options_of
from connector.sandbox.directory import FIELDS as DEFINED
from connector.sandbox.directory import LABELS, USERS, lead_fields
from tests.contract import cells
from tests.contract.cells import CUSTOM, SECOND, TYPES, Meaning, Sort
from tests.support.everything import FULL
from tests.support.harness import Row, lead_id

LABEL_OPTIONS = options_of("label", LABELS, "name")
USER_OPTIONS = options_of("user", USERS, "email")
FIELDS: Mapping[str, Field] = by_key(
    (
        *standard_fields(LABEL_OPTIONS, USER_OPTIONS),
        *custom_fields(lead_fields(), USER_OPTIONS),
    )
)
LEAD_ID = lead_id("of every type")
LEAD: Row = {**FULL, "id": LEAD_ID, "is_archived": False}
"""A lead that has everything; each case replaces what it is about."""
COST = CUSTOM["Deal cost"].key
COST_CURRENCY = f"{COST}_currency"


@dataclass(frozen=True)
class Slot:
    """A field of one key, and the columns that may manage it.

    Attributes:
        clearable: Whether NULL clears it (documented for each standard field).
    """

    key: str
    columns: tuple[str, ...]
    sort: Sort
    clearable: bool = True


@dataclass(frozen=True)
class Case:
    """A lead and a row.

    Attributes:
        wanted: What the managed keys should mean afterwards; None where the row is refused.
    """

    lead: Row
    row: Row
    wanted: Mapping[str, Meaning] | None

    def decided(self, lead: Row) -> Decision:
        return decide([self.row], lead, map_columns(list(self.row), FIELDS.values()))

    @property
    def body(self) -> Row:
        """The body that the row asks for, empty where there is none."""
        decision = self.decided(self.lead)
        if isinstance(decision, Planned):
            [change] = decision.changes
            return change.body
        return {}

    @property
    def after(self) -> Row:
        """The lead after that body; an end that is not in it goes with its beginning (unknown)."""
        body = self.body
        gone = {f"{key}_until" for key, value in body.items() if value is None} - body.keys()
        return {key: value for key, value in {**self.lead, **body}.items() if key not in gone}


STANDARD = (
    Slot("title", ("title",), cells.TITLE, clearable=False),
    Slot("owner_id", ("owner_id", "owner_email"), cells.USER, clearable=False),
    Slot("label_ids", ("label_ids", "labels"), cells.LABEL_SORT),
    Slot("person_id", ("person_id",), cells.ID),
    Slot("organization_id", ("organization_id",), cells.ID),
    Slot("is_archived", ("is_archived",), cells.BOOLEAN, clearable=False),
    Slot("expected_close_date", ("expected_close_date",), cells.DATE),
    Slot("visible_to", ("visible_to",), cells.VISIBILITY, clearable=False),
    Slot("was_seen", ("was_seen",), cells.BOOLEAN, clearable=False),
    Slot("channel", ("channel",), cells.ID),
    Slot("channel_id", ("channel_id",), cells.TEXT_SORT),
)


def columns_for(key: str, name: str) -> tuple[str, ...]:
    return key, name, name.replace(" ", "_").lower(), name.replace(" ", "").upper()


def custom_slots() -> dict[str, Slot]:
    """Return a slot for each key of each custom field, but for amounts with a currency."""
    slots = {}
    for one in DEFINED:
        if one.field_type == "monetary":
            continue
        names = [(one.key, one.name, TYPES[one.field_type](one))]
        if one.field_type in SECOND:
            suffix, sort = SECOND[one.field_type]
            names.append((f"{one.key}_{suffix}", f"{one.name} {suffix}", sort))
        for key, name, sort in names:
            slots[name] = Slot(key, columns_for(key, name), sort)
    return slots


SLOTS = {**{slot.key: slot for slot in STANDARD}, **custom_slots()}
SORTS: Mapping[str, Sort] = {
    **{slot.key: slot.sort for slot in SLOTS.values()},
    "value": cells.MONEY,
    COST: cells.NUMBER,
    COST_CURRENCY: cells.CURRENCY,
}
CONTACTS = ("person_id", "organization_id")


@st.composite
def slot_cases(draw: st.DrawFn, slots: tuple[Slot, ...]) -> Case:
    """Rows that manage some slots by any of their names, and leads that have anything there."""
    lead, row = dict(LEAD), Row({"lead_id": LEAD_ID})
    wanted: dict[str, Meaning] = {}
    for slot in slots:
        found = draw(st.none() | slot.sort.wires)
        lead[slot.key] = False if slot.key == "is_archived" else found
        if len(slots) > 1 and draw(st.booleans()):
            continue
        cell, meaning = draw(st.just((None, None)) | slot.sort.cells)
        row[draw(st.sampled_from(slot.columns))] = cell
        if cell is not None or slot.clearable:
            wanted[slot.key] = meaning
    return Case(present(draw, lead), row, None if leaves_nobody(lead, wanted) else wanted)


def present(draw: st.DrawFn, lead: Row) -> Row:
    """Return the lead with what is unset as null or, for custom fields, not there at all."""
    absent = draw(st.booleans())
    return {k: v for k, v in lead.items() if not (absent and v is None and len(k) >= 40)}


def leaves_nobody(lead: Row, wanted: Mapping[str, Meaning]) -> bool:
    """A lead keeps a person or an organization (documented)."""
    had = {key: cells.meaning_of_id(lead[key]) for key in CONTACTS}
    after = {key: wanted.get(key, had[key]) for key in CONTACTS}
    return after != had and set(after.values()) == {None}


Given = tuple[bool, Any, Meaning]
"""Whether a column is there, what it holds, and what that means."""


def maybe(sort: Sort) -> st.SearchStrategy[Given]:
    """Return a column that may not be there and may hold NULL."""
    cell = st.just((None, None)) | sort.cells
    return st.just((False, None, None)) | cell.map(lambda pair: (True, *pair))


@st.composite
def two_halves(draw: st.DrawFn, names: tuple[str, str, str]) -> tuple[Row, Given, Given]:
    """Return cells for an amount and its currency: two columns, a struct or JSON."""
    whole, first, second = names
    amount, currency = draw(maybe(cells.NUMBER)), draw(maybe(cells.CURRENCY))
    columns = {
        name: cell for name, (there, cell, _) in ((first, amount), (second, currency)) if there
    }
    if draw(st.booleans()):
        return columns, amount, currency
    struct = {"amount": amount[1], "currency": currency[1]}
    held = (True, *amount[1:]), (True, *currency[1:])
    return {whole: as_json(struct) if draw(st.booleans()) else struct}, *held


def as_json(struct: Row) -> str:
    """Write a struct as a JSON column holds it, a number with all its digits."""
    halves = {
        name: str(half) if isinstance(half, Decimal) else json.dumps(half)
        for name, half in struct.items()
    }
    return "{" + ", ".join(f'"{name}": {half}' for name, half in halves.items()) + "}"


@st.composite
def value_cases(draw: st.DrawFn) -> Case:
    """A lead's value is sent whole, the half that the row leaves out taken from the lead."""
    have = draw(st.none() | cells.MONIES)
    columns, amount, currency = draw(two_halves(("value", "value_amount", "value_currency")))
    row = {"lead_id": LEAD_ID, **columns}
    return Case({**LEAD, "value": have}, row, wanted_value(have, amount, currency))


def wanted_value(have: Any, amount: Given, currency: Given) -> Mapping[str, Meaning] | None:
    if amount[0] and amount[1] is None:
        return {"value": None}
    if not amount[0] and currency[2] is None:
        return {}
    had = cells.meaning_of_money(have) or (None, None)
    whole = (amount[2] if amount[0] else had[0], currency[2] or had[1])
    return None if None in whole else {"value": whole}


@st.composite
def cost_cases(draw: st.DrawFn) -> Case:
    """A custom amount and its currency are two keys; a currency needs an amount to be of."""
    have, had_currency = (
        draw(st.none() | cells.NUMBER.wires),
        draw(st.none() | cells.CURRENCY.wires),
    )
    name = draw(st.sampled_from(["deal_cost", "Deal cost", COST]))
    columns, amount, currency = draw(two_halves((name, name, f"{name}_currency")))
    lead = present(draw, {**LEAD, COST: have, COST_CURRENCY: had_currency})
    return Case(lead, {"lead_id": LEAD_ID, **columns}, wanted_cost(lead, amount, currency))


def wanted_cost(lead: Row, amount: Given, currency: Given) -> Mapping[str, Meaning] | None:
    if amount[0] and amount[1] is None:
        return {COST: None}
    wanted = {COST: amount[2]} if amount[0] else {}
    if currency[2] is None:
        return wanted
    if not amount[0] and lead.get(COST) is None:
        return None
    return {**wanted, COST_CURRENCY: currency[2]}


@st.composite
def label_edits(draw: st.DrawFn) -> Case:
    """Labels are added and removed without touching the others; none may be both."""
    lead = {**LEAD, "label_ids": draw(cells.LABEL_SORT.wires)}
    add, remove = draw(maybe(cells.LABEL_SORT)), draw(maybe(cells.LABEL_SORT))
    named = {"add_labels": add, "remove_labels": remove}
    row = {name: cell for name, (there, cell, _) in named.items() if there}
    had = cells.meaning_of_labels(lead["label_ids"]) or frozenset()
    added, removed = add[2] or frozenset(), remove[2] or frozenset()
    after = (had | added) - removed
    wanted = {"label_ids": after or None} if row else {}
    return Case(lead, {"lead_id": LEAD_ID, **row}, None if added & removed else wanted)


GROUPS: Mapping[str, st.SearchStrategy[Case]] = {
    **{name: slot_cases((slot,)) for name, slot in SLOTS.items()},
    "value": value_cases(),
    "Deal cost": cost_cases(),
    "labels to add and to remove": label_edits(),
    "person or organization": slot_cases(tuple(SLOTS[name] for name in CONTACTS)),
    "all together": slot_cases(tuple(SLOTS.values())),
}
EACH_GROUP = pytest.mark.parametrize("group", GROUPS)
examples = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def meanings(lead: Row) -> dict[str, Meaning]:
    """Return what every key that can be written means in a lead."""
    return {
        key: None if lead.get(key) is None else sort.meaning(lead[key])
        for key, sort in SORTS.items()
    }


def test_every_type_and_every_key_has_a_group() -> None:
    assert TYPES.keys() == FIELD_TYPES.keys() == {one.field_type for one in DEFINED}
    assert SORTS.keys() == FIELDS.keys()


@EACH_GROUP
@examples
@given(st.data())
def test_a_body_brings_the_lead_to_what_is_wanted(group: str, data: st.DataObject) -> None:
    case = data.draw(GROUPS[group])
    if case.wanted is None:
        decision = case.decided(case.lead)
        assert isinstance(decision, NotSent)
        assert decision.status == "rejected"
    else:
        assert meanings(case.after) == {**meanings(case.lead), **case.wanted}


def goes_along(key: str, case: Case) -> bool:
    """Tell whether a second key is sent for the sake of its field's first.

    An amount where none was could take the user's own currency (documented), and a beginning that
    is cleared could take its end along (unknown).
    """
    first = FIELDS[key].key
    is_alone = case.lead if key == COST_CURRENCY else case.body
    return key != first and first in case.body and is_alone.get(first) is None


@EACH_GROUP
@examples
@given(st.data())
def test_every_key_of_a_body_differs(group: str, data: st.DataObject) -> None:
    case = data.draw(GROUPS[group])
    had = meanings(case.lead)
    for key, wire in case.body.items():
        if goes_along(key, case):
            continue
        assert FIELDS[key].read_key(key, case.body) != FIELDS[key].read_key(key, case.lead)
        assert (None if wire is None else SORTS[key].meaning(wire)) != had[key]


@EACH_GROUP
@examples
@given(st.data())
def test_a_lead_that_was_changed_is_left_alone(group: str, data: st.DataObject) -> None:
    case = data.draw(GROUPS[group])
    if case.wanted is not None:
        again = case.decided(case.after)
        assert isinstance(again, Unchanged)


@EACH_GROUP
@examples
@given(st.data())
def test_a_body_has_no_key_that_the_row_does_not_manage(group: str, data: st.DataObject) -> None:
    case = data.draw(GROUPS[group])
    body = case.body
    along = {key for key in body if goes_along(key, case) and key not in (case.wanted or {})}
    assert body.keys() - along <= (case.wanted or {}).keys()
    assert {key: body[key] for key in along} == {key: case.lead[key] for key in along}


@EACH_GROUP
@examples
@given(st.data())
def test_what_was_written_is_read_in_any_form(group: str, data: st.DataObject) -> None:
    """Ids may be read as numbers, text or objects (unknown); sets have no order (assumed)."""
    case = data.draw(GROUPS[group])
    for key, wire in case.body.items():
        field = FIELDS[key]
        shown: list[Row] = [{key: form} for form in SORTS[key].again(wire)]
        absent: list[Row] = [{}] if wire is None else []
        for lead in (*shown, *absent):
            assert field.read_key(key, lead) == field.read_key(key, case.body)
            after = field.read({**case.lead, **case.body, key: None, **lead})
            written = field.write(after, field.read(case.lead))
            assert field.with_companions(written, case.lead)[key] == wire


@pytest.mark.parametrize("number", ["50.50", "0.1", "1200.00", "12345678901234.5", "-0.00"])
def test_a_number_goes_out_exactly(number: str) -> None:
    case = Case({**LEAD, COST: 7}, {"lead_id": LEAD_ID, "deal_cost": Decimal(number)}, {})
    assert Decimal(str(case.body[COST])) == Decimal(number)
