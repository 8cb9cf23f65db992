"""What both sides last agreed on: what moves it, what leaves it, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pipedrive.errors import PipedriveError
from connector.planning.bases import agree, moved_by, moves, settle, standing_of
from connector.planning.columns import map_columns
from connector.planning.diff import decide
from connector.planning.model import NotSent, Outcome, Patch, Planned, Status, Unchanged
from connector.planning.truth import is_tidied
from connector.records.definitions import companions_of_cleared
from tests.support.account import BY_KEY, FIELDS, LEAD, LEAD_ID, SCORE, Lead, Row, key_of
from tests.support.strategies import Case, cases, leads

COST, CURRENCY = key_of("monetary"), f"{key_of('monetary')}_currency"
BEGIN, END = key_of("daterange"), f"{key_of('daterange')}_until"
BASES = leads().map(lambda lead: {key: lead[key] for key in lead if key != "id"})


def standing(key: str, base: Row, lead: Lead = LEAD) -> str:
    return standing_of(BY_KEY[key], base, lead)


@pytest.mark.parametrize(
    ("key", "base", "lead", "expected"),
    [
        ("title", {}, {"title": "A"}, "unagreed"),
        ("title", {"channel_id": "A"}, {"title": "A"}, "unagreed"),
        ("title", {"title": "A"}, {"title": "A"}, "agreed"),
        ("title", {"title": "A"}, {"title": "B"}, "edited"),
        ("channel_id", {"channel_id": None}, {}, "agreed"),
        ("channel_id", {"channel_id": None}, {"channel_id": ""}, "agreed"),
        ("channel_id", {"channel_id": None}, {"channel_id": "A"}, "edited"),
        ("channel_id", {"channel_id": "A"}, {}, "edited"),
        ("label_ids", {"label_ids": []}, {"label_ids": None}, "agreed"),
        (COST, {COST: 1, CURRENCY: "EUR"}, {COST: 1, CURRENCY: "EUR"}, "agreed"),
        (COST, {COST: 1, CURRENCY: "EUR"}, {COST: 1, CURRENCY: "USD"}, "edited"),
        (COST, {COST: 1, CURRENCY: "EUR"}, {COST: 2, CURRENCY: "EUR"}, "edited"),
        (COST, {COST: None, CURRENCY: None}, {COST: None, CURRENCY: "EUR"}, "agreed"),
        (COST, {COST: 1}, {COST: 1, CURRENCY: "USD"}, "agreed"),
        (COST, {COST: 1}, {COST: 2, CURRENCY: "USD"}, "edited"),
        (COST, {CURRENCY: "EUR"}, {COST: 2, CURRENCY: "EUR"}, "agreed"),
        ("value", {"value": {"amount": 1, "currency": "EUR"}}, {"value": None}, "edited"),
        ("value", {"value": None}, {"value": {"amount": None, "currency": "EUR"}}, "agreed"),
        (BEGIN, {BEGIN: None, END: None}, {END: "2026-01-01"}, "edited"),
    ],
)
def test_how_a_field_stands_to_the_agreement(
    key: str, base: Row, lead: Lead, expected: str
) -> None:
    assert standing(key, base, lead) == expected


@given(leads(), BASES)
def test_what_is_found_equal_is_agreed_on_and_told_once(lead: Lead, base: Row) -> None:
    moved = agree(base, FIELDS, {}, lead)
    assert {standing_of(field, moved, lead) for field in FIELDS} == {"agreed"}
    assert agree(moved, FIELDS, {}, lead) == moved


@given(cases(), BASES)
def test_a_base_moves_by_what_is_equal_and_by_nothing_that_is_still_to_be_sent(
    case: Case, base: Row
) -> None:
    lead = case.lead or {}
    decision = decide(case.rows, lead, case.columns, unarchive=case.unarchive, base=base)
    moved = base if decision.base is None else decision.base
    changes = decision.changes if isinstance(decision, Planned) else ()
    body = {key: value for change in changes for key, value in change.body.items()}
    managed = {key for column in case.columns.managed for key in column.field.keys}
    for key in base.keys() | moved.keys():
        if key not in managed or key in body or key in companions_of_cleared(body):
            assert (key in moved, moved.get(key)) == (key in base, base.get(key))
    if isinstance(decision, Unchanged):
        unset = {"title", "owner_id", "is_archived", "visible_to", "was_seen"}
        for column in case.columns.managed:
            if column.field.key not in unset:
                assert standing_of(column.field, moved, lead) == "agreed"
    assert decision.base is None or decision.base != base


@given(cases(), st.sampled_from(["archived", "gone", "rejected"]))
def test_nothing_is_agreed_on_where_nothing_was_compared(case: Case, why: str) -> None:
    rows = [{**case.rows[0], "lead_id": "no id"}] if why == "rejected" else case.rows
    lead = {"archived": {**(case.lead or {}), "is_archived": True}}.get(why)
    decision = decide(rows, lead, case.columns, base={})
    if why != "archived":
        assert decision.base is None
    elif isinstance(decision, NotSent):
        base = dict(decision.base or {})
        assert {standing(key, base, lead or {}) for key in base} <= {"agreed"}


def test_who_keeps_no_base_gets_none() -> None:
    row = {"lead_id": LEAD_ID, "title": "Pilot"}
    decision = decide([row], LEAD, map_columns(list(row), FIELDS, on_conflict="crm"))
    assert isinstance(decision, Unchanged)
    assert decision.base is None


def test_what_is_filled_only_if_blank_is_not_compared() -> None:
    row = {"lead_id": LEAD_ID, "title": "Pilot", "channel_id": "Other"}
    columns = map_columns(list(row), FIELDS, only_if_blank=["channel_id"], on_conflict="crm")
    assert decide([row], LEAD, columns, base={}).base == {"title": "Pilot"}


def test_fields_that_were_not_looked_at_keep_their_base() -> None:
    row = {"lead_id": LEAD_ID, "title": "Pilot", "channel_id": "Spring"}
    columns = map_columns(list(row), FIELDS, on_conflict="crm", only=["title"])
    base: Row = {"channel_id": "Ours", SCORE: 3}
    assert decide([row], LEAD, columns, base=base).base == {**base, "title": "Pilot"}


HALF: Row = {"lead_id": LEAD_ID, COST: 40, CURRENCY: "EUR"}
"""Wants the currency that the lead has, and another amount."""


@pytest.mark.parametrize(
    ("lead", "base", "agreed"),
    [
        ({}, {}, {CURRENCY: "EUR"}),
        ({"is_archived": True}, {}, None),
        ({}, {COST: 30, CURRENCY: "USD"}, None),
    ],
    ids=["sent", "archived", "edited"],
)
def test_half_a_field_is_agreed_on_only_where_the_other_half_is_sent(
    lead: Row, base: Row, agreed: Row | None
) -> None:
    """Or the next run would take the colleague's currency for agreed on, and write the amount."""
    columns = map_columns(list(HALF), FIELDS, on_conflict="crm")
    lead = {"id": LEAD_ID, COST: 30, CURRENCY: "EUR", **lead}
    decision = decide([HALF], lead, columns, base=base)
    assert isinstance(decision, Planned) == (agreed is not None)
    assert decision.base == agreed


