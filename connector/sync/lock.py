"""One run at a time on one working folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pendulum
from filelock import FileLock, Timeout

from connector.errors import LockedError
from connector.warehouse.destination import unusable


@contextmanager
def hold(working_dir: Path) -> Iterator[None]:
    """Holds the lock of a working folder; a holder that died does not hold it any more.

    Raises:
        LockedError: Another run holds it; the message says which process.
        WarehouseError: The folder cannot be used, such as one of another user.
    """
    lock = FileLock(working_dir.with_suffix(".lock"))
    owner = working_dir.with_suffix(".owner")
    try:
        working_dir.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(f"another run is under way: {_told(owner)}; wait for its end") from None
    except (OSError, NotImplementedError) as error:  # the latter: no locks on this file system
        raise unusable(working_dir, error) from None
    try:
        _tell(owner, working_dir)
        yield
    finally:
        lock.release()


def _tell(owner: Path, working_dir: Path) -> None:
    now = pendulum.now("UTC").to_iso8601_string()
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()} since {now}")
    except OSError as error:
        raise unusable(working_dir, error) from None


def _told(owner: Path) -> str:
    try:
        return owner.read_text(errors="replace") or "another process"
    except OSError:
        return "another process"
