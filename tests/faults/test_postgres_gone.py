"""PostgreSQL that goes away in the middle of a run: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.support.harness import writes
from tests.support.postgres import PostgresSite
from tests.support.scene import (
    assert_titles,
    desire,
    let_arrive,
    new_leads,
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
