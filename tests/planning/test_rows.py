"""Rows: whose they are, which of several counts, what `changes` says, archived leads."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from connector.planning.columns import map_columns
from connector.planning.desired import RowRejected, desired_of
from connector.planning.diff import decide, difference
from connector.planning.model import Change, Decision, NotSent, Planned, Unchanged
from connector.records.definitions import custom_fields
from connector.records.leads import STANDARD_FIELDS
from tests.support.account import (
    BARE,
    BY_KEY,
    COLD,
    FIELDS,
    HOT,
    LEAD,
    LEAD_ID,
    SCORE,
    Row,
    body_of,
    columns_of,
    decided,
    refusal_of,
)


def decide_rows(*rows: Row) -> Decision:
    return decide(rows, BARE, columns_of(*rows))


def rejected(decision: Decision) -> str:
    assert isinstance(decision, NotSent), decision
    assert decision.status == "rejected"
    return decision.reason


@pytest.mark.parametrize(
    "given", [LEAD_ID, LEAD_ID.upper(), f" {LEAD_ID} ", UUID(LEAD_ID)], ids=str
)
def test_lead_ids_in_any_spelling(given: Any) -> None:
    assert decide_rows({"lead_id": given, "title": "T"}) == Planned(
        LEAD_ID, (Change({"title": "T"}, {"title": "Bare"}),)
    )


@pytest.mark.parametrize(
    "given", ["", "x", 7, LEAD_ID[:-1], LEAD_ID.replace("-", ""), b"1"], ids=repr
)
def test_what_is_no_lead_id(given: Any) -> None:
    decision = decide_rows({"lead_id": given, "title": "T"})
    assert "lead_id" in rejected(decision)
    assert isinstance(decision, NotSent)
    assert decision.lead_id == str(given)


def test_a_row_without_a_lead_id_is_told_by_its_other_values() -> None:
    decision = decide_rows({"lead_id": None, "title": "Orphan", "channel": None})
    assert "title 'Orphan'" in rejected(decision)
    assert isinstance(decision, NotSent)
    assert decision.lead_id is None


def test_a_lead_that_pipedrive_does_not_have() -> None:
    decision = decided({"title": "T"}, None)
    assert isinstance(decision, NotSent)
    assert (decision.lead_id, decision.status) == (LEAD_ID, "not_found")


def at(hour: int | None, title: str) -> Row:
    moment = None if hour is None else datetime(2026, 1, 1, hour, tzinfo=UTC)
    return {"lead_id": LEAD_ID, "title": title, "updated_at": moment}


@pytest.mark.parametrize("rows", [(at(1, "old"), at(2, "new")), (at(2, "new"), at(1, "old"))])
def test_the_newest_row_counts(rows: tuple[Row, ...]) -> None:
    decision = decide_rows(*rows)
    assert isinstance(decision, Planned)
    assert decision.changes[0].body == {"title": "new"}


@pytest.mark.parametrize(
    "rows",
    [
        (at(1, "a"), at(1, "b")),
        (at(1, "a"), at(2, "b"), at(2, "c")),
        (at(None, "a"), at(None, "b")),
        (at(None, "a"), at(2, "b")),
        ({"lead_id": LEAD_ID, "title": "a"}, {"lead_id": LEAD_ID, "title": "b"}),
    ],
)
def test_rows_that_nothing_tells_apart_are_rejected(rows: tuple[Row, ...]) -> None:
    assert f"{len(rows)} rows" in rejected(decide_rows(*rows))


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""Each value is later than the one before it, in whatever type it comes."""
IN_ORDER: list[Any] = [
    "2025-12-31T23:59:59Z",
    date(2026, 1, 1),
    "2026-01-01 00:00:00.5",
    "2026-01-01 09:00:00+08",
    datetime(2026, 1, 1, 2),
    " 2026-02-28 ",
    NOON,
    "2026-03-01 12:00:01",
    "2026-03-01T11:00:02-01:00",
]


