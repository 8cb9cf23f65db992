"""How Pipedrive's v1 lists go on: two shapes of the same marker."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from connector.pipedrive.errors import AccountError

PAGE_LIMIT = 500
"""Rows a page: the documented maximum, as a page costs the same whatever its size."""


def rows_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the rows of a page; `data` may be null on an empty one."""
    data = document.get("data")
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def next_start(document: dict[str, Any], start: int, received: int) -> int | None:
    """Returns where the next page starts, or None after the last one.

    The wire nests the marker in `pagination` (documented examples); the published schema
    shows it flat and without `next_start`. Without any marker a full page has a next one.

    Raises:
        AccountError: The marker does not advance, so the pages would never end.
    """
    additional = document.get("additional_data")
    extra = additional if isinstance(additional, dict) else {}
    nested = extra.get("pagination")
    marker = nested if isinstance(nested, dict) else extra
    more = marker.get("more_items_in_collection", received >= PAGE_LIMIT)
    if not more:
        return None
    if received == 0:
        raise AccountError(f"the page at {start} is empty and still names a next one")
    following = marker.get("next_start")
    if following is None:
        following = start + received
    if not isinstance(following, int) or following <= start:
        raise AccountError(f"the page at {start} names {following} as the next one")
    return following


def ahead(pages: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Yields page after page; while the caller looks at one, the next is on its way."""
    with ThreadPoolExecutor(1, thread_name_prefix="page") as reader:
        coming = reader.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = reader.submit(next, pages, None)
            yield page
