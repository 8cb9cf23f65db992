"""How fast a run applies, beside a bare `requests` loop with as many threads.

Run it with `python -m tests.benchmarks.apply_rate [leads] [workers] [latency_ms]`. Both sides
send the same PATCHes to the same local Pipedrive, limits off. The run's figure is end to end:
it reads, compares, plans, sends in chunks, checks each answer and writes all of it back.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import requests

from connector import run
from connector.sandbox import LocalPipedrive


def main(leads: int = 3000, workers: int = 20, latency_ms: int = 50) -> None:
    """Prints both rates and their ratio."""
    with (
        LocalPipedrive(leads=leads, limits=False, latency_ms=latency_ms) as pipedrive,
        tempfile.TemporaryDirectory() as folder,
    ):
        active = [lead for lead in pipedrive.leads().values() if not lead["is_archived"]]
        print(f"{len(active)} leads, {workers} workers, {latency_ms} ms a call")
        bare = timed(lambda: bare_loop(pipedrive, active, workers))
        prepare(Path(folder), active)
        moments: list[float] = []
        ours = timed(lambda: the_job(pipedrive, len(active), workers, moments))
    applying = moments[-1] - moments[0]
    print(f"bare requests loop   {len(active) / bare:7.0f} leads a second  ({bare:.2f} s)")
    print(f"lead-sync, applying  {len(active) / applying:7.0f} leads a second  ({applying:.2f} s)")
    print(f"lead-sync run        {len(active) / ours:7.0f} leads a second  ({ours:.2f} s)")
    print(f"ratio                {bare / ours:7.2f}")


def timed(work: Any) -> float:
    """Returns how many seconds some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_loop(pipedrive: LocalPipedrive, leads: list[dict[str, Any]], workers: int) -> None:
    """Sends one PATCH a lead and looks at nothing but the status."""
    local = threading.local()
    headers = {"x-api-token": pipedrive.api_token}

    def send(lead: dict[str, Any]) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        url = f"{pipedrive.base_url}/api/v1/leads/{lead['id']}"
        body = {"title": f"{lead['title']} (bare)"}
        local.session.patch(url, json=body, headers=headers, timeout=30).raise_for_status()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(send, leads))


def prepare(folder: Path, leads: list[dict[str, Any]]) -> None:
    """Makes a warehouse in which every lead wants another title."""
    warehouse = folder / "warehouse.duckdb"
    os.environ["DESTINATION__WAREHOUSE__CREDENTIALS"] = f"duckdb:///{warehouse}"
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute("CREATE TABLE crm.lead_changes (lead_id VARCHAR, title VARCHAR)")
        rows = [(lead["id"], f"{lead['title']} (run)") for lead in leads]
        connection.executemany("INSERT INTO crm.lead_changes VALUES (?, ?)", rows)


def the_job(pipedrive: LocalPipedrive, leads: int, workers: int, moments: list[float]) -> None:
    """Runs the job and makes sure that it did what it is timed for.

    Notes the moments at which applying begins and each chunk is written back.
    """

    def tell(step: str, _done: int, _total: int | None) -> None:
        if step == "apply":
            moments.append(time.perf_counter())

    account: dict[str, Any] = {"base_url": pipedrive.base_url, "api_token": pipedrive.api_token}
    summary = run(**account, workers=workers, progress=tell, max_overwrites="off")
    if summary.statuses["applied"] != leads:
        raise SystemExit(f"only {summary.statuses['applied']} of {leads} leads were applied")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
