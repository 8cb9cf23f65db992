"""A request to stop: who may ask for it, and how a run hears of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)
LOOK_SECONDS = 0.1
"""How long a wait lasts before the caller's own event is looked at again."""


class Stop(threading.Event):
    """A run's own request to stop, which hears its caller's as well and never sets it.

    Args:
        asked: The caller's event; it may serve several runs.
    """

    def __init__(self, asked: threading.Event | None = None) -> None:
        super().__init__()
        self._asked = asked

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
def stop_on_signal() -> Iterator[threading.Event]:
    """Yields an event that SIGTERM and Ctrl-C set; a second one ends the process at once.

    Outside the main thread, where Python allows no handlers, no signal sets it.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in STOPPING}

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)

    for number in STOPPING:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stop_after(seconds: float, stop: threading.Event) -> Iterator[None]:
    """Requests a stop when the time is up; 0 never does."""
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