def test_half_a_field_that_is_kept_is_not_agreed_on_while_others_are_sent() -> None:
    row = {**HALF, "title": "New"}
    lead = {"id": LEAD_ID, COST: 30, CURRENCY: "EUR", "title": "Old"}
    columns = map_columns(list(row), FIELDS, on_conflict="crm")
    decision = decide([row], lead, columns, base={COST: 30, CURRENCY: "USD"})
    assert isinstance(decision, Planned)
    assert ([one.field.key for one in decision.conflicts], decision.base) == ([COST], None)


def outcome(status: Status, planned: Row, before: Row, **known: Any) -> Outcome:
    return Outcome(Patch("patch", "plan", LEAD_ID, planned, before), status, **known)


BODY: Row = {"title": "New", SCORE: 5}
BEFORE: Row = {"title": "Old", SCORE: 1}
AGREED: Row = {"title": "Old", SCORE: 1, "channel_id": "Spring"}


@pytest.mark.parametrize(
    ("one", "moved"),
    [
        (outcome("applied", BODY, BEFORE, took=("title", SCORE)), BODY),
        (outcome("confirmed", BODY, BEFORE, took=("title", SCORE)), BODY),
        (outcome("applied", {SCORE: 5}, BEFORE, took=(SCORE,), is_rewritten=True), {SCORE: 5}),
        (outcome("ignored", BODY, BEFORE, took=("title",), lead={**BEFORE, "title": "New"}),
         {"title": "New"}),
        (outcome("conflict", BODY, BEFORE, took=("title",), lead={"title": "New", SCORE: 77}),
         {"title": "New"}),
        (outcome("failed", BODY, BEFORE, took=None), {}),
        (outcome("failed", BODY, BEFORE, took=None, lead=BEFORE), {}),
        (outcome("failed", BODY, BEFORE, lead={"title": "New", SCORE: 2}), {"title": "New"}),
        (outcome("not_found", BODY, BEFORE, gone=True), {}),
        (outcome("deferred", BODY, BEFORE), {}),
        (outcome("confirmed", {SCORE: 5}, {SCORE: {"id": 1}}, lead={SCORE: {"value": 5}}),
         {SCORE: 5}),
        (outcome("applied", {SCORE: "190"}, {SCORE: 7}, took=(SCORE,)), {SCORE: "190"}),
    ],
)  # fmt: skip
def test_an_outcome_moves_what_it_took_and_what_is_equal(one: Outcome, moved: Row) -> None:
    assert settle(AGREED, one) == {**AGREED, **moved}
    assert moves(one) or not moved


