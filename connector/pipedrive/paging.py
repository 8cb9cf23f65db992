"""How Pipedrive's v1 lists go on: two shapes of the same marker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from connector.pipedrive.documents import is_too_deep
from connector.pipedrive.errors import AccountError

Page = tuple[list[Any], int | None]
"""The rows of a page, and where the next one starts; None after the last one."""
ReadPage = Callable[[int], Page]
SHARED_ROWS = 5
"""Rows that two pages have in common where it matters that none lies between them."""


def rows_of(document: dict[str, Any]) -> list[Any]:
    """Returns the rows of a page as they came; `data` may be null on an empty one.

    Raises:
        AccountError: `data` is something else, so the API is not the one that is known.
    """
    if "data" not in document:
        raise AccountError("the answer has no `data`: the API has changed")
    data = document["data"]
    if data is None:
        return []
    if isinstance(data, list):
        return data
    # Never the text itself: cut somewhere, it would have a part of a token at its end.
    raise AccountError(f"`data` is no list but of type {type(data).__name__}: the API has changed")


def records_of(rows: list[Any]) -> list[dict[str, Any]]:
    """Returns the rows that are records and can be kept; a bad one does not hide the others.

    Raises:
        AccountError: None of several rows is a record.
    """
    records = [row for row in rows if isinstance(row, dict)]
    if len(rows) > 1 and not records:
        raise AccountError(f"none of {len(rows)} rows is a record: the API has changed")
    return [record for record in records if not is_too_deep(record)]


def next_start(document: dict[str, Any], start: int, received: int, limit: int) -> int | None:
    """Returns where the next page starts, or None after the last one.

    The wire nests the marker in `pagination` (documented examples); the published schema
    shows it flat and without `next_start`. Without any marker a full page has a next one.

    Args:
        document: The answer that is the page.
        start: Where the page starts.
        received: How many rows it has.
        limit: How many it was asked for.

    Raises:
        AccountError: The marker does not advance, so the pages would never end.
    """
    additional = document.get("additional_data")
    extra = additional if isinstance(additional, dict) else {}
    nested = extra.get("pagination")
    marker = nested if isinstance(nested, dict) else extra
    more = marker.get("more_items_in_collection", received >= limit)
    if more in (False, None, 0, "", "0", "false", "False"):
        return None
    if received == 0:
        raise AccountError(f"the page at {start} is empty and still names a next one")
    following = marker.get("next_start")
    if following is None:
        following = start + received
    if not _is_behind(following, start, limit):
        raise AccountError(f"the page at {start} names {str(following)!r} as the next one")
    return int(following)


def _is_behind(following: Any, start: int, limit: int) -> bool:
    """Tells whether a page may follow: nearer is a repetition, farther would skip rows."""
    is_whole = isinstance(following, int) and not isinstance(following, bool)
    return is_whole and start < following <= start + limit


def shared(page: Page, start: int) -> Page:
    """Returns a page whose last rows are to come again as the first ones of the next page.

    Where so many rows or more leave the list between two pages, these have none in common.

    Args:
        page: The page.
        start: Where it starts.
    """
    rows, following = page
    again = min(SHARED_ROWS, len(rows) // 2)
    return rows, None if following is None else max(start + 1, following - again)


def walk(read: ReadPage) -> Iterator[Page]:
    """Yields page after page, each read when it is asked for."""
    start: int | None = 0
    while start is not None:
        rows, start = read(start)
        yield rows, start


class PagesAhead:
    """Pages of a list that are on their way while the caller looks at one.

    Where it is known how long the list is, several are; else the next one. A page that does not
    begin where the one before it says is dropped, so that none is passed by.

    Args:
        read: Reads the page at a start; returns its rows, and where the next one starts.
        expected: How many rows the list has at least, as far as is known.
        width: Pages on their way at once.
    """

    def __init__(self, read: ReadPage, expected: int, width: int) -> None:
        self._read = read
        self._expected = expected
        self._width = width
        self._coming: dict[int, Future[Page]] = {}

    def walk(self) -> Iterator[Page]:
        """Yields page after page."""
        start: int | None = 0
        with ThreadPoolExecutor(self._width, thread_name_prefix="page") as pool:
            try:
                while start is not None:
                    coming = self._coming.pop(start, None) or pool.submit(self._read, start)
                    rows, following = coming.result()
                    if following is not None:
                        self._send_for(pool, following, following - start)
                    yield rows, following
                    start = following
            finally:
                self._drop(self._coming)

    def _send_for(self, pool: Executor, following: int, step: int) -> None:
        """Sends for the next page, and for those that are as good as certain to come after it.

        One that would be less than half full may be gone with the few leads that it had, and a
        page costs what it costs: it waits for the one before it to name it.
        """
        certain = range(following + step, self._expected - step // 2, step)
        starts = [following, *certain][: self._width]
        self._drop([start for start in self._coming if start not in starts])
        for start in starts:
            if start not in self._coming:
                self._coming[start] = pool.submit(self._read, start)

    def _drop(self, starts: Iterable[int]) -> None:
        for start in list(starts):
            self._coming.pop(start).cancel()
