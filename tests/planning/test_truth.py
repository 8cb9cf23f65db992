"""What is true of each field: ours, untouched or theirs, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.planning.earlier import (
    as_wanted,
    resolve_doubt,
    resolve_interrupted,
    resolve_planned,
)
from connector.planning.model import Comparison, NotSent, Patch, Planned
from connector.planning.truth import effect_of, truth_of
from connector.planning.undo import undo
from connector.records.fields import fields_of
from tests.support.account import BY_KEY, LEAD_ID, SCORE, Lead, Row, columns_of, key_of
from tests.support.strategies import Case, cases, leads

VALUE = BY_KEY["value"]
PERIOD = BY_KEY[key_of("daterange")]
UNTIL = f"{PERIOD.key}_until"
EUROS, DOLLARS = {"amount": 50, "currency": "EUR"}, {"amount": 50, "currency": "USD"}


def planned(case: Case) -> Planned:
    decision = case.decide(case.lead)
    assume(isinstance(decision, Planned))
    assert isinstance(decision, Planned)
    return decision


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Case, Row, Row, Lead]:
    """A case, the body and the before of its PATCH, and a lead of which anybody changed anything.

    Each field of the lead is as it was, as the body says, or as in any other lead.
    """
    case = draw(cases(archived=st.just(False)))
    [change] = planned(case).changes
    now = {**(case.lead or {})}
    other = draw(leads(archived=st.just(False)))
    for field in fields_of(change.body, BY_KEY):
        source = draw(st.sampled_from([case.lead or {}, change.body, other]))
        if source is change.body and change.body.get(field.key, 0) is None:
            now |= dict.fromkeys(field.keys)
        now |= {key: source[key] for key in field.keys if key in source}
    return case, change.body, change.before, now


@given(leads(), leads(), leads())
def test_each_field_is_one_of_three_whatever_was_there(before: Lead, body: Lead, now: Lead) -> None:
    effect = effect_of(before, body, now, BY_KEY)
    assert sorted((*effect.ours, *effect.untouched, *effect.theirs)) == sorted(body)
    for field in fields_of(body, BY_KEY):
        keys = [key for key in field.keys if key in body]
        of = [
            name for name in ("ours", "untouched", "theirs") if {*keys} & {*getattr(effect, name)}
        ]
        assert of == [truth_of(field, before, body, now)]
        assert {*keys} <= {*getattr(effect, of[0])}


@given(cases(archived=st.just(False)))
def test_a_lead_as_it_was_is_untouched_and_one_that_took_the_body_is_ours(case: Case) -> None:
    for change in planned(case).changes:
        lead = case.lead or {}
        assert set(effect_of(change.before, change.body, lead, BY_KEY).untouched) == {*change.body}
        gone = [key for key, value in change.body.items() if value is None]
        taken = {**lead, **dict.fromkeys(f"{key}_currency" for key in gone), **change.body}
        assert effect_of(change.before, change.body, taken, BY_KEY).is_whole


@pytest.mark.parametrize(
    ("now", "truth"),
    [
        ({"value": {"amount": 60, "currency": "EUR"}}, "ours"),
        ({"value": EUROS}, "untouched"),
        ({"value": {"amount": 60, "currency": "USD"}}, "theirs"),
        ({"value": DOLLARS}, "theirs"),
        ({}, "theirs"),
    ],
)
def test_an_amount_and_its_currency_are_one_field(now: Row, truth: str) -> None:
    body = {"value": {"amount": 60.0, "currency": "eur"}}
    assert truth_of(VALUE, {"value": EUROS}, body, now) == truth


def test_an_end_that_somebody_moved_is_theirs_though_the_beginning_was_cleared() -> None:
    before, body = {PERIOD.key: "2026-01-01", UNTIL: "2026-02-01"}, {PERIOD.key: "2026-01-15"}
    assert truth_of(PERIOD, before, body, {**before}) == "untouched"
    assert truth_of(PERIOD, before, body, {**before, UNTIL: "2026-03-01"}) == "theirs"


@given(scenes())
def test_what_goes_out_again_is_untouched_and_nothing_of_a_lead_with_theirs(scene: Any) -> None:
    case, body, before, now = scene
    patch = Patch("p-1", "p", LEAD_ID, body, before, sent_by="r")
    found = Comparison(LEAD_ID, case.rows, now, [patch])
    effect = effect_of(before, body, now, BY_KEY)
    wanted = as_wanted(case.columns, unarchive=False)
    for resolved in (resolve_interrupted(found, BY_KEY, wanted), resolve_planned(found, BY_KEY)):
        assert len(resolved.outcomes) + len(resolved.left) == 1
        for left in resolved.left:
            assert not effect.edited
            assert (left.left, left.took) == (effect.untouched, effect.took)
        for outcome in resolved.outcomes:
            assert outcome.took == effect.took
            assert (outcome.status in ("conflict", "archived")) or not effect.edited
            assert effect.edited or outcome.status != "conflict"
    [settled] = resolve_doubt(found, BY_KEY)
    assert settled.took == effect.took


@given(scenes())
def test_a_revert_gives_back_what_is_ours_and_nothing_else(scene: Any) -> None:
    _, body, before, now = scene
    decision = undo(
        Comparison(LEAD_ID, [], now, [Patch("p-1", "p", LEAD_ID, body, before)]), BY_KEY
    )
    theirs = {*effect_of(before, body, now, BY_KEY).theirs}
    changes = decision.changes if isinstance(decision, Planned) else ()
    for change in changes:
        assert not theirs & change.body.keys()
    if isinstance(decision, NotSent):
        assert decision.status in ("conflict", "rejected", "archived")


def test_an_interrupted_patch_that_is_wanted_no_more_is_told_by_what_took_effect() -> None:
    patch = Patch("p-1", "p", LEAD_ID, {"title": "N", "channel": 3}, {"title": "T"}, sent_by="r")
    now = {"id": LEAD_ID, "title": "N", "is_archived": False}
    found = Comparison(LEAD_ID, [], now, [patch])
    wanted = as_wanted(columns_of({"lead_id": LEAD_ID}), unarchive=False)
    [outcome] = resolve_interrupted(found, BY_KEY, wanted).outcomes
    assert (outcome.status, outcome.took) == ("confirmed", ("title",))


@pytest.mark.parametrize(
    ("sent", "was", "tidied"),
    [("New ", "New", True), ("New", "Old", False), (77.4, 77, False), (77.001, 77, True)],
)
def test_what_was_there_is_tidied_only_where_it_is_very_near(
    sent: Any, was: Any, tidied: bool
) -> None:
    key = "title" if isinstance(sent, str) else SCORE
    effect = effect_of({key: was}, {key: sent}, {key: was}, BY_KEY)
    assert (effect.took, effect.lost) == ((), () if tidied else (key,))
