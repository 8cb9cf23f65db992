"""A dataset of the first version: what took effect is filled in where it is certain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.warehouse.migration import FIRST_VERSION, fill_in_old
from connector.warehouse.rows import document_of
from tests.support.warehouse import Row, Site

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = {"title": "New", "channel": None}


def old(number: int, status: str, lead: str = "", **given: Any) -> Row:
    """An outcome as the first version wrote it."""
    return {
        "outcome_id": f"o-{number}",
        "run_id": "old",
        "patch_id": f"o-{number}",
        "lead_id": lead or f"lead-{number}",
        "status": status,
        "body": BODY,
        "sent_at": NOW,
        "finished_at": NOW + timedelta(seconds=number),
        **given,
    }


ROWS = [
    (old(1, "applied"), ["title", "channel"]),
    (old(2, "confirmed", reason="found in effect by reading"), ["title", "channel"]),
    (old(3, "confirmed", reason="already so in Pipedrive; not sent"), []),
    (old(4, "failed"), None),
    (old(5, "failed", sent_at=None), []),
    (old(6, "ignored"), None),
    (old(7, "deferred", sent_at=None), []),
    (old(8, "rejected", patch_id=None, body=None, sent_at=None), []),
    (old(9, "failed", lead="twice"), []),
    (old(10, "applied", lead="twice"), ["title", "channel"]),
    (old(11, "failed", sent_at=None, settled_by="a later run of this version"), None),
]


@pytest.mark.parametrize("version", [FIRST_VERSION, "0.2.0"])
def test_what_took_effect_is_filled_in_where_it_is_certain(site: Site, version: str) -> None:
    site.load("sync_runs", [{"run_id": "old", "version": version, "released": True}])
    site.load("lead_outcomes", [row for row, _ in ROWS])
    with site.opened() as warehouse:
        for _ in range(2):
            fill_in_old(warehouse)
        sql = f"SELECT outcome_id, took FROM {warehouse.table('lead_outcomes')}"
        found = {row["outcome_id"]: document_of(row["took"]) for row in warehouse.query(sql)}
    is_old = version == FIRST_VERSION
    assert found == {row["outcome_id"]: took if is_old else None for row, took in ROWS}


def test_a_migration_that_was_killed_midway_is_ended_as_one_that_was_not(site: Site) -> None:
    """What it filled in last time still tells that an earlier outcome is not its lead's last."""
    known = {"took": ["title", "channel"]}
    rows = [old(9, "failed", lead="twice"), old(10, "applied", lead="twice", **known)]
    site.load("sync_runs", [{"run_id": "old", "version": FIRST_VERSION, "released": True}])
    site.load("lead_outcomes", rows)
    with site.opened() as warehouse:
        fill_in_old(warehouse)
        sql = f"SELECT outcome_id, took FROM {warehouse.table('lead_outcomes')}"
        found = {row["outcome_id"]: document_of(row["took"]) for row in warehouse.query(sql)}
    assert found == {"o-9": [], "o-10": known["took"]}
