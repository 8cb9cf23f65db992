"""Ids of runs: they sort by time, whoever makes them how fast."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from connector.warehouse.rows import IdMaker, new_id

SHAPE = r"\d{8}-\d{6}-[0-9a-f]{6}"


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Let the clock stand still at a moment."""
    monkeypatch.setattr(time, "time_ns", lambda: int(moment.timestamp() * 1000) * 1_000_000)


def test_ids_made_at_once_sort_in_the_order_of_making() -> None:
    made = [new_id() for _ in range(3000)]
    assert made == sorted(set(made))
    assert [one for one in made if not re.fullmatch(SHAPE, one)] == []


def test_threads_never_make_the_same_id() -> None:
    make = IdMaker()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make(), range(2000)))
    assert len({one[:-3] for one in made}) == len(made)


def test_an_id_tells_its_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))
    make = IdMaker()
    assert make().startswith("20261231-235959-3e7")
    assert make().startswith("20270101-000000-000"), "the next one is a millisecond later"


def test_ids_of_two_processes_sort_by_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for millisecond in (0, 9, 10, 255, 256, 999):
        at(monkeypatch, datetime(2026, 1, 2, 3, 4, 5, millisecond * 1000, tzinfo=UTC))
        made.append(IdMaker()())
    assert made == sorted(made)


def test_a_clock_that_is_set_back_makes_no_smaller_id(monkeypatch: pytest.MonkeyPatch) -> None:
    make = IdMaker()
    at(monkeypatch, datetime(2026, 1, 2, tzinfo=UTC))
    first = make()
    at(monkeypatch, datetime(2026, 1, 1, tzinfo=UTC))
    assert make() > first
