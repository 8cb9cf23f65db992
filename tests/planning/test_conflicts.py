"""Edits in the CRM: what was last written, what is, what is wanted, and whose word counts."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.errors import ConfigError
from connector.planning.columns import OnConflict, map_columns
from connector.planning.diff import decide
from connector.planning.model import Decision, NotSent, Planned, Unchanged
from connector.records.fields import base_key
from connector.warehouse.rows import last_written, settled_rows
from connector.warehouse.schema import LEAD_OUTCOMES
from tests.support.account import BY_KEY, FIELDS, LEAD, LEAD_ID, SCORE, Lead, Row, key_of
from tests.support.strategies import IN_PLACE, Case, cases, leads

COST, CURRENCY = key_of("monetary"), f"{key_of('monetary')}_currency"
UPDATED = "2026-06-30T12:00:00.000Z"
OLDER, NEWER = datetime(2026, 6, 30, 11), datetime(2026, 6, 30, 13)
ANY_TIME = datetime(9999, 1, 1)


def decided(
    rules: Any, cells: Row, written: Row | None = None, lead: Lead = LEAD, **settings: Any
) -> Decision:
    row = {"lead_id": LEAD_ID, **cells}
    columns = map_columns(list(row), FIELDS, on_conflict=rules, **settings)
    return decide([row], {"update_time": UPDATED, **lead}, columns, written=written)


def kept(decision: Decision) -> set[str]:
    """The fields that stay as they are in the CRM."""
    return set() if isinstance(decision, Unchanged) else {x.field.key for x in decision.conflicts}


def body(decision: Decision) -> Row:
    """What is sent."""
    changes = decision.changes if isinstance(decision, Planned) else ()
    return {key: value for change in changes for key, value in change.body.items()}


TITLE: Row = {"title": "New"}
ASKED: Row = {"channel_id": None}


@pytest.mark.parametrize(
    ("written", "edited"),
    [
        ({}, False),
        ({"title": "Pilot"}, False),
        ({"title": "Ours"}, True),
        ({"title": "New"}, True),
        ({"channel_id": "Ours"}, False),
    ],
    ids=["never written", "as written", "edited", "edited, and wanted back", "another field"],
)
@pytest.mark.parametrize("rule", ["warehouse", "crm", "fail"])
def test_three_values_decide(rule: OnConflict, written: Row, edited: bool) -> None:
    decision = decided(rule, TITLE, written)
    stays = edited and rule != "warehouse"
    assert (kept(decision), body(decision)) == (({"title"}, {}) if stays else (set(), TITLE))


def test_a_value_that_was_edited_back_is_ours_again() -> None:
    assert body(decided("crm", TITLE, {"title": "Pilot"})) == TITLE


def test_what_is_wanted_already_is_no_conflict() -> None:
    assert isinstance(decided("fail", {"title": "Pilot"}, {"title": "Ours"}), Unchanged)


@pytest.mark.parametrize(
    ("written", "edited"),
    [
        ({"label_ids": [LEAD["label_ids"][0].upper()]}, False),
        ({SCORE: "7.50"}, False),
        ({"value": {"amount": 100.0, "currency": "eur"}}, False),
        ({"owner_id": {"id": 1001, "name": "Ada"}}, False),
        ({"channel_id": None}, True),
        ({SCORE: None}, True),
    ],
)
def test_values_are_compared_and_not_their_spelling(written: Row, edited: bool) -> None:
    cells: Row = {
        "label_ids": None,
        SCORE: 1,
        "value_amount": 5,
        "owner_id": 1004,
        "channel_id": "Autumn",
    }
    assert kept(decided("crm", cells, written)) == (set(written) if edited else set())


def test_other_fields_of_the_lead_go_out() -> None:
    decision = decided("crm", {**TITLE, **ASKED}, {"title": "Ours"})
    assert (kept(decision), body(decision)) == ({"title"}, {"channel_id": None})


def test_fail_keeps_the_whole_lead() -> None:
    decision = decided("fail", {**TITLE, **ASKED}, {"title": "Ours"})
    assert isinstance(decision, NotSent)
    assert (decision.status, kept(decision)) == ("conflict", {"title"})


def test_each_field_may_have_its_own_rule() -> None:
    written: Row = {"title": "Ours", "channel_id": "Ours", SCORE: 1}
    cells: Row = {**TITLE, **ASKED, "My double": 9}
    decision = decided({"title": "crm", "My Double": "warehouse"}, cells, written)
    assert (kept(decision), body(decision)) == ({"title"}, {"channel_id": None, SCORE: 9})
    decision = decided({"title": "crm", "my_double": "fail"}, cells, written)
    assert (kept(decision), body(decision)) == ({"title", SCORE}, {})


COSTLY: Lead = {**LEAD, COST: 100, CURRENCY: "EUR"}
OURS: Row = {COST: 100, CURRENCY: "EUR"}


@pytest.mark.parametrize(
    ("now", "rule_of"),
    [
        ({CURRENCY: "USD"}, COST),
        ({CURRENCY: "USD"}, CURRENCY),
        ({COST: 70}, COST),
        ({COST: 70}, CURRENCY),
        ({COST: 70, CURRENCY: "USD"}, "My monetary"),
    ],
)
def test_an_amount_and_its_currency_are_kept_as_one(now: Row, rule_of: str) -> None:
    cells: Row = {COST: 5, CURRENCY: "SEK", "title": "New"}
    decision = decided({rule_of: "crm"}, cells, OURS, {**COSTLY, **now})
    assert (kept(decision), body(decision)) == ({COST}, TITLE)


def written_by(*bodies: str) -> Row:
    """What a lead's outcomes say was last written."""
    return last_written(map(json.loads, bodies))


