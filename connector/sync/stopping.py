"""A request to stop: who may ask for it, and how a run hears of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pendulum

STOPPING = (signal.SIGTERM, signal.SIGINT)
NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}
LOOK_SECONDS = 0.1
"""How long a wait lasts before the caller's own event is looked at again."""


class Asked(threading.Event):
    """A request to stop that says who has made it.

    Attributes:
        why: What ended it, such as "stopped by Ctrl-C at 23:01:08 UTC"; None before, and where
            nobody has said.
    """

    why: str | None = None

    def ask(self, why: str) -> None:
        """Requests a stop; who does so first is the one who has stopped it."""
        if not self.is_set():
            self.why = f"stopped by {why}"
        self.set()


class Stop(Asked):
    """A run's own request to stop, which hears its caller's as well and never sets it.

    Args:
        asked: The caller's event; it may serve several runs.
    """

    def __init__(self, asked: threading.Event | None = None) -> None:
        super().__init__()
        self._asked = asked

    @property
    def reason(self) -> str:
        """What has ended the run."""
        asked = self._asked is not None and self._asked.is_set()
        return self.why or getattr(self._asked, "why", None) or f"stopped{' by its caller' * asked}"

    def is_set(self) -> bool:
        """Tells whether the run or its caller has asked to stop."""
        return super().is_set() or (self._asked is not None and self._asked.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until one of them asks to stop, or until the time is up."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = LOOK_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                break
            super().wait(left if self._asked is None else min(left, LOOK_SECONDS))
        return self.is_set()


@contextmanager
def stop_on_signal() -> Iterator[Asked]:
    """Yields an event that SIGTERM and Ctrl-C set; a second one ends the process at once.

    Outside the main thread, where Python allows no handlers, no signal sets it.
    """
    stop = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in STOPPING}

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.ask(f"{NAMES[signal.Signals(number)]} at {pendulum.now('UTC'):%H:%M:%S} UTC")
        for one in STOPPING:
            signal.signal(one, signal.SIG_DFL)

    for number in STOPPING:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_after(seconds: float, stop: Asked, why: str) -> Iterator[None]:
    """Requests a stop when the time is up; 0 never does.

    Args:
        seconds: How long until then.
        stop: What ends the run.
        why: What set that time.
    """
    timer = threading.Timer(seconds, stop.ask, [why])
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