@pytest.mark.parametrize("newer", [False, True], ids=["older first", "newer first"])
@pytest.mark.parametrize(("one", "other"), [*pairwise(IN_ORDER)])
def test_times_are_compared_as_times(one: Any, other: Any, newer: bool) -> None:
    old: Row = {"lead_id": LEAD_ID, "title": "old", "updated_at": one}
    new: Row = {"lead_id": LEAD_ID, "title": "new", "updated_at": other}
    decision = decide_rows(*((new, old) if newer else (old, new)))
    assert isinstance(decision, Planned)
    assert decision.changes[0].body == {"title": "new"}


def test_an_older_time_that_is_larger_as_text_does_not_win() -> None:
    """As text, 22:00 in New York would be before 23:00 in Berlin."""
    rows = [
        {"lead_id": LEAD_ID, "title": "old", "updated_at": "2026-01-01 23:00:00+01:00"},
        {"lead_id": LEAD_ID, "title": "new", "updated_at": "2026-01-01 22:00:00-05:00"},
    ]
    decision = decide_rows(*rows)
    assert isinstance(decision, Planned)
    assert decision.changes[0].body == {"title": "new"}


def test_the_same_moment_in_two_spellings_tells_no_newest() -> None:
    rows: list[Row] = [
        {"lead_id": LEAD_ID, "title": "a", "updated_at": "2026-01-01 01:00:00+01"},
        {"lead_id": LEAD_ID, "title": "b", "updated_at": date(2026, 1, 1)},
    ]
    assert "no updated_at that tells the newest" in rejected(decide_rows(*rows))


NO_TIMES: list[Any] = ["yesterday", "", True, 17, "1.3.2026", "2026-03-01x10:30"]
DIGITS = ["9", "1804112402359", "1804112402", "20260301"]


@pytest.mark.parametrize("odd", [*NO_TIMES, *DIGITS])
def test_what_is_no_time_is_told(odd: Any) -> None:
    rows = [
        {"lead_id": LEAD_ID, "title": "a", "updated_at": odd},
        {"lead_id": LEAD_ID, "title": "b", "updated_at": NOON},
    ]
    reason = rejected(decide_rows(*rows))
    assert reason.startswith("2 rows for this lead, and updated_at ")
    assert str(odd) in reason
    assert reason.endswith("is no time; write it like 2026-12-31 23:59:59")


def test_digits_as_text_tell_no_newest() -> None:
    """Read as times, the older of two such rows may be the later one."""
    rows = [
        {"lead_id": LEAD_ID, "title": "old", "updated_at": "1804112402359"},
        {"lead_id": LEAD_ID, "title": "new", "updated_at": "1804112410001"},
    ]
    assert "updated_at '1804112402359' is no time" in rejected(decide_rows(*rows))


def test_numbers_are_compared_as_numbers() -> None:
    rows = [{"lead_id": LEAD_ID, "title": f"T{at}", "updated_at": at} for at in (9, 10, 9.5)]
    decision = decide_rows(*rows)
    assert isinstance(decision, Planned)
    assert decision.changes[0].body == {"title": "T10"}


@pytest.mark.parametrize("as_changes", [False, True])
def test_a_label_to_add_and_to_remove_rejects_the_row(as_changes: bool) -> None:
    edit = {"add_labels": HOT, "remove_labels": HOT.upper()}
    reason = rejected(decided({"changes": edit} if as_changes else edit, BARE))
    given = f"add_labels {HOT!r}, remove_labels {HOT.upper()!r}"
    assert reason == f"{given} both name the label {HOT!r}; take it out of one of them"
    edit["remove_labels"] = COLD
    assert body_of(edit, {**BARE, "label_ids": [COLD]}) == {"label_ids": [HOT]}


SAID_TWICE: list[tuple[Row, str]] = [
    ({"labels": ["Hot"], "add_labels": ["Cold"]}, "labels and add_labels"),
    ({"add_labels": ["Cold"], "labels": ["Hot"]}, "add_labels and labels"),
    ({"labels": None, "remove_labels": ["Cold"]}, "labels and remove_labels"),
    ({"labels": ["Hot"], "label_ids": [HOT]}, "labels and label_ids"),
    ({"value": None, "value_currency": "EUR"}, "value and value_currency"),
    ({"value_amount": 5, "value": None}, "value_amount and value"),
    ({"value": {"amount": 5, "currency": "EUR"}, "value_currency": "USD"}, "value.currency and"),
    ({"owner_id": 5, "owner_email": "a@b.c"}, "owner_id and owner_email"),
    ({"title": "A", "Title": "B"}, "title and Title"),
]


