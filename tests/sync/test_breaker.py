"""The breaker: how many failures are too many, in a row and as a share."""

from __future__ import annotations

from connector.planning.model import Outcome, Patch, Status
from connector.sync.sending import Breaker


def tripped(breaker: Breaker, *statuses: Status) -> tuple[int, str] | None:
    """Return after how many patches the breaker trips, and what it says."""
    patch = Patch("p-1", "p", "lead", {"title": "New"}, {})
    for number, status in enumerate(statuses, 1):
        if reason := breaker.count(Outcome(patch, status)):
            return number, reason
    return None


def test_failures_in_a_row() -> None:
    statuses: tuple[Status, ...] = ("failed", "applied", "failed", "ignored", "failed")
    assert tripped(Breaker(3, 0), *statuses) == (5, "3 patches in a row failed or were not taken")


def test_a_share_counts_from_as_many_failures_as_are_too_many_in_a_row() -> None:
    mixed: tuple[Status, ...] = ("failed", "ignored", "applied") * 20
    told = "25 of 37 patches failed or were not taken, more than breaker_percent 50"
    assert tripped(Breaker(25, 50), *mixed) == (37, told)


def test_just_the_share_is_not_more_than_it() -> None:
    evenly: tuple[Status, ...] = ("applied", "failed") * 100
    assert tripped(Breaker(3, 50), *evenly) is None
    assert tripped(Breaker(3, 49), *evenly) == (
        6,
        "3 of 6 patches failed or were not taken, more than breaker_percent 49",
    )


def test_what_is_no_failure_counts_as_sent() -> None:
    others: tuple[Status, ...] = ("confirmed", "not_found", "archived", "failed") * 50
    assert tripped(Breaker(2, 25), *others) is None


def test_no_share_is_judged_where_the_percentage_is_0() -> None:
    mostly: tuple[Status, ...] = ("failed", "failed", "applied") * 50
    assert tripped(Breaker(3, 0), *mostly) is None
