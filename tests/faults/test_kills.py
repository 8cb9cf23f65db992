"""`kill -9` at any moment: nothing is lost, nothing is sent twice, one outcome a patch."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.books import Books, assert_books
from tests.support.harness import Site, wait_until, writes
from tests.support.scene import (
    assert_titles,
    desire,
    dlt_folder,
    let_arrive,
    messages,
    new_leads,
    other_machine,
    packed_files,
    stand_still_in,
    wait_for,
    watched,
)

LEADS, KILLS = 300, 4
SLOWLY: Mapping[str, Any] = {"workers": 4, "chunk_size": 30, "max_overwrites": "off"}


@pytest.fixture
def site(any_site: Site) -> Site:
    return any_site


def kill_in(site: Site, phase: str, seconds: float = 0, arguments: Sequence[str] = ()) -> None:
    """Kill a run in a phase of it, or so many seconds later."""
    with watched(site, *arguments, **SLOWLY) as run:
        stand_still_in(run, phase)
        if seconds:
            run.process.send_signal(signal.SIGCONT)
            time.sleep(seconds)
        run.process.kill()
        assert run.ended().code == -signal.SIGKILL, f"ended before the kill in {phase}"
    let_arrive(site)


def finish_cleanly(site: Site, titles: dict[str, str], note: str) -> Books:
    site.pipedrive.settings(latency_ms=0)
    assert site.run(max_overwrites="off").exit_code == 0, note
    books = assert_books(site, note=note)
    assert len(site.outcomes()) == len(titles), note
    assert {row["lead_id"] for row in site.outcomes()} == set(titles), note
    assert_titles(site, titles)
    return books


@pytest.mark.parametrize("seed", [11, 12])
def test_kills_at_random_instants_lose_and_repeat_nothing(site: Site, seed: int) -> None:
    rng = random.Random(seed)
    titles = desire(site, new_leads(site, LEADS, latency_ms=50))
    for _ in range(KILLS):
        kill_in(site, "begin", rng.uniform(0, 1.2))
    books = finish_cleanly(site, titles, f"seed {seed}")
    assert set(books.statuses) <= {"applied", "confirmed"}
    states = [row["state"] for row in site.query("SELECT state FROM pipedrive_leads.sync_runs")]
    assert states.count("done") == 1


def test_a_kill_in_each_phase_loses_and_repeats_nothing(reading_site: Site) -> None:
    site, rng = reading_site, random.Random(21)
    leads = new_leads(site, LEADS)
    site.desire_titles(dict.fromkeys(leads, "As it is"))
    assert site.run().unchanged == LEADS
    for lead in leads:
        site.pipedrive.set_lead(lead, title="As somebody has it")
    titles = desire(site, leads)
    site.pipedrive.settings(latency_ms=20)
    kill_in(site, "begin", rng.uniform(0, 0.03))
    kill_in(site, "refresh")
    kill_in(site, "refresh load", rng.uniform(0, 0.03))
    kill_in(site, "plan load", rng.uniform(0, 0.02))
    kill_in(site, "chunk load", rng.uniform(0, 0.01))
    kill_in(site, "drain", rng.uniform(0, 0.05))
    kill_in(site, "reconcile", rng.uniform(0, 0.05))
    kill_in(site, "sending", rng.uniform(0, 0.05))
    finish_cleanly(site, titles, "seed 21")


def test_the_row_of_a_killed_run_tells_what_it_spent(site: Site) -> None:
    """At the least: what came of the chunk before those under way, and the reading at once."""
    desire(site, new_leads(site, LEADS, latency_ms=20))
    kill_in(site, "plan load")
    row = site.last_run()
    assert (row["state"], row["requests"], row["tokens"], row["leads_read"]) == (
        *("running", 2, 22),
        LEADS,
    )
    with watched(site, **SLOWLY) as run:
        third_chunk = 2 * SLOWLY["chunk_size"] + 5
        wait_until(lambda: run.called("PATCH", "123456789abc") > third_chunk, "it sends nothing")
        run.process.kill()
        run.ended()
    row = site.last_run()
    sent = len(site.pipedrive.requests("PATCH"))
    assert 30 <= row["applied"] <= sent
    assert 2 + row["applied"] <= row["requests"] <= 2 + sent
    assert 22 + 10 * row["applied"] <= row["tokens"] <= 22 + 10 * sent
    assert (row["would_change"], row["would_overwrite"]) == (LEADS, LEADS)
    before = (row["run_id"], row["tokens"], row["applied"])
    let_arrive(site)
    assert site.run(max_overwrites="off").exit_code == 0
    [taken] = [one for one in site.runs() if one["run_id"] == row["run_id"]]
    assert (taken["run_id"], taken["tokens"], taken["applied"]) == before
    assert taken["state"] == "failed"


@pytest.mark.parametrize("phase", ["plan load", "sending", "chunk load"])
def test_a_limited_run_that_is_killed_is_finished_by_a_plain_one(site: Site, phase: str) -> None:
    titles = desire(site, new_leads(site, 60, latency_ms=20))
    kill_in(site, phase, arguments=["--limit", "40"])
    finish_cleanly(site, titles, phase)


@pytest.mark.parametrize(("phase", "status"), [("plan load", "applied"), ("sent", "confirmed")])
def test_a_run_of_one_lead_that_is_killed_is_finished_by_a_plain_one(
    site: Site, phase: str, status: str
) -> None:
    titles = desire(site, new_leads(site, 20, latency_ms=200))
    one = sorted(titles)[7]
    kill_in(site, phase, arguments=["--lead", one])
    books = finish_cleanly(site, titles, phase)
    assert [entry.status for entry in books.entries if entry.lead_id == one] == [status]


def test_kills_of_narrowed_runs_on_what_a_killed_one_left(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    kill_in(site, "sending")
    kill_in(site, "reconcile", arguments=["--lead", max(titles)])
    kill_in(site, "chunk load", arguments=["--limit", "90"])
    kill_in(site, "sent", arguments=["--lead", max(titles)])
    kill_in(site, "sent", arguments=["--limit", "10"])
    finish_cleanly(site, titles, "narrowed")


def test_an_interrupted_chunk_is_settled_with_one_page_read(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=20))
    kill_in(site, "sending", 0.3)
    site.pipedrive.settings(latency_ms=0)
    site.pipedrive.fault("ignore", method="GET", times=1000)  # harmless; marks what is read
    books = finish_cleanly(site, titles, "")
    read = [row for row in site.pipedrive.requests("GET") if row["path"].endswith("/leads")]
    read = [row for row in read if row["fault"]]
    assert len(read) == 1
    assert books.statuses["confirmed"] > 0
    assert sum(len(entry.sends) for entry in books.entries) <= LEADS + SLOWLY["workers"]


def copied_plan_package(site: Site, spare: Path) -> Path:
    """Copy the plan's package as it is before its load, while the run stands still."""
    file = packed_files(site, "lead_patches", "load/normalized")[0]
    package = dlt_folder(site) / "load" / "normalized" / file.parts[-3]
    shutil.copytree(package, spare / package.name)
    return package