@pytest.mark.parametrize(("changes", "both"), SAID_TWICE)
@pytest.mark.parametrize("as_text", [False, True])
def test_two_changes_of_one_field_reject_the_row(changes: Row, both: str, as_text: bool) -> None:
    given = json.dumps(changes) if as_text else changes
    reason = rejected(decided({"changes": given}, BARE))
    assert reason.startswith(f"changes names {both}")
    assert reason.endswith("which are one field; keep one")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"value_amount": 5, "changes": {"value_currency": "SEK"}}, (5, "SEK")),
        ({"value": {"amount": 5, "currency": "EUR"}, "changes": {"value_amount": 6}}, (6, "EUR")),
        ({"value": {"amount": 5, "currency": "EUR"}, "changes": {"value": None}}, None),
        ({"changes": {"value": {"amount": 5}, "value_currency": "SEK"}}, (5, "SEK")),
    ],
)
def test_a_change_wins_over_columns_and_parts_add_up(cells: Row, expected: Any) -> None:
    lead = {**BARE, "value": {"amount": 1, "currency": "USD"}}
    decision = decided(cells, lead)
    assert isinstance(decision, Planned)
    value = decision.changes[0].body["value"]
    assert (value and (value["amount"], value["currency"])) == expected


def test_a_change_of_a_name_of_two_fields_rejects_the_row() -> None:
    custom = custom_fields([{"key": "a1" * 20, "name": "Channel", "field_type": "double"}])
    columns = map_columns(["lead_id", "changes"], [*STANDARD_FIELDS, *custom])
    row = {"lead_id": LEAD_ID, "changes": {"channel": 5}}
    reason = rejected(decide([row], BARE, columns))
    assert reason.startswith("changes names 'channel', which could be the lead's own channel or a1")


def test_a_single_row_needs_no_time() -> None:
    assert isinstance(decide_rows(at(None, "T")), Planned)


CHANGES: list[tuple[Any, Row]] = [
    (None, {}),
    ({}, {}),
    ("{}", {}),
    ("null", {}),
    ({"title": "C"}, {"title": "C"}),
    ({"Title": "C"}, {"title": "C"}),
    ({"channel": None}, {"channel": None}),
    ({"label_ids": []}, {"label_ids": []}),
    ({"was_seen": False}, {"was_seen": False}),
    ({"My double": 0}, {SCORE: 0}),
    ({SCORE: "50.50"}, {SCORE: 50.5}),
    ({"value_amount": 5}, {"value": {"amount": 5, "currency": "EUR"}}),
    ({"value": {"amount": 5}}, {"value": {"amount": 5, "currency": "EUR"}}),
    ({"value": {"amount": 5, "currency": "usd"}}, {"value": {"amount": 5, "currency": "USD"}}),
    ({"value": None}, {"value": None}),
    ({"value": {"amount": None}}, {"value": None}),
]


@pytest.mark.parametrize(("changes", "body"), CHANGES, ids=str)
def test_changes_are_a_merge_patch(changes: Any, body: Row) -> None:
    assert body_of({"changes": changes}) == body


@pytest.mark.parametrize(("changes", "body"), CHANGES, ids=str)
def test_changes_as_json_text(changes: Any, body: Row) -> None:
    text = changes if isinstance(changes, str) else json.dumps(changes)
    assert body_of({"changes": text}) == body


