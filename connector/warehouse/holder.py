"""Which process holds something, and whether it is gone for certain."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pendulum

from connector.errors import RunUnderWay

PROC = Path("/proc")
LOCK, OWNER = ".lock", ".owner"
"""Endings of the lock of a working folder, and of the file beside it that names its holder."""
DEAD = frozenset({"Z", "X"})


@dataclass(frozen=True)
class Process:
    """One process, told from each that had its id before or will have it.

    Attributes:
        host: The machine's name.
        boot: Names one start of the machine; None where the system does not tell.
        namespace: The processes among which the id is its own, as a container's; None likewise.
        pid: Its id there.
        started: When it started, in ticks of that boot; None likewise.
    """

    host: str
    boot: str | None
    namespace: str | None
    pid: int
    started: int | None

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended: where it ran can be looked at, and it is not there."""
        here = this_process()
        places = ((one.host, one.boot, one.namespace) for one in (self, here))
        if len({*places}) > 1 or None in (self.boot, self.namespace, self.started):
            return False
        return _has_ended(self.pid, self.started)


def this_process() -> Process:
    """Returns the process that asks."""
    boot, namespace = _place()
    pid = os.getpid()
    return Process(socket.gethostname(), boot, namespace, pid, (_stat(pid) or ("", None))[1])


def told(process: Process, since: pendulum.DateTime) -> str:
    """Says which process holds something, where, and since when."""
    began = since.in_timezone("UTC")
    return f"process {process.pid} on {process.host} since {began:%Y-%m-%d %H:%M:%S} UTC"


def under_way(holder: str) -> RunUnderWay:
    """Returns what to say where another run holds what this one needs."""
    hint = "wait for its end, or let this one wait for it with lock_wait_seconds"
    return RunUnderWay(f"another run is under way: {holder}; {hint}")


def owner_of(lock: Path) -> str:
    """Returns who has said to hold the lock of a working folder."""
    try:
        return lock.with_suffix(OWNER).read_text(errors="replace") or "another process"
    except OSError:
        return "another process"


def run_of(pid: int) -> str | None:
    """Returns the run of ours that a process of this machine is, by the lock that it has open."""
    with suppress(OSError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                lock = descriptor.readlink()
                owner = owner_of(lock) if lock.suffix == LOCK else ""
                if owner.startswith(f"process {pid} on "):
                    return owner
    return None


@cache
def _place() -> tuple[str | None, str | None]:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return boot or None, str((PROC / "self/ns/pid").readlink())
    except OSError:  # no Linux
        return None, None


def _has_ended(pid: int, started: int | None) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        pass
    found = _stat(pid)  # of other users' processes, it may be hidden
    return found is not None and (found[0] in DEAD or found[1] != started)


def _stat(pid: int) -> tuple[str, int] | None:
    """Returns the state of a process and when it started; its name may hold any character."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return (fields[0], int(fields[19])) if len(fields) > 19 else None
