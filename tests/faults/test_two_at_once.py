"""Two runs at once, a clock that was set back, and a disk that is full."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import pytest

from tests.support.books import assert_books
from tests.support.forking import COMMAND
from tests.support.harness import ROOT, Ended, Site, finish, writes
from tests.support.scene import assert_titles, desire, new_leads, wait_for, watched

LEADS = 60
SETTINGS: Mapping[str, Any] = {"workers": 4, "chunk_size": 20}


def finished(processes: list[subprocess.Popen[str]]) -> list[Ended]:
    return [finish(process) for process in processes]


def assert_one_worked(site: Site, ended: list[Ended], titles: dict[str, str]) -> Ended:
    assert sorted(one.code for one in ended) == [0, 6], [one.told for one in ended]
    loser = next(one for one in ended if one.code)
    assert "Traceback" not in loser.told
    assert len(loser.stderr.splitlines()) == 1
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert_books(site)
    return loser


def test_of_two_runs_started_at_once_one_works(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=50))
    processes = [site.start("run", **SETTINGS) for _ in range(2)]
    ended = finished(processes)
    loser = assert_one_worked(site, ended, titles)
    winner = next(process for process, one in zip(processes, ended, strict=True) if one.code == 0)
    assert f"another run is under way: process {winner.pid} on" in loser.stderr


def test_of_two_runs_with_folders_of_their_own_one_works(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=50))
    elsewhere = site.environment(**SETTINGS) | {"DLT_DATA_DIR": str(site.folder / "other")}
    processes = [
        site.start("run", **SETTINGS),
        subprocess.Popen(
            [str(COMMAND), "run"],
            env=elsewhere,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ),
    ]
    loser = assert_one_worked(site, finished(processes), titles)
    assert any(
        f"another run is under way: process {process.pid} on" in loser.stderr
        for process in processes
    )


def kill_in(site: Site, phase: str) -> None:
    """Kill a run once it is in a phase of it."""
    with watched(site, **SETTINGS) as run:
        wait_for(run, phase)
        run.process.kill()
        run.ended()


def test_nobody_can_take_the_file_while_a_run_works(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=50))
    with watched(site, **SETTINGS) as run:
        wait_for(run, "sending")
        with pytest.raises(duckdb.IOException, match="lock"):
            site.query("SELECT 1")
        assert run.ended().code == 0
    assert_books(site)
    assert_titles(site, titles)


def test_a_lock_left_by_a_killed_run_blocks_nobody(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=50))
    kill_in(site, "sending")
    assert site.run().exit_code == 0
    assert_books(site)
    assert_titles(site, titles)


def limited_to(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def run_with_full_disk(site: Site, size: int) -> Ended:
    """Run where no file can grow beyond a size, which DuckDB meets as it meets a full disk."""
    process = subprocess.Popen(
        [str(COMMAND), "run"],
        env=site.environment(**SETTINGS, max_overwrites="off"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited_to(size),  # noqa: PLW1509
    )
    return finish(process)


@pytest.mark.parametrize("kib", [24, 300, 700])
def test_a_full_disk_is_said_and_repaired_by_the_next_run(site: Site, kib: int) -> None:
    site.desire_titles({})
    assert site.run(empty_desired="allow").exit_code == 0
    titles = desire(site, new_leads(site, 4 * LEADS))
    full = run_with_full_disk(site, kib * 1024)
    assert full.code == 1, full.told
    assert "Traceback" not in full.told
    assert len(full.stderr.splitlines()[-1]) < 400
    assert site.run(max_overwrites="off").exit_code == 0
    assert_books(site)
    assert_titles(site, titles)


def test_a_clock_set_back_changes_no_decision(site: Site) -> None:
    titles = desire(site, new_leads(site, LEADS, latency_ms=30))
    kill_in(site, "chunk load")
    set_tables_ahead(site)
    site.pipedrive.settings(latency_ms=0)
    assert site.run().exit_code == 0
    assert writes(site.pipedrive) == dict.fromkeys(titles, 1)
    assert set(site.outcomes_of_patches()) == {1}
    set_tables_ahead(site)
    assert site.run().exit_code == 0
    assert writes(site.pipedrive).total() == LEADS
    titles = desire(site, list(titles), "Newer")
    assert site.run().exit_code == 0
    assert_titles(site, titles)
    assert set(site.outcomes_of_patches()) == {1}


def set_tables_ahead(site: Site) -> None:
    """Let every row look as if it had been written in two days."""
    moments = {
        "leads": ("read_at",),
        "lead_patches": ("planned_at",),
        "lead_outcomes": ("sent_at", "finished_at"),
        "sync_runs": ("started_at", "finished_at"),
        "_dlt_loads": ("inserted_at",),
        "_dlt_version": ("inserted_at",),
        "_dlt_pipeline_state": ("created_at",),
    }
    with duckdb.connect(str(site.database)) as connection:
        for table, columns in moments.items():
            moved = ", ".join(f"{column} = {column} + INTERVAL 2 DAY" for column in columns)
            connection.execute(f"UPDATE pipedrive_leads.{table} SET {moved}")
