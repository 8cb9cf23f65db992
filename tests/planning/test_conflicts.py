"""Edits in the CRM: what was agreed on, what is, what is wanted, and whose word counts."""

from __future__ import annotations

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
from connector.warehouse.rows import settled_rows
from connector.warehouse.schema import LEAD_OUTCOMES
from tests.support.account import FIELDS, LEAD, LEAD_ID, SCORE, Lead, Row, key_of
from tests.support.strategies import IN_PLACE, Case, cases, leads

COST, CURRENCY = key_of("monetary"), f"{key_of('monetary')}_currency"
UPDATED = "2026-06-30T12:00:00.000Z"
OLDER, NEWER = datetime(2026, 6, 30, 11), datetime(2026, 6, 30, 13)
ANY_TIME = datetime(9999, 1, 1)


def decided(
    rules: Any, cells: Row, base: Row | None = None, lead: Lead = LEAD, **settings: Any
) -> Decision:
    row = {"lead_id": LEAD_ID, **cells}
    columns = map_columns(list(row), FIELDS, on_conflict=rules, **settings)
    return decide([row], {"update_time": UPDATED, **lead}, columns, base=base)


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
    ("base", "edited"),
    [
        ({}, False),
        ({"title": "Pilot"}, False),
        ({"title": "Ours"}, True),
        ({"title": "New"}, True),
        ({"channel_id": "Ours"}, False),
    ],
    ids=["never agreed", "as agreed", "edited", "edited, and wanted back", "another field"],
)
@pytest.mark.parametrize("rule", ["warehouse", "crm", "fail"])
def test_three_values_decide(rule: OnConflict, base: Row, edited: bool) -> None:
    decision = decided(rule, TITLE, base)
    stays = edited and rule != "warehouse"
    assert (kept(decision), body(decision)) == (({"title"}, {}) if stays else (set(), TITLE))


def test_a_value_that_was_edited_back_is_ours_again() -> None:
    assert body(decided("crm", TITLE, {"title": "Pilot"})) == TITLE


def test_what_is_wanted_already_is_no_conflict() -> None:
    assert isinstance(decided("fail", {"title": "Pilot"}, {"title": "Ours"}), Unchanged)


@pytest.mark.parametrize(
    ("base", "edited"),
    [
        ({"label_ids": [LEAD["label_ids"][0].upper()]}, False),
        ({SCORE: "7.50"}, False),
        ({"value": {"amount": 100.0, "currency": "eur"}}, False),
        ({"owner_id": {"id": 1001, "name": "Ada"}}, False),
        ({"channel_id": None}, True),
        ({SCORE: None}, True),
    ],
)
def test_values_are_compared_and_not_their_spelling(base: Row, edited: bool) -> None:
    cells: Row = {
        "label_ids": None,
        SCORE: 1,
        "value_amount": 5,
        "owner_id": 1004,
        "channel_id": "Autumn",
    }
    assert kept(decided("crm", cells, base)) == (set(base) if edited else set())


def test_other_fields_of_the_lead_go_out() -> None:
    decision = decided("crm", {**TITLE, **ASKED}, {"title": "Ours"})
    assert (kept(decision), body(decision)) == ({"title"}, {"channel_id": None})


def test_fail_keeps_the_whole_lead() -> None:
    decision = decided("fail", {**TITLE, **ASKED}, {"title": "Ours"})
    assert isinstance(decision, NotSent)
    assert (decision.status, kept(decision)) == ("conflict", {"title"})


def test_each_field_may_have_its_own_rule() -> None:
    base: Row = {"title": "Ours", "channel_id": "Ours", SCORE: 1}
    cells: Row = {**TITLE, **ASKED, "My double": 9}
    decision = decided({"title": "crm", "My Double": "warehouse"}, cells, base)
    assert (kept(decision), body(decision)) == ({"title"}, {"channel_id": None, SCORE: 9})
    decision = decided({"title": "crm", "my_double": "fail"}, cells, base)
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
def test_the_newer_one_wins_where_the_lead_was_edited(updated_at: Any, wins: bool) -> None:
    decision = decided("newest", {**TITLE, "updated_at": updated_at}, {"title": "Ours"})
    assert (kept(decision), body(decision)) == ((set(), TITLE) if wins else ({"title"}, {}))