@pytest.mark.parametrize(
    ("cells", "changes", "body"),
    [
        ({"title": "Column"}, {"title": "Change"}, {"title": "Change"}),
        ({"title": "Column"}, {"title": None}, {}),
        ({"title": ""}, {"title": "Change"}, {"title": "Change"}),
        ({"title": "Column"}, {}, {"title": "Column"}),
        ({"channel": None}, {"channel": 52}, {}),
        ({"channel": 53}, {"channel": None}, {"channel": None}),
        ({"channel": 53}, {"channel_id": "C"}, {"channel": 53, "channel_id": "C"}),
        ({"value_amount": 1}, {"value_amount": 2}, {"value": {"amount": 2, "currency": "EUR"}}),
        (
            {"value_amount": 1, "value_currency": "USD"},
            {"value_amount": 2},
            {"value": {"amount": 2, "currency": "USD"}},
        ),
        ({"value_amount": 1, "value_currency": "USD"}, {"value": None}, {"value": None}),
        ({"value_amount": None}, {"value_amount": 2}, {"value": {"amount": 2, "currency": "EUR"}}),
        (
            {"value": {"amount": 1, "currency": "USD"}},
            {"value_currency": "SEK"},
            {"value": {"amount": 1, "currency": "SEK"}},
        ),
    ],
    ids=str,
)
def test_changes_win_over_columns(cells: Row, changes: Row, body: Row) -> None:
    assert body_of({**cells, "changes": changes}) == body


@pytest.mark.parametrize("changes", ["{", "[]", "3", [], 3, '"title"', b"{}"], ids=repr)
def test_changes_that_are_no_object_are_rejected(changes: Any) -> None:
    assert "changes" in refusal_of({"changes": changes})


@pytest.mark.parametrize("name", ["lead_id", "add_time", "id", "titel", "_dlt_id", ""])
def test_changes_of_what_is_no_field_are_rejected(name: str) -> None:
    assert repr(name) in refusal_of({"changes": {name: 1}})


ARCHIVED = {**LEAD, "is_archived": True}


@pytest.mark.parametrize("cells", [{"title": "T"}, {"is_archived": True, "title": "T"}], ids=str)
def test_an_archived_lead_is_not_edited(cells: Row) -> None:
    decision = decided(cells, ARCHIVED)
    assert isinstance(decision, NotSent)
    assert decision.status == "archived"
    assert "differs in Title" in decision.reason


@pytest.mark.parametrize(
    "cells", [{"title": "Pilot"}, {"is_archived": True}, {"is_archived": None}]
)
def test_an_archived_lead_that_does_not_differ_is_unchanged(cells: Row) -> None:
    assert isinstance(decided(cells, ARCHIVED), Unchanged)


def test_un_archiving_is_opt_in() -> None:
    decision = decided({"is_archived": False}, ARCHIVED)
    assert isinstance(decision, NotSent)
    assert decision.status == "archived"
    assert "unarchive" in decision.reason


def test_un_archiving_goes_out_alone_and_first() -> None:
    cells = {"title": "T", "is_archived": False, "owner_id": None}
    first = Change({"is_archived": False}, {"is_archived": True})
    second = Change({"title": "T"}, {"title": "Pilot"})
    decision = decided(cells, ARCHIVED, unarchive=True)
    assert decision == Planned(LEAD_ID, (first, second), kept_nulls=1)
    alone = decided({"is_archived": False}, ARCHIVED, unarchive=True)
    assert alone == Planned(LEAD_ID, (first,))


def test_unarchive_does_not_edit_a_lead_that_is_to_stay_archived() -> None:
    for cells in ({"title": "T"}, {"title": "T", "is_archived": True}):
        decision = decided(cells, ARCHIVED, unarchive=True)
        assert isinstance(decision, NotSent)
        assert decision.status == "archived"


def test_archiving_goes_out_with_the_other_changes() -> None:
    assert body_of({"title": "T", "is_archived": True}) == {"title": "T", "is_archived": True}


def test_the_steps_of_a_decision() -> None:
    columns = map_columns(["lead_id", "title", "channel"], FIELDS)
    desired = desired_of({"lead_id": LEAD_ID, "title": "T", "channel": None}, columns)
    assert desired.fields == {BY_KEY["title"]: "T", BY_KEY["channel"]: None}
    assert difference(desired, LEAD) == Change(
        {"title": "T", "channel": None}, {"title": "Pilot", "channel": 52}
    )
    with pytest.raises(RowRejected, match="owner_id 'x'"):
        desired_of(
            {"lead_id": LEAD_ID, "owner_id": "x"}, map_columns(["lead_id", "owner_id"], FIELDS)
        )
