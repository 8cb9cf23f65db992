"""The two limits of an API token: requests in a rolling window, and tokens a day."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connector.sandbox.replies import Headers
from connector.sandbox.settings import Settings

WINDOW: Final = 2.0
BASE_BUDGET: Final = 30_000
PATCH_COST: Final = 10
SEARCH_BURST: Final = 10
"""Searches in a window, on every plan (documented)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subscription allows (documented)."""

    burst: int
    budget_factor: int


PLANS: Final[Mapping[str, Plan]] = {
    "lite": Plan(20, 1),
    "growth": Plan(40, 2),
    "premium": Plan(100, 5),
    "ultimate": Plan(120, 7),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is let through, and the headers that its answer carries."""

    refused: str | None
    headers: Headers


def daily_budget(settings: Settings) -> int:
    """Return the tokens of a day: as set, or what the plan and its seats give."""
    if settings.daily_budget is not None:
        return settings.daily_budget
    return BASE_BUDGET * PLANS[settings.plan].budget_factor * settings.seats


class Limiter:
    """Counts the requests of the one token that the sandbox accepts.

    A refused request costs nothing and takes no place in the window. A request is served while
    any token of the day is left, even if it costs more (assumed); the day never ends.
    """

    def __init__(self) -> None:
        self._admitted: deque[float] = deque()
        self._searched: deque[float] = deque()
        self._spent = 0

    def forget_spending(self) -> None:
        """Start the daily budget anew."""
        self._spent = 0

    def judge(
        self, settings: Settings, now: float, method: str, cost: int, *, search: bool = False
    ) -> Verdict:
        """Admit or refuse a request.

        Args:
            settings: Name the plan and the budget.
            now: When it arrives, in seconds.
            method: Decides which headers the answer carries.
            cost: Its tokens.
            search: Whether it is one of the calls with a window of their own.
        """
        for window in (self._admitted, self._searched):
            while window and now - window[0] > WINDOW:
                window.popleft()
        refused = self._reason(settings, search=search)
        if refused is None:
            self._admitted.append(now)
            self._searched.extend([now] if search else [])
            self._spent += cost
        return Verdict(refused, self._headers(settings, now, method, refused))

    def _reason(self, settings: Settings, *, search: bool) -> str | None:
        if self._spent >= daily_budget(settings):
            return "Daily request limit reached."
        if len(self._admitted) >= PLANS[settings.plan].burst:
            return "Too many requests in 2 seconds."
        if search and len(self._searched) >= SEARCH_BURST:
            return "Too many searches in 2 seconds."
        return None

    def _headers(self, settings: Settings, now: float, method: str, refused: str | None) -> Headers:
        burst, budget = PLANS[settings.plan].burst, daily_budget(settings)
        left = max(0, budget - self._spent)
        reset = math.ceil(self._admitted[0] + WINDOW - now) if self._admitted else 0
        numbers = {
            b"x-ratelimit-limit": burst,
            b"x-ratelimit-remaining": max(0, burst - len(self._admitted)),
            b"x-ratelimit-reset": reset,
        }
        if settings.daily_headers:
            numbers[b"x-daily-ratelimit-token-limit"] = budget
            numbers[b"x-daily-ratelimit-token-remaining"] = left
        if method != "GET":
            # Rounded up: 0 is the documented sign of a spent day, and nothing else is.
            numbers[b"x-daily-requests-left"] = math.ceil(left / PATCH_COST)
        if refused and settings.retry_after:
            numbers[b"retry-after"] = max(1, reset)
        return tuple((name, b"%d" % value) for name, value in numbers.items())
