"""Rows that go by plain SQL: what was written is there once, whenever the process is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

from tests.support.harness import ROOT, Site, ended_at_last, wait_until

KILLS = 6
WRITER = """
import sys
from datetime import UTC, datetime
from connector.settings import load_warehouse_settings
from connector.warehouse.destination import make_pipeline
from connector.warehouse.record import RunRecord
from connector.warehouse.rows import new_id
from connector.warehouse.schema import LEAD_FIELDS, SYNC_RUNS, FieldRow
from connector.warehouse.store import open_warehouse

settings = load_warehouse_settings()
with open_warehouse(make_pipeline(settings), settings) as warehouse:
    if not warehouse.are_tables_complete():
        warehouse.create_tables()
    print("open", flush=True)
    for _ in range(10_000):
        record = RunRecord(new_id(), "p", "run", started_at=datetime.now(UTC))
        warehouse.put(SYNC_RUNS, record.as_row())
        print(record.run_id, "running", flush=True)
        fields = [vars(FieldRow(f"{record.run_id} {n}", "n", "t")) for n in range(150)]
        warehouse.insert(LEAD_FIELDS, fields)
        print(record.run_id, "fields", flush=True)
        record.state, record.leads_read = "done", 7
        warehouse.put(SYNC_RUNS, record.as_row())
        print(record.run_id, "done", flush=True)
"""


def write_and_kill(site: Site, seconds: float) -> list[tuple[str, str]]:
    """Let a process write rows, and kill it; return what it has said that it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        env={**os.environ, **site.environment()},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ended_at_last(process):
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(seconds)
        process.kill()
        said = process.stdout.read()
        assert process.wait(60) == -signal.SIGKILL
    whole = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
    return [(run_id, what) for run_id, what in whole]


def test_a_row_that_was_written_is_there_once_after_a_kill(site: Site) -> None:
    site.desire_titles({})  # a run makes no warehouse file
    rng = random.Random(5)
    said: list[tuple[str, str]] = []
    for _ in range(KILLS):
        said += write_and_kill(site, rng.uniform(0.05, 0.6))
    rows = site.query("SELECT run_id, state, leads_read FROM pipedrive_leads.sync_runs")
    states = {row["run_id"]: row["state"] for row in rows}
    assert len(states) == len(rows), "one row a run"
    assert {run_id for run_id, _ in said} <= states.keys()
    assert [run_id for run_id, what in said if what == "done" and states[run_id] != "done"] == []
    fields = Counter(
        row["run_id"]
        for row in site.query(
            "SELECT split_part(key, ' ', 1) AS run_id FROM pipedrive_leads.lead_fields"
        )
    )
    assert {fields[run_id] for run_id, what in said if what == "fields"} == {150}
    assert set(fields.values()) <= {100, 150}, "each statement is written whole or not at all"
    assert len(said) > KILLS


def test_tables_are_made_whole_after_a_kill_at_any_point(site: Site) -> None:
    """A run that is killed while it makes the tables leaves nothing that a later one trips on."""
    rng = random.Random(6)
    owner = site.data_dir / "pipelines" / "pipedrive_leads.owner"
    for _ in range(KILLS):
        owner.unlink(missing_ok=True)
        with ended_at_last(site.start("plan")) as process:
            wait_until(owner.exists, "it never took its lock")
            time.sleep(rng.uniform(0, 0.4))
            process.kill()
            process.wait(60)
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    assert site.run().statuses["applied"] == 1
