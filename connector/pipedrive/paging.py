"""How Pipedrive's v1 lists go on: two shapes of the same marker."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from connector.pipedrive.documents import is_too_deep
from connector.pipedrive.errors import AccountError


def rows_of(document: dict[str, Any]) -> list[Any]:
    """Returns the rows of a page as they came; `data` may be null on an empty one.

    Raises:
        AccountError: `data` is something else, so the API is not the one that is known.
    """
    data = document.get("data", "nothing at all")
    if data is None:
        return []
    if isinstance(data, list):
        return data
    what = data if isinstance(data, str) else type(data).__name__
    raise AccountError(f"`data` is no list but {what[:80]!r}: the API has changed")


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
        raise AccountError(f"the page at {start} names {str(following)[:80]!r} as the next one")
    return int(following)


def _is_behind(following: Any, start: int, limit: int) -> bool:
    """Tells whether a page may follow: nearer is a repetition, farther would skip rows."""
    is_whole = isinstance(following, int) and not isinstance(following, bool)
    return is_whole and start < following <= start + limit


def ahead(pages: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Yields page after page; while the caller looks at one, the next is on its way."""
    with ThreadPoolExecutor(1, thread_name_prefix="page") as reader:
        coming = reader.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = reader.submit(next, pages, None)
            yield page
