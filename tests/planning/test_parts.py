"""A field of two parts is one field: each rule holds for the whole of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from connector.planning.columns import map_columns
from connector.planning.diff import decide
from connector.planning.model import Decision, NotSent, Planned, Unchanged
from connector.records.fields import base_key
from tests.support.account import (
    BARE,
    COLD,
    FIELDS,
    HOT,
    LEAD,
    LEAD_ID,
    SCORE,
    Lead,
    Row,
    key_of,
)
from tests.support.cases import check_each
from tests.support.strategies import WANTED

COST, PERIOD, HOURS = key_of("monetary"), key_of("daterange"), key_of("timerange")
CURRENCY, UNTIL = f"{COST}_currency", f"{PERIOD}_until"
MAY, JUNE = "2026-05-01", "2026-06-30"
SET: Lead = {
    **BARE,
    "value": {"amount": 500, "currency": "EUR"},
    COST: 500,
    CURRENCY: "EUR",
    PERIOD: MAY,
    UNTIL: JUNE,
}


def decided(cells: Row, lead: Lead, objects: Collection[str] = (), **rules: Any) -> Decision:
    """Decide on one row under some rules; some of its columns hold objects."""
    row = {"lead_id": LEAD_ID, **cells}
    columns = replace(map_columns(list(row), FIELDS, **rules), objects=frozenset(objects))
    return decide([row], lead, columns)


def body(decision: Decision) -> Row:
    """Return the only body of a decision, an empty one where nothing is to be sent."""
    if isinstance(decision, Unchanged):
        return {}
    assert isinstance(decision, Planned), decision
    [change] = decision.changes
    return change.body


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"value_amount": 100, "value_currency": "USD"}, "value"),
        ({"value_currency": "USD"}, "value"),
        ({COST: 100, CURRENCY: "USD"}, COST),
        ({CURRENCY: "USD"}, COST),
        ({PERIOD: "2027-01-01", UNTIL: "2027-02-01"}, PERIOD),
    ],
    ids=str,
)
def test_a_field_with_any_part_set_is_not_blank(cells: Row, field: str) -> None:
    assert body(decided(cells, SET)) != {}
    assert decided(cells, SET, only_if_blank=[field]) == Unchanged(LEAD_ID)


def test_a_period_with_one_end_is_not_blank() -> None:
    cells = {PERIOD: "2027-01-01", UNTIL: "2027-02-01"}
    for half in ({PERIOD: MAY}, {UNTIL: JUNE}):
        assert decided(cells, {**BARE, **half}, only_if_blank=[PERIOD]) == Unchanged(LEAD_ID)
    assert body(decided(cells, BARE, only_if_blank=[PERIOD])) == cells


@pytest.mark.parametrize("cells", [{PERIOD: None, UNTIL: None}, {UNTIL: None}], ids=str)
def test_null_is_kept_in_each_part(cells: Row) -> None:
    assert body(decided(cells, SET)) == cells
    assert decided(cells, SET, on_null={PERIOD: "keep"}) == Unchanged(LEAD_ID, kept_nulls=1)


def test_a_part_that_is_given_is_set_while_the_other_is_kept() -> None:
    cells = {PERIOD: None, UNTIL: "2026-07-31"}
    assert body(decided(cells, SET, on_null={PERIOD: "keep"})) == {UNTIL: "2026-07-31"}
    assert body(decided(cells, SET)) == cells


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({PERIOD: "2026-05-02", UNTIL: None}, PERIOD),
        ({COST: None, CURRENCY: "USD"}, COST),
        ({"value_amount": None, "value_currency": "USD"}, "value"),
        ({"title": "T", key_of("text"): ""}, key_of("text")),
        ({"label_ids": []}, "label_ids"),
    ],
    ids=str,
)
def test_a_rule_rejects_what_is_blank_in_any_part(cells: Row, field: str) -> None:
    decision = decided(cells, SET, on_null={field: "reject"})
    assert isinstance(decision, NotSent)
    assert "on_null is `reject`" in decision.reason


@pytest.mark.parametrize("blank", ["", None], ids=repr)
def test_keep_holds_for_what_equals_null(blank: Any) -> None:
    note = key_of("text")
    lead = {**BARE, note: "N", "label_ids": ["0a1b2c3d-0e10-11eb-879b-05d71fb426ec"]}
    cells = {note: blank, "label_ids": [] if blank == "" else blank}
    assert body(decided(cells, lead)) == {note: None, "label_ids": []}
    assert decided(cells, lead, on_null="keep") == Unchanged(LEAD_ID, kept_nulls=2)


BLANKS: list[Any] = ["", " \t", [], [None, None]]
COLUMNS = [*WANTED, "value", "owner_email", "labels"]


@pytest.mark.parametrize("blank", BLANKS, ids=repr)
def test_keep_and_reject_hold_for_what_is_blank_in_each_column(blank: Any) -> None:
    def check(name: str) -> None:
        kept = decided({name: blank}, {**LEAD, **SET}, on_null="keep")
        assert kept == Unchanged(LEAD_ID, kept_nulls=1)
        rejected = decided({name: blank}, SET, on_null="reject")
        assert isinstance(rejected, NotSent)
        assert rejected.reason.startswith(f"{name} {str(blank)!r} is not allowed: on_null is `rej")

    check_each(COLUMNS, check)


@pytest.mark.parametrize("name", ["title", SCORE, "expected_close_date", "owner_id", "was_seen"])
@pytest.mark.parametrize("rule", ["clear", "keep"])
def test_what_is_blank_and_no_value_rejects_its_row_where_no_rule_holds(
    name: str, rule: str
) -> None:
    cells: Row = {name: ""} if rule == "clear" else {"changes": {name: ""}}
    decision = decided(cells, SET, on_null=rule)
    assert isinstance(decision, NotSent)
    assert decision.reason.startswith(f"{name} '' is ")
    assert "on_null" not in decision.reason


def test_a_rule_for_one_field_holds_for_its_blanks_alone() -> None:
    cells = {"title": "", SCORE: ""}
    decision = decided(cells, SET, on_null={"title": "keep"})
    assert isinstance(decision, NotSent)
    assert decision.reason == f"{SCORE} '' is not a number; write it like 1234.5"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"value_amount": 5, "value_currency": None}, {"value": {"amount": 5, "currency": "EUR"}}),
        ({"value": {"amount": 5, "currency": None}}, {"value": {"amount": 5, "currency": "EUR"}}),
        ({"value_currency": None}, {}),
        ({COST: 5, CURRENCY: None}, {COST: 5}),
        ({COST: {"amount": 5, "currency": None}}, {COST: 5}),
        ({CURRENCY: None}, {}),
    ],
    ids=str,
)
def test_a_currency_of_null_is_the_leads_own_or_rejects_the_row(cells: Row, expected: Row) -> None:
    for rule in ("clear", "keep"):
        decision = decided(cells, SET, on_null=rule)
        assert isinstance(decision, Planned | Unchanged)
        assert body(decision) == expected
    rejected = decided(cells, SET, on_null="reject")
    assert isinstance(rejected, NotSent)
    assert "is not allowed: on_null is `reject`" in rejected.reason


def test_a_blank_currency_is_one_of_null() -> None:
    cells = {"value_amount": 5, "value_currency": " "}
    assert body(decided(cells, SET, on_null="keep")) == {"value": {"amount": 5, "currency": "EUR"}}
    rejected = decided(cells, SET, on_null="reject")
    assert isinstance(rejected, NotSent)
    assert rejected.reason == (
        "value_amount '5', value_currency ' ' is not allowed: on_null is `reject`; give it a value"
    )


def test_a_currency_of_null_in_changes_is_meant() -> None:
    changes = {"changes": {"value_amount": 5, "value_currency": None}}
    assert body(decided(changes, SET, on_null="reject")) == {
        "value": {"amount": 5, "currency": "EUR"}
    }


def test_nulls_are_left_out_of_lists() -> None:
    """As list() over a left join gives them."""
    products = key_of("set")
    lead = {**BARE, "label_ids": [HOT], products: "191"}
    listed = {"label_ids": [COLD, None], products: [None, "Gold"]}
    assert body(decided(listed, lead)) == {"label_ids": [COLD], products: "190"}
    for none in ([None], "[null]"):
        cells = {"label_ids": none, products: none}
        assert body(decided(cells, lead)) == {"label_ids": [], products: None}
        assert decided(cells, lead, on_null="keep") == Unchanged(LEAD_ID, kept_nulls=2)


def test_an_amount_whose_null_is_kept_keeps_its_currency() -> None:
    cells = {COST: None, CURRENCY: "USD"}
    assert decided(cells, SET, on_null={COST: "keep"}) == Unchanged(LEAD_ID, kept_nulls=1)


def test_a_null_in_changes_is_meant() -> None:
    changes = {"changes": {UNTIL: None}}
    assert body(decided(changes, SET, on_null="keep")) == {UNTIL: None}


WHOLE_NULLS: list[Row] = [
    {PERIOD: None},
    {"changes": {PERIOD: None}},
    {"changes": {"My daterange": None}},
    {UNTIL: "2026-07-31", "changes": {PERIOD: None}},
    {PERIOD: {"from": MAY, "until": JUNE}, "changes": {PERIOD: None}},
]


@pytest.mark.parametrize("cells", WHOLE_NULLS, ids=str)
def test_a_null_of_a_whole_period_clears_both_ends(cells: Row) -> None:
    decision = decided(cells, SET, objects=[PERIOD])
    assert body(decision) == {PERIOD: None, UNTIL: None}
    half = {**BARE, UNTIL: JUNE}
    assert body(decided(cells, half, objects=[PERIOD])) == {UNTIL: None}
    assert decided(cells, BARE, objects=[PERIOD]) == Unchanged(LEAD_ID)


def test_the_rules_hold_for_a_null_of_a_whole_period() -> None:
    kept = decided({PERIOD: None}, SET, [PERIOD], on_null="keep")
    assert kept == Unchanged(LEAD_ID, kept_nulls=1)
    meant = decided({"changes": {PERIOD: None}}, SET, on_null="keep")
    assert body(meant) == {PERIOD: None, UNTIL: None}
    rejected = decided({PERIOD: None}, SET, [PERIOD], on_null="reject")
    assert isinstance(rejected, NotSent)
    assert rejected.reason.startswith(f"{PERIOD} NULL is not allowed: on_null is `reject`")
    half = {**BARE, UNTIL: JUNE}
    assert decided({PERIOD: None}, half, [PERIOD], only_if_blank=[PERIOD]) == Unchanged(LEAD_ID)


@pytest.mark.parametrize(
    "cells",
    [
        {PERIOD: None, UNTIL: JUNE},
        {PERIOD: None, "changes": {UNTIL: JUNE}},
        {"changes": {PERIOD: None, UNTIL: JUNE}},
        {"changes": {UNTIL: JUNE, PERIOD: None}},
        {"changes": {PERIOD: {"from": None}}},
    ],
    ids=str,
)
def test_an_end_that_is_given_beside_a_null_of_the_whole_stays(cells: Row) -> None:
    assert body(decided(cells, SET, objects=[PERIOD])) == {PERIOD: None, UNTIL: JUNE}


@pytest.mark.parametrize("name", [COST, "value"])
@pytest.mark.parametrize("in_changes", [False, True])
def test_a_null_of_a_whole_amount_is_the_same_with_and_without_a_struct(
    name: str, in_changes: bool
) -> None:
    cells: Row = {"changes": {name: None}} if in_changes else {name: None}
    for objects in ([], [name]):
        assert body(decided(cells, SET, objects=objects)) == {name: None}
        kept = decided(cells, SET, objects=objects, on_null="keep")
        assert (kept == Unchanged(LEAD_ID, kept_nulls=1)) != in_changes


def test_one_part_of_two_keys_is_sent_alone() -> None:
    assert body(decided({COST: 7, CURRENCY: "EUR"}, SET)) == {COST: 7}
    assert body(decided({CURRENCY: "usd"}, SET)) == {CURRENCY: "USD"}
    assert body(decided({PERIOD: MAY, UNTIL: "2026-07-01"}, SET)) == {UNTIL: "2026-07-01"}


def test_a_cleared_amount_takes_its_currency_along() -> None:
    decision = decided({COST: None, CURRENCY: None}, SET)
    assert isinstance(decision, Planned)
    [change] = decision.changes
    assert change.body == {COST: None}
    assert change.before == {COST: 500, CURRENCY: "EUR"}


@pytest.mark.parametrize("left_over", [{}, {CURRENCY: "EUR"}, {CURRENCY: "USD"}], ids=str)
def test_a_currency_without_any_amount_rejects_its_row(left_over: Row) -> None:
    decision = decided({CURRENCY: "EUR"}, {**BARE, **left_over})
    assert isinstance(decision, NotSent)
    assert "has no amount" in decision.reason


@pytest.mark.parametrize("left_over", [{}, {CURRENCY: "EUR"}, {CURRENCY: "USD"}], ids=str)
def test_an_amount_where_none_was_is_sent_with_its_currency(left_over: Row) -> None:
    """Alone it could take the user's own currency (documented) and be another amount."""
    cells = {COST: 5, CURRENCY: "EUR"}
    assert body(decided(cells, {**BARE, **left_over})) == cells


