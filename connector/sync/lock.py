"""One run at a time on one working folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pendulum
from filelock import FileLock, Timeout

from connector.warehouse.destination import unusable
from connector.warehouse.holder import LOCK, OWNER, owner_of, this_process, told, under_way


@contextmanager
def hold(working_dir: Path) -> Iterator[None]:
    """Holds the lock of a working folder; a holder that died does not hold it any more.

    Raises:
        RunUnderWay: Another run holds it; the message says which process.
        WarehouseError: The folder cannot be used, such as one of another user.
    """
    place = working_dir.with_suffix(LOCK)
    lock = FileLock(place)
    try:
        working_dir.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise under_way(owner_of(place)) from None
    except (OSError, NotImplementedError) as error:  # the latter: no locks on this file system
        raise unusable(working_dir, error) from None
    try:
        _tell(working_dir)
        yield
    finally:
        lock.release()


def _tell(working_dir: Path) -> None:
    owner = told(this_process(), pendulum.now("UTC"))
    try:
        working_dir.with_suffix(OWNER).write_text(owner)
    except OSError as error:
        raise unusable(working_dir, error) from None
