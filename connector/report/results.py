"""The file of `--run-results`: what came of a command, whole or not there at all.

It is written beside its place and renamed, and only ever takes the place of a results file.
That is removed as soon as the command starts: after a kill there is no file, so an older result
never passes for this command's. What is no file, such as a pipe or /dev/stdout, is written to
as it is, at the end.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pendulum

from connector.errors import LeadSyncError
from connector.report.place import naming, put_file
from connector.warehouse.record import package_version

Write = Callable[[Mapping[str, Any], int], None]
"""Told what a run came to, and its exit code."""
OPTION = "--run-results"
LARGEST = 16 << 20
MARKS = frozenset({"format", "version", "command", "started_at", "seconds", "exit_code"})
"""Keys that every results file has."""


@contextmanager
def open_results(path: Path | None, command: str) -> Iterator[Write]:
    """Yields what writes the file; one that cannot be written stops all, before anything is done.

    Raises:
        LeadSyncError: It cannot be written, or what is there is no results file.
    """
    began = pendulum.now("UTC")
    if path is None:
        yield lambda _run, _code: None
        return
    with naming(OPTION, path):
        stream = _open_stream(path)
        place = None if stream else _clear(path)

    def write(run: Mapping[str, Any], code: int) -> None:
        text = json.dumps(_document(command, began, run, code), indent=2, default=str) + "\n"
        with naming(OPTION, path):
            if place:
                put_file(place, text, _refuse_others)
            elif stream:
                sys.stdout.flush()
                stream.write(text)
                stream.flush()

    try:
        yield write
    finally:
        if stream:
            with suppress(OSError):  # was told when it was written
                stream.close()


def _document(
    command: str, began: pendulum.DateTime, run: Mapping[str, Any], code: int
) -> dict[str, Any]:
    """Returns the results as JSON types; what the run tells of itself wins."""
    named = {"format": 1, "version": package_version(), "command": command}
    seconds = round((pendulum.now("UTC") - began).total_seconds(), 2)
    times = {"started_at": began.isoformat(), "seconds": seconds}
    return {**named, **times, **run, "command": command, "exit_code": code}


def _open_stream(path: Path) -> IO[str] | None:
    """Opens what is no file on a disk; None for a file, or for nothing yet.

    Raises:
        OSError: It cannot be opened; a named pipe that nobody reads is not waited for.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        raise IsADirectoryError(0, "it is a directory or a disk; name a file")
    open_already = _descriptor(path, found)
    if open_already is not None:
        return os.fdopen(os.dup(open_already), "w", encoding="utf-8")
    if stat.S_ISREG(found.st_mode):
        return None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        raise OSError(0, "nobody reads it") if error.errno == errno.ENXIO else error from None
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _descriptor(path: Path, found: os.stat_result) -> int | None:
    """Returns what of the process a name stands for, such as /dev/stdout or /dev/fd/63.

    Its file may be one on a disk, where the output of other programs is as well.
    """
    for descriptor in (1, 2):
        with suppress(OSError):  # closed
            if os.path.samestat(found, os.fstat(descriptor)):
                return descriptor
    named = re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", str(path))
    return int(named[1]) if named else None


def _clear(path: Path) -> Path:
    """Makes room for the file, through any symbolic link, and returns where it goes.

    Raises:
        OSError: The folder cannot be written.
        LeadSyncError: What is there is not ours to replace.
    """
    place = Path(os.path.realpath(path))
    _refuse_others(place)
    with tempfile.TemporaryFile(dir=place.parent):
        place.unlink(missing_ok=True)
    return place


def _refuse_others(place: Path) -> None:
    """Refuses a place with a file that is neither a results file nor empty."""
    if not place.exists():
        return
    size = place.stat().st_size
    if size and not (size <= LARGEST and _is_results(place.read_bytes())):
        raise LeadSyncError(
            f"{OPTION} {place} is a file that is no results file, and stays as it is; "
            "name another, or remove it"
        )


def _is_results(content: bytes) -> bool:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.keys() >= MARKS
