"""Bodies on their way through the warehouse: what is read back is what was planned.

A loader that reads JSON by guessing takes all bodies for one struct. Each body would then
come back with every key of the others as null, and clear fields that nobody asked to clear.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from connector.warehouse import history
from tests.support.account import COLD, HOT, LEAD_ID, NOTE, SCORE
from tests.support.warehouse import PLAN, Row, Site, patch_row

BODIES: list[Row] = [
    {"title": "T"},
    {"title": "2026-12-31"},
    {"title": "2026-12-31T23:59:59Z"},
    {"title": "12:30:00"},
    {"title": "123"},
    {"title": "1.50"},
    {"title": "true"},
    {"title": "null"},
    {"title": "NaN"},
    {"title": " "},
    {"title": '{"amount": 1}'},
    {"title": "[1, 2]"},
    {"title": 'it\'s "quoted" \\ and \\n, not \n'},
    {"title": "tab\t, line\u2028, zero width\u200b, bell\u0007"},
    {"title": "Ünïcode “日本” 🙂 e\u0301"},
    {"title": LEAD_ID},
    {"value": None},
    {"value": {"amount": 1, "currency": "EUR"}},
    {"value": {"amount": 50.5, "currency": "EUR"}},
    {"value": {"amount": 0, "currency": "EUR"}},
    {"label_ids": []},
    {"label_ids": [HOT]},
    {"label_ids": [COLD, HOT]},
    {"person_id": None, "organization_id": 3},
    {"person_id": 3, "organization_id": None},
    {"expected_close_date": None},
    {"expected_close_date": "2026-12-31"},
    {"is_archived": True},
    {"was_seen": False, "visible_to": "3"},
    {"channel": 1, "channel_id": None},
    {SCORE: 0},
    {SCORE: -1},
    {SCORE: 1.5},
    {SCORE: 1e-7},
    {SCORE: 0.1},
    {SCORE: 123456789012.34},
    {SCORE: 2**53},
    {SCORE: 2**63 - 1},
    {SCORE: None},
    {NOTE: None, SCORE: None, "title": "Z", "channel": None},
    {NOTE: "n" * 65_000},
]


def written(documents: Iterable[Any]) -> list[bytes]:
    """JSON text, which tells 1 from 1.0 and a null from no key."""
    return [orjson.dumps(document) for document in documents]


def test_bodies_of_one_package_stay_as_they_were(site: Site) -> None:
    site.load("lead_patches", [patch_row(place, body) for place, body in enumerate(BODIES)])
    with site.opened() as warehouse:
        patches = [patch for patch, _ in history.planned(warehouse, PLAN)]
    assert written(patch.body for patch in patches) == written(BODIES)
    assert written(patch.before for patch in patches) == written(BODIES)
    assert all(patch.intact for patch in patches)


# Few bodies, each with few keys: so a loader that guesses sees one struct in them.
PACKAGES: list[list[Row]] = [
    [{"title": "T"}, {"channel": 5}],
    [{"title": "T"}, {"value": None}, {"label_ids": []}],
    [{"title": "2026-12-31"}],
    [{"title": "2026-12-31T23:59:59Z"}, {"title": "2026-12-31 23:59:59"}],
    [{"channel": 1}, {"channel": None}],
    [{SCORE: 1}, {SCORE: 1.5}, {SCORE: 1e-7}],
    [{SCORE: 100}, {SCORE: 2**53 + 2}],
    [{"value": {"amount": 1, "currency": "EUR"}}, {"value": None}],
    [{"value": {"amount": 1, "currency": "EUR"}}, {"value": {"amount": 1.5, "currency": "EUR"}}],
    [{"label_ids": [HOT]}, {"label_ids": []}],
]


@pytest.mark.parametrize("bodies", PACKAGES, ids=str)
def test_a_small_package_stays_as_it_was(site: Site, bodies: list[Row]) -> None:
    site.load("lead_patches", [patch_row(place, body) for place, body in enumerate(bodies)])
    with site.opened() as warehouse:
        patches = [patch for patch, _ in history.planned(warehouse, PLAN)]
    assert written(patch.body for patch in patches) == written(bodies)
    assert written(patch.before for patch in patches) == written(bodies)


def test_texts_that_begin_with_an_icon_stay_as_they_were(site: Site) -> None:
    """dlt marks what JSON has no type for by private characters, as icon fonts use them."""
    signs = [chr(code) for code in (0xE000, *range(0xF020, 0xF040), 0xF8FF)]
    texts = [sign + rest for sign in signs for rest in ("", " T", "2026-12-31", "12:30", "50.50")]
    bodies = [{"title": text} for text in texts]
    site.load("lead_patches", [patch_row(place, body) for place, body in enumerate(bodies)])
    with site.opened() as warehouse:
        found = [patch.body for patch, _ in history.planned(warehouse, PLAN)]
    assert written(found) == written(bodies)


TAMPERINGS = [
    'body = \'{"title": "T", "value": null}\'',
    "body = '{\"title\": null}'",
    'body = \'{"title": "T "}\'',
    "body = '{}'",
    "body = '[]'",
    "body = '7'",
    "body = '\"title\"'",
    "body = NULL",
    "before = '[1]'",
    "before = '7'",
    "before = NULL",
    "conditions = '[1]'",
    "lead_id = '../../users/me'",
    f"lead_id = '{LEAD_ID.upper()}'",
    "digest = 'x'",
    "digest = NULL",
]


def test_a_row_that_was_tampered_with_is_told_from_an_intact_one(site: Site) -> None:
    rows = [patch_row(place, {"title": "T"}) for place in range(len(TAMPERINGS) + 1)]
    site.load("lead_patches", rows)
    names = {"run_id": PLAN, "plan_id": PLAN, "command": "run"}
    run = {**names, "state": "running", "released": True}
    site.load("sync_runs", [run])
    tampered = zip(TAMPERINGS, rows, strict=False)
    site.execute(
        *(
            f"UPDATE pipedrive_leads.lead_patches SET {one} WHERE patch_id = '{row['patch_id']}'"
            for one, row in tampered
        )
    )
    with site.opened() as warehouse:
        planned = [patch.intact for patch, _ in history.planned(warehouse, PLAN)]
        unfinished = [patch.intact for patch in history.unfinished(warehouse, None)]
    assert planned == unfinished == [False] * len(TAMPERINGS) + [True]


def test_spaces_in_a_body_do_not_matter(site: Site) -> None:
    """Some warehouses write JSON in their own way: keys in another order, spaces between."""
    site.load("lead_patches", [patch_row(1, {"title": "T", "value": None})])
    rewritten = '\'{ "value" : null, "title" : "T" }\''
    site.execute(f"UPDATE pipedrive_leads.lead_patches SET body = {rewritten}")
    with site.opened() as warehouse:
        [(patch, _)] = history.planned(warehouse, PLAN)
    assert patch.intact
    assert patch.body == {"title": "T", "value": None}
