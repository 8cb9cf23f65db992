"""SIGTERM and Ctrl-C in every phase: what is in flight is finished, the rest is deferred."""

from __future__ import annotations

import signal
import time

from tests.faults.books import assert_books
from tests.faults.scene import assert_titles, desire, new_leads, wait_for, watched
from tests.harness import Ended, Site

LEADS = 160
SLOWLY = {"workers": 4, "chunk_size": 20}
MOST_SECONDS = 10.0


def ask_in(site: Site, phase: str, asked: signal.Signals) -> Ended:
    """Ask a run to stop in a phase of it, and wait for its end."""
    with watched(site, **SLOWLY) as run:
        wait_for(run, phase)
        run.process.send_signal(asked)
        at = time.monotonic()
        ended = run.ended()
    assert time.monotonic() - at < MOST_SECONDS
    assert "Traceback" not in ended.told, ended.told
    return ended


def assert_stopped(site: Site, phase: str, asked: signal.Signals) -> None:
    ended = ask_in(site, phase, asked)
    assert ended.code == 5, f"{phase}: {ended.told}"
    assert site.last_run()["state"] == "stopped", phase


def leave_a_chunk_unloaded(site: Site) -> None:
    with watched(site, **SLOWLY) as run:
        wait_for(run, "chunk load")
        run.process.kill()
        run.ended()


def assert_the_next_run_finishes(site: Site, titles: dict[str, str]) -> None:
    site.pipedrive.settings(latency_ms=0)
    ended = site.command("run")
    assert ended.code == 0, ended.told
    assert_books(site)
    assert_titles(site, titles)


def test_sigterm_in_each_phase_ends_the_run_cleanly(site: Site) -> None:
    asked = signal.SIGTERM
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    for phase in ("begin", "refresh", "refresh load", "plan load"):
        assert_stopped(site, phase, asked)
        assert site.pipedrive.requests("PATCH") == []
        assert set(site.outcomes_of_patches()) <= {1}
    for phase in ("sending", "chunk load"):
        assert_stopped(site, phase, asked)
        assert_books(site, note=phase)
    for phase in ("drain", "reconcile"):
        leave_a_chunk_unloaded(site)
        assert_stopped(site, phase, asked)
    assert_the_next_run_finishes(site, titles)


def test_ctrl_c_ends_the_run_as_cleanly(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    for phase in ("plan load", "sending"):
        assert_stopped(site, phase, signal.SIGINT)
        assert_books(site, note=phase)
    assert_the_next_run_finishes(site, titles)


def test_a_signal_before_it_has_begun_changes_nothing(site: Site) -> None:
    titles = desire(site, new_leads(site, 5))
    for seconds in (0.1, 0.6):
        with watched(site) as run:
            time.sleep(seconds)
            run.process.send_signal(signal.SIGTERM)
            assert run.ended().code in (-signal.SIGTERM, 1, 5)
    assert site.pipedrive.requests("PATCH") == []
    assert_the_next_run_finishes(site, titles)


def test_a_second_signal_ends_it_at_once(site: Site) -> None:
    second = signal.SIGINT
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    with watched(site, **SLOWLY) as run:
        wait_for(run, "sending")
        site.pipedrive.settings(latency_ms=1_500)
        time.sleep(0.1)
        run.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert run.process.poll() is None
        run.process.send_signal(second)
        at = time.monotonic()
        assert run.ended().code == -second
        assert time.monotonic() - at < 1.0
    time.sleep(1.5)  # what was in flight arrives after all
    assert_the_next_run_finishes(site, titles)
