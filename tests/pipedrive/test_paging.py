"""Where the next page starts: the shape that is seen, the shape that is published, neither."""

from __future__ import annotations

from typing import Any

import pytest

from connector.pipedrive.errors import AccountError
from connector.pipedrive.paging import PAGE_LIMIT, next_start, rows_of


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
        (nested(more=False, next_start=500), 0, 500, None),
        (flat(more=True), 500, 500, 1000),
        (flat(more=True, next_start=700), 500, 500, 700),
        (flat(more=False), 0, 500, None),
        (None, 0, PAGE_LIMIT, PAGE_LIMIT),
        (None, 500, PAGE_LIMIT, 1000),
        (None, 0, PAGE_LIMIT - 1, None),
        (None, 0, 0, None),
        ({}, 0, PAGE_LIMIT, PAGE_LIMIT),
        ([], 0, 3, None),
        ({"pagination": None}, 0, 3, None),
        ({"pagination": {}}, 0, PAGE_LIMIT, PAGE_LIMIT),
    ],
)
def test_next_start(additional: Any, start: int, received: int, expected: int | None) -> None:
    assert next_start({"additional_data": additional}, start, received) == expected


def test_a_page_without_additional_data() -> None:
    assert next_start({"data": []}, 0, 0) is None
    assert next_start({"data": []}, 0, PAGE_LIMIT) == PAGE_LIMIT


@pytest.mark.parametrize(
    ("additional", "start", "received"),
    [
        (nested(more=True, next_start=500), 500, 500),
        (nested(more=True, next_start=100), 500, 500),
        (nested(more=True, next_start=-1), 0, 500),
        (nested(more=True, next_start="later"), 0, 500),
        (nested(more=True), 500, 0),
        (nested(more=True, next_start=1000), 500, 0),
        (flat(more=True), 0, 0),
    ],
)
def test_a_marker_that_does_not_advance_ends_the_run(
    additional: Any, start: int, received: int
) -> None:
    with pytest.raises(AccountError, match=f"page at {start} "):
        next_start({"additional_data": additional}, start, received)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, [{"id": "a"}, {"id": "b"}]),
        ({"data": []}, []),
        ({"data": None}, []),
        ({}, []),
        ({"data": {"id": "a"}}, []),
        ({"data": [None, {"id": "a"}, 3]}, [{"id": "a"}]),
    ],
)
def test_rows(document: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert rows_of(document) == expected
