"""Where the next page starts: the shape that is seen, the shape that is published, neither."""

from __future__ import annotations

from typing import Any

import pytest

from connector.pipedrive.documents import DEEPEST
from connector.pipedrive.errors import AccountError
from connector.pipedrive.paging import next_start, records_of, rows_of

LIMIT = 500


def nested(more: Any, **marker: Any) -> dict[str, Any]:
    return {"pagination": {"more_items_in_collection": more, **marker}}


def flat(more: Any, **marker: Any) -> dict[str, Any]:
    return {"more_items_in_collection": more, **marker}


@pytest.mark.parametrize(
    ("additional", "start", "received", "expected"),
    [
        (nested(more=True, next_start=500), 0, 500, 500),
        (nested(more=True, next_start=120), 100, 500, 120),
        (nested(more=True), 0, 100, 100),
        (nested(more=True, next_start=None), 100, 100, 200),
        (nested(more=False), 0, 500, None),
        (nested(more=None), 0, 500, None),
        (nested(more="false"), 0, 500, None),
        (nested(more="true"), 0, 500, 500),
        (nested(more=False, next_start=500), 0, 500, None),
        (flat(more=True), 500, 500, 1000),
        (flat(more=True, next_start=700), 500, 500, 700),
        (flat(more=False), 0, 500, None),
        (None, 0, LIMIT, LIMIT),
        (None, 500, LIMIT, 1000),
        (None, 0, LIMIT - 1, None),
        (None, 0, 0, None),
        ({}, 0, LIMIT, LIMIT),
        ([], 0, 3, None),
        ({"pagination": None}, 0, 3, None),
        ({"pagination": {}}, 0, LIMIT, LIMIT),
    ],
)
def test_next_start(additional: Any, start: int, received: int, expected: int | None) -> None:
    assert next_start({"additional_data": additional}, start, received, LIMIT) == expected


def test_a_page_without_additional_data() -> None:
    assert next_start({"data": []}, 0, 0, LIMIT) is None
    assert next_start({"data": []}, 0, LIMIT, LIMIT) == LIMIT


@pytest.mark.parametrize(
    ("additional", "start", "received"),
    [
        (nested(more=True, next_start=500), 500, 500),
        (nested(more=True, next_start=100), 500, 500),
        (nested(more=True, next_start=-1), 0, 500),
        (nested(more=True, next_start="later"), 0, 500),
        (nested(more=True, next_start=True), 0, 500),
        (nested(more=True, next_start=500.0), 0, 500),
        (nested(more=True, next_start=LIMIT + 1), 0, 500),
        (nested(more=True, next_start=2**70), 0, 500),
        (nested(more=True), 500, 0),
        (nested(more=True, next_start=1000), 500, 0),
        (flat(more=True), 0, 0),
    ],
)
def test_a_marker_that_does_not_advance_ends_the_run(
    additional: Any, start: int, received: int
) -> None:
    with pytest.raises(AccountError, match=f"page at {start} "):
        next_start({"additional_data": additional}, start, received, LIMIT)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, [{"id": "a"}, {"id": "b"}]),
        ({"data": []}, []),
        ({"data": None}, []),
        ({"data": [None, {"id": "a"}, 3]}, [None, {"id": "a"}, 3]),
    ],
)
def test_rows(document: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert rows_of(document) == expected


@pytest.mark.parametrize(
    "document",
    [{}, {"data": {"id": "a"}}, {"data": {}}, {"data": "x" * 9999}, {"data": 0}, {"data": False}],
    ids=lambda document: str(document)[:20],
)
def test_what_is_no_list_is_another_api(document: dict[str, Any]) -> None:
    with pytest.raises(AccountError, match="the API has changed") as raised:
        rows_of(document)
    assert len(str(raised.value)) < 200


def test_one_bad_row_does_not_hide_the_others() -> None:
    deep: Any = {"id": "deep"}
    for _ in range(DEEPEST):
        deep = {"id": "deep", "field": deep}
    good = {"id": "a", "field": [[[1]]]}
    assert records_of([None, good, 3, "id", deep, []]) == [good]
    assert records_of([None]) == records_of([]) == []


def test_rows_without_a_record_are_another_api() -> None:
    with pytest.raises(AccountError, match="none of 3 rows is a record"):
        records_of(["a", "b", None])
