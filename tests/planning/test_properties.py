"""What holds for every lead and every row."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from connector.planning.diff import decide
from connector.planning.model import Change, NotSent, Planned, Unchanged
from connector.records.fields import base_key, fields_of
from connector.warehouse.rows import patch_rows
from tests.support.account import (
    BARE,
    BY_KEY,
    LEAD_ID,
    Lead,
    Row,
    columns_of,
    decided,
    key_of,
    shows,
)
from tests.support.strategies import (
    IN_PLACE,
    JUNK,
    NOT_CLEARABLE,
    WANTED,
    ZONES,
    Case,
    cases,
    junk_cases,
    leads,
    some_of,
)

REFERENCES = {"owner_id", "person_id", "organization_id", "channel"}
REFERENCES |= {key_of(one) for one in ("user", "org", "people", "enum")}
AMOUNTS = {"amount", key_of("double"), key_of("monetary")}
PERIODS = [key_of("daterange"), key_of("timerange")]
TYPES_OF_JSON = {dict, list, str, int, float, bool, type(None)}


def patched(lead: Lead, body: Row, *, absent: bool, reworded: bool) -> Lead:
    """The lead after a PATCH, as the API may show it: cleared is null or absent."""
    told = {key: _reworded(key, value) for key, value in body.items()} if reworded else body
    merged = {**lead, **told}
    return {key: value for key, value in merged.items() if not (absent and value is None)}


def _reworded(key: str, value: Any) -> Any:
    if key in REFERENCES and value is not None:
        return {"value": value, "name": "N"}
    if isinstance(value, list):
        return [one.upper() for one in reversed(value)]
    if isinstance(value, dict):
        return {name: _reworded(name, half) for name, half in value.items()}
    return float(value) if key in AMOUNTS and value is not None else value


def planned(case: Case) -> Planned:
    """The case's plan; other cases are of no interest."""
    decision = case.decide(case.lead)
    assume(isinstance(decision, Planned))
    assert isinstance(decision, Planned)
    return decision


@given(cases(), st.booleans(), st.booleans())
def test_a_patched_lead_shows_its_body_and_is_unchanged(
    case: Case, absent: bool, reworded: bool
) -> None:
    lead = case.lead or {}
    for change in planned(case).changes:
        lead = patched(lead, change.body, absent=absent, reworded=reworded)
        assert shows(change.body, lead, BY_KEY)
    assert isinstance(case.decide(lead), Unchanged)


@given(cases())
def test_every_key_of_a_body_differs(case: Case) -> None:
    for change in planned(case).changes:
        assert change.body
        for key, value in change.body.items():
            first = base_key(key)
            lead = case.lead or {}
            # A currency without an amount is none: it is sent with the amount that it gets.
            goes_along = key != first and None in (change.body.get(first, 0), lead.get(first))
            assert goes_along or not shows({key: value}, lead, BY_KEY)


@given(cases())
def test_a_body_has_only_what_the_row_manages(case: Case) -> None:
    managed = {column.field.key for column in case.columns.managed}
    managed |= {second for second in BY_KEY if second.partition("_")[0] in managed}
    for change in planned(case).changes:
        assert change.body.keys() <= managed


@given(cases())
def test_before_holds_the_same_keys_as_they_were_and_what_goes_with_them(case: Case) -> None:
    lead = case.lead or {}
    for change in planned(case).changes:
        keys = [key for field in fields_of(change.body, BY_KEY) for key in field.keys]
        were = {key: lead.get(key) for key in keys}
        assert json.dumps(change.before, sort_keys=True) == json.dumps(were, sort_keys=True)


@given(cases())
def test_a_body_survives_json(case: Case) -> None:
    for change in planned(case).changes:
        assert_json(change)
    assert len(list(patch_rows("plan", 1, planned(case)))) == len(planned(case).changes)


def assert_json(change: Change) -> None:
    """A body of plain JSON types, none of which loses anything as text."""
    text = orjson.dumps(change.body)
    assert orjson.dumps(orjson.loads(text)) == text
    assert orjson.loads(text) == change.body
    for value in leaves(change.body):
        assert type(value) in TYPES_OF_JSON
        assert not isinstance(value, float) or math.isfinite(value)


