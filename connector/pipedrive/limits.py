"""One limiter for all that a run sends: never a 429 that could be foreseen.

Pipedrive counts the requests of a token in a rolling window of two seconds (documented).
When a request reaches the server is unknown here: some time between sending it and having
its answer. So a request holds its place from the moment it is sent until two seconds after
its answer, less what the way to the server surely takes: half of the quickest answer, where
answers are steady. Where they are not, or too few to tell, nothing is taken off.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from connector.pipedrive.errors import Interrupted
from connector.pipedrive.headers import number

WINDOW_SECONDS = 2.0
FIRST_BURST = 20
"""Requests a window before the first answer tells the limit: the smallest plan's (documented)."""
FEWEST_AT_ONCE, MOST_AT_ONCE = 4, 64
"""Requests in flight that are worth having; beyond that, connections cost more than they bring."""
AT_ONCE = 8
"""Requests in flight where no limit is told, or nothing is answered yet."""
FEWEST_ANSWERS = 20
"""Answers that tell how steady the way is; the first ones come with new connections."""
LONGEST_RESET_SECONDS = 10.0
"""A window is two seconds long; a server that tells of a reset in an hour is not believed."""


def reset_of(headers: Mapping[str, str]) -> float:
    """Returns after how many seconds the window is new, as an answer tells and is believed."""
    told = number(headers.get("x-ratelimit-reset")) or WINDOW_SECONDS
    return min(told, LONGEST_RESET_SECONDS)


@dataclass(frozen=True)
class Turn:
    """A request's place in the window.

    Attributes:
        waited: Seconds for which it waited.
        expired: How many requests before it the server has surely forgotten.
    """

    waited: float
    expired: int


class Pace:
    """How long answers take, in seconds: the shortest, and the usual one of late."""

    def __init__(self) -> None:
        self.answers = 0
        self.shortest = self.usual = math.inf

    def add(self, seconds: float) -> None:
        """Learns from an answer."""
        if not self.answers:
            self.usual = seconds
        self.answers += 1
        self.shortest = min(self.shortest, seconds)
        self.usual += (seconds - self.usual) / 10

    @property
    def way_there(self) -> float:
        """What a request surely spends on its way to the server."""
        if self.answers < FEWEST_ANSWERS:
            return 0.0
        varies = self.usual - self.shortest
        return max(self.shortest - varies, 0.0) / 2


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
        self._limit = math.inf
        self._others = 0.0
        self._others_until = 0.0
        self._begun = self._in_flight = 0
        self._held_until: deque[float] = deque()
        self._pace = Pace()
        self._paused_until = 0.0
        self._lock = threading.Lock()

    @property
    def burst(self) -> int | None:
        """Requests a window, as the server or the caller has told; None while neither has."""
        return self._burst if self._is_told or self._fixed else None

    @property
    def _is_told(self) -> bool:
        return self._limit < math.inf

    @property
    def at_once(self) -> int:
        """Requests in flight that use up the limit, at the usual time of an answer, and to spare.

        A window that is free again is used up within a half of it, so that none is left over.
        """
        with self._lock:
            if self._burst is None or not self._pace.answers:
                return AT_ONCE
            in_flight = 2 * self._burst * self._pace.usual / WINDOW_SECONDS
        return min(max(math.ceil(in_flight), FEWEST_AT_ONCE), MOST_AT_ONCE)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Waits for a place in the window, and holds it.

        Raises:
            Interrupted: The run was asked to stop during the wait.
        """
        turn = self._wait_for_place()
        sent = time.monotonic()
        try:
            yield turn
        finally:
            answered = time.monotonic()
            with self._lock:
                self._in_flight -= 1
                self._pace.add(answered - sent)
                self._held_until.append(answered + WINDOW_SECONDS - self._pace.way_there)

    def pause(self, seconds: float) -> None:
        """Holds back every request that is not yet sent for so many seconds."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def observe(self, headers: Mapping[str, str], turn: Turn = Turn(0.0, 0)) -> None:
        """Learns the limit from an answer; where none is told, there is none to keep.

        When the server counts more requests than this run's own, somebody else uses the token,
        or the run before did: they keep their places for a window. When none is left for that,
        everyone waits for the window to reset.

        Args:
            headers: The answer's.
            turn: That of its request.
        """
        limit = number(headers.get("x-ratelimit-limit"))
        remaining = number(headers.get("x-ratelimit-remaining"))
        with self._lock:
            self._learn(limit)
            if not limit or remaining is None:
                return
            others = limit - remaining - (self._begun - turn.expired)
            self._leave_room(others)
        if remaining == 0 and others > 0:
            self.pause(reset_of(headers))

    def _learn(self, limit: float | None) -> None:
        if limit is not None and limit >= 1:
            self._limit = limit
            self._burst = min(int(limit), self._fixed or int(limit))
        elif not self._is_told:
            self._burst = self._fixed

    def _leave_room(self, others: float) -> None:
        """Keeps the places of others; where answers cross, one that shows fewer proves nothing."""
        now = time.monotonic()
        if others >= self._others or now >= self._others_until:
            self._others, self._others_until = max(others, 0.0), now + WINDOW_SECONDS

    def _wait_for_place(self) -> Turn:
        began = time.monotonic()
        while True:
            with self._lock:
                delay = self._delay(time.monotonic())
                if delay <= 0:
                    expired = self._begun - self._in_flight - len(self._held_until)
                    self._begun += 1
                    self._in_flight += 1
                    return Turn(time.monotonic() - began, expired)
            if self._stop.wait(delay):
                raise Interrupted("the run was asked to stop")

    def _delay(self, now: float) -> float:
        while self._held_until and self._held_until[0] <= now:
            self._held_until.popleft()
        if now < self._paused_until:
            return self._paused_until - now
        ours = self._in_flight + len(self._held_until)
        others = self._others if now < self._others_until else 0.0
        if self._burst is None or (ours < self._burst and ours + others < self._limit):
            return 0.0
        free = [*islice(self._held_until, 1), *([self._others_until] if others else [])]
        return min(free, default=now + 0.01) - now
