"""The figures of runs: what an outcome that another run settled later counts for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connector.warehouse.figures import figures_of
from tests.support.warehouse import NOW, Row, Site

MINUTE = timedelta(minutes=1)
NIGHT = timedelta(hours=24)


def outcome(outcome_id: str, **given: Any) -> Row:
    """An outcome of a patch that the first run sent."""
    return {
        "outcome_id": outcome_id,
        "run_id": "first",
        "patch_id": "p-1",
        "lead_id": "lead",
        "body": {"title": "New"},
        "before": {"title": "Old"},
        "sent_at": NOW + MINUTE,
        **given,
    }


def test_a_change_that_a_later_run_found_is_dated_by_its_sending(site: Site) -> None:
    doubt = outcome("p-1", status="failed", finished_at=NOW + 2 * MINUTE)
    found = {"settled_by": "second", "status": "confirmed", "took": ["title"]}
    settled = outcome("p-1-settled", **found, finished_at=NOW + NIGHT + MINUTE)
    begun = {"first": NOW, "second": NOW + NIGHT}
    site.load(
        "sync_runs",
        [
            {
                "run_id": run_id,
                "turn": turn,
                "started_at": at,
                "sends_from": at + MINUTE if run_id == "first" else None,
                "finished_at": at + 3 * MINUTE,
            }
            for turn, (run_id, at) in enumerate(begun.items(), start=1)
        ],
    )
    site.load("lead_outcomes", [doubt, settled])
    with site.opened() as warehouse:
        warehouse.create_tables()
        figures = figures_of(warehouse, None, NOW)
    [change] = figures.changes.rows
    assert (change.field, change.changed_at) == ("Title", NOW + MINUTE)
    [phases] = [one for one in figures.phases if one.run_id == "first"]
    assert phases.sending == MINUTE.total_seconds()
    assert [send.seconds for send in figures.slowest] == [MINUTE.total_seconds()]
    assert (figures.statuses, figures.misses.rows) == ({"confirmed": 1}, [])
    with site.opened() as warehouse:
        alone = figures_of(warehouse, "first", NOW)
    assert (alone.statuses, alone.misses.rows) == ({"confirmed": 1}, [])
    assert [change.run_id for change in alone.changes.rows] == ["first"]
