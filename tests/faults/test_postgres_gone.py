"""PostgreSQL that goes away in the middle of a run: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.support.front import front_of
from tests.support.harness import ended_at_last, finish, wait_until, writes
from tests.support.postgres import PostgresSite
from tests.support.scene import (
    assert_titles,
    desire,
    let_arrive,
    new_leads,
    other_machine,
    stand_still_in,
    watched,
)

SLOWLY: dict[str, Any] = {"workers": 4, "chunk_size": 10, "max_overwrites": "off"}
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"


@pytest.mark.parametrize("phase", ["refresh", "sending", "chunk load"])
def test_connections_that_are_cut_lose_and_repeat_nothing(
    postgres_site: PostgresSite, phase: str
) -> None:
    site = postgres_site
    titles = desire(site, new_leads(site, 40, latency_ms=50))
    with watched(site, **SLOWLY) as run:
        stand_still_in(run, phase)
        site.server.execute("postgres", CUT, site.name)
        run.process.send_signal(signal.SIGCONT)
        ended = run.ended()
    assert ended.code in (0, 1, 5), ended.told
    assert "Traceback" not in ended.told
    let_arrive(site)
    site.pipedrive.settings(latency_ms=0)
    assert site.run(max_overwrites="off").exit_code == 0
    assert_titles(site, titles)
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert site.outcomes_of_patches() == [1] * len(titles)


def test_what_is_in_flight_when_a_load_fails_is_waited_for(postgres_site: PostgresSite) -> None:
    """Or the run that has the next turn would read the lead before it, and send it again."""
    site = postgres_site
    leads = new_leads(site, 4)
    titles = desire(site, leads)
    site.run(limit=1)
    table = "ALTER TABLE pipedrive_leads."

    def hold_up(method: str, path: str) -> None:
        if method == "PATCH":
            if path.endswith(leads[1]):
                site.server.execute(site.name, f"{table}lead_outcomes RENAME TO away")
            if path.endswith(leads[2]):
                time.sleep(2)

    site.pipedrive.clear_requests()
    with front_of(site.pipedrive.base_url, hold_up) as url:
        process = site.start("run", base_url=url, workers=1, chunk_size=1)
        with ended_at_last(process):
            wait_until(lambda: site.last_run()["state"] == "failed", "the load does not fail")
            site.server.execute(site.name, f"{table}away RENAME TO lead_outcomes")
            ended = other_machine(site).command("run", lock_wait_seconds=20)
            assert finish(process).code == 1
    assert ended.code == 0, ended.told
    let_arrive(site)
    assert_titles(site, titles)
    assert writes(site.pipedrive) == dict.fromkeys(leads[1:], 1)
