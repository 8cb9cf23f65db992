"""What a tripped guard says: its limit, what was found, and the flag that accepts it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.planning.guards import GUARDS, PlanSize, limits_of, tripped

UNSET: dict[str, Any] = {**dict.fromkeys(GUARDS), "empty_desired": "stop"}


@pytest.mark.parametrize(
    ("given", "text", "flag"),
    [
        ({"max_clears": "5"}, "more than 5", "--max-clears 30"),
        ({"max_clears": "5", "max_clears_percent": "off"}, "more than 5", "--max-clears 30"),
        ({"max_clears_percent": "10"}, "more than 10 %", "--max-clears-percent 30"),
        ({"max_clears": "off", "max_clears_percent": "10"}, "more than 10 %", "-percent 30"),
        ({"max_clears": "5", "max_clears_percent": "10"}, "more than 5 and 10 %", " 30"),
        ({}, "more than 20 and 10 %", "--max-clears 30"),
    ],
)
def test_the_limits_on_clears_are_told_as_they_are_set(
    given: dict[str, str], text: str, flag: str
) -> None:
    size = PlanSize(desired_rows=100, compared=100, changed=30, cleared=30)
    [trip] = tripped(size, limits_of(UNSET | given))
    assert trip.text == f"30 of 100 leads would lose a value, {text}"
    assert trip.accept.endswith(flag)


@pytest.mark.parametrize(
    ("given", "text", "flag"),
    [
        ({}, "more than 200 and 50 %", "--max-overwrites 300"),
        ({"max_overwrites": "5"}, "more than 5", "--max-overwrites 300"),
        ({"max_overwrites_percent": "10"}, "more than 10 %", "--max-overwrites-percent 60"),
    ],
)
def test_the_limits_on_overwrites_are_told_as_they_are_set(
    given: dict[str, str], text: str, flag: str
) -> None:
    size = PlanSize(desired_rows=500, compared=500, changed=300, overwritten=300)
    [trip] = tripped(size, limits_of(UNSET | given))
    assert trip.text == f"300 of 500 leads would have a value replaced, {text}"
    assert trip.accept == flag
