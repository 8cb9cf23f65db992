"""A run that its caller asks to stop: by an event from Python, by a signal to a script."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from connector.sync.stopping import STOPPING
from tests.support.harness import ROOT, Site, ended_at_last, finish, wait_until, writes

LEADS = 40


def wanted(site: Site) -> list[str]:
    site.pipedrive.reset(leads=0)
    leads = [f"{number:08x}-1234-4234-8234-123456789abc" for number in range(LEADS)]
    for lead in leads:
        site.pipedrive.set_lead(lead, title="As it is")
    site.desire_titles({lead: f"Title of {lead}" for lead in leads})
    return leads


def asked_while(stop: threading.Event, step: str) -> Callable[[str, int, int | None], None]:
    """Set the event once a step has begun."""

    def tell(now: str, done: int, _total: int | None) -> None:
        if now == step and (step != "apply" or done):
            stop.set()

    return tell


@pytest.mark.parametrize("job", ["run", "plan"])
def test_an_event_that_is_set_already_ends_a_run_before_anything_is_sent(
    site: Site, job: str
) -> None:
    wanted(site)
    stop = threading.Event()
    stop.set()
    summary = getattr(site, job)(stop=stop)
    assert (summary.exit_code, summary.state) == (5, "stopped")
    assert site.pipedrive.requests("PATCH") == []


def test_an_event_ends_each_job_as_a_signal_does(site: Site) -> None:
    leads = wanted(site)
    stop = threading.Event()
    planned = site.plan()
    applied = site.apply(planned.plan_id, stop=stop, progress=asked_while(stop, "apply"), **SLOWLY)
    assert (applied.exit_code, applied.state) == (5, "stopped")
    assert 0 < applied.statuses["applied"] < LEADS
    assert applied.statuses["applied"] + applied.statuses["deferred"] == LEADS
    assert set(site.outcomes_of_patches()) == {1}
    stop = threading.Event()
    ran = site.run(stop=stop, progress=asked_while(stop, "apply"), **SLOWLY)
    assert (ran.exit_code, ran.state) == (5, "stopped")
    assert site.run().exit_code == 0
    assert writes(site.pipedrive) == dict.fromkeys(leads, 1)
    stop.set()
    reverted = site.revert(ran.run_id, stop=stop)
    assert (reverted.exit_code, reverted.state) == (5, "stopped")
    assert writes(site.pipedrive) == dict.fromkeys(leads, 1)


SLOWLY: dict[str, Any] = {"workers": 1, "chunk_size": 3}


def test_the_run_never_sets_its_callers_event(site: Site) -> None:
    wanted(site)
    stop = threading.Event()
    summary = site.run(stop=stop, token_budget=2 + 20 + 10 * 3)
    assert summary.exit_code == 5
    assert not stop.is_set()


def test_a_wait_hears_the_event_at_once(site: Site) -> None:
    wanted(site)
    site.pipedrive.fault(
        "status", status=429, method="GET", headers={"Retry-After": "60"}, times=100
    )
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    began = time.monotonic()
    assert site.run(stop=stop).exit_code == 5
    assert time.monotonic() - began < 20


def test_a_job_leaves_its_callers_signals_alone(site: Site) -> None:
    wanted(site)
    before = [signal.getsignal(number) for number in STOPPING]
    found: list[Any] = []

    def look(*_progress: object) -> None:
        found.append([signal.getsignal(number) for number in STOPPING])

    assert site.run(progress=look).exit_code == 0
    assert found
    assert [handlers for handlers in found if handlers != before] == []


@pytest.mark.parametrize("script", ["sync_leads", "backfill_leads"])
def test_a_signal_ends_a_script_cleanly(site: Site, script: str) -> None:
    wanted(site)
    site.pipedrive.settings(latency_ms=60)
    arguments = ["crm.lead_changes"] if script == "backfill_leads" else []
    process = subprocess.Popen(
        [sys.executable, "-m", f"pipelines.{script}", *arguments],
        env=site.environment(workers=2, chunk_size=5),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended_at_last(process):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) > 3, "nothing is sent")
        process.send_signal(signal.SIGTERM)
        ended = finish(process)
    assert ended.code == 5, ended.told
    assert "Stopped by SIGTERM at " in ended.stdout
    assert "Traceback" not in ended.told
    assert set(site.outcomes_of_patches()) == {1}
