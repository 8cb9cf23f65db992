"""Taking back what a run wrote: every field as it was, but for what was changed since."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given

from connector.planning.model import Comparison, NotSent, Patch, Planned, Unchanged
from connector.planning.undo import DELETED, LASTING, SINCE, undo
from connector.records.fields import base_key
from tests.support.account import (
    BARE,
    BY_KEY,
    COLD,
    FIELDS,
    HOT,
    LEAD,
    LEAD_ID,
    SCORE,
    Lead,
    Row,
    decided,
    key_of,
)
from tests.support.harness import wire
from tests.support.strategies import IN_PLACE, Case, cases

COST, CURRENCY = key_of("monetary"), f"{key_of('monetary')}_currency"
PERIOD, UNTIL = key_of("daterange"), f"{key_of('daterange')}_until"
SECOND = {COST: CURRENCY, PERIOD: UNTIL, key_of("timerange"): f"{key_of('timerange')}_until"}


def patched(lead: Lead, body: Row) -> Lead:
    """The lead after a PATCH; what is cleared is absent, and so is the second key of its field."""
    gone = {
        second
        for first, second in SECOND.items()
        if body.get(first, 0) is None and second not in body
    }
    return {
        key: value
        for key, value in {**lead, **body}.items()
        if value is not None and key not in gone
    }


def after(decision: Planned, lead: Lead) -> Lead:
    for change in decision.changes:
        lead = patched(lead, change.body)
    return lead


def unlike(lead: Lead, other: Lead) -> set[str]:
    """The fields whose values differ."""
    return {field.key for field in FIELDS if field.read(lead) != field.read(other)}


def sent(decision: Planned) -> list[Patch]:
    """The patches of a run, as its outcomes tell them."""
    return [
        Patch(f"p-{step}", "p", LEAD_ID, change.body, change.before, intact=False)
        for step, change in enumerate(decision.changes, 1)
    ]


def undone(decision: Planned, lead: Lead | None, *only: str) -> Planned | Unchanged | NotSent:
    return undo(Comparison(LEAD_ID, [], lead, sent(decision)), BY_KEY, set(only))


def a_run(cells: Row, lead: Lead = LEAD) -> Planned:
    decision = decided(cells, lead, unarchive=True)
    assert isinstance(decision, Planned), decision
    return decision


def bodies(decision: Planned | Unchanged | NotSent) -> list[Row]:
    assert isinstance(decision, Planned), decision
    return [change.body for change in decision.changes]


ARCHIVED: Lead = {**LEAD, "is_archived": True}
SEK: Lead = {**LEAD, COST: 1200.5, CURRENCY: "SEK"}
UNTIL_JUNE: Lead = {**LEAD, PERIOD: None, UNTIL: "2026-06-30"}
FROM_MAY: Lead = {**UNTIL_JUNE, PERIOD: "2026-05-01"}
ROUND_TRIPS: Sequence[tuple[Lead, Row, list[Row]]] = [
    (LEAD, {"title": "New"}, [{"title": "Pilot"}]),
    (LEAD, {"channel_id": None}, [{"channel_id": "Spring"}]),
    (BARE, {"channel_id": "Spring"}, [{"channel_id": None}]),
    (BARE, {"label_ids": [HOT]}, [{"label_ids": []}]),
    ({**LEAD, "label_ids": [COLD, HOT]}, {"label_ids": []}, [{"label_ids": [COLD, HOT]}]),
    ({**LEAD, SCORE: 7.0}, {SCORE: 8}, [{SCORE: 7.0}]),
    ({**LEAD, SCORE: 0}, {SCORE: None}, [{SCORE: 0}]),
    ({**LEAD, "owner_id": {"id": 1001, "name": "N"}}, {"owner_id": 4}, [{"owner_id": 1001}]),
    (LEAD, {"value_amount": None}, [{"value": {"amount": 100, "currency": "EUR"}}]),
    (BARE, {"value_amount": 5, "value_currency": "EUR"}, [{"value": None}]),
    (SEK, {COST: 5, CURRENCY: "EUR"}, [{COST: 1200.5, CURRENCY: "SEK"}]),
    (SEK, {COST: 5}, [{COST: 1200.5}]),
    (SEK, {CURRENCY: "EUR"}, [{CURRENCY: "SEK"}]),
    (SEK, {COST: None}, [{COST: 1200.5, CURRENCY: "SEK"}]),
    (SEK, {COST: None, CURRENCY: None}, [{COST: 1200.5, CURRENCY: "SEK"}]),
    (BARE, {COST: 5, CURRENCY: "EUR"}, [{COST: None}]),
    (FROM_MAY, {PERIOD: None}, [{PERIOD: "2026-05-01"}]),
    (FROM_MAY, {PERIOD: None, UNTIL: None}, [{PERIOD: "2026-05-01", UNTIL: "2026-06-30"}]),
    (UNTIL_JUNE, {PERIOD: "2026-05-01"}, [{PERIOD: None, UNTIL: "2026-06-30"}]),
    (LEAD, {"is_archived": True, "title": "New"}, [{"is_archived": False}, {"title": "Pilot"}]),
    (ARCHIVED, {"is_archived": False, "title": "N"}, [{"is_archived": True, "title": "Pilot"}]),
]


@pytest.mark.parametrize(("lead", "cells", "expected"), ROUND_TRIPS)
def test_what_was_is_sent_again(lead: Lead, cells: Row, expected: list[Row]) -> None:
    run = a_run(cells, lead)
    now = after(run, lead)
    back = undone(run, now)
    assert wire(bodies(back)) == wire(expected)
    assert isinstance(back, Planned)
    assert unlike(after(back, now), lead) == set()


@pytest.mark.parametrize(("lead", "cells", "_expected"), ROUND_TRIPS)
def test_taking_back_what_was_taken_back_brings_it_again(
    lead: Lead, cells: Row, _expected: list[Row]
) -> None:
    run = a_run(cells, lead)
    now = after(run, lead)
    back = undone(run, now)
    assert isinstance(back, Planned)
    again = undone(back, after(back, now))
    assert isinstance(again, Planned)
    assert again.conflicts == ()
    assert unlike(after(again, after(back, now)), now) == set()


BOTH: Row = {"title": "New", "channel_id": None, SCORE: 8}


def test_a_field_that_was_changed_since_is_left() -> None:
    run = a_run(BOTH)
    now = {**after(run, LEAD), "title": "Theirs"}
    back = undone(run, now)
    assert wire(bodies(back)) == wire([{"channel_id": "Spring", SCORE: 7.5}])
    assert isinstance(back, Planned)
    [conflict] = back.conflicts
    values = [conflict.expected, conflict.current, conflict.wanted]
    assert values == [{"title": "New"}, {"title": "Theirs"}, {"title": "Pilot"}]
    assert str(conflict) == f"Title: expected New, is Theirs, wanted Pilot; {SINCE}"


def test_a_lead_whose_every_field_was_changed_since_is_a_conflict() -> None:
    run = a_run({"title": "New", "channel_id": None})
    back = undone(run, {**after(run, LEAD), "title": "Theirs", "channel_id": "Theirs"})
    assert isinstance(back, NotSent)
    assert (back.status, len(back.conflicts)) == ("conflict", 2)


def test_an_amount_and_its_currency_are_left_as_one() -> None:
    run = a_run({COST: 5, CURRENCY: "EUR"}, SEK)
    back = undone(run, {**after(run, SEK), CURRENCY: "USD"})
    assert isinstance(back, NotSent)
    assert [one.field.key for one in back.conflicts] == [COST]


def test_an_amount_that_was_set_again_since_is_left() -> None:
    run = a_run({COST: None}, SEK)
    back = undone(run, {**after(run, SEK), COST: 1200.5, CURRENCY: "EUR"})
    assert isinstance(back, NotSent)
    assert [one.field.key for one in back.conflicts] == [COST]


@pytest.mark.parametrize(
    "now",
    [LEAD, {**LEAD, "label_ids": [HOT.upper()], "was_seen": False}],
    ids=["never in effect", "put back by a colleague"],
)
def test_a_lead_that_is_as_it_was_is_left_alone(now: Lead) -> None:
    assert isinstance(undone(a_run(BOTH), now), Unchanged)


def test_a_field_may_be_asked_for_by_its_key() -> None:
    run = a_run(BOTH)
    now = after(run, LEAD)
    assert bodies(undone(run, now, "title")) == [{"title": "Pilot"}]
    assert isinstance(undone(run, now, "channel"), Unchanged)
    both = a_run({COST: 5, CURRENCY: "EUR", "title": "New"}, SEK)
    assert bodies(undone(both, after(both, SEK), COST)) == [{COST: 1200.5, CURRENCY: "SEK"}]


def test_a_lead_that_is_gone_has_nothing_to_bring_back() -> None:
    back = undone(a_run(BOTH), None)
    assert isinstance(back, NotSent)
    assert back.status == "not_found"


def test_a_lead_that_was_archived_since_is_not_edited() -> None:
    run = a_run(BOTH)
    back = undone(run, {**after(run, LEAD), "is_archived": True})
    assert isinstance(back, NotSent)
    assert back.status == "archived"


@pytest.mark.parametrize("key", ["visible_to", "was_seen"])
def test_what_cannot_be_cleared_stays_and_says_so(key: str) -> None:
    run = a_run({key: 5 if key == "visible_to" else True}, BARE)
    back = undone(run, after(run, BARE))
    assert isinstance(back, NotSent)
    assert back.status == "conflict"
    assert LASTING in back.reason


def test_the_last_of_person_and_organization_is_not_taken() -> None:
    run = a_run({"person_id": 11}, BARE)
    back = undone(run, {**after(run, BARE), "organization_id": None})
    assert isinstance(back, NotSent)
    assert back.status == "rejected"
    assert "without person and organization" in back.reason


def test_a_field_that_the_account_lost_is_brought_back_as_it_was() -> None:
    key = "d4" * 20
    patch = Patch("p", "p", LEAD_ID, {key: "x"}, {key: "y"})
    back = undo(Comparison(LEAD_ID, [], {**LEAD, key: "x"}, [patch]), BY_KEY)
    assert bodies(back) == [{key: "y"}]


def written_twice(case: Case) -> tuple[Planned, Lead]:
    """A run on a lead that is there, whose currency has an amount."""
    lead = {**(case.lead or {})}
    assume(lead.get(COST) is not None or lead.get(CURRENCY) is None)
    lead["is_archived"] = bool(lead.get("is_archived"))
    decision = case.decide(lead)
    assume(isinstance(decision, Planned))
    assert isinstance(decision, Planned)
    return decision, lead


@given(cases())
@example(Case([{"lead_id": LEAD_ID, COST: None}], SEK, unarchive=True, timezone="UTC"))
def test_a_run_and_its_undoing_give_every_field_back(case: Case) -> None:
    run, lead = written_twice(case)
    now = after(run, lead)
    back = undone(run, now)
    assume(not (isinstance(back, NotSent) and back.status == "rejected"))
    conflicts = back.conflicts if not isinstance(back, Unchanged) else ()
    assert all(one.why == LASTING for one in conflicts)
    restored = after(back, now) if isinstance(back, Planned) else now
    assert unlike(restored, lead) <= {one.field.key for one in conflicts}


@given(cases(IN_PLACE))
def test_what_differs_from_what_was_written_is_never_touched(case: Case) -> None:
    run, lead = written_twice(case)
    back = undone(run, {**lead, "title": "Someone else's words"})
    if isinstance(back, Planned):
        kept = {base_key(one.field.key) for one in back.conflicts}
        assert not kept & {base_key(key) for body in bodies(back) for key in body}
        assert "title" not in bodies(back)[0]


def test_a_field_that_was_deleted_since_costs_the_lead_nothing_else() -> None:
    decision = a_run({"title": "New", SCORE: None})
    left = {key: field for key, field in BY_KEY.items() if key != SCORE}
    found = Comparison(LEAD_ID, [], after(decision, LEAD), sent(decision))
    back = undo(found, left)
    assert bodies(back) == [{"title": "Pilot"}]
    assert isinstance(back, Planned)
    assert [(one.field.key, one.why) for one in back.conflicts] == [(SCORE, DELETED)]
    assert isinstance(alone := undo(found, left, {SCORE}), NotSent)
    assert alone.status == "conflict"
