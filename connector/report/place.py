"""A file that is there whole or not at all, and takes the place of nothing that is not ours."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import LeadSyncError


def put_file(place: Path, text: str, refuse_others: Callable[[Path], None]) -> None:
    """Writes a file beside its place and renames it.

    Args:
        place: Where it goes.
        text: What is in it.
        refuse_others: Raises where something is in that place that must stay.

    Raises:
        OSError: It cannot be written.
        LeadSyncError: Something else has come to be there.
    """
    beside = place.with_name(f".lead-sync-{secrets.token_hex(8)}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
        refuse_others(place)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def naming(option: str, path: Path) -> Iterator[None]:
    """Says on one line why the file of an option cannot be written."""
    try:
        yield
    except OSError as error:
        raise LeadSyncError(f"{option} {path} cannot be written: {error.strerror}") from None
