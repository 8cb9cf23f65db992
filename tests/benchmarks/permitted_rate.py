"""How much of the burst limit a run uses while it applies, on each plan of Pipedrive's.

`python -m tests.benchmarks.permitted_rate [latency_ms …]` prints, for each plan and latency, the
PATCHes a second as the local Pipedrive has noted them, but for the first and the last window, their
ratio to what the limit allows, and how many calls were answered with 429.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from connector import run
from connector.sandbox import LocalPipedrive
from connector.sandbox.limits import PLANS, WINDOW
from tests.benchmarks.apply_rate import prepare

SECONDS = 30
"""How long the applying is to take where the limit is used up."""


def main(*latencies: int) -> None:
    """Prints a line for each plan and latency."""
    for latency_ms in latencies or (20, 120, 400):
        for plan in PLANS:
            measure(plan, latency_ms)


def measure(plan: str, latency_ms: int) -> None:
    """Applies as many leads as the limit allows in some seconds, and prints what came of it."""
    allowed = PLANS[plan].burst / WINDOW
    with (
        LocalPipedrive(
            leads=int(SECONDS * allowed), plan=plan, daily_budget=10**7, latency_ms=latency_ms
        ) as pipedrive,
        tempfile.TemporaryDirectory() as folder,
    ):
        active = [lead for lead in pipedrive.leads().values() if not lead["is_archived"]]
        prepare(Path(folder), active)
        pipedrive.clear_requests()
        summary = run(
            base_url=pipedrive.base_url, api_token=pipedrive.api_token, max_overwrites="off"
        )
        if summary.statuses["applied"] != len(active):
            raise SystemExit(f"only {summary.statuses['applied']} of {len(active)} were applied")
        sent = pipedrive.requests("PATCH")
        refused = sum(call["status"] == 429 for call in pipedrive.requests())
    times = [call["at"] for call in sent]
    begin, end = times[0] + WINDOW, times[-1] - WINDOW
    rate = sum(begin <= at < end for at in times) / (end - begin)
    print(
        f"{plan:<9} {latency_ms:>4} ms  {rate:6.2f} PATCHes a second of {allowed:5.1f}  "
        f"ratio {rate / allowed:.3f}  {refused} answers with 429",
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