@pytest.mark.parametrize("cells", [{PERIOD: None}, {PERIOD: None, UNTIL: JUNE}], ids=str)
def test_an_end_that_stays_is_sent_with_a_beginning_that_is_cleared(cells: Row) -> None:
    """It could go with it (unknown)."""
    decision = decided(cells, SET)
    assert body(decision) == {PERIOD: None, UNTIL: JUNE}
    assert decided(cells, {**SET, PERIOD: None}) == Unchanged(LEAD_ID)


def test_a_beginning_and_an_end_are_cleared_together() -> None:
    assert body(decided({PERIOD: None, UNTIL: None}, SET)) == {PERIOD: None, UNTIL: None}
    assert body(decided({PERIOD: None}, {**BARE, PERIOD: MAY})) == {PERIOD: None}


@pytest.mark.parametrize("key", [COST, PERIOD, HOURS])
def test_the_keys_of_one_field_share_their_base(key: str) -> None:
    [field] = [field for field in FIELDS if field.key == key]
    assert {base_key(one) for one in field.keys} == {key}
    assert len(field.keys) == 2
    shown = field.show({key: None})
    assert shown == "—"


def test_both_parts_are_shown_as_one() -> None:
    shown = {field.key: field.show(SET) for field in FIELDS}
    assert shown["value"] == "500 EUR"
    assert shown[COST] == "500 EUR"
    assert shown[PERIOD] == f"{MAY} – {JUNE}"
    [period] = [field for field in FIELDS if field.key == PERIOD]
    assert period.show({UNTIL: JUNE}) == f"until {JUNE}"


def test_a_struct_and_a_column_of_its_part_reject_the_row() -> None:
    cells = {COST: {"amount": 1, "currency": "EUR"}, CURRENCY: "USD"}
    decision = decided(cells, SET)
    assert isinstance(decision, NotSent)
    assert "are one field; keep one" in decision.reason
