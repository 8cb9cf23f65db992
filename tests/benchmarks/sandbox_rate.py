"""Print how many PATCHes a second the local Pipedrive answers to a bare keep-alive client.

`python -m tests.benchmarks.sandbox_rate [seconds] [connections]`
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from urllib.parse import urlsplit

from connector.sandbox import LocalPipedrive


def main() -> None:
    """Run the client against a fresh sandbox and print the rate."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with LocalPipedrive(leads=1_000, limits=False) as pipedrive:
        lead_ids = list(pipedrive.leads())[:connections]
        started = time.perf_counter()
        counts = _run(pipedrive, lead_ids, started + seconds)
        rate = sum(counts) / (time.perf_counter() - started)
    sys.stdout.write(f"{rate:,.0f} PATCHes a second over {connections} connections\n")


def _run(pipedrive: LocalPipedrive, lead_ids: list[str], until: float) -> list[int]:
    counts: list[int] = []
    workers = [
        threading.Thread(
            target=lambda one=lead_id: counts.append(_patch_until(pipedrive, one, until))
        )
        for lead_id in lead_ids
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return counts


def _patch_until(pipedrive: LocalPipedrive, lead_id: str, until: float) -> int:
    place = urlsplit(pipedrive.base_url)
    count = 0
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.perf_counter() < until:
            connection.sendall(_request(lead_id, pipedrive.api_token, count))
            _expect_ok(connection)
            count += 1
    return count


def _request(lead_id: str, token: str, number: int) -> bytes:
    body = b'{"title":"Lead %d","value":{"amount":%d.5,"currency":"EUR"}}' % (number, number)
    head = (
        f"PATCH /api/v1/leads/{lead_id} HTTP/1.1\r\nhost: localhost\r\nx-api-token: {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _expect_ok(connection: socket.socket) -> None:
    received = connection.recv(65_536)
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    missing = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))


if __name__ == "__main__":
    main()
