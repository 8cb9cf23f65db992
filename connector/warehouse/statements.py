"""Statements about many ids, of which a warehouse takes so many at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from connector.warehouse.store import FETCH


def in_statements(ids: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Yields as many ids as a statement takes, with the marks for them."""
    waiting = iter(ids)
    while some := list(islice(waiting, FETCH)):
        yield some, ", ".join(["%s"] * len(some))
