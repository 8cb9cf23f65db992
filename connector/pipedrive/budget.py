"""What may still be spent of the day's tokens, which the whole company shares."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from connector.pipedrive.errors import BudgetSpent
from connector.pipedrive.limits import number


class Budget:
    """Keeps a run within its own budget, and leaves a reserve of the day to others.

    Args:
        run_tokens: Spend at most so many tokens; None for no limit.
        reserve: Leave so many of the day's tokens, as far as the server tells how many are left.
    """

    def __init__(self, run_tokens: int | None = None, reserve: int = 0) -> None:
        self._run_left = run_tokens
        self._reserve = reserve
        self._day_left: float | None = None
        self._in_flight = 0
        self._lock = threading.Lock()

    @property
    def day_left(self) -> int | None:
        """Tokens left of the day, as far as the server has told."""
        return None if self._day_left is None else int(self._day_left)

    def take(self, cost: int) -> None:
        """Takes the tokens of one call before it is sent.

        Raises:
            BudgetSpent: They are not there to be spent; nothing is taken.
        """
        with self._lock:
            if self._run_left is not None and self._run_left < cost:
                raise BudgetSpent("token_budget of this run is used up")
            if self._reserve and self._day_after(cost) < self._reserve:
                raise BudgetSpent(f"only the token_reserve of {self._reserve} is left")
            self._run_left = None if self._run_left is None else self._run_left - cost
            self._in_flight += cost

    def _day_after(self, cost: int) -> float:
        return float("inf") if self._day_left is None else self._day_left - self._in_flight - cost

    def settle(self, cost: int, headers: Mapping[str, str], *, charged: bool) -> None:
        """Notes that a call has ended, whether it was charged, and what is left of the day.

        The header counts what other programs spend as well (observed, sometimes missing).
        """
        left = number(headers.get("x-daily-ratelimit-token-remaining"))
        with self._lock:
            self._in_flight -= cost
            if not charged and self._run_left is not None:
                self._run_left += cost
            if left is not None:
                self._day_left = left
            elif charged and self._day_left is not None:
                self._day_left -= cost
