"""A run that is killed, again and again: nothing is lost and nothing is wrong in the end."""

from __future__ import annotations

import random
import signal
import time

import pytest

from connector.warehouse.scratch import MEMORY_NAME
from tests.support.harness import Site, ended_at_last, wait_until, writes

LEADS, WORKERS, KILLS = 200, 8, 3


def start_and_kill(site: Site, patches: int, seconds: float) -> None:
    """Kills a run so many seconds after it has sent so many PATCHes."""
    before = len(site.pipedrive.requests("PATCH"))
    with ended_at_last(site.start("run", chunk_size=50, workers=WORKERS)) as process:
        wait_until(
            lambda: len(site.pipedrive.requests("PATCH")) >= before + patches, "no PATCH was sent"
        )
        time.sleep(seconds)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", [7])
def test_every_lead_is_brought_there_through_kills(site: Site, seed: int) -> None:
    moments = random.Random(seed)
    site.pipedrive.reset(leads=0, latency_ms=30)
    for number in range(LEADS):
        lead = f"{number:08x}-1234-4234-8234-123456789abc"
        site.pipedrive.set_lead(lead, title=f"Lead {number}", person_id=1 + number)
    before = site.pipedrive.leads()
    site.desire_titles({lead: f"Title of {lead}" for lead in before})
    for _ in range(KILLS):
        start_and_kill(site, moments.randint(1, 30), moments.uniform(0, 0.15))
    ended = site.command("run")
    assert ended.code == 0, ended.told
    assert_nothing_lost(site)
    assert_nothing_wrong(site, before)


def test_what_a_kill_leaves_half_written_harms_no_later_run(site: Site) -> None:
    leads = list(site.pipedrive.leads())[:2]
    site.desire_titles({leads[0]: "New"})
    assert site.run().exit_code == 0
    # dlt writes its schema to a file of such a name, and then renames it.
    half = site.data_dir / "pipelines" / "pipedrive_leads" / "schemas" / "79e9b3910015192d"
    half.write_text('{"version": 4, "version_hash": "')
    site.desire_titles(dict.fromkeys(leads, "New"))
    assert site.run().statuses["applied"] == 1


def test_a_memory_that_a_loss_of_power_has_damaged_stops_no_run(site: Site) -> None:
    site.desire_titles({lead: str(row["title"]) for lead, row in site.pipedrive.leads().items()})
    unchanged = site.run().unchanged
    [memory] = site.data_dir.rglob(MEMORY_NAME)
    whole = memory.read_bytes()
    memory.write_bytes(whole[:4096] + bytes(4096) + whole[8192:])
    assert [site.run().unchanged for _ in range(2)] == [unchanged] * 2
    assert memory.read_bytes()[4096:8192] != bytes(4096)


def assert_nothing_lost(site: Site) -> None:
    assert set(site.outcomes_of_patches()) == {1}
    [counted] = site.query(
        "SELECT count(*) AS outcomes, count(DISTINCT lead_id) AS leads "
        "FROM pipedrive_leads.lead_outcomes"
    )
    assert counted == {"outcomes": LEADS, "leads": LEADS}
    assert set(site.statuses()) <= {"applied", "confirmed"}
    states = site.query("SELECT state FROM pipedrive_leads.sync_runs ORDER BY started_at")
    assert [row["state"] for row in states] == ["failed"] * KILLS + ["done"]


def assert_nothing_wrong(site: Site, before: dict[str, dict[str, object]]) -> None:
    moving = {"title", "update_time"}
    after = site.pipedrive.leads()
    assert {lead: row["title"] for lead, row in after.items()} == {
        lead: f"Title of {lead}" for lead in before
    }
    for lead, row in before.items():
        assert {key: after[lead][key] for key in row if key not in moving} == {
            key: row[key] for key in row if key not in moving
        }
    written = writes(site.pipedrive)
    assert set(written.values()) <= {1, 2}
    assert written.total() - LEADS <= KILLS * WORKERS