def test_a_plan_whose_load_is_repeated_is_sent_once(site: Site) -> None:
    """A kill after the plan's rows are committed, before dlt has noted that they are."""
    site.desire_titles({})
    assert site.run(empty_desired="allow").exit_code == 0
    titles = desire(site, new_leads(site, 20, latency_ms=20))
    spare = site.folder / "spare"
    with watched(site, workers=1) as run:
        stand_still_in(run, "plan package")
        package = copied_plan_package(site, spare)
        run.process.send_signal(signal.SIGCONT)
        wait_for(run, "sending")
        run.process.kill()
        run.ended()
    shutil.rmtree(dlt_folder(site) / "load" / "loaded" / package.name)
    shutil.copytree(spare / package.name, package)
    site.pipedrive.settings(latency_ms=0)
    assert site.command("run").code == 0
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    [rows] = site.query("SELECT count(*) AS n FROM pipedrive_leads.lead_patches")
    assert rows["n"] == len(titles)
    assert_books(site)


def test_a_working_folder_that_is_lost_after_a_kill_is_not_needed(site: Site) -> None:
    titles = desire(site, new_leads(site, 60, latency_ms=20))
    kill_in(site, "chunk load")
    shutil.rmtree(site.data_dir)
    site.pipedrive.settings(latency_ms=0)
    ended = site.command("run", "--log-format", "json")
    assert ended.code == 0, ended.told
    assert "loading what an earlier run left" not in messages(ended)
    assert_books(site)
    assert_titles(site, titles)


@pytest.mark.parametrize("left", ["", "new_jobs"], ids=["an empty folder", "no files"])
def test_a_kill_while_dlt_clears_a_normalized_package_does_not_block(site: Site, left: str) -> None:
    """dlt removes an extracted package file by file once its normalized copy is in place."""
    titles = desire(site, new_leads(site, 60, latency_ms=20))
    kill_in(site, "chunk load")
    load_id = packed_files(site, "lead_outcomes", "load/normalized")[0].parts[-3]
    extracted = dlt_folder(site) / "normalize" / "extracted" / load_id
    shutil.rmtree(extracted, ignore_errors=True)  # the kill may have come before dlt removed it
    (extracted / left).mkdir(parents=True)
    finish_cleanly(site, titles, "")


def test_a_run_of_one_lead_elsewhere_leaves_the_outcomes_of_the_others(site: Site) -> None:
    """Those of a killed run wait in its working folder, and a person edits one meanwhile."""
    leads = new_leads(site, 20)
    titles = desire(site, leads)
    with watched(site, workers=4, chunk_size=10) as run:
        stand_still_in(run, "chunk load")
        run.process.kill()
        run.process.wait()
    let_arrive(site)
    packed = "".join(path.read_text() for path in packed_files(site, "lead_outcomes"))
    one, other = [lead for lead in leads if lead in packed][:2]
    site.pipedrive.set_lead(other, title="Theirs")
    site.desire_titles({**titles, one: "Another wish"})
    assert other_machine(site).command("run", "--lead", one).code == 0
    assert site.command("plan").code == 0
    [row] = [row for row in site.outcomes() if row["lead_id"] == other]
    assert (row["status"], json.loads(row["took"])) == ("applied", ["title"])
