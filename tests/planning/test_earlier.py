"""Patches that an interrupted run left: in effect, still to be sent, overtaken, or lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.planning.diff import decide
from connector.planning.earlier import (
    LEFT_OUT,
    NOT_WANTED,
    Resolved,
    as_wanted,
    resolve_doubt,
    resolve_interrupted,
    resolve_planned,
)
from connector.planning.model import Comparison, Outcome, Patch, Planned
from connector.warehouse.rows import outcome_row, patch_rows, settled_rows
from connector.warehouse.schema import LEAD_OUTCOMES, LEAD_PATCHES
from tests.support.account import BY_KEY, COLD, HOT, LEAD, LEAD_ID, Lead, Row, columns_of, decided

PLAN = "20260101-000000-aaaaaa"
ARCHIVED = {**LEAD, "is_archived": True}


def patches_of(
    cells: Row, lead: Lead, *, unarchive: bool = False, sent_by: str | None = PLAN
) -> list[Patch]:
    """The patches that these cells made a plan of."""
    decision = decided(cells, lead, unarchive=unarchive)
    assert isinstance(decision, Planned)
    return [
        Patch(row["patch_id"], PLAN, LEAD_ID, row["body"], row["before"], sent_by=sent_by)
        for row in patch_rows(PLAN, 7, decision)
    ]


def resolved(
    patches: list[Patch], lead: Lead | None, *rows: Row, unarchive: bool = False
) -> Resolved:
    """What becomes of interrupted patches, for the desired rows as they are now."""
    rows = tuple({"lead_id": LEAD_ID, **row} for row in rows)
    columns = columns_of(*rows, {"lead_id": LEAD_ID})
    found = Comparison(LEAD_ID, rows, lead, patches)
    return resolve_interrupted(found, BY_KEY, as_wanted(columns, unarchive=unarchive))


def settled(
    patches: list[Patch], lead: Lead | None, *rows: Row, unarchive: bool = False
) -> list[tuple[str, str]]:
    """The number and status of every outcome; whatever has none is left to be sent."""
    found = resolved(patches, lead, *rows, unarchive=unarchive)
    done = {one.patch.patch_id for one in found.outcomes}
    assert {patch.patch_id for patch in found.left} == {one.patch_id for one in patches} - done
    return [(one.patch.patch_id[-1], one.status) for one in found.outcomes]


TITLE: Row = {"title": "New"}
BOTH: Row = {"title": "New", "channel": None}


@pytest.mark.parametrize(
    ("planned", "now", "lead", "expected"),
    [
        (TITLE, [TITLE], {**LEAD, "title": "New"}, ["confirmed"]),
        (BOTH, [BOTH], {**LEAD, "title": "New", "channel": None}, ["confirmed"]),
        (TITLE, [], {**LEAD, "title": "New"}, ["confirmed"]),
        (TITLE, [{"title": "Newer"}], {**LEAD, "title": "New"}, ["confirmed"]),
        (TITLE, [TITLE], LEAD, []),
        (BOTH, [BOTH], LEAD, []),
        (BOTH, [BOTH], {**LEAD, "title": "New"}, []),
        (BOTH, [BOTH], {**LEAD, "title": "New", "channel": 9}, ["conflict"]),
        (BOTH, [TITLE], {**LEAD, "title": "New"}, ["confirmed"]),
        (TITLE, [TITLE], {**LEAD, "title": "A person's"}, ["conflict"]),
        (TITLE, [{"title": "Newer"}], LEAD, ["deferred"]),
        (TITLE, [{"title": "Pilot"}], LEAD, ["deferred"]),
        (TITLE, [BOTH], LEAD, ["deferred"]),
        (TITLE, [{"title": ""}], LEAD, ["deferred"]),
        (TITLE, [{}], LEAD, ["deferred"]),
        (TITLE, [TITLE, TITLE], LEAD, ["deferred"]),
        (TITLE, [], LEAD, ["deferred"]),
        (TITLE, [TITLE], ARCHIVED, ["deferred"]),
        (TITLE, [TITLE], None, ["not_found"]),
        (TITLE, [], None, ["not_found"]),
        ({"label_ids": [HOT, COLD]}, [], {**LEAD, "label_ids": [COLD, HOT]}, ["confirmed"]),
    ],
)
def test_one_patch(planned: Row, now: list[Row], lead: Lead | None, expected: list[str]) -> None:
    found = settled(patches_of(planned, LEAD), lead, *now)
    assert [status for _, status in found] == expected


@pytest.mark.parametrize(
    ("rows", "lead", "only", "reasons"),
    [
        ([BOTH], LEAD, {"title"}, [LEFT_OUT]),
        ([BOTH], LEAD, {"value"}, [LEFT_OUT]),
        ([{"title": "Newer", "channel": None}], LEAD, {"title"}, [LEFT_OUT]),
        ([{"title": "Newer", "channel": None}], LEAD, {"title", "channel"}, [NOT_WANTED]),
        ([], LEAD, {"title"}, [NOT_WANTED]),
        ([BOTH], LEAD, {"title", "channel"}, []),
        ([BOTH], {**LEAD, "channel": None}, {"title"}, []),
    ],
)
def test_a_patch_of_fields_that_are_left_out_is_closed_for_that(
    rows: list[Row], lead: Lead, only: set[str], reasons: list[str]
) -> None:
    rows = [{"lead_id": LEAD_ID, **row} for row in rows]
    columns = replace(columns_of({"lead_id": LEAD_ID, **BOTH}), only=frozenset(only))
    found = Comparison(LEAD_ID, rows, lead, patches_of(BOTH, LEAD))
    wanted = as_wanted(columns, unarchive=False)
    resolved = resolve_interrupted(found, BY_KEY, wanted)
    told = [one.reason or "" for one in resolved.outcomes]
    assert [one.rpartition("sent: ")[2] for one in told] == reasons


@pytest.mark.parametrize(
    ("row", "lead", "told"),
    [
        (
            TITLE,
            ARCHIVED,
            "not sent now: archived in Pipedrive, so it may not be edited",
        ),
        ({"title": ""}, LEAD, "not sent now: title ''"),
        ({"title": "Newer"}, LEAD, "no longer what is wanted"),
        ({"title": "Pilot"}, LEAD, "no longer what is wanted"),
    ],
)
def test_why_a_patch_is_not_sent_any_more_is_told(row: Row, lead: Lead, told: str) -> None:
    rows = [{"lead_id": LEAD_ID, **row}]
    found = Comparison(LEAD_ID, rows, lead, patches_of(TITLE, LEAD))
    wanted = as_wanted(columns_of(*rows), unarchive=False)
    [outcome] = resolve_interrupted(found, BY_KEY, wanted).outcomes
    begins = f"interrupted before it took effect, and {told}"
    assert (outcome.status, str(outcome.reason)[: len(begins)]) == ("deferred", begins)


UNARCHIVED: Row = {"title": "New", "is_archived": False}


@pytest.mark.parametrize(
    ("lead", "expected"),
    [
        (ARCHIVED, []),
        (LEAD, [("1", "confirmed")]),
        ({**LEAD, "title": "New"}, [("1", "confirmed"), ("2", "confirmed")]),
        ({**LEAD, "title": "Other"}, [("1", "confirmed"), ("2", "conflict")]),
        (None, [("1", "not_found"), ("2", "not_found")]),
    ],
)
def test_two_patches_of_one_lead(lead: Lead | None, expected: list[tuple[str, str]]) -> None:
    patches = patches_of(UNARCHIVED, ARCHIVED, unarchive=True)
    assert len(patches) == 2
    assert settled(patches, lead, UNARCHIVED, unarchive=True) == expected


def test_un_archiving_that_is_no_longer_allowed_is_not_sent() -> None:
    patches = patches_of(UNARCHIVED, ARCHIVED, unarchive=True)
    found = settled(patches, ARCHIVED, UNARCHIVED, unarchive=False)
    assert found == [("1", "deferred"), ("2", "deferred")]


def test_a_patch_of_a_field_that_the_account_lost() -> None:
    key = "d4" * 20
    patch = Patch("p-1", PLAN, LEAD_ID, {key: "x"}, {key: None}, sent_by=PLAN)
    assert settled([patch], {**LEAD, key: "x"}) == [("1", "confirmed")]
    assert settled([patch], LEAD) == [("1", "deferred")]


def test_a_damaged_patch_is_never_sent() -> None:
    patch = Patch("p-1", PLAN, LEAD_ID, {"title": "New"}, {"title": "Pilot"}, intact=False)
    assert settled([patch], LEAD, {"title": "New"}) == [("1", "failed")]


def test_a_confirmed_outcome_shows_the_lead() -> None:
    [patch] = patches_of(BOTH, LEAD)
    lead = {**LEAD, "title": "New", "channel": None}
    [outcome] = resolved([patch], lead).outcomes
    row = outcome_row("later", outcome)
    assert row["after"] == {"title": "New", "channel": None}
    assert (row["outcome_id"], row["plan_id"]) == (patch.patch_id, PLAN)
    assert (row["run_id"], row["settled_by"]) == (PLAN, "later")
    assert row["took"] == ["title", "channel"]


def test_what_is_in_effect_in_part_is_sent_its_rest_where_it_is_wanted() -> None:
    [patch] = patches_of(BOTH, LEAD)
    [left] = resolved([patch], {**LEAD, "title": "New"}, BOTH).left
    assert (left.took, left.left) == (("title",), ("channel",))


def test_what_somebody_changed_is_a_conflict_and_the_rest_is_told_as_taken() -> None:
    [patch] = patches_of(BOTH, LEAD)
    found = resolved([patch], {**LEAD, "title": "New", "channel": 9}, BOTH)
    [outcome] = found.outcomes
    assert not found.left
    assert (outcome.status, outcome.took) == ("conflict", ("title",))
    assert "channel" in str(outcome.reason).casefold()


@pytest.mark.parametrize(
    ("lead", "status", "took"),
    [
        ({**LEAD, "title": "New", "channel": None}, "confirmed", ("title", "channel")),
        ({**LEAD, "title": "New"}, "failed", ("title",)),
        ({**LEAD, "title": "New", "channel": 9}, "conflict", ("title",)),
        ({**LEAD, "channel": 9}, "conflict", ()),
        (LEAD, "failed", ()),
        (None, "not_found", ()),
    ],
)
def test_a_doubt_is_settled_by_what_the_lead_shows(
    lead: Lead | None, status: str, took: tuple[str, ...]
) -> None:
    found = Comparison(LEAD_ID, [], lead, patches_of(BOTH, LEAD))
    [outcome] = resolve_doubt(found, BY_KEY)
    assert (outcome.status, outcome.took) == (status, took)


@pytest.mark.parametrize(
    ("lead", "statuses", "left"),
    [
        (LEAD, [], ("title", "channel")),
        ({**LEAD, "title": "New"}, [], ("channel",)),
        ({**LEAD, "title": "New", "channel": None}, ["confirmed"], None),
        ({**LEAD, "title": "A person's"}, ["conflict"], None),
        ({**LEAD, "title": "New", "channel": 9}, ["conflict"], None),
        ({**LEAD, "is_archived": True}, ["archived"], None),
        (None, ["not_found"], None),
    ],
)
def test_of_a_stored_plan_nothing_is_in_effect_through_it(
    lead: Lead | None, statuses: list[str], left: tuple[str, ...] | None
) -> None:
    found = Comparison(LEAD_ID, [], lead, patches_of(BOTH, LEAD, sent_by=None))
    result = resolve_planned(found, BY_KEY)
    assert [one.status for one in result.outcomes] == statuses
    assert all(one.took == () for one in result.outcomes)
    assert [(one.left, one.took) for one in result.left] == ([(left, ())] if left else [])


@pytest.mark.parametrize(
    ("sent_by", "told"), [(PLAN, "took effect is not known"), (None, "not sent")]
)
def test_of_a_lead_that_is_gone_the_reason_says_whether_a_patch_may_have_been_sent(
    sent_by: str | None, told: str
) -> None:
    patches = patches_of(BOTH, LEAD, sent_by=sent_by)
    planned = resolve_planned(Comparison(LEAD_ID, [], None, patches), BY_KEY)
    for found in (planned, resolved(patches, None, BOTH)):
        [outcome] = found.outcomes
        assert (outcome.status, outcome.took, found.left) == ("not_found", (), [])
        assert told in str(outcome.reason)


ARCHIVING: Row = {"title": "New", "is_archived": True}


@pytest.mark.parametrize(
    ("title", "sent_by", "status", "told"),
    [
        ("Pilot", PLAN, "archived", "archived by this patch itself"),
        ("A person's", PLAN, "conflict", "A person's"),
        ("Pilot", None, "archived", "archived in Pipedrive since it was planned"),
        ("A person's", None, "archived", "archived in Pipedrive since it was planned"),
    ],
)
def test_who_has_archived_the_lead_of_a_stored_plan_is_told(
    title: str, sent_by: str | None, status: str, told: str
) -> None:
    patches = patches_of(ARCHIVING, LEAD, sent_by=sent_by)
    found = Comparison(LEAD_ID, [], {**ARCHIVED, "title": title}, patches)
    result = resolve_planned(found, BY_KEY)
    [outcome] = result.outcomes
    assert not result.left
    assert (outcome.status, told in str(outcome.reason)) == (status, True)
    assert outcome.took == (("is_archived",) if sent_by else ())


@pytest.mark.parametrize("lead", [None, LEAD])
def test_outcomes_have_every_column(lead: Lead | None) -> None:
    [patch] = patches_of(TITLE, LEAD)
    row = outcome_row("run", Outcome(patch, "applied", lead=lead))
    assert row.keys() == LEAD_OUTCOMES.columns.keys()
    assert row["http_status"] == 200


def test_a_row_that_was_never_planned_has_an_outcome_with_every_column() -> None:
    decision: Any = decided({"title": ""}, LEAD)
    [row] = settled_rows("run", PLAN, 3, decision)
    assert row.keys() == LEAD_OUTCOMES.columns.keys()
    assert (row["status"], row["patch_id"], row["lead_id"]) == ("rejected", None, LEAD_ID)


def test_each_of_two_rows_for_one_lead_has_its_outcome() -> None:
    twins = [{"lead_id": LEAD_ID, "title": "a"}, {"lead_id": LEAD_ID, "title": "b"}]
    decision: Any = decide(twins, LEAD, columns_of(*twins))
    rows = list(settled_rows("run", PLAN, 3, decision))
    assert [row["status"] for row in rows] == ["rejected", "rejected"]
    assert len({row["outcome_id"] for row in rows}) == 2


def test_patches_have_every_column_and_sort_in_the_order_of_sending() -> None:
    decision: Any = decided(UNARCHIVED, ARCHIVED, unarchive=True)
    rows = [row for number in (2, 10, 11) for row in patch_rows(PLAN, number, decision)]
    ids = [row["patch_id"] for row in rows]
    assert ids == sorted(set(ids))
    assert all(row.keys() == LEAD_PATCHES.columns.keys() for row in rows)