def test_an_edit_that_a_patch_met_is_still_one_for_the_next_run() -> None:
    """Where nothing was agreed yet, the next run would take the field for one to be written."""
    met = outcome("conflict", BODY, BEFORE, lead={"title": "Theirs", SCORE: 1})
    base = settle({}, met)
    assert (standing("title", base, {"title": "Theirs"}), base["title"]) == ("edited", "Old")
    assert settle({"title": "Ours"}, met)["title"] == "Ours"


@pytest.mark.parametrize("status", ["failed", "ignored", "archived", "rejected"])
def test_an_edit_that_a_patch_met_is_one_whatever_its_status(status: Status) -> None:
    met = outcome(status, BODY, BEFORE, lead={"title": "Theirs", SCORE: 1})
    assert settle({}, met) == {"title": "Old"}
    assert settle({"title": "Ours"}, met) == {"title": "Ours"}
    assert settle({}, outcome(status, BODY, BEFORE, lead=BEFORE)) == {}


def test_an_edit_of_one_of_two_keys_is_one_of_the_field() -> None:
    body, before = {COST: 40, CURRENCY: "CHF"}, {COST: 30, CURRENCY: "EUR"}
    met = outcome("failed", body, before, lead={COST: 30, CURRENCY: "USD"})
    assert settle({}, met) == before


def test_a_value_that_was_cleared_is_agreed_on_as_nothing() -> None:
    base = {COST: 100, CURRENCY: "EUR", "channel_id": "Spring"}
    body = {COST: None, "channel_id": None}
    moved = settle(base, outcome("applied", body, base, took=tuple(body)))
    assert moved == {COST: None, "channel_id": None}
    for lead in ({}, {COST: None, CURRENCY: "EUR"}, {COST: None, CURRENCY: None}):
        assert standing(COST, moved, lead) == "agreed"
    assert standing(COST, moved, {COST: 50, CURRENCY: "EUR"}) == "edited"


