"""SIGTERM and Ctrl-C in every phase: what is in flight is finished, the rest is deferred."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

import pytest

from tests.support.books import MAYBE, assert_books
from tests.support.harness import Site, wait_until
from tests.support.scene import (
    assert_titles,
    desire,
    let_arrive,
    new_leads,
    stand_still_in,
    wait_for,
    watched,
)

LEADS = 160
SLOWLY = {"workers": 4, "chunk_size": 20}
LONG_MS = 5_000
EITHER = pytest.mark.parametrize(
    "asked", [signal.SIGTERM, signal.SIGINT], ids=lambda asked: asked.name
)


def by_turns(*phases: str) -> Iterator[tuple[str, signal.Signals]]:
    """Give each phase one of the two signals, which one handler takes."""
    return zip(phases, cycle([signal.SIGTERM, signal.SIGINT]), strict=False)


def known(site: Site) -> dict[str, str]:
    """Read all leads once, so that a run may read increments, and want something else of them."""
    leads = new_leads(site, LEADS)
    site.desire_titles(dict.fromkeys(leads, "As it is"))
    assert site.run().unchanged == LEADS
    site.pipedrive.settings(latency_ms=20)
    return desire(site, leads)


def assert_stopped(site: Site, phase: str, asked: signal.Signals) -> None:
    """Ask a run to stop in a phase of it: it ends early and says so."""
    with watched(site, **SLOWLY) as run:
        stand_still_in(run, phase)
        run.process.send_signal(asked)
        run.process.send_signal(signal.SIGCONT)
        ended = run.ended()
    assert ended.code == 5, f"{phase}: {ended.told}"
    assert "Traceback" not in ended.told, ended.told
    assert site.last_run()["state"] == "stopped", phase


def leave_a_chunk_unloaded(site: Site) -> None:
    with watched(site, **SLOWLY) as run:
        stand_still_in(run, "chunk load")
        run.process.kill()
        run.ended()


def assert_the_next_run_finishes(site: Site, titles: dict[str, str]) -> None:
    site.pipedrive.settings(latency_ms=0)
    let_arrive(site)
    assert site.run().exit_code == 0
    assert_books(site)
    assert_titles(site, titles)


def test_a_signal_before_anything_is_sent_ends_the_run_cleanly(reading_site: Site) -> None:
    site = reading_site
    titles = known(site)
    for phase, asked in by_turns("begin", "refresh", "refresh load", "plan load"):
        for lead in titles:  # else it is as the warehouse has it, and not loaded again
            site.pipedrive.set_lead(lead, channel_id=phase)
        assert_stopped(site, phase, asked)
        assert site.pipedrive.requests("PATCH") == []
        assert set(site.outcomes_of_patches()) <= {1}
    assert_the_next_run_finishes(site, titles)


@EITHER
def test_a_signal_while_it_sends_ends_the_run_cleanly(
    reading_site: Site, asked: signal.Signals
) -> None:
    site = reading_site
    titles = known(site)
    for phase in ("sending", "chunk load"):
        assert_stopped(site, phase, asked)
        assert_books(site, note=phase)
    assert_the_next_run_finishes(site, titles)


def test_a_signal_while_it_takes_over_ends_the_run_cleanly(reading_site: Site) -> None:
    site = reading_site
    titles = known(site)
    for phase, asked in by_turns("drain", "reconcile"):
        leave_a_chunk_unloaded(site)
        assert_stopped(site, phase, asked)
    assert_the_next_run_finishes(site, titles)


@EITHER
def test_a_signal_before_it_has_begun_changes_nothing(site: Site, asked: signal.Signals) -> None:
    titles = desire(site, new_leads(site, 5, latency_ms=LONG_MS))  # no signal is too late
    for seconds in (0.1, 0.6):
        with watched(site) as run:
            time.sleep(seconds)
            run.process.send_signal(asked)
            ended = run.ended()
        assert ended.code in (-asked, 1, 5), ended.told
        assert site.pipedrive.requests("PATCH") == [], ended.told
    assert_the_next_run_finishes(site, titles)


def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    second = signal.SIGINT
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    with watched(site, **SLOWLY) as run:
        wait_for(run, "sending")
        site.pipedrive.settings(latency_ms=LONG_MS)
        sent = run.called("PATCH", "")
        wait_until(lambda: run.called("PATCH", "") > sent, "nothing is in flight")
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert run.process.poll() is None
        while run.process.poll() is None:  # one that comes before the first is handled is the first
            run.process.send_signal(second)
            time.sleep(0.1)
        assert run.ended().code == -second  # it did not wait for what is in flight
    assert_the_next_run_finishes(site, titles)


def test_a_call_that_hangs_does_not_hold_up_the_end(site: Site) -> None:
    """Were its answer waited for, the run would outlast all patience."""
    titles = desire(site, new_leads(site, 10))
    hanging = min(titles)
    forever: dict[str, Any] = {"seconds": 600.0, "write": "none"}
    for method in ("PATCH", "GET"):
        site.pipedrive.fault("hang", method=method, lead_id=hanging, **forever)
    with watched(site, timeout_seconds=500, workers=2) as run:
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) >= 9, "the others are not sent")
        time.sleep(0.5)
        run.process.send_signal(signal.SIGTERM)
        assert run.ended().code == 5
    [outcome] = [row for row in site.outcomes() if row["lead_id"] == hanging]
    assert outcome["status"] == "failed"
    assert MAYBE in outcome["reason"]
    assert site.statuses()["applied"] == 9


HANGS: dict[str, Any] = {"kind": "hang", "method": "GET", "seconds": 600.0, "write": "none"}
READING = ("users/me", "leads")


def assert_stopped_during(site: Site, route: str, asked: signal.Signals) -> None:
    """Ask a run to stop while it waits for an answer that never comes."""
    site.pipedrive.fault(**HANGS, route=route)
    with watched(site, timeout_seconds=500) as run:
        wait_until(lambda: run.called("GET", f"/{route}") > 0, f"{route} is not called")
        run.process.send_signal(asked)
        ended = run.ended()
    assert ended.code == 5, f"{route}: {ended.told}"
    assert "no answer" not in ended.told, ended.told
    assert site.last_run()["state"] == "stopped", route


def test_a_signal_while_a_reading_call_hangs_ends_the_run_cleanly(any_site: Site) -> None:
    """The call had no answer because the run did not wait for it: that is no failure of it."""
    site, titles = any_site, desire(any_site, new_leads(any_site, 3))
    for route, asked in product(READING, (signal.SIGTERM, signal.SIGINT)):
        assert_stopped_during(site, route, asked)
    assert site.pipedrive.requests("PATCH") == []
    assert_the_next_run_finishes(site, titles)


def test_a_time_limit_while_a_reading_call_hangs_ends_the_run_cleanly(site: Site) -> None:
    titles = desire(site, new_leads(site, 3))
    for route in READING:
        site.pipedrive.fault(**HANGS, route=route)
        ended = site.command("run", "--max-seconds", "5", timeout_seconds=500)
        assert ended.code == 5, f"{route}: {ended.told}"
        assert "Stopped by max_seconds 5.\n" in ended.stdout
        assert site.last_run()["message"] == "stopped by max_seconds 5", route
    assert_the_next_run_finishes(site, titles)
