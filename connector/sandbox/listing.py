"""Lists: which leads, in which order, and one page of them in either shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from connector.sandbox import clock, replies
from connector.sandbox.custom import Lead, as_read
from connector.sandbox.replies import Reply
from connector.sandbox.settings import Settings
from connector.sandbox.store import LeadStore

Query = Mapping[str, str]
Row = TypeVar("Row")

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 500
FILTERS: Final = frozenset({"owner_id", "person_id", "organization_id"})
SORTABLE: Final = frozenset(
    {
        "id",
        "title",
        "owner_id",
        "creator_id",
        "was_seen",
        "expected_close_date",
        "next_activity_id",
        "add_time",
        "update_time",
    }
)


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a list that a page shows."""

    start: int
    limit: int


def lead_page(leads: LeadStore, query: Query, settings: Settings, *, archived: bool) -> Reply:
    """Answer a list of leads; a parameter that makes no sense is refused with 400 (assumed)."""
    try:
        chosen = matching(leads, query, archived=archived)
        if sort := query.get("sort"):
            chosen = ordered(chosen, sort)
        part, more = cut(chosen, window(query))
    except ValueError as wrong:
        return replies.refusal(400, "Bad request", str(wrong))
    return page([as_read(lead, settings) for lead in part], window(query), settings, more=more)


def field_page(rows: Iterable[dict[str, Any]], query: Query, settings: Settings) -> Reply:
    """Answer a list of field definitions."""
    try:
        part, more = cut(rows, window(query))
    except ValueError as wrong:
        return replies.refusal(400, "Bad request", str(wrong))
    return page(part, window(query), settings, more=more)


def matching(leads: LeadStore, query: Query, *, archived: bool) -> Iterable[Lead]:
    """Return the leads a query asks for; `updated_since` is inclusive (documented).

    Raises:
        ValueError: A parameter makes no sense.
    """
    if "filter_id" in query:
        raise ValueError("filter_id: no filter with this id")
    wanted = {key: int(query[key]) for key in FILTERS & query.keys()}
    since = "" if archived else _since(query)
    chosen: Iterable[Lead] = leads.listed(archived=archived)
    if since:
        chosen = (lead for lead in chosen if lead["update_time"] >= since)
    if wanted:
        chosen = (lead for lead in chosen if all(lead[key] == wanted[key] for key in wanted))
    return chosen


def _since(query: Query) -> str:
    text = query.get("updated_since")
    return clock.first_stamp_since(clock.parsed(text)) if text else ""


def ordered(leads: Iterable[Lead], sort: str) -> list[Lead]:
    """Return leads by `name DESC,name2 ASC`; null comes before all else (assumed).

    Raises:
        ValueError: A name is not sortable or a direction is neither ASC nor DESC.
    """
    rows = list(leads)
    for part in reversed(sort.split(",")):
        name, _, direction = part.strip().partition(" ")
        if name not in SORTABLE or direction.upper() not in {"", "ASC", "DESC"}:
            raise ValueError(f"sort: cannot sort by {part.strip()!r}")
        rows.sort(key=_rank(name), reverse=direction.upper() == "DESC")
    return rows


def _rank(name: str) -> Callable[[Lead], tuple[bool, Any]]:
    return lambda lead: (lead[name] is not None, lead[name])


def window(query: Query) -> Window:
    """Return the page a query asks for: 100 rows by default, never more than 500.

    Raises:
        ValueError: `start` or `limit` is not a number that makes sense.
    """
    start, limit = int(query.get("start", 0)), int(query.get("limit", DEFAULT_LIMIT))
    if start < 0 or limit < 1:
        raise ValueError("start must be at least 0 and limit at least 1")
    return Window(start, min(limit, MAX_LIMIT))


def cut(rows: Iterable[Row], part: Window) -> tuple[list[Row], bool]:
    """Return a page's rows and whether there are more after them."""
    taken = list(islice(rows, part.start, part.start + part.limit + 1))
    return taken[: part.limit], len(taken) > part.limit


def page(rows: list[Any], part: Window, settings: Settings, *, more: bool) -> Reply:
    """Answer a page in the shape that the settings name."""
    paging = {"start": part.start, "limit": part.limit, "more_items_in_collection": more}
    data = rows if rows or settings.empty_page == "list" else None
    if settings.page_shape == "flat":
        return replies.ok(data, paging)
    if more:
        paging["next_start"] = part.start + part.limit
    return replies.ok(data, {"pagination": paging})