def test_the_older_row_wins_over_what_was_not_edited_or_never_agreed_on() -> None:
    """The lead's own time may be that of what this job wrote itself."""
    cells = {**TITLE, **ASKED, SCORE: 9, "updated_at": OLDER}
    decision = decided("newest", cells, {"title": "Pilot", "channel_id": "Ours"})
    assert (kept(decision), body(decision)) == ({"channel_id"}, {**TITLE, SCORE: 9})


def test_an_edited_lead_of_unknown_age_is_kept() -> None:
    cells = {**TITLE, "updated_at": NEWER}
    decision = decided("newest", cells, {"title": "Ours"}, {**LEAD, "update_time": None})
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
        ({"qqqq": "crm"}, r"'qqqq', which is no field; `lead-sync fields` shows the fields"),
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
    why = "changed in Pipedrive since both sides agreed (on_conflict crm)"
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


BASES = leads().map(lambda lead: {key: lead[key] for key in lead if key != "id"})
RULES = st.sampled_from(["crm", "fail", "newest"])


def by(rule: OnConflict, case: Case, base: Row, updated_at: datetime = ANY_TIME) -> Decision:
    """Decides a case by a rule for all fields."""
    rows = [{**row, "updated_at": updated_at} for row in case.rows]
    columns = map_columns(list(rows[0]), FIELDS, None, case.timezone, on_conflict=rule)
    lead = {"update_time": UPDATED, **(case.lead or {})}
    return decide(rows, lead, columns, unarchive=case.unarchive, base=base)


def edited(case: Case, base: Row) -> set[str]:
    """The fields that differ from what was agreed on of them, be that all of it or a part."""
    lead = case.lead or {}
    found = set()
    for field in FIELDS:
        known = [key for key in field.keys if key in base]
        parts = [field.read_key(key, base) != field.read_key(key, lead) for key in known]
        whole = field.read(base) != field.read(lead)
        if any(parts) and (whole or len(known) < len(field.keys)):
            found.add(field.key)
    return found


@given(cases(IN_PLACE), BASES)
def test_under_crm_no_edited_field_is_sent_and_every_other_is(case: Case, base: Row) -> None:
    whole, decision = by("warehouse", case, {}), by("crm", case, base)
    for one in (whole, decision):
        assume(not (isinstance(one, NotSent) and one.status == "rejected"))
    theirs = edited(case, base)
    sent = {base_key(key) for key in body(decision)}
    wanted = {base_key(key) for key in body(whole)}
    assert (sent, kept(decision)) == (wanted - theirs, wanted & theirs)


@given(cases(IN_PLACE), BASES)
def test_under_fail_a_lead_goes_out_whole_or_not_at_all(case: Case, base: Row) -> None:
    whole, decision = by("warehouse", case, {}), by("fail", case, base)
    conflicts = bool(edited(case, base) & {base_key(key) for key in body(whole)})
    if isinstance(whole, Planned) and conflicts:
        assert isinstance(decision, NotSent)
        assert decision.status == "conflict"
    elif isinstance(whole, Planned):
        assert decision == whole


@given(cases(), RULES)
def test_what_was_not_edited_is_decided_as_ever(case: Case, rule: OnConflict) -> None:
    base = {key: (case.lead or {}).get(key) for field in FIELDS for key in field.keys}
    assert by(rule, case, base, OLDER) == by("warehouse", case, {})


@given(cases(), RULES)
def test_what_was_never_agreed_on_is_decided_as_ever_and_counted(
    case: Case, rule: OnConflict
) -> None:
    expected, decision = by("warehouse", case, {}), by(rule, case, {}, OLDER)
    assert decision == expected
    if isinstance(decision, Planned) and isinstance(expected, Planned):
        assert decision.unagreed == len({base_key(key) for key in body(decision)})
        assert expected.unagreed == 0  # nobody asks


@given(cases(), BASES)
def test_the_warehouse_and_newer_rows_win_over_all(case: Case, base: Row) -> None:
    expected = by("warehouse", case, {})
    assert by("warehouse", case, base, OLDER) == expected
    assert by("newest", case, base) == expected
