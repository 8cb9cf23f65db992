"""Texts that something on the way may take for something else, through whole runs."""

from __future__ import annotations

import json

import pytest

from tests.support.front import Raw, front_of
from tests.support.harness import Row, Site, bodies
from tests.support.leads import EXTERNAL_ID, NOTES
from tests.support.strategies import MARKERS

LIST = "/api/v1/leads?"
BROKEN = {"a NUL": "Pilot\x00 two", "half an emoji": "\ud83d Pilot", "both": "\x00\ude00"}
SHOWN = {
    "a NUL": "Pilot\\u0000 two",
    "half an emoji": "\\ud83d Pilot",
    "both": "\\u0000\\ude00",
}


def test_titles_that_begin_with_a_marker_of_dlts_go_out_and_stay(site: Site) -> None:
    site.pipedrive.reset(leads=0)
    titles = {}
    for number, marker in enumerate(MARKERS):
        lead = f"{number:08x}-1234-4234-8234-123456789abc"
        titles[lead] = f"{marker}2026-12-31"
        site.pipedrive.set_lead(lead, title=f"{marker}50.50", person_id=1 + number)
    site.desire_titles(titles)
    assert site.run().statuses["applied"] == len(MARKERS)
    assert bodies(site.pipedrive) == {lead: [{"title": title}] for lead, title in titles.items()}
    assert {lead: row["title"] for lead, row in site.mirror().items()} == titles
    befores = {row["lead_id"]: json.loads(row["before"])["title"] for row in site.outcomes()}
    assert befores == {lead: f"{title[0]}50.50" for lead, title in titles.items()}
    assert [row["sent_at"] is None for row in site.outcomes()] == [False] * len(MARKERS)
    assert site.run().unchanged == len(MARKERS)


@pytest.mark.parametrize("name", BROKEN)
def test_a_lead_with_text_that_cannot_be_stored_is_synced_like_any_other(
    site: Site, name: str
) -> None:
    lead, other = sorted(
        key for key, row in site.pipedrive.leads().items() if not row["is_archived"]
    )[:2]
    site.desire(
        {"lead_id": "VARCHAR", EXTERNAL_ID: "VARCHAR"},
        [{"lead_id": one, EXTERNAL_ID: "CRM-7"} for one in (lead, other)],
    )
    told = {"success": False, "error": BROKEN[name], "error_info": BROKEN[name]}

    def answer(method: str, path: str) -> Raw | None:
        if method == "PATCH" and other in path:
            return Raw(json.dumps(told).encode(), 400)
        if not path.startswith(LIST):
            return None
        rows: list[Row] = [row for row in site.pipedrive.leads().values() if not row["is_archived"]]
        broken = {"title": BROKEN[name], NOTES: BROKEN[name]}
        listed = [row | broken if row["id"] == lead else row for row in rows]
        return Raw(json.dumps({"success": True, "data": listed}).encode())

    with front_of(site.pipedrive.base_url, answer) as url:
        planned = site.plan(base_url=url)
        [row] = [row for key, row in site.mirror().items() if key == lead]
        assert (row["title"], row["record"]["title"]) == (SHOWN[name],) * 2
        assert row["record"][NOTES] == row["custom_fields"][NOTES] == SHOWN[name]
        summary = site.run(base_url=url)
    assert planned.planned == 2
    assert (summary.statuses["applied"], summary.statuses["failed"]) == (1, 1)
    assert site.pipedrive.leads()[lead][EXTERNAL_ID] == "CRM-7"
    [failed] = [row for row in site.outcomes() if row["status"] == "failed"]
    assert (failed["lead_id"], failed["error"]) == (other, SHOWN[name])
    assert failed["error_info"] == SHOWN[name]
