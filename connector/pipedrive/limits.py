"""One limiter for all that a run sends: never a 429 that could be foreseen.

Pipedrive counts the requests of a token in a rolling window of two seconds (documented).
When a request reaches the server is unknown here: some time between sending it and having
its answer. So a request holds its place from the moment it is sent until two seconds after
its answer, which keeps the server's own count within the limit whatever the network does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from connector.pipedrive.errors import Interrupted
from connector.pipedrive.headers import number

WINDOW_SECONDS = 2.0
FIRST_BURST = 20
"""Requests a window before the first answer tells the limit: the smallest plan's (documented)."""
LONGEST_RESET_SECONDS = 10.0
"""A window is two seconds long; a server that tells of a reset in an hour is not believed."""


class Limiter:
    """Shares the burst limit among threads; a pause holds them all.

    Args:
        stop: Ends every wait, with `Interrupted`, once it is set.
        burst: Requests a window, or None to take the server's own word.
    """

    def __init__(self, stop: threading.Event, burst: int | None = None) -> None:
        self._stop = stop
        self._fixed = burst
        self._burst: int | None = burst or FIRST_BURST
        self._told = False
        self._in_flight = 0
        self._answered: deque[float] = deque()
        self._paused_until = 0.0
        self._lock = threading.Lock()

    @property
    def burst(self) -> int | None:
        """Requests a window, as the server or the caller has told; None while neither has."""
        return self._burst if self._told or self._fixed else None

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Waits for a place in the window, holds it, and yields the seconds waited.

        Raises:
            Interrupted: The run was asked to stop during the wait.
        """
        waited = self._wait_for_place()
        try:
            yield waited
        finally:
            with self._lock:
                self._in_flight -= 1
                self._answered.append(time.monotonic())

    def pause(self, seconds: float) -> None:
        """Holds back every request that is not yet sent for so many seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learns the limit from an answer; where none is told, there is none to keep.

        When the server sees an empty window that this run's own requests do not explain,
        somebody else uses the token: then everyone waits for the window to reset.
        """
        limit = number(headers.get("x-ratelimit-limit"))
        with self._lock:
            self._learn(limit)
            ours = self._in_flight + len(self._answered)
        if limit and number(headers.get("x-ratelimit-remaining")) == 0 and ours < limit:
            reset = number(headers.get("x-ratelimit-reset")) or WINDOW_SECONDS
            self.pause(min(reset, LONGEST_RESET_SECONDS))

    def _learn(self, limit: float | None) -> None:
        if limit is not None and limit >= 1:
            self._told = True
            self._burst = min(int(limit), self._fixed or int(limit))
        elif not self._told:
            self._burst = self._fixed

    def _wait_for_place(self) -> float:
        began = time.monotonic()
        while True:
            with self._lock:
                delay = self._delay(time.monotonic())
                if delay <= 0:
                    self._in_flight += 1
                    return time.monotonic() - began
            if self._stop.wait(delay):
                raise Interrupted("the run was asked to stop")

    def _delay(self, now: float) -> float:
        while self._answered and self._answered[0] <= now - WINDOW_SECONDS:
            self._answered.popleft()
        if now < self._paused_until:
            return self._paused_until - now
        if self._burst is None or self._in_flight + len(self._answered) < self._burst:
            return 0.0
        if not self._answered:
            return 0.01
        return self._answered[0] + WINDOW_SECONDS - now