def test_of_each_field_what_was_written_last_counts() -> None:
    assert written_by('{"title": "A", "channel": 5}', '{"title": "B"}', '{"channel": null}') == {
        "title": "B",
        "channel": None,
    }


def test_a_currency_that_went_with_its_amount_was_not_edited() -> None:
    written = written_by(f'{{"{COST}": 100, "{CURRENCY}": "EUR"}}', f'{{"{COST}": null}}')
    decision = decided("fail", {COST: 5, CURRENCY: "SEK"}, written)
    assert body(decision) == {COST: 5, CURRENCY: "SEK"}


@pytest.mark.parametrize(
    ("updated_at", "wins"),
    [
        (NEWER, True),
        (OLDER, False),
        (datetime(2026, 6, 30, 12), False),
        (datetime(2026, 6, 30, 12, 0, 0, 1), True),
        ("2026-06-30 12:00:01", True),
        ("2026-06-30T12:00:01+02:00", False),
        (NEWER.replace(tzinfo=UTC), True),
        (NEWER.replace(tzinfo=ZoneInfo("Asia/Tokyo")), False),
        (date(2026, 6, 30), False),
        (date(2026, 7, 1), True),
    ],
)
@pytest.mark.parametrize("written", [{}, {"title": "Ours"}], ids=["never written", "edited"])
def test_the_newer_one_wins(updated_at: Any, wins: bool, written: Row) -> None:
    decision = decided("newest", {**TITLE, "updated_at": updated_at}, written)
    assert (kept(decision), body(decision)) == ((set(), TITLE) if wins else ({"title"}, {}))


def test_the_older_row_wins_over_what_was_not_edited() -> None:
    cells = {**TITLE, **ASKED, "updated_at": OLDER}
    decision = decided("newest", cells, {"title": "Pilot", "channel_id": "Ours"})
    assert (kept(decision), body(decision)) == ({"channel_id"}, TITLE)


def test_a_lead_of_unknown_age_is_kept() -> None:
    decision = decided("newest", {**TITLE, "updated_at": NEWER}, {}, {**LEAD, "update_time": None})
    assert isinstance(decision, NotSent)
    assert "updated at an unknown time" in decision.reason


@pytest.mark.parametrize("updated_at", [None, "yesterday", "", 17, "2026-13-01"])
def test_a_row_without_a_time_is_rejected_where_it_matters(updated_at: Any) -> None:
    cells = {**TITLE, "updated_at": updated_at}
    rejected = decided("newest", cells, {"title": "Ours"})
    assert isinstance(rejected, NotSent)
    assert rejected.status == "rejected"
    assert rejected.reason.startswith("updated_at ")
    assert "write it like 2026-12-31 23:59:59" in rejected.reason
    assert body(decided("newest", cells, {"title": "Pilot"})) == TITLE


