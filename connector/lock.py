"""One run at a time on one working folder, and a stop that loses nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pendulum
from filelock import FileLock, Timeout

from connector.errors import LockedError

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def hold(working_dir: Path) -> Iterator[None]:
    """Holds the lock of a working folder; a holder that died does not hold it any more.

    Raises:
        LockedError: Another run holds it; the message says which process.
    """
    working_dir.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(working_dir.with_suffix(".lock"))
    owner = working_dir.with_suffix(".owner")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = owner.read_text() if owner.exists() else "another process"
        raise LockedError(f"another run is under way: {holder}; wait for its end") from None
    try:
        now = pendulum.now("UTC").to_iso8601_string()
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now}")
        yield
    finally:
        lock.release()


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """Turns SIGTERM and Ctrl-C into a request to stop; a second one ends the process at once.

    Outside the main thread, where Python allows no handlers, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)

    for number in STOPPING:
        signal.signal(number, ask)
    try:
        yield
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
