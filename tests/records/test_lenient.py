"""What Pipedrive's records may hold: one odd value costs its own field or record, never a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from connector.planning.model import NotSent, Planned, Unchanged
from connector.records.definitions import custom_fields
from connector.records.fields import Field
from connector.records.kinds import LabelEdit
from connector.records.leads import STANDARD_FIELDS
from connector.records.options import options_of
from connector.warehouse.schema import lead_row
from tests.support.account import (
    BARE,
    BY_KEY,
    COLD,
    FIELDS,
    HOT,
    LEAD,
    SCORE,
    body_of,
    decided,
    key_of,
    refusal_of,
    shows,
)
from tests.support.cases import check_each

NESTED: Any = {"a": [{"b": [[{}]]}]}
ODD: list[Any] = [
    *(5, 0, -1, 2**63, 1e300, 3.5, True, False, "", "x", "NaN", "sNaN", "1e999", "\0", "1" * 5000),
    *([], [None], [5], [[5]], [{}], [{"id": None}], {}, {"id": {}}, {"value": []}, NESTED),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_every_field_reads_and_shows_whatever_a_lead_has(odd: Any) -> None:
    def check(field: Field) -> None:
        lead = {**LEAD, field.key: odd}
        assert isinstance(field.show({field.key: odd}), str)
        assert isinstance(shows({field.key: None}, lead, BY_KEY), bool)
        row = lead_row(lead, datetime.now(UTC), "run")
        assert row["record"] == lead
        orjson.dumps(row["record"])

    check_each(FIELDS, check)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
def test_another_field_of_such_a_lead_is_written(odd: Any) -> None:
    def check(field: Field) -> None:
        cells = {"channel_id": "New"} if field.key == "title" else {"title": "New"}
        decision = decided(cells, {**LEAD, field.key: odd})
        assert isinstance(decision, Planned) or field.key == "is_archived"

    check_each(STANDARD_FIELDS, check)


@pytest.mark.parametrize("has", [5, "5", {"id": 5}, [5], ["5"]], ids=repr)
def test_labels_that_are_no_list_differ_and_are_replaced(has: Any) -> None:
    assert body_of({"label_ids": [HOT]}, {**BARE, "label_ids": has}) == {"label_ids": [HOT]}
    field = BY_KEY["label_ids"]
    assert field.kind.complete(LabelEdit((HOT,), ()), field.read({"label_ids": has})) == (HOT, "5")


@pytest.mark.parametrize("has", [HOT, [HOT], [{"id": HOT}], HOT.upper()], ids=repr)
def test_labels_in_any_shape_are_the_same(has: Any) -> None:
    assert body_of({"label_ids": [HOT]}, {**BARE, "label_ids": has}) == {}
    assert body_of({"label_ids": [COLD]}, {**BARE, "label_ids": has}) == {"label_ids": [COLD]}


@pytest.mark.parametrize("has", [3, 3.0, "3", {"id": 3.0}, {"value": "3"}], ids=repr)
def test_an_id_is_the_same_in_any_shape(has: Any) -> None:
    assert body_of({"owner_id": 3}, {**BARE, "owner_id": has}) == {}


@pytest.mark.parametrize("has", ["false", "False", 0, "0"], ids=repr)
def test_false_is_false_in_any_shape(has: Any) -> None:
    assert body_of({"was_seen": False}, {**BARE, "was_seen": has}) == {}


@pytest.mark.parametrize("amount", [1e20, 1e300, 2**63])
def test_a_large_amount_goes_back_as_it_was(amount: float) -> None:
    lead = {**BARE, "value": {"amount": amount, "currency": "SEK"}}
    body = body_of({"value_currency": "EUR"}, lead)
    assert orjson.loads(orjson.dumps(body))["value"] == {"amount": amount, "currency": "EUR"}


def test_an_amount_that_no_number_holds_is_not_sent_back() -> None:
    lead = {**BARE, "value": {"amount": "1e999", "currency": "SEK"}}
    assert "add value_amount" in refusal_of({"value_currency": "EUR"}, lead)
    assert body_of({"value_amount": 5}, lead)["value"] == {"amount": 5, "currency": "SEK"}


@pytest.mark.parametrize("has", ["NaN", "sNaN", "-Infinity", "1e999", "many"])
def test_a_number_that_is_none_differs_from_every_number(has: str) -> None:
    assert body_of({SCORE: 5}, {**BARE, SCORE: has}) == {SCORE: 5}


GOOD = {"key": key_of("enum"), "name": "Tier", "field_type": "enum"}


@pytest.mark.parametrize("options", [5, "x", {"id": 1, "label": "A"}, True, None], ids=repr)
def test_options_that_are_no_list_are_none(options: Any) -> None:
    [field] = custom_fields([{**GOOD, "options": options}])
    assert field.options.names == {}


def test_a_bad_option_does_not_hide_the_others() -> None:
    bad: list[Any] = [None, 3, "x", [], {}, {"id": 1}, {"label": "A"}, {"id": None, "label": "A"}]
    worse = [{"id": [1], "label": "A"}, {"id": 1, "label": {"a": 1}}, {"id": 1, "label": None}]
    [field] = custom_fields([{**GOOD, "options": [*bad, *worse, {"id": 7, "label": "Tin"}]}])
    assert field.options.names == {"7": "Tin"}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"key": None},
        {"key": 5, "field_type": "double"},
        {"key": ["x"], "field_type": "double"},
        {"key": key_of("a"), "field_type": ["enum"]},
        {"key": key_of("a"), "field_type": {"a": 1}},
        {"key": key_of("a")},
    ],
    ids=repr,
)
def test_a_bad_definition_does_not_hide_the_others(bad: Any) -> None:
    assert [field.name for field in custom_fields([bad, GOOD])] == ["Tier"]


def test_a_field_without_a_name_goes_by_its_key() -> None:
    for name in (None, ""):
        [field] = custom_fields([{**GOOD, "name": name}])
        assert field.name == GOOD["key"]


@pytest.mark.parametrize("records", [None, 5, {"id": 1, "email": "a@example.org"}, "x"], ids=repr)
def test_users_that_are_no_list_are_none(records: Any) -> None:
    assert options_of("user", records, "email").names == {}


def test_a_user_without_id_or_address_is_passed_over() -> None:
    users = [{"email": "a@example.org"}, {"id": 2}, {"id": 3, "email": ""}, {"id": 4, "email": "d"}]
    assert options_of("user", [None, *users], "email").names == {"3": "", "4": "d"}


def test_such_leads_are_decided_upon() -> None:
    odd = {**LEAD, "label_ids": 5, "value": [1], "owner_id": {"id": {}}, "visible_to": [3]}
    assert isinstance(decided({"title": "Pilot"}, odd), Unchanged)
    assert isinstance(decided({"value_currency": "EUR"}, odd), NotSent)
