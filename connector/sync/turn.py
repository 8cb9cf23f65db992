"""A run's turn on its dataset: taken, renewed while it lives, and ended by it.

The warehouse says whose turn it is; this process only knows until when it may rely on that, and
sends nothing after. A clock that stood still while a laptop slept would let it send then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from dlt.destinations.exceptions import DatabaseException

from connector.errors import LockedError, TurnLost
from connector.warehouse import lease
from connector.warehouse.destination import load_for
from connector.warehouse.store import Warehouse, connected, first_line

log = logging.getLogger(__name__)
Entered = TypeVar("Entered")
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps; on macOS the second one does."""
RELIED_ON = 0.9
"""The share of a turn in which PATCHes are sent: one takes a while to arrive."""
RENEWALS = 4
"""Tries to renew it before it runs out."""
LOOK_SECONDS = 0.5
"""How long a run that waits for its turn waits before it looks again."""


def now() -> float:
    """Returns the seconds of a clock that nobody sets and no sleep holds up."""
    return time.clock_gettime(CLOCK)


class Turn:
    """This run's turn.

    Args:
        warehouse: Where it is kept.
        holder: The run.
        seconds: How long it lasts unless it is renewed.
        stop: Set when it is lost, so that the run comes to its end.
    """

    def __init__(
        self, warehouse: Warehouse, holder: str, seconds: float, stop: threading.Event
    ) -> None:
        self._warehouse = warehouse
        self._holder = holder
        self._seconds = seconds
        self._stop = stop
        self._lock = threading.Lock()
        self._lost_by = ""
        self._until = now() + RELIED_ON * seconds

    def may_send(self) -> bool:
        """Tells whether it is still certain to be this run's turn; once it was not, never again."""
        if now() >= self._until:
            self._lose(f"it could not be renewed within lease_seconds {self._seconds:g}")
        return not self._lost_by

    def hold_on(self) -> None:
        """Makes sure that nobody else has had a turn since this one began.

        One that ran out while nobody came is taken up again, for the sake of what was sent: its
        outcomes are recorded, and nothing more is sent.

        Raises:
            TurnLost: Another run has come, or the warehouse does not say.
        """
        if not self.may_send() and not self.renew():
            raise self._error()

    def renew(self) -> bool:
        """Makes it last longer; tells whether it is certain that nobody else has come."""
        began = now()
        if not self._lock.acquire(timeout=self._seconds):  # a connection that hangs
            return False
        try:
            with connected(self._warehouse.client) as client:
                is_ours = lease.renew(client, self._holder, self._seconds)
        except Exception as error:  # each driver has errors of its own
            log.warning("the turn was not renewed: %s", first_line(error))
            return False
        finally:
            self._lock.release()
        if not is_ours:
            self._lose("another run has taken over")
        elif self.may_send():
            self._until = began + RELIED_ON * self._seconds
        return is_ours

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Ends what it encloses by an error where the turn was lost meanwhile.

        Raises:
            TurnLost: It was.
        """
        try:
            yield
        except Exception:
            if self._lost_by:
                raise self._error() from None
            raise
        if self._lost_by:
            raise self._error()

    def _lose(self, why: str) -> None:
        if not self._lost_by:
            log.error("this run has lost its turn: %s", why)
            self._lost_by = why
        self._stop.set()

    def _error(self) -> TurnLost:
        return TurnLost(
            f"run {self._holder} has lost its turn: {self._lost_by}; it has sent nothing more, and "
            "the next run settles what it left"
        )


@contextmanager
def take_turn(
    warehouse: Warehouse, holder: str, seconds: float, stop: threading.Event
) -> Iterator[Turn]:
    """Takes a turn, and renews it from a thread until the block ends.

    Args:
        warehouse: Whose turn.
        holder: The run.
        seconds: How long it lasts unless it is renewed.
        stop: Set when it is lost.

    Raises:
        RunUnderWay: It is another run's turn.
    """
    turn = Turn(warehouse, holder, seconds, stop)
    lease.take(warehouse, holder, seconds)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(seconds / RENEWALS):
            turn.renew()

    keeper = threading.Thread(target=keep, name="turn", daemon=True)
    keeper.start()
    warehouse.permit = turn.hold_on
    load_for(warehouse.pipeline.destination, holder)
    try:
        yield turn
    finally:
        load_for(warehouse.pipeline.destination, None)
        ended.set()
        keeper.join(LOOK_SECONDS * RENEWALS)  # a connection that hangs keeps nobody
        with suppress(DatabaseException):  # it runs out by itself
            lease.end(warehouse.client, holder)


def wait_for_turn(enter: Callable[[], Entered], seconds: float, stop: threading.Event) -> Entered:
    """Enters as soon as nobody is in the way; what was taken on the way is given back meanwhile.

    Args:
        enter: Takes what a run needs to itself.
        seconds: How long to wait for it at most.
        stop: Ends the waiting, once it is set.

    Raises:
        LockedError: Somebody was in the way to the last.
    """
    last = now() + seconds
    said = False
    while True:
        try:
            return enter()
        except LockedError as error:
            if now() >= last or stop.is_set():
                raise
            if not said:
                log.info("waiting up to %g s: %s", seconds, error)
            said = True
        stop.wait(min(LOOK_SECONDS, max(last - now(), 0)))
