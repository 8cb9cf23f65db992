"""Ordered streams merged by lead, held against a join of all that they hold."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import WarehouseError
from connector.warehouse.comparison import Stream, merge_by_lead

LEADS = sorted(str(uuid.uuid5(uuid.NAMESPACE_URL, f"lead/{number}")) for number in range(6))
ODD = ["", " ", "x", "~", "zz", "{brace}", "\U0001f642", LEADS[2].replace("-", ""), "İ"]
Items = list[tuple[str | None, int]]


def stream(items: Iterable[tuple[str | None, Any]]) -> Stream:
    yield from items


def ordered(ids: list[str]) -> st.SearchStrategy[Items]:
    pairs = st.tuples(st.sampled_from(ids), st.integers())
    return st.lists(pairs, max_size=12).map(
        lambda items: sorted(items, key=lambda one: str(one[0]))
    )


def items_of(lead: str | None, items: Items) -> list[int]:
    return [item for one, item in items if one == lead]


@given(ordered([*LEADS, *ODD]), st.lists(st.integers(), max_size=3), ordered(LEADS), ordered(LEADS))
def test_each_lead_comes_once_with_all_that_there_is_of_it(
    leading: Items, nulls: list[int], first: Items, second: Items
) -> None:
    without: Items = [(None, number) for number in nulls]
    merged = list(merge_by_lead(stream([*leading, *without]), stream(first), stream(second)))
    expected: list[Any] = [
        (
            lead,
            [item for _, item in group],
            [items_of(lead, beside) if lead in LEADS else [] for beside in (first, second)],
        )
        for lead, group in groupby(leading, lambda one: one[0])
    ]
    assert merged == [*expected, *((None, [number], [[], []]) for number in nulls)]


@pytest.mark.parametrize("place", range(4))
def test_rows_without_a_lead_may_come_anywhere_and_stand_alone(place: int) -> None:
    leading: Items = [(LEADS[0], 1), (LEADS[0], 2), (LEADS[1], 3)]
    leading[place:place] = [(None, 8), (None, 9)]
    beside = stream([(LEADS[0], "a"), (LEADS[1], "b")])
    merged = list(merge_by_lead(stream(leading), beside))
    assert [items for lead, items, _ in merged if lead is None] == [[8], [9]]
    assert {lead: found for lead, _, [found] in merged if lead}[LEADS[1]] == ["b"]


@pytest.mark.parametrize("odd", ODD)
def test_an_id_of_no_lead_leads_no_other_stream_astray(odd: str) -> None:
    """Such as an id that sorts after all others here, and before them in the warehouse."""
    leading = stream([(odd, 0), (LEADS[0], 1), (odd, 2), (LEADS[1], 3)])
    beside = stream([(odd, "x"), (LEADS[0], "a"), (odd, "y"), (LEADS[1], "b")])
    merged = [(lead, found) for lead, _, [found] in merge_by_lead(leading, beside)]
    assert merged == [(odd, []), (LEADS[0], ["a"]), (odd, []), (LEADS[1], ["b"])]


@pytest.mark.parametrize("disorderly", ["leading", "beside"])
def test_a_warehouse_that_sorts_otherwise_is_told_and_never_believed(disorderly: str) -> None:
    """A lead that is passed by would be taken for deleted."""
    right: Items = [(lead, 1) for lead in LEADS]
    wrong: Items = [right[0], right[2], right[1], *right[3:]]
    leading, beside = (wrong, right) if disorderly == "leading" else (right, wrong)
    with pytest.raises(WarehouseError, match=f"sorts lead {LEADS[1]} after {LEADS[2]}"):
        list(merge_by_lead(stream(leading), stream(beside)))


def test_streams_are_read_side_by_side_and_never_held() -> None:
    count, read = 50_000, 0
    ids = [str(uuid.UUID(int=number)) for number in range(count)]

    def counting() -> Stream:
        nonlocal read
        for lead in ids:
            read += 1
            yield lead, None

    for number, (lead, _, [found]) in enumerate(
        merge_by_lead(stream((x, 0) for x in ids), counting())
    ):
        assert (lead, len(found)) == (ids[number], 1)
        assert read <= number + 2


def test_all_streams_are_closed_when_the_reader_has_enough() -> None:
    closed: list[str] = []

    def open_stream(name: str) -> Stream:
        try:
            yield from ((lead, 0) for lead in LEADS)
        finally:
            closed.append(name)

    merged = merge_by_lead(open_stream("leading"), open_stream("beside"))
    next(merged)
    del merged
    assert sorted(closed) == ["beside", "leading"]