def leaves(value: Any) -> list[Any]:
    """A document's containers and values."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(leaf for one in inner for leaf in leaves(one))]


@given(some_of(NOT_CLEARABLE), leads(archived=IN_PLACE))
def test_null_leaves_alone_what_cannot_be_cleared(cells: Row, lead: Lead) -> None:
    nulls = {name for name, value in cells.items() if value is None}
    decision = decided(cells, lead)
    assert isinstance(decision, Planned | Unchanged)
    assert decision.kept_nulls == len(nulls)
    if isinstance(decision, Planned):
        assert not decision.changes[0].body.keys() & nulls


@given(cases(archived=IN_PLACE))
def test_a_currency_of_null_is_no_change_alone(case: Case) -> None:
    row = {"lead_id": LEAD_ID, "value_currency": None}
    decision = decide([row], case.lead, columns_of(row))
    assert decision == Unchanged(LEAD_ID, kept_nulls=1)


INVALID: list[tuple[str, Any]] = [
    ("title", ""),
    ("title", " \t"),
    ("title", ["a"]),
    ("title", {"a": 1}),
    ("title", True),
    ("owner_id", "Ada"),
    ("owner_id", 3.5),
    ("owner_id", -3),
    ("owner_id", 0),
    ("owner_id", ""),
    ("owner_id", True),
    ("owner_id", 10**20),
    ("owner_id", float("nan")),
    ("label_ids", ["hot"]),
    ("label_ids", "[1"),
    ("label_ids", {"a": 1}),
    ("label_ids", [[]]),
    ("person_id", "1,2"),
    ("organization_id", [1]),
    ("is_archived", "perhaps"),
    ("is_archived", ""),
    ("is_archived", 2),
    ("value", "100 EUR"),
    ("value", 100),
    ("value", [100, "EUR"]),
    ("value", {"amount": 1, "currency": "EUR", "tax": 2}),
    ("value_amount", "many"),
    ("value_amount", float("inf")),
    ("value_amount", ""),
    ("value_amount", False),
    ("value_currency", "Euro"),
    ("value_currency", ""),
    ("expected_close_date", "31.12.2026"),
    ("expected_close_date", "2026-02-30"),
    ("expected_close_date", ""),
    ("expected_close_date", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("visible_to", 2),
    ("visible_to", "everyone"),
    ("was_seen", "seen"),
    ("channel", "Web form"),
    ("channel_id", ["a"]),
    ("channel_id", b"abc"),
    ("channel_id", ("a", "b")),
]


@pytest.mark.parametrize(("name", "value"), INVALID, ids=str)
def test_an_invalid_value_rejects_its_row_and_is_named(name: str, value: Any) -> None:
    cells = {"title": "Fine", name: value}
    decision = decided(cells, BARE, timezone="Asia/Tokyo")
    assert isinstance(decision, NotSent), decision
    assert decision.status == "rejected"
    assert name in decision.reason
    assert (repr(value) if isinstance(value, str) else str(value)[:8]) in decision.reason


@given(cases(), st.sampled_from(INVALID))
def test_one_invalid_value_stops_its_whole_row(case: Case, invalid: tuple[str, Any]) -> None:
    name, value = invalid
    shared = "value" if name.startswith("value") else name
    [row] = case.rows
    kept = {key: cell for key, cell in row.items() if not key.startswith(shared)}
    broken = {**kept, name: value}
    decision = decide([broken], case.lead, columns_of(broken, timezone="Asia/Tokyo"))
    assert isinstance(decision, NotSent)
    assert decision.status == "rejected"


JSON_TYPES = (str, int, float, bool, list, type(None))
PLAIN = {
    name: values.filter(lambda one: isinstance(one, JSON_TYPES)) for name, values in WANTED.items()
}


@given(some_of(PLAIN), some_of(PLAIN), leads(), ZONES, st.booleans())
def test_changes_win_over_columns(
    cells: Row, changes: Row, lead: Lead, timezone: str, as_text: bool
) -> None:
    """`changes` says what columns of its names would say; a name that it lacks is left alone.

    Only a period that is null there has no end either, where a column's NULL is its beginning's.
    """
    row = {"lead_id": LEAD_ID, **cells, "changes": json.dumps(changes) if as_text else changes}
    ends = {f"{key}_until": None for key in PERIODS if changes.get(key, 0) is None}
    plain = {"lead_id": LEAD_ID, **cells, **ends, **changes}
    decision = decide([row], lead, columns_of(row, timezone=timezone), unarchive=True)
    assert decision == decide([plain], lead, columns_of(plain, timezone=timezone), unarchive=True)


@given(junk_cases())
def test_no_row_ends_the_run(case: Case) -> None:
    decision = case.decide(case.lead)
    assert isinstance(decision, Planned | Unchanged | NotSent)
    if isinstance(decision, Planned):
        for change in decision.changes:
            assert_json(change)


@given(JUNK)
@example("[" * 100_000)
@example({"title": "\ud800"})
@example('{"title": "half an emoji: \\ud83d"}')
@example('{"title": ' + "[" * 100_000)
@example('{"value_amount": 1e999999999}')
@example('{"value_amount": ' + "1" * 5000 + "}")
def test_no_changes_end_the_run(changes: Any) -> None:
    decision = decided({"changes": changes}, BARE)
    for change in decision.changes if isinstance(decision, Planned) else ():
        assert_json(change)


@given(st.lists(JUNK, min_size=2, max_size=3))
@example([datetime(2026, 1, 1, tzinfo=UTC), datetime.max])
@example([datetime(2026, 1, 1), "290000-01-01 00:00:00"])
@example([{"a": 1}, {"a": 2}])
def test_no_updated_at_ends_the_run(times: list[Any]) -> None:
    """DuckDB gives a timestamp without end as one without zone, and a far one as text."""
    rows = [{"lead_id": LEAD_ID, "title": f"T{at}", "updated_at": at} for at in times]
    decision = decide(rows, BARE, columns_of(*rows))
    assert isinstance(decision, Planned | Unchanged | NotSent)


@given(JUNK)
def test_no_lead_id_ends_the_run(lead_id: Any) -> None:
    row = {"lead_id": lead_id, "title": "T"}
    decision = decide([row], None, columns_of(row))
    assert isinstance(decision, NotSent)
    assert decision.status in {"rejected", "not_found"}
