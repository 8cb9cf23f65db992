"""One turn at a time on a dataset: two machines, a kill, a machine that slept, and who comes after.

Two working folders stand for two machines. DuckDB itself keeps a second process out of its file, so
the other machine's writes are made from within the process, as its file can be shared there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pytest

from connector.errors import LeadSyncError, RunUnderWay, TurnLost
from connector.warehouse.holder import this_process
from tests.support.books import assert_books
from tests.support.harness import Row, Site, finish, wait_until, writes
from tests.support.scene import (
    Watched,
    assert_titles,
    desire,
    let_arrive,
    new_leads,
    other_machine,
    stand_still_in,
    wait_for,
    watched,
)

LEADS = 40
LEASE = "pipedrive_leads.sync_lease"
OTHER = "20260101-000000-aaaaaa"


def lease_of(site: Site) -> Row:
    [row] = site.query(f"SELECT * FROM {LEASE}")
    return row


def take_for_another_host(site: Site, seconds: int) -> None:
    """Let a run on another host have its turn."""
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(
            f"UPDATE {LEASE} SET holder = ?, host = 'elsewhere', boot = 'b', namespace = 'n', "
            "pid = 77, pid_started = 5, since = CURRENT_TIMESTAMP, "
            "until = CURRENT_TIMESTAMP + to_seconds(?)",
            [OTHER, seconds],
        )


@pytest.fixture
def taken(site: Site) -> Site:
    """A site on which a run of another host has its turn, and a lead that waits."""
    desire(site, new_leads(site, 1))
    assert site.plan().planned == 1
    take_for_another_host(site, 600)
    site.pipedrive.clear_requests()
    return site


@pytest.mark.parametrize("command", ["plan", "run", "apply", "revert"])
def test_each_command_that_takes_a_turn_finds_it_taken(taken: Site, command: str) -> None:
    before = (taken.runs(), lease_of(taken), taken.query("FROM pipedrive_leads.lead_patches"))
    results = taken.folder / "results.json"
    arguments = [before[0][0]["run_id"]] if command in ("apply", "revert") else []
    ended = taken.command(command, *arguments, "--output", "json", "--run-results", str(results))
    assert (ended.code, ended.stdout) == (6, ""), ended.told
    assert len(ended.stderr.splitlines()) == 1
    for told in ("another run is under way", "process 77 on elsewhere since 20", f"run {OTHER}"):
        assert told in ended.stderr
    assert taken.pipedrive.requests() == []
    after = (taken.runs(), lease_of(taken), taken.query("FROM pipedrive_leads.lead_patches"))
    assert after == before
    document = json.loads(results.read_text())
    assert (document["exit_code"], document["command"]) == (6, command)
    assert "another run is under way" in document["message"]


@pytest.mark.parametrize("command", ["check", "runs", "columns"])
def test_who_only_reads_needs_no_turn(taken: Site, command: str) -> None:
    before = lease_of(taken)
    ended = taken.command(command)
    assert ended.code == 0, ended.told
    assert lease_of(taken) == before


def test_from_python_it_is_an_error_of_its_own(taken: Site) -> None:
    with pytest.raises(RunUnderWay, match=OTHER):
        taken.run()
    assert taken.pipedrive.requests() == []


def test_who_waits_goes_on_when_the_turn_has_run_out(taken: Site) -> None:
    take_for_another_host(taken, 3)
    began = time.monotonic()
    assert taken.run(lock_wait_seconds=60).statuses["applied"] == 1
    assert time.monotonic() - began > 1
    assert lease_of(taken)["holder"] is None


def test_who_waits_in_vain_is_told_after_that_time(taken: Site) -> None:
    began = time.monotonic()
    with pytest.raises(RunUnderWay):
        taken.run(lock_wait_seconds=2)
    assert 2 <= time.monotonic() - began < 30


def test_a_signal_ends_the_waiting(taken: Site) -> None:
    with watched(taken, lock_wait_seconds=3600) as run:
        wait_until(lambda: run.logged("waiting up to 3600 s"), "it does not wait")
        run.process.send_signal(signal.SIGTERM)
        assert run.ended().code == 6


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_second_run_waits_for_the_first_whatever_holds_it_off(
    site: Site, elsewhere: bool
) -> None:
    """By the lock of the one folder, or by the file that both have open."""
    titles = desire(site, new_leads(site, LEADS, latency_ms=60))
    second = other_machine(site) if elsewhere else site
    with watched(site, workers=2) as run:
        wait_for(run, "sending")
        ended = second.command("run", lock_wait_seconds=120)
        assert run.ended().code == 0
    assert ended.code == 0, ended.told
    assert f"{LEADS} unchanged" in ended.told
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert_books(site)


def test_after_a_kill_the_next_goes_on_at_once_on_the_same_host(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=60))
    with watched(site, workers=2, lease_seconds=3600) as run:
        wait_for(run, "sending")
        run.process.kill()  # and is not waited for
        os.waitid(os.P_PID, run.process.pid, os.WEXITED | os.WNOWAIT)
        let_arrive(site)
        assert other_machine(site).run().exit_code == 0
        run.ended()
    assert lease_of(site)["holder"] is None
    assert_titles(site, titles)
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert set(site.outcomes_of_patches()) == {1}


def test_after_a_kill_on_another_host_the_turn_must_run_out_first(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=60))
    with watched(site, workers=2, lease_seconds=600) as run:
        wait_for(run, "sending")
        run.process.kill()
        run.ended()
    let_arrive(site)
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"UPDATE {LEASE} SET host = 'elsewhere'")
    states = [row["state"] for row in site.runs()]
    assert site.command("run").code == 6
    assert [row["state"] for row in site.runs()] == states == ["running"]
    with duckdb.connect(str(site.database)) as connection:
        connection.execute(f"UPDATE {LEASE} SET until = CURRENT_TIMESTAMP - INTERVAL 1 SECOND")
    assert site.run().exit_code == 0
    assert site.runs()[0]["state"] == "failed"
    assert_titles(site, titles)
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)


def sleep_beyond_the_lease(run: Watched, seconds: float) -> None:
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    run.process.send_signal(signal.SIGCONT)


def test_a_machine_that_slept_sends_nothing_more(site: Site) -> None:
    """Nobody came meanwhile, so that what it had sent is recorded."""
    titles = desire(site, new_leads(site, LEADS, latency_ms=100))
    with watched(site, workers=2, lease_seconds=4, chunk_size=10) as run:
        wait_for(run, "sending")
        run.process.send_signal(signal.SIGSTOP)
        let_arrive(site)
        sent = len(site.pipedrive.requests("PATCH"))
        sleep_beyond_the_lease(run, 5)
        ended = run.ended()
    assert ended.code == 1, ended.told
    assert "has lost its turn: it could not be renewed within lease_seconds 4" in ended.told
    assert len(site.pipedrive.requests("PATCH")) == sent
    assert site.last_run()["state"] == "failed"
    assert sum(site.statuses().values()) == LEADS
    assert site.statuses()["applied"] == sent
    assert site.run().exit_code == 0
    assert_titles(site, titles)
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)


@contextmanager
def running(site: Site, caught: list[Exception], **settings: object) -> Iterator[None]:
    """Runs the job in a thread of this process, in which others may open the file."""

    def run() -> None:
        try:
            site.run(**settings)
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_who_lost_its_turn_to_another_records_nothing_over_it(site: Site) -> None:
    desire(site, new_leads(site, LEADS, latency_ms=150))
    caught: list[Exception] = []
    settings = {"workers": 2, "lease_seconds": 4, "chunk_size": 500}
    with running(site, caught, **settings):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) > 3, "nothing is sent")
        take_for_another_host(site, 600)
        with duckdb.connect(str(site.database)) as connection:
            connection.execute(
                "UPDATE pipedrive_leads.sync_runs SET state = 'failed', message = 'taken over'"
            )
    [error] = caught
    assert isinstance(error, TurnLost)
    assert "another run has taken over" in str(error)
    sent = len(site.pipedrive.requests("PATCH"))
    assert 3 < sent < LEADS
    assert site.outcomes() == []
    assert [(row["state"], row["message"]) for row in site.runs()] == [("failed", "taken over")]
    assert lease_of(site)["holder"] == OTHER
    take_for_another_host(site, 0)
    assert site.run().exit_code == 0
    assert set(writes(site.pipedrive).values()) == {1}
    assert set(site.outcomes_of_patches()) == {1}


def test_two_runs_of_one_process_on_one_file_take_turns(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=60))
    caught: list[Exception] = []
    with running(site, caught, workers=2):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) > 3, "nothing is sent")
        with pytest.raises(RunUnderWay, match=f"process {this_process().pid} on .*, run 20"):
            other_machine(site).run()
    assert caught == []
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert_books(site)


def test_a_run_that_fails_ends_its_turn(site: Site) -> None:
    desire(site, new_leads(site, 1))
    with pytest.raises(LeadSyncError):
        site.run(api_token="wrong")
    assert lease_of(site)["holder"] is None


def test_of_two_machines_that_start_at_once_on_a_new_dataset_one_works(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=60))
    processes: list[subprocess.Popen[str]] = [
        one.start("run", lock_wait_seconds=120) for one in (site, other_machine(site))
    ]
    ended = [finish(process) for process in processes]
    assert [one.code for one in ended] == [0, 0], [one.told for one in ended]
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert_books(site)


def test_what_a_killed_run_left_in_its_folder_goes_over_nothing_that_came_later(
    site: Site,
) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    with watched(site, workers=4, chunk_size=10) as run:
        stand_still_in(run, "chunk load")
        run.process.kill()
        run.ended()
    let_arrive(site)
    site.pipedrive.settings(latency_ms=0)
    elsewhere = other_machine(site)
    assert elsewhere.run().exit_code == 0
    outcomes = site.outcomes()
    assert len(outcomes) == LEADS
    ended = site.command("run", "--log-format", "json")
    assert ended.code == 0, ended.told
    assert "is passed over, as run" in ended.told
    assert site.outcomes() == outcomes
    assert_titles(site, titles)
    assert_books(site)


@pytest.mark.parametrize("how", ["with a dead token", "for one lead"])
def test_a_run_elsewhere_that_settles_nothing_takes_no_outcome_away(site: Site, how: str) -> None:
    titles = desire(site, new_leads(site, 20, latency_ms=20))
    with watched(site, workers=4, chunk_size=10) as run:
        stand_still_in(run, "chunk load")
        run.process.kill()
        run.ended()
    let_arrive(site)
    site.pipedrive.settings(latency_ms=0)
    killed, elsewhere = site.last_run()["run_id"], other_machine(site)
    if how == "for one lead":
        elsewhere.plan(lead=min(titles))
    else:
        with pytest.raises(LeadSyncError):
            elsewhere.run(api_token="0" * 40)
    for lead in titles:
        site.pipedrive.set_lead(lead, title="A person's")
    site.command("run")
    took = [row for row in site.outcomes(killed) if "title" in json.loads(row["took"] or "[]")]
    assert len(took) >= 10  # those of the chunk that was answered