@pytest.mark.parametrize(
    ("sent", "shown", "tidied"),
    [
        ("Acme ", "Acme", True),
        ("a  b", "a b", True),
        ("Acme ", "acme", False),
        ("Acme", "Theirs", False),
        (50.504, 50.5, True),
        (76.6, 77, True),
        (5, 77, False),
        (50.5, None, False),
        (True, False, False),
        ({"amount": 1.005, "currency": "EUR"}, {"amount": 1.0, "currency": "EUR"}, True),
        ({"amount": 1.005, "currency": "EUR"}, {"amount": 1.0, "currency": "USD"}, False),
        ({"amount": 1.005, "currency": "EUR"}, None, False),
    ],
)
def test_what_the_crm_tidies_is_agreed_on_as_it_shows_it(
    sent: Any, shown: Any, tidied: bool
) -> None:
    assert is_tidied(sent, shown) == tidied
    told: Row = {"body": {"title": sent}, "before": {"title": "Old"}, "shown": {"title": shown}}
    base: Row = {"title": "Old"}
    assert moved_by(base, "ignored", (), **told) == ({"title": shown} if tidied else base)
    assert moved_by(base, "failed", (), **told) == base


def test_outcomes_of_one_lead_add_up() -> None:
    first = outcome("applied", {"is_archived": False}, {"is_archived": True}, took=("is_archived",))
    second = replace(
        outcome("failed", BODY, BEFORE, took=()), error=PipedriveError("refused"), lead=BEFORE
    )
    assert settle(settle({"title": "Old"}, first), second) == {"title": "Old", "is_archived": False}


ACTIONS = [
    *(("wish", value) for value in "ABC"),
    *(("edit", value) for value in "ABC"),
    *(("run", how) for how in ("taken", "lost", "in doubt")),
]
State = tuple[str, str, str | None]
"""What the row wants, what the lead has, and what both sides last agreed on."""


class Told:
    """One field as the promise tells it, beside what the functions make of it."""

    def __init__(self, rule: str, state: State) -> None:
        names = ["lead_id", "title", "updated_at"]
        self.columns = map_columns(names, FIELDS, on_conflict=rule)
        self.rule = rule
        self.wish, self.lead, self.agreed = state
        self.base: Row = {} if self.agreed is None else {"title": self.agreed}

    def step(self, action: str, what: str) -> State:
        if action == "wish":
            self.wish = what
        elif action == "edit":
            self.lead = what
        else:
            self._run(what)
        assert self.base == ({} if self.agreed is None else {"title": self.agreed})
        return self.wish, self.lead, self.agreed

    def _run(self, how: str) -> None:
        row = {"lead_id": LEAD_ID, "title": self.wish, "updated_at": "2020-01-01"}
        lead = {"id": LEAD_ID, "title": self.lead, "update_time": "2026-01-01T00:00:00Z"}
        decision = decide([row], lead, self.columns, base=self.base)
        self.base = {**(self.base if decision.base is None else decision.base)}
        equal = self.wish == self.lead
        theirs = self.agreed not in (None, self.lead) and self.rule != "warehouse"
        assert isinstance(decision, Unchanged) == equal
        assert isinstance(decision, Planned) == (not equal and not theirs)
        if equal:
            self.agreed = self.lead
        elif isinstance(decision, Planned):
            assert decision.unagreed == (self.agreed is None and self.rule != "warehouse")
            self._send(decision, how)

    def _send(self, decision: Planned, how: str) -> None:
        [change] = decision.changes
        one = outcome("applied", change.body, change.before, took=("title",))
        if how == "lost":
            one = replace(one, status="deferred", took=())
        else:
            self.lead = self.agreed = self.wish
        if how == "in doubt":  # the run knew nothing, a later one found it
            self.base = settle(self.base, replace(one, status="failed", took=None))
            one = replace(one, status="confirmed", lead={"title": self.wish})
        self.base = settle(self.base, one)


@pytest.mark.parametrize("rule", ["crm", "fail", "newest", "warehouse"])
def test_every_history_of_a_field_keeps_the_promise(rule: str) -> None:
    """Every state that wishes, edits and runs in any number and order lead to."""
    seen: set[State] = set()
    ahead: list[State] = [("A", "C", None)]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += [Told(rule, state).step(*action) for action in ACTIONS]
    assert len(seen) == 3 * 3 * 4
