"""Pages on their way while the caller looks at one: all rows, in order, and none in vain."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.pipedrive.paging import Page, PagesAhead, walk


class Listed:
    """A list of rows that is read by page, and notes which pages were asked for."""

    def __init__(self, rows: int, limit: int) -> None:
        self.rows = list(range(rows))
        self.limit = limit
        self.asked: list[int] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def read(self, start: int) -> Page:
        with self._lock:
            self.asked.append(start)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.001)
        with self._lock:
            self.at_once -= 1
        page: list[Any] = self.rows[start : start + self.limit]
        following = start + len(page)
        return page, following if following < len(self.rows) else None


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(1, 7), st.integers(0, 60), st.integers(1, 8))
def test_every_row_comes_once_and_in_order(
    rows: int, limit: int, expected: int, width: int
) -> None:
    listed = Listed(rows, limit)
    found = [row for page, _ in PagesAhead(listed.read, expected, width).walk() for row in page]
    assert found == listed.rows
    needed = set(range(0, max(rows, 1), limit))
    assert needed <= set(listed.asked)
    assert len(listed.asked) == len(set(listed.asked))
    in_vain = set(listed.asked) - needed
    assert all(rows <= start < expected - limit // 2 for start in in_vain)


def test_no_page_is_asked_for_in_vain_where_the_length_is_right() -> None:
    listed = Listed(100, 10)
    list(PagesAhead(listed.read, 100, 8).walk())
    assert sorted(listed.asked) == list(range(0, 100, 10))
    assert listed.most_at_once > 2


def test_a_list_that_has_lost_less_than_half_a_page_costs_none_in_vain() -> None:
    for rows in range(60, 101):
        listed = Listed(rows, 10)
        list(PagesAhead(listed.read, rows + 5, 8).walk())
        assert sorted(listed.asked) == list(range(0, rows, 10))


def test_a_page_that_begins_elsewhere_is_read_there() -> None:
    """A server whose pages are of different sizes."""
    ends = {0: 10, 10: 15, 15: 25, 25: None}

    def read(start: int) -> Page:
        return list(range(start, ends[start] or 30)), ends[start]

    def lenient(start: int) -> Page:
        return read(start) if start in ends else ([], None)

    pages = [page for page, _ in PagesAhead(lenient, 30, 4).walk()]
    assert [row for page in pages for row in page] == list(range(30))
    assert [row for page, _ in walk(read) for row in page] == list(range(30))


@pytest.mark.parametrize("width", [1, 4])
def test_a_page_that_fails_is_told_when_its_turn_comes(width: int) -> None:
    listed = Listed(50, 10)

    def read(start: int) -> Page:
        if start == 20:
            raise ConnectionError("no page")
        return listed.read(start)

    pages = PagesAhead(read, 50, width).walk()
    assert [next(pages)[0][0], next(pages)[0][0]] == [0, 10]
    with pytest.raises(ConnectionError):
        next(pages)


def test_a_reader_that_has_enough_leaves_no_page_behind() -> None:
    listed = Listed(1000, 10)
    pages = PagesAhead(listed.read, 1000, 4).walk()
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    asked = len(listed.asked)
    time.sleep(0.05)
    assert len(listed.asked) == asked <= 6
