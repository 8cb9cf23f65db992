"""Leads that go away, lists that shift, and answers that no honest server gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from connector import LeadSyncError
from connector.sync.summary import Summary
from tests.support.books import assert_books
from tests.support.front import Raw, front_of, once
from tests.support.harness import Row, Site
from tests.support.scene import assert_titles, desire, new_leads

PAGE = 10
LEADS = 3 * PAGE
MOST_PAGES = 100
LIST = "/api/v1/leads?"
SETTINGS = {"max_attempts": 2, "timeout_seconds": 5.0, "workers": 4}


def nothing(_method: str, _path: str) -> None:
    return None


def run_behind(
    site: Site, answer: Callable[[str, str], Raw | None], after: Callable[[str, str], Raw | None]
) -> Summary:
    with front_of(site.pipedrive.base_url, answer, PAGE, after) as url:
        return site.run(base_url=url, **SETTINGS)


def test_leads_that_go_away_after_the_list_was_read(site: Site) -> None:
    leads = new_leads(site, LEADS)
    titles = desire(site, leads)
    deleted, archived, merged = leads[3], leads[12], leads[25]

    def go_away() -> None:
        site.pipedrive.delete_lead(deleted)
        site.pipedrive.archive_lead(archived)
        site.pipedrive.delete_lead(merged)

    summary = run_behind(site, nothing, once("start=20", go_away))
    assert summary.exit_code == 3
    assert summary.statuses["applied"] == LEADS - 3
    outcomes = {row["lead_id"]: row["status"] for row in site.outcomes()}
    assert (outcomes[deleted], outcomes[archived]) == ("not_found", "archived")
    mirror = site.mirror()
    assert mirror[deleted]["gone_at"] is not None
    assert mirror[merged]["gone_at"] is not None
    assert mirror[leads[0]]["gone_at"] is None
    assert_books(site, edited=[archived])
    kept = {lead: title for lead, title in titles.items() if outcomes[lead] == "applied"}
    again = site.run(**SETTINGS)
    assert (again.statuses["not_found"], again.statuses["archived"]) == (2, 1)
    assert_titles(site, kept)
    assert_books(site, edited=[archived])


def test_pages_that_shift_while_they_are_read_skip_nobody(site: Site) -> None:
    leads = new_leads(site, LEADS)
    titles = desire(site, leads[1:])
    shift = once("start=0", lambda: site.pipedrive.delete_lead(leads[0]))
    assert run_behind(site, nothing, shift).exit_code == 0
    asked = [row["lead_id"] for row in site.pipedrive.requests("GET") if row["lead_id"]]
    assert asked == [leads[PAGE]]  # the one that moved to the page already read
    assert_titles(site, titles)
    assert_books(site)


def test_a_lead_listed_twice_is_changed_once(site: Site) -> None:
    leads = new_leads(site, LEADS)
    titles = desire(site, leads)
    early = {"title": "New and first", "add_time": "2020-01-01T00:00:00.000Z"}
    shift = once("start=0", lambda: site.pipedrive.set_lead(leads[0].replace("0", "f", 1), **early))
    assert run_behind(site, nothing, shift).exit_code == 0
    assert len(site.pipedrive.requests("PATCH")) == LEADS
    assert_titles(site, titles)
    assert_books(site)


def page_of(rows: list[Row], **marker: object) -> bytes:
    extra = {"pagination": marker} if marker else None
    return json.dumps({"success": True, "data": rows, "additional_data": extra}).encode()


NEW: Row = {"title": "Wanted", "update_time": "2026-06-02T10:00:00.000Z"}
OLD: Row = {"title": "As it was", "update_time": "2026-06-02T09:59:59.000Z"}


@pytest.mark.parametrize("on_two_pages", [True, False], ids=["two pages", "one page"])
@pytest.mark.parametrize("copies", [(NEW, OLD), (OLD, NEW)], ids=["newer first", "older first"])
def test_of_a_lead_listed_twice_the_newer_copy_counts(
    site: Site, copies: tuple[Row, Row], on_two_pages: bool
) -> None:
    """By the older one, the lead would be sent what it says already."""
    [lead] = new_leads(site, 1)
    site.desire_titles({lead: "Wanted"})
    first, second = ({"id": lead, "organization_id": 301, **copy} for copy in copies)
    another = {"id": lead.replace("0", "f", 1), "title": "Another", "organization_id": 301}
    pages = [page_of([first, another, second])]
    if on_two_pages:
        head = page_of([first, another], more_items_in_collection=True, next_start=2)
        pages = [head, page_of([second])]

    def answer(_method: str, path: str) -> Raw | None:
        return Raw(pages[0 if "start=0" in path else -1]) if path.startswith(LIST) else None

    summary = run_behind(site, answer, nothing)
    assert (summary.exit_code, summary.unchanged, summary.planned) == (0, 1, 0)
    shown = site.mirror()[lead]
    assert (shown["title"], shown["record"]["update_time"]) == tuple(NEW.values())


ROW: Row = {"id": "00000001-1234-4234-8234-123456789abc", "title": "As it is"}
HOSTILE: Mapping[str, Raw] = {
    "a page without marker": Raw(page_of([ROW])),
    "a lead without id": Raw(page_of([{**ROW, "id": None}, {"title": "No id"}])),
    "an id that is no text": Raw(page_of([{**ROW, "id": 17}, {**ROW, "id": {"a": 1}}])),
    "huge integers": Raw(page_of([{**ROW, "owner_id": 10**40, "next_activity_id": -(2**70)}])),
    "wrong types": Raw(page_of([{**ROW, "label_ids": 5, "value": "x"}])),
    "data null": Raw(b'{"success": true, "data": null}'),
    "data an object": Raw(b'{"success": true, "data": {"id": 1}}'),
    "rows that are no objects": Raw(b'{"success": true, "data": [1, null, "x", [[]]]}'),
    "wrong content type": Raw(page_of([ROW]), content_type="text/html"),
    "a page that is empty and goes on": Raw(page_of([], more_items_in_collection=True)),
    "a page that leads to itself": Raw(page_of([ROW], more_items_in_collection=True, next_start=0)),
    "a marker that is no number": Raw(
        page_of([ROW], more_items_in_collection=True, next_start="soon")
    ),
    "invalid UTF-8": Raw(b'{"success": true, "data": [{"id": "\xff\xfe\xc3("}]}'),
    "half an emoji": Raw(page_of([{**ROW, "title": "\ud83d"}])),
    "nested without end": Raw(b'{"success": true, "data": ' + b"[" * 100_000),
    "no JSON": Raw(b"<html>OK</html>", content_type="text/html"),
    "nothing": Raw(b""),
    "66 MiB": Raw(b" " * (66 << 20)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_list_ends_in_a_line_or_is_seen_through(site: Site, name: str) -> None:
    titles = desire(site, new_leads(site, 12))
    calls: list[str] = []

    def lie(_method: str, path: str) -> Raw | None:
        if not path.startswith(LIST) or len(calls) > MOST_PAGES:
            return None
        calls.append(path)
        return HOSTILE[name]

    try:
        summary = run_behind(site, lie, nothing)
    except LeadSyncError:
        assert site.pipedrive.requests("PATCH") == []
    else:
        assert summary.exit_code == 0
        assert_titles(site, titles)
    assert len(calls) < MOST_PAGES
    assert_books(site, note=name)
    if site.last_run()["state"] == "failed":
        assert site.run(**SETTINGS).exit_code == 0
        assert_titles(site, titles)
        assert_books(site, note=name)


def test_pages_without_end_are_noticed(site: Site) -> None:
    desire(site, new_leads(site, 5))
    calls: list[str] = []

    def go_on(_method: str, path: str) -> Raw | None:
        if not path.startswith(LIST):
            return None
        calls.append(path)
        return Raw(page_of([ROW], more_items_in_collection=len(calls) < MOST_PAGES))

    with pytest.raises(LeadSyncError):
        run_behind(site, go_on, nothing)
    assert len(calls) < MOST_PAGES
    assert site.pipedrive.requests("PATCH") == []


@pytest.mark.parametrize(
    "name",
    ["huge integers", "data null", "invalid UTF-8", "no JSON", "nested without end"],
)
def test_a_hostile_answer_to_a_patch_is_read_back(site: Site, name: str) -> None:
    titles = desire(site, new_leads(site, 3))

    def lie(method: str, _path: str) -> Raw | None:
        return HOSTILE[name] if method == "PATCH" else None

    summary = run_behind(site, nothing, lie)
    assert summary.exit_code == 0
    assert summary.statuses["confirmed"] == len(titles)
    assert_titles(site, titles)
    assert_books(site, note=name)