def test_newest_needs_the_column() -> None:
    with pytest.raises(ConfigError, match="newest needs a column updated_at"):
        decided({"title": "newest"}, TITLE)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("mine", r"on_conflict 'mine' is no rule; give warehouse, crm, newest or fail"),
        ({"title": "mine"}, r"on_conflict of title 'mine' is no rule; give warehouse, crm"),
        ({"titel": "crm"}, r"on_conflict names 'titel', which is no field; did you mean title"),
        ({"qqqq": "crm"}, r"'qqqq', which is no field; `lead-sync columns` shows the fields"),
        ('{"titel": "crm"}', r"did you mean title \(Title\)"),
        (None, r"on_conflict None is no rule"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        decided(rules, TITLE)


def test_the_reason_has_all_three_values_and_so_has_the_outcome() -> None:
    decision = decided("crm", {**ASKED, SCORE: 9}, {"channel_id": "Ours", SCORE: 1})
    assert isinstance(decision, NotSent)
    why = "changed in Pipedrive since it was last written (on_conflict crm)"
    assert decision.reason == (
        f"Channel ID: expected Ours, is Spring, wanted —; {why}; "
        f"My double: expected 1, is 7.5, wanted 9; {why}"
    )
    [row] = settled_rows("run", "plan", 1, decision)
    assert row.keys() == LEAD_OUTCOMES.columns.keys()
    assert (row["status"], row["patch_id"]) == ("conflict", None)
    assert row["body"] == {"channel_id": None, SCORE: 9}
    assert row["before"] == {"channel_id": "Ours", SCORE: 1}
    assert row["after"] == {"channel_id": "Spring", SCORE: 7.5}


WRITTEN = leads().map(lambda lead: {key: lead[key] for key in lead if key != "id"})
RULES = st.sampled_from(["crm", "fail", "newest"])


def by(rule: OnConflict, case: Case, written: Row, updated_at: datetime = ANY_TIME) -> Decision:
    """Decides a case by a rule for all fields."""
    rows = [{**row, "updated_at": updated_at} for row in case.rows]
    columns = map_columns(list(rows[0]), FIELDS, None, case.timezone, on_conflict=rule)
    lead = {"update_time": UPDATED, **(case.lead or {})}
    return decide(rows, lead, columns, unarchive=case.unarchive, written=written)


def edited(case: Case, written: Row) -> set[str]:
    lead = case.lead or {}
    return {
        key
        for key, field in BY_KEY.items()
        if key in written and field.read_key(key, written) != field.read_key(key, lead)
    }


@given(cases(IN_PLACE), WRITTEN)
def test_under_crm_no_edited_field_is_sent_and_every_other_is(case: Case, written: Row) -> None:
    whole, decision = by("warehouse", case, {}), by("crm", case, written)
    for one in (whole, decision):
        assume(not (isinstance(one, NotSent) and one.status == "rejected"))
    theirs = edited(case, written)
    assert not theirs & body(decision).keys()
    assert not {base_key(x) for x in body(decision)} & {base_key(x) for x in kept(decision)}
    wanted = {base_key(key) for key in body(whole)}
    assert {base_key(key) for key in body(decision)} | kept(decision) == wanted
    pairs = {base_key(key) for key in theirs}
    assert all(base_key(key) in pairs for key in kept(decision))


@given(cases(IN_PLACE), WRITTEN)
def test_under_fail_a_lead_goes_out_whole_or_not_at_all(case: Case, written: Row) -> None:
    whole, decision = by("warehouse", case, {}), by("fail", case, written)
    fields = {base_key(key) for key in edited(case, written)}
    conflicts = bool(fields & {base_key(key) for key in body(whole)})
    if isinstance(whole, Planned) and conflicts:
        assert isinstance(decision, NotSent)
        assert decision.status == "conflict"
    elif isinstance(whole, Planned):
        assert decision == whole


@given(cases(), RULES)
def test_what_was_not_edited_is_decided_as_ever(case: Case, rule: OnConflict) -> None:
    written = {field.key: (case.lead or {}).get(field.key) for field in FIELDS}
    assert by(rule, case, written, OLDER) == by("warehouse", case, {})


@given(cases(), WRITTEN)
def test_the_warehouse_and_newer_rows_win_over_all(case: Case, written: Row) -> None:
    expected = by("warehouse", case, {})
    assert by("warehouse", case, written, OLDER) == expected
    assert by("newest", case, written) == expected
